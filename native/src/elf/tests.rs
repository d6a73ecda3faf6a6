use super::*;
use crate::compiled::{Folder, compile, open, run, skipped};
use crate::symbols::{SymbolQuery, Symbols, Tables};

const LIBRARY: &str =
    "int add(int a, int b) { return a + b; } int sub(int a, int b) { return a - b; }";

/// A small shared library as bytes, or none without a compiler.
fn library(options: &[&str]) -> Option<Vec<u8>> {
    let folder = Folder::new();
    let options = [&["-shared", "-fPIC", "-O1", "-nostdlib"], options].concat();
    let path = compile(&folder, "library.so", &options, LIBRARY)?;
    Some(std::fs::read(path).unwrap())
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
}

fn error_of(bytes: &Vec<u8>) -> ElfError {
    Binary::open(bytes).err().unwrap()
}

/// Everything that the attachments ask of a file.
fn use_all(bytes: &Vec<u8>) -> usize {
    let Ok(binary) = Binary::open(bytes) else { return 0 };
    let _ = (binary.build_id(), binary.is_go(), binary.has_interpreter());
    let symbols = Symbols::read(&binary, Tables::All);
    let query = SymbolQuery::Glob(crate::glob::Glob::new("*"));
    let found = symbols.find(&binary, &query, 100).functions;
    for function in &found {
        let _ = crate::returns::exits(&binary, function);
    }
    found.len()
}

#[test]
fn the_build_id_is_what_the_linker_was_told() {
    let Some(bytes) = library(&["-Wl,--build-id=0x00ff10ab"]) else { return skipped("no cc") };
    assert_eq!(Binary::open(&bytes).unwrap().build_id(), Some("00ff10ab"));
    let bytes = library(&["-Wl,--build-id=none"]).unwrap();
    let binary = Binary::open(&bytes).unwrap();
    assert_eq!(binary.build_id(), None);
    assert!(!binary.is_go());
    let identity = crate::node_hash::identity(&binary, &bytes).unwrap();
    assert!(identity.starts_with("sha256:") && identity.len() == 71, "{identity}");
}

#[test]
fn files_that_are_none_of_ours_are_refused_with_the_reason() {
    assert_eq!(error_of(&Vec::new()), ElfError::NotElf);
    assert_eq!(error_of(&b"#!/bin/sh\n".repeat(20)), ElfError::NotElf);
    let Some(bytes) = library(&[]) else { return skipped("no cc") };
    let with = |at: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        put(&mut bytes, at, value);
        error_of(&bytes)
    };
    assert_eq!(with(4, &[1]), ElfError::Unsupported("not 64-bit"));
    assert_eq!(with(5, &[2]), ElfError::Unsupported("big-endian"));
    assert_eq!(with(18, &[8, 0]), ElfError::Unsupported("neither x86-64 nor AArch64"));
    assert_eq!(with(32, &[0xff; 8]), ElfError::Truncated);
    assert_eq!(with(40, &[0xff; 8]), ElfError::Truncated);
    assert_eq!(with(54, &[0, 0]), ElfError::Malformed("program header table"));
    assert_eq!(with(56, &[0, 0]), ElfError::Malformed("program header table"));
    assert_eq!(with(56, &[0xff, 0xff]), ElfError::Limit("program headers"));
    assert_eq!(with(60, &[0xff, 0xff]), ElfError::Limit("section headers"));
}

#[test]
fn a_giant_extended_section_count_is_refused() {
    let Some(mut bytes) = library(&[]) else { return skipped("no cc") };
    let sections = u64_at(&bytes, 40);
    put(&mut bytes, 60, &[0, 0]);
    put(&mut bytes, sections + 32, &(u64::MAX / 64).to_le_bytes());
    assert_eq!(error_of(&bytes), ElfError::Limit("section headers"));
}

#[test]
fn an_address_that_two_segments_claim_is_nobodys() {
    let Some(mut bytes) = library(&[]) else { return skipped("no cc") };
    let (add, segments) = {
        let binary = Binary::open(&bytes).unwrap();
        let query = SymbolQuery::Names(vec!["add".into()]);
        let found = Symbols::read(&binary, Tables::Dynamic).find(&binary, &query, 9).functions;
        assert_eq!(binary.code_address(found[0].file_offset), Some(found[0].address));
        (found[0].address, u64_at(&bytes, 32))
    };
    let count = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
    let not_load = |index: &usize| bytes[segments + index * 56] != 1;
    // Some other header becomes a second claim to the same memory.
    let other = (0..count).find(not_load).unwrap();
    let claim = [1_u64 | 5 << 32, 0, add, add, 16, 16, 1].map(u64::to_le_bytes).concat();
    put(&mut bytes, segments + other * 56, &claim);
    let binary = Binary::open(&bytes).unwrap();
    assert_eq!(binary.code_offset(add), None);
}

