//! Where in a file the probes go. Bytes in, facts out: what the file says is hostile input.

use std::collections::HashSet;
use std::fs::File;

use crate::elf::{Binary, ElfError};
use crate::layout::{
    CALL_COOKIE_ENTRY_ONLY, CALL_COOKIE_EXIT, CALL_COOKIE_RETURNED, CONNECT_FUNCTION_ACCEPT,
    CONNECT_FUNCTION_ACCEPT4, CONNECT_FUNCTION_CONNECT, SSL_FUNCTION_READ, SSL_FUNCTION_READ_EX,
    SSL_FUNCTION_WRITE, SSL_FUNCTION_WRITE_EX,
};
use crate::node_hash;
use crate::returns::{self, Exits, Unsure};
use crate::runtime::{self, Runtime};
use crate::symbols::{Found, Function, SymbolQuery, Symbols, Tables};
use crate::uprobe_link::Point;
use crate::wanted::{Interest, Wanted};

/// The programs that are attached to functions. Their order is that of attaching: entries first
/// (bpf/uprobe.h tells why).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    /// net_connect
    ConnectEntry,
    /// net_connect
    AcceptEntry,
    /// ssl_op
    SslEntry,
    /// net_connect
    ConnectExit,
    /// net_connect
    AcceptExit,
    /// ssl_op
    SslExit,
    /// function_call
    FunctionEntry,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ConnectEntry,
        Self::AcceptEntry,
        Self::SslEntry,
        Self::ConnectExit,
        Self::AcceptExit,
        Self::SslExit,
        Self::FunctionEntry,
    ];

    /// As bpf/*.bpf.c call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectEntry => "connect_entry",
            Self::AcceptEntry => "accept_entry",
            Self::SslEntry => "ssl_entry",
            Self::ConnectExit => "connect_exit",
            Self::AcceptExit => "accept_exit",
            Self::SslExit => "ssl_exit",
            Self::FunctionEntry => "function_entry",
        }
    }
}

/// A known function of libc or OpenSSL: its names, its programs, its number in the cookie.
struct Known {
    names: &'static [&'static str],
    entry: Program,
    exit: Program,
    function: u32,
}

/// The names of one function are usually at one address.
static LIBC: [Known; 3] = [
    Known {
        names: &["connect", "__connect", "__libc_connect"],
        entry: Program::ConnectEntry,
        exit: Program::ConnectExit,
        function: CONNECT_FUNCTION_CONNECT,
    },
    Known {
        names: &["accept", "__libc_accept"],
        entry: Program::AcceptEntry,
        exit: Program::AcceptExit,
        function: CONNECT_FUNCTION_ACCEPT,
    },
    Known {
        names: &["accept4", "__libc_accept4"],
        entry: Program::AcceptEntry,
        exit: Program::AcceptExit,
        function: CONNECT_FUNCTION_ACCEPT4,
    },
];

static TLS: [Known; 4] = [
    Known::ssl(&["SSL_read"], SSL_FUNCTION_READ),
    Known::ssl(&["SSL_write"], SSL_FUNCTION_WRITE),
    Known::ssl(&["SSL_read_ex"], SSL_FUNCTION_READ_EX),
    Known::ssl(&["SSL_write_ex"], SSL_FUNCTION_WRITE_EX),
];

impl Known {
    const fn ssl(names: &'static [&'static str], function: u32) -> Self {
        Self { names, entry: Program::SslEntry, exit: Program::SslExit, function }
    }
}

impl Known {
    fn find(&self, binary: &Binary<'_>, symbols: &Symbols) -> Found {
        let names = self.names.iter().map(|name| (*name).to_owned()).collect();
        symbols.find(binary, &SymbolQuery::Names(names), self.names.len())
    }
}

/// How completely a known set of functions is seen in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Functions that are probed.
    pub functions: Vec<&'static str>,
    /// Those of which only the entry is, and why.
    pub entry_only: Vec<(&'static str, String)>,
}

/// Where to attach what.
#[derive(Debug, Default)]
pub struct Plan {
    /// For each program its points; `returns` says that they are functions whose returns the kernel has
    /// to find by itself (uretprobes).
    pub probes: Vec<Probe>,
    /// The functions of function_call.
    pub calls: Vec<Call>,
    /// connect, accept, accept4.
    pub libc: Coverage,
    /// SSL_read, SSL_write and their _ex forms.
    pub tls: Coverage,
    /// More functions matched than there was room for.
    pub more_calls: bool,
    /// What the file itself says that it runs, for function_call of processes that are gone.
    pub runtime: Option<Runtime>,
}

/// One program at one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What runs.
    pub program: Program,
    /// Where.
    pub point: Point,
    /// By a uretprobe.
    pub returns: bool,
}

/// One function of function_call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// In the file.
    pub offset: u64,
    /// The source's name for it where there is one.
    pub symbol: String,
    /// Equal in all copies of the file.
    pub node_hash: String,
    /// It is not the first instruction of a function that the file names.
    pub inside: bool,
}

