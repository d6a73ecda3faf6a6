//! perf events: the rings in which the kernel tells of new executable mappings, and single uprobes.

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use libbpf_rs::libbpf_sys::{self, perf_event_attr, perf_event_mmap_page};

use crate::perf_record::{self, Record};

/// Data bytes of one CPU's ring: about a thousand mappings. Overflow is told by a record of its own.
const RING_BYTES: usize = 128 << 10;
const PAGE_BYTES: usize = 4096;

/// The mappings, forks, execs and exits on one CPU.
///
/// The memory belongs to the kernel, which writes to it at any time; the reader owns what is between
/// `data_tail` and `data_head` (`struct perf_event_mmap_page` of include/uapi/linux/perf_event.h).
pub struct PerfRing {
    event: OwnedFd,
    base: NonNull<u8>,
    header_bytes: usize,
}

// SAFETY: the mapping belongs to this value alone, and no thread is preferred by the kernel.
unsafe impl Send for PerfRing {}

impl PerfRing {
    /// Watches all processes on `cpu`. Needs CAP_PERFMON, or perf_event_paranoid at most 0.
    pub fn open(cpu: i32) -> Result<Self, Error> {
        let mut attributes = perf_event_attr {
            type_: libbpf_sys::PERF_TYPE_SOFTWARE,
            config: libbpf_sys::PERF_COUNT_SW_DUMMY.into(),
            sample_type: libbpf_sys::PERF_SAMPLE_TIME.into(),
            clockid: libc::CLOCK_BOOTTIME,
            ..perf_event_attr::default()
        };
        // `mmap` is about executable mappings, mmap2 adds the inode; `task` is about forks and exits.
        attributes.set_mmap(1);
        attributes.set_mmap2(1);
        attributes.set_task(1);
        attributes.set_comm(1);
        attributes.set_comm_exec(1);
        attributes.set_sample_id_all(1);
        attributes.set_use_clockid(1);
        attributes.set_watermark(1);
        attributes.__bindgen_anon_2.wakeup_watermark = 1;
        let event = open_event(&mut attributes, -1, cpu)?;
        let header_bytes = page_bytes();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (bytes, fd) = (header_bytes + RING_BYTES, event.as_raw_fd());
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd, 0) };
        match NonNull::new(base.cast::<u8>()) {
            Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => {
                Ok(Self { event, base, header_bytes })
            }
            _ => Err(Error::last_os_error()),
        }
    }

    /// Becomes readable when there are records.
    pub fn descriptor(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Appends all waiting records to `records`.
    pub fn take(&mut self, records: &mut Vec<Record>) {
        let head = self.position(std::mem::offset_of!(perf_event_mmap_page, data_head));
        let tail = self.position(std::mem::offset_of!(perf_event_mmap_page, data_tail));
        let (end, mut at) = (head.load(Ordering::Acquire), tail.load(Ordering::Relaxed));
        let mut bytes = Vec::new();
        while at < end {
            let length = usize::from(u16::from_le_bytes([self.byte(at + 6), self.byte(at + 7)]));
            if length < 8 || length as u64 > end - at {
                break;
            }
            bytes.clear();
            bytes.extend((0..length as u64).map(|index| self.byte(at + index)));
            records.extend(perf_record::parse(&bytes));
            at += length as u64;
        }
        tail.store(end, Ordering::Release);
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: both are aligned u64 of the first page, which lives as long as `self`.
        unsafe { AtomicU64::from_ptr(self.base.add(offset).as_ptr().cast()) }
    }

    fn byte(&self, position: u64) -> u8 {
        let offset = self.header_bytes + (position % RING_BYTES as u64) as usize;
        // SAFETY: within the mapping; the kernel writes nothing between tail and head.
        unsafe { self.base.add(offset).as_ptr().read_volatile() }
    }
}

impl Drop for PerfRing {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.header_bytes + RING_BYTES) };
    }
}

/// One ring for each CPU that is online.
pub fn open_rings() -> Result<Vec<PerfRing>, Error> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online")?;
    online(&text).into_iter().map(PerfRing::open).collect()
}

/// `0-3,8` as numbers.
fn online(text: &str) -> Vec<i32> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<i32>().ok()?..=last.parse::<i32>().ok()?)
    });
    ranges.flatten().collect()
}

/// A single uprobe, for kernels without multi links. `kind` is the number of the PMU `uprobe`, `path`
/// the file with its NUL.
pub fn open_uprobe(
    kind: u32,
    path: &std::ffi::CStr,
    offset: u64,
    return_probe: bool,
) -> Result<OwnedFd, Error> {
    let mut attributes = perf_event_attr { type_: kind, ..perf_event_attr::default() };
    // Bit 0 of the PMU's format/retprobe; a kernel that had it elsewhere never was.
    attributes.config = u64::from(return_probe);
    attributes.__bindgen_anon_3.uprobe_path = path.as_ptr() as u64;
    attributes.__bindgen_anon_4.probe_offset = offset;
    open_event(&mut attributes, -1, 0)
}

fn open_event(attributes: &mut perf_event_attr, pid: i32, cpu: i32) -> Result<OwnedFd, Error> {
    // PERF_ATTR_SIZE_VER5: what every kernel with eBPF multi links and most older ones know.
    attributes.size = 112;
    let flags = libbpf_sys::PERF_FLAG_FD_CLOEXEC;
    // SAFETY: the structure is valid and at least as long as its `size`; the kernel copies it.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(attributes),
            pid,
            cpu,
            -1,
            libc::c_ulong::from(flags),
        )
    };
    match i32::try_from(fd) {
        // SAFETY: a new descriptor that nobody else owns.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(Error::last_os_error()),
    }
}

/// The number of the PMU `uprobe`.
pub fn uprobe_kind() -> Result<u32, Error> {
    let text = std::fs::read_to_string("/sys/bus/event_source/devices/uprobe/type")?;
    text.trim().parse().map_err(|_| Error::from_raw_os_error(libc::ENODEV))
}

fn page_bytes() -> usize {
    // SAFETY: sysconf takes no pointer.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn online_cpus_are_ranges() {
        assert_eq!(online("0-2,5,7-8\n"), [0, 1, 2, 5, 7, 8]);
        assert_eq!(online("0\n"), [0]);
    }

    #[test]
    fn a_started_program_is_told_with_its_inode() {
        let Ok(mut rings) = open_rings() else { return eprintln!("skipped: no perf events") };
        let child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = child.id();
        child.wait_with_output().unwrap();
        let mut records = Vec::new();
        for ring in &mut rings {
            ring.take(&mut records);
        }
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata("/bin/true").unwrap());
        assert!(records.iter().any(|record| matches!(
            &record.what,
            perf_record::What::Mapped(mapping) if mapping.pid == pid && mapping.inode == inode
        )));
        for what in [perf_record::What::Execed { pid }, perf_record::What::Exited { pid }] {
            assert!(records.iter().any(|record| record.what == what), "{what:?}");
        }
    }
}
