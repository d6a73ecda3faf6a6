//! The totals: what the programs counted, and what only the probe can know.

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;

use libbpf_rs::{MapCore, MapHandle, Object, Program, libbpf_sys};

use crate::attach::Attached;
use crate::diagnostics::Failure;
use crate::hook::Role;
use crate::layout::{
    CountersBody, CpuCounters, LOST_COUNT, LOST_RECURSION, LOST_UNFINISHED, LOST_UNREPRESENTABLE,
    PROBE_COUNT, PROBE_FILE_OPEN, ProbeCounters,
};
use crate::memory::{Access, MappedArray};
use crate::open;

const NOTHING: ProbeCounters =
    ProbeCounters { seen: 0, emitted: 0, filtered: 0, lost: [0; LOST_COUNT] };

/// Reads the counters of all CPUs. Needs no privilege after it is built.
pub struct Counters {
    per_cpu: MappedArray,
    cpus: usize,
    programs: Vec<CountedProgram>,
    pending_opens: Option<Global>,
    tree_overflow: Option<Global>,
}

/// A global variable of an object, a u64.
struct Global {
    section: MappedArray,
    offset: usize,
}

/// A program that begins events, and how often the kernel skipped it.
struct CountedProgram {
    probe: usize,
    fd: OwnedFd,
    misses: u64,
}

impl Counters {
    /// Maps the counters and keeps what is needed to ask for skipped runs.
    pub fn new(attached: &Attached) -> Result<Self, Failure> {
        let map = attached.maps.get("counters")?;
        if map.value_size() as usize != size_of::<CpuCounters>() {
            return Err(Failure::new("broken_object", "the map counters has another layout"));
        }
        let mut counters = Self {
            per_cpu: MappedArray::new(map, Access::Read)?,
            cpus: map.max_entries() as usize,
            programs: Vec::new(),
            pending_opens: None,
            tree_overflow: None,
        };
        for (source, object) in &attached.objects {
            if let Some(probe) = source.probe {
                counters.add_programs(probe, object)?;
            }
            match source.name {
                "file_open" => {
                    counters.pending_opens = Some(Global::find(object, "pending_open_count")?);
                }
                "process_tree" => {
                    counters.tree_overflow = Some(Global::find(object, "tree_overflow")?);
                }
                _ => {}
            }
        }
        Ok(counters)
    }

    fn add_programs(&mut self, probe: usize, object: &Object) -> Result<(), Failure> {
        for program in object.progs().filter(libbpf_rs::Program::autoload) {
            if counts_events(&program) {
                let fd = program
                    .as_fd()
                    .try_clone_to_owned()
                    .map_err(|error| Failure::new("counters_failed", error.to_string()))?;
                self.programs.push(CountedProgram { probe, fd, misses: 0 });
            }
        }
        Ok(())
    }

    /// Opens that wait for the second read at their sys_exit.
    pub fn pending_opens(&self) -> u64 {
        self.pending_opens.as_ref().map_or(0, Global::read)
    }

    /// Forks that found the tree filter full: their descendants are treated as outside of it.
    pub fn tree_overflow(&self) -> u64 {
        self.tree_overflow.as_ref().map_or(0, Global::read)
    }

    /// Asks the kernel how often it skipped a program because another one ran on the CPU. False when
    /// it does not say.
    pub fn refresh_misses(&mut self) -> bool {
        self.programs.iter_mut().all(|program| {
            let known = recursion_misses(&program.fd);
            program.misses = known.unwrap_or(program.misses);
            known.is_some()
        })
    }