impl Plan {
    /// Nothing to attach.
    pub fn is_empty(&self) -> bool {
        self.probes.is_empty() && self.calls.is_empty()
    }
}

/// Looks into a file. At most `calls_max` functions of function_call are taken.
pub fn make(
    file: &File,
    interest: &Interest,
    wanted: &Wanted,
    uretprobes: bool,
    calls_max: usize,
) -> Result<Plan, ElfError> {
    let binary = Binary::open(file)?;
    let mut plan = Plan::default();
    let is_static = !binary.has_interpreter();
    // A program that is linked against a libc may have a function of its own called `connect`.
    let libc = interest.libc && (!interest.executable || is_static && !binary.is_go());
    let tls = interest.tls && !(interest.executable && is_static && binary.is_go());
    if !libc && !tls && interest.functions.is_empty() {
        return Ok(plan);
    }
    // What a library offers to others is in .dynsym; executables and --function may be about the rest.
    let dynamic = !interest.executable && interest.functions.is_empty();
    let symbols = Symbols::read(&binary, if dynamic { Tables::Dynamic } else { Tables::All });
    if symbols.is_empty()
        && let Some(error) = symbols.incomplete
    {
        return Err(error);
    }
    let known = |functions: &'static [Known], probes: &mut Vec<Probe>| {
        let mut coverage = Coverage::default();
        let found: Vec<_> = functions.iter().map(|known| known.find(&binary, &symbols)).collect();
        let all = found.iter().flat_map(|found| &found.functions);
        let returning =
            all.filter(|function| matches!(returns::exits(&binary, function), Exits::Returns(_)));
        let returning: Vec<_> = returning.map(|function| function.address).collect();
        for (known, found) in functions.iter().zip(&found) {
            let found = (found, returning.as_slice());
            add_known(&binary, known, uretprobes, found, probes, &mut coverage);
        }
        coverage
    };
    if libc {
        plan.libc = known(&LIBC, &mut plan.probes);
    }
    if tls {
        plan.tls = known(&TLS, &mut plan.probes);
    }
    plan.runtime = runtime::runtime_of_executable(&binary, &symbols);
    add_calls(&mut plan, &binary, &symbols, file, interest, wanted, calls_max)?;
    Ok(plan)
}

fn add_known(
    binary: &Binary<'_>,
    known: &'static Known,
    uretprobes: bool,
    (found, returning): (&Found, &[u64]),
    probes: &mut Vec<Probe>,
    coverage: &mut Coverage,
) {
    for function in &found.functions {
        coverage.functions.push(known.names[0]);
        let exits = returns::exits(binary, function).with_tail_calls_to(returning);
        let may_return = uretprobes && !matches!(exits, Exits::EntryOnly(Unsure::Go));
        let cookie = u64::from(known.function);
        let exit = |offset, returns| {
            let returned = if returns { CALL_COOKIE_RETURNED } else { 0 };
            let cookie = cookie | u64::from(CALL_COOKIE_EXIT | returned);
            Probe { program: known.exit, point: Point { offset, cookie }, returns }
        };
        let mut entry = Point { offset: function.file_offset, cookie };
        match exits {
            Exits::Returns(offsets) => {
                probes.extend(offsets.into_iter().map(|offset| exit(offset, false)));
            }
            Exits::EntryOnly(_) if may_return => probes.push(exit(function.file_offset, true)),
            Exits::EntryOnly(reason) => {
                entry.cookie |= u64::from(CALL_COOKIE_ENTRY_ONLY);
                coverage.entry_only.push((known.names[0], reason.to_string()));
            }
        }
        probes.push(Probe { program: known.entry, point: entry, returns: false });
    }
}

fn add_calls(
    plan: &mut Plan,
    binary: &Binary<'_>,
    symbols: &Symbols,
    file: &File,
    interest: &Interest,
    wanted: &Wanted,
    calls_max: usize,
) -> Result<(), ElfError> {
    let mut identity = None;
    let mut offsets = HashSet::new();
    for index in &interest.functions {
        let Some(spec) = wanted.functions.get(*index) else { continue };
        // One more, to know whether there are more.
        let Found { functions, more } = symbols.find(binary, &spec.query, calls_max + 1);
        plan.more_calls |= more;
        for function in functions {
            if plan.calls.len() == calls_max {
                plan.more_calls = true;
                break;
            }
            if !offsets.insert(function.file_offset) {
                continue;
            }
            let identity = match &identity {
                Some(identity) => identity,
                None => identity.insert(node_hash::identity(binary, file)?),
            };
            plan.calls.push(call(identity, function));
        }
    }
    Ok(())
}

fn call(identity: &str, function: Function) -> Call {
    Call {
        offset: function.file_offset,
        inside: function.name.starts_with("+0x"),
        node_hash: node_hash::node_hash(identity, &function.place),
        symbol: function.demangled.unwrap_or(function.name),
    }
}
