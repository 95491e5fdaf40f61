//! How the addresses of the settings are written: in logs, metrics and `Host`.

use std::fmt;

use super::settings::{NodeUrl, UpstreamUrl};

impl NodeUrl {
    /// `host:port`, with brackets around an IPv6 address: the node's name in logs and metrics.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_origin(f, self.tls, &self.host, self.port)?;
        f.write_str(&self.prefix)
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { tls, host, port } => write_origin(f, *tls, host, *port),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// RFC 6454 §6.2; an IPv6 address gets its brackets back.
fn write_origin(f: &mut fmt::Formatter<'_>, tls: bool, host: &str, port: u16) -> fmt::Result {
    let scheme = if tls { "https" } else { "http" };
    if host.contains(':') {
        write!(f, "{scheme}://[{host}]:{port}")
    } else {
        write!(f, "{scheme}://{host}:{port}")
    }
}
