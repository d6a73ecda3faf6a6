//! `launch -- CMD ARGS…`: start CMD as the caller, but only when told to.
//!
//! So that a capture can follow CMD from before its exec: the caller learns the pid, sets a filter to
//! it, and then says go. Descriptor 3 is one end of a socket pair. The launcher writes the pid of what
//! will be CMD as a decimal and a newline. Then it reads bytes: 0 is go, 1 to 64 is a signal to send.
//! Without a go before the end of the stream, CMD is never started.

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use libc::{c_int, pid_t};

use crate::diagnostics::Failure;

const CONTROL: RawFd = 3;
const GO: u8 = 0;
const SIGNAL_MAX: u8 = 64;
/// As env(1), nohup(1) and shells have them.
const NOT_STARTED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Returns the exit code: CMD's own, or 128 plus the signal that ended it. It also returns in the
/// child, when CMD could not be executed.
pub fn launch(command: &OsStr, arguments: &[OsString]) -> Result<u8, Failure> {
    // SAFETY: fcntl takes no pointer. It fails if nobody handed the descriptor over.
    if unsafe { libc::fcntl(CONTROL, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(Failure::usage("no_control", "launch needs a socket as descriptor 3"));
    }
    // An ignored SIGCHLD, which is inherited, would make the kernel forget the exit code.
    // SAFETY: the default action is no pointer to code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    let (go_reader, go_writer) = pipe()?;
    // SAFETY: this process has one thread, so the child may do whatever the parent may.
    match unsafe { libc::fork() } {
        -1 => Err(Failure::os("fork_failed", "start a process")),
        0 => {
            drop(go_writer);
            Ok(wait_and_execute(&go_reader, command, arguments))
        }
        child => {
            drop(go_reader);
            Parent { child, go: Some(go_writer), told_to_start: false }.supervise()
        }
    }
}

/// The child: CMD after the go.
fn wait_and_execute(go: &OwnedFd, command: &OsStr, arguments: &[OsString]) -> u8 {
    // SAFETY: the descriptor is this process's own copy and not used any more.
    unsafe { libc::close(CONTROL) };
    if read_byte(go.as_raw_fd()) != Some(GO) {
        return NOT_STARTED;
    }
    let error = Command::new(command).args(arguments).exec();
    eprintln!("runtime-evidence-probe: failed to run {}: {error}", command.display());
    if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }
}

struct Parent {
    child: pid_t,
    go: Option<OwnedFd>,
    told_to_start: bool,
}

impl Parent {
    fn supervise(mut self) -> Result<u8, Failure> {
        // The terminal sends these to the whole process group: CMD decides what they do.
        for signal in [libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: the ignoring action is no pointer to code.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        let child = open_pid(self.child)?;
        let passed_on = signals_to_pass_on()?;
        write_control(format!("{}\n", self.child).as_bytes());
        let mut control = CONTROL;
        loop {
            let watch = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            let mut watched =
                [watch(child.as_raw_fd()), watch(control), watch(passed_on.as_raw_fd())];
            // SAFETY: the array has three entries.
            unsafe { libc::poll(watched.as_mut_ptr(), 3, -1) };
            if watched[0].revents != 0 {
                return Ok(wait_for(self.child));
            }
            if watched[1].revents != 0 && !self.obey(read_byte(control)) {
                if !self.told_to_start {
                    self.send(libc::SIGKILL);
                    wait_for(self.child);
                    return Ok(NOT_STARTED);
                }
                control = -1;
            }
            if watched[2].revents != 0
                && let Some(signal) = read_signal(&passed_on)
            {
                self.send(signal);
            }
        }
    }

    /// False at the end of the control stream.
    fn obey(&mut self, byte: Option<u8>) -> bool {
        match byte {
            None => return false,
            Some(GO) => {
                self.told_to_start = true;
                // The write end closes with it. A child that is gone meanwhile is reported by its pid.
                if let Some(go) = self.go.take() {
                    // SAFETY: one byte of a constant is read.
                    unsafe { libc::write(go.as_raw_fd(), [GO].as_ptr().cast(), 1) };
                }
            }
            Some(signal @ 1..=SIGNAL_MAX) => self.send(signal.into()),
            Some(_) => {}
        }
        true
    }

    /// The child is not waited for yet, so its pid can't be another process's.
    fn send(&self, signal: c_int) {
        // SAFETY: kill takes no pointer. A child that has ended is no error.
        unsafe { libc::kill(self.child, signal) };
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(Failure::os("pipe_failed", "create a pipe"));
    }
    // SAFETY: two new descriptors that nobody else owns.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Readable when the process has ended.
fn open_pid(pid: pid_t) -> Result<OwnedFd, Failure> {
    // SAFETY: pidfd_open takes no pointer.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match RawFd::try_from(fd) {
        // SAFETY: a new descriptor that nobody else owns.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(Failure::os("pidfd_failed", "watch the started process")),
    }
}

/// SIGTERM and SIGHUP, sent to the launcher, are meant for CMD.
fn signals_to_pass_on() -> Result<OwnedFd, Failure> {
    // SAFETY: all-zero bytes are a valid set; the calls get valid pointers to it and no other.
    let fd = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGHUP);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC)
    };
    if fd < 0 {
        return Err(Failure::os("signals_failed", "watch for signals"));
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn read_signal(signals: &OwnedFd) -> Option<c_int> {
    // SAFETY: all-zero bytes are a valid value of this struct of integers.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    let bytes = size_of_val(&info);
    // SAFETY: at most the struct's size is written to it.
    let count = unsafe { libc::read(signals.as_raw_fd(), (&raw mut info).cast(), bytes) };
    (usize::try_from(count) == Ok(bytes)).then(|| info.ssi_signo.cast_signed())
}

/// None at the end of the stream.
fn read_byte(fd: RawFd) -> Option<u8> {
    let mut byte = 0_u8;
    loop {
        // SAFETY: one byte is written to a place of one byte.
        match unsafe { libc::read(fd, (&raw mut byte).cast(), 1) } {
            1 => return Some(byte),
            -1 if Error::last_os_error().kind() == ErrorKind::Interrupted => {}
            _ => return None,
        }
    }
}

/// If the caller is gone, the end of the control stream says so.
fn write_control(bytes: &[u8]) {
    // SAFETY: the slice's bytes are read, and no more.
    unsafe { libc::write(CONTROL, bytes.as_ptr().cast(), bytes.len()) };
}

fn wait_for(child: pid_t) -> u8 {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for the result.
        if unsafe { libc::waitpid(child, &raw mut status, 0) } == child {
            return exit_code(status);
        }
        if Error::last_os_error().kind() != ErrorKind::Interrupted {
            return NOT_STARTED;
        }
    }
}

fn exit_code(status: c_int) -> u8 {
    let code = if libc::WIFSIGNALED(status) {
        128 + libc::WTERMSIG(status)
    } else {
        libc::WEXITSTATUS(status)
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}
