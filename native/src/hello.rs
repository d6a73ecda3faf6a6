//! What the stream says of itself before the first event.

use std::ffi::CStr;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Config;
use crate::hook::Hook;

/// The version of this program.
pub const PROBE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The running kernel.
#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    /// As `uname -r`.
    pub release: String,
    /// As `uname -m`.
    pub machine: String,
}

/// Asks the kernel for its name.
pub fn kernel() -> Kernel {
    // SAFETY: all-zero bytes are a valid utsname: arrays of characters.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is a valid place for the result.
    unsafe { libc::uname(&raw mut name) };
    let text = |field: &[libc::c_char]| {
        // SAFETY: the kernel ends each field with a NUL, and so do the zeroes of above.
        unsafe { CStr::from_ptr(field.as_ptr()) }.to_string_lossy().into_owned()
    };
    Kernel { release: text(&name.release), machine: text(&name.machine) }
}

/// The JSON of the hello frame.
pub fn document(hooks: &[Hook], config: &Config) -> Value {
    json!({
        "kernel": kernel(),
        "probe_version": PROBE_VERSION,
        "hooks": hooks,
        "nr_cpus": libbpf_rs::num_possible_cpus().unwrap_or(0),
        "rings": { "events": config.events_ring_bytes, "exec_events": config.exec_ring_bytes },
    })
}
