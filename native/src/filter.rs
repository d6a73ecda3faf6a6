//! The filters of the configuration as entries of the kernel's filter maps.

use std::collections::HashMap;

use libbpf_rs::{MapCore, MapFlags};

use crate::diagnostics::Failure;
use crate::layout::{
    FILTER_CGROUP, FILTER_COMM, FILTER_EXCLUDE, FILTER_INCLUDE, FILTER_PATH, FILTER_PATH_BYTES_MAX,
    FILTER_PID, FILTER_TREE, FILTER_UID, FRAME_COMM_BYTES, FilterConfig,
};
use crate::load::SharedMaps;
use crate::selection::{Filters, Selection};

/// The entries of one filter map: key bytes to flags (`enum filter_flag`).
pub type Entries = HashMap<Vec<u8>, u8>;

/// Which dimensions include or exclude anything, as the programs' constant.
pub fn dimensions(filters: &Filters) -> FilterConfig {
    let Filters { pid, tree, comm, uid, cgroup, path } = filters;
    let used = [
        (FILTER_PID, presence(pid)),
        (FILTER_TREE, presence(tree)),
        (FILTER_COMM, presence(comm)),
        (FILTER_UID, presence(uid)),
        (FILTER_CGROUP, presence(cgroup)),
        (FILTER_PATH, presence(path)),
    ];
    let mask = |pick: fn(&(bool, bool)) -> bool| {
        used.iter().filter(|(_, used)| pick(used)).fold(0, |mask, (bit, _)| mask | bit)
    };
    FilterConfig { include: mask(|used| used.0), exclude: mask(|used| used.1) }
}

/// Each filter map with its entries.
pub fn entries(filters: &Filters) -> Result<[(&'static str, Entries); 6], Failure> {
    let number = |value: &u32| Ok(value.to_le_bytes().to_vec());
    Ok([
        ("filter_pids", collect(&filters.pid, number)?),
        ("filter_trees", collect(&filters.tree, number)?),
        ("filter_uids", collect(&filters.uid, number)?),
        ("filter_comms", collect(&filters.comm, |comm| comm_key(comm))?),
        ("filter_cgroups", collect(&filters.cgroup, |id| Ok(id.0.to_le_bytes().to_vec()))?),
        ("filter_paths", collect(&filters.path, |path| path_key(path))?),
    ])
}

/// Fills the filter maps and `own_processes`. Must be done before any program is attached: else what
/// should be filtered would pass for a moment.
pub fn fill(maps: &SharedMaps, filters: &Filters, own: &[u32]) -> Result<(), Failure> {
    let own: Entries = own.iter().map(|pid| (pid.to_le_bytes().to_vec(), 1)).collect();
    for (name, entries) in entries(filters)?.into_iter().chain([("own_processes", own)]) {
        let map = maps.get(name)?;
        if entries.len() > map.max_entries() as usize {
            let room = map.max_entries();
            return Err(refused(&format!("{name} has room for {room} entries")));
        }
        for (key, flags) in entries {
            map.update(&key, &[flags], MapFlags::ANY).map_err(|error| {
                Failure::new("filter_failed", format!("failed to fill {name}: {error}"))
            })?;
        }
    }
    Ok(())
}

fn presence<T>(selection: &Selection<T>) -> (bool, bool) {
    (!selection.include.is_empty(), !selection.exclude.is_empty())
}

fn collect<T>(
    selection: &Selection<T>,
    key: impl Fn(&T) -> Result<Vec<u8>, Failure>,
) -> Result<Entries, Failure> {
    let mut entries = Entries::new();
    for (values, flag) in
        [(&selection.include, FILTER_INCLUDE), (&selection.exclude, FILTER_EXCLUDE)]
    {
        for value in values {
            *entries.entry(key(value)?).or_default() |= flag as u8;
        }
    }
    Ok(entries)
}

/// NUL-padded, as the kernel keeps it.
fn comm_key(comm: &str) -> Result<Vec<u8>, Failure> {
    let limit = FRAME_COMM_BYTES as usize - 1;
    if comm.is_empty() || comm.len() > limit || comm.contains('\0') {
        return Err(refused(&format!("a comm has 1 to {limit} bytes, {comm:?} has not")));
    }
    let mut key = comm.as_bytes().to_vec();
    key.resize(FRAME_COMM_BYTES as usize, 0);
    Ok(key)
}

/// `struct filter_path_key`.
fn path_key(path: &str) -> Result<Vec<u8>, Failure> {
    let limit = FILTER_PATH_BYTES_MAX as usize;
    if path.is_empty() || path.len() > limit || path.contains('\0') {
        return Err(refused(&format!("a path prefix has 1 to {limit} bytes, {path:?} has not")));
    }
    let bits = u32::try_from(path.len() * 8).unwrap_or(u32::MAX);
    let mut key = bits.to_le_bytes().to_vec();
    key.extend_from_slice(path.as_bytes());
    key.resize(size_of_val(&bits) + limit, 0);
    Ok(key)
}

fn refused(reason: &str) -> Failure {
    Failure::usage("bad_config", format!("the configuration is refused: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(text: &str) -> Filters {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn dimensions_are_the_used_ones() {
        let used = dimensions(&filters(
            r#"{"pid":{"include":[1]},"path":{"exclude":["/proc"]},"uid":{"include":[0],"exclude":[1]}}"#,
        ));
        assert_eq!(used.include, FILTER_PID | FILTER_UID);
        assert_eq!(used.exclude, FILTER_PATH | FILTER_UID);
    }

    #[test]
    fn a_value_on_both_sides_has_both_flags() {
        let all = entries(&filters(r#"{"pid":{"include":[7],"exclude":[7,8]}}"#)).unwrap();
        let (name, pids) = &all[0];
        assert_eq!(*name, "filter_pids");
        assert_eq!(pids[&7_u32.to_le_bytes().to_vec()], 3);
        assert_eq!(pids[&8_u32.to_le_bytes().to_vec()], 2);
    }

    #[test]
    fn keys_have_the_size_of_the_kernels() {
        assert_eq!(comm_key("sh").unwrap(), *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        let key = path_key("/etc").unwrap();
        assert_eq!(key.len(), size_of::<crate::layout::FilterPathKey>());
        assert_eq!((&key[..4], &key[4..9]), (&32_u32.to_le_bytes()[..], &b"/etc\0"[..]));
    }

    #[test]
    fn what_no_key_can_hold_is_refused() {
        assert!(comm_key("sixteen-byte-com").unwrap_err().message.contains("1 to 15 bytes"));
        assert!(path_key(&"p".repeat(257)).unwrap_err().message.contains("1 to 256 bytes"));
        assert!(path_key("").is_err() && comm_key("a\0b").is_err());
    }
}
