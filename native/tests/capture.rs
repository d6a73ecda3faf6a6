//! Whole runs on the real kernel. They need root; where the kernel or the user does not allow eBPF
//! they print why and pass.
#![allow(clippy::unwrap_used)]

mod frames;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use frames::{Frame, read_frame, skipped};
use serde_json::Value;

const HELLO: u8 = 1;
const COUNTERS: u8 = 3;
const FILE_OPEN: u8 = 16;
const PROCESS_EXEC: u8 = 17;
const FINAL: u16 = 8;
const LIMIT: Duration = Duration::from_secs(20);

/// A running probe that has said hello.
struct Probe {
    child: Child,
    stdin: ChildStdin,
    hello: Value,
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime-evidence-probe"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Probe {
    /// None, with a printed reason, where nothing can be attached.
    fn start(config: &str) -> Option<Self> {
        let mut child = command().spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{config}").unwrap();
        let frame = read_frame(child.stdout.as_mut().unwrap()).unwrap();
        assert_eq!((frame.kind, &frame.body[..4]), (HELLO, &b"REVF"[..]));
        let length = u32::from_le_bytes(frame.body[24..28].try_into().unwrap()) as usize;
        let hello: Value = serde_json::from_slice(&frame.body[32..32 + length]).unwrap();
        let hooks = hello["hooks"].as_array().unwrap();
        if hooks.iter().any(|hook| hook["state"] == "off") {
            skipped(&format!("{hooks:?}"));
            drop(stdin);
            child.wait().unwrap();
            return None;
        }
        Some(Self { child, stdin, hello })
    }

    /// Reads to the end of the stream. The last frame must be the final counters, and add up.
    fn end(self) -> Vec<Frame> {
        drop(self.stdin);
        finish(self.child)
    }
}

fn finish(mut child: Child) -> Vec<Frame> {
    let mut stdout = child.stdout.take().unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| read_frame(&mut stdout)).collect();
    assert!(child.wait().unwrap().success());
    let last = frames.last().unwrap();
    assert_eq!((last.kind, last.flags), (COUNTERS, FINAL));
    for probe in 0..3 {
        let [seen, emitted, filtered, lost @ ..] = counters(last, probe);
        assert_eq!(seen, emitted + filtered + lost.iter().sum::<u64>(), "probe {probe}");
    }
    frames
}

fn counters(frame: &Frame, probe: usize) -> [u64; 10] {
    std::array::from_fn(|index| frame.u64_at(probe * 80 + index * 8))
}

fn status(pid: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap().trim().to_owned()
}

/// Opens a missing file from a thread of that name, which is its comm.
fn storm(comm: &str, opens: usize) {
    let body = move || (0..opens).for_each(|_| drop(File::open("/no/such/file")));
    std::thread::Builder::new().name(comm.into()).spawn(body).unwrap().join().unwrap();
}

#[test]
fn no_privilege_is_left_when_the_hello_arrives() {
    let config = r#"{"probes":["process_exec"],"user":{"uid":65534,"gid":65533}}"#;
    let Some(probe) = Probe::start(config) else { return };
    let pid = probe.child.id();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(pid, set), "0000000000000000", "{set}");
    }
    assert_eq!(status(pid, "NoNewPrivs"), "1");
    assert_eq!(status(pid, "Seccomp"), "2");
    assert_eq!(status(pid, "Groups"), "");
    assert_eq!(status(pid, "Uid"), ["65534"; 4].join("\t"));
    assert_eq!(status(pid, "Gid"), ["65533"; 4].join("\t"));
    assert_eq!(probe.hello["hooks"][0]["hook"], "sched_process_exec");
    probe.end();
}

#[test]
fn a_storm_of_opens_is_delivered_to_the_last_one() {
    let config = r#"{"probes":["file_open"],"filters":{"comm":{"include":["delivered-storm"]}}}"#;
    let Some(mut probe) = Probe::start(config) else { return };
    let mut stdout = probe.child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let frames: Vec<_> = std::iter::from_fn(|| read_frame(&mut stdout)).collect();
        let opens = frames.iter().filter(|frame| frame.kind == FILE_OPEN).count();
        (opens, counters(frames.last().unwrap(), 0))
    });
    storm("delivered-storm", 50_000);
    drop(probe.stdin);
    let (opens, [_, emitted, _, lost @ ..]) = reader.join().unwrap();
    assert!(probe.child.wait().unwrap().success());
    assert_eq!((opens, emitted, lost), (50_000, 50_000, [0; 7]));
}

