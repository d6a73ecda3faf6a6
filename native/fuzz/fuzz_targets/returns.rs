//! Code of one function: a probe is put only where a return instruction begins.
#![no_main]

use iced_x86::{Code, Decoder, DecoderOptions};
use libfuzzer_sys::fuzz_target;
use runtime_evidence_probe_fuzz::elf::Machine;
use runtime_evidence_probe_fuzz::returns::{Exits, exits_of_code};

const ADDRESS: u64 = 0x40_1000;

fuzz_target!(|data: &[u8]| {
    let Some((first, code)) = data.split_first() else { return };
    let machine = if first & 1 == 0 { Machine::X86_64 } else { Machine::Aarch64 };
    let Exits::Returns(returns) = exits_of_code(machine, code, ADDRESS, 0) else { return };
    for offset in returns {
        let at = usize::try_from(offset).unwrap();
        match machine {
            Machine::X86_64 => {
                let instruction = Decoder::new(64, &code[at..], DecoderOptions::NONE).decode();
                assert!(matches!(instruction.code(), Code::Retnq | Code::Retnq_imm16));
            }
            Machine::Aarch64 => {
                assert_eq!(at % 4, 0);
                assert_eq!(code[at + 3], 0xd6);
            }
        }
    }
});
