//! What people and the exporter are told on stderr: one JSON object per line.

use std::io::Write;

use serde::Serialize;
use serde_json::{Value, json};

/// How a run ends. Only `main` turns it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Anything that is none of the others.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// No hook could be attached; the hello frame says why, hook by hook.
    NothingAttached = 3,
}

/// An error that ends the run: one sentence for a person, one stable code for programs.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Stable, snake case.
    pub code: &'static str,
    /// One sentence, no secrets.
    pub message: String,
}

impl Failure {
    /// A failure that is neither a wrong configuration nor a refused hook.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, code, message: message.into() }
    }

    /// A wrong command line or configuration.
    pub fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, code, message: message.into() }
    }

    /// The failure of a system call, with what it was for.
    pub fn os(code: &'static str, what: &str) -> Self {
        Self::new(code, format!("failed to {what}: {}", std::io::Error::last_os_error()))
    }

    /// Writes this failure as a diagnostic of level `error`.
    pub fn report(&self) {
        error(self.code, &self.message, json!({}));
    }
}

/// Something the run does not survive, or that makes its evidence incomplete.
pub fn error(code: &str, message: &str, details: Value) {
    write("error", code, message, details);
}

/// Something that makes the run less than what was asked for.
pub fn warn(code: &str, message: &str, details: Value) {
    write("warn", code, message, details);
}

/// Something that a person may want to know.
pub fn info(code: &str, message: &str, details: Value) {
    write("info", code, message, details);
}

/// Something for programs, and for who looks for a reason.
pub fn debug(code: &str, message: &str, details: Value) {
    write("debug", code, message, details);
}

/// Makes a panic one diagnostic line. The default hook may open files for a backtrace, which the
/// seccomp filter answers with death before anything is said.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let what = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("unknown");
        error("panic", &format!("internal error: {what}"), json!({ "place": place }));
    }));
}

fn write(level: &str, code: &str, message: &str, details: Value) {
    #[derive(Serialize)]
    struct Line<'a> {
        level: &'a str,
        code: &'a str,
        message: &'a str,
        #[serde(flatten)]
        details: Value,
    }
    let line = Line { level, code, message, details };
    let text = serde_json::to_string(&line).unwrap_or_default() + "\n";
    // One write, so that lines of several processes do not mix. Nobody is left to tell if it fails.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
