//! The configuration: one JSON object on one line of stdin.

use std::io::Read;

use serde::Deserialize;

use crate::diagnostics::Failure;
use crate::layout::FUNCTION_STACK_DEPTH_MAX;
use crate::selection::{Filters, Selection};
use crate::wanted;

/// The longest configuration that is read.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
const SPARE_OUTPUTS_MAX: u32 = 8;
/// Entries of the map `own_processes` that are not for the probe itself: for its keeper and its pumps.
const OWN_PROCESSES_MAX: usize = 63 - 1 - SPARE_OUTPUTS_MAX as usize;
const RING_BYTES_MAX: u32 = 1 << 30;
const RING_BYTES_MIN: u32 = 1 << 12;
/// What the map `function_rates` has room for.
const ATTACH_POINTS_MAX: u32 = 10_000;
const FUNCTIONS_MAX: usize = 256;

/// The observations that can be asked for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ProbeName {
    /// openat, openat2, open and creat, at their entry.
    FileOpen,
    /// Successful execs.
    ProcessExec,
    /// TCP state changes.
    TcpState,
    /// connect, accept and accept4 of any libc.
    NetConnect,
    /// SSL_read, SSL_write and their _ex forms.
    SslOp,
    /// Calls of the functions in `functions`.
    FunctionCall,
}

/// One choice of functions for function_call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionChoice {
    /// `LIBRARY-GLOB:SYMBOL-GLOB`, `/PATH:SYMBOL` or `PATH:+0xOFFSET`.
    pub spec: String,
}

/// In which surroundings a function's first call is the only one reported.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Once {
    /// Every call is reported.
    #[default]
    #[serde(rename = "")]
    Off,
    /// The first call in each process.
    Process,
    /// The first call in each container.
    Container,
}

/// What to capture, how, and as whom. Every member but `probes` has a default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// At least one.
    pub probes: Vec<ProbeName>,
    /// Size of the ring for everything but execs: a power of two, 4 KiB to 1 GiB.
    #[serde(default = "events_ring_bytes")]
    pub events_ring_bytes: u32,
    /// Size of the ring for execs. When a ring is full, the kernel counts the event as lost.
    #[serde(default = "exec_ring_bytes")]
    pub exec_ring_bytes: u32,
    /// The kernel wakes the probe at this many waiting bytes (at most a quarter of the ring).
    #[serde(default = "wakeup_bytes")]
    pub wakeup_bytes: u32,
    /// How long events may gather before they are copied.
    #[serde(default = "batch_window_ms")]
    pub batch_window_ms: u16,
    /// How long the end of the run waits for a reader that does not read.
    #[serde(default = "drain_timeout_ms")]
    pub drain_timeout_ms: u32,
    /// Outputs for pumps that follow one that was killed: the descriptors from 3 on, at most 8. Without any,
    /// the probe is a single process and ends with it.
    #[serde(default)]
    pub spare_outputs: u32,
    /// Processes of this system: never captured, counted as filtered. The probe adds itself.
    #[serde(default)]
    pub own_processes: Vec<u32>,
    /// What the kernel programs let through.
    #[serde(default)]
    pub filters: Filters,
    /// What function_call is about. At least one with that probe, none without.
    #[serde(default)]
    pub functions: Vec<FunctionChoice>,
    /// Functions of function_call that are probed at one time, 1 to 10,000. Others are left out, told
    /// and not counted: nothing sees their calls.
    #[serde(default = "attach_points_max")]
    pub attach_points_max: u32,
    /// Return addresses of a function_call's stack, 0 to 127.
    #[serde(default)]
    pub stack_depth_max: u32,
    /// Whether to say what is at the addresses of stacks. Needs stacks.
    #[serde(default)]
    pub symbolize: bool,
    /// Which calls of a function are reported; the others are counted as filtered.
    #[serde(default)]
    pub once: Once,
    /// Calls of one function that are reported in a second; 0 is all. The others are counted as filtered.
    #[serde(default)]
    pub rate_limit_per_second: u64,
    /// Whether the kernel may divert returns (uretprobes) where a function's exits can't be told from its
    /// code. That has crashed programs; without it such functions are seen at their entry only.
    #[serde(default)]
    pub uretprobes: bool,
    /// One link for each uprobe, as before Linux 6.6, also where the kernel could do with one for many.
    /// For tests: a kernel with the newer links allows the older ones to CAP_SYS_ADMIN only.
    #[serde(skip)]
    pub single_uprobes: bool,
    /// The user to become before the first event; only root can.
    pub user: Option<User>,
}

