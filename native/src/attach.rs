//! Phase 3: attach the programs, each by itself, and keep who refused.

use std::collections::HashMap;

use libbpf_rs::{Link, Object, ProgramMut};

use crate::config::Config;
use crate::diagnostics::Failure;
use crate::filter;
use crate::hook::{self, Hook, Refusal, Role, State};
use crate::load::{Loaded, SharedMaps};
use crate::open::Source;
use crate::{refusal, tracefs, tree};

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

/// Programs that complete an event are attached before those that begin one.
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
    programs.sort_by_key(|(role, _)| !role.completes);
    for (role, program) in programs {
        match attach_program(&role, &program, tracefs) {
            Ok(link) => links.push(link),
            Err(refusal) => hook::refuse(hooks, &role, &refusal),
        }
    }
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
