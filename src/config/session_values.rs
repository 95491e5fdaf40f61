//! Texts of the section `sso.session`: cookie names, the address of a store, and what its keys begin with.

use super::values::{Value, ValueError};

/// The name of a cookie, without the prefix that browsers demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieName(pub String);

/// `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAddress(pub String);

/// What every key in a store begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(pub String);

impl Value for CookieName {
    const NAME: &'static str = "CookieName";
    const ALLOWED: &'static str =
        "1 to 64 letters, digits, `-` or `_`; `__Host-` is put before it by itself";
    const EXAMPLES: &'static [&'static str] = &["shop-session"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.len() > 64 {
            return Err(ValueError::new("it is empty or too long"));
        }
        let lower = text.to_ascii_lowercase();
        for prefix in ["__host-", "__secure-"] {
            if let Some(rest) = lower.strip_prefix(prefix) {
                let kept = text.get(text.len() - rest.len()..).unwrap_or_default();
                return Err(ValueError::new("the prefix is put before it by itself")
                    .with_hint(format!("`{kept}`")));
            }
        }
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        match text.chars().find(|letter| !fits(*letter)) {
            Some(letter) => Err(ValueError::new(format!("it holds {letter:?}"))),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl Value for StoreAddress {
    const NAME: &'static str = "StoreAddress";
    const ALLOWED: &'static str = "`host:port`; an IPv6 address stands in brackets";
    const EXAMPLES: &'static [&'static str] = &["redis.example.com:6379", "[::1]:6379"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.contains("://") || text.contains('@') {
            return Err(ValueError::new("it is a URL")
                .with_hint("write host and port here, and the rest in the keys beside it"));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(ValueError::new("it has no port").with_hint(format!("`{text}:6379`")));
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_host = if bracketed {
            host.trim_matches(['[', ']'])
                .parse::<std::net::Ipv6Addr>()
                .is_ok()
        } else {
            !host.is_empty() && host.len() <= 253 && host.bytes().all(plain)
        };
        if !is_host {
            return Err(ValueError::new("its host is none"));
        }
        match port.parse::<u16>() {
            Ok(1..) => Ok(Self(text.to_owned())),
            Ok(0) | Err(_) => Err(ValueError::new("its port is none")),
        }
    }
}

impl Value for KeyPrefix {
    const NAME: &'static str = "KeyPrefix";
    const ALLOWED: &'static str = "1 to 64 letters, digits, `:`, `.`, `_`, `-`, `{` or `}`";
    const EXAMPLES: &'static [&'static str] = &["sidegate:", "shop:sessions:"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.len() > 64 {
            return Err(ValueError::new("it is empty or too long"));
        }
        let fits = |letter: char| letter.is_ascii_alphanumeric() || ":._-{}".contains(letter);
        match text.chars().find(|letter| !fits(*letter)) {
            Some(letter) => Err(ValueError::new(format!("it holds {letter:?}"))),
            None => Ok(Self(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_name_is_plain_and_bare() {
        assert!(CookieName::parse("shop-session_2").is_ok());
        for wrong in ["", "a b", "a;b", "a=b", "__Host-x", "__secure-x", "ä"] {
            assert!(CookieName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_store_is_a_host_with_a_port() {
        for right in ["redis:6379", "10.0.0.1:1", "[::1]:6379"] {
            assert!(StoreAddress::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "redis",
            "redis:",
            "redis:0",
            "redis:70000",
            "redis://h:1",
            "u:p@h:1",
            "[x]:1",
            ":1",
        ] {
            assert!(StoreAddress::parse(wrong).is_err(), "{wrong}");
        }
    }
}
