//! The offset between the clock of events (`CLOCK_BOOTTIME`) and the wall clock.

use libc::{CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME, clockid_t};

/// Readings per measurement; the one with the smallest bracket is the least disturbed.
const READINGS: usize = 8;
/// The wall clock is steered all the time, so the offset is measured this often.
const INTERVAL_NS: u64 = 60_000_000_000;
/// The reading of two clocks one after the other differs by less than this, a suspend by more.
const SUSPEND_NS_MIN: i64 = 10_000_000;

/// One reading of the wall clock between two readings of boot time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    before_ns: i64,
    realtime_ns: i64,
    after_ns: i64,
}

/// Says when the offset must be measured again.
pub struct Clock {
    due_boot_ns: u64,
    suspended_ns: i64,
}

impl Clock {
    /// Measures for the first time with the first `due`.
    pub fn new() -> Self {
        Self { due_boot_ns: 0, suspended_ns: suspended_ns() }
    }

    /// The offset, if a minute has passed or the machine was suspended since it was last asked for.
    pub fn due(&mut self, now_boot_ns: u64) -> Option<i64> {
        let suspended_ns = suspended_ns();
        let suspended = (suspended_ns - self.suspended_ns).abs() > SUSPEND_NS_MIN;
        if now_boot_ns < self.due_boot_ns && !suspended {
            return None;
        }
        self.suspended_ns = suspended_ns;
        self.due_boot_ns = now_boot_ns + INTERVAL_NS;
        Some(realtime_offset_ns())
    }
}

/// Nanoseconds since boot, time asleep included.
pub fn boot_ns() -> u64 {
    now_ns(CLOCK_BOOTTIME).unsigned_abs()
}

/// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`.
pub fn realtime_offset_ns() -> i64 {
    let readings = [(); READINGS].map(|()| Reading {
        before_ns: now_ns(CLOCK_BOOTTIME),
        realtime_ns: now_ns(CLOCK_REALTIME),
        after_ns: now_ns(CLOCK_BOOTTIME),
    });
    best_offset_ns(&readings)
}

fn best_offset_ns(readings: &[Reading]) -> i64 {
    let best = readings.iter().min_by_key(|reading| reading.after_ns - reading.before_ns);
    best.map_or(0, |best| {
        best.realtime_ns - (best.before_ns + (best.after_ns - best.before_ns) / 2)
    })
}

/// How long the machine has slept in all.
fn suspended_ns() -> i64 {
    now_ns(CLOCK_BOOTTIME) - now_ns(CLOCK_MONOTONIC)
}

/// What this clock says, in nanoseconds.
pub fn now_ns(clock: clockid_t) -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for the result. The clocks that are asked for exist on every kernel this runs
    // on, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_disturbed_reading_wins() {
        let reading =
            |before_ns, realtime_ns, after_ns| Reading { before_ns, realtime_ns, after_ns };
        let readings =
            [reading(0, 9_000, 1_000), reading(2_000, 5_010, 2_020), reading(3_000, 0, 9_000)];
        assert_eq!(best_offset_ns(&readings), 3_000);
    }

    #[test]
    fn the_offset_leads_to_the_wall_clock() {
        let wall_ns = i64::try_from(boot_ns()).unwrap() + realtime_offset_ns();
        assert!((now_ns(CLOCK_REALTIME) - wall_ns).abs() < 50_000_000);
    }

    #[test]
    fn it_is_due_at_once_then_every_minute() {
        let mut clock = Clock::new();
        let start = boot_ns();
        assert!(clock.due(start).is_some());
        assert!(clock.due(start + INTERVAL_NS - 1).is_none());
        assert!(clock.due(start + INTERVAL_NS).is_some());
    }

    #[test]
    fn it_is_due_after_a_suspend() {
        let mut clock =
            Clock { due_boot_ns: u64::MAX, suspended_ns: suspended_ns() - 1_000_000_000 };
        assert!(clock.due(boot_ns()).is_some());
        assert!(clock.due(boot_ns()).is_none());
    }
}
