//! The name that was probably meant.

use super::values::shown;

/// The known name nearest to `word`, if one is near enough to be a slip of the pen.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long word is no slip of a short one, and comparing it would cost its square.
    if word.len() > 64 {
        return None;
    }
    let folded = word.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .filter(|name| name.len() <= 64)
        .map(|name| {
            (
                strsim::damerau_levenshtein(&folded, &name.to_ascii_lowercase().replace('-', "_")),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= (name.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A hint from [`nearest`].
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|name| format!("did you mean {}?", shown(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_a_slip_not_a_guess() {
        assert_eq!(nearest("raed", ["read", "write"]), Some("read"));
        assert_eq!(nearest("tlt", ["ttl", "max_stale"]), Some("ttl"));
        assert_eq!(
            nearest("max-stale", ["ttl", "max_stale"]),
            Some("max_stale")
        );
        assert_eq!(nearest("colour", ["ttl", "max_stale"]), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), ["ttl"]), None);
    }
}
