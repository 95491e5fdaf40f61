//! `minimum_should_match`: how many optional clauses must match.

use serde_json::Value;

use super::fault::Fault;

/// Reads the parameter as text, whatever it was written as.
///
/// # Errors
/// Something else than a number or a text.
pub fn text(value: &Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(Fault::grammar(
            "[minimum_should_match] must be a number or a string",
        )),
    }
}

/// How many of `optional` clauses a specification wants: `2`, `-1`, `75%`, `-25%`, or `2<75% 9<-3`.
///
/// # Errors
/// Text that is no specification.
pub fn of(specification: &str, optional: usize) -> Result<usize, Fault> {
    let specification = specification.trim();
    if !specification.contains('<') {
        return plain(specification, optional);
    }
    let mut result = optional;
    for part in specification.split_whitespace() {
        let (bound, rest) = part.split_once('<').ok_or_else(|| broken(specification))?;
        let bound: usize = bound.parse().map_err(|_| broken(specification))?;
        if optional <= bound {
            return Ok(result);
        }
        result = plain(rest, optional)?;
    }
    Ok(result)
}

fn plain(specification: &str, optional: usize) -> Result<usize, Fault> {
    let optional = i64::try_from(optional).unwrap_or(i64::MAX);
    let wanted = match specification.strip_suffix('%') {
        Some(percent) => {
            let percent: i64 = percent.trim().parse().map_err(|_| broken(specification))?;
            let part = optional.saturating_mul(percent) / 100;
            if part < 0 { optional + part } else { part }
        }
        None => {
            let count: i64 = specification.parse().map_err(|_| broken(specification))?;
            if count < 0 {
                optional.saturating_add(count)
            } else {
                count
            }
        }
    };
    Ok(usize::try_from(wanted.max(0)).unwrap_or(usize::MAX))
}

fn broken(specification: &str) -> Fault {
    Fault::refused(format!("For input string: \"{specification}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_counts_as_documented() {
        for (specification, optional, wanted) in [
            ("2", 4, 2),
            ("-1", 4, 3),
            ("75%", 4, 3),
            ("-25%", 4, 3),
            ("-9", 4, 0),
            ("2<75%", 2, 2),
            ("2<75%", 4, 3),
            ("2<-25% 9<-3", 12, 9),
        ] {
            assert_eq!(of(specification, optional), Ok(wanted), "{specification}");
        }
        assert!(of("x", 1).is_err() && of("a<b", 1).is_err() && of("", 1).is_err());
    }
}
