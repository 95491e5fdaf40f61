//! What one client says of itself by connecting, as header values, remembered per worker.
//!
//! Clients come back, with the same address and the same `Host`, so these values are made once and cloned from then on.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::IpAddr;

use http::HeaderValue;

/// Remembered clients per worker. A slot is simply taken over by whoever falls into it.
const SLOTS: usize = 64;

/// The values that tell of one client.
pub struct Hop {
    ip: IpAddr,
    tls: bool,
    host: Option<HeaderValue>,
    /// For `X-Forwarded-For`.
    pub address: HeaderValue,
    /// For `Forwarded` (RFC 7239).
    pub element: HeaderValue,
    /// For `X-Forwarded-Port`: the one in `Host`, else the protocol's own.
    pub port: HeaderValue,
}

thread_local! {
    static RECENT: RefCell<[Option<Box<Hop>>; SLOTS]> =
        const { RefCell::new([const { None }; SLOTS]) };
}

/// Calls `tell` with the values for this client.
pub fn with<T>(
    ip: IpAddr,
    tls: bool,
    host: Option<&HeaderValue>,
    tell: impl FnOnce(&Hop) -> T,
) -> T {
    RECENT.with_borrow_mut(|recent| {
        let slot = &mut recent[slot(ip, host)];
        if slot.as_ref().is_some_and(|hop| !hop.is(ip, tls, host)) {
            *slot = None;
        }
        tell(slot.get_or_insert_with(|| Box::new(Hop::new(ip, tls, host))))
    })
}

fn slot(ip: IpAddr, host: Option<&HeaderValue>) -> usize {
    let last = match ip {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    let length = host.map_or(0, HeaderValue::len);
    (usize::from(last) ^ length.wrapping_mul(7)) % SLOTS
}

impl Hop {
    fn is(&self, ip: IpAddr, tls: bool, host: Option<&HeaderValue>) -> bool {
        self.ip == ip && self.tls == tls && self.host.as_ref() == host
    }

    fn new(ip: IpAddr, tls: bool, host: Option<&HeaderValue>) -> Self {
        Self {
            ip,
            tls,
            host: host.cloned(),
            address: value(ip.to_string()),
            element: value(element(ip, tls, host)),
            port: port(host, tls),
        }
    }
}

/// Addresses and checked hosts are header values; should one not be, an unknown is what it is (RFC 7239, section 6.2).
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

fn element(ip: IpAddr, tls: bool, host: Option<&HeaderValue>) -> String {
    let mut element = String::with_capacity(96);
    // Writing to a string can't fail.
    let _ = match ip {
        IpAddr::V4(ip) => write!(element, "for={ip}"),
        IpAddr::V6(ip) => write!(element, "for=\"[{ip}]\""),
    };
    if let Some(host) = host.and_then(|host| host.to_str().ok()) {
        // A `Host` that reached this point is a host and port, so it holds no quote; a colon needs the quotes.
        if !host.contains(['"', '\\']) {
            let _ = write!(element, ";host=\"{host}\"");
        }
    }
    element.push_str(if tls { ";proto=https" } else { ";proto=http" });
    element
}

fn port(host: Option<&HeaderValue>, tls: bool) -> HeaderValue {
    let written = host.and_then(|host| {
        let text = host.to_str().ok()?;
        let (_, port) = text.rsplit_once(':')?;
        port.parse::<u16>().ok()
    });
    match written {
        Some(port) => HeaderValue::from(port),
        None => HeaderValue::from_static(if tls { "443" } else { "80" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_the_values_of_another_in_the_same_slot() {
        let one = HeaderValue::from_static("a.example");
        let two = HeaderValue::from_static("b.example");
        let told = |ip: [u8; 4], tls, host| {
            with(ip.into(), tls, Some(host), |hop| {
                format!("{:?} {:?} {:?}", hop.address, hop.element, hop.port)
            })
        };
        let first = told([10, 0, 0, 1], true, &one);
        assert_ne!(told([10, 0, 0, 1], true, &two), first);
        assert_ne!(told([10, 0, 1, 1], true, &one), first);
        assert_ne!(told([10, 0, 0, 1], false, &one), first);
        assert_eq!(told([10, 0, 0, 1], true, &one), first);
    }
}