    /// The sums over all CPUs. `broken` are the samples per probe that were emitted but not delivered.
    pub fn totals(&self, broken: &[u64; PROBE_COUNT]) -> CountersBody {
        let mut totals = CountersBody { probes: [NOTHING; PROBE_COUNT] };
        for cpu in 0..self.cpus {
            for (probe, total) in totals.probes.iter_mut().enumerate() {
                let base = cpu * size_of::<CpuCounters>() + probe * size_of::<ProbeCounters>();
                let read = |field| self.per_cpu.u64_at(base + field).load(Ordering::Relaxed);
                total.seen += read(offset_of!(ProbeCounters, seen));
                total.emitted += read(offset_of!(ProbeCounters, emitted));
                total.filtered += read(offset_of!(ProbeCounters, filtered));
                for (reason, lost) in total.lost.iter_mut().enumerate() {
                    *lost += read(offset_of!(ProbeCounters, lost) + 8 * reason);
                }
            }
        }
        for program in &self.programs {
            let total = &mut totals.probes[program.probe];
            total.seen += program.misses;
            total.lost[LOST_RECURSION as usize] += program.misses;
        }
        for (total, broken) in totals.probes.iter_mut().zip(*broken) {
            total.emitted = total.emitted.saturating_sub(broken);
            total.lost[LOST_UNREPRESENTABLE as usize] += broken;
        }
        totals
    }
}

impl Global {
    /// The section is mapped, so reading needs neither privilege nor system call.
    fn find(object: &Object, name: &str) -> Result<Self, Failure> {
        let missing = || Failure::new("broken_object", format!("no global {name}"));
        let btf = object.btf().ok().flatten().ok_or_else(missing)?;
        let offset = open::variable_offset(&btf, ".bss", name).ok_or_else(missing)?;
        let map = object
            .maps()
            .find(|map| map.name().to_string_lossy().ends_with(".bss"))
            .ok_or_else(missing)?;
        let map = MapHandle::try_from(&map).map_err(|_| missing())?;
        Ok(Self { section: MappedArray::new(&map, Access::Read)?, offset })
    }

    fn read(&self) -> u64 {
        self.section.u64_at(self.offset).load(Ordering::Relaxed)
    }
}

/// A skipped completion is no event of its own: the event counts as unfinished. The event of a function
/// whose exits are probed is its exit.
fn counts_events(program: &Program<'_>) -> bool {
    let role = Role::of_section(&program.section().to_string_lossy());
    let name = program.name().to_string_lossy().into_owned();
    if role.uprobe {
        return name.ends_with("_exit") || name == "function_entry";
    }
    !role.completes && !name.starts_with("forget_")
}

/// Counts opens that will never be finished, because nothing is attached any more.
pub fn count_unfinished(totals: &mut CountersBody, opens: u64) {
    totals.probes[PROBE_FILE_OPEN as usize].lost[LOST_UNFINISHED as usize] += opens;
}

/// Whether every event seen is accounted for.
pub fn balanced(totals: &CountersBody) -> bool {
    totals
        .probes
        .iter()
        .all(|probe| probe.seen == probe.emitted + probe.filtered + probe.lost.iter().sum::<u64>())
}

/// Whether nothing was counted between two totals.
pub fn equal(one: &CountersBody, other: &CountersBody) -> bool {
    one.probes.iter().zip(&other.probes).all(|(one, other)| {
        (one.seen, one.emitted, one.filtered, one.lost)
            == (other.seen, other.emitted, other.filtered, other.lost)
    })
}

fn recursion_misses(program: &OwnedFd) -> Option<u64> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut bytes = u32::try_from(size_of_val(&info)).ok()?;
    // SAFETY: `info` is all zeroes, a valid request for no arrays, and `bytes` is its size.
    let result = unsafe {
        libbpf_sys::bpf_obj_get_info_by_fd(
            program.as_raw_fd(),
            (&raw mut info).cast(),
            &raw mut bytes,
        )
    };
    (result == 0).then_some(info.recursion_misses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_of_the_counters_is_checked_per_probe() {
        let mut totals = CountersBody { probes: [NOTHING; PROBE_COUNT] };
        assert!(balanced(&totals));
        totals.probes[1] =
            ProbeCounters { seen: 6, emitted: 1, filtered: 2, lost: [0; LOST_COUNT] };
        totals.probes[1].lost[LOST_COUNT - 1] = 3;
        assert!(balanced(&totals));
        totals.probes[2].emitted = 1;
        assert!(!balanced(&totals));
    }
}