/// An unprivileged user.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Must not be 0.
    pub uid: u32,
    /// Must not be 0.
    pub gid: u32,
}

fn events_ring_bytes() -> u32 {
    16 << 20
}
fn exec_ring_bytes() -> u32 {
    1 << 20
}
fn wakeup_bytes() -> u32 {
    1 << 20
}
fn batch_window_ms() -> u16 {
    4
}
fn drain_timeout_ms() -> u32 {
    10_000
}
fn attach_points_max() -> u32 {
    1000
}

impl Config {
    /// Reads up to the first newline or the end of `input`. What follows the newline is ignored.
    pub fn read(input: &mut impl Read) -> Result<Self, Failure> {
        let mut line = Vec::new();
        let mut chunk = [0_u8; 4096];
        loop {
            let count = match input.read(&mut chunk) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(wrong(format!("failed to read it: {error}"))),
            };
            let end = chunk[..count].iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&chunk[..end.unwrap_or(count)]);
            if line.len() > CONFIG_BYTES_MAX {
                return Err(wrong(format!("it is longer than {CONFIG_BYTES_MAX} bytes")));
            }
            if end.is_some() || count == 0 {
                return Self::parse(&line);
            }
        }
    }

    /// The configuration that `check` uses: every program, small rings, no process but its own.
    pub fn everything() -> Self {
        let tree = Selection { include: vec![std::process::id()], exclude: Vec::new() };
        Self {
            probes: vec![
                ProbeName::FileOpen,
                ProbeName::ProcessExec,
                ProbeName::TcpState,
                ProbeName::NetConnect,
                ProbeName::SslOp,
                ProbeName::FunctionCall,
            ],
            events_ring_bytes: RING_BYTES_MIN,
            exec_ring_bytes: RING_BYTES_MIN,
            wakeup_bytes: wakeup_bytes(),
            batch_window_ms: batch_window_ms(),
            drain_timeout_ms: 0,
            spare_outputs: 0,
            own_processes: Vec::new(),
            filters: Filters { tree, ..Filters::default() },
            functions: Vec::new(),
            attach_points_max: attach_points_max(),
            stack_depth_max: 0,
            symbolize: false,
            once: Once::Off,
            rate_limit_per_second: 0,
            uretprobes: false,
            single_uprobes: false,
            user: None,
        }
    }

    /// Whether a filter needs forks and exits to be followed.
    pub fn follows_trees(&self) -> bool {
        !(self.filters.tree.include.is_empty() && self.filters.tree.exclude.is_empty())
    }

    fn parse(line: &[u8]) -> Result<Self, Failure> {
        let config: Self =
            serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), Failure> {
        if self.probes.is_empty() {
            return Err(wrong("probes is empty: name at least one"));
        }
        let rings = [
            ("events_ring_bytes", self.events_ring_bytes),
            ("exec_ring_bytes", self.exec_ring_bytes),
        ];
        for (name, bytes) in rings {
            if !bytes.is_power_of_two() || !(RING_BYTES_MIN..=RING_BYTES_MAX).contains(&bytes) {
                return Err(wrong(format!(
                    "{name} is {bytes}: it must be a power of two from {RING_BYTES_MIN} to {RING_BYTES_MAX}"
                )));
            }
        }
        if self.wakeup_bytes == 0 {
            return Err(wrong("wakeup_bytes must be at least 1"));
        }
        if self.batch_window_ms > 1000 {
            return Err(wrong("batch_window_ms must be at most 1000"));
        }
        if self.own_processes.len() > OWN_PROCESSES_MAX {
            return Err(wrong(format!("own_processes has more than {OWN_PROCESSES_MAX} entries")));
        }
        self.validate_uprobes()?;
        if self.user.is_some_and(|user| user.uid == 0 || user.gid == 0) {
            return Err(wrong("user must be an unprivileged one: uid and gid other than 0"));
        }
        Ok(())
    }

    fn validate_uprobes(&self) -> Result<(), Failure> {
        if self.probes.contains(&ProbeName::FunctionCall) == self.functions.is_empty() {
            return Err(wrong("function_call and functions go together: name both or none"));
        }
        if self.functions.len() > FUNCTIONS_MAX {
            return Err(wrong(format!("functions has more than {FUNCTIONS_MAX} entries")));
        }
        for function in &self.functions {
            wanted::parse_spec(&function.spec).map_err(wrong)?;
        }
        if !(1..=ATTACH_POINTS_MAX).contains(&self.attach_points_max) {
            return Err(wrong(format!("attach_points_max must be from 1 to {ATTACH_POINTS_MAX}")));
        }
        if self.stack_depth_max > FUNCTION_STACK_DEPTH_MAX {
            let limit = FUNCTION_STACK_DEPTH_MAX;
            return Err(wrong(format!("stack_depth_max must be at most {limit}")));
        }
        if self.symbolize && self.stack_depth_max == 0 {
            return Err(wrong("symbolize needs stacks: stack_depth_max must be at least 1"));
        }
        Ok(())
    }
}

