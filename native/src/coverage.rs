//! What is told about targets: which are covered, which are not and why, and how fast.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::attachments::Attempt;
use crate::diagnostics;
use crate::elf::ElfError;
use crate::plan::{Coverage, Plan};
use crate::wanted::Interest;

/// Lines about targets in one interval; the others are only counted.
const LINES_MAX: u32 = 20;
const LINES_INTERVAL: Duration = Duration::from_secs(10);
/// A target is told of once, as long as it is among so many.
const REMEMBERED_MAX: usize = 4096;
/// Enough for a median; the first ones are kept.
const LATENCIES_MAX: usize = 65_536;

/// Tells of targets, each once, and not too many.
#[derive(Default)]
pub struct Notices {
    attached: u64,
    points: u64,
    skipped: u64,
    records_lost: u64,
    told: HashSet<String>,
    interval: Option<(Instant, u32)>,
}

/// The time from a mapping to its uprobes being attached.
#[derive(Default)]
pub struct Latencies {
    nanoseconds: Vec<u64>,
}

impl Latencies {
    /// One more.
    pub fn add(&mut self, nanoseconds: u64) {
        if self.nanoseconds.len() < LATENCIES_MAX {
            self.nanoseconds.push(nanoseconds);
        }
    }

    /// How many, the median and the longest.
    fn summary(&self) -> Value {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        json!({
            "count": sorted.len(),
            "median_ns": sorted.get(sorted.len() / 2),
            "max_ns": sorted.last(),
        })
    }
}

impl Notices {
    /// An attempt was made; it may have left out something.
    pub fn attached(&mut self, path: &str, pid: u32, plan: &Plan, attempt: &Attempt, limit: usize) {
        if attempt.points > 0 {
            self.attached += 1;
            self.points += attempt.points as u64;
            let details = json!({
                "target": path,
                "pid": pid,
                "points": attempt.points,
                "libc": functions(&plan.libc),
                "tls": functions(&plan.tls),
                "calls": plan.calls.len() - attempt.over_limit,
            });
            diagnostics::debug("target_attached", "uprobes are attached", details);
        }
        for (function, reason) in plan.libc.entry_only.iter().chain(&plan.tls.entry_only) {
            let message = format!("only the entry of {function} is probed: {reason}");
            self.tell("target_entry_only", path, pid, &message);
        }
        if attempt.over_limit > 0 || plan.more_calls {
            let message = format!(
                "more functions match than the {limit} attach points allow: the others are not probed"
            );
            self.tell("attach_points_limit", path, pid, &message);
        }
        if let Some(reason) = &attempt.reason {
            let count = attempt.refused;
            let message = if attempt.points > 0 {
                format!("{count} functions can't be probed: {reason}")
            } else {
                format!("it can't be probed: {reason}")
            };
            self.skipped(path, pid, &message);
        }
    }

    /// A file that is not ELF is no target. One that is, and can't be read, may have been.
    pub fn unreadable(&mut self, path: &str, pid: u32, interest: &Interest, error: &ElfError) {
        let ordinary = matches!(error, ElfError::NotElf | ElfError::Unsupported(_));
        if interest.is_certain() || !ordinary {
            self.skipped(path, pid, &format!("it can't be read: {error}"));
        }
    }

    /// By its name it should have had something.
    pub fn nothing_found(&mut self, path: &str, pid: u32, interest: &Interest) {
        let what = match interest {
            Interest { functions, .. } if !functions.is_empty() => "function that was asked for",
            Interest { tls: true, .. } => "SSL_read or SSL_write",
            _ => "connect or accept",
        };
        // It has had none since glibc 2.34.
        if path.contains("/libpthread") {
            return;
        }
        diagnostics_once(&mut self.told, path, || {
            let details = json!({ "target": path, "pid": pid });
            diagnostics::debug("target_empty", &format!("it has no {what}"), details);
        });
    }

    /// It can't be probed.
    pub fn skipped(&mut self, path: &str, pid: u32, why: &str) {
        self.skipped += 1;
        self.tell("target_skipped", path, pid, why);
    }

    /// The ring was full; all processes are looked at again.
    pub fn records_lost(&mut self) {
        self.records_lost += 1;
    }

    /// Everything in numbers, at the end.
    pub fn finish(&self, latencies: &Latencies) {
        let message = "what uprobes were attached to";
        let details = json!({
            "targets_attached": self.attached,
            "attach_points": self.points,
            "targets_skipped": self.skipped,
            "rescans": self.records_lost,
            "attach_latency": latencies.summary(),
        });
        diagnostics::info("uprobe_targets", message, details);
    }

    fn tell(&mut self, code: &str, path: &str, pid: u32, message: &str) {
        let now = Instant::now();
        let fresh = self.interval.filter(|(since, _)| now.duration_since(*since) < LINES_INTERVAL);
        let (since, lines) = fresh.unwrap_or((now, 0));
        if lines >= LINES_MAX {
            return;
        }
        diagnostics_once(&mut self.told, &format!("{code} {path} {message}"), || {
            let message = format!("{path}: {message}");
            diagnostics::warn(code, &message, json!({ "target": path, "pid": pid }));
            self.interval = Some((since, lines + 1));
        });
    }
}

fn diagnostics_once(told: &mut HashSet<String>, what: &str, tell: impl FnOnce()) {
    if told.len() >= REMEMBERED_MAX {
        told.clear();
    }
    if told.insert(what.to_owned()) {
        tell();
    }
}

/// Each function with how it is seen.
pub fn functions(coverage: &Coverage) -> Value {
    let all = coverage.functions.iter().map(|function| {
        let reason = coverage.entry_only.iter().find(|(name, _)| name == function);
        let state = reason.map_or("full", |_| "entry_only");
        ((*function).to_owned(), Value::from(state))
    });
    Value::Object(all.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_a_median_and_a_maximum() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summary()["count"], 0);
        [5, 1, 9].into_iter().for_each(|latency| latencies.add(latency));
        assert_eq!(latencies.summary(), json!({ "count": 3, "median_ns": 5, "max_ns": 9 }));
    }

    #[test]
    fn a_flood_of_targets_is_not_told_but_counted() {
        let mut notices = Notices::default();
        for index in 0..1000 {
            notices.skipped(&format!("/bin/{index}"), 1, "of a test");
        }
        assert_eq!(notices.skipped, 1000);
        assert_eq!(notices.interval.unwrap().1, LINES_MAX);
    }

    #[test]
    fn coverage_names_what_is_seen_half() {
        let coverage = Coverage {
            functions: vec!["SSL_read", "SSL_write"],
            entry_only: vec![("SSL_write", "why".into())],
        };
        let expected = json!({ "SSL_read": "full", "SSL_write": "entry_only" });
        assert_eq!(functions(&coverage), expected);
    }
}
