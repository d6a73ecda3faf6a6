//! The two tables of an ELF file: program headers, which the kernel goes by, and section headers.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]

use crate::elf::ElfError;
use crate::fields::{Fields, string_at};
use crate::read_at::Bounded;

/// Section headers of one file. `-ffunction-sections` is undone by the linker: dozens are usual.
pub const SECTIONS_MAX: u64 = 8192;
/// Program headers of one file; a dozen is usual.
pub const SEGMENTS_MAX: u64 = 256;
/// Bytes of the section names.
const SECTION_NAMES_BYTES_MAX: u64 = 1 << 20;
/// Of one name; a hostile table may let thousands share one long string.
const SECTION_NAME_BYTES_MAX: usize = 64;

const SECTION_BYTES: u16 = 64;
const SEGMENT_BYTES: u16 = 56;
const EXTENDED_COUNT: u16 = 0xffff;

const PF_X: u32 = 1;

/// A section header, without what is not used.
#[derive(Clone, Debug)]
pub struct Section {
    /// Raw bytes: may be anything in a hostile file.
    pub name: Vec<u8>,
    /// `SHT_*`
    pub kind: u32,
    /// In the file.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
    /// For symbols: the section of their names.
    pub link: u32,
}

/// A program header, without what is not used.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// `PT_*`
    pub kind: u32,
    /// Whether its pages may be executed.
    pub executable: bool,
    /// In the file.
    pub offset: u64,
    /// Virtual.
    pub address: u64,
    /// May be fewer than in memory.
    pub bytes_in_file: u64,
}

/// The program headers; a file that the kernel runs has some.
pub fn read_segments(file: &Bounded, header: &Fields) -> Result<Vec<Segment>, ElfError> {
    let malformed = ElfError::Malformed("program header table");
    let (Some(offset), Some(entry), Some(count)) = (header.u64(32), header.u16(54), header.u16(56))
    else {
        return Err(malformed);
    };
    if count == 0 || entry != SEGMENT_BYTES {
        return Err(malformed);
    }
    if u64::from(count) > SEGMENTS_MAX {
        return Err(ElfError::Limit("program headers"));
    }
    let length = u64::from(count).saturating_mul(u64::from(entry));
    let table = file.bytes(offset, length, (length, "program headers"))?;
    let segment = |entry: &[u8]| {
        let fields = Fields(entry);
        Some(Segment {
            kind: fields.u32(0)?,
            executable: fields.u32(4)? & PF_X != 0,
            offset: fields.u64(8)?,
            address: fields.u64(16)?,
            bytes_in_file: fields.u64(32)?,
        })
    };
    table.chunks_exact(usize::from(entry)).map(segment).collect::<Option<_>>().ok_or(malformed)
}

/// The section headers; none where they were stripped.
pub fn read_sections(file: &Bounded, header: &Fields) -> Result<Vec<Section>, ElfError> {
    let malformed = || ElfError::Malformed("section header table");
    let (Some(offset), Some(entry), Some(count), Some(names)) =
        (header.u64(40), header.u16(58), header.u16(60), header.u16(62))
    else {
        return Err(malformed());
    };
    if offset == 0 {
        return Ok(Vec::new());
    }
    if entry != SECTION_BYTES {
        return Err(malformed());
    }
    let entry = u64::from(entry);
    // Counts that do not fit are in the first entry: gABI, "Number of sections".
    let first = file.bytes(offset, entry, (entry, "section headers"))?;
    let first = Fields(&first);
    let count = if count == 0 { first.u64(32).ok_or_else(malformed)? } else { u64::from(count) };
    let names = if names == EXTENDED_COUNT { first.u32(40) } else { Some(u32::from(names)) };
    if count > SECTIONS_MAX {
        return Err(ElfError::Limit("section headers"));
    }
    let length = count.saturating_mul(entry);
    let table = file.bytes(offset, length, (length, "section headers"))?;
    let mut sections = Vec::new();
    let mut name_offsets = Vec::new();
    for entry in table.chunks_exact(usize::from(SECTION_BYTES)) {
        let (name, section) = section(&Fields(entry)).ok_or_else(malformed)?;
        name_offsets.push(name);
        sections.push(section);
    }
    // Without names, the types of the sections still lead to the symbols.
    let names = names.and_then(|names| sections.get(usize::try_from(names).ok()?));
    let names = names.and_then(|names| {
        file.bytes(names.offset, names.size, (SECTION_NAMES_BYTES_MAX, "section names")).ok()
    });
    let names = names.unwrap_or_default();
    for (section, offset) in sections.iter_mut().zip(name_offsets) {
        let name = string_at(&names, offset).unwrap_or_default();
        section.name =
            name.get(..name.len().min(SECTION_NAME_BYTES_MAX)).unwrap_or_default().to_vec();
    }
    Ok(sections)
}

/// The offset of its name, and the section without it.
fn section(fields: &Fields) -> Option<(u32, Section)> {
    let section = Section {
        name: Vec::new(),
        kind: fields.u32(4)?,
        offset: fields.u64(24)?,
        size: fields.u64(32)?,
        link: fields.u32(40)?,
    };
    Some((fields.u32(0)?, section))
}
