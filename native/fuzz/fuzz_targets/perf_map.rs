//! What a process wrote about code that it compiled.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime_evidence_probe_fuzz::perf_map::PerfMap;

fuzz_target!(|data: &[u8]| {
    let lines = data.iter().filter(|byte| **byte == b'\n').count();
    let map = PerfMap::parse(data.to_vec());
    let addresses = (0..64).flat_map(|bit| [0, 1, u64::MAX].map(|low| (1_u64 << bit) ^ low));
    for address in addresses.chain(0x1000..0x1100) {
        let Some(name) = map.at(address) else { continue };
        assert!(lines > 0 && !name.is_empty() && !name.contains('\n'));
    }
});