#[test]
fn sigterm_ends_a_run_like_the_end_of_stdin() {
    let config = r#"{"probes":["file_open"],"filters":{"comm":{"include":["signalled-storm"]}}}"#;
    let Some(probe) = Probe::start(config) else { return };
    let Probe { child, stdin, .. } = probe;
    storm("signalled-storm", 10);
    // SAFETY: kill takes no pointer; the probe is our child and not waited for yet.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
    let frames = finish(child);
    assert_eq!(frames.iter().filter(|frame| frame.kind == FILE_OPEN).count(), 10);
    drop(stdin);
}

#[test]
fn a_tree_filter_follows_descendants_of_before_and_after() {
    // The child exists when the capture starts; what it starts later does not.
    let mut child = Command::new("sh")
        .args(["-c", "read go; (cat /etc/hostname >/dev/null); true"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let root = std::process::id();
    let config = format!(
        r#"{{"probes":["file_open","process_exec"],"filters":{{"tree":{{"include":[{}]}}}}}}"#,
        child.id()
    );
    let Some(probe) = Probe::start(&config) else {
        child.kill().unwrap();
        child.wait().unwrap();
        return;
    };
    drop(File::open("/no/such/outsider"));
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert!(child.wait().unwrap().success());
    let frames = probe.end();
    let holds = |kind: u8, text: &[u8]| {
        frames.iter().any(|f| f.kind == kind && f.body.windows(text.len()).any(|w| w == text))
    };
    assert!(holds(PROCESS_EXEC, b"/cat"), "the exec of a grandchild");
    assert!(holds(FILE_OPEN, b"/etc/hostname"), "the open of a grandchild");
    assert!(frames.iter().all(|frame| frame.kind < FILE_OPEN || frame.pid != root));
    assert!(!holds(FILE_OPEN, b"/no/such/outsider"));
}

#[test]
fn a_reader_that_stalls_is_not_waited_for_forever() {
    let config = r#"{"probes":["file_open"],"drain_timeout_ms":300,
        "filters":{"comm":{"include":["unread-storm"]}}}"#
        .replace('\n', " ");
    let Some(mut probe) = Probe::start(&config) else { return };
    storm("unread-storm", 20_000);
    let asked = Instant::now();
    drop(probe.stdin);
    let status = probe.child.wait().unwrap();
    assert!(asked.elapsed() < LIMIT);
    assert_eq!(status.code(), Some(1));
    assert!(stderr(&mut probe.child).contains("reader_stalled"));
}

#[test]
fn a_reader_that_leaves_ends_the_run() {
    let config = r#"{"probes":["file_open"],"filters":{"comm":{"include":["deserted-storm"]}}}"#;
    let Some(mut probe) = Probe::start(config) else { return };
    drop(probe.child.stdout.take());
    storm("deserted-storm", 10);
    assert_eq!(probe.child.wait().unwrap().code(), Some(0));
    assert!(stderr(&mut probe.child).contains("reader_gone"));
}

#[test]
fn without_capabilities_each_hook_says_what_it_needs() {
    let mut command = command();
    // SAFETY: prctl is async-signal-safe. An exec by root gets no more than the bounding set.
    unsafe {
        command.pre_exec(|| {
            (0..64).for_each(|capability| _ = libc::prctl(libc::PR_CAPBSET_DROP, capability));
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    let config = r#"{"probes":["file_open","process_exec"]}"#;
    writeln!(child.stdin.take().unwrap(), "{config}").unwrap();
    let hello = read_frame(child.stdout.as_mut().unwrap()).unwrap();
    if child.wait().unwrap().code() == Some(0) {
        skipped("this user needs no capability for eBPF");
        return;
    }
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(stderr(&mut child).contains("nothing_attached"));
    let text = String::from_utf8_lossy(&hello.body[32..]).into_owned();
    assert_eq!(text.matches("CAP_BPF and CAP_PERFMON").count(), 5, "{text}");
}

#[test]
fn a_wrong_configuration_is_one_line_and_code_2() {
    for config in [
        "",
        "{",
        r#"{"probes":["file_open"],"filters":{"comm":{"include":["longer than a comm is"]}}}"#,
    ] {
        let mut child = command().spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{config}").unwrap();
        let code = child.wait().unwrap().code();
        let said = stderr(&mut child);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(code, Some(2), "{said}");
        let line: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&line["level"], &line["code"]), (&"error".into(), &"bad_config".into()));
    }
}

#[test]
fn check_tells_each_hook_and_never_fails() {
    let output = command().arg("check").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let hooks = document["hooks"].as_array().unwrap();
    for hook in hooks {
        assert!(hook["state"] == "on" || hook["reason"].is_string(), "{hook}");
    }
    for name in [
        "sys_enter_openat",
        "sched_process_exec",
        "inet_sock_set_state",
        "uprobe:connect",
        "uprobe:SSL_read",
        "uprobe:function_entry",
    ] {
        assert!(hooks.iter().any(|hook| hook["hook"] == name), "{name}");
    }
}

fn stderr(child: &mut Child) -> String {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}
