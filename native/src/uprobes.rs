//! Phase 3b: uprobes. Prepared with all privileges, then attached by a thread of their own with few.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::json;

use crate::attach::Attached;
use crate::attachments::{Attachments, Programs};
use crate::config::Config;
use crate::diagnostics::{self, Failure};
use crate::hook::{Refusal, State};
use crate::open::{self, Source};
use crate::perf::{self, PerfRing};
use crate::plan::Program;
use crate::process_maps;
use crate::targets::{self, Candidate, Notice, Targets};
use crate::uprobe_link::{self, Attaching, Point};
use crate::wanted::Wanted;

/// How long the first event may be held up by attaching to what already runs.
const FIRST_ATTACH_TIMEOUT: Duration = Duration::from_secs(30);
/// More than one capture ever gives.
const IDS_PER_GENERATION: u32 = 1 << 28;
/// Against a file that never answers.
const DETACH_TIMEOUT: Duration = Duration::from_secs(10);

/// What needs privileges, done.
pub struct Prepared {
    pub(crate) wanted: Wanted,
    pub(crate) rings: Vec<PerfRing>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) programs: Programs,
    pub(crate) first_id: u32,
}

impl Prepared {
    /// For a pump that a keeper has started: opens the rings, and looks at what runs since the keeper has looked,
    /// which could open more than a pump can. It gives ids that no earlier pump gave: the kernel's rings may still
    /// hold events with those.
    pub fn renew(&mut self, generation: u32) -> Result<(), Failure> {
        self.rings = perf::open_rings()
            .map_err(|error| Failure::new("uprobes_failed", format!("perf rings: {error}")))?;
        let mut now = targets::scan(&self.wanted);
        let known: HashSet<_> = self.candidates.iter().map(Candidate::place).collect();
        now.retain(|candidate| !known.contains(&candidate.place()));
        self.candidates.append(&mut now);
        self.first_id = generation.saturating_mul(IDS_PER_GENERATION);
        Ok(())
    }
}

/// The thread that attaches.
pub struct Uprobes {
    /// What it tells the pump.
    pub notices: Option<Receiver<Notice>>,
    begin: Option<Sender<()>>,
    begun: Receiver<()>,
    done: Receiver<()>,
    stop: OwnedFd,
}

/// Tries a uprobe for each observation, opens the kernel's rings, and looks at what runs. None when no
/// uprobes are wanted or none are possible; then their hooks say why.
pub fn prepare(config: &Config, attached: &mut Attached) -> Option<Prepared> {
    let wanted = Wanted::new(config)?;
    let attaching = uprobe_link::attaching(open::uses_single_uprobes(config)).map_err(|error| {
        Refusal::new(
            format!("this kernel has no uprobes: {error}"),
            "it needs CONFIG_UPROBE_EVENTS=y",
        )
    });
    let mut programs = Vec::new();
    for (source, object) in &attached.objects {
        if source.functions.is_empty() {
            continue;
        }
        let own: Vec<_> = object
            .progs()
            .filter_map(|program| {
                let name = program.name().to_string_lossy().into_owned();
                let known = Program::ALL.into_iter().find(|known| known.name() == name)?;
                Some((known, program.as_fd().try_clone_to_owned().ok()?))
            })
            .collect();
        let tried = attaching.clone().and_then(|attaching| {
            own.first().map_or(Ok(()), |(_, program)| try_uprobe(attaching, program))
        });
        match tried {
            Ok(()) => programs.extend(own),
            Err(refusal) => refuse(attached_hooks(&mut attached.hooks, source), &refusal),
        }
    }
    let attaching = attaching.ok().filter(|_| !programs.is_empty())?;
    let rings = perf::open_rings().map_err(|error| no_rings(&error, attached)).ok()?;
    raise_descriptor_limit();
    // Under a keeper each pump opens its own (`renew`): such rings are not mapped in a fork.
    let rings = if config.spare_outputs == 0 { rings } else { Vec::new() };
    let candidates = targets::scan(&wanted);
    let descriptors = programs.into_iter().collect();
    let programs = Programs { attaching, descriptors };
    Some(Prepared { wanted, rings, candidates, programs, first_id: 0 })
}

fn no_rings(error: &std::io::Error, attached: &mut Attached) {
    let refusal = Refusal::new(
        format!("the kernel does not tell of new mappings: {error}"),
        "give the probe CAP_PERFMON, and allow perf_event_open",
    );
    let sources = attached.objects.iter().map(|(source, _)| *source);
    for source in sources.filter(|source| !source.functions.is_empty()) {
        refuse(attached_hooks(&mut attached.hooks, source), &refusal);
    }
}

fn attached_hooks<'a>(
    hooks: &'a mut [crate::hook::Hook],
    source: &'static Source,
) -> impl Iterator<Item = &'a mut crate::hook::Hook> {
    hooks.iter_mut().filter(move |hook| hook.probe == source.name && hook.state == State::On)
}

fn refuse<'a>(hooks: impl Iterator<Item = &'a mut crate::hook::Hook>, refusal: &Refusal) {
    hooks.for_each(|hook| hook.refuse(refusal));
}

