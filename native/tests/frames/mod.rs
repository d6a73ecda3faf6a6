//! Frames as the probe writes them, for tests that read its output.

use std::io::{Read, Write};

pub struct Frame {
    pub kind: u8,
    pub flags: u16,
    pub pid: u32,
    pub body: Vec<u8>,
}

impl Frame {
    pub fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.body[at..at + 8].try_into().unwrap())
    }
}

/// None at the end of the stream.
pub fn read_frame(stream: &mut impl Read) -> Option<Frame> {
    let mut header = [0; 64];
    stream.read_exact(&mut header).ok()?;
    let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let mut body = vec![0; u32_at(0) as usize - header.len()];
    stream.read_exact(&mut body).unwrap();
    let flags = u16::from_le_bytes([header[6], header[7]]);
    Some(Frame { kind: header[4], flags, pid: u32_at(24), body })
}

/// Not by a macro of print: what those write is shown of failed tests only.
#[allow(clippy::explicit_write)]
pub fn skipped(reason: &str) {
    let test = std::thread::current().name().unwrap_or("").to_owned();
    writeln!(std::io::stderr(), "skipped {test}: {reason}").unwrap();
}
