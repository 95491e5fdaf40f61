//! Elasticsearch's time values: a number and a unit, such as `1d`.

use std::time::Duration;

/// Reads a time value of a setting called `name`.
///
/// # Errors
/// Elasticsearch's sentence.
pub fn parse(text: &str, name: &str) -> Result<Duration, String> {
    let trimmed = text.trim().to_lowercase();
    let fail = |why: &str| {
        Err(format!(
            "failed to parse setting [{name}] with value [{text}] as a time value: {why}"
        ))
    };
    // Longest unit first: `ms` ends in `s`, too.
    const UNITS: [(&str, u64); 7] = [
        ("nanos", 1),
        ("micros", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60 * 1_000_000_000),
        ("h", 3_600 * 1_000_000_000),
        ("d", 86_400 * 1_000_000_000),
    ];
    for (unit, nanos) in UNITS {
        let Some(number) = trimmed.strip_suffix(unit) else {
            continue;
        };
        let Ok(number) = number.trim().parse::<i64>() else {
            return Err(format!("failed to parse [{text}]"));
        };
        let Ok(number) = u64::try_from(number) else {
            return fail("negative durations are not supported");
        };
        // More than 584 years is more than anything lives.
        return Ok(Duration::from_nanos(number.saturating_mul(nanos)));
    }
    match trimmed.as_str() {
        "0" => Ok(Duration::ZERO),
        _ => fail("unit is missing or unrecognized"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        for (text, seconds) in [
            ("1d", 86_400),
            ("90s", 90),
            ("2h", 7_200),
            ("5m", 300),
            (" 1500ms", 1),
        ] {
            assert_eq!(parse(text, "x").unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", "1", "1w", "d", "-1d", "1.5h"] {
            assert!(parse(bad, "x").is_err(), "{bad}");
        }
    }
}