/// Attaches to a function of this program that nobody calls.
fn try_uprobe(attaching: Attaching, program: &OwnedFd) -> Result<(), Refusal> {
    let refused = |why: String| {
        Refusal::new(
            format!("a uprobe could not be attached: {why}"),
            "run as root, or give the probe CAP_BPF and CAP_PERFMON",
        )
    };
    let offset = process_maps::own_file_offset(uprobe_trial as *const () as u64)
        .ok_or_else(|| refused("/proc/self/maps does not tell where".into()))?;
    let point = Point { offset, cookie: 0 };
    let path = c"/proc/self/exe";
    let outcome = uprobe_link::attach(attaching, program.as_fd(), path, &[point], false);
    outcome.error.map_or(Ok(()), |error| Err(refused(error.to_string())))
}

/// Where uprobes are tried. Never called.
#[inline(never)]
extern "C" fn uprobe_trial(number: u64) -> u64 {
    std::hint::black_box(number)
}

/// Each attachment keeps a few descriptors; the usual limit of 1024 is meant for select(2).
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is valid for both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

impl Uprobes {
    /// Starts the thread, which waits. It has the privileges that this thread has now.
    pub fn start(prepared: Prepared, config: &Config) -> Result<Self, Failure> {
        let (send_notice, notices) = channel();
        let (begin, may_begin) = channel();
        let (has_begun, begun) = channel();
        let (is_done, done) = channel();
        let (is_up, up) = channel();
        let stop = new_eventfd()?;
        let stopped = stop
            .try_clone()
            .map_err(|error| Failure::new("uprobes_failed", format!("eventfd: {error}")))?;
        let (uretprobes, calls_max) = (config.uretprobes, config.attach_points_max as usize);
        let body = move || {
            // Dropped when the thread ends, however it does.
            let _is_done: Sender<()> = is_done;
            let _ = is_up.send(());
            if may_begin.recv().is_err() {
                return;
            }
            let Prepared { wanted, rings, candidates, programs, first_id } = prepared;
            let attachments = Attachments::new(programs, calls_max);
            let mut targets =
                Targets::new(wanted, uretprobes, calls_max, rings, attachments, send_notice);
            targets.number_from(first_id);
            targets.attach_scanned(candidates, &stopped);
            let _ = has_begun.send(());
            targets.run(&stopped);
        };
        std::thread::Builder::new()
            .name("uprobes".into())
            .spawn(body)
            .map_err(|error| Failure::new("uprobes_failed", format!("thread: {error}")))?;
        // What a thread does before its first line is not among the system calls of later.
        let _ = up.recv();
        Ok(Self { notices: Some(notices), begin: Some(begin), begun, done, stop })
    }

    /// Lets the thread attach to what already runs, and waits for that.
    pub fn begin(&mut self) {
        if let Some(begin) = self.begin.take() {
            let _ = begin.send(());
        }
        if let Err(RecvTimeoutError::Timeout) = self.begun.recv_timeout(FIRST_ATTACH_TIMEOUT) {
            let message = "not all running processes are attached to yet: it goes on meanwhile";
            diagnostics::warn("uprobes_late", message, json!({}));
        }
    }

    /// Detaches everything.
    pub fn end(&mut self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight bytes, as an eventfd takes them.
        unsafe { libc::write(self.stop.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        if let Err(RecvTimeoutError::Timeout) = self.done.recv_timeout(DETACH_TIMEOUT) {
            let message = "uprobes could not be detached in time: the end of the process does it";
            diagnostics::warn("uprobes_attached", message, json!({}));
        }
    }
}

fn new_eventfd() -> Result<OwnedFd, Failure> {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(Failure::os("uprobes_failed", "create an eventfd"));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::rc::Rc;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::config::ProbeName;
    use crate::counters::Counters;
    use crate::layout::PROBE_NET_CONNECT;
    use crate::{attach, load};

    /// As on a kernel before 6.6. It takes more privileges on a newer one, so the process keeps them.
    #[test]
    fn single_uprobes_see_what_a_link_of_many_sees() {
        for single in [false, true] {
            let mut config = Config::everything();
            config.probes = vec![ProbeName::NetConnect];
            config.filters = crate::selection::Filters::default();
            config.single_uprobes = single;
            let (loaded, maps) = load::load(&config).unwrap();
            let attached = attach::attach(loaded, maps, &config);
            let Ok(mut attached) = attached else { return eprintln!("skipped: no eBPF here") };
            let Some(prepared) = prepare(&config, &mut attached) else {
                return eprintln!("skipped: {:?}", attached.hooks);
            };
            // This process is left out of a scan, and its events are filtered: but they are seen.
            let own = std::process::id();
            let libc = process_maps::executable_mappings(own).into_iter();
            let libc = libc.map(|mapping| targets::candidate(&prepared.wanted, mapping)).collect();
            let attachments = Attachments::new(prepared.programs, 1);
            let (send, _notices) = channel();
            let stop = new_eventfd().unwrap();
            let mut targets =
                Targets::new(prepared.wanted, false, 1, prepared.rings, attachments, send);
            targets.attach_scanned(libc, &stop);
            let counters = Rc::new(Counters::new(&attached).unwrap());
            let seen = || counters.totals(&[0; 6]).probes[PROBE_NET_CONNECT as usize].seen;
            let before = seen();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            drop(listener.accept().unwrap());
            assert!(seen() >= before + 2, "single: {single}");
        }
    }
}
