//! Positional, counted reads of a file that its owner may change or truncate at any moment.
//!
//! Files of workloads are never mapped: a page that is truncated away would kill the reader with
//! SIGBUS. A file that gets shorter between two reads is an error like any other.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::elf::ElfError;

/// Bytes that are read of one file, in all. The node binary, one of the largest with its own
/// OpenSSL, needs 19 MiB.
pub const BYTES_READ_MAX: u64 = 64 << 20;

/// What can be read at an offset: a file, or bytes in memory.
pub trait ReadAt {
    /// As pread(2): may return fewer bytes than asked for, 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// In bytes. Anything but a regular file is an error: a FIFO or a device has no bytes to keep.
    fn size(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        let metadata = self.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(metadata.len())
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest =
            usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or(&[]);
        let length = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// A source with its size when it was opened and the bytes that may still be read of it.
pub struct Bounded<'a> {
    source: &'a dyn ReadAt,
    size: u64,
    left: Cell<u64>,
}

impl<'a> Bounded<'a> {
    /// Nothing is read yet but the size.
    pub fn new(source: &'a dyn ReadAt) -> Result<Self, ElfError> {
        let size = source.size().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => ElfError::NotRegular,
            _ => ElfError::Io(error.to_string()),
        })?;
        Ok(Bounded { source, size, left: Cell::new(BYTES_READ_MAX) })
    }

    /// Of the file when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes read so far.
    #[cfg(test)]
    pub fn bytes_read(&self) -> u64 {
        BYTES_READ_MAX - self.left.get()
    }

    /// Exactly `length` bytes, of which no more than `limit` may be asked for; `what` names the
    /// limit. Nothing is allocated for bytes that the file cannot have.
    pub fn bytes(
        &self,
        offset: u64,
        length: u64,
        (limit, what): (u64, &'static str),
    ) -> Result<Vec<u8>, ElfError> {
        if length > limit {
            return Err(ElfError::Limit(what));
        }
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(ElfError::Truncated);
        }
        let left = self.left.get().checked_sub(length).ok_or(ElfError::Limit("bytes read"))?;
        self.left.set(left);
        let length = usize::try_from(length).map_err(|_| ElfError::Limit(what))?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn fill(&self, bytes: &mut [u8], offset: u64) -> Result<(), ElfError> {
        let mut rest = bytes;
        let mut offset = offset;
        while !rest.is_empty() {
            match self.source.read_at(rest, offset) {
                Ok(0) => return Err(ElfError::Truncated),
                Ok(count) => {
                    offset = offset.saturating_add(count as u64);
                    rest = rest.get_mut(count..).unwrap_or(&mut []);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ElfError::Io(error.to_string())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says it has `claimed` bytes and has fewer: a file truncated after it was opened.
    struct Shrunk {
        bytes: Vec<u8>,
        claimed: u64,
    }

    impl ReadAt for Shrunk {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.bytes.read_at(buffer, offset)
        }

        fn size(&self) -> io::Result<u64> {
            Ok(self.claimed)
        }
    }

    #[test]
    fn a_file_truncated_while_being_read_is_an_error() {
        let source = Shrunk { bytes: vec![7; 10], claimed: 100 };
        let bounded = Bounded::new(&source).unwrap();
        assert_eq!(bounded.bytes(0, 10, (50, "test")), Ok(vec![7; 10]));
        assert_eq!(bounded.bytes(5, 10, (50, "test")), Err(ElfError::Truncated));
    }

    #[test]
    fn no_more_is_read_than_the_limits_say() {
        let source = Shrunk { bytes: vec![0; 1 << 20], claimed: u64::MAX };
        let bounded = Bounded::new(&source).unwrap();
        assert_eq!(bounded.bytes(0, 11, (10, "names")), Err(ElfError::Limit("names")));
        for _ in 0..BYTES_READ_MAX >> 20 {
            assert!(bounded.bytes(0, 1 << 20, (1 << 20, "test")).is_ok());
        }
        assert_eq!(bounded.bytes(0, 1, (10, "test")), Err(ElfError::Limit("bytes read")));
        assert_eq!(bounded.bytes_read(), BYTES_READ_MAX);
    }

    #[test]
    fn a_fifo_and_a_directory_are_refused_at_once() {
        let directory = File::open("/").unwrap();
        assert_eq!(Bounded::new(&directory).err(), Some(ElfError::NotRegular));
        let device = File::open("/dev/zero").unwrap();
        assert_eq!(Bounded::new(&device).err(), Some(ElfError::NotRegular));
    }
}
