//! Reads what is needed of an ELF file: where its parts are, who it is, what it maps executable.
//!
//! The file is hostile input read by a privileged process: it is not mapped, each count and size
//! has a limit with a name, arithmetic is checked, and nothing is indexed without a check.
//! Only 64-bit little-endian x86-64 and AArch64 files are read. Layout: elf(5), gABI chapters 4, 5.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]

use std::fmt;

use crate::elf_headers::{Section, Segment, read_sections, read_segments};
use crate::fields::Fields;
use crate::read_at::{Bounded, ReadAt};

/// Bytes of one note section or segment.
const NOTES_BYTES_MAX: u64 = 64 << 10;
/// A SHA-1 build id has 20 bytes; `--build-id=0x...` may choose any.
const BUILD_ID_BYTES_MAX: usize = 64;

const HEADER_BYTES: u64 = 64;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const SHT_NOTE: u32 = 7;

/// Why a file cannot be probed, or not wholly. Each is one sentence for the diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// A FIFO, a device, a directory.
    NotRegular,
    /// Not an ELF file at all: a script, data.
    NotElf,
    /// ELF of a kind that is not read: 32 bits, big-endian, another processor.
    Unsupported(&'static str),
    /// It ends before what its headers say.
    Truncated,
    /// It contradicts the format.
    Malformed(&'static str),
    /// It has more of this than is read of one file.
    Limit(&'static str),
    /// The kernel's own words.
    Io(String),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElfError::NotRegular => f.write_str("it is not a regular file"),
            ElfError::NotElf => f.write_str("it is not an ELF file"),
            ElfError::Unsupported(what) => write!(f, "its ELF kind is not supported: {what}"),
            ElfError::Truncated => f.write_str("it ends before what its headers promise"),
            ElfError::Malformed(what) => write!(f, "its {what} is malformed"),
            ElfError::Limit(what) => write!(f, "it exceeds the limit on {what}"),
            ElfError::Io(message) => write!(f, "it cannot be read: {message}"),
        }
    }
}

impl std::error::Error for ElfError {}

/// The processors whose code is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// `EM_X86_64`
    X86_64,
    /// `EM_AARCH64`
    Aarch64,
}

/// An opened ELF file whose headers were understood.
pub struct Binary<'a> {
    file: Bounded<'a>,
    machine: Machine,
    sections: Vec<Section>,
    segments: Vec<Segment>,
    build_id: Option<String>,
    is_go: bool,
}

impl<'a> Binary<'a> {
    /// Reads the headers, some KiB. Give it a `&File`; system calls: statx, pread64.
    ///
    /// A FIFO cannot block here, but it can in open(2): open with `O_NONBLOCK`.
    pub fn open(source: &'a dyn ReadAt) -> Result<Self, ElfError> {
        let file = Bounded::new(source)?;
        if file.size() < HEADER_BYTES {
            return Err(ElfError::NotElf);
        }
        let header = file.bytes(0, HEADER_BYTES, (HEADER_BYTES, "header bytes"))?;
        let header = Fields(&header);
        if header.get(0, 4) != Some(b"\x7fELF".as_slice()) {
            return Err(ElfError::NotElf);
        }
        if header.u8(4) != Some(2) {
            return Err(ElfError::Unsupported("not 64-bit"));
        }
        if header.u8(5) != Some(1) {
            return Err(ElfError::Unsupported("big-endian"));
        }
        let machine = match header.u16(18) {
            Some(62) => Machine::X86_64,
            Some(183) => Machine::Aarch64,
            _ => return Err(ElfError::Unsupported("neither x86-64 nor AArch64")),
        };
        let segments = read_segments(&file, &header)?;
        let sections = read_sections(&file, &header)?;
        let (build_id, is_go) = (None, false);
        let mut binary = Binary { file, machine, sections, segments, build_id, is_go };
        // Now, and not when asked for: what is known of a file must not depend on what was read of
        // it before.
        binary.build_id = binary.find_build_id();
        binary.is_go = binary.find_go();
        Ok(binary)
    }

    /// What its code is for.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Whether it asks for a dynamic loader. A static executable contains its own libc.
    pub fn has_interpreter(&self) -> bool {
        self.segments.iter().any(|segment| segment.kind == PT_INTERP)
    }

    /// All sections; empty when the headers were stripped.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Bytes of the file read so far.
    #[cfg(test)]
    pub fn bytes_read(&self) -> u64 {
        self.file.bytes_read()
    }

    /// Of the file when it was opened, in bytes.
    pub fn size(&self) -> u64 {
        self.file.size()
    }

    /// Whether a Go toolchain linked it. Its stacks move, so nothing may be put at its returns.
    ///
    /// The note and the section are in stripped binaries too: golang.org/issue/13357.
    pub fn is_go(&self) -> bool {
        self.is_go
    }

    /// The GNU build id in lower-case hex: the same for every copy of the file, stripped or not.
    pub fn build_id(&self) -> Option<&str> {
        self.build_id.as_deref()
    }

    /// The file offset of a virtual address in executable memory; none if nothing of the file is
    /// mapped there, or if several segments claim the address: then it is not known which one wins.
    pub fn code_offset(&self, address: u64) -> Option<u64> {
        self.code_at(address).map(|(offset, _)| offset)
    }

