//! Uprobes on the real kernel: files that are found late, twice, replaced, deleted or in memory only.
//! They need root and a C compiler; without either they print why and pass.
#![allow(clippy::unwrap_used)]

mod frames;
mod harness;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use frames::{Frame, skipped};
use harness::{Caller, Folder, LIMIT, Probe};
use serde_json::{Value, json};

const ATTACH_POINT: u8 = 4;
const PROCESS_RUNTIME: u8 = 5;
const NET_CONNECT: u8 = 19;
const SSL_OP: u8 = 20;
const FUNCTION_CALL: u8 = 21;
const ENTRY_ONLY: u16 = 16;

/// Says that it moved one byte less than asked for.
const LIBRARY: &str = "int SSL_write(void *ssl, const void *data, int bytes) { return bytes - 1; }";

/// The same behind a jump that no disassembler can follow.
const UNSURE_LIBRARY: &str = r"
int SSL_write(void *ssl, const void *data, int bytes) {
    static void *const ways[] = {&&odd, &&even};
    goto *ways[bytes & 1];
odd: return bytes - 1;
even: __asm__ volatile(''); return bytes - 1;
}";

/// Only what this process and its children do: other tests run in it at the same time.
fn config(probes: &[&str]) -> Value {
    let user = json!({ "uid": 65534, "gid": 65534 });
    let tree = json!({ "include": [std::process::id()] });
    json!({ "probes": probes, "user": user, "filters": { "tree": tree } })
}

fn bytes_of(frames: &[Frame], pid: u32) -> Vec<u64> {
    let ops = frames.iter().filter(|frame| frame.kind == SSL_OP && frame.pid == pid);
    ops.map(|frame| frame.u64_at(8)).collect()
}

