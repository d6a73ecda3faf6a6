//! `node_hash`, version 1: a name for a function that is the same in every process, on every host
//! and at every load address. Another tool can compute it:
//!
//! ```text
//! node_hash = "sha256:" + hex(SHA-256(UTF-8 of
//!               "runtime-evidence/node-hash/v1\n" + identity + "\n" + place))
//! identity  = "build-id:" + hex of the GNU build id, where the file has one; else
//!             "sha256:" + hex(SHA-256(file)), for files of at most 64 MiB; else
//!             "sha256-ends:" + hex(SHA-256(size as decimal + "\n" + first MiB + last MiB))
//! place     = "symbol:" + name, else "offset:0x" + hex of the offset in the file
//! ```
//!
//! `name` is, of the mangled names of the function's address, in .dynsym or else in .symtab, the
//! shortest, then the first in the order of bytes, if no other address has that name in the same
//! table. A stripped copy keeps its build id and .dynsym, so exported functions keep their hash.
//! A library linked into an executable has become another file with another build id: nothing in
//! it tells which library it was, so its functions hash differently.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]

use std::io;

use sha2::{Digest, Sha256};

use crate::elf::{Binary, ElfError};
use crate::read_at::ReadAt;

/// Files that are larger and have no build id are hashed by their ends.
pub const WHOLE_FILE_BYTES_MAX: u64 = 64 << 20;
const END_BYTES: u64 = 1 << 20;
const CHUNK_BYTES: usize = 256 << 10;

/// The hash of a function, as the event has it.
pub fn node_hash(identity: &str, place: &str) -> String {
    let text = format!("runtime-evidence/node-hash/v1\n{identity}\n{place}");
    format!("sha256:{}", hex(&Sha256::digest(text.as_bytes())))
}

/// Who the file is. Without a build id it is read, which takes a second for 64 MiB at worst: ask
/// once per file.
pub fn identity(binary: &Binary, source: &dyn ReadAt) -> Result<String, ElfError> {
    if let Some(id) = binary.build_id() {
        return Ok(format!("build-id:{id}"));
    }
    let size = binary.size();
    let mut digest = Sha256::new();
    if size <= WHOLE_FILE_BYTES_MAX {
        feed(&mut digest, source, 0, size)?;
        return Ok(format!("sha256:{}", hex(&digest.finalize())));
    }
    digest.update(format!("{size}\n").as_bytes());
    feed(&mut digest, source, 0, END_BYTES)?;
    feed(&mut digest, source, size.saturating_sub(END_BYTES), END_BYTES)?;
    Ok(format!("sha256-ends:{}", hex(&digest.finalize())))
}

fn feed(digest: &mut Sha256, source: &dyn ReadAt, from: u64, length: u64) -> Result<(), ElfError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut at, mut left) = (from, length);
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let buffer = chunk.get_mut(..wanted).unwrap_or_default();
        let count = match source.read_at(buffer, at) {
            Ok(0) => return Err(ElfError::Truncated),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ElfError::Io(error.to_string())),
        };
        digest.update(buffer.get(..count).unwrap_or_default());
        at = at.saturating_add(count as u64);
        left = left.saturating_sub(count as u64);
    }
    Ok(())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_gives_what_sha256sum_gives() {
        // printf 'runtime-evidence/node-hash/v1\nbuild-id:00ff\nsymbol:SSL_read' | sha256sum
        assert_eq!(node_hash("build-id:00ff", "symbol:SSL_read"), EXPECTED);
    }
    const EXPECTED: &str =
        "sha256:62848cba66b6774e675eeb0d8c0b859e9e8b8f1d7a880d462c4d06619167c22c";
}
