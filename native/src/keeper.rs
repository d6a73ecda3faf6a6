//! Phase 4b: outlive the process that delivers.
//!
//! The keeper holds what is attached and the kernel's rings. It has no privilege that its pump has not, reads
//! nothing, and only waits. The pump is its child. When a pump is killed, the programs in the kernel go on,
//! the rings keep what they have room for, and a new pump goes on behind what the old one had taken:
//!
//! ```text
//!  keeper ──fork──► pump 0 ──► stdout            killed: its last frame may be torn
//!         ──fork──► pump 1 ──► first spare output     begins with a hello frame of its own
//! ```
//!
//! A program runs for as long as one of the two holds its link. So the keeper lets go when the run has to end, by
//! the same signs as its pump: with a keeper that goes on holding, events would come without end.
//!
//! Each pump has an output to itself, so that a torn frame is the end of a stream and never runs into the
//! next pump's frames. There are as many new tries as there are spare outputs.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use libc::{c_int, pid_t};
use serde_json::json;

use crate::diagnostics::{self, Exit, Failure};
use crate::privilege::{self, Needs};

/// The first spare output; the others follow.
const FIRST_SPARE: RawFd = 3;
/// Before the first new try; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(100);

/// Which process came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The pump: deliver. Counted from 0.
    Pump(u32),
    /// The keeper, after the last pump has ended with this exit code.
    Ended(u8),
}

/// What a keeper holds for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Files of running processes, for the first pump: it has them now.
    Candidates,
    /// What is attached: the run has to end.
    Links,
}

/// Starts the pump, and starts it again for as long as there are spare outputs. Comes back in each pump, and
/// once in the keeper. Without spare outputs this process is itself the pump.
///
/// The process must have one thread. SIGTERM and SIGINT must be blocked; the keeper hands them on.
/// `release` is called in the keeper with what it is to let go of, perhaps more than once.
pub fn keep(
    spare_outputs: u32,
    needs: Needs,
    mut release: impl FnMut(Release),
) -> Result<Role, Failure> {
    if spare_outputs == 0 {
        return Ok(Role::Pump(0));
    }
    let signals = blocked_signals()?;
    privilege::lock_keeper(needs)?;
    for generation in 0..=spare_outputs {
        // SAFETY: this process has one thread, so the child may do whatever the parent may.
        let pump = match unsafe { libc::fork() } {
            -1 => return Err(Failure::os("fork_failed", "start the pump")),
            0 => {
                drop(signals);
                take_output(generation, spare_outputs)?;
                return Ok(Role::Pump(generation));
            }
            pump => pump,
        };
        close(output_of(generation));
        release(Release::Candidates);
        let status = wait_for(pump, &signals, &mut || release(Release::Links))?;
        if !libc::WIFSIGNALED(status) {
            return Ok(Role::Ended(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX)));
        }
        let signal = libc::WTERMSIG(status);
        let tries_left = spare_outputs - generation;
        // A forbidden system call: the pump is taken over or broken, and another would be as well.
        if signal == libc::SIGSYS || tries_left == 0 {
            let message =
                format!("the pump was killed by signal {signal}, and is not started again");
            return Err(Failure::new("pump_killed", message));
        }
        let message =
            format!("the pump was killed by signal {signal}; a new one goes on where it was");
        diagnostics::warn(
            "pump_restarted",
            &message,
            json!({ "signal": signal, "tries_left": tries_left }),
        );
        std::thread::sleep(BACKOFF * (1 << generation.min(6)));
    }
    Ok(Role::Ended(Exit::Failed as u8))
}

/// The descriptor that a generation's output is handed over as.
fn output_of(generation: u32) -> RawFd {
    match generation {
        0 => libc::STDOUT_FILENO,
        spare => FIRST_SPARE + spare.cast_signed() - 1,
    }
}

/// Makes this generation's output stdout, and leaves those of others alone.
fn take_output(generation: u32, spare_outputs: u32) -> Result<(), Failure> {
    if generation > 0 {
        // SAFETY: dup2 takes no pointer.
        if unsafe { libc::dup2(output_of(generation), libc::STDOUT_FILENO) } < 0 {
            return Err(Failure::os("no_output", "use a spare output"));
        }
    }
    (generation.max(1)..=spare_outputs).for_each(|spare| close(output_of(spare)));
    Ok(())
}

fn close(fd: RawFd) {
    // SAFETY: these descriptors were handed over by the caller and nothing in this process owns them.
    unsafe { libc::close(fd) };
}

/// What `Stop` blocks, to be read instead.
fn blocked_signals() -> Result<OwnedFd, Failure> {
    // SAFETY: all-zero bytes are a valid set; the calls get valid pointers to it and no other.
    let fd = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(Failure::os("signals_failed", "watch for signals"));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Hands signals on until the pump has ended; its wait status.
fn wait_for(pump: pid_t, signals: &OwnedFd, let_go: &mut impl FnMut()) -> Result<c_int, Failure> {
    // SAFETY: pidfd_open takes no pointer.
    let ended = unsafe { libc::syscall(libc::SYS_pidfd_open, pump, 0) };
    let Some(ended) = RawFd::try_from(ended).ok().filter(|fd| *fd >= 0) else {
        return Err(Failure::os("pidfd_failed", "watch the pump"));
    };
    // SAFETY: a new descriptor that nobody else owns.
    let ended = unsafe { OwnedFd::from_raw_fd(ended) };
    // Only its end: what is in it is the pump's to read. poll(2) skips negative descriptors.
    let mut stdin = libc::STDIN_FILENO;
    loop {
        let watch = |fd, events| libc::pollfd { fd, events, revents: 0 };
        let mut watched = [
            watch(ended.as_raw_fd(), libc::POLLIN),
            watch(signals.as_raw_fd(), libc::POLLIN),
            watch(stdin, libc::POLLRDHUP),
        ];
        // SAFETY: the array has three entries.
        unsafe { libc::poll(watched.as_mut_ptr(), 3, -1) };
        if watched[2].revents != 0 {
            stdin = -1;
            let_go();
        }
        if watched[1].revents != 0 {
            drain(signals);
            let_go();
            // SAFETY: kill takes no pointer. The pump is not waited for yet, so its pid is its own.
            unsafe { libc::kill(pump, libc::SIGTERM) };
        }
        if watched[0].revents != 0 {
            let mut status = 0;
            // SAFETY: `status` is a valid place for the result.
            unsafe { libc::waitpid(pump, &raw mut status, 0) };
            return Ok(status);
        }
    }
}

fn drain(signals: &OwnedFd) {
    // SAFETY: all-zero bytes are a valid value of this struct of integers.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    // SAFETY: at most the struct's size is written to it; the descriptor does not block.
    while unsafe { libc::read(signals.as_raw_fd(), (&raw mut info).cast(), size_of_val(&info)) } > 0
    {
    }
}
