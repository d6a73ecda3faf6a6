//! The processes that already descend from a tree filter's roots when the capture starts.
//!
//! The kernel programs hand a filter's flags on at each fork, but only from when they are attached.
//! So they are attached first, then /proc is read until a pass finds nobody new: a child forked
//! before its parent was in the map is found by the next pass, any later one by the programs.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use serde_json::json;

use crate::diagnostics;

/// Against a fork storm that outruns the passes; each pass takes milliseconds.
const PASSES_MAX: usize = 16;
/// Deeper ancestries than this do not exist in practice.
const DEPTH_MAX: usize = 4096;

/// Adds the descendants of `roots` (pid to filter flags) to the map.
pub fn add_descendants(map: &MapHandle, roots: &HashMap<u32, u8>) {
    let mut known = roots.clone();
    for _ in 0..PASSES_MAX {
        let members = members(&parents(), roots);
        let new: Vec<_> =
            members.into_iter().filter(|(pid, flags)| known.get(pid) != Some(flags)).collect();
        if new.is_empty() {
            return;
        }
        for (pid, flags) in new {
            let key = pid.to_le_bytes();
            if let Err(error) = map.update(&key, &[flags], MapFlags::ANY) {
                let message = format!("a process could not be added to the tree filter: {error}");
                return diagnostics::warn("tree_incomplete", &message, json!({ "pid": pid }));
            }
            // It may have ended in between, unseen: the entry would wait for an heir of its pid.
            if !process_directory(pid).exists() {
                let _ = map.delete(&key);
            }
            known.insert(pid, flags);
        }
    }
    diagnostics::warn(
        "tree_incomplete",
        "processes were forked faster than they could be added to the tree filter",
        json!({}),
    );
}

/// Everybody below a root, roots included, with the flags of all roots above.
fn members(parents: &HashMap<u32, u32>, roots: &HashMap<u32, u8>) -> HashMap<u32, u8> {
    let mut members = HashMap::new();
    for pid in parents.keys() {
        let ancestry = std::iter::successors(Some(*pid), |pid| parents.get(pid).copied());
        let flags = ancestry
            .take(DEPTH_MAX)
            .filter_map(|ancestor| roots.get(&ancestor))
            .fold(0, |flags, inherited| flags | inherited);
        if flags != 0 {
            members.insert(*pid, flags);
        }
    }
    members
}

/// Every process of /proc and its parent.
fn parents() -> HashMap<u32, u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| {
            let stat = fs::read(process_directory(pid).join("stat")).ok()?;
            Some((pid, parent_of(&stat)?))
        })
        .collect()
}

/// The fourth field of /proc/PID/stat. The second, the comm in parentheses, may itself contain
/// spaces and parentheses.
fn parent_of(stat: &[u8]) -> Option<u32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn process_directory(pid: u32) -> PathBuf {
    PathBuf::from("/proc").join(pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_comm_does_not_move_the_parent() {
        assert_eq!(parent_of(b"7 (a) S 1 (b)) S 42 7 7 0"), Some(42));
        assert_eq!(parent_of(b"7 (sh"), None);
    }

    #[test]
    fn flags_come_from_every_root_above() {
        let parents = HashMap::from([(1, 0), (10, 1), (11, 10), (12, 11), (20, 1)]);
        let roots = HashMap::from([(10, 1), (11, 2)]);
        let expected = HashMap::from([(10, 1), (11, 3), (12, 3)]);
        assert_eq!(members(&parents, &roots), expected);
    }

    #[test]
    fn a_loop_of_parents_ends() {
        let parents = HashMap::from([(5, 6), (6, 5)]);
        assert_eq!(members(&parents, &HashMap::from([(5, 1)])).len(), 2);
    }

    #[test]
    fn this_process_is_below_its_parent() {
        let parent = std::os::unix::process::parent_id();
        assert_eq!(parents().get(&std::process::id()), Some(&parent));
    }
}
