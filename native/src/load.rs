//! Phase 2: load the objects into the kernel, sharing the maps that they have in common.

use std::collections::HashMap;
use std::os::fd::AsFd;

use libbpf_rs::{MapCore, MapHandle, Object};

use crate::config::Config;
use crate::diagnostics::Failure;
use crate::hook::{self, Hook, Refusal, Role};
use crate::open::{self, Opened, Source};
use crate::refusal;

/// The first loaded object creates these, the others use the same ones. All other maps (scratch
/// space, constants, what one observation remembers) are an object's own.
const SHARED_MAPS: [&str; 11] = [
    "events",
    "exec_events",
    "counters",
    "reader_state",
    "own_processes",
    "filter_pids",
    "filter_trees",
    "filter_comms",
    "filter_uids",
    "filter_cgroups",
    "filter_paths",
];

/// The maps that several objects use, by name.
#[derive(Default)]
pub struct SharedMaps(HashMap<&'static str, MapHandle>);

impl SharedMaps {
    /// A map that some loaded object has.
    pub fn get(&self, name: &str) -> Result<&MapHandle, Failure> {
        self.0
            .get(name)
            .ok_or_else(|| Failure::new("broken_object", format!("no object has the map {name}")))
    }
}

/// An object in the kernel, attached nowhere yet.
pub struct Loaded {
    /// What it was loaded from.
    pub source: &'static Source,
    /// None when the kernel refused it; then its hooks say why.
    pub object: Option<Object>,
    /// The hooks of its programs.
    pub hooks: Vec<Hook>,
}

/// Loads every object of the configuration.
pub fn load(config: &Config) -> Result<(Vec<Loaded>, SharedMaps), Failure> {
    let mut maps = SharedMaps::default();
    let mut loaded = Vec::new();
    for source in open::sources(config) {
        loaded.push(load_object(source, config, &mut maps)?);
    }
    Ok((loaded, maps))
}

/// Loads one object. libbpf loads all programs of an object or none, so a program that the kernel
/// refuses is left out and the object loaded once more.
fn load_object(
    source: &'static Source,
    config: &Config,
    maps: &mut SharedMaps,
) -> Result<Loaded, Failure> {
    let mut refused: Vec<(String, Refusal)> = Vec::new();
    loop {
        let Opened { mut object, mut hooks } = open::open(source, config)?;
        for mut program in object.progs_mut() {
            let name = program.name().to_string_lossy();
            if let Some((_, refusal)) = refused.iter().find(|(refused, _)| *refused == name) {
                let role = Role::of_section(&program.section().to_string_lossy());
                hook::refuse(&mut hooks, &role, refusal);
                program.set_autoload(false);
            }
        }
        let programs = object.progs().count();
        reuse(&mut object, maps)
            .map_err(|error| Failure::new("broken_object", format!("{}: {error}", source.name)))?;
        refusal::take_libbpf_log();
        let error = match object.load() {
            Ok(object) => {
                share(&object, maps)?;
                return Ok(Loaded { source, object: Some(object), hooks });
            }
            Err(error) => error,
        };
        let log = refusal::take_libbpf_log();
        let refusal = refusal::explain("load its programs", &error, &log);
        match refusal::refused_program(&log) {
            Some(program)
                if refused.len() + 1 < programs && refused.iter().all(|(r, _)| *r != program) =>
            {
                refused.push((program, refusal));
            }
            _ => {
                hooks.iter_mut().for_each(|hook| hook.refuse(&refusal));
                return Ok(Loaded { source, object: None, hooks });
            }
        }
    }
}

fn reuse(object: &mut libbpf_rs::OpenObject, maps: &SharedMaps) -> libbpf_rs::Result<()> {
    for mut map in object.maps_mut() {
        let known = map.name().to_str().and_then(|name| maps.0.get(name));
        if let Some(known) = known {
            map.reuse_fd(known.as_fd())?;
        }
    }
    Ok(())
}

fn share(object: &Object, maps: &mut SharedMaps) -> Result<(), Failure> {
    for map in object.maps() {
        let name = SHARED_MAPS.into_iter().find(|name| map.name() == *name);
        let Some(name) = name.filter(|name| !maps.0.contains_key(name)) else { continue };
        let handle = MapHandle::try_from(&map).map_err(|error| {
            Failure::new("broken_object", format!("failed to share the map {name}: {error}"))
        })?;
        maps.0.insert(name, handle);
    }
    Ok(())
}
