//! Little-endian structures and string tables in bytes that nobody vouches for.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]

/// The string at an offset of a string table, without its NUL.
pub fn string_at(table: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = table.get(usize::try_from(offset).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    rest.get(..end)
}

/// Little-endian fields of a structure.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// `length` bytes from `at` on.
    pub fn get(&self, at: usize, length: usize) -> Option<&'a [u8]> {
        self.0.get(at..at.checked_add(length)?)
    }

    /// One byte.
    pub fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    /// Two bytes.
    pub fn u16(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.get(at, 2)?.try_into().ok()?))
    }

    /// Four bytes.
    pub fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.get(at, 4)?.try_into().ok()?))
    }

    /// Eight bytes.
    pub fn u64(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.get(at, 8)?.try_into().ok()?))
    }
}
