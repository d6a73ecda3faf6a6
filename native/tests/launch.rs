//! `launch`: CMD starts when told to, as the caller, and its end is reported truly.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const GO: &[u8] = &[0];

struct Launched {
    child: Child,
    control: BufReader<UnixStream>,
    pid: u32,
}

impl Launched {
    fn new(command: &[&str]) -> Self {
        Self::of(&command.iter().map(OsStr::new).collect::<Vec<_>>())
    }

    fn of(command: &[&OsStr]) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut launcher = Command::new(env!("CARGO_BIN_EXE_runtime-evidence-probe"));
        launcher.args(["launch", "--"]).args(command);
        launcher.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let fd = theirs.as_raw_fd();
        // SAFETY: dup2 is async-signal-safe, and `theirs` is open until after the spawn. Both ends are
        // close-on-exec, the copy is not.
        unsafe {
            launcher.pre_exec(move || match libc::dup2(fd, 3) {
                3 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let child = launcher.spawn().unwrap();
        let mut control = BufReader::new(ours);
        let mut line = String::new();
        control.read_line(&mut line).unwrap();
        Self { child, control, pid: line.trim_end().parse().unwrap() }
    }

    fn tell(&mut self, bytes: &[u8]) {
        self.control.get_mut().write_all(bytes).unwrap();
    }

    fn end(self) -> Output {
        self.child.wait_with_output().unwrap()
    }
}

fn code_of(command: &[&str]) -> Option<i32> {
    let mut launched = Launched::new(command);
    launched.tell(GO);
    launched.end().status.code()
}

#[test]
fn the_reported_pid_is_the_commands() {
    let mut launched = Launched::new(&["sh", "-c", "echo $$"]);
    launched.tell(GO);
    let pid = launched.pid;
    let output = launched.end();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{pid}\n"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn nothing_runs_without_a_go() {
    let launched = Launched::new(&["sh", "-c", "echo ran"]);
    let Launched { child, control, .. } = launched;
    drop(control);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(output.stdout.is_empty());
}

#[test]
fn the_exit_code_is_the_commands() {
    assert_eq!(code_of(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(code_of(&["sh", "-c", "kill -TERM $$"]), Some(128 + libc::SIGTERM));
}

#[test]
fn what_cannot_run_gives_one_line() {
    for (command, code) in
        [("/no/such/command", 127), ("no-such-command", 127), ("/etc/passwd", 126)]
    {
        let mut launched = Launched::new(&[command]);
        launched.tell(GO);
        let output = launched.end();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{command}: {message}");
        assert_eq!(message.lines().count(), 1);
        assert!(message.contains(command));
    }
}

#[test]
fn signals_reach_the_command() {
    let mut told = Launched::new(&["sleep", "30"]);
    told.tell(&[0, libc::SIGUSR1 as u8]);
    assert_eq!(told.end().status.code(), Some(128 + libc::SIGUSR1));

    let mut sent = Launched::new(&["sleep", "30"]);
    sent.tell(GO);
    // SAFETY: kill takes no pointer; the launcher is our child and not waited for yet.
    unsafe { libc::kill(sent.child.id().cast_signed(), libc::SIGTERM) };
    assert_eq!(sent.end().status.code(), Some(128 + libc::SIGTERM));
}

#[test]
fn the_terminals_signals_are_left_to_the_command() {
    let mut launched = Launched::new(&["sh", "-c", "echo up; read line; exit 4"]);
    launched.tell(GO);
    let mut up = [0; 3];
    launched.child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    // SAFETY: as above.
    unsafe { libc::kill(launched.child.id().cast_signed(), libc::SIGINT) };
    assert_eq!(launched.end().status.code(), Some(4));
}

#[test]
fn the_command_outlives_the_control_stream() {
    let mut launched = Launched::new(&["sh", "-c", "sleep 0.2; exit 3"]);
    launched.tell(GO);
    let Launched { child, control, .. } = launched;
    drop(control);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(3));
}

#[test]
fn the_command_inherits_nothing_of_the_launcher() {
    // No pipeline: bash itself would hold its ends, as descriptor 3 perhaps, while `ls` looks.
    let script = "ls /proc/$$/fd; grep -E 'Sig(Blk|Ign)' /proc/$$/status";
    let mut launched = Launched::new(&["bash", "-c", script]);
    launched.tell(GO);
    let output = String::from_utf8(launched.end().stdout).unwrap();
    let descriptors = output.split("Sig").next().unwrap();
    assert!(!descriptors.lines().any(|fd| fd == "3"), "{output}");
    assert!(output.contains("SigBlk:\t0000000000000000"), "{output}");
    let ignored = output.split("SigIgn:\t").nth(1).unwrap().trim();
    let terminal =
        (1_u64 << (libc::SIGINT - 1)) | (1 << (libc::SIGQUIT - 1)) | (1 << (libc::SIGPIPE - 1));
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & terminal, 0, "{output}");
}

#[test]
fn arguments_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let bytes = OsStr::from_bytes(b"\xff\xfe");
    let mut launched = Launched::of(&["printf".as_ref(), "%s".as_ref(), bytes]);
    launched.tell(GO);
    assert_eq!(launched.end().stdout, b"\xff\xfe");
}
