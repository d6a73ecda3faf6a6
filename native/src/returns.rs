//! Where a function returns: the offsets at which a probe sees its result.
//!
//! Probes at return instructions leave the stack alone, unlike uretprobes, which replace return
//! addresses and have crashed programs. But a breakpoint put where no instruction begins destroys
//! the program, and a missed way out leaves a call unfinished. So the answer is "entry only"
//! whenever there is doubt:
//!
//! 1. The whole range of the function is decoded from its start (a sweep).
//! 2. Control is followed from the entry. Each branch must land on an instruction of the sweep.
//! 3. All that is reached is known, and the sweep shows no return that was not reached.
//!
//! A jump out of the function is a tail call: the function returns through another's code.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]

use std::fmt;

use crate::elf::{Binary, Machine};
use crate::instruction::{Flow, Instruction, decode};
use crate::symbols::Function;

/// Bytes of a function whose exits are searched. `SSL_read` and `connect` have some hundreds.
pub const FUNCTION_BYTES_MAX: u64 = 64 << 10;
/// Returns of one function: each one costs a probe.
pub const RETURNS_MAX: usize = 64;

/// How to see the end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exits {
    /// At these file offsets, and nowhere else; at least one, in ascending order.
    Returns(Vec<u64>),
    /// Not with certainty: probe the entry alone and mark the events.
    EntryOnly(Unsure),
}

impl Exits {
    /// For who probes the returns of other functions too: a function that ends in a call of one of
    /// them returns at its returns. `probed` are the addresses of functions whose own exits are
    /// [`Exits::Returns`]. musl's `accept4` without flags is such a call of `accept`.
    #[must_use]
    pub fn with_tail_calls_to(self, probed: &[u64]) -> Exits {
        match self {
            Exits::EntryOnly(Unsure::TailCall { returns, targets })
                if !returns.is_empty() && targets.iter().all(|to| probed.contains(to)) =>
            {
                Exits::Returns(returns)
            }
            exits => exits,
        }
    }
}

/// Why the exits of a function are not probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsure {
    /// Go moves stacks and returns in its own ways: never.
    Go,
    /// The symbol has no size and nothing else bounds the function.
    NoSize,
    /// Longer than [`FUNCTION_BYTES_MAX`].
    TooLong,
    /// More than [`RETURNS_MAX`] returns.
    TooManyReturns,
    /// It cannot be read: the file ended, or nothing is mapped there.
    Unreadable(String),
    /// Bytes that are no instruction can be reached.
    Undecodable,
    /// A branch into the middle of an instruction.
    Overlapping,
    /// A jump to where a register says: a switch, or a tail call through a pointer.
    IndirectJump,
    /// The end of the function is reached without a return.
    FallsThrough,
    /// Returns that nothing leads to: data among code, or another function.
    Unreached,
    /// It never returns.
    NoReturn,
    /// It also returns through other functions.
    ///
    /// Sound all the same for who compares the stack pointer: at a return instruction of a target
    /// (or beyond), the call ends if and only if the stack pointer is what it was at the entry.
    TailCall {
        /// File offsets of its own return instructions.
        returns: Vec<u64>,
        /// Virtual addresses it jumps to, ascending.
        targets: Vec<u64>,
    },
}

impl fmt::Display for Unsure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsure::Go => "returns of Go functions are never probed",
            Unsure::NoSize => "the symbol has no size",
            Unsure::TooLong => "the function is too long to search",
            Unsure::TooManyReturns => "the function has too many returns",
            Unsure::Unreadable(reason) => return write!(f, "its code: {reason}"),
            Unsure::Undecodable => "not all of its code could be decoded",
            Unsure::Overlapping => "a branch leads into the middle of an instruction",
            Unsure::IndirectJump => "a jump of it has no fixed target",
            Unsure::FallsThrough => "its end is reached without a return",
            Unsure::Unreached => "it contains returns that nothing leads to",
            Unsure::NoReturn => "it never returns",
            Unsure::TailCall { .. } => "it ends in a call of another function",
        })
    }
}

/// The exits of a function that [`crate::symbols::Symbols::find`] found.
pub fn exits(binary: &Binary, function: &Function) -> Exits {
    if binary.is_go() {
        return Exits::EntryOnly(Unsure::Go);
    }
    // A function without a size (written in assembler) reaches no further than the next one.
    let to_next = || function.next_address?.checked_sub(function.address);
    let sized = (function.size > 0).then_some(function.size);
    let Some(length) = sized.or_else(to_next) else {
        return Exits::EntryOnly(Unsure::NoSize);
    };
    if length > FUNCTION_BYTES_MAX {
        return Exits::EntryOnly(Unsure::TooLong);
    }
    let code = match binary.code(function.address, length, FUNCTION_BYTES_MAX) {
        Ok(code) => code,
        Err(error) => return Exits::EntryOnly(Unsure::Unreadable(error.to_string())),
    };
    exits_of_code(binary.machine(), &code, function.address, function.file_offset)
}

