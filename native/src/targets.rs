//! The thread that finds targets and attaches to them, while the capture runs.
//!
//! Files of containers and other users are opened and read here, so that one that makes its reader wait
//! holds up attaching alone, not the delivery of events.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::attachments::{Attachments, Numbered};
use crate::clock;
use crate::coverage::{Latencies, Notices};
use crate::diagnostics;
use crate::executable::{self, Executable, FileKey, Missing, Stamp};
use crate::perf::PerfRing;
use crate::perf_record::{Mapping, Record, What};
use crate::plan::{self, Plan};
use crate::process_maps;
use crate::runtime::Runtime;
use crate::wanted::{Interest, Wanted};

/// Looked-into files that are remembered, with or without anything to attach.
const KNOWN_FILES_MAX: usize = 16_384;
/// How often to look whether announced ends have come and idle files may go.
const TICK: Duration = Duration::from_millis(50);
const QUIET_TICK: Duration = Duration::from_secs(1);
/// How often users are checked whose end may have been missed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// What the pump has to know before it passes on an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// Events with this attach point may come.
    AttachPoint {
        /// As the cookie has it.
        id: u32,
        /// As the source has it.
        symbol: String,
        /// As the process sees it.
        library: String,
        /// Of the function.
        node_hash: String,
        /// What its file says that it runs.
        runtime: Option<Runtime>,
    },
    /// The process has another image now.
    Execed(u32),
}

/// A mapping that may matter, with its file if it could be opened.
pub struct Candidate {
    mapping: Mapping,
    interest: Interest,
    file: Result<Executable, Missing>,
}

impl Candidate {
    /// Process, inode and path of the mapping.
    pub fn place(&self) -> (u32, u64, &[u8]) {
        (self.mapping.pid, self.mapping.inode, &self.mapping.path)
    }
}

/// What was found in a file while it was as its stamp says.
type Known = (Stamp, Option<Rc<Numbered>>);

/// Everything the thread works with.
pub struct Targets {
    wanted: Wanted,
    uretprobes: bool,
    calls_max: usize,
    rings: Vec<PerfRing>,
    attachments: Attachments,
    /// What was found in a file: the same file is mapped by many processes.
    known: HashMap<(FileKey, Interest), Known>,
    next_id: u32,
    /// Ends that were announced.
    ending: HashSet<u32>,
    swept: Instant,
    notices: Sender<Notice>,
    told: Notices,
    latencies: Latencies,
}

/// Opens the files of all running processes that may matter. Done while there are still privileges;
/// nothing is read from the files yet.
pub fn scan(wanted: &Wanted) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for pid in process_maps::processes() {
        let mut seen = HashSet::new();
        for mapping in process_maps::executable_mappings(pid) {
            let interest = wanted.interest(&mapping.path);
            if interest.is_none() || !seen.insert((mapping.inode, mapping.path.clone())) {
                continue;
            }
            candidates.push(candidate(wanted, mapping));
        }
    }
    candidates
}

/// Opens the file of a mapping.
pub fn candidate(wanted: &Wanted, mapping: Mapping) -> Candidate {
    let (interest, file) = (wanted.interest(&mapping.path), executable::open(&mapping));
    Candidate { mapping, interest, file }
}

impl Targets {
    /// Nothing is attached yet.
    pub fn new(
        wanted: Wanted,
        uretprobes: bool,
        calls_max: usize,
        rings: Vec<PerfRing>,
        attachments: Attachments,
        notices: Sender<Notice>,
    ) -> Self {
        Self {
            wanted,
            uretprobes,
            calls_max,
            rings,
            attachments,
            known: HashMap::new(),
            next_id: 0,
            ending: HashSet::new(),
            swept: Instant::now(),
            notices,
            told: Notices::default(),
            latencies: Latencies::default(),
        }
    }

    /// Attaches to what a scan found.
    pub fn attach_scanned(&mut self, candidates: Vec<Candidate>, stop: &OwnedFd) {
        for Candidate { mapping, interest, file } in candidates {
            if is_readable(stop) {
                return;
            }
            self.attach(&mapping, &interest, file);
        }
    }

    /// Follows the kernel's records until `stop` becomes readable. Then detaches everything.
    pub fn run(mut self, stop: &OwnedFd) {
        let mut records = Vec::new();
        loop {
            let busy = !self.ending.is_empty() || self.attachments.has_idle();
            if self.wait(stop, if busy { TICK } else { QUIET_TICK }) {
                break;
            }
            records.clear();
            self.rings.iter_mut().for_each(|ring| ring.take(&mut records));
            // Each CPU has its own ring: a fork and its child's exec may be in two.
            records.sort_by_key(|record| record.boot_ns);
            for record in records.drain(..) {
                self.take(record, stop);
                if is_readable(stop) {
                    break;
                }
            }
            self.tick();
        }
        self.attachments.detach_all();
        self.told.finish(&self.latencies);
    }

