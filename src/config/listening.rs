//! Where listeners listen, and which of their peers are meant, as text: `0.0.0.0:443`, `unix:/run/app.sock`, `systemd:https`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::settings::{Limits, Listener};
use super::values::{Value, ValueError, shown};

/// The longest path of a Unix socket: what the kernel takes, less the letter that marks a socket in the making.
const MAX_SOCKET_PATH: usize = 106;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address to bind.
    Tcp(SocketAddr),
    /// The path of a Unix socket to make.
    Unix(PathBuf),
    /// The name of the sockets that the service manager passes.
    Systemd(String),
}

impl ListenAddress {
    /// The address, when it is one of TCP.
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) | Self::Systemd(_) => None,
        }
    }

    /// Whether one process can't listen at both.
    pub fn clashes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => {
                let covers = |address: IpAddr| address.is_unspecified();
                one.port() != 0
                    && one.port() == other.port()
                    && (one.ip() == other.ip() || covers(one.ip()) || covers(other.ip()))
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Systemd(name) => write!(formatter, "systemd:{name}"),
        }
    }
}

impl Value for ListenAddress {
    const NAME: &'static str = "ListenAddress";
    const ALLOWED: &'static str = "an IP address and a port, with an IPv6 address in brackets; port 0 lets the system choose; or `unix:` and the absolute path of a socket; or `systemd:` and the name of a passed socket";
    const EXAMPLES: &'static [&'static str] = &[
        "127.0.0.1:8443",
        "[::]:8443",
        "unix:/run/sidegate/app.sock",
        "systemd:https",
    ];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(path).map(Self::Unix);
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return passed_name(name).map(Self::Systemd);
        }
        if text.starts_with('/') {
            return Err(ValueError::new("it is a path").with_hint(format!("`unix:{text}`")));
        }
        SocketAddr::parse(text).map(Self::Tcp)
    }
}

fn socket_path(text: &str) -> Result<PathBuf, ValueError> {
    if text.starts_with('@') {
        return Err(ValueError::new(
            "it is an abstract socket, which every process of the machine can reach",
        ));
    }
    if !text.starts_with('/') {
        return Err(ValueError::new("the path is not absolute"));
    }
    if text.ends_with('/') || text.contains('\0') {
        return Err(ValueError::new("the path names no file"));
    }
    if text.len() > MAX_SOCKET_PATH {
        return Err(ValueError::new(format!(
            "the path is longer than {MAX_SOCKET_PATH} bytes, which no socket's may be"
        )));
    }
    Ok(PathBuf::from(text))
}

/// What systemd.socket(5) allows for `FileDescriptorName=`.
fn passed_name(text: &str) -> Result<String, ValueError> {
    let fits = |letter: char| letter.is_ascii_graphic() && letter != ':';
    if text.is_empty() || text.len() > 255 || !text.chars().all(fits) {
        return Err(ValueError::new(
            "the name is not 1 to 255 visible ASCII characters without `:`",
        ));
    }
    Ok(text.to_owned())
}

/// Some of a listener's peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerMatch {
    /// Those with an address of this network.
    Network(IpNet),
    /// Those on the other end of a Unix socket.
    Unix,
}

impl fmt::Display for PeerMatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(formatter, "{network}"),
            Self::Unix => formatter.write_str("unix"),
        }
    }
}

impl Value for PeerMatch {
    const NAME: &'static str = "Peers";
    const ALLOWED: &'static str = "a network in CIDR notation, a single IP address, or `unix` for whoever connects to a Unix socket";
    const EXAMPLES: &'static [&'static str] = &["10.0.0.0/8", "192.0.2.7", "unix"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        if text.starts_with("unix:") {
            let error = ValueError::new("every peer of a Unix socket is the same");
            return Err(error.with_hint("`unix`"));
        }
        IpNet::parse(text).map(Self::Network)
    }
}

impl Listener {
    /// A listener on TCP without TLS that believes nobody.
    pub fn plain(name: &str, address: SocketAddr, limits: Limits) -> Self {
        Self {
            name: name.to_owned(),
            address: ListenAddress::Tcp(address),
            socket_mode: 0,
            reuse_port: false,
            proxy_protocol: Vec::new(),
            tls: None,
            trusted_proxies: Vec::new(),
            forwarded_client_certificates: None,
            limits,
        }
    }
}

/// The admin door: metrics, health, cache, routes. Never on a public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Address to bind; loopback by default.
    pub address: SocketAddr,
    /// Whether another process of the same user may take the address over while this one still has it.
    pub reuse_port: bool,
}

/// Permissions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl Value for FileMode {
    const NAME: &'static str = "FileMode";
    const ALLOWED: &'static str =
        "three octal digits, in quotes, with or without a `0` before them";
    const EXAMPLES: &'static [&'static str] = &["0660", "0666"];

    fn parse(text: &str) -> Result<Self, ValueError> {
        let digits = text.strip_prefix('0').unwrap_or(text);
        if digits.len() != 3 || !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
            return Err(ValueError::new(format!("{} is no mode", shown(text))));
        }
        u32::from_str_radix(digits, 8)
            .map(Self)
            .map_err(|_| ValueError::new("it is no mode"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<ListenAddress, String> {
        ListenAddress::parse(text).map_err(|error| error.problem)
    }

    #[test]
    fn the_three_kinds_of_address_are_read_and_shown_the_same() {
        for text in ["[::]:8443", "unix:/run/sidegate/app.sock", "systemd:https"] {
            assert_eq!(address(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_no_socket_can_be_made_at_is_refused() {
        let long = format!("unix:/{}", "x".repeat(MAX_SOCKET_PATH));
        for text in [
            "unix:relative.sock",
            "unix:/run/",
            "unix:@abstract",
            "unix:",
            &long,
            "systemd:",
            "systemd:a:b",
            "/run/app.sock",
            "8443",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
        let hint = ListenAddress::parse("/run/app.sock").unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("`unix:/run/app.sock`"));
    }

    #[test]
    fn a_wildcard_clashes_with_every_address_of_its_port() {
        let clash = |one: &str, other: &str| {
            ListenAddress::parse(one)
                .unwrap()
                .clashes(&ListenAddress::parse(other).unwrap())
        };
        assert!(clash("0.0.0.0:80", "127.0.0.1:80"));
        assert!(clash("unix:/a", "unix:/a"));
        assert!(!clash("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!clash("unix:/a", "unix:/b"));
        assert!(!clash("systemd:a", "unix:/a"));
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(FileMode::parse("0660").unwrap(), FileMode(0o660));
        assert_eq!(FileMode::parse("600").unwrap(), FileMode(0o600));
        for text in ["", "0", "66", "0888", "4755", "06660", "rw-rw----"] {
            assert!(FileMode::parse(text).is_err(), "{text}");
        }
    }
}
