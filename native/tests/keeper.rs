//! A pump that is killed is followed by another, which goes on where it was. Needs root; where the kernel
//! or the user does not allow eBPF the tests print why and pass.
#![allow(clippy::unwrap_used)]

mod frames;

use std::fs::{self, File};
use std::io::{PipeReader, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use frames::{Frame, read_frame, skipped};
use serde_json::Value;

const HELLO: u8 = 1;
const COUNTERS: u8 = 3;
const FILE_OPEN: u8 = 16;
const FINAL: u16 = 8;
const LIMIT: Duration = Duration::from_secs(20);

/// A probe with two spare outputs, and the three streams it may write.
struct Kept {
    keeper: Child,
    /// Closed to end the capture.
    stdin: Option<ChildStdin>,
    streams: Vec<PipeReader>,
}

impl Kept {
    /// None, with a printed reason, where nothing can be attached.
    fn start(config: &str) -> Option<Self> {
        let (mut streams, writers): (Vec<_>, Vec<_>) = (0..3).map(|_| pipe().unwrap()).unzip();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runtime-evidence-probe"));
        command
            .stdin(Stdio::piped())
            .stdout(writers[0].try_clone().unwrap())
            .stderr(Stdio::piped());
        let spares = [writers[1].as_raw_fd(), writers[2].as_raw_fd()];
        // SAFETY: these calls are async-signal-safe, and the writers are open until after the spawn. High
        // numbers first: a writer may itself be one of the descriptors that are written to.
        unsafe {
            command.pre_exec(move || {
                let high = spares.map(|fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 100));
                for (spare, fd) in (3..).zip(high) {
                    if libc::dup2(fd, spare) != spare {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let mut keeper = command.spawn().unwrap();
        drop((command, writers));
        let mut stdin = keeper.stdin.take().unwrap();
        writeln!(stdin, "{config}").unwrap();
        let hello = read_hello(&mut streams[0]);
        if hello["hooks"].as_array().unwrap().iter().any(|hook| hook["state"] == "off") {
            skipped(&hello["hooks"].to_string());
            drop(stdin);
            keeper.wait().unwrap();
            return None;
        }
        Some(Self { keeper, stdin: Some(stdin), streams })
    }

    fn pump(&self) -> i32 {
        let keeper = self.keeper.id();
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children"));
            if let Ok(pid) = children.unwrap().trim().parse() {
                return pid;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("there is no pump");
    }

    fn kill_pump(&self) {
        // SAFETY: kill takes no pointer.
        assert_eq!(unsafe { libc::kill(self.pump(), libc::SIGKILL) }, 0);
    }

    /// Ends the capture; what was said.
    fn said_after_end(&mut self) -> String {
        drop(self.stdin.take());
        let said = self.said();
        assert!(self.keeper.wait().unwrap().success(), "{said}");
        said
    }

    fn said(&mut self) -> String {
        std::io::read_to_string(self.keeper.stderr.take().unwrap()).unwrap()
    }
}

fn read_hello(stream: &mut PipeReader) -> Value {
    let frame = read_frame(stream).unwrap();
    assert_eq!(frame.kind, HELLO);
    let length = u32::from_le_bytes(frame.body[24..28].try_into().unwrap()) as usize;
    serde_json::from_slice(&frame.body[32..32 + length]).unwrap()
}

fn opens(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.kind == FILE_OPEN).count()
}

fn emitted(frame: &Frame) -> u64 {
    assert_eq!((frame.kind, frame.flags), (COUNTERS, FINAL));
    frame.u64_at(8)
}

/// Opens a missing file from a thread of that name, which is its comm.
fn storm(comm: &str, opens: usize) {
    let body = move || (0..opens).for_each(|_| drop(File::open("/no/such/file")));
    std::thread::Builder::new().name(comm.into()).spawn(body).unwrap().join().unwrap();
}

fn config(comm: &str) -> String {
    let filter = format!(r#""filters":{{"comm":{{"include":["{comm}"]}}}}"#);
    format!(
        r#"{{"probes":["file_open"],"spare_outputs":2,"user":{{"uid":65534,"gid":65534}},{filter}}}"#
    )
}

#[test]
fn what_happens_while_no_pump_runs_is_delivered_by_the_next() {
    let Some(mut kept) = Kept::start(&config("between-pumps")) else { return };
    // What fits into the pipes: nothing is read before the end.
    storm("between-pumps", 100);
    std::thread::sleep(Duration::from_millis(300));
    kept.kill_pump();
    storm("between-pumps", 200);
    read_hello(&mut kept.streams[1]);
    storm("between-pumps", 10);
    let said = kept.said_after_end();
    assert!(said.contains("pump_restarted"), "{said}");
    let [first, second] = [0, 1].map(|index| read_all(&mut kept.streams[index]));
    assert_eq!(opens(&first) + opens(&second), 310);
    assert_eq!(emitted(second.last().unwrap()), 310, "the kernel's counters go on");
}

#[test]
fn a_pump_killed_in_a_storm_loses_what_it_had_taken_and_nothing_else() {
    let Some(mut kept) = Kept::start(&config("killed-in-storm")) else { return };
    let mut readers = Vec::new();
    for mut stream in kept.streams.drain(..) {
        readers.push(std::thread::spawn(move || read_all(&mut stream)));
    }
    let storm = std::thread::spawn(|| storm("killed-in-storm", 60_000));
    std::thread::sleep(Duration::from_millis(20));
    kept.kill_pump();
    storm.join().unwrap();
    assert!(kept.said_after_end().contains("pump_restarted"));
    let frames: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let last = frames.iter().rev().find_map(|frames| frames.last()).unwrap();
    let emitted = emitted(last);
    let ring_full = last.u64_at(24);
    let received: usize = frames.iter().map(|frames| opens(frames)).sum();
    assert_eq!(emitted + ring_full, 60_000);
    let missing = emitted - received as u64;
    assert!(missing < 20_000, "{missing} of {emitted} were lost with the pump");
}

#[test]
fn after_the_last_spare_output_the_probe_gives_up() {
    let Some(mut kept) = Kept::start(&config("given-up")) else { return };
    for stream in 1..=2 {
        kept.kill_pump();
        read_hello(&mut kept.streams[stream]);
    }
    kept.kill_pump();
    assert_eq!(kept.keeper.wait().unwrap().code(), Some(1));
    assert!(kept.said().contains("pump_killed"));
}

#[test]
fn keeper_and_pump_have_no_privilege() {
    let Some(kept) = Kept::start(&config("kept")) else { return };
    for pid in [kept.keeper.id().cast_signed(), kept.pump()] {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
        }
        assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
        assert!(status.contains("Uid:\t65534\t65534"), "{status}");
    }
}

#[test]
fn sigterm_to_the_keeper_ends_the_pump_in_order() {
    let Some(mut kept) = Kept::start(&config("kept-signal")) else { return };
    storm("kept-signal", 10);
    // SAFETY: kill takes no pointer; the keeper is our child and not waited for yet.
    unsafe { libc::kill(kept.keeper.id().cast_signed(), libc::SIGTERM) };
    let frames = read_all(&mut kept.streams[0]);
    assert_eq!((opens(&frames), emitted(frames.last().unwrap())), (10, 10));
    assert!(kept.keeper.wait().unwrap().success());
}

#[test]
fn uprobes_are_attached_again_and_their_points_have_new_ids() {
    let config = r#"{"probes":["net_connect"],"spare_outputs":2,"user":{"uid":65534,"gid":65534},
        "filters":{"comm":{"include":["kept-connects"]}}}"#
        .replace('\n', " ");
    let Some(mut kept) = Kept::start(&config) else { return };
    let connect = || {
        let body = || drop(std::net::TcpStream::connect("127.0.0.1:9"));
        std::thread::Builder::new()
            .name("kept-connects".into())
            .spawn(body)
            .unwrap()
            .join()
            .unwrap();
    };
    connect();
    std::thread::sleep(Duration::from_millis(300));
    kept.kill_pump();
    read_hello(&mut kept.streams[1]);
    connect();
    let said = kept.said_after_end();
    let frames = [0, 1].map(|index| read_all(&mut kept.streams[index]));
    let connects = frames.each_ref().map(|f| f.iter().filter(|f| f.kind == 19).count());
    assert_eq!(connects, [1, 1], "{said}");
}

/// Whole frames; a torn one ends the stream.
fn read_all(stream: &mut PipeReader) -> Vec<Frame> {
    std::iter::from_fn(|| read_frame(stream)).collect()
}
