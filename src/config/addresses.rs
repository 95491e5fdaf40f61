//! Addresses as text: sockets, networks, hosts, and the URLs of nodes and upstreams.
//!
//! URLs are taken apart by hand: only scheme, host, port and (for nodes) a plain path prefix are allowed, so nothing of a
//! general URL parser's lenience is wanted. User names and passwords in URLs are refused and never repeated in a fault.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::settings::{NodeUrl, UpstreamUrl};
use super::values::{Value, ValueError, shown};

impl Value for SocketAddr {
    const NAME: &'static str = "SocketAddress";
    const ALLOWED: &'static str =
        "an IP address and a port, with an IPv6 address in brackets; port 0 lets the system choose";
    const EXAMPLES: &'static [&'static str] = &["127.0.0.1:8443", "0.0.0.0:8443", "[::]:8443"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        let error = ValueError::new("it is no IP address with a port");
        Err(match text.rsplit_once(':') {
            Some(("" | "*", port)) => {
                error.with_hint(format!("`0.0.0.0:{port}` for every interface"))
            }
            Some(("localhost", port)) => error.with_hint(format!("`127.0.0.1:{port}`")),
            None if text.parse::<IpAddr>().is_ok() => ValueError::new("the port is missing"),
            _ if text.parse::<Ipv6Addr>().is_ok() => {
                ValueError::new("the port is missing").with_hint(format!("`[{text}]:8443`"))
            }
            _ if text.contains("://") => error.with_hint("an address, not a URL"),
            Some(_) | None => error,
        })
    }
}

impl Value for IpNet {
    const NAME: &'static str = "Network";
    const ALLOWED: &'static str = "a network in CIDR notation, or a single IP address";
    const EXAMPLES: &'static [&'static str] = &["10.0.0.0/8", "fd00::/8", "192.0.2.7"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::from(address));
        }
        let network: Self = text
            .parse()
            .map_err(|_| ValueError::new("it is no network"))?;
        if network.addr() != network.network() {
            // 10.1.2.3/8 may be a slip for /32; taking it as 10.0.0.0/8 would trust more than was meant.
            return Err(
                ValueError::new("the address has bits outside its prefix").with_hint(format!(
                    "`{}` for the network, `{}` for the address",
                    network.trunc(),
                    network.addr()
                )),
            );
        }
        Ok(network)
    }
}

/// A host name that a route matches, in canonical form: lower case, no trailing dot, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(pub String);

impl Value for HostPattern {
    const NAME: &'static str = "HostPattern";
    const ALLOWED: &'static str = "a host name or IP address without port, or `*.` and a domain for one or more labels before it";
    const EXAMPLES: &'static [&'static str] = &["shop.example.com", "*.example.com"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let (star, host) = match text.strip_prefix("*.") {
            Some(rest) => ("*.", rest),
            None => ("", text),
        };
        if host.contains('*') {
            return Err(
                ValueError::new("`*` stands anywhere but before the first dot")
                    .with_hint("leave `hosts` out to take every host"),
            );
        }
        if host.contains("://") || host.contains('/') {
            return Err(ValueError::new("it is a URL, not a host"));
        }
        let (host, port) = split_port(host)?;
        if port.is_some() {
            return Err(
                ValueError::new("it has a port").with_hint("a route takes a host on every port")
            );
        }
        let host = checked_host(host.strip_suffix('.').unwrap_or(host))?;
        if !star.is_empty() && host.parse::<IpAddr>().is_ok() {
            return Err(ValueError::new("`*.` before an IP address"));
        }
        if host.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self(format!("[{host}]")));
        }
        Ok(Self(format!("{star}{host}")))
    }
}

/// A name that a TLS certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(pub String);

impl Value for ServerName {
    const NAME: &'static str = "ServerName";
    const ALLOWED: &'static str = "a host name or an IP address, without port";
    const EXAMPLES: &'static [&'static str] = &["shop.internal"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        checked_host(text).map(Self)
    }
}

impl Value for NodeUrl {
    const NAME: &'static str = "NodeUrl";
    const ALLOWED: &'static str = "`https://host:port` or `http://host:port`, with a path where Elasticsearch lies behind one";
    const EXAMPLES: &'static [&'static str] =
        &["https://es-1:9200", "https://gateway.example.com/elastic"];

    fn shown(text: &str) -> String {
        shown_url(text)
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        let url = Url::parse(text)?;
        let prefix = url.path.trim_end_matches('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !prefix.bytes().all(plain)
            || prefix.contains("//")
            || prefix.split('/').any(|part| part == "." || part == "..")
        {
            return Err(ValueError::new("its path is not plain"));
        }
        Ok(Self {
            tls: url.tls,
            host: url.host,
            port: url.port,
            prefix: prefix.to_owned(),
        })
    }
}

