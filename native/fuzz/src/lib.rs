//! The modules of the probe that read what workloads wrote, without the rest of the probe.

#[path = "../../src/demangle.rs"]
pub mod demangle;
#[path = "../../src/dynamic.rs"]
pub mod dynamic;
#[path = "../../src/elf.rs"]
pub mod elf;
#[path = "../../src/elf_headers.rs"]
pub mod elf_headers;
#[path = "../../src/fields.rs"]
pub mod fields;
#[path = "../../src/glob.rs"]
pub mod glob;
#[path = "../../src/instruction.rs"]
pub mod instruction;
#[path = "../../src/node_hash.rs"]
pub mod node_hash;
#[path = "../../src/perf_map.rs"]
pub mod perf_map;
#[path = "../../src/read_at.rs"]
pub mod read_at;
#[path = "../../src/returns.rs"]
pub mod returns;
#[path = "../../src/runtime.rs"]
pub mod runtime;
#[path = "../../src/symbols.rs"]
pub mod symbols;
