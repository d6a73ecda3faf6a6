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
use crate::dynamic::{self, Range};
use crate::elf::{Binary, ElfError};
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
        let wanted = if tables == Tables::Dynamic { &[true][..] } else { &[true, false] };
        for dynamic in wanted {
            match all.read_table(binary, *dynamic) {
                Ok(names) if *dynamic => all.dynamic_names = names,
                Ok(names) => all.static_names = names,
                Err(error) => all.incomplete = Some(error),
            }
        }
        all.symbols.sort_by_key(|symbol| (symbol.address, !symbol.dynamic));
        all
    }

    /// The names of the table's symbols; empty when the file has no such table.
    fn read_table(&mut self, binary: &Binary, dynamic: bool) -> Result<Vec<u8>, ElfError> {
        let range = if binary.sections().is_empty() && dynamic {
            dynamic::symbol_table(binary, SYMBOLS_MAX)?
        } else {
            by_section(binary, if dynamic { SHT_DYNSYM } else { SHT_SYMTAB })?
        };
        let Some(((at, size), (names_at, names_size))) = range else { return Ok(Vec::new()) };
        if size / SYMBOL_BYTES > SYMBOLS_MAX {
            return Err(ElfError::Limit("symbols"));
        }
        let table = binary.bytes(at, size, (size, "symbols"))?;
        let names =
            binary.bytes(names_at, names_size, (NAMES_BYTES_MAX, "bytes of symbol names"))?;
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

    /// The function that has the byte at this address, and where it begins. Only functions whose size
    /// the file says have more than their name.
    pub fn at(&self, address: u64) -> Option<(&str, u64)> {
        let end = self.symbols.partition_point(|symbol| symbol.address <= address);
        let groups = self.symbols.get(..end)?.chunk_by(|one, other| one.address == other.address);
        let group = groups.into_iter().next_back()?;
        let start = group.first()?.address;
        let size = group.iter().map(|symbol| symbol.size).max()?;
        let (name, _) = self.canonical(group)?;
        (address.checked_sub(start)? < size).then_some((name, start))
    }

    /// Bytes of memory that it takes, about.
    pub fn bytes(&self) -> usize {
        let symbols = self.symbols.capacity().saturating_mul(size_of::<Symbol>());
        let names = self.dynamic_names.capacity().saturating_add(self.static_names.capacity());
        symbols.saturating_add(names)
    }

    /// At most `limit` functions that answer the query, one per address.
    pub fn find(&self, binary: &Binary, query: &SymbolQuery, limit: usize) -> Found {
        if let SymbolQuery::Offset(offset) = query {
            let functions = self.at_offset(binary, *offset).into_iter().take(limit).collect();
            return Found { functions, more: false };
        }
        let mut matched = Vec::new();
        let mut more = false;
        for group in self.symbols.chunk_by(|one, other| one.address == other.address) {
            let names = group.iter().filter_map(|symbol| self.name(symbol));
            let name = names.filter(|name| matches(query, name)).min_by_key(rank);
            let offset = || binary.code_offset(group.first()?.address);
            // Without an offset it is data, or a section that is no memory.
            let Some((name, offset)) = name.zip(name.and_then(|_| offset())) else { continue };
            if matched.len() >= limit {
                more = true;
                break;
            }
            matched.push((group, name, offset));
        }
        let addresses = self.addresses_of(matched.iter().map(|(group, ..)| *group));
        let functions = matched
            .into_iter()
            .map(|(group, name, offset)| self.function(group, name, offset, &addresses))
            .collect();
        Found { functions, more }
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
            let addresses = self.addresses_of(std::iter::once(group));
            return Some(self.function(group, name, offset, &addresses));
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
        addresses: &HashMap<(&str, bool), Addresses>,
    ) -> Function {
        let address = group.first().map_or(0, |symbol| symbol.address);
        let next = self.symbols.partition_point(|symbol| symbol.address <= address);
        let canonical = self.canonical(group);
        let unique = |name: &(&str, bool)| matches!(addresses.get(name), Some(Addresses::One(_)));
        let place = canonical.filter(unique).map(|(name, _)| format!("symbol:{name}"));
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

    /// Of the names of one address, and whether it is from .dynsym: those come first, as they are
    /// what a stripped copy still has.
    fn canonical(&self, group: &[Symbol]) -> Option<(&str, bool)> {
        let of_table = |dynamic: bool| {
            let table = group.iter().filter(move |symbol| symbol.dynamic == dynamic);
            let name = table.filter_map(|symbol| self.name(symbol)).min_by_key(rank)?;
            Some((name, dynamic))
        };
        of_table(true).or_else(|| of_table(false))
    }

    /// Which of the canonical names stand for more than one address of their table: versioned
    /// symbols, static functions of several sources.
    fn addresses_of<'s>(
        &'s self,
        groups: impl Iterator<Item = &'s [Symbol]>,
    ) -> HashMap<(&'s str, bool), Addresses> {
        let names = groups.filter_map(|group| self.canonical(group));
        let mut addresses: HashMap<_, _> = names.map(|name| (name, Addresses::None)).collect();
        if addresses.is_empty() {
            return addresses;
        }
        for symbol in &self.symbols {
            let Some(name) = self.name(symbol) else { continue };
            let Some(known) = addresses.get_mut(&(name, symbol.dynamic)) else { continue };
            *known = match *known {
                Addresses::None => Addresses::One(symbol.address),
                Addresses::One(address) if address == symbol.address => continue,
                _ => Addresses::Several,
            };
        }
        addresses
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

enum Addresses {
    None,
    One(u64),
    Several,
}

/// Where the symbols of this kind of section and their names are.
fn by_section(binary: &Binary, kind: u32) -> Result<Option<(Range, Range)>, ElfError> {
    let section = binary.sections().iter().find(|section| section.kind == kind);
    let Some(section) = section else { return Ok(None) };
    let names = usize::try_from(section.link).ok().and_then(|link| binary.sections().get(link));
    let names = names.ok_or(ElfError::Malformed("symbol table"))?;
    Ok(Some(((section.offset, section.size), (names.offset, names.size))))
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
#[path = "symbols/tests.rs"] // The fuzz crate includes this file by its path.
mod tests;
