//! Symbol names and patterns for them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime_evidence_probe_fuzz::demangle;
use runtime_evidence_probe_fuzz::glob::Glob;

fuzz_target!(|data: &str| {
    let (pattern, name) = data.split_once('\n').unwrap_or(("*", data));
    let glob = Glob::new(pattern);
    let plain = glob.matches(name);
    if !pattern.contains(['*', '?']) {
        assert_eq!(plain, pattern == name);
    }
    let _ = demangle::matches(&glob, name);
    if let Some(text) = demangle::demangle(name) {
        assert!(text.len() <= 4096);
        assert!(demangle::matches(&Glob::new("*"), name));
    }
});