impl Value for UpstreamUrl {
    const NAME: &'static str = "UpstreamUrl";
    const ALLOWED: &'static str =
        "`http://host:port`, `https://host:port` or `unix:/path/to/socket`";
    const EXAMPLES: &'static [&'static str] = &[
        "http://127.0.0.1:3000",
        "https://shop:8443",
        "unix:/run/shop.sock",
    ];

    fn shown(text: &str) -> String {
        shown_url(text)
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // sun_path holds 108 bytes on Linux, with its terminating NUL.
            return match path {
                _ if !path.starts_with('/') => {
                    Err(ValueError::new("the socket's path is not absolute"))
                }
                _ if path.len() > 107 => Err(ValueError::new(
                    "the socket's path is longer than 107 bytes",
                )),
                _ if path.contains('\0') => Err(ValueError::new("the socket's path holds a NUL")),
                _ => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        let url = Url::parse(text)?;
        if !matches!(url.path, "" | "/") {
            // What was judged is what is forwarded: an upstream's path would change the target after the decision.
            return Err(ValueError::new("it has a path")
                .with_hint("the path of the request is forwarded as it was judged"));
        }
        Ok(Self::Tcp {
            tls: url.tls,
            host: url.host,
            port: url.port,
        })
    }
}

/// The parts of an `http` or `https` URL without user, query or fragment.
struct Url<'a> {
    tls: bool,
    host: String,
    port: u16,
    path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Self, ValueError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(ValueError::new("the scheme is missing")
                .with_hint("it begins with `http://` or `https://`"));
        };
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(ValueError::new("the scheme is neither `http` nor `https`")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(ValueError::new("it holds a user name or password")
                .with_hint("a credential towards Elasticsearch belongs to `authority.elasticsearch.credential`"));
        }
        if path.contains(['?', '#']) {
            return Err(ValueError::new("it has a query or fragment"));
        }
        let (host, port) = split_port(authority)?;
        Ok(Self {
            tls,
            host: checked_host(host)?,
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            path,
        })
    }
}

/// Splits `host:port`; the host comes back without brackets.
fn split_port(text: &str) -> Result<(&str, Option<u16>), ValueError> {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((host, after)) = rest.split_once(']') else {
            return Err(ValueError::new("a `[` is never closed"));
        };
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(ValueError::new(
                "between `[` and `]` stands no IPv6 address",
            ));
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(checked_port(port)?))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(ValueError::new(
                "after `]` comes neither a port nor the end",
            )),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Err(ValueError::new(
            "an IPv6 address is written in brackets here",
        )),
        Some((host, port)) => Ok((host, Some(checked_port(port)?))),
        None => Ok((text, None)),
    }
}

fn checked_port(text: &str) -> Result<u16, ValueError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValueError::new("its port is no number"));
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(ValueError::new("its port is not between 1 and 65535")),
        Ok(port) => Ok(port),
    }
}

/// A host name or IP address in canonical form (lower case).
fn checked_host(host: &str) -> Result<String, ValueError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.is_empty() {
        return Err(ValueError::new("its host is missing"));
    }
    if host.len() > 253 || !host.split('.').all(label) {
        let error = ValueError::new("its host is no host name");
        return Err(if host.is_ascii() {
            error
        } else {
            error.with_hint("write international names in their `xn--` form")
        });
    }
    // Otherwise 127.1 or 0x7f.0.0.1 would be one host here and another to the system's resolver.
    let last = host.rsplit('.').next().unwrap_or(host);
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValueError::new("its host is an incomplete IP address"));
    }
    Ok(host.to_ascii_lowercase())
}

