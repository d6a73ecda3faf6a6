//! What has to be known before a function_call: what its attach point is, what its process runs, and
//! what is at the addresses of its stack.

use std::collections::HashMap;
use std::fs::File;
use std::mem::offset_of;
use std::sync::mpsc::Receiver;

use crate::elf::Binary;
use crate::executable::{self, FileKey};
use crate::frame;
use crate::layout::{FRAME_FUNCTION_CALL, FrameHeader, FunctionCallBody};
use crate::process_maps;
use crate::runtime::{self, Runtime};
use crate::stack_symbols::{Stack, StackSymbols};
use crate::symbols::{Symbols, Tables};
use crate::targets::Notice;

/// Processes and executables that are remembered; the frames of forgotten ones are written again.
const PROCESSES_MAX: usize = 16_384;
const EXECUTABLES_MAX: usize = 4096;

/// Writes the frames that go before events.
pub struct Announcer {
    notices: Receiver<Notice>,
    points: HashMap<u32, Announced>,
    /// The start of each process whose runtime was written.
    processes: HashMap<u32, u64>,
    executables: HashMap<FileKey, Option<Runtime>>,
    symbols: Option<StackSymbols>,
}

/// An attach point, and its frame until that is written.
struct Announced {
    frame: Option<Vec<u8>>,
    library: String,
    runtime: Option<Runtime>,
}

impl Announcer {
    /// Nothing was written yet.
    pub fn new(notices: Receiver<Notice>, symbolize: bool) -> Self {
        Self {
            notices,
            points: HashMap::new(),
            processes: HashMap::new(),
            executables: HashMap::new(),
            symbols: symbolize.then(StackSymbols::new),
        }
    }

    /// The frames that have to stand before this one.
    pub fn before(&mut self, sample: &[u8]) -> Vec<Vec<u8>> {
        let Some((stack, id)) = function_call(sample) else { return Vec::new() };
        let Stack { pid, start_boot_ns, .. } = stack;
        // A point is announced before it is attached, so its notice is here before its first event.
        while let Ok(notice) = self.notices.try_recv() {
            self.take(notice);
        }
        let mut frames = Vec::new();
        let point = self.points.get_mut(&id);
        frames.extend(point.and_then(|point| point.frame.take()));
        if self.processes.get(&pid) != Some(&start_boot_ns) {
            if self.processes.len() >= PROCESSES_MAX {
                self.processes.clear();
            }
            self.processes.insert(pid, start_boot_ns);
            let runtime = self.runtime(pid, start_boot_ns, id);
            frames.push(frame::process_runtime(pid, start_boot_ns, runtime as u8));
            // Who reads that frame forgets them, too.
            self.forget_symbols(pid);
        }
        if let Some(symbols) = &mut self.symbols {
            frames.extend(symbols.before(&stack));
        }
        frames
    }

    fn forget_symbols(&mut self, pid: u32) {
        if let Some(symbols) = &mut self.symbols {
            symbols.forget(pid);
        }
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Execed(pid) => {
                self.processes.remove(&pid);
                self.forget_symbols(pid);
            }
            Notice::AttachPoint { id, symbol, library, node_hash, runtime } => {
                let frame = || frame::attach_point(id, &symbol, &library, &node_hash);
                self.points.entry(id).or_insert_with(|| Announced {
                    frame: Some(frame()),
                    library: library.clone(),
                    runtime,
                });
            }
        }
    }

    /// Of the process, or as far as it is gone, of the library that was called.
    fn runtime(&mut self, pid: u32, start_boot_ns: u64, point: u32) -> Runtime {
        let (own, library) = match self.points.get(&point) {
            Some(point) => (point.runtime, point.library.clone()),
            None => (None, String::new()),
        };
        if !process_maps::is_of_start(pid, start_boot_ns) {
            return runtime::runtime_of(own, &library, [library.as_str()]);
        }
        let link = format!("/proc/{pid}/exe");
        let executable = std::fs::read_link(&link).ok();
        let known = self.of_executable(&link);
        let mapped = process_maps::mapped_paths(pid);
        let mapped: Vec<_> = mapped.iter().map(|path| String::from_utf8_lossy(path)).collect();
        // The process may end while it is looked at; the library is known to have been mapped.
        let mapped = mapped.iter().map(AsRef::as_ref).chain([library.as_str()]);
        let Some(executable) = executable else {
            return runtime::runtime_of(own, &library, mapped);
        };
        runtime::runtime_of(known, &executable.to_string_lossy(), mapped)
    }

    fn of_executable(&mut self, link: &str) -> Option<Runtime> {
        let executable = executable::identify(File::open(link).ok()?).ok()?;
        if let Some(known) = self.executables.get(&executable.key) {
            return *known;
        }
        let looked = look_into(&executable.file);
        if self.executables.len() >= EXECUTABLES_MAX {
            self.executables.clear();
        }
        self.executables.insert(executable.key, looked);
        looked
    }
}

