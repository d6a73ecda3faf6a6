//! Records of a perf ring (enum perf_event_type of include/uapi/linux/perf_event.h), as bytes in and
//! facts out. Their sample type is PERF_SAMPLE_TIME with sample_id_all: each ends with its time.

use libbpf_rs::libbpf_sys;

const HEADER_BYTES: usize = 8;
const TIME_BYTES: usize = 8;
/// `PERF_RECORD_MISC_COMM_EXEC`: the new name is that of an exec.
const MISC_COMM_EXEC: u16 = 1 << 13;

/// What happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// CLOCK_BOOTTIME.
    pub boot_ns: u64,
    /// The fact.
    pub what: What,
}

/// The facts that matter to attaching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file was mapped with the right to execute.
    Mapped(Mapping),
    /// A process, not a thread, was forked.
    Forked {
        /// The new process.
        pid: u32,
        /// Whose mappings it has.
        parent: u32,
    },
    /// All earlier mappings of the process are gone.
    Execed {
        /// The process.
        pid: u32,
    },
    /// The first thread of a process ended. Others may still run.
    Exited {
        /// The process.
        pid: u32,
    },
    /// The ring was full: records are missing.
    Lost,
}

/// An executable mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// In the pid namespace of the probe.
    pub pid: u32,
    /// First address.
    pub address: u64,
    /// One past the last address.
    pub end: u64,
    /// As the kernel tells it: on an overlay filesystem that of the overlay or, in older kernels, of
    /// the layer.
    pub inode: u64,
    /// The kernel's path: as the process sees it. Hostile bytes; no NUL.
    pub path: Vec<u8>,
}

/// None for records of other kinds and for broken ones.
pub fn parse(record: &[u8]) -> Option<Record> {
    let kind = u32_at(record, 0)?;
    let misc = u16::from_le_bytes(*record.get(4..6)?.first_chunk()?);
    let (body, time) = record.get(HEADER_BYTES..)?.split_last_chunk::<TIME_BYTES>()?;
    let pid = u32_at(body, 0);
    let what = match kind {
        libbpf_sys::PERF_RECORD_MMAP2 => What::Mapped(mapping(body)?),
        // pid, ppid, tid, ptid. A thread has the pid of its process and another tid.
        libbpf_sys::PERF_RECORD_FORK if u32_at(body, 0)? != u32_at(body, 4)? => {
            What::Forked { pid: pid?, parent: u32_at(body, 4)? }
        }
        libbpf_sys::PERF_RECORD_EXIT if u32_at(body, 0)? == u32_at(body, 8)? => {
            What::Exited { pid: pid? }
        }
        libbpf_sys::PERF_RECORD_COMM if misc & MISC_COMM_EXEC != 0 => What::Execed { pid: pid? },
        libbpf_sys::PERF_RECORD_LOST => What::Lost,
        _ => return None,
    };
    Some(Record { boot_ns: u64::from_le_bytes(*time), what })
}

/// pid, tid, addr, len, pgoff, maj, min, ino, ino_generation, prot, flags, filename.
fn mapping(body: &[u8]) -> Option<Mapping> {
    let name = body.get(64..)?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let address = u64_at(body, 8)?;
    Some(Mapping {
        pid: u32_at(body, 0)?,
        address,
        end: address.checked_add(u64_at(body, 16)?)?,
        inode: u64_at(body, 40)?,
        path: name.get(..end)?.to_vec(),
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, misc: u16, words: &[u32], tail: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend(misc.to_le_bytes());
        bytes.extend([0; 2]);
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.extend(tail);
        bytes.extend(77_u64.to_le_bytes());
        bytes
    }

    #[test]
    fn a_mapping_has_its_place_inode_and_path() {
        let words = [7, 8, 0x1000, 0, 0x2000, 0, 0, 0, 254, 0, 99, 0, 5, 0, 5, 2];
        let bytes = record(libbpf_sys::PERF_RECORD_MMAP2, 0, &words, b"/lib/x.so\0\0\0\0\0\0\0");
        let parsed = parse(&bytes).unwrap();
        assert_eq!(parsed.boot_ns, 77);
        let expected =
            Mapping { pid: 7, address: 0x1000, end: 0x3000, inode: 99, path: b"/lib/x.so".into() };
        assert_eq!(parsed.what, What::Mapped(expected));
        assert!((0..bytes.len() - 32).all(|length| parse(&bytes[..length]).is_none()));
    }

    #[test]
    fn threads_are_no_processes() {
        let fork = |words: &[u32]| parse(&record(libbpf_sys::PERF_RECORD_FORK, 0, words, &[]));
        assert_eq!(fork(&[5, 5, 6, 5, 0, 0]), None);
        assert_eq!(fork(&[6, 5, 6, 5, 0, 0]).unwrap().what, What::Forked { pid: 6, parent: 5 });
        let exit = |words: &[u32]| parse(&record(libbpf_sys::PERF_RECORD_EXIT, 0, words, &[]));
        assert_eq!(exit(&[5, 1, 6, 1, 0, 0]), None);
        assert_eq!(exit(&[5, 1, 5, 1, 0, 0]).unwrap().what, What::Exited { pid: 5 });
    }

    #[test]
    fn only_an_exec_renames_a_process_for_us() {
        let comm =
            |misc| parse(&record(libbpf_sys::PERF_RECORD_COMM, misc, &[5, 5], b"sh\0\0\0\0\0\0"));
        assert_eq!(comm(0), None);
        assert_eq!(comm(MISC_COMM_EXEC).unwrap().what, What::Execed { pid: 5 });
    }
}
