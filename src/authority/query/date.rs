//! Date math: `now-7d/d`, `2024-01-01||+1M/M`.

use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time};

use super::date_format::{Format, moment};
use super::fault::Fault;

/// Longest expression.
const MAX_EXPRESSION: usize = 256;

/// How dates of one clause are read.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Formats.
    pub format: Format,
    /// The clause's own time zone, seconds east of Greenwich.
    pub zone: i64,
    /// The present, milliseconds since the Unix epoch.
    pub now: i64,
}

impl Reader {
    /// The default formats in UTC.
    pub fn at(now: i64) -> Self {
        Self {
            format: Format::default(),
            zone: 0,
            now,
        }
    }

    /// Reads an expression; roundings and missing parts go to the end of their unit (`up`) or its start.
    ///
    /// # Errors
    /// Text that is no date in these formats, or outside the years 0000 to 9999.
    pub fn read(&self, text: &str, up: bool) -> Result<i64, Fault> {
        self.try_read(text, up).ok_or_else(|| {
            Fault::refused(format!(
                "failed to parse date field [{}] with format [strict_date_optional_time||epoch_millis]",
                shortened(text)
            ))
        })
    }

    fn try_read(&self, text: &str, up: bool) -> Option<i64> {
        if text.len() > MAX_EXPRESSION {
            return None;
        }
        if let Some(math) = text.strip_prefix("now") {
            return self.add(self.now, math, up);
        }
        match text.split_once("||") {
            Some((date, math)) => self.add(self.format.read(date, false, self.zone)?, math, up),
            None => self.format.read(text, up, self.zone),
        }
    }

    fn add(&self, start: i64, math: &str, up: bool) -> Option<i64> {
        let mut local = moment(start.checked_add(self.zone * 1_000)?)?;
        let mut rest = math;
        while let Some(operator) = rest.chars().next() {
            rest = rest.strip_prefix(operator)?;
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let unit = after.chars().next()?;
            rest = after.strip_prefix(unit)?;
            let count: i64 = if number.is_empty() {
                1
            } else {
                number.parse().ok()?
            };
            local = match operator {
                '+' => shift(local, count, unit)?,
                '-' => shift(local, count.checked_neg()?, unit)?,
                '/' if number.is_empty() => round(local, unit, up)?,
                _ => return None,
            };
        }
        let millis = local.unix_timestamp_nanos().div_euclid(1_000_000);
        i64::try_from(millis).ok()?.checked_sub(self.zone * 1_000)
    }
}

/// No more of a value than a log line bears.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

fn shift(at: OffsetDateTime, count: i64, unit: char) -> Option<OffsetDateTime> {
    let seconds = match unit {
        'y' => return add_months(at, count.checked_mul(12)?),
        'M' => return add_months(at, count),
        'w' => 7 * 86_400,
        'd' => 86_400,
        'h' | 'H' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    at.checked_add(Duration::seconds(count.checked_mul(seconds)?))
}

fn add_months(at: OffsetDateTime, count: i64) -> Option<OffsetDateTime> {
    let months = i64::from(at.year()) * 12 + i64::from(u8::from(at.month())) - 1;
    let months = months.checked_add(count)?;
    let year = i32::try_from(months.div_euclid(12)).ok()?;
    let month = u8::try_from(months.rem_euclid(12) + 1).ok()?;
    let month = Month::try_from(month).ok()?;
    // The 31st of a shorter month is its last day.
    let day = at.day().min(month.length(year));
    let date = Date::from_calendar_date(year, month, day).ok()?;
    Some(PrimitiveDateTime::new(date, at.time()).assume_utc())
}

fn round(at: OffsetDateTime, unit: char, up: bool) -> Option<OffsetDateTime> {
    let date = at.date();
    let start_of = |date: Date| PrimitiveDateTime::new(date, Time::MIDNIGHT).assume_utc();
    let start = match unit {
        'y' => start_of(Date::from_ordinal_date(date.year(), 1).ok()?),
        'M' => start_of(date.replace_day(1).ok()?),
        'w' => {
            let days = i64::from(date.weekday().number_days_from_monday());
            start_of(date.checked_sub(Duration::days(days))?)
        }
        'd' => start_of(date),
        'h' | 'H' => at.replace_time(Time::from_hms(at.hour(), 0, 0).ok()?),
        'm' => at.replace_time(Time::from_hms(at.hour(), at.minute(), 0).ok()?),
        's' => at.replace_nanosecond(0).ok()?,
        _ => return None,
    };
    if !up {
        return Some(start);
    }
    shift(start, 1, unit)?.checked_sub(Duration::milliseconds(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tuesday, 2023-11-14T22:13:20Z.
    const NOW: i64 = 1_700_000_000_000;

    fn read(text: &str, up: bool) -> String {
        let millis = Reader::at(NOW).read(text, up).unwrap();
        Format::default().write(millis, 0)
    }

    #[test]
    fn math_adds_and_rounds() {
        for (text, up, expected) in [
            ("now", false, "2023-11-14T22:13:20.000Z"),
            ("now-1d/d", false, "2023-11-13T00:00:00.000Z"),
            ("now/d", true, "2023-11-14T23:59:59.999Z"),
            ("now/w", false, "2023-11-13T00:00:00.000Z"),
            ("now+35d/d", false, "2023-12-19T00:00:00.000Z"),
            ("2024-01-31||+1M", false, "2024-02-29T00:00:00.000Z"),
            ("2024-02-29||-1y/y", true, "2023-12-31T23:59:59.999Z"),
            ("now+2h-30m/m", false, "2023-11-14T23:43:00.000Z"),
        ] {
            assert_eq!(read(text, up), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused_without_a_panic() {
        for text in [
            "",
            "now+",
            "now/",
            "now*2",
            "now+1q",
            "yesterday",
            "||",
            "now+9223372036854775807y",
            "now/2d",
            "é",
        ] {
            assert!(Reader::at(NOW).read(text, true).is_err(), "{text}");
        }
    }
}
