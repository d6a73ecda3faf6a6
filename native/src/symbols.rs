//! The functions of an executable file, found by name, pattern or offset.
//!
//! .dynsym survives strip, .symtab has everything: both are read. Several names of one address are
//! one function; its canonical name is the same in each copy of the file, stripped or not, as far
//! as the function is exported.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]

use std::collections::HashMap;

use crate::demangle;
use crate::elf::{Binary, ElfError};
use crate::elf_headers::Section;
use crate::fields::{Fields, string_at};
use crate::glob::Glob;

/// Symbols of one table. The node binary has 146,000.
pub const SYMBOLS_MAX: u64 = 1_000_000;
/// Bytes of all names of one table.
pub const NAMES_BYTES_MAX: u64 = 40 << 20;
/// Names longer than this are not matched; C++ templates reach thousands.
pub const NAME_BYTES_MAX: usize = 4096;

const SYMBOL_BYTES: u64 = 24;
const SHT_SYMTAB: u32 = 2;
const SHT_DYNSYM: u32 = 11;
const STT_FUNC: u8 = 2;

/// Which symbol tables to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// .dynsym alone: exported functions; enough for the functions of a shared library.
    Dynamic,
    /// .dynsym and .symtab.
    All,
}

/// What to look for.
#[derive(Clone, Debug)]
pub enum SymbolQuery {
    /// Any of these names, exactly, as the file has them.
    Names(Vec<String>),
    /// A pattern for the name as the file has it, or as the C++ or Rust source has it: with or
    /// without the parameter list, without the hash of Rust.
    Glob(Glob),
    /// The code at this offset of the file, whether a function starts there or not.
    Offset(u64),
}

/// Where to put a probe, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// As the file has it, the name that was asked for; `+0x<offset>` where there is no symbol.
    pub name: String,
    /// As the source has it, for C++ and Rust.
    pub demangled: Option<String>,
    /// Virtual address in the file's own terms.
    pub address: u64,
    /// Of the first instruction: what a uprobe wants.
    pub file_offset: u64,
    /// In bytes; 0 when the file does not say.
    pub size: u64,
    /// Of the next function, or none. Bounds the code of a function without a size.
    pub next_address: Option<u64>,
    /// What [`crate::node_hash::node_hash`] takes: equal in all copies of the file.
    pub place: String,
}

/// The answer to a query.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// In the order of their addresses.
    pub functions: Vec<Function>,
    /// Whether there were more than the limit.
    pub more: bool,
}

/// A function symbol. Names are offsets, to keep a million of them small.
#[derive(Clone, Copy)]
struct Symbol {
    address: u64,
    size: u64,
    name: u32,
    dynamic: bool,
}

/// All function symbols of a file, by address.
pub struct Symbols {
    symbols: Vec<Symbol>,
    dynamic_names: Vec<u8>,
    static_names: Vec<u8>,
    /// Why a table is missing, when it is.
    pub incomplete: Option<ElfError>,
}

impl Symbols {
    /// Reads the tables. One that is malformed or too large is left out, and `incomplete` says so.
    /// Indirect functions (`STT_GNU_IFUNC`) are left out: their address is that of the resolver.
    pub fn read(binary: &Binary, tables: Tables) -> Symbols {
        let mut all = Symbols {
            symbols: Vec::new(),
            dynamic_names: Vec::new(),
            static_names: Vec::new(),
            incomplete: None,
        };
        for (kind, dynamic) in [(SHT_DYNSYM, true), (SHT_SYMTAB, false)] {
            if !dynamic && tables == Tables::Dynamic {
                continue;
            }
            let Some(section) = binary.sections().iter().find(|section| section.kind == kind)
            else {
                continue;
            };
            match all.read_table(binary, section, dynamic) {
                Ok(names) if dynamic => all.dynamic_names = names,
                Ok(names) => all.static_names = names,
                Err(error) => all.incomplete = Some(error),
            }
        }
        all.symbols.sort_by_key(|symbol| (symbol.address, !symbol.dynamic));
        all
    }

    fn read_table(
        &mut self,
        binary: &Binary,
        section: &Section,
        dynamic: bool,
    ) -> Result<Vec<u8>, ElfError> {
        let names = usize::try_from(section.link).ok().and_then(|link| binary.sections().get(link));
        let names = names.ok_or(ElfError::Malformed("symbol table"))?;
        if section.size / SYMBOL_BYTES > SYMBOLS_MAX {
            return Err(ElfError::Limit("symbols"));
        }
        let table = binary.bytes(section.offset, section.size, (section.size, "symbols"))?;
        let names =
            binary.bytes(names.offset, names.size, (NAMES_BYTES_MAX, "bytes of symbol names"))?;
        let size = usize::try_from(SYMBOL_BYTES).map_err(|_| ElfError::Limit("symbols"))?;
        let symbols = table.chunks_exact(size).filter_map(|entry| symbol(entry, dynamic));
        self.symbols.extend(symbols);
        Ok(names)
    }

    /// Whether the file told of any function.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Whether it has a function of this name.
    pub fn has(&self, name: &str) -> bool {
        self.symbols.iter().any(|symbol| self.name(symbol) == Some(name))
    }