#[test]
fn an_offset_beyond_the_end_of_the_file_is_no_code() {
    let Some(mut bytes) = library(&[]) else { return skipped("no cc") };
    let code = {
        let binary = Binary::open(&bytes).unwrap();
        let query = SymbolQuery::Names(vec!["add".into()]);
        Symbols::read(&binary, Tables::Dynamic).find(&binary, &query, 9).functions[0].clone()
    };
    let (segments, end) = (u64_at(&bytes, 32), bytes.len() as u64);
    let count = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
    // The segment of the code claims a megabyte.
    let executable = (0..count)
        .map(|index| segments + index * 56)
        .find(|at| bytes[*at..*at + 8] == (1_u64 | 5 << 32).to_le_bytes());
    put(&mut bytes, executable.unwrap() + 32, &(1_u64 << 20).to_le_bytes());
    let binary = Binary::open(&bytes).unwrap();
    assert_eq!(binary.code_address(end), None);
    let symbols = Symbols::read(&binary, Tables::Dynamic);
    assert!(symbols.find(&binary, &SymbolQuery::Offset(end + 16), 9).functions.is_empty());
    assert!(binary.code_offset(code.address).is_none_or(|offset| offset == code.file_offset));
}

#[test]
fn every_truncation_is_an_error_or_less_never_a_panic() {
    let Some(bytes) = library(&[]) else { return skipped("no cc") };
    assert!(use_all(&bytes) >= 2);
    for length in (0..bytes.len()).step_by(7) {
        use_all(&bytes[..length].to_vec());
    }
}

#[test]
fn every_byte_may_be_anything() {
    let Some(bytes) = library(&["-Wl,-z,noseparate-code"]) else { return skipped("no cc") };
    for at in 0..bytes.len() {
        for value in [0x00, 0x7f, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            use_all(&bytes);
        }
    }
}

#[test]
fn a_stripped_file_keeps_its_identity_and_its_exported_places() {
    let folder = Folder::new();
    let Some(path) = compile(&folder, "a.so", &["-shared", "-fPIC", "-Wl,--build-id"], LIBRARY)
    else {
        return skipped("no cc");
    };
    let stripped = folder.path("b.so");
    let arguments = ["-o", stripped.to_str().unwrap(), path.to_str().unwrap()];
    if run("strip", &arguments, "").is_none() {
        return skipped("no strip");
    }
    let places = |path: &std::path::Path| {
        let file = open(path);
        let binary = Binary::open(&file).unwrap();
        let identity = crate::node_hash::identity(&binary, &file).unwrap();
        let query = SymbolQuery::Names(vec!["add".into(), "sub".into()]);
        let found = Symbols::read(&binary, Tables::All).find(&binary, &query, 9);
        let hash = |place: &String| crate::node_hash::node_hash(&identity, place);
        found.functions.iter().map(|function| hash(&function.place)).collect::<Vec<_>>()
    };
    let (whole, less) = (places(&path), places(&stripped));
    assert_eq!(whole, less);
    assert_eq!(whole.len(), 2);
    assert_ne!(whole[0], whole[1]);
}

#[test]
fn without_section_headers_the_exported_functions_are_still_found() {
    for style in ["gnu", "sysv", "both"] {
        let style = format!("-Wl,--hash-style={style}");
        let Some(whole) = library(&[&style]) else { return skipped("no cc") };
        let places = |bytes: &Vec<u8>| {
            let binary = Binary::open(bytes).unwrap();
            let symbols = Symbols::read(&binary, Tables::All);
            assert_eq!(symbols.incomplete, None);
            let query = SymbolQuery::Names(vec!["add".into(), "sub".into()]);
            let found = symbols.find(&binary, &query, 9).functions;
            found.into_iter().map(|function| (function.place, function.size)).collect::<Vec<_>>()
        };
        let mut bare = whole.clone();
        put(&mut bare, 40, &[0; 8]);
        put(&mut bare, 60, &[0; 2]);
        assert_eq!(places(&bare).len(), 2, "{style}");
        assert_eq!(places(&bare), places(&whole), "{style}");
    }
}
