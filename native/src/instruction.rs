//! Machine code as the little that is asked of it: where each instruction begins and where control
//! goes from there. One decoder per processor behind one type.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, OpKind};

use crate::elf::Machine;
use crate::fields::Fields;

/// Where control goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// To the next one.
    Next,
    /// Into a function, and back to the next one unless the function never returns.
    Call,
    /// To the target or to the next one.
    Branch(u64),
    /// To the target.
    Jump(u64),
    /// To where a register or memory says.
    Indirect,
    /// To the caller.
    Return,
    /// Nowhere: a trap.
    Trap,
    /// These bytes are no instruction, or one that no function of a program has.
    Invalid,
}

/// An instruction's address and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Virtual, as the code's.
    pub address: u64,
    /// What follows it.
    pub flow: Flow,
}

/// The instructions of `code` one after another, from `address` on.
pub fn decode(machine: Machine, code: &[u8], address: u64) -> Vec<Instruction> {
    match machine {
        Machine::X86_64 => decode_x86(code, address),
        Machine::Aarch64 => decode_aarch64(code, address),
    }
}

fn decode_x86(code: &[u8], address: u64) -> Vec<Instruction> {
    let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    decoder
        .into_iter()
        .map(|instruction| {
            let near = matches!(instruction.op0_kind(), OpKind::NearBranch64);
            let target = instruction.near_branch_target();
            let flow = match instruction.flow_control() {
                _ if instruction.is_invalid() => Flow::Invalid,
                FlowControl::Next if instruction.code() == Code::Hlt => Flow::Trap,
                FlowControl::Next => Flow::Next,
                FlowControl::Call | FlowControl::IndirectCall => Flow::Call,
                FlowControl::ConditionalBranch if near => Flow::Branch(target),
                FlowControl::UnconditionalBranch if near => Flow::Jump(target),
                FlowControl::IndirectBranch => Flow::Indirect,
                FlowControl::Return if is_near_return(instruction.code()) => Flow::Return,
                FlowControl::Exception => Flow::Trap,
                FlowControl::Interrupt if instruction.code() == Code::Int3 => Flow::Trap,
                // Far branches and returns, interrupts, transactions.
                _ => Flow::Invalid,
            };
            Instruction { address: instruction.ip(), flow }
        })
        .collect()
}

/// `ret` and `ret imm16`, `rep ret` too.
fn is_near_return(code: Code) -> bool {
    matches!(code, Code::Retnq | Code::Retnq_imm16)
}

/// Arm Architecture Reference Manual, C4.1.66 "Branches, Exception Generating and System
/// instructions". Every other word goes on to the next.
fn decode_aarch64(code: &[u8], address: u64) -> Vec<Instruction> {
    let mut address = address;
    code.chunks(4)
        .map(|bytes| {
            let here = address;
            address = address.wrapping_add(4);
            let flow = Fields(bytes).u32(0).map_or(Flow::Invalid, |word| aarch64_flow(word, here));
            Instruction { address: here, flow }
        })
        .collect()
}

fn aarch64_flow(word: u32, here: u64) -> Flow {
    let to = |bits: u32, shift: u32| here.wrapping_add_signed(branch_offset(word, bits, shift));
    let masked = |mask: u32| word & mask;
    if masked(0xffff_0000) == 0 {
        // UDF
        Flow::Trap
    } else if masked(0xffff_fc1f) == 0xd65f_0000 || word == 0xd65f_0bff || word == 0xd65f_0fff {
        // RET, RETAA, RETAB
        Flow::Return
    } else if masked(0xfc00_0000) == 0x1400_0000 {
        Flow::Jump(to(26, 0))
    } else if masked(0xfc00_0000) == 0x9400_0000 {
        // BL
        Flow::Call
    } else if masked(0xff00_0000) == 0x5400_0000 || masked(0x7e00_0000) == 0x3400_0000 {
        // B.cond and BC.cond; CBZ, CBNZ
        Flow::Branch(to(19, 5))
    } else if masked(0x7e00_0000) == 0x3600_0000 {
        // TBZ, TBNZ
        Flow::Branch(to(14, 5))
    } else if masked(0xfe00_0000) == 0xd600_0000 {
        branch_to_register(word)
    } else if masked(0xffe0_001f) == 0xd420_0000 {
        // BRK
        Flow::Trap
    } else {
        Flow::Next
    }
}

