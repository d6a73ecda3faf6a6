//! Phase 1: open the objects that the configuration asks for and set their options.

use std::ffi::OsStr;

use libbpf_rs::btf::types::{DataSec, Var};
use libbpf_rs::{AsRawLibbpf, Btf, ObjectBuilder, OpenObject, ProgramAttachType};

use crate::config::{Config, Once, ProbeName};
use crate::diagnostics::Failure;
use crate::filter;
use crate::hook::{Hook, Role};
use crate::layout::{
    FilterConfig, FunctionConfig, ONCE_CONTAINER, ONCE_OFF, ONCE_PROCESS, PROBE_FILE_OPEN,
    PROBE_FUNCTION_CALL, PROBE_NET_CONNECT, PROBE_PROCESS_EXEC, PROBE_SSL_OP, PROBE_TCP_STATE,
};
use crate::uprobe_link;

/// One compiled program file of bpf/.
pub struct Source {
    /// The observation, as configuration and hello frame call it.
    pub name: &'static str,
    /// Index into the counters; none for the programs that only follow process trees.
    pub probe: Option<usize>,
    /// The functions that its uprobes are for; empty for programs on tracepoints.
    pub functions: &'static [&'static str],
    elf: &'static [u8],
}

macro_rules! elf {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bpf.o"))
    };
}

static PROCESS_TREE: Source =
    Source { name: "process_tree", probe: None, functions: &[], elf: elf!("process_tree") };
static FILE_OPEN: Source = Source {
    name: "file_open",
    probe: Some(PROBE_FILE_OPEN as usize),
    functions: &[],
    elf: elf!("file_open"),
};
static PROCESS_EXEC: Source = Source {
    name: "process_exec",
    probe: Some(PROBE_PROCESS_EXEC as usize),
    functions: &[],
    elf: elf!("process_exec"),
};
static TCP_STATE: Source = Source {
    name: "tcp_state",
    probe: Some(PROBE_TCP_STATE as usize),
    functions: &[],
    elf: elf!("tcp_state"),
};
static NET_CONNECT: Source = Source {
    name: "net_connect",
    probe: Some(PROBE_NET_CONNECT as usize),
    functions: &["connect", "accept", "accept4"],
    elf: elf!("net_connect"),
};
static SSL_OP: Source = Source {
    name: "ssl_op",
    probe: Some(PROBE_SSL_OP as usize),
    functions: &["SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex"],
    elf: elf!("ssl_op"),
};
static FUNCTION_CALL: Source = Source {
    name: "function_call",
    probe: Some(PROBE_FUNCTION_CALL as usize),
    functions: &["function_entry"],
    elf: elf!("function_call"),
};

/// An object whose options are set, ready to be loaded.
pub struct Opened {
    /// Not yet in the kernel.
    pub object: OpenObject,
    /// The hooks of its programs.
    pub hooks: Vec<Hook>,
}

/// The objects to load, the followers of process trees first.
pub fn sources(config: &Config) -> Vec<&'static Source> {
    let tree = config.follows_trees().then_some(&PROCESS_TREE);
    let wanted = [
        (ProbeName::FileOpen, &FILE_OPEN),
        (ProbeName::ProcessExec, &PROCESS_EXEC),
        (ProbeName::TcpState, &TCP_STATE),
        (ProbeName::NetConnect, &NET_CONNECT),
        (ProbeName::SslOp, &SSL_OP),
        (ProbeName::FunctionCall, &FUNCTION_CALL),
    ];
    let probes = wanted.into_iter().filter(|(name, _)| config.probes.contains(name));
    tree.into_iter().chain(probes.map(|(_, source)| source)).collect()
}

/// Opens one object. A failure is a defect of the build: nothing of the kernel is involved yet.
pub fn open(source: &'static Source, config: &Config) -> Result<Opened, Failure> {
    let broken = |error: libbpf_rs::Error| {
        Failure::new("broken_object", format!("failed to open the object {}: {error}", source.name))
    };
    let mut object = ObjectBuilder::default()
        .name(source.name)
        .and_then(|builder| builder.open_memory(source.elf))
        .map_err(broken)?;
    let functions = source.functions.iter();
    let uprobes = functions.map(|name| Hook::on(source.name, &format!("uprobe:{name}")));
    let tracepoints = object
        .progs()
        .map(|program| Role::of_section(&program.section().to_string_lossy()))
        .filter(|role| !role.completes && source.functions.is_empty())
        .map(|role| Hook::on(source.name, &role.tracepoint));
    let hooks = uprobes.chain(tracepoints).collect();
    if uses_single_uprobes(config) {
        set_single_uprobes(&mut object);
    }
    set_map_sizes(&mut object, config).map_err(broken)?;
    set_constants(source, &mut object, config).map_err(broken)?;
    Ok(Opened { object, hooks })
}

/// Whether each uprobe gets a link of its own.
pub fn uses_single_uprobes(config: &Config) -> bool {
    config.single_uprobes || !uprobe_link::has_multi_links()
}

