//! Phase 5: copy frames from the rings to stdout until the run has to end.

use std::cell::RefCell;
use std::io::Error;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use libbpf_rs::{MapCore, MapFlags, RingBuffer, RingBufferBuilder};
use serde_json::json;

use crate::announce::Announcer;
use crate::attach::Attached;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::counters::{self, Counters};
use crate::diagnostics::{self, Failure};
use crate::frame;
use crate::layout::{CountersBody, ReaderState};
use crate::memory::{Access, MappedArray};
use crate::output::{Output, OutputError};
use crate::stop::Stop;
use crate::uprobes::Uprobes;

/// Samples taken from a ring before the other has its turn.
const EXEC_SAMPLES_PER_ROUND: usize = 1024;
const EVENT_SAMPLES_PER_ROUND: usize = 16_384;
/// Bounds how late a wake-up that was missed is noticed.
const SLEEP_MS: u16 = 100;
const COUNTERS_INTERVAL_NS: u64 = 1_000_000_000;
/// A program that was running when its link was dropped is done after this.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(200);

/// Everything that is needed to deliver events, opened while there are still privileges.
pub struct Pump {
    attached: Attached,
    exec_ring: RingBuffer<'static>,
    events_ring: RingBuffer<'static>,
    output: Rc<RefCell<Output>>,
    stop: Rc<Stop>,
    wake_ups: Option<OwnedFd>,
    reader_state: MappedArray,
    counters: Counters,
    clock: Clock,
    batch_window_ms: u16,
    reported: Option<CountersBody>,
    report_due_boot_ns: u64,
    tree_overflow_told: bool,
    uprobes: Option<Uprobes>,
    announcer: Rc<RefCell<Option<Announcer>>>,
}

/// What one look at both rings found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Empty,
    Some,
    /// As much as one round takes; there may be more.
    Full,
}

impl Pump {
    /// Opens rings and counters.
    pub fn new(
        attached: Attached,
        config: &Config,
        output: Output,
        stop: Rc<Stop>,
    ) -> Result<Self, Failure> {
        let output = Rc::new(RefCell::new(output));
        let announcer = Rc::new(RefCell::new(None));
        let ring = |name: &str| {
            let map = attached.maps.get(name)?;
            let (output, announcer) = (Rc::clone(&output), Rc::clone(&announcer));
            let mut builder = RingBufferBuilder::new();
            builder
                .add(map, move |sample| {
                    let mut output = output.borrow_mut();
                    match announce(&announcer, sample, &mut output) {
                        0 => output.take_sample(sample),
                        end => end,
                    }
                })
                .map_err(|error| ring_failure(name, &error))?;
            builder.build().map_err(|error| ring_failure(name, &error))
        };
        let (exec_ring, events_ring) = (ring("exec_events")?, ring("events")?);
        Ok(Self {
            exec_ring,
            events_ring,
            output,
            stop,
            wake_ups: None,
            reader_state: MappedArray::new(attached.maps.get("reader_state")?, Access::Write)?,
            counters: Counters::new(&attached)?,
            clock: Clock::new(),
            batch_window_ms: config.batch_window_ms,
            reported: None,
            report_due_boot_ns: 0,
            tree_overflow_told: false,
            uprobes: None,
            announcer,
            attached,
        })
    }

    /// Makes this process the one that delivers: leaves out its own events, and has itself woken. An epoll
    /// instance is a process's own: it wakes for the signals of the process that filled it.
    pub fn begin(&mut self) -> Result<(), Failure> {
        // Takes CAP_BPF on kernels before 5.19. A pump without it opens no files, and causes no events.
        let own = std::process::id().to_ne_bytes();
        let _ = self.attached.maps.get("own_processes")?.update(&own, &[1], MapFlags::ANY);
        let wake_ups = new_epoll()?;
        for name in ["exec_events", "events"] {
            let map = self.attached.maps.get(name)?;
            // Edge-triggered: what counts is that the kernel rang, not that the ring holds data.
            watch(&wake_ups, map.as_fd(), libc::EPOLLIN | libc::EPOLLET, RANG)?;
        }
        for fd in self.stop.descriptors() {
            // SAFETY: both are open for as long as `stop` lives, which is longer than this call.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            // Fails for a regular file.
            let _ = watch(&wake_ups, fd, libc::EPOLLIN, 0);
        }
        self.wake_ups = Some(wake_ups);
        Ok(())
    }