fn wrong(reason: impl AsRef<str>) -> Failure {
    Failure::usage("bad_config", format!("the configuration is refused: {}", reason.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::CgroupId;

    fn parse(text: &str) -> Result<Config, Failure> {
        Config::read(&mut text.as_bytes())
    }

    fn refusal(text: &str) -> String {
        let failure = parse(text).unwrap_err();
        assert_eq!(failure.exit, crate::diagnostics::Exit::Usage);
        failure.message
    }

    #[test]
    fn everything_but_probes_has_a_default() {
        let config = parse(r#"{"probes":["file_open"]}"#).unwrap();
        assert_eq!(config.probes, [ProbeName::FileOpen]);
        assert_eq!(config.events_ring_bytes, 16 << 20);
        assert_eq!(config.exec_ring_bytes, 1 << 20);
        assert_eq!(config.wakeup_bytes, 1 << 20);
        assert_eq!((config.batch_window_ms, config.drain_timeout_ms), (4, 10_000));
        assert!(config.user.is_none() && !config.follows_trees());
    }

    #[test]
    fn unknown_members_are_refused_by_name() {
        assert!(refusal(r#"{"probes":["file_open"],"colour":1}"#).contains("colour"));
        assert!(refusal(r#"{"probes":["file_open"],"filters":{"pod":{}}}"#).contains("pod"));
        assert!(refusal(r#"{"probes":["net"]}"#).contains("net"));
    }

    #[test]
    fn sizes_are_powers_of_two_within_limits() {
        for bytes in ["0", "4095", "1000000", "2048", "2147483648"] {
            let text = format!(r#"{{"probes":["file_open"],"events_ring_bytes":{bytes}}}"#);
            assert!(refusal(&text).contains("power of two"), "{bytes}");
        }
    }

    #[test]
    fn cgroup_ids_keep_all_64_bits() {
        let text = r#"{"probes":["tcp_state"],"filters":{"cgroup":{"include":["18446744073709551615",7]}}}"#;
        let config = parse(text).unwrap();
        assert_eq!(config.filters.cgroup.include, [CgroupId(u64::MAX), CgroupId(7)]);
        assert!(
            refusal(r#"{"probes":["tcp_state"],"filters":{"cgroup":{"include":["x"]}}}"#)
                .contains("decimal")
        );
    }

    #[test]
    fn only_the_first_line_counts() {
        assert!(parse("{\"probes\":[\"file_open\"]}\nnot json").is_ok());
        assert!(refusal("\n{\"probes\":[\"file_open\"]}").contains("refused"));
    }

    #[test]
    fn an_endless_line_is_refused_at_the_limit() {
        let mut endless = std::io::repeat(b' ');
        assert!(Config::read(&mut endless).unwrap_err().message.contains("longer than"));
    }

    #[test]
    fn functions_are_understood_or_refused_by_name() {
        let calls = |rest: &str| {
            parse(&format!(r#"{{"probes":["function_call"],{rest}}}"#)).map_err(|f| f.message)
        };
        let config = calls(r#""functions":[{"spec":"libc:mal*"}],"once":"process""#).unwrap();
        assert_eq!((config.once, config.attach_points_max), (Once::Process, 1000));
        assert!(calls(r#""functions":[]"#).unwrap_err().contains("go together"));
        assert!(calls(r#""functions":[{"spec":"libc"}]"#).unwrap_err().contains("libc"));
        let more = r#""functions":[{"spec":"a:b"}],"attach_points_max":10001"#;
        assert!(calls(more).unwrap_err().contains("10000"));
        let deep = r#""functions":[{"spec":"a:b"}],"stack_depth_max":128"#;
        assert!(calls(deep).unwrap_err().contains("127"));
        let bare = r#""functions":[{"spec":"a:b"}],"symbolize":true"#;
        assert!(calls(bare).unwrap_err().contains("stack_depth_max"));
        assert!(refusal(r#"{"probes":["ssl_op"],"functions":[{"spec":"a:b"}]}"#).contains("both"));
    }

    #[test]
    fn root_is_no_user_to_switch_to() {
        assert!(
            refusal(r#"{"probes":["file_open"],"user":{"uid":0,"gid":1}}"#)
                .contains("unprivileged")
        );
    }
}
