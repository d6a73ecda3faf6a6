//! `check`: what this kernel lets this user do, hook by hook.

use std::fs;
use std::path::Path;

use caps::CapSet;
use serde_json::{Value, json};

use crate::config::Config;
use crate::diagnostics::Failure;
use crate::hook::State;
use crate::{attach, hello, load, refusal, tracefs, uprobes};

/// Loads and attaches everything for a moment, then tells how it went as one JSON document.
pub fn check() -> Result<Value, Failure> {
    refusal::keep_libbpf_log();
    let config = Config::everything();
    let (loaded, maps) = load::load(&config)?;
    let mut attached = attach::attach(loaded, maps, &config)?;
    // It tries a uprobe, and the kernel's word on new mappings.
    drop(uprobes::prepare(&config, &mut attached));
    attached.detach();
    let tracefs = match tracefs::ensure() {
        Ok(()) => json!({ "state": State::On }),
        Err(refusal) => {
            json!({ "state": State::Off, "reason": refusal.reason, "hint": refusal.hint })
        }
    };
    Ok(json!({
        "kernel": hello::kernel(),
        "probe_version": hello::PROBE_VERSION,
        "btf": Path::new("/sys/kernel/btf/vmlinux").exists(),
        "capabilities": { "effective": effective_capabilities() },
        "tracefs": tracefs,
        "unprivileged_bpf_disabled": unprivileged_bpf_disabled(),
        "lockdown": lockdown(),
        "hooks": attached.hooks,
    }))
}

fn effective_capabilities() -> Vec<String> {
    let set = caps::read(None, CapSet::Effective).unwrap_or_default();
    let mut names: Vec<_> = set.into_iter().map(|capability| capability.to_string()).collect();
    names.sort();
    names
}

/// 0, 1 or 2; none where the kernel has no such switch.
fn unprivileged_bpf_disabled() -> Option<u8> {
    let text = fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").ok()?;
    text.trim().parse().ok()
}

/// `none`, `integrity` or `confidentiality`; none where the kernel has no lockdown.
fn lockdown() -> Option<String> {
    active_mode(&fs::read_to_string("/sys/kernel/security/lockdown").ok()?)
}

/// The one in brackets of `none [integrity] confidentiality`.
fn active_mode(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_active_lockdown_mode_is_the_one_in_brackets() {
        assert_eq!(active_mode("none [integrity] confidentiality\n").as_deref(), Some("integrity"));
        assert_eq!(active_mode(""), None);
    }
}