#[test]
fn four_capabilities_are_left_while_uprobes_may_be_attached() {
    let Some(probe) = Probe::start(&config(&["ssl_op"])) else { return };
    let status = fs::read_to_string(format!("/proc/{}/status", probe.child.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap().trim().to_owned()
    };
    // CAP_BPF 39, CAP_PERFMON 38, CAP_SYS_PTRACE 19, CAP_DAC_READ_SEARCH 2.
    let four = "000000c000080004";
    assert_eq!([field("CapPrm"), field("CapEff")], [four, four]);
    for set in ["CapInh", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!((field("Seccomp"), field("NoNewPrivs")), ("2".into(), "1".into()));
    assert_eq!(field("Uid"), ["65534"; 4].join("\t"));
    let hooks = probe.hello["hooks"].as_array().unwrap();
    assert!(hooks.iter().any(|hook| hook["hook"] == "uprobe:SSL_read"));
    let (_, said) = probe.end();
    assert!(said.iter().any(|line| line["code"] == "uprobe_targets"));
}

#[test]
fn a_refused_connection_is_told_with_its_errno() {
    {
        let mut config = config(&["net_connect"]);
        config["filters"] = json!({ "comm": { "include": ["refused-here"] } });
        let Some(probe) = Probe::start(&config) else { return };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let connect = move || drop(std::net::TcpStream::connect(address).unwrap_err());
        let thread = std::thread::Builder::new().name("refused-here".into());
        thread.spawn(connect).unwrap().join().unwrap();
        let (frames, _) = probe.end();
        let calls: Vec<_> = frames.iter().filter(|frame| frame.kind == NET_CONNECT).collect();
        assert_eq!(calls.len(), 1);
        let body = &calls[0].body;
        assert_eq!(body[4..8], libc::ECONNREFUSED.to_le_bytes());
        assert_eq!(body[10..12], address.port().to_le_bytes());
        assert_eq!((body[12], &body[16..20]), (0, &[127, 0, 0, 1][..]));
    }
}

#[test]
fn libraries_are_found_late_replaced_deleted_and_in_memory() {
    let Some(folder) = Folder::new("late") else { return };
    let library = folder.library("libssl-late.so", LIBRARY);
    let other = folder.library("libssl-memory.so", LIBRARY);
    // Its library is gone before the capture starts.
    let gone = folder.library("libssl-gone.so", LIBRARY);
    let mut before = Caller::start(&folder);
    before.tell(&format!("open {gone}"));
    fs::remove_file(&gone).unwrap();
    let Some(probe) = Probe::start(&config(&["ssl_op"])) else { return };
    before.tell("11");

    let mut late = Caller::start(&folder);
    late.tell(&format!("open {library}"));
    probe.wait_for("target_attached", "libssl-late");
    late.tell("21");
    // Another file takes its name; the process keeps the old one.
    fs::rename(folder.library("libssl-new.so", LIBRARY), &library).unwrap();
    late.tell("22");
    let mut new = Caller::start(&folder);
    new.tell(&format!("open {library}"));
    probe.wait_for("target_attached", "libssl-late");
    new.tell("31");

    let mut memory = Caller::start(&folder);
    memory.tell(&format!("memory {other}"));
    probe.wait_for("target_attached", "memfd:library");
    memory.tell("41");
    let pids = [&before, &late, &new, &memory].map(|caller| caller.child.id());
    [before, late, new, memory].into_iter().for_each(Caller::end);
    probe.wait_for("target_detached", "libssl-late");
    let (frames, _) = probe.end();
    let bytes = pids.map(|pid| bytes_of(&frames, pid));
    assert_eq!(bytes, [vec![10], vec![20, 21], vec![30], vec![40]]);
}

#[test]
fn a_file_changed_in_place_is_looked_into_again() {
    let Some(folder) = Folder::new("changed") else { return };
    let library = folder.library("libssl-changed.so", LIBRARY);
    let Some(probe) = Probe::start(&config(&["ssl_op"])) else { return };
    let mut first = Caller::start(&folder);
    first.tell(&format!("open {library}"));
    probe.wait_for("target_attached", "libssl-changed");
    let pid = first.child.id();
    first.tell("11");
    first.end();
    let padded = format!("int before(int a) {{ return a * 7 + a / 3; }} {LIBRARY}");
    fs::write(&library, fs::read(folder.library("libssl-padded.so", &padded)).unwrap()).unwrap();
    let mut second = Caller::start(&folder);
    second.tell(&format!("open {library}"));
    probe.wait_for("target_attached", "libssl-changed");
    second.tell("21");
    let other = second.child.id();
    second.end();
    let (frames, _) = probe.end();
    assert_eq!((bytes_of(&frames, pid), bytes_of(&frames, other)), (vec![10], vec![20]));
}

#[test]
fn a_file_below_several_overlays_is_attached_once() {
    let Some(folder) = Folder::new("overlay") else { return };
    let lower = folder.path("lower");
    fs::create_dir_all(&lower).unwrap();
    folder.library("lower/libssl-layer.so", LIBRARY);
    let Some(probe) = Probe::start(&config(&["ssl_op"])) else { return };
    // A mount namespace of its own, as a container has; the upper layers need a filesystem that is not
    // an overlay itself.
    let script = r#"
        set -e
        mount -t tmpfs none "$1"/upper
        for n in 1 2; do
            mkdir "$1"/upper/u$n "$1"/upper/w$n "$1"/upper/m$n
            mount -t overlay none "$1"/upper/m$n \
                -o lowerdir="$1"/lower,upperdir="$1"/upper/u$n,workdir="$1"/upper/w$n
        done
        for library in upper/m1 lower upper/m2; do
            (echo "open $1/$library/libssl-layer.so"; sleep 1.5; echo 51) | "$1"/caller &
        done
        wait
    "#;
    fs::create_dir_all(folder.path("upper")).unwrap();
    let shell = ["-m", "sh", "-c", script, "sh", folder.0.to_str().unwrap()];
    let output = Command::new("unshare").args(shell).output().unwrap();
    if !output.status.success() {
        return skipped(&String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("50 ok").count(), 3, "{output:?}");
    let (frames, _) = probe.end();
    // Other tests of this process write other numbers of bytes.
    let ops = frames.iter().filter(|frame| frame.kind == SSL_OP && frame.u64_at(8) == 50);
    let ops: Vec<_> = ops.collect();
    assert_eq!(ops.iter().map(|frame| frame.u64_at(8)).collect::<Vec<_>>(), [50; 3]);
    let pids: std::collections::HashSet<_> = ops.iter().map(|frame| frame.pid).collect();
    assert_eq!(pids.len(), 3);
}

#[test]
fn exits_that_are_unsure_are_left_alone_unless_asked_for() {
    for uretprobes in [false, true] {
        let Some(folder) = Folder::new("unsure") else { return };
        let library = folder.library("libssl-unsure.so", UNSURE_LIBRARY);
        let mut config = config(&["ssl_op"]);
        config["uretprobes"] = uretprobes.into();
        let Some(probe) = Probe::start(&config) else { return };
        let mut caller = Caller::start(&folder);
        caller.tell(&format!("open {library}"));
        probe.wait_for("target_attached", "libssl-unsure");
        caller.tell("61");
        let pid = caller.child.id();
        caller.end();
        let (frames, said) = probe.end();
        let op = frames.iter().find(|frame| (frame.kind, frame.pid) == (SSL_OP, pid)).unwrap();
        let expected = if uretprobes { (60, 0) } else { (61, ENTRY_ONLY) };
        assert_eq!((op.u64_at(8), op.flags), expected);
        let told = said
            .iter()
            .any(|line| line["code"] == "target_entry_only" && line["target"] == library.as_str());
        assert_eq!(told, !uretprobes);
    }
}

#[test]
fn a_call_comes_after_what_it_is_and_what_runs_it() {
    let Some(folder) = Folder::new("call") else { return };
    let library = folder.library("libanything.so.1", LIBRARY);
    let mut config = config(&["function_call"]);
    config["functions"] = json!([{ "spec": "libanything:SSL_wri*" }]);
    let Some(probe) = Probe::start(&config) else { return };
    let mut caller = Caller::start(&folder);
    caller.tell(&format!("open {library}"));
    probe.wait_for("target_attached", "libanything");
    caller.tell("71");
    caller.tell("72");
    let pid = caller.child.id();
    caller.end();
    let (frames, _) = probe.end();
    let of_interest = [ATTACH_POINT, PROCESS_RUNTIME, FUNCTION_CALL];
    let frames: Vec<_> = frames.iter().filter(|frame| of_interest.contains(&frame.kind)).collect();
    let kinds: Vec<_> = frames.iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [ATTACH_POINT, PROCESS_RUNTIME, FUNCTION_CALL, FUNCTION_CALL]);
    let text = String::from_utf8_lossy(&frames[0].body);
    assert!(text.contains("SSL_write") && text.contains(&library), "{text}");
    assert!(text.contains("sha256:"));
    assert!(frames[1..].iter().all(|frame| frame.pid == pid));
    assert_eq!(frames[0].body[..4], frames[2].body[8..12]);
}

#[test]
fn a_broken_library_is_skipped_with_its_reason() {
    let Some(folder) = Folder::new("broken") else { return };
    let library = folder.library("libssl-broken.so", LIBRARY);
    let mut caller = Caller::start(&folder);
    caller.tell(&format!("open {library}"));
    // Its loaded pages stay as they are; the headers on disk say nonsense from here on.
    let file = fs::OpenOptions::new().write(true).open(&library).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 32], 32).unwrap();
    let Some(probe) = Probe::start(&config(&["ssl_op"])) else { return };
    caller.tell("81");
    let pid = caller.child.id();
    caller.end();
    let (frames, said) = probe.end();
    assert!(bytes_of(&frames, pid).is_empty());
    let skipped = said
        .iter()
        .find(|line| line["code"] == "target_skipped" && line["target"] == library.as_str());
    let skipped = skipped.unwrap();
    assert!(skipped["message"].as_str().unwrap().contains("libssl-broken.so"), "{skipped}");
}

#[test]
fn a_fifo_or_device_of_that_name_holds_nobody_up() {
    let Some(folder) = Folder::new("fifo") else { return };
    let fifo = folder.path("libssl-fifo.so");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let library = folder.library("libssl-real.so", LIBRARY);
    let Some(probe) = Probe::start(&config(&["ssl_op"])) else { return };
    let mut caller = Caller::start(&folder);
    caller.tell(&format!("open {library}"));
    // The name may lead to a FIFO by the time the probe opens it.
    fs::rename(&fifo, &library).unwrap();
    caller.end();
    let began = Instant::now();
    probe.end();
    assert!(began.elapsed() < LIMIT);
    assert!(Path::new(&library).exists());
}
