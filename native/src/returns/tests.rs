use super::*;
use crate::compiled::{Folder, compile, open, skipped};
use crate::symbols::{SymbolQuery, Symbols, Tables};

fn x86(code: &[u8]) -> Exits {
    exits_of_code(Machine::X86_64, code, 0x40_1000, 0x1000)
}

fn unsure(code: &[u8]) -> Unsure {
    match x86(code) {
        Exits::EntryOnly(unsure) => unsure,
        exits => panic!("{exits:?}"),
    }
}

#[test]
fn every_way_out_is_found() {
    // test edi, edi; je +1; ret; nop; ret
    assert_eq!(
        x86(&[0x85, 0xff, 0x74, 0x01, 0xc3, 0x90, 0xc3]),
        Exits::Returns(vec![0x1004, 0x1006])
    );
    // call abort, as the last instruction, after a return
    assert_eq!(x86(&[0x74, 0x01, 0xc3, 0xe8, 0, 0, 0, 0]), Exits::Returns(vec![0x1002]));
}

#[test]
fn doubt_means_entry_only() {
    let cases: &[(&[u8], Unsure)] = &[
        (&[], Unsure::FallsThrough),
        (&[0x90], Unsure::FallsThrough),
        (&[0x06, 0xc3], Unsure::Undecodable),
        (&[0xff, 0xe0], Unsure::IndirectJump),
        // jmp into the immediate of the next instruction
        (&[0x74, 0x01, 0xb8, 0xc3, 0, 0, 0, 0xc3], Unsure::Overlapping),
        // two functions in one range: the second one is not reached
        (&[0xc3, 0x90, 0xc3], Unsure::Unreached),
        // jmp to itself
        (&[0xeb, 0xfe], Unsure::NoReturn),
    ];
    for (code, expected) in cases {
        assert_eq!(unsure(code), *expected, "{code:x?}");
    }
    let many: Vec<u8> = [0x74, 0x01, 0xc3].repeat(RETURNS_MAX + 1);
    assert_eq!(unsure(&[many, vec![0xc3]].concat()), Unsure::TooManyReturns);
}

#[test]
fn a_tail_call_counts_when_its_target_is_probed() {
    // je +1; ret; jmp 0x402000
    let code = [0x74, 0x01, 0xc3, 0xe9, 0xf8, 0x0f, 0x00, 0x00];
    let exits = x86(&code);
    let expected = Unsure::TailCall { returns: vec![0x1002], targets: vec![0x40_2000] };
    assert_eq!(exits, Exits::EntryOnly(expected));
    assert_eq!(exits.clone().with_tail_calls_to(&[0x40_3000]), exits);
    assert_eq!(exits.with_tail_calls_to(&[0x40_2000]), Exits::Returns(vec![0x1002]));
}

#[test]
fn aarch64_returns_are_found() {
    let words = [0xb400_0040_u32, 0xd65f_03c0, 0xd65f_03c0]; // cbz x0, +8; ret; ret
    let code = words.map(u32::to_le_bytes).concat();
    let exits = exits_of_code(Machine::Aarch64, &code, 0x1_0000, 0x2000);
    assert_eq!(exits, Exits::Returns(vec![0x2004, 0x2008]));
    let code = [0xd61f_0200_u32, 0xd65f_03c0].map(u32::to_le_bytes).concat();
    let exits = exits_of_code(Machine::Aarch64, &code, 0x1_0000, 0x2000);
    assert_eq!(exits, Exits::EntryOnly(Unsure::IndirectJump));
}

#[test]
fn compiled_functions_tell_their_exits() {
    let source = "
        int callee(int);
        int two(int a) { if (a) return callee(a) + 1; return callee(7) * 3; }
        int tail(int a) { return callee(a + 1); }
        int pointer(int (*f)(int), int a) { return f(a + 1); }
        __attribute__((noreturn)) void stop(void) { for (;;) ; }
        __asm__(\".text\\n.globl bare\\n.type bare,@function\\nbare:\\nret\\n\");";
    let folder = Folder::new();
    let options = ["-shared", "-fPIC", "-O2", "-fno-stack-protector"];
    let Some(path) = compile(&folder, "a.so", &options, source) else { return skipped("no cc") };
    let file = open(&path);
    let binary = Binary::open(&file).unwrap();
    let symbols = Symbols::read(&binary, Tables::All);
    let exits_of = |name: &str| {
        let query = SymbolQuery::Names(vec![name.into()]);
        exits(&binary, &symbols.find(&binary, &query, 1).functions[0])
    };
    let two = exits_of("two");
    assert!(matches!(&two, Exits::Returns(returns) if !returns.is_empty()), "{two:?}");
    let tail = exits_of("tail");
    assert!(matches!(tail, Exits::EntryOnly(Unsure::TailCall { .. })), "{tail:?}");
    assert_eq!(exits_of("pointer"), Exits::EntryOnly(Unsure::IndirectJump));
    assert_eq!(exits_of("stop"), Exits::EntryOnly(Unsure::NoReturn));
    let bare = exits_of("bare");
    assert!(matches!(bare, Exits::Returns(_) | Exits::EntryOnly(_)), "{bare:?}");
}
