//! Text to words, close to what Elasticsearch's analysers of the profile index do.
//!
//! Names are cut into words like its standard tokenizer does; an e-mail address is searchable as a whole, by what is before
//! and after its `@`, and by each run of letters or digits. Everything in lower case.

use std::collections::BTreeSet;

/// Cuts a name into words.
pub fn words(text: &str) -> Vec<String> {
    let lower: Vec<char> = text.to_lowercase().chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (at, &char) in lower.iter().enumerate() {
        let next = lower.get(at + 1).copied();
        if is_ideograph(char) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            words.push(char.to_string());
        } else if is_word(char) || joins(word.chars().next_back(), char, next) {
            word.push(char);
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || is_mark(char)
}

/// Combining marks belong to the letter in front of them.
fn is_mark(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}')
}

/// Scripts written without blanks: every sign is a word.
fn is_ideograph(char: char) -> bool {
    matches!(char, '\u{3040}'..='\u{309f}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}')
}

/// Whether a sign between two others doesn't end a word (Unicode text segmentation, rules WB6, WB7, WB11, WB12).
fn joins(before: Option<char>, char: char, next: Option<char>) -> bool {
    let (Some(before), Some(next)) = (before, next) else {
        return false;
    };
    let letters = before.is_alphabetic() && next.is_alphabetic();
    let digits = before.is_numeric() && next.is_numeric();
    match char {
        '.' | '\'' | '\u{2019}' => letters || digits,
        ':' | '\u{b7}' => letters,
        ',' | ';' => digits,
        _ => false,
    }
}

/// What an e-mail address can be found by.
pub fn email_words(address: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in address.to_lowercase().split_whitespace() {
        found.insert(part.to_owned());
        found.extend(part.split('@').map(str::to_owned));
        found.extend(
            part.split(|char: char| !char.is_alphabetic())
                .map(str::to_owned),
        );
        found.extend(
            part.split(|char: char| !char.is_numeric())
                .map(str::to_owned),
        );
    }
    found.remove("");
    found
}

/// Runs of `length` words, joined by blanks.
pub fn shingles(words: &[String], length: usize) -> Vec<String> {
    words.windows(length).map(|run| run.join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_cut_at_signs_that_join_nothing() {
        for (text, expected) in [
            ("Juan Pérez", &["juan", "pérez"][..]),
            ("juan.perez-lópez", &["juan.perez", "lópez"]),
            ("O'Neill, Ann", &["o'neill", "ann"]),
            ("user_1 (x) 1,000.5.", &["user_1", "x", "1,000.5"]),
            ("李明", &["李", "明"]),
            (" -- ", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_found_by_its_parts() {
        let found = email_words("Juan.P42@Bazooka.gum");
        for word in [
            "juan.p42@bazooka.gum",
            "juan.p42",
            "bazooka.gum",
            "juan",
            "p",
            "42",
            "gum",
        ] {
            assert!(found.contains(word), "{word}");
        }
        assert!(!found.contains(""));
    }

    proptest! {
        #[test]
        fn words_are_lower_case_pieces_of_the_text(text in "\\PC{0,60}") {
            let lower = text.to_lowercase();
            for word in words(&text) {
                prop_assert!(!word.is_empty());
                prop_assert!(lower.contains(&word), "{word:?} of {text:?}");
            }
        }
    }
}
