//! The shape of an endpoint, and finding the one a request is for.

use std::future::Future;
use std::pin::Pin;

use http::Method;
use percent_encoding::percent_decode_str;

use super::call::{Call, Reply};
use super::failure::Failure;
use super::state::State;

/// What a handler returns.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send + 'a>>;

/// One line of the API table.
pub struct Endpoint {
    /// Methods it answers.
    pub methods: &'static [Method],
    /// Path with `{captures}`.
    pub path: &'static str,
    /// Its action, for authorisation and denials.
    pub action: &'static str,
    /// Query parameters beside the common ones.
    pub query: &'static [&'static str],
    /// Whether a body makes sense.
    pub body: bool,
    /// What answers.
    pub handler: for<'a> fn(&'a State, Call) -> Answer<'a>,
}

/// A request path, cut at its slashes and decoded. Empty segments don't count.
pub fn segments(path: &str) -> Option<Vec<String>> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| {
            let decoded = percent_decode_str(segment).decode_utf8();
            decoded.ok().map(std::borrow::Cow::into_owned)
        })
        .collect()
}

/// What a request's path and method lead to.
pub enum Found {
    /// An endpoint with its captures.
    Endpoint(&'static Endpoint, Vec<(&'static str, String)>),
    /// Some endpoints, but none for this method; these are the ones there are.
    WrongMethod(Vec<Method>),
    /// Nothing.
    Nothing,
}

/// Finds the endpoint. Where several paths fit, literal segments win over captures, from the left.
pub fn find(table: &'static [Endpoint], method: &Method, segments: &[String]) -> Found {
    let mut allowed: Vec<Method> = Vec::new();
    let mut best: Option<(&Endpoint, u64)> = None;
    for endpoint in table {
        let Some(literal) = fit(endpoint.path, segments) else {
            continue;
        };
        allowed.extend_from_slice(endpoint.methods);
        if endpoint.methods.contains(method) && best.is_none_or(|(_, found)| literal > found) {
            best = Some((endpoint, literal));
        }
    }
    match best {
        Some((endpoint, _)) => Found::Endpoint(endpoint, captures(endpoint.path, segments)),
        None if allowed.is_empty() => Found::Nothing,
        None => {
            allowed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            allowed.dedup();
            Found::WrongMethod(allowed)
        }
    }
}

/// `None`: the path doesn't fit. Otherwise a number that is larger the earlier its segments are literal.
fn fit(path: &str, segments: &[String]) -> Option<u64> {
    let mut literal = 0;
    let mut given = segments.iter();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let segment = given.next()?;
        literal <<= 1;
        if !part.starts_with('{') {
            if part != segment {
                return None;
            }
            literal |= 1;
        }
    }
    given.next().is_none().then_some(literal)
}

fn captures(path: &'static str, segments: &[String]) -> Vec<(&'static str, String)> {
    path.split('/')
        .filter(|part| !part.is_empty())
        .zip(segments)
        .filter_map(|(part, segment)| {
            let name = part.strip_prefix('{')?.strip_suffix('}')?;
            Some((name, segment.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &State, _: Call) -> Answer<'_> {
        Box::pin(async { Err(Failure::server("unused")) })
    }

    const fn line(methods: &'static [Method], path: &'static str) -> Endpoint {
        Endpoint {
            methods,
            path,
            action: "a",
            query: &[],
            body: false,
            handler: nothing,
        }
    }

    static TABLE: [Endpoint; 3] = [
        line(&[Method::GET, Method::PUT], "/user/{name}"),
        line(&[Method::GET], "/user/_special"),
        line(&[Method::POST], "/user/{name}/_on"),
    ];

    fn look(method: Method, path: &str) -> Option<&'static str> {
        match find(&TABLE, &method, &segments(path).unwrap()) {
            Found::Endpoint(endpoint, _) => Some(endpoint.path),
            Found::WrongMethod(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn literal_segments_win_unless_the_method_says_otherwise() {
        assert_eq!(look(Method::GET, "/user/_special"), Some("/user/_special"));
        assert_eq!(look(Method::PUT, "/user/_special"), Some("/user/{name}"));
        assert_eq!(look(Method::GET, "//user//joe/"), Some("/user/{name}"));
        assert_eq!(look(Method::GET, "/user"), None);
    }

    #[test]
    fn captures_are_decoded() {
        let Found::Endpoint(_, captured) =
            find(&TABLE, &Method::GET, &segments("/user/a%2Fb+c").unwrap())
        else {
            panic!("found");
        };
        assert_eq!(captured, vec![("name", "a/b+c".to_owned())]);
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let found = find(
            &TABLE,
            &Method::DELETE,
            &segments("/user/_special").unwrap(),
        );
        let Found::WrongMethod(allowed) = found else {
            panic!("wrong method");
        };
        assert_eq!(allowed, vec![Method::GET, Method::PUT]);
    }
}
