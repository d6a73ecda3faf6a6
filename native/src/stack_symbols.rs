//! What is at the addresses of stacks: functions of files, and of code that was compiled in memory.
//!
//! It is found while events are delivered, so everything is bounded: the time in each second, the
//! symbol tables and perf maps that are kept, and the addresses that are known. An address that is known
//! costs one look into a table.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::byte_cache::ByteCache;
use crate::demangle;
use crate::elf::Binary;
use crate::executable::{self, Executable, FileKey, Stamp};
use crate::frame;
use crate::perf_map::{PERF_MAP_BYTES_MAX, PerfMap};
use crate::perf_record::Mapping;
use crate::process_maps;
use crate::symbols::{Symbols, Tables};

/// After so many symbols everything is said again: the exporter remembers at least as many.
const SYMBOLS_SAID_MAX: usize = 32_768;
/// Addresses of one process image; beyond them its addresses are looked up again.
const ADDRESSES_MAX: usize = 8192;
/// Of the tables of all files. A table that is larger alone is not kept, and its file has no symbols.
const TABLES_BYTES_MAX: usize = 64 << 20;
const TABLES_MAX: usize = 1024;
/// Of the perf maps of all processes. One takes at most half of it.
const PERF_MAPS_BYTES_MAX: usize = 64 << 20;
const PERF_MAPS_MAX: usize = 1024;
/// How long an address that was not found stays so, and a perf map is not read again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The time that looking up may take of each second.
const BUDGET: Duration = Duration::from_millis(250);

/// A function_call's process and stack.
pub struct Stack<'a> {
    /// In the pid namespace of the probe.
    pub pid: u32,
    /// CLOCK_BOOTTIME.
    pub start_boot_ns: u64,
    /// In the process's own pid namespace: part of the name of its perf map.
    pub namespace_pid: u32,
    /// Real user, who may write the perf map.
    pub uid: u32,
    /// Return addresses of 8 bytes, innermost first.
    pub addresses: &'a [u8],
}

/// The addresses of a process image.
struct Image {
    start_boot_ns: u64,
    addresses: HashMap<u64, Known>,
}

/// What is known of an address.
enum Known {
    /// Its symbol was said.
    Said,
    /// It had none then.
    NotFound(Instant),
}

/// A perf map as it was when it was read.
struct ReadMap {
    start_boot_ns: u64,
    stamp: Option<Stamp>,
    map: PerfMap,
    looked: Instant,
}

/// Finds symbols, and remembers of which addresses they were said.
pub struct StackSymbols {
    images: HashMap<u32, Image>,
    said: usize,
    tables: ByteCache<(FileKey, Stamp), Option<Symbols>>,
    perf_maps: ByteCache<u32, ReadMap>,
    budget: Budget,
}

impl StackSymbols {
    /// Nothing was said yet.
    pub fn new() -> Self {
        Self {
            images: HashMap::new(),
            said: 0,
            tables: ByteCache::new(TABLES_BYTES_MAX, TABLES_MAX),
            perf_maps: ByteCache::new(PERF_MAPS_BYTES_MAX, PERF_MAPS_MAX),
            budget: Budget { since: Instant::now(), spent: Duration::ZERO },
        }
    }

    /// The process has a new image, or its runtime is said again: so are its symbols.
    pub fn forget(&mut self, pid: u32) {
        self.images.remove(&pid);
        self.perf_maps.remove(&pid);
    }

    /// The frames of symbols that were not said yet, for those addresses that have one. None for a
    /// process that is gone.
    pub fn before(&mut self, stack: &Stack) -> Vec<Vec<u8>> {
        let now = Instant::now();
        let missing = self.missing(stack, now);
        if missing.is_empty() || !self.budget.has_some(now) {
            return Vec::new();
        }
        let found = self.look_up(stack, &missing, now);
        self.budget.spend(now.elapsed());
        let Some(found) = found else { return Vec::new() };
        self.remember(stack, &missing, &found, now);
        let found = missing.iter().zip(found).filter_map(|(address, text)| Some((address, text?)));
        let (pid, start) = (stack.pid, stack.start_boot_ns);
        found.map(|(address, text)| frame::symbol(pid, start, *address, &text)).collect()
    }

