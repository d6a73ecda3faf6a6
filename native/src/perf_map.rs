//! Names of code that a runtime compiled in memory, from the file that it writes for perf: one line
//! `start size name` per function, the numbers in hex (tools/perf/Documentation/jit-interface.txt).
//!
//! The file is written by the process it is about, while it is read: hostile input, never mapped.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]

use std::ops::Range;

/// Bytes of the file that are read. What is behind them is the newest code, which then has no names.
pub const PERF_MAP_BYTES_MAX: u64 = 16 << 20;
/// Functions of one file.
const FUNCTIONS_MAX: usize = 400_000;
/// Functions that begin before an address and are looked at for it. They overlap when the runtime has
/// moved or freed code.
const OVERLAPS_MAX: usize = 64;

struct Function {
    start: u64,
    end: u64,
    name: Range<u32>,
    line: u32,
}

/// The functions of one perf map.
#[derive(Default)]
pub struct PerfMap {
    /// By start, then by line.
    functions: Vec<Function>,
    text: Vec<u8>,
}

impl PerfMap {
    /// What the text says. Lines that are malformed or not finished are left out.
    pub fn parse(text: Vec<u8>) -> Self {
        let mut functions = Vec::new();
        let mut begin = 0_usize;
        let lines = text.split_inclusive(|byte| *byte == b'\n').take(FUNCTIONS_MAX);
        for (number, line) in lines.enumerate() {
            functions.extend(function(line, begin, number));
            begin = begin.saturating_add(line.len());
        }
        functions.sort_by_key(|function| (function.start, function.line));
        functions.shrink_to_fit();
        Self { functions, text }
    }

    /// The name of the function that has the byte at this address; of several the one written last,
    /// which has replaced the others.
    pub fn at(&self, address: u64) -> Option<String> {
        let end = self.functions.partition_point(|function| function.start <= address);
        let before = self.functions.get(..end)?.iter().rev().take(OVERLAPS_MAX);
        let covering = before.filter(|function| address < function.end);
        let name = covering.max_by_key(|function| function.line)?.name.clone();
        let name = usize::try_from(name.start).ok()?..usize::try_from(name.end).ok()?;
        Some(String::from_utf8_lossy(self.text.get(name)?).into_owned())
    }

    /// Bytes of memory that it takes, about.
    pub fn bytes(&self) -> usize {
        let functions = self.functions.capacity().saturating_mul(size_of::<Function>());
        functions.saturating_add(self.text.capacity())
    }
}

/// The function of a whole line, which begins at this byte of the text.
fn function(line: &[u8], begin: usize, number: usize) -> Option<Function> {
    let line = line.strip_suffix(b"\n")?;
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (start, size) = (hex(words.next()?)?, hex(words.next()?)?);
    let name = words.next().filter(|name| !name.is_empty())?;
    let name_end = begin.checked_add(line.len())?;
    let name_begin = name_end.checked_sub(name.len())?;
    Some(Function {
        start,
        end: start.checked_add(size)?,
        name: u32::try_from(name_begin).ok()?..u32::try_from(name_end).ok()?,
        line: u32::try_from(number).ok()?,
    })
}

fn hex(word: &[u8]) -> Option<u64> {
    let word = std::str::from_utf8(word).ok()?;
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str, address: u64) -> Option<String> {
        PerfMap::parse(text.as_bytes().to_vec()).at(address)
    }

    #[test]
    fn a_function_has_the_bytes_from_its_start_to_its_size() {
        let text = "1000 20 JS:*fib /tmp/a b.js:1:13\n0x2000 0x8 py::main:/x.py\n";
        assert_eq!(name(text, 0x1000).as_deref(), Some("JS:*fib /tmp/a b.js:1:13"));
        assert_eq!(name(text, 0x101f).as_deref(), Some("JS:*fib /tmp/a b.js:1:13"));
        assert_eq!(name(text, 0x2007).as_deref(), Some("py::main:/x.py"));
        for address in [0, 0xfff, 0x1020, 0x2008, u64::MAX] {
            assert_eq!(name(text, address), None, "{address:#x}");
        }
    }

    #[test]
    fn code_that_was_replaced_has_the_newer_name() {
        assert_eq!(name("1000 20 old\n1000 20 new\n", 0x1010).as_deref(), Some("new"));
        assert_eq!(name("1008 20 old\n1000 20 new\n", 0x1010).as_deref(), Some("new"));
        assert_eq!(name("1000 40 long\n1010 8 inner\n", 0x1020).as_deref(), Some("long"));
    }

    #[test]
    fn broken_and_unfinished_lines_are_left_out() {
        let text = "\n \nzz 10 a\n1000 zz b\n1000 10\n1000 10 \nffffffffffffffff 10 c\n\
                    -1000 10 d\n2000 10 good\n1000 10 unfinish";
        let map = PerfMap::parse(text.as_bytes().to_vec());
        assert_eq!(map.functions.len(), 1);
        assert_eq!(map.at(0x2000).as_deref(), Some("good"));
        assert_eq!(map.at(0x1000), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let map = PerfMap::parse(b"1000 10 f\xff\n".to_vec());
        assert_eq!(map.at(0x1000).as_deref(), Some("f\u{fffd}"));
    }

    #[test]
    fn a_file_of_tiny_lines_is_cut_at_the_limit_and_takes_bounded_memory() {
        let map = PerfMap::parse(b"1 1 a\n".repeat(FUNCTIONS_MAX + 10));
        assert_eq!(map.functions.len(), FUNCTIONS_MAX);
        assert_eq!(map.at(1).as_deref(), Some("a"));
        assert!(map.bytes() < 20 << 20);
    }
}
