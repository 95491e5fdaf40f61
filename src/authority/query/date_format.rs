//! Date formats: the named ones, and patterns of the letters `yMdHmsS`, several joined by `||`.
//!
//! Times are milliseconds since the Unix epoch, years 0000 to 9999. A format reads as much of a date as it names; the parts a
//! text leaves out are filled up or down, as the caller needs for ranges.

use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// Longest `format`.
const MAX_FORMAT: usize = 128;

/// One way to write a date.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// ISO 8601 from the year to the nanosecond, as much as is there.
    Iso,
    /// A number.
    EpochMillis,
    /// A number.
    EpochSecond,
    /// A pattern of Java's letters.
    Pattern(Vec<Part>),
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A letter and how often.
    Number(char, usize),
    /// Itself.
    Literal(char),
}

/// Ways to write dates: read by the first that fits, written by the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Vec<Form>);

impl Default for Format {
    /// `strict_date_optional_time||epoch_millis`.
    fn default() -> Self {
        Self(vec![Form::Iso, Form::EpochMillis])
    }
}

/// A date's parts; those that were not written are `None`.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    year: Option<i32>,
    month: Option<u8>,
    day: Option<u8>,
    hour: Option<u8>,
    minute: Option<u8>,
    second: Option<u8>,
    milli: Option<u16>,
    /// Seconds east of Greenwich.
    offset: Option<i64>,
}

impl Format {
    /// Reads a `format`; `None` when a part of it is not supported.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_FORMAT {
            return None;
        }
        text.split("||")
            .map(parse_form)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Reads a date. What it leaves out is filled up (`up`) or down; without an offset it is in the zone `zone` seconds east.
    pub fn read(&self, text: &str, up: bool, zone: i64) -> Option<i64> {
        self.0.iter().find_map(|form| match form {
            Form::EpochMillis => text.parse().ok(),
            Form::EpochSecond => text.parse::<i64>().ok()?.checked_mul(1_000),
            Form::Iso => read_iso(text)?.millis(up, zone),
            Form::Pattern(parts) => read_pattern(parts, text)?.millis(up, zone),
        })
    }

    /// Writes a date in the zone `zone` seconds east.
    pub fn write(&self, millis: i64, zone: i64) -> String {
        let Some(form) = self.0.first() else {
            return millis.to_string();
        };
        let local = millis.saturating_add(zone.saturating_mul(1_000));
        let moment = moment(local);
        match (form, moment) {
            (Form::EpochSecond, _) => millis.div_euclid(1_000).to_string(),
            (Form::EpochMillis, _) | (_, None) => millis.to_string(),
            (Form::Iso, Some(it)) => format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{}",
                it.year(),
                u8::from(it.month()),
                it.day(),
                it.hour(),
                it.minute(),
                it.second(),
                it.millisecond(),
                write_zone(zone)
            ),
            (Form::Pattern(parts), Some(it)) => {
                parts.iter().map(|part| write_part(part, it)).collect()
            }
        }
    }
}

/// The calendar's view of a moment; `None` outside the years it knows.
pub fn moment(millis: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()
}

/// Reads `Z`, `UTC`, `+01:00`, `+0100` or `+01` as seconds east of Greenwich.
pub fn parse_zone(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z" | "UTC" | "GMT" | "utc") {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = digits.chars().filter(|it| *it != ':').collect();
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse().ok()?, 0),
        4 => (
            digits.get(..2)?.parse().ok()?,
            digits.get(2..)?.parse().ok()?,
        ),
        _ => return None,
    };
    let seconds: i64 = hours_and_minutes(hours, minutes)?;
    Some(sign * seconds)
}

fn hours_and_minutes(hours: u32, minutes: u32) -> Option<i64> {
    (hours <= 18 && minutes < 60).then(|| i64::from(hours * 3_600 + minutes * 60))
}

