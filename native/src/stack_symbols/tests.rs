use std::hint::black_box;

use super::*;
use crate::clock;
use crate::layout::FRAME_SYMBOL;

#[inline(never)]
fn known_function(number: u64) -> u64 {
    black_box(number) * 3
}

/// As the kernel would tell it; the start is found by trying what /proc rounds to.
fn own_start() -> u64 {
    let pid = std::process::id();
    let now = clock::boot_ns();
    (0..)
        .map(|ticks| now - ticks * 10_000_000)
        .find(|at| process_maps::is_of_start(pid, *at))
        .unwrap()
}

fn bytes(addresses: &[u64]) -> Vec<u8> {
    addresses.iter().flat_map(|address| address.to_le_bytes()).collect()
}

fn own(start_boot_ns: u64, addresses: &[u8]) -> Stack<'_> {
    let pid = std::process::id();
    // SAFETY: getuid has no preconditions.
    let uid = unsafe { libc::getuid() };
    Stack { pid, start_boot_ns, namespace_pid: pid, uid, addresses }
}

fn text(frame: &[u8]) -> String {
    let length = u16::from_le_bytes(frame[72..74].try_into().unwrap());
    String::from_utf8(frame[80..80 + usize::from(length)].to_vec()).unwrap()
}

#[test]
fn a_function_is_said_once_until_the_image_is_new() {
    let start = own_start();
    let address = known_function as fn(u64) -> u64 as usize as u64 + 4;
    assert_eq!(known_function(2), 6);
    let stack = bytes(&[address, 16, address]);
    let mut symbols = StackSymbols::new();
    let frames = symbols.before(&own(start, &stack));
    assert_eq!(frames.len(), 1);
    assert_eq!(u32::from(frames[0][4]), FRAME_SYMBOL);
    let said = text(&frames[0]);
    assert!(said.contains("known_function+0x4 (runtime_evidence_probe-"), "{said}");
    assert!(symbols.before(&own(start, &stack)).is_empty());
    symbols.forget(std::process::id());
    assert_eq!(symbols.before(&own(start, &stack)).len(), 1);
}

#[test]
fn a_process_that_ended_has_no_symbols_and_takes_no_room() {
    let mut symbols = StackSymbols::new();
    let stack = bytes(&[0x40_1000]);
    let gone = Stack { pid: 0x3fff_ffff, ..own(5, &stack) };
    assert!(symbols.before(&gone).is_empty());
    // Another process has the number now.
    assert!(symbols.before(&own(5, &stack)).is_empty());
    assert!(symbols.images.is_empty());
}

#[test]
fn what_is_known_is_bounded_for_a_process_and_in_all() {
    let mut symbols = StackSymbols::new();
    let now = Instant::now();
    for address in 0..100_000_u64 {
        let stack = Stack { pid: 1, ..own(7, &[]) };
        symbols.remember(&stack, &[address], &[None], now);
        assert!(symbols.images[&1].addresses.len() <= ADDRESSES_MAX);
    }
    for pid in 0..100_000 {
        symbols.remember(&Stack { pid, ..own(7, &[]) }, &[1], &[None], now);
        assert!(symbols.images.len() <= SYMBOLS_SAID_MAX);
    }
}

#[test]
fn addresses_without_symbol_are_tried_again_after_a_while() {
    let mut symbols = StackSymbols::new();
    let now = Instant::now();
    let addresses = bytes(&[1, 2]);
    let stack = own(7, &addresses);
    symbols.remember(&stack, &[1, 2], &[None, Some("f".into())], now);
    assert!(symbols.missing(&stack, now).is_empty());
    assert_eq!(symbols.missing(&stack, now + RETRY_AFTER), [1]);
    // A later process of the same number.
    assert_eq!(symbols.missing(&own(8, &addresses), now), [1, 2]);
}

#[test]
fn the_time_of_each_second_is_bounded() {
    let now = Instant::now();
    let mut budget = Budget { since: now, spent: Duration::ZERO };
    assert!(budget.has_some(now));
    budget.spend(BUDGET);
    assert!(!budget.has_some(now));
    assert!(budget.has_some(now + Duration::from_secs(1)));
}

#[test]
fn code_in_memory_has_the_name_of_the_perf_map_and_a_foreign_one_is_not_believed() {
    let path = format!("/tmp/perf-{}.map", std::process::id());
    std::fs::write(&path, "10000 20 JS:*jit /a.js:1\n").unwrap();
    let addresses = bytes(&[0x1_0010]);
    let stack = own(own_start(), &addresses);
    let frames = StackSymbols::new().before(&stack);
    let foreign = Stack { uid: stack.uid + 1, ..own(stack.start_boot_ns, &addresses) };
    let of_foreign = StackSymbols::new().before(&foreign);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text(&frames[0]), "JS:*jit /a.js:1");
    // Root may write about everybody.
    assert_eq!(of_foreign.len(), usize::from(stack.uid == 0));
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    let linked = executable::perf_map(stack.pid, stack.pid, stack.uid);
    std::fs::remove_file(&path).unwrap();
    assert!(linked.is_none());
}
