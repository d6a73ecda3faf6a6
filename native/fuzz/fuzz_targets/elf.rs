//! A whole executable: everything that the attachments ask of a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime_evidence_probe_fuzz::elf::Binary;
use runtime_evidence_probe_fuzz::glob::Glob;
use runtime_evidence_probe_fuzz::node_hash;
use runtime_evidence_probe_fuzz::returns::{Exits, FUNCTION_BYTES_MAX, RETURNS_MAX, exits};
use runtime_evidence_probe_fuzz::runtime::runtime_of_executable;
use runtime_evidence_probe_fuzz::symbols::{Function, SymbolQuery, Symbols, Tables};

const FUNCTIONS_MAX: usize = 64;

fuzz_target!(|data: &[u8]| {
    // Not as an argument: a `Vec` would be made of the input by rules of its own.
    let data = data.to_vec();
    let Ok(binary) = Binary::open(&data) else { return };
    let _ = binary.has_interpreter();
    let identity = node_hash::identity(&binary, &data).unwrap_or_default();
    let symbols = Symbols::read(&binary, Tables::All);
    let _ = runtime_of_executable(&binary, &symbols);
    let queries = [
        SymbolQuery::Glob(Glob::new("*")),
        SymbolQuery::Glob(Glob::new("*::add*(*)")),
        SymbolQuery::Names(vec!["connect".into(), "SSL_read".into()]),
        SymbolQuery::Offset(0x1000),
    ];
    for query in &queries {
        let found = symbols.find(&binary, query, FUNCTIONS_MAX);
        assert!(found.functions.len() <= FUNCTIONS_MAX);
        for function in &found.functions {
            check(&binary, function, data.len() as u64);
            assert_eq!(
                node_hash::node_hash(&identity, &function.place).len(),
                "sha256:".len() + 64
            );
            let at = symbols.at(function.address);
            assert!(at.is_none_or(|(_, start)| start == function.address));
            assert_eq!(at.is_none(), function.size == 0);
        }
    }
});

/// A probe is put at these offsets: they must be code of this function and of this file.
fn check(binary: &Binary, function: &Function, file_bytes: u64) {
    assert!(function.file_offset < file_bytes);
    assert_eq!(binary.code_offset(function.address), Some(function.file_offset));
    let Exits::Returns(returns) = exits(binary, function) else { return };
    assert!(!binary.is_go());
    assert!((1..=RETURNS_MAX).contains(&returns.len()));
    assert!(returns.is_sorted());
    for offset in returns {
        assert!(offset < file_bytes);
        assert!(offset - function.file_offset < FUNCTION_BYTES_MAX);
    }
}
