//! Cutting text into words, as the analyzers of the security index do: `standard` for full names and descriptions, and one for
//! e-mail addresses that also finds their parts.

use super::schema::Kind;

/// Words that one text is cut into at most; the rest of it is not searched.
const MAX_WORDS: usize = 4_096;

/// The words of a text in a field of this kind; for kinds that aren't cut, the text itself.
pub fn words(text: &str, kind: Kind) -> Vec<String> {
    match kind {
        Kind::Text => standard(text),
        Kind::Email => email(text),
        Kind::Keyword | Kind::Date | Kind::Boolean | Kind::Flattened => vec![text.to_owned()],
    }
}

/// Words by the rules of Unicode's UAX #29 that matter for names: letters, digits and `_`, and a single apostrophe, dot or
/// colon between letters, or dot, comma or apostrophe between digits.
fn standard(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (at, character) in characters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| characters.get(at));
        let joins = || joins_words(before, *character, characters.get(at + 1));
        if is_word(*character) || (!word.is_empty() && joins()) {
            word.extend(character.to_lowercase());
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words.truncate(MAX_WORDS);
    words
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn joins_words(before: Option<&char>, character: char, after: Option<&char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    let letters = before.is_alphabetic() && after.is_alphabetic();
    let digits = before.is_numeric() && after.is_numeric();
    match character {
        '\'' | '.' | '’' => letters || digits,
        ':' | '·' => letters,
        ',' | ';' => digits,
        _ => false,
    }
}

/// An address whole, what is before and after its `@`, and every run of letters or digits; other words as they are.
fn email(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut keep = |word: &str| {
        let word = word.to_lowercase();
        if !word.is_empty() && words.len() < MAX_WORDS && !words.contains(&word) {
            words.push(word);
        }
    };
    let outer = |character: char| !is_word(character);
    for part in text.split_whitespace().take(64) {
        let part = part.trim_matches(outer);
        keep(part);
        part.split('@').for_each(&mut keep);
        if let Some((_, host)) = part.split_once('@') {
            keep(host);
        }
        part.split(|it: char| !it.is_alphabetic())
            .for_each(&mut keep);
        part.split(|it: char| !it.is_numeric()).for_each(&mut keep);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_everything_but_letters_and_digits() {
        assert_eq!(
            standard("Jack O'Neill-Smith, 3.5 v_2 (x.Y)."),
            ["jack", "o'neill", "smith", "3.5", "v_2", "x.y"]
        );
        assert!(standard(" -- ").is_empty());
    }

    #[test]
    fn an_address_is_found_by_its_parts() {
        let words = words("Jack.Nich7@example.com", Kind::Email);
        for part in [
            "jack.nich7@example.com",
            "jack.nich7",
            "example.com",
            "nich",
            "7",
        ] {
            assert!(words.iter().any(|word| word == part), "{part}: {words:?}");
        }
    }
}
