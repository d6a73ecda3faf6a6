//! A cache that is bounded in bytes and entries; what was used longest ago goes first.

use std::collections::HashMap;
use std::hash::Hash;

struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

/// Values by key, with the bytes that each takes.
pub struct ByteCache<K, V> {
    entries: HashMap<K, Entry<V>>,
    bytes: usize,
    uses: u64,
    bytes_max: usize,
    entries_max: usize,
}

impl<K: Clone + Eq + Hash, V> ByteCache<K, V> {
    /// Nothing is in it yet.
    pub fn new(bytes_max: usize, entries_max: usize) -> Self {
        Self { entries: HashMap::new(), bytes: 0, uses: 0, bytes_max, entries_max }
    }

    /// The value, which is then the one used last.
    pub fn get(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(&mut entry.value)
    }

    /// Whether a value of so many bytes can be kept at all.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        bytes <= self.bytes_max
    }

    /// Keeps a value, and for it forgets others; one that is larger than the limit is not kept.
    pub fn put(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        if !self.has_room_for(bytes) {
            return;
        }
        while self.bytes + bytes > self.bytes_max || self.entries.len() >= self.entries_max {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            self.remove(&oldest);
        }
        self.uses += 1;
        self.bytes += bytes;
        self.entries.insert(key, Entry { value, bytes, used: self.uses });
    }

    /// Forgets a value.
    pub fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(cache: &mut ByteCache<u32, ()>) -> Vec<u32> {
        let mut keys: Vec<_> = cache.entries.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let mut cache = ByteCache::new(100, 10);
        for key in 1..=4 {
            cache.put(key, (), 25);
        }
        assert!(cache.get(&1).is_some());
        cache.put(5, (), 40);
        assert_eq!(held(&mut cache), [1, 4, 5]);
        assert_eq!(cache.bytes, 90);
    }

    #[test]
    fn entries_without_bytes_are_bounded_too() {
        let mut cache = ByteCache::new(100, 3);
        for key in 0..1000 {
            cache.put(key, (), 0);
        }
        assert_eq!(held(&mut cache), [997, 998, 999]);
    }

    #[test]
    fn what_is_larger_than_all_is_not_kept_and_a_new_value_replaces_the_old() {
        let mut cache = ByteCache::new(100, 3);
        cache.put(1, (), 60);
        cache.put(2, (), 101);
        assert_eq!(held(&mut cache), [1]);
        cache.put(1, (), 10);
        assert_eq!((cache.bytes, held(&mut cache)), (10, vec![1]));
        cache.remove(&1);
        assert_eq!(cache.bytes, 0);
    }
}