/// As [`exits`], of the bytes alone.
pub fn exits_of_code(machine: Machine, code: &[u8], address: u64, file_offset: u64) -> Exits {
    let sweep = decode(machine, code, address);
    match Walk::new(&sweep).and_then(Walk::finish) {
        Ok(ends) => ends.into_exits(address, file_offset),
        Err(unsure) => Exits::EntryOnly(unsure),
    }
}

/// Virtual addresses.
struct Ends {
    returns: Vec<u64>,
    targets: Vec<u64>,
}

impl Ends {
    fn into_exits(mut self, address: u64, file_offset: u64) -> Exits {
        let offset = |at: &u64| at.wrapping_sub(address).wrapping_add(file_offset);
        let mut returns: Vec<u64> = self.returns.iter().map(offset).collect();
        returns.sort_unstable();
        if returns.len() > RETURNS_MAX {
            return Exits::EntryOnly(Unsure::TooManyReturns);
        }
        if !self.targets.is_empty() {
            self.targets.sort_unstable();
            self.targets.dedup();
            return Exits::EntryOnly(Unsure::TailCall { returns, targets: self.targets });
        }
        if returns.is_empty() {
            return Exits::EntryOnly(Unsure::NoReturn);
        }
        Exits::Returns(returns)
    }
}

/// Control followed from the entry over the instructions of a sweep.
struct Walk<'a> {
    sweep: &'a [Instruction],
    reached: Vec<bool>,
    ends: Ends,
}

impl<'a> Walk<'a> {
    fn new(sweep: &'a [Instruction]) -> Result<Self, Unsure> {
        let ends = Ends { returns: Vec::new(), targets: Vec::new() };
        let mut walk = Walk { sweep, reached: vec![false; sweep.len()], ends };
        let mut to_visit = vec![0_usize];
        while let Some(index) = to_visit.pop() {
            walk.run_from(index, &mut to_visit)?;
        }
        Ok(walk)
    }

    /// A straight run of instructions; its branches are left for later.
    fn run_from(&mut self, index: usize, to_visit: &mut Vec<usize>) -> Result<(), Unsure> {
        let mut index = index;
        loop {
            let Some(instruction) = self.sweep.get(index) else { return Err(Unsure::FallsThrough) };
            match self.reached.get_mut(index) {
                Some(reached) if !*reached => *reached = true,
                _ => return Ok(()),
            }
            index = index.saturating_add(1);
            match instruction.flow {
                Flow::Next => {}
                // The last one of a function calls what never returns: abort().
                Flow::Call if index == self.sweep.len() => return Ok(()),
                Flow::Call => {}
                Flow::Branch(target) => to_visit.extend(self.land(target)?),
                Flow::Jump(target) => {
                    to_visit.extend(self.land(target)?);
                    return Ok(());
                }
                Flow::Return => {
                    self.ends.returns.push(instruction.address);
                    return Ok(());
                }
                Flow::Trap => return Ok(()),
                Flow::Indirect => return Err(Unsure::IndirectJump),
                Flow::Invalid => return Err(Unsure::Undecodable),
            }
        }
    }

    /// The instruction at the target, or none when it is outside: then it is a tail call.
    fn land(&mut self, target: u64) -> Result<Option<usize>, Unsure> {
        let inside = self.sweep.first().is_some_and(|first| target >= first.address)
            && self.sweep.last().is_some_and(|last| target <= last.address);
        if !inside {
            self.ends.targets.push(target);
            return Ok(None);
        }
        let found = self.sweep.binary_search_by_key(&target, |instruction| instruction.address);
        found.map(Some).map_err(|_| Unsure::Overlapping)
    }

    fn finish(self) -> Result<Ends, Unsure> {
        let unreached = |(instruction, reached): (&Instruction, &bool)| {
            !reached && matches!(instruction.flow, Flow::Return | Flow::Indirect)
        };
        if self.sweep.iter().zip(&self.reached).any(unreached) {
            return Err(Unsure::Unreached);
        }
        Ok(self.ends)
    }
}

#[cfg(test)]
#[path = "returns/tests.rs"] // The fuzz crate includes this file by its path.
mod tests;