/// BR and BLR in their plain and authenticated forms; the rest returns from exceptions.
fn branch_to_register(word: u32) -> Flow {
    let operation = (word >> 21) & 0xf;
    match operation {
        0b0000 | 0b1000 => Flow::Indirect,
        0b0001 | 0b1001 => Flow::Call,
        _ => Flow::Invalid,
    }
}

/// A signed field of words, in bytes.
fn branch_offset(word: u32, bits: u32, shift: u32) -> i64 {
    let unused = 32_u32.saturating_sub(bits);
    let field = (word >> shift) << unused;
    (i64::from(field.cast_signed()) >> unused).saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(word: u32) -> Flow {
        decode(Machine::Aarch64, &word.to_le_bytes(), 0x1000)[0].flow
    }

    #[test]
    fn aarch64_words_are_told_apart() {
        let cases = [
            (0xd65f_03c0, Flow::Return),         // ret
            (0xd65f_0060, Flow::Return),         // ret x3
            (0xd65f_0bff, Flow::Return),         // retaa
            (0x1400_0002, Flow::Jump(0x1008)),   // b +8
            (0x17ff_ffff, Flow::Jump(0xffc)),    // b -4
            (0x5400_0040, Flow::Branch(0x1008)), // b.eq +8
            (0xb4ff_ffe0, Flow::Branch(0xffc)),  // cbz x0, -4
            (0x3707_ffe1, Flow::Branch(0xffc)),  // tbnz w1, #0, -4
            (0x9400_0001, Flow::Call),           // bl
            (0xd63f_0020, Flow::Call),           // blr x1
            (0xd61f_0200, Flow::Indirect),       // br x16
            (0xd71f_0a11, Flow::Indirect),       // braa x16, x17
            (0xd69f_03e0, Flow::Invalid),        // eret
            (0xd420_0000, Flow::Trap),           // brk #0
            (0x0000_0000, Flow::Trap),           // udf
            (0xa9bf_7bfd, Flow::Next),           // stp x29, x30, [sp, #-16]!
            (0xd400_0001, Flow::Next),           // svc #0
        ];
        for (word, expected) in cases {
            assert_eq!(flow(word), expected, "{word:08x}");
        }
    }

    #[test]
    fn x86_bytes_are_told_apart() {
        let cases: &[(&[u8], Flow)] = &[
            (&[0xc3], Flow::Return),
            (&[0xf3, 0xc3], Flow::Return),
            (&[0xc2, 0x08, 0x00], Flow::Return),
            (&[0xcb], Flow::Invalid), // far return
            (&[0xeb, 0xfe], Flow::Jump(0x1000)),
            (&[0x74, 0x02], Flow::Branch(0x1004)),
            (&[0xe8, 0, 0, 0, 0], Flow::Call),
            (&[0xff, 0xe0], Flow::Indirect),       // jmp rax
            (&[0x3e, 0xff, 0xe0], Flow::Indirect), // notrack jmp rax
            (&[0x0f, 0x0b], Flow::Trap),           // ud2
            (&[0xf4], Flow::Trap),
            (&[0xcc], Flow::Trap),
            (&[0x0f, 0x05], Flow::Call),             // syscall
            (&[0xf3, 0x0f, 0x1e, 0xfa], Flow::Next), // endbr64
            (&[0x06], Flow::Invalid),
            (&[0xe9, 0x00], Flow::Invalid), // cut off
        ];
        for (bytes, expected) in cases {
            assert_eq!(decode(Machine::X86_64, bytes, 0x1000)[0].flow, *expected, "{bytes:x?}");
        }
    }
}