    /// Lets go of what is attached: it ends when the keeper and its pump both have.
    pub fn detach(&mut self) {
        self.attached.detach();
    }

    /// Attaches to what already runs, and from then on to what starts.
    pub fn add_uprobes(&mut self, mut uprobes: Uprobes, symbolize: bool) {
        let notices = uprobes.notices.take();
        *self.announcer.borrow_mut() = notices.map(|notices| Announcer::new(notices, symbolize));
        uprobes.begin();
        self.uprobes = Some(uprobes);
    }

    /// Writes `hello`, then delivers events until the run has to end, then what is left.
    pub fn run(mut self, hello: &[u8]) -> Result<(), Failure> {
        if !self.counters.refresh_misses() {
            let message = "this kernel does not tell an unprivileged process how often it skipped a \
                           program: losses by recursion are not counted";
            diagnostics::warn("recursion_uncounted", message, json!({}));
        }
        let result = self.greet(hello).and_then(|()| self.deliver()).and_then(|()| self.finish());
        match result {
            Ok(()) => Ok(()),
            Err(OutputError::ReaderGone) => {
                diagnostics::warn("reader_gone", "the reader of stdout is gone", json!({}));
                Ok(())
            }
            Err(OutputError::ReaderStalled(bytes)) => Err(Failure::new(
                "reader_stalled",
                format!(
                    "the reader of stdout did not take the last {bytes} bytes and what follows"
                ),
            )),
            Err(OutputError::Failed(error)) => {
                Err(Failure::new("output_failed", format!("failed to write to stdout: {error}")))
            }
        }
    }

    fn greet(&mut self, hello: &[u8]) -> Result<(), OutputError> {
        let mut output = self.output.borrow_mut();
        output.push(hello)?;
        output.flush()
    }

    fn deliver(&mut self) -> Result<(), OutputError> {
        // A regular file as stdin can't be waited for: it is at its end from the beginning.
        self.stop.check();
        while !self.stop.requested() {
            self.report()?;
            match self.round()? {
                Round::Full => self.stop.check(),
                Round::Some => {
                    self.output.borrow_mut().flush()?;
                    self.wait(self.batch_window_ms);
                }
                Round::Empty => self.sleep()?,
            }
        }
        Ok(())
    }

    /// Asks to be woken by the next event. Once woken, lets events gather for a batch window; a program
    /// that sees `wakeup_bytes` waiting rings again and so ends the window early.
    fn sleep(&mut self) -> Result<(), OutputError> {
        self.set_asleep(1);
        // Pairs with the programs' output: either they see the flag or this round sees their event. The
        // programs have no such fence, so a wake-up can still be missed, for `SLEEP_MS` at most.
        fence(Ordering::SeqCst);
        let round = self.round();
        let rang = if matches!(round, Ok(Round::Empty)) {
            self.output.borrow_mut().flush()?;
            self.wait(SLEEP_MS)
        } else {
            false
        };
        self.set_asleep(0);
        if rang {
            self.wait(self.batch_window_ms);
        }
        round.map(|_| ())
    }

    fn set_asleep(&self, asleep: u32) {
        for offset in
            [offset_of!(ReaderState, events_asleep), offset_of!(ReaderState, exec_events_asleep)]
        {
            self.reader_state.u32_at(offset).store(asleep, Ordering::SeqCst);
        }
    }

    /// Copies what both rings hold, up to a limit; execs first, for they name what the rest belongs to.
    fn round(&mut self) -> Result<Round, OutputError> {
        let execs = self.exec_ring.consume_raw_n(EXEC_SAMPLES_PER_ROUND);
        let events = self.events_ring.consume_raw_n(EVENT_SAMPLES_PER_ROUND);
        if let Some(error) = self.output.borrow_mut().error.take() {
            return Err(error);
        }
        let (Ok(execs), Ok(events)) = (usize::try_from(execs), usize::try_from(events)) else {
            let error = Error::from_raw_os_error(-execs.min(events));
            return Err(OutputError::Failed(error));
        };
        Ok(if execs == EXEC_SAMPLES_PER_ROUND || events == EVENT_SAMPLES_PER_ROUND {
            Round::Full
        } else if execs + events > 0 {
            Round::Some
        } else {
            Round::Empty
        })
    }