    /// True when the run has to end.
    fn wait(&self, stop: &OwnedFd, timeout: Duration) -> bool {
        let watch = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut watched = vec![watch(stop.as_raw_fd())];
        watched.extend(self.rings.iter().map(|ring| watch(ring.descriptor())));
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the pointer and the number are those of the array.
        unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, timeout_ms) };
        watched[0].revents != 0
    }

    fn take(&mut self, record: Record, stop: &OwnedFd) {
        match record.what {
            What::Mapped(mapping) => {
                let interest = self.wanted.interest(&mapping.path);
                if interest.is_none() || mapping.pid == std::process::id() {
                    return;
                }
                let file = executable::open(&mapping);
                if self.attach(&mapping, &interest, file) {
                    self.latencies.add(clock::boot_ns().saturating_sub(record.boot_ns));
                }
            }
            What::Forked { pid, parent } => {
                self.ending.remove(&pid);
                self.attachments.forked(pid, parent);
            }
            What::Execed { pid } => {
                self.attachments.gone(pid);
                // Fails when the capture ends.
                let _ = self.notices.send(Notice::Execed(pid));
            }
            What::Exited { pid } => {
                self.ending.insert(pid);
            }
            What::Lost => self.rescan(stop),
        }
    }

    /// Records are missing: look at everything once more.
    fn rescan(&mut self, stop: &OwnedFd) {
        self.told.records_lost();
        let candidates = scan(&self.wanted);
        self.attach_scanned(candidates, stop);
        self.attachments.sweep();
    }

    fn tick(&mut self) {
        let ended: Vec<_> =
            self.ending.iter().copied().filter(|pid| process_maps::ended(*pid)).collect();
        for pid in ended {
            self.ending.remove(&pid);
            self.attachments.gone(pid);
        }
        for path in self.attachments.detach_idle(Instant::now()) {
            diagnostics::debug(
                "target_detached",
                "nobody uses it any more",
                json!({ "target": path }),
            );
        }
        if self.swept.elapsed() >= SWEEP_INTERVAL {
            self.swept = Instant::now();
            self.attachments.sweep();
            self.ending.retain(|pid| !process_maps::ended(*pid));
        }
    }

    /// True when something new was attached.
    fn attach(
        &mut self,
        mapping: &Mapping,
        interest: &Interest,
        file: Result<Executable, Missing>,
    ) -> bool {
        let path = String::from_utf8_lossy(&mapping.path).into_owned();
        let executable = match file {
            Ok(executable) => executable,
            Err(Missing::Unreachable(why)) if interest.is_certain() => {
                self.told.skipped(&path, mapping.pid, &format!("its file can't be opened: {why}"));
                return false;
            }
            Err(_) => return false,
        };
        let key = self.attachments.key_of(&executable);
        if self.attachments.is_current(&key) {
            self.attachments.add_user(mapping.pid, &key);
            return false;
        }
        let Some(numbered) = self.plan(&executable, interest, &path, mapping.pid) else {
            return false;
        };
        self.announce(&numbered, &path);
        let attempt = self.attachments.attach(&key, executable, &numbered, &path);
        self.told.attached(&path, mapping.pid, &numbered.plan, &attempt, self.calls_max);
        self.attachments.add_user(mapping.pid, &key);
        attempt.points > 0
    }

    /// What to attach to the file; none if nothing. A file is looked into once.
    /// The id of the first attach point.
    pub fn number_from(&mut self, first_id: u32) {
        self.next_id = first_id;
    }

    fn plan(
        &mut self,
        executable: &Executable,
        interest: &Interest,
        path: &str,
        pid: u32,
    ) -> Option<Rc<Numbered>> {
        let place = (executable.key.clone(), interest.clone());
        if let Some((stamp, numbered)) = self.known.get(&place)
            && *stamp == executable.stamp
        {
            return numbered.clone();
        }
        if self.known.len() >= KNOWN_FILES_MAX {
            self.known.clear();
        }
        let made =
            plan::make(&executable.file, interest, &self.wanted, self.uretprobes, self.calls_max);
        let plan = made.unwrap_or_else(|error| {
            self.told.unreadable(path, pid, interest, &error);
            Plan::default()
        });
        if plan.is_empty() && interest.is_certain() && !plan.more_calls {
            self.told.nothing_found(path, pid, interest);
        }
        let first_id = self.next_id;
        let numbered = (!plan.is_empty()).then(|| Rc::new(Numbered { plan, first_id }));
        if let Some(numbered) = &numbered {
            let calls = u32::try_from(numbered.plan.calls.len()).unwrap_or(0);
            self.next_id = first_id.checked_add(calls)?;
        }
        self.known.insert(place, (executable.stamp, numbered.clone()));
        numbered
    }

    fn announce(&self, numbered: &Numbered, path: &str) {
        for (id, call) in (numbered.first_id..).zip(&numbered.plan.calls) {
            // Fails when the capture ends.
            let _ = self.notices.send(Notice::AttachPoint {
                id,
                symbol: call.symbol.clone(),
                library: path.to_owned(),
                node_hash: call.node_hash.clone(),
                runtime: numbered.plan.runtime,
            });
        }
    }
}

fn is_readable(fd: &OwnedFd) -> bool {
    let mut watched = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    unsafe { libc::poll(&raw mut watched, 1, 0) == 1 }
}
