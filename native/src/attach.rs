//! Phase 3: attach the programs, each by itself, and keep who refused.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};

use libbpf_rs::{Iter, Link, Object, ProgramMut};

use crate::config::Config;
use crate::diagnostics::Failure;
use crate::filter;
use crate::hook::{self, Hook, Refusal, Role, State};
use crate::load::{Loaded, SharedMaps};
use crate::open::Source;
use crate::{refusal, tracefs, tree};

/// The kernel ends a read of an iterator after a million objects that wrote nothing, to be asked again.
const ITERATOR_READS_MAX: usize = 256;

/// Attached programs. They run until `detach`.
pub struct Attached {
    /// The objects in the kernel, with what they were loaded from.
    pub objects: Vec<(&'static Source, Object)>,
    /// The maps that the objects share.
    pub maps: SharedMaps,
    /// Every hook, on or off.
    pub hooks: Vec<Hook>,
    links: Vec<Link>,
}

impl Attached {
    /// Whether any event can come.
    pub fn observes(&self) -> bool {
        self.objects.iter().filter(|(source, _)| source.probe.is_some()).any(|(source, _)| {
            self.hooks.iter().any(|hook| hook.probe == source.name && hook.state == State::On)
        })
    }

    /// Ends every observation. What begins an event goes before what completes it, so that as few as
    /// possible stay unfinished.
    pub fn detach(&mut self) {
        while let Some(link) = self.links.pop() {
            drop(link);
        }
    }
}

/// Fills the filters, then attaches every program. Programs that follow process trees come first.
pub fn attach(loaded: Vec<Loaded>, maps: SharedMaps, config: &Config) -> Result<Attached, Failure> {
    let mut attached = Attached { objects: Vec::new(), maps, hooks: Vec::new(), links: Vec::new() };
    let mut own = config.own_processes.clone();
    own.push(std::process::id());
    if loaded.iter().any(|loaded| loaded.object.is_some()) {
        filter::fill(&attached.maps, &config.filters, &own)?;
    }
    let tracefs = tracefs::ensure();
    for Loaded { source, object, mut hooks } in loaded {
        if let Some(object) = object {
            attach_object(&object, &mut hooks, &mut attached.links, &tracefs);
            if source.probe.is_none() {
                tree::add_descendants(attached.maps.get("filter_trees")?, &tree_roots(config)?);
            }
            attached.objects.push((source, object));
        }
        attached.hooks.append(&mut hooks);
    }
    Ok(attached)
}

/// Programs that complete an event are attached before those that begin one. Iterators run after all of
/// them, so that what changes meanwhile is seen by one or the other.
fn attach_object(
    object: &Object,
    hooks: &mut [Hook],
    links: &mut Vec<Link>,
    tracefs: &Result<(), Refusal>,
) {
    let mut programs: Vec<_> = object
        .progs_mut()
        .filter(|program| program.autoload())
        .map(|program| (Role::of_section(&program.section().to_string_lossy()), program))
        .filter(|(role, _)| !role.uprobe)
        .collect();
    programs.sort_by_key(|(role, _)| (role.iterates, !role.completes));
    for (role, program) in programs {
        let attached = attach_program(&role, &program, tracefs);
        let result = match attached {
            Ok(link) if role.iterates => iterate(&role, &link),
            Ok(link) => {
                links.push(link);
                Ok(())
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = result {
            hook::refuse(hooks, &role, &refusal);
        }
    }
}

/// Runs an iterator to its end.
fn iterate(role: &Role, link: &Link) -> Result<(), Refusal> {
    refusal::take_libbpf_log();
    Iter::new(link).and_then(|iter| Ok(read_to_end(iter)?)).map_err(|error| {
        let step = format!("run the iterator {}", role.tracepoint);
        refusal::explain(&step, &error, &refusal::take_libbpf_log())
    })
}

/// What the programs write is not wanted: they act on what they go through.
fn read_to_end(mut iterator: impl Read) -> io::Result<()> {
    let mut unused = [0; 64];
    for _ in 0..ITERATOR_READS_MAX {
        match iterator.read(&mut unused) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::TimedOut, "it has no end"))
}

fn attach_program(
    role: &Role,
    program: &ProgramMut<'_>,
    tracefs: &Result<(), Refusal>,
) -> Result<Link, Refusal> {
    if let Some(event) = &role.tracefs_event {
        tracefs.clone()?;
        tracefs::has_event(event)?;
    }
    refusal::take_libbpf_log();
    program.attach().map_err(|error| {
        let step = format!("attach to {}", role.tracepoint);
        refusal::explain(&step, &error, &refusal::take_libbpf_log())
    })
}

fn tree_roots(config: &Config) -> Result<HashMap<u32, u8>, Failure> {
    let entries = filter::entries(&config.filters)?;
    let trees = entries.into_iter().find(|(name, _)| *name == "filter_trees");
    Ok(trees
        .into_iter()
        .flat_map(|(_, entries)| entries)
        .filter_map(|(key, flags)| Some((u32::from_le_bytes(key.try_into().ok()?), flags)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each read with the next of `errors`, then with the end.
    struct Pauses(Vec<ErrorKind>);

    impl Read for Pauses {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.pop().map_or(Ok(0), |kind| Err(kind.into()))
        }
    }

    #[test]
    fn an_iterator_that_pauses_is_asked_again_but_not_forever() {
        assert!(read_to_end(Pauses(vec![ErrorKind::Interrupted, ErrorKind::WouldBlock])).is_ok());
        let refused = read_to_end(Pauses(vec![ErrorKind::PermissionDenied])).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        let endless = Pauses(vec![ErrorKind::WouldBlock; ITERATOR_READS_MAX]);
        assert_eq!(read_to_end(endless).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