    /// Waits until the kernel rings, the run has to end, or the time is over. True when it rang.
    fn wait(&self, timeout_ms: u16) -> bool {
        let mut ready = [libc::epoll_event { events: 0, u64: 0 }; 4];
        let wake_ups = self.wake_ups.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        // SAFETY: the array has four entries.
        let count = unsafe { libc::epoll_wait(wake_ups, ready.as_mut_ptr(), 4, timeout_ms.into()) };
        let ready = &ready[..usize::try_from(count).unwrap_or(0)];
        if ready.iter().any(|event| event.u64 != RANG) {
            self.stop.check();
        }
        ready.iter().any(|event| event.u64 == RANG)
    }

    /// Writes the clock's offset and the counters when they are due.
    fn report(&mut self) -> Result<(), OutputError> {
        let now_boot_ns = clock::boot_ns();
        if let Some(offset_ns) = self.clock.due(now_boot_ns) {
            self.output.borrow_mut().push(&frame::clock(offset_ns))?;
        }
        if now_boot_ns < self.report_due_boot_ns {
            return Ok(());
        }
        self.report_due_boot_ns = now_boot_ns + COUNTERS_INTERVAL_NS;
        let totals = self.totals();
        let changed = self.reported.is_none_or(|reported| !counters::equal(&reported, &totals));
        if changed {
            self.reported = Some(totals);
            self.output.borrow_mut().push(&frame::counters(&totals, false))?;
        }
        if !self.tree_overflow_told && self.counters.tree_overflow() > 0 {
            self.tree_overflow_told = true;
            let message =
                "the tree filter is full: some new processes are treated as outside of it";
            diagnostics::warn("tree_overflow", message, json!({}));
        }
        Ok(())
    }

    fn totals(&mut self) -> CountersBody {
        self.counters.refresh_misses();
        self.counters.totals(&self.output.borrow().broken_samples)
    }

    fn final_totals(&mut self) -> CountersBody {
        let mut totals = self.totals();
        counters::count_unfinished(&mut totals, self.counters.pending_opens());
        totals
    }

    /// Detaches, delivers what the rings still hold, and closes the books.
    fn finish(&mut self) -> Result<(), OutputError> {
        if let Some(uprobes) = &mut self.uprobes {
            uprobes.end();
        }
        self.detach();
        let detached = Instant::now();
        let totals = loop {
            while self.round()? != Round::Empty {}
            let totals = self.final_totals();
            // An event may have been emitted between the last look and the count, or the keeper not have let go.
            while self.round()? != Round::Empty {}
            let balanced = counters::balanced(&totals);
            let settled = balanced && counters::equal(&totals, &self.final_totals());
            if settled || detached.elapsed() > SETTLE_TIMEOUT {
                if !balanced {
                    let message = "the counters do not add up: events were seen without a result";
                    diagnostics::warn("counters_unbalanced", message, json!({}));
                }
                break totals;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let broken = self.output.borrow().broken_samples.iter().sum::<u64>();
        if broken > 0 {
            let message = "samples of the rings were no frames; they count as unrepresentable";
            diagnostics::error("broken_samples", message, json!({ "count": broken }));
        }
        let mut output = self.output.borrow_mut();
        output.push(&frame::counters(&totals, true))?;
        output.flush()
    }
}

/// Writes what has to stand before the sample. Returns -1 to end the consumption, as `take_sample`.
fn announce(announcer: &RefCell<Option<Announcer>>, sample: &[u8], output: &mut Output) -> i32 {
    let Some(announcer) = &mut *announcer.borrow_mut() else { return 0 };
    for frame in announcer.before(sample) {
        if let Err(error) = output.push(&frame) {
            output.error = Some(error);
            return -1;
        }
    }
    0
}

/// Marks the events of the rings in `wake_ups`.
const RANG: u64 = 1;

fn new_epoll() -> Result<OwnedFd, Failure> {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(Failure::os("wake_ups_failed", "create an epoll instance"));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn watch(epoll: &OwnedFd, fd: BorrowedFd<'_>, events: i32, mark: u64) -> Result<(), Failure> {
    let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: mark };
    let add = libc::EPOLL_CTL_ADD;
    // SAFETY: `event` is valid during the call, which copies it.
    match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), add, fd.as_raw_fd(), &raw mut event) } {
        0 => Ok(()),
        _ => Err(Failure::os("wake_ups_failed", "watch a descriptor")),
    }
}

fn ring_failure(name: &str, error: &libbpf_rs::Error) -> Failure {
    Failure::new("ring_failed", format!("failed to open the ring {name}: {error}"))
}