    /// At most `limit` functions that answer the query, one per address.
    pub fn find(&self, binary: &Binary, query: &SymbolQuery, limit: usize) -> Found {
        if let SymbolQuery::Offset(offset) = query {
            let functions = self.at_offset(binary, *offset).into_iter().take(limit).collect();
            return Found { functions, more: false };
        }
        let mut found = Found::default();
        let mut names = None;
        for group in self.symbols.chunk_by(|one, other| one.address == other.address) {
            let matching = group.iter().filter_map(|symbol| self.name(symbol));
            let Some(name) = matching.filter(|name| matches(query, name)).min_by_key(rank) else {
                continue;
            };
            // Undefined code: a section that is no memory, or memory that is no code.
            let Some(file_offset) =
                group.first().and_then(|first| binary.code_offset(first.address))
            else {
                continue;
            };
            if found.functions.len() >= limit {
                found.more = true;
                break;
            }
            let names = names.get_or_insert_with(|| self.addresses_by_name());
            found.functions.push(self.function(group, name, file_offset, names));
        }
        found
    }

    fn at_offset(&self, binary: &Binary, offset: u64) -> Option<Function> {
        let address = binary.code_address(offset)?;
        let start = self.symbols.partition_point(|symbol| symbol.address < address);
        let rest = self.symbols.get(start..).unwrap_or_default();
        let group = rest.chunk_by(|one, other| one.address == other.address).next();
        let group = group.filter(|group| group.first().is_some_and(|one| one.address == address));
        let name = group
            .and_then(|group| group.iter().filter_map(|symbol| self.name(symbol)).min_by_key(rank));
        if let (Some(group), Some(name)) = (group, name) {
            return Some(self.function(group, name, offset, &self.addresses_by_name()));
        }
        Some(Function {
            name: format!("+{offset:#x}"),
            demangled: None,
            address,
            file_offset: offset,
            size: 0,
            next_address: rest.first().map(|symbol| symbol.address),
            place: offset_place(offset),
        })
    }

    fn function(
        &self,
        group: &[Symbol],
        name: &str,
        file_offset: u64,
        names: &HashMap<(&str, bool), Addresses>,
    ) -> Function {
        let address = group.first().map_or(0, |symbol| symbol.address);
        let next = self.symbols.partition_point(|symbol| symbol.address <= address);
        // The exported names first: they are what a stripped copy still has.
        let dynamic = group.iter().any(|symbol| symbol.dynamic && self.name(symbol).is_some());
        let same_table = group.iter().filter(|symbol| symbol.dynamic == dynamic);
        let canonical = same_table.filter_map(|symbol| self.name(symbol)).min_by_key(rank);
        let unique =
            |canonical: &&str| matches!(names.get(&(*canonical, dynamic)), Some(Addresses::One(_)));
        let place = canonical.filter(unique).map(|canonical| format!("symbol:{canonical}"));
        Function {
            name: name.to_owned(),
            demangled: demangle::demangle(name),
            address,
            file_offset,
            size: group.iter().map(|symbol| symbol.size).max().unwrap_or(0),
            next_address: self.symbols.get(next).map(|symbol| symbol.address),
            place: place.unwrap_or_else(|| offset_place(file_offset)),
        }
    }

    /// Names of one table are not unique: versioned symbols, static functions of several sources.
    fn addresses_by_name(&self) -> HashMap<(&str, bool), Addresses> {
        let mut names = HashMap::with_capacity(self.symbols.len());
        for symbol in &self.symbols {
            let Some(name) = self.name(symbol) else { continue };
            names
                .entry((name, symbol.dynamic))
                .and_modify(|addresses| {
                    if *addresses != Addresses::One(symbol.address) {
                        *addresses = Addresses::Several;
                    }
                })
                .or_insert(Addresses::One(symbol.address));
        }
        names
    }

    /// Names that are empty, too long or no UTF-8 are none: nobody can ask for them.
    fn name(&self, symbol: &Symbol) -> Option<&str> {
        let names = if symbol.dynamic { &self.dynamic_names } else { &self.static_names };
        let name = string_at(names, symbol.name)?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        std::str::from_utf8(name).ok()
    }
}

#[derive(PartialEq, Eq)]
enum Addresses {
    One(u64),
    Several,
}

fn symbol(entry: &[u8], dynamic: bool) -> Option<Symbol> {
    let fields = Fields(entry);
    let (name, info, section) = (fields.u32(0)?, fields.u8(4)?, fields.u16(6)?);
    let (address, size) = (fields.u64(8)?, fields.u64(16)?);
    // Section 0 is "undefined": what the file imports.
    let defined = section != 0 && address != 0;
    (info & 0xf == STT_FUNC && defined).then_some(Symbol { address, size, name, dynamic })
}

/// Of several names, the shortest, then the first in the order of bytes.
fn rank<'a>(name: &&'a str) -> (usize, &'a str) {
    (name.len(), name)
}

fn offset_place(offset: u64) -> String {
    format!("offset:{offset:#x}")
}

fn matches(query: &SymbolQuery, name: &str) -> bool {
    match query {
        SymbolQuery::Names(names) => names.iter().any(|wanted| wanted == name),
        SymbolQuery::Glob(glob) => glob.matches(name) || demangle::matches(glob, name),
        SymbolQuery::Offset(_) => false,
    }
}

#[cfg(test)]
mod tests;
