//! Which sessions a request to end some means.

use super::operations::SessionScope;
use super::reply::Problem;

/// Reads the query of `DELETE /sessions`: any of `user`, `realm` and `provider`, or `all=true`. Nothing at all is refused: it
/// is more often a mistake than a wish.
pub(super) fn parse_query(query: &str) -> Result<SessionScope, Problem> {
    let expected = || {
        Problem::bad_request(
            "expected ?user=…, ?realm=…, ?provider=…, several of them, or ?all=true",
        )
    };
    let mut scope = SessionScope::default();
    let mut all = false;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let slot = match &*key {
            "all" if value == "true" && !all => {
                all = true;
                continue;
            }
            "user" => &mut scope.user,
            "realm" => &mut scope.realm,
            "provider" => &mut scope.provider,
            _ => return Err(expected()),
        };
        if value.is_empty() || slot.replace(value.into_owned()).is_some() {
            return Err(expected());
        }
    }
    if all == (scope != SessionScope::default()) {
        return Err(expected());
    }
    Ok(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_named_or_all_of_them_meant() {
        let scope = |query| parse_query(query).ok();
        let alice = SessionScope {
            user: Some("alice b".into()),
            realm: Some("saml1".into()),
            provider: None,
        };
        assert_eq!(scope("user=alice+b&realm=saml1"), Some(alice));
        assert_eq!(scope("all=true"), Some(SessionScope::default()));
        for wrong in [
            "",
            "user=",
            "user=a&user=b",
            "all=false",
            "all=true&user=a",
            "name=a",
            "all=true&all=true",
        ] {
            assert_eq!(scope(wrong), None, "{wrong}");
        }
    }
}