    /// Each address once that is not known, or may have become so.
    fn missing(&self, stack: &Stack, now: Instant) -> Vec<u64> {
        let image = self.images.get(&stack.pid);
        let image = image.filter(|image| image.start_boot_ns == stack.start_boot_ns);
        let addresses = stack.addresses.as_chunks::<8>().0.iter().copied().map(u64::from_le_bytes);
        let mut missing: Vec<_> = addresses
            .filter(|address| {
                let known = image.and_then(|image| image.addresses.get(address));
                match known {
                    None => true,
                    Some(Known::Said) => false,
                    Some(Known::NotFound(at)) => now.duration_since(*at) >= RETRY_AFTER,
                }
            })
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    fn remember(&mut self, stack: &Stack, missing: &[u64], found: &[Option<String>], now: Instant) {
        if self.said + missing.len() > SYMBOLS_SAID_MAX {
            self.images.clear();
            self.said = 0;
        }
        let fresh = || Image { start_boot_ns: stack.start_boot_ns, addresses: HashMap::new() };
        let image = self.images.entry(stack.pid).or_insert_with(fresh);
        let full = image.addresses.len() + missing.len() > ADDRESSES_MAX;
        if full || image.start_boot_ns != stack.start_boot_ns {
            *image = fresh();
        }
        for (address, text) in missing.iter().zip(found) {
            let known = if text.is_some() { Known::Said } else { Known::NotFound(now) };
            let before = image.addresses.insert(*address, known);
            self.said += usize::from(text.is_some() || before.is_none());
        }
    }

    /// What is at each address; none when the process is gone.
    fn look_up(
        &mut self,
        stack: &Stack,
        missing: &[u64],
        now: Instant,
    ) -> Option<Vec<Option<String>>> {
        // A return address is behind its call, which may be the last instruction of a function.
        let calls: Vec<_> = missing.iter().map(|address| address.saturating_sub(1)).collect();
        let places = process_maps::files_at(stack.pid, &calls);
        // After reading: what was read was of this process, and not of a later one of that number.
        if !process_maps::is_of_start(stack.pid, stack.start_boot_ns) {
            return None;
        }
        let mut files = HashMap::new();
        let found = calls.iter().zip(places).map(|(call, place)| {
            let of_file = place.and_then(|(mapping, offset)| {
                let file = files
                    .entry(mapping.address)
                    .or_insert_with(|| executable::open(&mapping).ok())
                    .as_ref()?;
                self.of_file(file, &mapping, offset)
            });
            of_file.or_else(|| self.of_perf_map(stack, *call, now))
        });
        Some(found.collect())
    }

    fn of_file(&mut self, file: &Executable, mapping: &Mapping, offset: u64) -> Option<String> {
        let binary = Binary::open(&file.file).ok()?;
        let key = (file.key.clone(), file.stamp);
        if self.tables.get(&key).is_none() {
            let symbols = Symbols::read(&binary, Tables::All);
            let bytes = symbols.bytes();
            // That there is none is remembered as well: a file is read once.
            let symbols = self.tables.has_room_for(bytes).then_some(symbols);
            let bytes = symbols.as_ref().map_or(0, |_| bytes);
            self.tables.put(key.clone(), symbols, bytes);
        }
        let address = binary.code_address(offset)?;
        let (name, start) = self.tables.get(&key)?.as_ref()?.at(address)?;
        // Of the return address, one behind.
        let distance = (address - start).saturating_add(1);
        let name = demangle::demangle(name).unwrap_or_else(|| name.to_owned());
        let path = String::from_utf8_lossy(&mapping.path);
        let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
        let library = path.rsplit('/').next().unwrap_or(path);
        Some(format!("{name}+{distance:#x} ({library})"))
    }

    fn of_perf_map(&mut self, stack: &Stack, address: u64, now: Instant) -> Option<String> {
        let read = self.perf_maps.get(&stack.pid);
        let read = read.filter(|read| read.start_boot_ns == stack.start_boot_ns);
        let mut stamp = None;
        if let Some(read) = read {
            let name = read.map.at(address);
            if name.is_some() || now.duration_since(read.looked) < RETRY_AFTER {
                return name;
            }
            read.looked = now;
            stamp = read.stamp;
        }
        let file = executable::perf_map(stack.pid, stack.namespace_pid, stack.uid);
        if file.is_some() && stamp == file.as_ref().map(|file| file.stamp) {
            return None;
        }
        let text = file.as_ref().and_then(|file| read_text(file).ok()).unwrap_or_default();
        let map = PerfMap::parse(text);
        let (name, bytes) = (map.at(address), map.bytes());
        let (stamp, start_boot_ns) = (file.map(|file| file.stamp), stack.start_boot_ns);
        self.perf_maps.put(stack.pid, ReadMap { start_boot_ns, stamp, map, looked: now }, bytes);
        name
    }
}

fn read_text(file: &Executable) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    (&file.file).take(PERF_MAP_BYTES_MAX).read_to_end(&mut text)?;
    text.shrink_to_fit();
    Ok(text)
}

/// The time that was spent in the current second.
struct Budget {
    since: Instant,
    spent: Duration,
}

impl Budget {
    /// Whether there is time left. What is begun is finished, and may take more.
    fn has_some(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Budget { since: now, spent: Duration::ZERO };
        }
        self.spent < BUDGET
    }

    fn spend(&mut self, time: Duration) {
        self.spent += time;
    }
}

#[cfg(test)]
#[path = "stack_symbols/tests.rs"]
mod tests;
