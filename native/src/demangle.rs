//! Names of C++ and Rust functions as their sources have them, within limits: a mangled name of
//! some bytes can stand for one of gigabytes.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]

use std::fmt::{self, Write};

use cpp_demangle::DemangleOptions;

use crate::glob::Glob;

/// Mangled names longer than this stay as they are.
const MANGLED_BYTES_MAX: usize = 4096;
/// A demangled name that would be longer is none.
const DEMANGLED_BYTES_MAX: usize = 4096;
/// C++ names whose demangled form does not contain what the mangled one spells out.
const ABBREVIATED: &[&str] = &[
    "std",
    "string",
    "basic_string",
    "allocator",
    "istream",
    "ostream",
    "iostream",
    "lambda",
    "anonymous",
    "namespace",
    "closure",
    "shim",
];

/// The name in the source, or none when it is not mangled.
pub fn demangle(name: &str) -> Option<String> {
    if name.len() > MANGLED_BYTES_MAX || !is_mangled(name) {
        return None;
    }
    let mut text = Text(String::new());
    // Rust first: its old scheme looks like C++ with a hash at the end.
    if let Ok(demangled) = rustc_demangle::try_demangle(name) {
        // The alternate form leaves the hash out.
        return write!(text, "{demangled:#}").ok().map(|()| text.0);
    }
    let symbol = cpp_demangle::Symbol::new(name.as_bytes()).ok()?;
    symbol.structured_demangle(&mut text, &DemangleOptions::new()).ok()?;
    Some(text.0)
}

/// Whether a pattern matches the demangled name, with or without its parameters.
pub fn matches(glob: &Glob, name: &str) -> bool {
    if !is_mangled(name) {
        return false;
    }
    // Demangling takes microseconds, a large binary has 100,000 names: most are ruled out here.
    let word = glob.longest_word();
    if !ABBREVIATED.contains(&word) && !word.contains("operator") && !name.contains(word) {
        return false;
    }
    let Some(demangled) = demangle(name) else { return false };
    glob.matches(&demangled) || glob.matches(without_parameters(&demangled))
}

/// C++ and the old scheme of Rust, or the new one.
fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

/// Up to the parameter list, which begins at the last `(` outside of any brackets that closes at
/// the end (or before `const`).
fn without_parameters(name: &str) -> &str {
    let mut depth = 0_u32;
    for (at, c) in name.char_indices().rev() {
        match c {
            ')' => depth = depth.saturating_add(1),
            '(' if depth == 1 => return name.get(..at).unwrap_or(name),
            '(' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    name
}

/// A string that refuses to grow beyond the limit.
struct Text(String);

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len().saturating_add(part.len()) > DEMANGLED_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpp_and_rust_names_are_read() {
        let cases = [
            ("_ZN3foo3barEi", "foo::bar(int)"),
            ("_ZNK3foo3barEv", "foo::bar() const"),
            ("_ZN4main3run17h0123456789abcdefE", "main::run"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
        ];
        for (mangled, expected) in cases {
            assert_eq!(demangle(mangled).as_deref(), Some(expected), "{mangled}");
        }
        assert_eq!(demangle("SSL_read"), None);
        assert_eq!(demangle("_start"), None);
    }

    #[test]
    fn patterns_match_with_and_without_parameters() {
        for pattern in ["foo::bar", "foo::bar(int)", "foo::*", "*::bar", "*bar(int)"] {
            assert!(matches(&Glob::new(pattern), "_ZN3foo3barEi"), "{pattern}");
        }
        assert!(matches(&Glob::new("foo::bar"), "_ZNK3foo3barEv"));
        assert!(matches(&Glob::new("std::*"), "_ZNSt6vectorIiSaIiEE4pushEv"));
        assert!(!matches(&Glob::new("foo::ba"), "_ZN3foo3barEi"));
        assert!(!matches(&Glob::new("foo"), "foo"));
    }

    #[test]
    fn names_that_unfold_to_gigabytes_are_none() {
        // Each template argument doubles the one before: S_, S0_, S1_ ...
        let mut name = String::from("_Z1fI1AIiiE");
        for index in 0..30_u32 {
            let previous = char::from_digit(index % 36, 36).unwrap().to_ascii_uppercase();
            name += &format!("1BIS{previous}_S{previous}_E");
        }
        name += "EvT_";
        assert!(demangle(&name).is_none_or(|text| text.len() <= DEMANGLED_BYTES_MAX));
    }
}
