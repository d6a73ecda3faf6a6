//! tracefs, through which syscall tracepoints are attached.

use std::ffi::CStr;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::hook::Refusal;

const TRACEFS: &CStr = c"/sys/kernel/tracing";
/// libbpf prefers this one when it exists.
const DEBUGFS: &str = "/sys/kernel/debug/tracing";

/// Makes sure that this process sees tracefs. Where it is not mounted, it is mounted in a mount
/// namespace of this process alone, so that the host stays as it is.
pub fn ensure() -> Result<(), Refusal> {
    if root().join("events").is_dir() {
        return Ok(());
    }
    mount().map_err(|error| {
        Refusal::new(
            format!("tracefs is not mounted and could not be: {error}"),
            "mount it (mount -t tracefs tracefs /sys/kernel/tracing) or give the probe CAP_SYS_ADMIN",
        )
    })
}

/// Whether the kernel has the tracepoint (`syscalls/sys_enter_open`).
pub fn has_event(event: &str) -> Result<(), Refusal> {
    match std::fs::metadata(root().join("events").join(event).join("id")) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Refusal::new(
            format!("this kernel has no tracepoint {event}"),
            "nothing is missing if the architecture has no such system call; otherwise the kernel \
             needs CONFIG_FTRACE_SYSCALLS=y",
        )),
        Err(error) => Err(Refusal::new(
            format!("failed to look up the tracepoint {event}: {error}"),
            "tracefs is readable by root only, unless it is mounted with another gid and mode",
        )),
    }
}

fn root() -> PathBuf {
    let debugfs = Path::new(DEBUGFS);
    if debugfs.exists() { debugfs.into() } else { TRACEFS.to_string_lossy().as_ref().into() }
}

fn mount() -> Result<(), Error> {
    let none = c"none".as_ptr();
    // SAFETY: no pointer is passed.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    let private = libc::MS_REC | libc::MS_PRIVATE;
    let nothing = std::ptr::null();
    // SAFETY: the strings are NUL-terminated and outlive the call; a change of propagation uses
    // neither type nor data.
    check(unsafe { libc::mount(none, c"/".as_ptr(), nothing, private, nothing.cast()) })?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let kind = c"tracefs".as_ptr();
    // SAFETY: as above; tracefs takes no data.
    check(unsafe { libc::mount(kind, TRACEFS.as_ptr(), kind, flags, nothing.cast()) })
}

fn check(result: libc::c_int) -> Result<(), Error> {
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