fn look_into(file: &File) -> Option<Runtime> {
    let binary = Binary::open(file).ok()?;
    let symbols = Symbols::read(&binary, Tables::Dynamic);
    runtime::runtime_of_executable(&binary, &symbols)
}

/// Process, stack and attach point; none for other frames.
fn function_call(sample: &[u8]) -> Option<(Stack<'_>, u32)> {
    const BODY: usize = size_of::<FrameHeader>();
    const STACK: usize = BODY + size_of::<FunctionCallBody>();
    if u32::from(*sample.get(4)?) != FRAME_FUNCTION_CALL {
        return None;
    }
    let u32_at = |at: usize| Some(u32::from_le_bytes(*sample.get(at..)?.first_chunk()?));
    let start = sample.get(offset_of!(FrameHeader, start_boot_ns)..)?.first_chunk()?;
    let count = sample.get(BODY + offset_of!(FunctionCallBody, stack_count)..)?.first_chunk()?;
    let stack = Stack {
        pid: u32_at(offset_of!(FrameHeader, pid))?,
        start_boot_ns: u64::from_le_bytes(*start),
        namespace_pid: u32_at(offset_of!(FrameHeader, namespace_pid))?,
        uid: u32_at(offset_of!(FrameHeader, uid))?,
        addresses: sample.get(STACK..STACK + 8 * usize::from(u16::from_le_bytes(*count)))?,
    };
    Some((stack, u32_at(BODY + offset_of!(FunctionCallBody, attach_point))?))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::layout::{FRAME_ATTACH_POINT, FRAME_PROCESS_RUNTIME};

    fn call(pid: u32, start_boot_ns: u64, point: u32) -> Vec<u8> {
        let mut sample = vec![0; 80];
        sample[4] = FRAME_FUNCTION_CALL as u8;
        sample[24..28].copy_from_slice(&pid.to_le_bytes());
        sample[32..40].copy_from_slice(&start_boot_ns.to_le_bytes());
        sample[72..76].copy_from_slice(&point.to_le_bytes());
        sample
    }

    fn point(id: u32) -> Notice {
        let text = |text: &str| text.to_owned();
        let (symbol, library) = (text("f"), text("/usr/lib/libpython3.11.so.1.0"));
        Notice::AttachPoint { id, symbol, library, node_hash: text("sha256:00"), runtime: None }
    }

    fn kinds(frames: &[Vec<u8>]) -> Vec<u32> {
        frames.iter().map(|frame| frame[4].into()).collect()
    }

    #[test]
    fn points_and_processes_are_announced_once_and_after_an_exec_again() {
        let (send, notices) = channel();
        let mut announcer = Announcer::new(notices, true);
        send.send(point(4)).unwrap();
        let first = announcer.before(&call(0x3fff_ffff, 5, 4));
        assert_eq!(kinds(&first), [FRAME_ATTACH_POINT, FRAME_PROCESS_RUNTIME]);
        assert_eq!(first[1][64], Runtime::Python as u8);
        assert!(announcer.before(&call(0x3fff_ffff, 5, 4)).is_empty());
        assert_eq!(kinds(&announcer.before(&call(0x3fff_ffff, 6, 4))), [FRAME_PROCESS_RUNTIME]);
        send.send(point(4)).unwrap();
        send.send(Notice::Execed(0x3fff_ffff)).unwrap();
        assert_eq!(kinds(&announcer.before(&call(0x3fff_ffff, 6, 4))), [FRAME_PROCESS_RUNTIME]);
    }

    #[test]
    fn other_frames_need_nothing() {
        let (_send, notices) = channel();
        assert!(Announcer::new(notices, true).before(&[0; 96]).is_empty());
    }
}
