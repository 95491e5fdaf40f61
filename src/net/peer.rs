//! Who the client is: the socket's address, or what a trusted proxy says.
//!
//! Nobody is trusted unless listed. Of `X-Forwarded-For` and `Forwarded` (RFC 7239) the rightmost address that isn't itself a
//! trusted proxy counts; when both headers are there and disagree, neither does: a proxy that sets one usually lets the
//! client's other one through.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::certificate_header;
use super::http::{Peer, PeerCertificate};
use super::socket::Origin;
use crate::config::listening::PeerMatch;
use crate::config::ways::CertificateHeader;

/// `X-Forwarded-For`
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// More hops than this in one header are not read; the chain is no longer believable then.
const MAX_HOPS: usize = 32;

/// A listener's list of proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Box<[IpNet]>,
    /// Whether peers of a Unix socket are on the list.
    unix: bool,
    /// Where they tell their client's certificate; `None`: nowhere.
    certificates: Option<CertificateHeader>,
}

impl TrustedProxies {
    /// From the listener's settings; empty: nobody is trusted.
    pub fn new(peers: &[PeerMatch], certificates: Option<CertificateHeader>) -> Self {
        let networks = peers.iter().filter_map(|peer| match peer {
            PeerMatch::Network(network) => Some(*network),
            PeerMatch::Unix => None,
        });
        Self {
            networks: networks.collect(),
            unix: peers.contains(&PeerMatch::Unix),
            certificates,
        }
    }

    /// Whether who connects from there is on the list. A peer of a Unix socket is only if `unix` is, never by its address.
    pub fn trusts(&self, origin: Origin) -> bool {
        match origin {
            Origin::Tcp(address) => self.contains(address.ip()),
            Origin::Unix => self.unix,
        }
    }

    /// Whether this address is on the list. An IPv4 address mapped into IPv6 counts as the IPv4 address it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// The peer of a fresh connection.
    pub fn peer(&self, origin: Origin, tls: bool, listener: Arc<str>) -> Peer {
        let address = origin.address();
        Peer {
            address,
            client_ip: address.ip().to_canonical(),
            trusted: self.trusts(origin),
            tls,
            listener,
            certificate: PeerCertificate::Absent,
        }
    }

    /// The peer as this request has it: the same one unless the connection is a trusted proxy's.
    ///
    /// Where a trusted proxy tells the certificate of its client, that counts, and the proxy's own never does.
    pub fn for_request(&self, peer: &Arc<Peer>, headers: &HeaderMap) -> Arc<Peer> {
        if !peer.trusted {
            return Arc::clone(peer);
        }
        let client_ip = self.client_ip(peer.client_ip, headers);
        if let Some(header) = self.certificates {
            return Arc::new(Peer {
                client_ip,
                certificate: certificate_header::read(headers, header),
                ..Peer::clone(peer)
            });
        }
        if client_ip == peer.client_ip {
            return Arc::clone(peer);
        }
        Arc::new(Peer {
            client_ip,
            ..Peer::clone(peer)
        })
    }

    fn client_ip(&self, socket: IpAddr, headers: &HeaderMap) -> IpAddr {
        let by_list = self.walk(elements(headers, &X_FORWARDED_FOR), parse_address);
        let by_forwarded = self.walk(elements(headers, &FORWARDED), forwarded_for);
        match (by_list, by_forwarded) {
            (Some(one), Some(other)) if one != other => socket,
            (Some(ip), _) | (None, Some(ip)) => ip,
            (None, None) => socket,
        }
    }

    /// From the right: the first address that isn't a trusted proxy, or the last one that could be read.
    fn walk<'h>(
        &self,
        elements: Option<Vec<&'h str>>,
        parse: impl Fn(&'h str) -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        let mut last = None;
        for element in elements?.into_iter().rev().take(MAX_HOPS) {
            let Some(ip) = parse(element) else { break };
            last = Some(ip);
            if !self.contains(ip) {
                break;
            }
        }
        last
    }
}

/// The comma-separated elements of all lines of a header, in order; `None` when it is absent or not text.
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Vec<&'h str>> {
    let mut all = Vec::new();
    for line in headers.get_all(name) {
        all.extend(line.to_str().ok()?.split(',').map(str::trim));
    }
    (!all.is_empty()).then_some(all)
}

/// An address with or without port, IPv6 with or without brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(|ip| ip.to_canonical())
}

/// RFC 7239 §4: the `for` parameter of one element. Obfuscated identifiers (`_hidden`, `unknown`) are no address.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(())?;
        parse_address(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], socket: &str, headers: &[(&str, &str)]) -> String {
        let networks: Vec<PeerMatch> = trusted
            .iter()
            .map(|text| PeerMatch::Network(text.parse().unwrap()))
            .collect();
        let proxies = TrustedProxies::new(&networks, None);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let origin = Origin::Tcp(socket.parse().unwrap());
        let peer = Arc::new(proxies.peer(origin, true, "l".into()));
        proxies.for_request(&peer, &map).client_ip.to_string()
    }

    #[test]
    fn nobody_is_believed_by_default() {
        let spoofed = [
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
        ];
        assert_eq!(client(&[], "192.0.2.1:5000", &spoofed), "192.0.2.1");
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        let chain = [("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.7")];
        assert_eq!(
            client(&["10.0.0.0/8"], "10.0.0.1:5000", &chain),
            "203.0.113.9"
        );
        let lines = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "203.0.113.9:1234"),
        ];
        assert_eq!(
            client(&["10.0.0.0/8"], "10.0.0.1:5000", &lines),
            "203.0.113.9"
        );
    }

    #[test]
    fn forwarded_is_read_with_ports_brackets_and_quotes() {
        let header = [(
            "forwarded",
            "for=6.6.6.6, For=\"[2001:db8::1]:4711\";proto=https",
        )];
        assert_eq!(
            client(&["10.0.0.0/8"], "10.0.0.1:5000", &header),
            "2001:db8::1"
        );
    }

    #[test]
    fn headers_that_disagree_are_both_ignored() {
        let both = [
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=6.6.6.6"),
        ];
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1:5000", &both), "10.0.0.1");
    }

    #[test]
    fn garbage_ends_the_chain_at_the_last_good_hop() {
        let chain = [("x-forwarded-for", "203.0.113.9, unknown, 10.0.0.7")];
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1:5000", &chain), "10.0.0.7");
        assert_eq!(
            client(
                &["10.0.0.0/8"],
                "10.0.0.1:5000",
                &[("x-forwarded-for", ",")]
            ),
            "10.0.0.1"
        );
    }

    #[test]
    fn a_unix_peer_is_believed_by_name_alone() {
        let told = |trusted: &[PeerMatch]| {
            let proxies = TrustedProxies::new(trusted, None);
            let peer = Arc::new(proxies.peer(Origin::Unix, false, "l".into()));
            let mut headers = HeaderMap::new();
            headers.insert(X_FORWARDED_FOR, "203.0.113.9".parse().unwrap());
            proxies.for_request(&peer, &headers).client_ip.to_string()
        };
        let loopback = PeerMatch::Network("127.0.0.0/8".parse().unwrap());
        assert_eq!(told(&[loopback]), "127.0.0.1");
        assert_eq!(told(&[PeerMatch::Unix]), "203.0.113.9");
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        assert_eq!(
            client(
                &["10.0.0.0/8"],
                "[::ffff:10.0.0.1]:5000",
                &[("x-forwarded-for", "203.0.113.9")]
            ),
            "203.0.113.9"
        );
    }
}
