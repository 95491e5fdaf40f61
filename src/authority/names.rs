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

/// Checks the name of a service account's token.
///
/// # Errors
/// The sentence that says what is wrong.
pub fn check_service_token(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=256).contains(&name.len()) && !name.starts_with('_') && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!(
        "invalid service token name [{name}]. service account token name must have at least 1 character and at most 256 \
         characters that are alphanumeric (A-Z, a-z, 0-9) or hyphen (-) or underscore (_). It must not begin with an \
         underscore (_)."
    ))
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
    fn service_token_names_are_letters_digits_hyphens_and_inner_underscores() {
        for good in ["a", "-", "a_b-C9", &"x".repeat(256)] {
            assert!(check_service_token(good).is_ok(), "{good}");
        }
        for bad in ["", "_a", "a b", "a/b", "é", &"x".repeat(257)] {
            assert!(check_service_token(bad).is_err(), "{bad}");
        }
    }

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