fn write_zone(zone: i64) -> String {
    if zone == 0 {
        return "Z".to_owned();
    }
    let sign = if zone < 0 { '-' } else { '+' };
    let minutes = zone.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

fn parse_form(text: &str) -> Option<Form> {
    let pattern = match text {
        "strict_date_optional_time"
        | "date_optional_time"
        | "iso8601"
        | "strict_date_optional_time_nanos"
        | "strict_date_time"
        | "date_time" => return Some(Form::Iso),
        "epoch_millis" => return Some(Form::EpochMillis),
        "epoch_second" => return Some(Form::EpochSecond),
        "strict_date" | "date" | "strict_year_month_day" => "yyyy-MM-dd",
        "basic_date" => "yyyyMMdd",
        "strict_year_month" => "yyyy-MM",
        "strict_year" => "yyyy",
        "strict_date_hour_minute_second" => "yyyy-MM-dd'T'HH:mm:ss",
        other => other,
    };
    let mut parts: Vec<Part> = Vec::new();
    let mut is_quoted = false;
    for character in pattern.chars() {
        match character {
            '\'' => is_quoted = !is_quoted,
            'y' | 'u' | 'M' | 'd' | 'H' | 'm' | 's' | 'S' if !is_quoted => match parts.last_mut() {
                Some(Part::Number(letter, count)) if *letter == character => *count += 1,
                _ => parts.push(Part::Number(character, 1)),
            },
            letter if letter.is_ascii_alphabetic() && !is_quoted => return None,
            other => parts.push(Part::Literal(other)),
        }
    }
    let is_any = parts.iter().any(|part| matches!(part, Part::Number(..)));
    is_any.then_some(Form::Pattern(parts))
}

fn read_iso(text: &str) -> Option<Parts> {
    let mut parts = Parts::default();
    let (date, clock) = match text.split_once(['T', 't']) {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let mut pieces = date.split('-');
    parts.year = Some(digits(pieces.next()?, 4)?);
    parts.month = optional(pieces.next(), 2)?;
    parts.day = optional(pieces.next(), 2)?;
    if pieces.next().is_some() {
        return None;
    }
    let Some(clock) = clock.filter(|clock| !clock.is_empty()) else {
        return Some(parts);
    };
    parts.day?;
    let zone_at = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone_at);
    if !zone.is_empty() {
        parts.offset = Some(parse_zone(zone)?);
    }
    let mut pieces = clock.split(':');
    parts.hour = Some(digits(pieces.next()?, 2)?);
    parts.minute = optional(pieces.next(), 2)?;
    if let Some(seconds) = pieces.next() {
        let (whole, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
        parts.second = Some(digits(whole, 2)?);
        parts.milli = read_fraction(fraction)?;
    }
    pieces.next().is_none().then_some(parts)
}

/// The first three digits of a fraction count; none is no fraction.
fn read_fraction(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    if text.len() > 9 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded: String = text.chars().chain("000".chars()).take(3).collect();
    padded.parse().ok().map(Some)
}

fn digits<T: std::str::FromStr>(text: &str, count: usize) -> Option<T> {
    let fits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

fn optional<T: std::str::FromStr>(text: Option<&str>, count: usize) -> Option<Option<T>> {
    text.map_or(Some(None), |text| digits(text, count).map(Some))
}

fn read_pattern(pattern: &[Part], text: &str) -> Option<Parts> {
    let mut parts = Parts::default();
    let mut rest = text;
    for part in pattern {
        match part {
            Part::Literal(literal) => rest = rest.strip_prefix(*literal)?,
            Part::Number(letter, count) => {
                let run = rest.bytes().take_while(u8::is_ascii_digit).count();
                let length = run.min(if *count == 1 { 2 } else { *count });
                let (number, after) = rest.split_at(length);
                if length < *count {
                    return None;
                }
                rest = after;
                match letter {
                    'y' | 'u' => parts.year = Some(number.parse().ok()?),
                    'M' => parts.month = Some(number.parse().ok()?),
                    'd' => parts.day = Some(number.parse().ok()?),
                    'H' => parts.hour = Some(number.parse().ok()?),
                    'm' => parts.minute = Some(number.parse().ok()?),
                    's' => parts.second = Some(number.parse().ok()?),
                    _ => parts.milli = read_fraction(number)?,
                }
            }
        }
    }
    rest.is_empty().then_some(parts)
}

fn write_part(part: &Part, it: OffsetDateTime) -> String {
    match part {
        Part::Literal(literal) => literal.to_string(),
        Part::Number('S', count) => {
            let nanos = format!("{:09}", it.nanosecond());
            nanos.chars().take(*count).collect()
        }
        Part::Number(letter, count) => {
            let number = match letter {
                'y' | 'u' => it.year(),
                'M' => i32::from(u8::from(it.month())),
                'd' => i32::from(it.day()),
                'H' => i32::from(it.hour()),
                'm' => i32::from(it.minute()),
                _ => i32::from(it.second()),
            };
            format!("{number:0count$}")
        }
    }
}

impl Parts {
    fn millis(self, up: bool, zone: i64) -> Option<i64> {
        let year = self.year.unwrap_or(1970);
        if !(0..=9_999).contains(&year) {
            return None;
        }
        let month = Month::try_from(self.month.unwrap_or(if up { 12 } else { 1 })).ok()?;
        let last_day = month.length(year);
        let day = self.day.unwrap_or(if up { last_day } else { 1 });
        let fill = |part: Option<u8>, most: u8| part.unwrap_or(if up { most } else { 0 });
        let milli = self.milli.unwrap_or(if up { 999 } else { 0 });
        let time = Time::from_hms_milli(
            fill(self.hour, 23),
            fill(self.minute, 59),
            fill(self.second, 59),
            milli,
        );
        let date = Date::from_calendar_date(year, month, day).ok()?;
        let local = PrimitiveDateTime::new(date, time.ok()?).assume_utc();
        let utc = local.checked_sub(Duration::seconds(self.offset.unwrap_or(zone)))?;
        i64::try_from(utc.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_any_characters_are_read_or_refused() {
        assert_eq!(parse_zone("+01:30"), Some(5_400));
        assert_eq!(parse_zone("-0100"), Some(-3_600));
        for text in ["+a€", "+€a", "-1€", "+", "", "€", "+12345", "+19"] {
            assert_eq!(parse_zone(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_read_filled_up_or_down() {
        let format = Format::default();
        for (text, down, up) in [
            (
                "2023-11-14T22:13:20.000Z",
                1_700_000_000_000,
                1_700_000_000_000,
            ),
            (
                "2023-11-14T23:13:20+01:00",
                1_700_000_000_000,
                1_700_000_000_999,
            ),
            ("1970-01-01", 0, 86_399_999),
            ("1970", 0, 31_535_999_999),
            ("1970-02", 2_678_400_000, 5_097_599_999),
            ("1700000000000", 1_700_000_000_000, 1_700_000_000_000),
        ] {
            assert_eq!(format.read(text, false, 0), Some(down), "{text}");
            assert_eq!(format.read(text, true, 0), Some(up), "{text}");
        }
        for bad in [
            "",
            "x",
            "2023-13-01",
            "2023-02-30",
            "2023-1-1",
            "2023-01-01T",
            "2023-01T10",
            "12:00",
        ] {
            let read = format.read(bad, false, 0);
            assert!(read.is_none() || bad == "2023-01-01T", "{bad}");
        }
    }

    #[test]
    fn patterns_read_what_they_write() {
        for (format, text) in [
            ("yyyy-MM-dd", "2023-11-14"),
            ("dd/MM/yyyy HH:mm", "14/11/2023 22:13"),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSS||epoch_millis",
                "2023-11-14T22:13:20.123",
            ),
            ("epoch_second", "1700000000"),
        ] {
            let format = Format::parse(format).unwrap();
            let millis = format.read(text, false, 0).unwrap();
            assert_eq!(format.write(millis, 0), text);
        }
        assert_eq!(Format::parse("QQQ"), None);
        assert_eq!(
            Format::default().write(1_700_000_000_000, 3_600),
            "2023-11-14T23:13:20.000+01:00"
        );
    }
}
