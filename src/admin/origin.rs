//! Keeps web pages out of the admin door.
//!
//! The door asks for no credential: being able to reach its address is the right to use it. A browser on the same machine
//! reaches it too, on behalf of any page it shows. Two checks stop that: the host asked for must be an address, `localhost` or
//! a configured name, so that a page can't point a name of its own here (DNS rebinding); and a browser's cross-site request
//! may not change anything (CSRF).

use http::StatusCode;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

use super::reply::Problem;
use crate::net::http::Head;

/// Refuses what a foreign web page could have sent. `hosts` are the configured names, lower case.
pub(super) fn check(head: &Head, hosts: &[Box<str>]) -> Result<(), Problem> {
    check_host(head, hosts)?;
    if head.method.is_safe() {
        return Ok(());
    }
    let site = head.headers.get("sec-fetch-site");
    // No page belongs to this door, so none has a reason to post here, and tools send no `Origin`.
    let foreign = head.headers.contains_key(ORIGIN)
        || site.is_some_and(|site| site != "none" && site != "same-origin");
    if foreign {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "requests from web pages may not change anything here",
        ));
    }
    Ok(())
}

fn check_host(head: &Head, hosts: &[Box<str>]) -> Result<(), Problem> {
    let refused = || {
        Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the host must be an IP address, localhost, or a configured name",
        )
    };
    let mut lines = head.headers.get_all(HOST).iter();
    let (line, second) = (lines.next(), lines.next());
    if second.is_some() {
        return Err(refused());
    }
    let line = match line {
        Some(line) => {
            let parsed = line.to_str().ok().and_then(|host| host.parse().ok());
            Some(parsed.ok_or_else(refused)?)
        }
        None => None,
    };
    // HTTP/2 has it in the target; whichever are there must all be right.
    let mut named = [head.uri.authority(), line.as_ref()]
        .into_iter()
        .flatten()
        .peekable();
    if named.peek().is_some() && named.all(|host| is_ours(host, hosts)) {
        Ok(())
    } else {
        Err(refused())
    }
}

fn is_ours(authority: &Authority, hosts: &[Box<str>]) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if let Some(address) = bracketed {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name.parse::<std::net::Ipv4Addr>().is_ok()
        || name == "localhost"
        || hosts.iter().any(|host| **host == *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Head {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_addresses_localhost_and_configured_names_are_hosts() {
        let hosts = ["admin.internal".into()];
        let passes = |host: &str| check(&head("GET", "/", &[("host", host)]), &hosts).is_ok();
        for good in [
            "127.0.0.1:9901",
            "10.1.2.3",
            "[::1]:9901",
            "localhost:9901",
            "LocalHost.",
            "admin.internal:1",
        ] {
            assert!(passes(good), "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil@127.0.0.1",
            "[evil]",
            "127.1",
            "",
            " ",
        ] {
            assert!(!passes(bad), "{bad}");
        }
    }

    #[test]
    fn exactly_one_host_is_needed_and_all_that_are_named_must_be_right() {
        assert!(check(&head("GET", "/", &[]), &[]).is_err());
        let two = [("host", "localhost"), ("host", "localhost")];
        assert!(check(&head("GET", "/", &two), &[]).is_err());
        assert!(check(&head("GET", "http://localhost/", &[]), &[]).is_ok());
        let other = [("host", "evil.example")];
        assert!(check(&head("GET", "http://localhost/", &other), &[]).is_err());
        let right = [("host", "localhost")];
        assert!(check(&head("GET", "http://evil.example/", &right), &[]).is_err());
    }

    #[test]
    fn a_web_page_may_look_but_not_change() {
        let from = |method: &str, name: &'static str, value: &'static str| {
            check(
                &head(method, "/", &[("host", "localhost"), (name, value)]),
                &[],
            )
            .is_ok()
        };
        assert!(from("POST", "accept", "*/*"));
        assert!(from("POST", "sec-fetch-site", "none"));
        assert!(from("GET", "origin", "https://evil.example"));
        assert!(!from("POST", "origin", "https://evil.example"));
        assert!(!from("PUT", "origin", "null"));
        assert!(!from("POST", "sec-fetch-site", "cross-site"));
        assert!(!from("DELETE", "sec-fetch-site", "same-site"));
    }
}
