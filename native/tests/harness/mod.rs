//! Runs the probe and a program that it watches.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::frames::{Frame, read_frame, skipped};

const HELLO: u8 = 1;
const COUNTERS: u8 = 3;
/// For everything that has to happen sooner or later.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Opens libraries and calls their SSL_write as it is told on stdin; answers each line.
const CALLER: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <fcntl.h>
static int (*write_)(void *, const void *, int);
static void open_(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) { puts(dlerror()); exit(1); }
    write_ = dlsym(library, "SSL_write");
}
int main(void) {
    char line[4096], path[64];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "open ", 5)) open_(line + 5);
        else if (!strncmp(line, "memory ", 7)) {
            int memory = memfd_create("library", 0), from = open(line + 7, O_RDONLY);
            long count;
            while ((count = read(from, path, sizeof path)) > 0)
                if (write(memory, path, count) < 0) return 1;
            snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
            open_(path);
        } else printf("%d ", write_((void *)0x55, "", atoi(line)));
        puts("ok");
        fflush(stdout);
    }
}
"#;

/// A folder of one test, with the caller in it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("uprobes-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        folder.compile("caller", CALLER, &["-ldl"]).then_some(folder)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    pub fn compile(&self, name: &str, source: &str, options: &[&str]) -> bool {
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-x", "c", "-", "-o"]).arg(self.0.join(name));
        let Ok(mut child) = compiler.args(options).stdin(Stdio::piped()).spawn() else {
            skipped("there is no C compiler");
            return false;
        };
        child.stdin.take().unwrap().write_all(source.replace("''", "\"\"").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        true
    }

    pub fn library(&self, name: &str, source: &str) -> String {
        assert!(self.compile(name, source, &["-shared", "-fPIC"]));
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct Caller {
    pub child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Caller {
    pub fn start(folder: &Folder) -> Self {
        let mut child = Command::new(folder.0.join("caller"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
    }

    pub fn end(self) {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

pub struct Probe {
    pub child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    said: std::thread::JoinHandle<Vec<Value>>,
    lines: std::sync::mpsc::Receiver<Value>,
    pub hello: Value,
}

impl Probe {
    /// None, with a printed reason, where nothing can be attached.
    pub fn start(config: &Value) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_runtime-evidence-probe"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{config}").unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (tell, lines) = std::sync::mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said = std::thread::spawn(move || {
            let lines = stderr.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
            lines.inspect(|line: &Value| drop(tell.send(line.clone()))).collect()
        });
        let frame = read_frame(&mut stdout).unwrap();
        assert_eq!(frame.kind, HELLO);
        let length = u32::from_le_bytes(frame.body[24..28].try_into().unwrap()) as usize;
        let hello: Value = serde_json::from_slice(&frame.body[32..32 + length]).unwrap();
        let mut hooks = hello["hooks"].as_array().unwrap().iter();
        if hooks.any(|hook| hook["state"] == "off") {
            skipped(&hello["hooks"].to_string());
            drop(stdin);
            child.wait().unwrap();
            return None;
        }
        Some(Self { child, stdin, stdout, said, lines, hello })
    }

    /// Waits until the probe says so of a target.
    pub fn wait_for(&self, code: &str, target: &str) {
        let limit = Instant::now() + LIMIT;
        while let Ok(line) = self.lines.recv_timeout(limit - Instant::now()) {
            if line["code"] == code && line["target"].as_str().is_some_and(|t| t.contains(target)) {
                return;
            }
        }
        panic!("the probe never said {code} of {target}");
    }

    /// Reads to the end of the stream. The books must balance.
    pub fn end(self) -> (Vec<Frame>, Vec<Value>) {
        let Self { mut child, stdin, mut stdout, said, .. } = self;
        drop(stdin);
        let frames: Vec<_> = std::iter::from_fn(|| read_frame(&mut stdout)).collect();
        let said = said.join().unwrap();
        assert!(child.wait().unwrap().success(), "{said:?}");
        let last = frames.last().unwrap();
        assert_eq!(last.kind, COUNTERS);
        for probe in 0..6 {
            let field = |index: usize| last.u64_at(probe * 80 + index * 8);
            let lost: u64 = (3..10).map(field).sum();
            assert_eq!(field(0), field(1) + field(2) + lost, "probe {probe}");
        }
        (frames, said)
    }
}