/// Shows a URL in a fault with anything that may be a password left out.
fn shown_url(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, after)) => {
            let scheme = match before.split_once("://") {
                Some((scheme @ ("http" | "https"), _)) => format!("{scheme}://"),
                Some(_) | None => String::new(),
            };
            shown(&format!("{scheme}[redacted]@{after}"))
        }
        None => shown(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem<T: Value>(text: &str) -> String {
        match T::parse(text) {
            Ok(_) => format!("{text} was taken"),
            Err(error) => error.problem,
        }
    }

    #[test]
    fn socket_addresses_need_an_ip_and_a_port() {
        for right in ["127.0.0.1:0", "[::1]:8443", "0.0.0.0:65535"] {
            assert!(SocketAddr::parse(right).is_ok(), "{right}");
        }
        let hint = |text| {
            SocketAddr::parse(text)
                .unwrap_err()
                .hint
                .unwrap_or_default()
        };
        assert_eq!(hint(":8443"), "`0.0.0.0:8443` for every interface");
        assert_eq!(hint("localhost:8443"), "`127.0.0.1:8443`");
        assert_eq!(hint("::1"), "`[::1]:8443`");
        assert_eq!(problem::<SocketAddr>("127.0.0.1"), "the port is missing");
        assert_eq!(
            problem::<SocketAddr>("127.0.0.1:65536"),
            "it is no IP address with a port"
        );
    }

    #[test]
    fn networks_may_be_single_addresses_but_not_sloppy_prefixes() {
        assert_eq!(
            IpNet::parse("192.0.2.7").map(|net| net.to_string()),
            Ok("192.0.2.7/32".to_owned())
        );
        assert_eq!(
            IpNet::parse("::1").map(|net| net.to_string()),
            Ok("::1/128".to_owned())
        );
        assert!(IpNet::parse("10.0.0.0/8").is_ok());
        assert_eq!(
            IpNet::parse("10.1.2.3/8").unwrap_err().hint.as_deref(),
            Some("`10.0.0.0/8` for the network, `10.1.2.3` for the address")
        );
        assert_eq!(problem::<IpNet>("10.0.0.0/33"), "it is no network");
    }

    #[test]
    fn hosts_come_out_canonical() {
        for (text, host) in [
            ("Shop.Example.COM.", "shop.example.com"),
            ("*.Example.com", "*.example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(HostPattern::parse(text), Ok(HostPattern(host.to_owned())));
        }
        for (text, expected) in [
            ("*", "`*` stands anywhere but before the first dot"),
            ("a.*.b", "`*` stands anywhere but before the first dot"),
            ("shop:8443", "it has a port"),
            ("https://shop", "it is a URL, not a host"),
            ("", "its host is missing"),
            ("a..b", "its host is no host name"),
            ("-a", "its host is no host name"),
            ("bücher.example", "its host is no host name"),
            ("*.127.0.0.1", "`*.` before an IP address"),
            ("127.1", "its host is an incomplete IP address"),
        ] {
            assert_eq!(problem::<HostPattern>(text), expected, "{text}");
        }
    }

    #[test]
    fn node_urls_keep_scheme_host_port_and_prefix() {
        let url = NodeUrl::parse("https://ES-1:9200/elastic/").unwrap();
        assert_eq!(
            (url.tls, url.host.as_str(), url.port, url.prefix.as_str()),
            (true, "es-1", 9200, "/elastic")
        );
        let url = NodeUrl::parse("http://[::1]").unwrap();
        assert_eq!((url.tls, url.host.as_str(), url.port), (false, "::1", 80));
        for (text, expected) in [
            ("es-1:9200", "the scheme is missing"),
            ("ftp://es", "the scheme is neither `http` nor `https`"),
            ("https://", "its host is missing"),
            ("https://es:0", "its port is not between 1 and 65535"),
            ("https://es:http", "its port is no number"),
            ("https://es?x=1", "it has a query or fragment"),
            ("https://es/a/../b", "its path is not plain"),
            ("https://es/%2e", "its path is not plain"),
            ("https://[es]", "between `[` and `]` stands no IPv6 address"),
            (
                "https://user:hunter2@es",
                "it holds a user name or password",
            ),
        ] {
            assert_eq!(problem::<NodeUrl>(text), expected, "{text}");
        }
    }

    #[test]
    fn upstream_urls_have_no_path() {
        assert_eq!(
            UpstreamUrl::parse("http://127.0.0.1:3000/"),
            Ok(UpstreamUrl::Tcp {
                tls: false,
                host: "127.0.0.1".to_owned(),
                port: 3000
            })
        );
        assert_eq!(
            UpstreamUrl::parse("unix:/run/a.sock"),
            Ok(UpstreamUrl::Unix("/run/a.sock".into()))
        );
        for (text, expected) in [
            ("http://a/b", "it has a path"),
            ("unix:run", "the socket's path is not absolute"),
        ] {
            assert_eq!(problem::<UpstreamUrl>(text), expected, "{text}");
        }
        let long = format!("unix:/{}", "x".repeat(107));
        assert_eq!(
            problem::<UpstreamUrl>(&long),
            "the socket's path is longer than 107 bytes"
        );
    }

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        let text = shown_url("https://user:hunter2@es:9200");
        assert_eq!(text, "`https://[redacted]@es:9200`");
        assert!(!shown_url("https://a@hunter2@es").contains("hunter2"));
        assert_eq!(shown_url("user:hunter2@es"), "`[redacted]@es`");
    }
}
