// SPDX-License-Identifier: Apache-2.0
//! call-rust DELAY_MS COUNT: waits, then calls ledger::deposit COUNT times.

mod ledger {
    #[inline(never)]
    pub fn deposit(balance: u64, amount: u64) -> u64 {
        std::hint::black_box(balance.wrapping_mul(3).wrapping_add(amount))
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [delay_ms, count] = numbers[..] else { std::process::exit(2) };
    std::thread::sleep(std::time::Duration::from_millis(delay_ms));
    let balance = (0..count).fold(0, ledger::deposit);
    std::hint::black_box(balance);
    println!("{{\"pid\":{}}}", std::process::id());
}
