//! The dynamic symbols of a file without section headers: `sstrip` and some packers remove them,
//! the dynamic loader does without. gABI chapter 5 "Dynamic Section"; the GNU hash table is
//! described at sourceware.org/ml/binutils/2006-10/msg00377.html.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]

use crate::elf::{Binary, ElfError};
use crate::fields::Fields;

/// Bytes of the dynamic section; a kilobyte is usual.
const DYNAMIC_BYTES_MAX: u64 = 64 << 10;
const SYMBOL_BYTES: u64 = 24;

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

/// A range of the file: offset and bytes.
pub type Range = (u64, u64);

/// Where the dynamic symbols and their names are; none in a file without a dynamic section.
/// `symbols_max` bounds how many there may be.
pub fn symbol_table(binary: &Binary, symbols_max: u64) -> Result<Option<(Range, Range)>, ElfError> {
    let Some((offset, size)) = binary.dynamic_segment() else { return Ok(None) };
    let section =
        binary.bytes(offset, size, (DYNAMIC_BYTES_MAX, "bytes of its dynamic section"))?;
    let malformed = ElfError::Malformed("dynamic section");
    let value = |tag: u64| {
        let entries = section.chunks_exact(16).map(Fields);
        entries
            .take_while(|entry| entry.u64(0) != Some(0))
            .find_map(|entry| (entry.u64(0)? == tag).then(|| entry.u64(8))?)
    };
    let file_offset = |tag: u64| value(tag).and_then(|address| binary.data_offset(address));
    let (Some(symbols), Some(names), Some(names_size)) =
        (file_offset(DT_SYMTAB), file_offset(DT_STRTAB), value(DT_STRSZ))
    else {
        return Err(malformed);
    };
    let count = if let Some(hash) = file_offset(DT_HASH) {
        u64::from(word(binary, hash, 1)?)
    } else if let Some(hash) = file_offset(DT_GNU_HASH) {
        count_by_gnu_hash(binary, hash, symbols_max)?
    } else {
        return Err(malformed);
    };
    if count > symbols_max {
        return Err(ElfError::Limit("symbols"));
    }
    Ok(Some(((symbols, count.saturating_mul(SYMBOL_BYTES)), (names, names_size))))
}

/// The table does not say how many symbols there are: the last one ends the chain of the bucket
/// that begins last. Header: buckets, first symbol, 64-bit bloom words, shift.
fn count_by_gnu_hash(binary: &Binary, hash: u64, symbols_max: u64) -> Result<u64, ElfError> {
    let buckets = u64::from(word(binary, hash, 0)?);
    let first_symbol = u64::from(word(binary, hash, 1)?);
    let bloom_words = u64::from(word(binary, hash, 2)?);
    if buckets > symbols_max || bloom_words > symbols_max {
        return Err(ElfError::Limit("symbols"));
    }
    let buckets_at = hash.saturating_add(16).saturating_add(bloom_words.saturating_mul(8));
    let length = buckets.saturating_mul(4);
    let table = binary.bytes(buckets_at, length, (length, "symbols"))?;
    let starts = table.chunks_exact(4).filter_map(|bucket| Fields(bucket).u32(0));
    let last_start = u64::from(starts.max().unwrap_or(0));
    if last_start < first_symbol {
        return Ok(first_symbol);
    }
    // In pieces: where the chain ends is not known before.
    const PIECE: u64 = 64;
    let chains_at = buckets_at.saturating_add(length);
    let mut index = last_start;
    while index <= symbols_max {
        let at = chains_at.saturating_add(index.saturating_sub(first_symbol).saturating_mul(4));
        let left = binary.size().saturating_sub(at).min(PIECE);
        let piece = binary.bytes(at, left, (PIECE, "symbols"))?;
        let chain: Vec<u32> =
            piece.chunks_exact(4).filter_map(|hash| Fields(hash).u32(0)).collect();
        if chain.is_empty() {
            return Err(ElfError::Truncated);
        }
        for hash in chain {
            index = index.saturating_add(1);
            if hash & 1 == 1 {
                return Ok(index);
            }
        }
    }
    Err(ElfError::Limit("symbols"))
}

/// The word of this index in a table of words.
fn word(binary: &Binary, table: u64, index: u64) -> Result<u32, ElfError> {
    let bytes = binary.bytes(table.saturating_add(index.saturating_mul(4)), 4, (4, "symbols"))?;
    Fields(&bytes).u32(0).ok_or(ElfError::Truncated)
}
