//! When a run ends: stdin closes, or SIGTERM or SIGINT arrives.

use std::cell::Cell;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::diagnostics::Failure;

const STDIN: RawFd = libc::STDIN_FILENO;

/// Watches for the end of the run.
pub struct Stop {
    signals: OwnedFd,
    drain_timeout: Duration,
    stdin_open: Cell<bool>,
    deadline: Cell<Option<Instant>>,
}

impl Stop {
    /// From here on, SIGTERM and SIGINT no longer end the process by themselves.
    pub fn new(drain_timeout_ms: u32) -> Result<Self, Failure> {
        // SAFETY: all-zero bytes are a valid set; the calls get valid pointers to it and no other.
        let fd = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            libc::sigaddset(&raw mut set, libc::SIGINT);
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(Failure::os("signals_failed", "watch for signals"));
        }
        Ok(Self {
            // SAFETY: a new descriptor that nobody else owns.
            signals: unsafe { OwnedFd::from_raw_fd(fd) },
            drain_timeout: Duration::from_millis(drain_timeout_ms.into()),
            stdin_open: Cell::new(true),
            deadline: Cell::new(None),
        })
    }

    /// Whether the run has to end.
    pub fn requested(&self) -> bool {
        self.deadline.get().is_some()
    }

    /// How long the reader may still take. None: as long as it likes.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.get().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The descriptors that become readable when the run has to end.
    pub fn descriptors(&self) -> [RawFd; 2] {
        // poll(2) skips negative ones.
        [self.signals.as_raw_fd(), if self.stdin_open.get() { STDIN } else { -1 }]
    }

    /// Looks, without waiting, whether the run has to end.
    pub fn check(&self) {
        let mut watched =
            self.descriptors().map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // SAFETY: the array has two entries.
        unsafe { libc::poll(watched.as_mut_ptr(), 2, 0) };
        if watched[0].revents != 0 {
            self.request();
        }
        if watched[1].revents != 0 {
            self.read_stdin();
        }
    }

    /// What comes after the configuration has no meaning; only the end does.
    fn read_stdin(&self) {
        let mut ignored = [0_u8; 4096];
        // SAFETY: at most the array's size is written to it.
        let count = unsafe { libc::read(STDIN, ignored.as_mut_ptr().cast(), ignored.len()) };
        let retry = count < 0
            && matches!(
                std::io::Error::last_os_error().kind(),
                std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock
            );
        if count <= 0 && !retry {
            self.stdin_open.set(false);
            self.request();
        }
    }

    fn request(&self) {
        if !self.requested() {
            self.deadline.set(Some(Instant::now() + self.drain_timeout));
        }
    }
}
