//! The frames that the probe itself writes. Those of the kernel programs arrive complete.

use std::mem::offset_of;

use crate::clock;
use crate::layout::{
    AttachPointBody, ClockBody, CountersBody, FRAME_ALIGN, FRAME_ATTACH_POINT, FRAME_CLOCK,
    FRAME_COUNTERS, FRAME_F_FINAL, FRAME_HELLO, FRAME_MAGIC, FRAME_PROCESS_RUNTIME,
    FRAME_PROTOCOL_VERSION, FRAME_SYMBOL, FrameHeader, HelloBody, LAYOUT_HASH, ProcessRuntimeBody,
    SymbolBody,
};

/// Of a symbol or path; neither is longer in practice, and a frame of two such is believed.
const ATTACH_POINT_TEXT_BYTES_MAX: usize = 8192;
/// C++ names reach thousands, and there is one for each address of each process.
const SYMBOL_TEXT_BYTES_MAX: usize = 1024;

#[cfg(not(target_endian = "little"))]
compile_error!("frames are little-endian: a big-endian probe would have to swap");

/// The first frame of a stream; `json` tells about kernel and hooks.
pub fn hello(json: &str) -> Vec<u8> {
    let body = HelloBody {
        magic: FRAME_MAGIC,
        protocol_version: FRAME_PROTOCOL_VERSION as u16,
        header_size: size_of::<FrameHeader>() as u16,
        layout_hash: LAYOUT_HASH,
        realtime_offset_ns: clock::realtime_offset_ns(),
        json_length: json.len() as u32,
        reserved: 0,
    };
    frame(FRAME_HELLO, 0, bytes_of(&body), json.as_bytes())
}

/// A new offset between boot time and wall clock.
pub fn clock(realtime_offset_ns: i64) -> Vec<u8> {
    frame(FRAME_CLOCK, 0, bytes_of(&ClockBody { realtime_offset_ns }), &[])
}

/// The totals since start. The last frame of a stream is a final one.
pub fn counters(totals: &CountersBody, last: bool) -> Vec<u8> {
    let flags = if last { FRAME_F_FINAL } else { 0 };
    frame(FRAME_COUNTERS, flags, bytes_of(totals), &[])
}

/// What an attach point of function_call is.
pub fn attach_point(id: u32, symbol: &str, library: &str, node_hash: &str) -> Vec<u8> {
    let text = |text: &str| text.len().min(ATTACH_POINT_TEXT_BYTES_MAX) as u16;
    let (symbol_length, library_length) = (text(symbol), text(library));
    let body = AttachPointBody {
        attach_point: id,
        symbol_length,
        library_length,
        node_hash_length: text(node_hash),
        reserved: [0; 3],
    };
    let cut = |text: &str, length: u16| text.as_bytes()[..length.into()].to_vec();
    let strings =
        [cut(symbol, symbol_length), cut(library, library_length), node_hash.into()].concat();
    frame(FRAME_ATTACH_POINT, 0, bytes_of(&body), &strings)
}

/// What the process (pid, start) runs: `enum process_runtime`.
pub fn process_runtime(pid: u32, start_boot_ns: u64, runtime: u8) -> Vec<u8> {
    let body = ProcessRuntimeBody { runtime, reserved: [0; 7] };
    of_process(frame(FRAME_PROCESS_RUNTIME, 0, bytes_of(&body), &[]), pid, start_boot_ns)
}

/// What is at an address of the process (pid, start).
pub fn symbol(pid: u32, start_boot_ns: u64, address: u64, text: &str) -> Vec<u8> {
    let text = &text[..text.floor_char_boundary(SYMBOL_TEXT_BYTES_MAX)];
    let body = SymbolBody { address, text_length: text.len() as u16, reserved: [0; 3] };
    of_process(frame(FRAME_SYMBOL, 0, bytes_of(&body), text.as_bytes()), pid, start_boot_ns)
}

fn of_process(mut frame: Vec<u8>, pid: u32, start_boot_ns: u64) -> Vec<u8> {
    let (pid_at, start_at) = (offset_of!(FrameHeader, pid), offset_of!(FrameHeader, start_boot_ns));
    frame[pid_at..pid_at + 4].copy_from_slice(&pid.to_le_bytes());
    frame[start_at..start_at + 8].copy_from_slice(&start_boot_ns.to_le_bytes());
    frame
}

/// The length that a frame says it has; none if it is too short to say so.
pub fn stated_length(frame: &[u8]) -> Option<usize> {
    let length = frame.first_chunk::<4>()?;
    (frame.len() >= size_of::<FrameHeader>()).then(|| u32::from_le_bytes(*length) as usize)
}

fn frame(kind: u32, flags: u32, body: &[u8], string: &[u8]) -> Vec<u8> {
    let length = size_of::<FrameHeader>() + body.len() + string.len();
    let padded = length.next_multiple_of(FRAME_ALIGN as usize);
    let header = FrameHeader {
        length: padded as u32,
        kind: kind as u8,
        probe: 0,
        flags: flags as u16,
        boot_ns: clock::boot_ns(),
        cgroup_id: 0,
        pid: 0,
        tid: 0,
        start_boot_ns: 0,
        namespace_pid: 0,
        uid: 0,
        comm: [0; 16],
    };
    let mut frame = Vec::with_capacity(padded);
    frame.extend_from_slice(bytes_of(&header));
    frame.extend_from_slice(body);
    frame.extend_from_slice(string);
    frame.resize(padded, 0);
    frame
}

/// Types of frame.h: integers and arrays of integers, without padding.
trait Plain: Copy {}
impl Plain for FrameHeader {}
impl Plain for HelloBody {}
impl Plain for ClockBody {}
impl Plain for CountersBody {}
impl Plain for AttachPointBody {}
impl Plain for ProcessRuntimeBody {}
impl Plain for SymbolBody {}

fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: a `Plain` type has no padding, so each of its bytes is initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_aligned_and_say_their_length() {
        for json in ["", "{}", "{\"a\":1}x"] {
            let frame = hello(json);
            assert_eq!(stated_length(&frame), Some(frame.len()));
            assert_eq!(frame.len() % 8, 0);
            assert_eq!(&frame[64..68], b"REVF");
            assert_eq!(&frame[96..96 + json.len()], json.as_bytes());
        }
        assert_eq!(stated_length(&[64, 0, 0, 0]), None);
    }
}
