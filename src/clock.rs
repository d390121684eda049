//! Moments and spans of time, and how a person reads them. Knows nothing of the program.

use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on both clocks. Timers go by the steady one, records by the one on the wall.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Time since some fixed moment; never jumps.
    pub steady: Duration,
    /// Milliseconds since 1970; may jump when somebody sets the clock.
    pub wall: u64,
}

impl Now {
    /// The moment of the call, where `start` is a moment that the caller keeps.
    pub fn read(start: Instant) -> Now {
        Now { steady: start.elapsed(), wall: wall() }
    }
}

/// Milliseconds since 1970.
pub fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(0)
}

/// A span of so many milliseconds, as `45s`, `12m 05s` or `1h 02m 05s`.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m {rest:02}s"),
        _ => format!("{hours}h {minutes:02}m {rest:02}s"),
    }
}

/// Milliseconds since 1970 as UTC in the form of RFC 3339, to the second.
pub fn utc(millis: u64) -> String {
    let seconds = millis / 1000;
    let (mut day, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let leap = |y: u64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{:02}T", day + 1);
    let _ = write!(text, "{hour:02}:{minute:02}:{second:02}Z");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_dates_read_as_people_write_them() {
        assert_eq!(span(999), "0s");
        assert_eq!(span(45_900), "45s");
        assert_eq!(span(725_000), "12m 05s");
        assert_eq!(span(3_725_000), "1h 02m 05s");
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_437_000, "2026-11-23T12:30:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds * 1000), text);
        }
    }
}
