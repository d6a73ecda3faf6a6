//! Arrays of the kernel, mapped into this process.

use std::io::Error;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use libbpf_rs::{MapCore, MapHandle};

use crate::diagnostics::Failure;

/// The values of an array map (`BPF_F_MMAPABLE`), at `index * value_size`.
///
/// The memory belongs to the kernel: it is never truncated and never moves, other CPUs write to it at
/// any time. So it is only touched through atomics.
pub struct MappedArray {
    base: NonNull<u8>,
    bytes: usize,
}

/// Whether this process writes to a mapped array.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It only reads.
    Read,
    /// It reads and writes.
    Write,
}

impl MappedArray {
    /// Maps all values of `map`. Values must have a size that is a multiple of 8.
    pub fn new(map: &MapHandle, access: Access) -> Result<Self, Failure> {
        let bytes = map.max_entries() as usize * map.value_size() as usize;
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::Write => libc::PROT_READ | libc::PROT_WRITE,
        };
        let fd = map.as_fd().as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd, 0) };
        match NonNull::new(base.cast::<u8>()) {
            Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { base, bytes }),
            _ => Err(Failure::new(
                "map_failed",
                format!("failed to map {:?}: {}", map.name(), Error::last_os_error()),
            )),
        }
    }

    /// The u64 at a byte offset.
    pub fn u64_at(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.bytes, "outside of the array");
        // SAFETY: in bounds and aligned (checked above, the base is page aligned); the mapping lives
        // as long as `self`; atomics allow for the other writers.
        unsafe { AtomicU64::from_ptr(self.base.add(offset).as_ptr().cast()) }
    }

    /// The u32 at a byte offset.
    pub fn u32_at(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.bytes, "outside of the array");
        // SAFETY: as in `u64_at`.
        unsafe { AtomicU32::from_ptr(self.base.add(offset).as_ptr().cast()) }
    }
}

impl Drop for MappedArray {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
