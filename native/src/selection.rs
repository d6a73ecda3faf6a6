//! What the configuration keeps and leaves out: values to include and values to exclude.

use serde::{Deserialize, Deserializer};

/// An event passes when, in every dimension that includes something, its value is included, and in
/// no dimension its value is excluded.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filters {
    /// Process ids as the initial pid namespace has them.
    pub pid: Selection<u32>,
    /// Processes, with all their descendants.
    pub tree: Selection<u32>,
    /// Command names, at most 15 bytes.
    pub comm: Selection<String>,
    /// Real user ids in the initial user namespace.
    pub uid: Selection<u32>,
    /// Ids of the cgroup v2 hierarchy.
    pub cgroup: Selection<CgroupId>,
    /// Path prefixes, at most 256 bytes; the longest one decides. `file_open` only.
    pub path: Selection<String>,
}

/// The values of one filter dimension.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, bound = "T: Deserialize<'de>")]
pub struct Selection<T> {
    /// When not empty, only these pass.
    pub include: Vec<T>,
    /// These never pass.
    pub exclude: Vec<T>,
}

impl<T> Default for Selection<T> {
    fn default() -> Self {
        Self { include: Vec::new(), exclude: Vec::new() }
    }
}

/// A 64-bit id, as a JSON number or, for writers that have only doubles, a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupId(pub u64);

impl<'de> Deserialize<'de> for CgroupId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a cgroup id: a number or a decimal string")]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(id) => Ok(Self(id)),
            Form::Text(text) => text
                .parse()
                .map(Self)
                .map_err(|_| serde::de::Error::custom("a cgroup id is a decimal number")),
        }
    }
}