/// The kernel links a program either to many uprobes or to single ones, as it was loaded.
fn set_single_uprobes(object: &mut OpenObject) {
    for mut program in object.progs_mut() {
        if Role::of_section(&program.section().to_string_lossy()).uprobe {
            program.set_attach_type(ProgramAttachType::PerfEvent);
        }
    }
}

fn set_map_sizes(object: &mut OpenObject, config: &Config) -> libbpf_rs::Result<()> {
    let cpus = u32::try_from(libbpf_rs::num_possible_cpus()?).unwrap_or(u32::MAX);
    for mut map in object.maps_mut() {
        match map.name().to_str() {
            Some("events") => map.set_max_entries(config.events_ring_bytes)?,
            Some("exec_events") => map.set_max_entries(config.exec_ring_bytes)?,
            Some("counters") => map.set_max_entries(cpus)?,
            // It is preallocated, so a full-sized one that nobody uses would cost megabytes.
            Some("filter_trees") if !config.follows_trees() => map.set_max_entries(1)?,
            _ => {}
        }
    }
    Ok(())
}

/// Writes the read-only data that the verifier then sees as constants.
fn set_constants(
    source: &Source,
    object: &mut OpenObject,
    config: &Config,
) -> libbpf_rs::Result<()> {
    let FilterConfig { include, exclude } = filter::dimensions(&config.filters);
    let ring_bytes = match source.probe {
        Some(probe) if probe == PROBE_PROCESS_EXEC as usize => config.exec_ring_bytes,
        _ => config.events_ring_bytes,
    };
    let wakeup_bytes = u64::from(config.wakeup_bytes.min(ring_bytes / 4));
    let filters = [include.to_le_bytes(), exclude.to_le_bytes()].concat();
    let FunctionConfig { stack_depth_max, once, rate_limit_per_second } = function_config(config);
    let mut calls = [stack_depth_max.to_le_bytes(), once.to_le_bytes()].concat();
    calls.extend(rate_limit_per_second.to_le_bytes());
    for (variable, value) in [
        ("filter_config", &filters[..]),
        ("wakeup_bytes", &wakeup_bytes.to_le_bytes()),
        ("function_config", &calls),
    ] {
        // A program that has no use for a constant does not declare it.
        let Some(offset) = constant_offset(object, variable)? else { continue };
        let mut data = object.maps_mut().find(|map| is_rodata(map.name()));
        let bytes = data.as_mut().and_then(|map| map.initial_value_mut());
        let place = bytes.and_then(|bytes| bytes.get_mut(offset..offset + value.len()));
        match place {
            Some(place) => place.copy_from_slice(value),
            None => return Err(libbpf_rs::Error::from_raw_os_error(libc::EINVAL)),
        }
    }
    Ok(())
}

fn function_config(config: &Config) -> FunctionConfig {
    FunctionConfig {
        stack_depth_max: config.stack_depth_max,
        once: match config.once {
            Once::Off => ONCE_OFF,
            Once::Process => ONCE_PROCESS,
            Once::Container => ONCE_CONTAINER,
        },
        rate_limit_per_second: config.rate_limit_per_second,
    }
}

/// libbpf calls the map `<first 8 bytes of the object's name>.rodata`.
fn is_rodata(map: &OsStr) -> bool {
    map.to_str().is_some_and(|name| name.ends_with(".rodata"))
}

fn constant_offset(object: &OpenObject, variable: &str) -> libbpf_rs::Result<Option<usize>> {
    // SAFETY: the pointer is valid for as long as `object` is borrowed, and nobody writes to it
    // while the BTF is read.
    let raw = unsafe { object.as_libbpf_object().as_ref() };
    let btf = Btf::from_bpf_object(raw)?;
    Ok(btf.and_then(|btf| variable_offset(&btf, ".rodata", variable)))
}

/// Where a global variable is within its section.
pub fn variable_offset(btf: &Btf<'_>, section: &str, variable: &str) -> Option<usize> {
    btf.type_by_name::<DataSec<'_>>(section)?.iter().find_map(|entry| {
        let name = btf.type_by_id::<Var<'_>>(entry.ty)?;
        (name.name()? == variable).then_some(entry.offset as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_opens_with_its_hooks_and_constants() {
        let config = Config::everything();
        let mut probes = Vec::new();
        for source in sources(&config) {
            let opened = open(source, &config).unwrap();
            assert!(!opened.hooks.is_empty(), "{} has hooks", source.name);
            if source.probe.is_some() {
                assert!(constant_offset(&opened.object, "filter_config").unwrap().is_some());
            }
            probes.push(source.name);
        }
        let expected = [
            "process_tree",
            "file_open",
            "process_exec",
            "tcp_state",
            "net_connect",
            "ssl_op",
            "function_call",
        ];
        assert_eq!(probes, expected);
    }

    #[test]
    fn forks_are_followed_only_for_a_tree_filter() {
        let mut config = Config::everything();
        assert_eq!(sources(&config)[0].name, "process_tree");
        config.filters.tree.include.clear();
        assert!(sources(&config).iter().all(|source| source.probe.is_some()));
    }
}
