//! What processes have mapped, from /proc: for those that run before the kernel's rings are watched.

use std::fs::{self, File};
use std::io::Read;

use crate::perf_record::Mapping;

/// Bytes of one /proc/PID/maps that are read: about 40,000 mappings.
const MAPS_BYTES_MAX: u64 = 4 << 20;

/// Every process of /proc but the probe itself.
pub fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .collect()
}

/// The executable mappings of files. Empty when the process is gone, a kernel thread, or not ours to
/// look at.
pub fn executable_mappings(pid: u32) -> Vec<Mapping> {
    parse(pid, &read(pid))
}

/// For each of these addresses the file's executable mapping that has it, and where it is in the file.
/// Of one look at the process: none for memory without a file, and for what is not mapped.
pub fn files_at(pid: u32, addresses: &[u64]) -> Vec<Option<(Mapping, u64)>> {
    locate(pid, &read(pid), addresses)
}

fn locate(pid: u32, text: &[u8], addresses: &[u64]) -> Vec<Option<(Mapping, u64)>> {
    let lines = text.split(|byte| *byte == b'\n').filter_map(fields);
    let regions: Vec<_> = lines.filter(|fields| fields.executable).collect();
    let locate = |address: &u64| {
        // The kernel lists them in the order of their addresses.
        let after = regions.partition_point(|region| region.address <= *address);
        let region = regions.get(after.checked_sub(1)?)?;
        let offset = (address - region.address).checked_add(region.offset)?;
        (*address < region.end).then(|| (region.mapping(pid), offset))
    };
    addresses.iter().map(locate).collect()
}

/// Paths of all mapped files, executable or not, for telling the runtime.
pub fn mapped_paths(pid: u32) -> Vec<Vec<u8>> {
    let text = read(pid);
    let mut paths: Vec<_> = text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| Some(fields(line)?.path.to_vec()))
        .collect();
    paths.dedup();
    paths
}

/// Whether nothing of the process runs any more: it is gone, or a zombie without other threads.
pub fn ended(pid: u32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    if tasks.take(2).count() > 1 {
        return false;
    }
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return true };
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
    matches!(state, None | Some(b'Z' | b'X'))
}

/// Whether the process with this number now is the one that started then (CLOCK_BOOTTIME).
pub fn is_of_start(pid: u32, start_boot_ns: u64) -> bool {
    // SAFETY: sysconf takes no pointer.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return false };
    let started = start_ticks(&stat);
    started.is_some_and(|started| {
        let ticks = u128::from(ticks.unsigned_abs());
        u128::from(start_boot_ns) * ticks / 1_000_000_000 == u128::from(started)
    })
}

/// Field 22; the second field may have spaces and parentheses of its own.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Where an address of this process's code is in the file it was mapped from.
pub fn own_file_offset(address: u64) -> Option<u64> {
    read(std::process::id()).split(|byte| *byte == b'\n').filter_map(fields).find_map(|fields| {
        let within = (fields.address..fields.end).contains(&address);
        within.then(|| address - fields.address + fields.offset)
    })
}

fn read(pid: u32) -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/maps")) {
        // What was read before an error is still true.
        let _ = file.take(MAPS_BYTES_MAX).read_to_end(&mut text);
    }
    text
}

fn parse(pid: u32, text: &[u8]) -> Vec<Mapping> {
    text.split(|byte| *byte == b'\n')
        .filter_map(fields)
        .filter(|fields| fields.executable)
        .map(|fields| fields.mapping(pid))
        .collect()
}

struct Fields<'a> {
    address: u64,
    end: u64,
    executable: bool,
    offset: u64,
    inode: u64,
    path: &'a [u8],
}

impl Fields<'_> {
    fn mapping(&self, pid: u32) -> Mapping {
        let Fields { address, end, inode, path, .. } = *self;
        Mapping { pid, address, end, inode, path: unescape(path) }
    }
}

/// `address-end perms offset dev inode   path`; none for memory without a file.
fn fields(line: &[u8]) -> Option<Fields<'_>> {
    let start = line.iter().position(|byte| *byte == b'/')?;
    let (numbers, path) = line.split_at(start);
    let mut words = std::str::from_utf8(numbers).ok()?.split_ascii_whitespace();
    let (address, end) = words.next()?.split_once('-')?;
    let executable = words.next()?.contains('x');
    let number = |text| u64::from_str_radix(text, 16).ok();
    let offset = number(words.next()?)?;
    let inode = words.nth(1)?.parse().ok()?;
    (inode != 0).then_some(Fields {
        address: number(address)?,
        end: number(end)?,
        executable,
        offset,
        inode,
        path,
    })
}

/// A newline in a path is written as `\012` (seq_path of fs/seq_file.c), so a line is one mapping.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(b"\\012") {
            plain.push(b'\n');
            rest = tail;
        } else {
            plain.push(*byte);
            rest = tail;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
00400000-00401000 r--p 00000000 fe:00 7                          /bin/a b
00401000-00402000 r-xp 00001000 fe:00 7                          /bin/a b
7f00000000-7f00001000 r-xp 00000000 00:00 0
7f00002000-7f00003000 r-xp 00000000 00:01 9                      /memfd:x\\012y (deleted)
7ffc00000-7ffc01000 r-xp 00000000 00:00 0                        [vdso]
";

    #[test]
    fn only_executable_files_are_mappings() {
        let found = parse(3, TEXT);
        let paths: Vec<_> = found.iter().map(|mapping| mapping.path.as_slice()).collect();
        assert_eq!(paths, [&b"/bin/a b"[..], b"/memfd:x\ny (deleted)"]);
        let first = &found[0];
        assert_eq!(
            (first.pid, first.inode, first.address, first.end),
            (3, 7, 0x401_000, 0x402_000)
        );
    }

    #[test]
    fn an_address_of_code_leads_to_a_place_in_a_file() {
        let addresses = [0x401_234, 0x400_010, 0x402_000, 0x7f_0000_0010, 0x7f_0000_3000];
        let found = locate(3, TEXT, &addresses);
        let offsets: Vec<_> = found.iter().map(|at| at.as_ref().map(|at| at.1)).collect();
        assert_eq!(offsets, [Some(0x1234), None, None, None, None]);
        let of_memfd = locate(3, TEXT, &[0x7f_0000_2fff]);
        assert_eq!(of_memfd[0].as_ref().map(|at| at.1), Some(0xfff));
    }

    #[test]
    fn this_process_has_mapped_its_own_executable() {
        let own = std::env::current_exe().unwrap().to_string_lossy().into_owned().into_bytes();
        let pid = std::process::id();
        assert!(executable_mappings(pid).iter().any(|mapping| mapping.path == own));
        assert!(mapped_paths(pid).contains(&own));
        assert!(!ended(pid) && !processes().contains(&pid));
    }

    #[test]
    fn a_zombie_has_ended() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = child.id();
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !ended(pid) && std::time::Instant::now() < limit {
            std::thread::yield_now();
        }
        assert!(ended(pid));
        child.wait().unwrap();
        assert!(ended(pid));
    }
}