    /// The file offset of a virtual address in any memory; the first segment that claims it.
    pub fn data_offset(&self, address: u64) -> Option<u64> {
        let loaded = self.segments.iter().filter(|segment| segment.kind == PT_LOAD);
        let mut offsets = loaded.filter_map(|segment| {
            let distance = address.checked_sub(segment.address)?;
            (distance < segment.bytes_in_file).then(|| segment.offset.checked_add(distance))?
        });
        offsets.next()
    }

    /// Offset and bytes of the dynamic section, which dynamic loaders read.
    pub fn dynamic_segment(&self) -> Option<(u64, u64)> {
        let dynamic = self.segments.iter().find(|segment| segment.kind == PT_DYNAMIC)?;
        Some((dynamic.offset, dynamic.bytes_in_file))
    }

    /// The virtual address of a file offset in executable memory.
    pub fn code_address(&self, offset: u64) -> Option<u64> {
        let mut addresses = self.code_segments().filter_map(|segment| {
            let distance = offset.checked_sub(segment.offset)?;
            (distance < segment.bytes_in_file).then(|| segment.address.checked_add(distance))?
        });
        let address = addresses.next()?;
        // And back: the file may end before, or another segment claim the address.
        let same = self.code_offset(address) == Some(offset);
        (same && addresses.next().is_none()).then_some(address)
    }

    /// At most `length` bytes of code from an address on, to the end of its segment.
    pub fn code(&self, address: u64, length: u64, limit: u64) -> Result<Vec<u8>, ElfError> {
        let (offset, left) =
            self.code_at(address).ok_or(ElfError::Malformed("function address"))?;
        self.file.bytes(offset, length.min(left), (limit, "bytes of a function"))
    }

    /// Bytes of the file from its start or any offset on, for who knows what is there.
    pub fn bytes(
        &self,
        offset: u64,
        length: u64,
        limit: (u64, &'static str),
    ) -> Result<Vec<u8>, ElfError> {
        self.file.bytes(offset, length, limit)
    }

    fn code_segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.kind == PT_LOAD && segment.executable)
    }

    /// The offset of the address, and how many bytes of the segment are left from there.
    fn code_at(&self, address: u64) -> Option<(u64, u64)> {
        let mut found = None;
        for segment in self.segments.iter().filter(|segment| segment.kind == PT_LOAD) {
            let Some(distance) = address.checked_sub(segment.address) else { continue };
            let Some(left) = segment.bytes_in_file.checked_sub(distance) else { continue };
            if left == 0 {
                continue;
            }
            if found.is_some() || !segment.executable {
                return None;
            }
            let offset = segment.offset.checked_add(distance)?;
            if offset >= self.file.size() {
                return None;
            }
            found = Some((offset, left));
        }
        found
    }

    fn find_build_id(&self) -> Option<String> {
        const NT_GNU_BUILD_ID: u32 = 3;
        let id = self.note(b"GNU\0", NT_GNU_BUILD_ID)?;
        (!id.is_empty() && id.len() <= BUILD_ID_BYTES_MAX).then(|| crate::node_hash::hex(&id))
    }

    fn find_go(&self) -> bool {
        let by_name = |section: &Section| {
            matches!(
                section.name.as_slice(),
                b".go.buildinfo" | b".note.go.buildid" | b".gopclntab"
            )
        };
        self.sections.iter().any(by_name) || self.note(b"Go\0\0", 4).is_some()
    }

    /// The first note of this name (with its NUL) and type, wherever it is.
    fn note(&self, name: &[u8], kind: u32) -> Option<Vec<u8>> {
        let segments = self.segments.iter().filter(|segment| segment.kind == PT_NOTE);
        let segments = segments.map(|segment| (segment.offset, segment.bytes_in_file));
        let sections = self.sections.iter().filter(|section| section.kind == SHT_NOTE);
        let sections = sections.map(|section| (section.offset, section.size));
        segments.chain(sections).find_map(|(offset, size)| {
            let notes = self.file.bytes(offset, size, (NOTES_BYTES_MAX, "bytes of notes")).ok()?;
            find_note(&notes, name, kind)
        })
    }
}

/// Notes are aligned by 4 in practice, even where `p_align` says 8.
fn find_note(notes: &[u8], name: &[u8], kind: u32) -> Option<Vec<u8>> {
    let fields = Fields(notes);
    let mut at = 0_usize;
    loop {
        let name_length = usize::try_from(fields.u32(at)?).ok()?;
        let value_length = usize::try_from(fields.u32(at.checked_add(4)?)?).ok()?;
        let note_kind = fields.u32(at.checked_add(8)?)?;
        let name_at = at.checked_add(12)?;
        let value_at = name_at.checked_add(name_length.checked_next_multiple_of(4)?)?;
        if note_kind == kind && fields.get(name_at, name_length) == Some(name) {
            return fields.get(value_at, value_length).map(<[u8]>::to_vec);
        }
        at = value_at.checked_add(value_length.checked_next_multiple_of(4)?)?;
    }
}

#[cfg(test)]
#[path = "elf/tests.rs"] // The fuzz crate includes this file by its path.
mod tests;
