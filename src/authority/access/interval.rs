//! `<n-m>` in a regular expression: the decimal numbers between two.

use super::charset::CharSet;
use super::pattern::Expr;

/// Most digits of a fixed width.
pub(super) const WIDEST: usize = 50;

/// `n-m`: the decimal numbers between the two. Written with the same number of digits, they fix the width; otherwise
/// leading zeros are free.
pub(super) fn interval(text: &str) -> Option<Expr> {
    let (first, last) = text.split_once('-')?;
    let (low, high): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
    let (low, high) = (low.min(high), low.max(high));
    if low < 0 {
        return None;
    }
    if first.len() == last.len() {
        let width = first.len();
        if width > WIDEST {
            return None;
        }
        return Some(between(&padded(low, width), &padded(high, width)));
    }
    let longest = high.to_string().len();
    let by_width = (low.to_string().len()..=longest).map(|width| {
        let shortest = if width == 1 {
            "0".into()
        } else {
            format!("1{}", "0".repeat(width - 1))
        };
        let from = if width == low.to_string().len() {
            low.to_string()
        } else {
            shortest
        };
        let to = if width == longest {
            high.to_string()
        } else {
            "9".repeat(width)
        };
        between(from.as_bytes(), to.as_bytes())
    });
    let zeros = Expr::Repeat {
        of: Box::new(digits(b'0', b'0')),
        min: 0,
        max: None,
    };
    Some(Expr::Sequence(vec![
        zeros,
        Expr::Either(by_width.collect()),
    ]))
}

fn padded(number: i32, width: usize) -> Vec<u8> {
    format!("{number:0width$}").into_bytes()
}

fn digits(first: u8, last: u8) -> Expr {
    Expr::Chars(CharSet::span(first.into(), last.into()))
}

/// The digit strings between two of the same length.
fn between(low: &[u8], high: &[u8]) -> Expr {
    if low.iter().all(|digit| *digit == b'0') && high.iter().all(|digit| *digit == b'9') {
        return Expr::Sequence(vec![digits(b'0', b'9'); low.len()]);
    }
    let (Some((&first_low, low)), Some((&first_high, high))) =
        (low.split_first(), high.split_first())
    else {
        return Expr::Sequence(Vec::new());
    };
    if first_low == first_high {
        return Expr::Sequence(vec![digits(first_low, first_low), between(low, high)]);
    }
    let (zeros, nines) = (vec![b'0'; low.len()], vec![b'9'; low.len()]);
    let mut options = vec![
        Expr::Sequence(vec![digits(first_low, first_low), between(low, &nines)]),
        Expr::Sequence(vec![digits(first_high, first_high), between(&zeros, high)]),
    ];
    if first_high - first_low > 1 {
        options.push(Expr::Sequence(vec![
            digits(first_low + 1, first_high - 1),
            between(&zeros, &nines),
        ]));
    }
    Expr::Either(options)
}
