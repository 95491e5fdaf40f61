//! The rule that names of users and roles must keep. Names inside a role are checked by [`super::access::names`].

/// Longest name of a native user or role.
const MAX_NAME: usize = 507;

/// Checks the name of a native user.
///
/// # Errors
/// The sentence that says what is wrong.
pub fn check_user(name: &str) -> Result<(), String> {
    check_principal(name, "User")
}

/// Checks the name of a native role.
///
/// # Errors
/// The sentence that says what is wrong.
pub fn check_role(name: &str) -> Result<(), String> {
    check_principal(name, "Role")
}

fn check_principal(name: &str, noun: &str) -> Result<(), String> {
    let printable = name.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    let trimmed = !name.starts_with(' ') && !name.ends_with(' ');
    if (1..=MAX_NAME).contains(&name.len()) && printable && trimmed {
        return Ok(());
    }
    Err(format!(
        "{noun} names must be at least 1 and no more than {MAX_NAME} characters. They can contain alphanumeric characters \
         (a-z, A-Z, 0-9), spaces, punctuation, and printable symbols in the Basic Latin (ASCII) block. Leading or trailing \
         whitespace is not allowed."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_are_printable_ascii_without_outer_blanks() {
        for good in ["a", "joe smith", "ORG/1@x", &"x".repeat(507)] {
            assert!(check_user(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "ä", "a\tb", &"x".repeat(508)] {
            assert!(check_user(bad).is_err(), "{bad}");
        }
    }
}
