//! Timestamps for log lines: RFC 3339 in UTC with milliseconds. The calendar is worked out once a second.

use std::time::Duration;

/// The last second written, as text.
#[derive(Debug)]
pub(super) struct Stamp {
    second: u64,
    /// `2026-07-01T12:34:56.`
    text: [u8; 20],
}

impl Default for Stamp {
    fn default() -> Self {
        Self {
            second: 0,
            text: *b"1970-01-01T00:00:00.",
        }
    }
}

impl Stamp {
    /// Appends the time `unix` after the epoch. Times past the year 9999 are written as the epoch.
    #[inline]
    pub(super) fn write(&mut self, unix: Duration, out: &mut Vec<u8>) {
        if unix.as_secs() != self.second {
            self.turn(unix.as_secs());
        }
        out.extend_from_slice(&self.text);
        let millis = unix.subsec_millis();
        out.extend_from_slice(&[digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
    }

    #[cold]
    fn turn(&mut self, second: u64) {
        let time = i64::try_from(second)
            .ok()
            .and_then(|second| time::OffsetDateTime::from_unix_timestamp(second).ok())
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let year = time.year().unsigned_abs();
        let mut write = |at: usize, number: u32| {
            self.text[at] = digit(number / 10);
            self.text[at + 1] = digit(number);
        };
        write(0, year / 100);
        write(2, year);
        write(5, u8::from(time.month()).into());
        write(8, time.day().into());
        write(11, time.hour().into());
        write(14, time.minute().into());
        write(17, time.second().into());
        self.second = second;
    }
}

/// The last decimal digit of `number`.
fn digit(number: u32) -> u8 {
    b'0' + (number % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_time_whatever_was_stamped_before() {
        let mut stamp = Stamp::default();
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_782_909_296_789, "2026-07-01T12:34:56.789Z"),
            (1_782_909_296_001, "2026-07-01T12:34:56.001Z"),
            (951_827_696_010, "2000-02-29T12:34:56.010Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "1970-01-01T00:00:00.000Z"),
            (u64::MAX, "1970-01-01T00:00:00.615Z"),
        ] {
            let mut out = Vec::new();
            stamp.write(Duration::from_millis(millis), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
