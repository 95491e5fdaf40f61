//! The PROXY protocol, versions 1 and 2: who a load balancer says its client is
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).
//!
//! Always true: exactly the header is taken from the stream, never a byte of what follows; it is bounded; whatever is no header
//! is an error, never a guess. Who may send one is decided by the caller. TLVs are skipped.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// How version 1 begins.
const GREETING: &[u8] = b"PROXY ";

/// Version 1 is at most this long, the end of the line included (§2.1).
const MAX_LINE: usize = 107;

/// Version 2 is at most this long here. Addresses take 232 bytes at most; the rest are TLVs, which nobody reads.
const MAX_BINARY: usize = 4096;

/// Bytes of version 2 before its addresses.
const FIXED: usize = 16;

/// Version 2's command for a connection that the load balancer makes for itself.
const LOCAL: u8 = 0x20;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The connection is of the client at this address.
    Client(SocketAddr),
    /// It is the load balancer's own, as for a health check.
    Own,
    /// It is a client's, and its address is not known, or none of TCP.
    Unknown,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The connection broke, or ended within the header.
    #[error("the connection ended within the header: {0}")]
    Ended(#[from] io::Error),
    /// It did not come in time.
    #[error("the header did not come in time")]
    Late,
    /// Something else came.
    #[error("what came is no header")]
    Garbage,
    /// It is longer than anybody needs.
    #[error("the header is too long")]
    TooLong,
}

/// Reads one header. The caller sets the deadline.
///
/// # Errors
/// [`HeaderError`]; the connection is of no use then.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Told, HeaderError> {
    let mut header = Vec::with_capacity(MAX_LINE + 1);
    header.resize(SIGNATURE.len(), 0);
    // Both versions are longer than this, so nothing of what follows is touched.
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        read_binary(stream, &mut header).await?;
    } else if header.starts_with(GREETING) {
        read_line(stream, &mut header).await?;
    } else {
        return Err(HeaderError::Garbage);
    }
    meaning(&header)
}

/// The rest of version 2, whose length is told.
async fn read_binary<S: AsyncRead + Unpin>(
    stream: &mut S,
    header: &mut Vec<u8>,
) -> Result<(), HeaderError> {
    header.resize(FIXED, 0);
    let rest = header.get_mut(SIGNATURE.len()..).unwrap_or_default();
    stream.read_exact(rest).await?;
    let length = match header.as_slice() {
        [.., high, low] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => return Err(HeaderError::Garbage),
    };
    if FIXED + length > MAX_BINARY {
        return Err(HeaderError::TooLong);
    }
    header.resize(FIXED + length, 0);
    let rest = header.get_mut(FIXED..).unwrap_or_default();
    stream.read_exact(rest).await?;
    Ok(())
}

/// The rest of version 1, which ends with its line. Byte by byte, because nobody knows where that is; it is short.
async fn read_line<S: AsyncRead + Unpin>(
    stream: &mut S,
    header: &mut Vec<u8>,
) -> Result<(), HeaderError> {
    while !header.ends_with(b"\n") {
        if header.len() == MAX_LINE {
            return Err(HeaderError::TooLong);
        }
        header.push(stream.read_u8().await?);
    }
    Ok(())
}

fn meaning(header: &[u8]) -> Result<Told, HeaderError> {
    let config = ParseConfig::default();
    let (parsed, length) = ProxyHeader::parse(header, config).map_err(|_| HeaderError::Garbage)?;
    if length != header.len() {
        return Err(HeaderError::Garbage);
    }
    if header.starts_with(SIGNATURE) && header.get(SIGNATURE.len()) == Some(&LOCAL) {
        return Ok(Told::Own);
    }
    match parsed.proxied_address() {
        Some(address) if address.protocol == Protocol::Stream => Ok(Told::Client(address.source)),
        // HTTP doesn't come in datagrams; whoever says so is confused.
        Some(_datagram) => Err(HeaderError::Garbage),
        None => Ok(Told::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// What is told, and what is left of the stream.
    async fn read_from(bytes: &[u8]) -> (Result<Told, HeaderError>, Vec<u8>) {
        let mut stream = bytes;
        let told = read(&mut stream).await;
        (told, stream.to_vec())
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, body].concat()
    }

    const V4: &[u8] = &[203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x34, 0x01, 0xbb];

    #[tokio::test]
    async fn every_kind_of_header_is_read_and_nothing_behind_it() {
        let mut v6 = [0u8; 36];
        v6[..16].copy_from_slice(
            &"2001:db8::9"
                .parse::<std::net::Ipv6Addr>()
                .unwrap()
                .octets(),
        );
        v6[32..34].copy_from_slice(&4660u16.to_be_bytes());
        let v4_and_tlv = [V4, &[0x04, 0, 3, 1, 2, 3]].concat();
        let client = |text: &str| Told::Client(text.parse().unwrap());
        let cases = [
            (
                b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 443\r\n".to_vec(),
                client("203.0.113.9:4660"),
            ),
            (
                b"PROXY TCP6 2001:db8::9 2001:db8::1 4660 443\r\n".to_vec(),
                client("[2001:db8::9]:4660"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Told::Unknown),
            (
                b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(),
                Told::Unknown,
            ),
            (binary(0x21, 0x11, V4), client("203.0.113.9:4660")),
            (binary(0x21, 0x11, &v4_and_tlv), client("203.0.113.9:4660")),
            (binary(0x21, 0x21, &v6), client("[2001:db8::9]:4660")),
            (binary(0x21, 0x31, &[0; 216]), Told::Unknown),
            (binary(0x21, 0x00, &[]), Told::Unknown),
            (binary(0x20, 0x00, &[]), Told::Own),
            (binary(0x20, 0x11, V4), Told::Own),
        ];
        for (header, wanted) in cases {
            let (told, left) = read_from(&[&header, b"GET / ".as_slice()].concat()).await;
            assert_eq!(told.unwrap(), wanted, "{header:?}");
            assert_eq!(left, b"GET / ");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let cases: Vec<Vec<u8>> = vec![
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4660\r\n".to_vec(),
            b"PROXY TCP4 999.0.113.9 10.0.0.1 4660 443\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::9 2001:db8::1 4660 443\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 65536\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 443\n".to_vec(),
            b"PROXY TCP9 203.0.113.9 10.0.0.1 4660 443\r\n".to_vec(),
            b"proxy TCP4 203.0.113.9 10.0.0.1 4660 443\r\n".to_vec(),
            // Version 1, a command that there is not, a family that there is not, datagrams, addresses cut short.
            binary(0x11, 0x11, V4),
            binary(0x22, 0x11, V4),
            binary(0x21, 0x41, V4),
            binary(0x21, 0x12, V4),
            binary(0x21, 0x11, &V4[..8]),
            binary(0x21, 0x31, &[0; 100]),
        ];
        for bytes in cases {
            let (told, _) = read_from(&bytes).await;
            assert!(told.is_err(), "{told:?} from {bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_header_that_is_too_long_is_refused_before_it_is_read() {
        let line = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let (told, left) = read_from(&line).await;
        assert!(matches!(told, Err(HeaderError::TooLong)));
        assert_eq!(left.len(), line.len() - MAX_LINE);
        let long = binary(0x21, 0x11, &[V4, &[0; MAX_BINARY]].concat());
        let (told, left) = read_from(&long).await;
        assert!(matches!(told, Err(HeaderError::TooLong)));
        assert_eq!(left.len(), long.len() - FIXED);
    }

    #[tokio::test]
    async fn a_header_may_come_byte_by_byte() {
        let header = binary(0x21, 0x11, V4);
        let (mut sender, mut receiver) = tokio::io::duplex(1);
        let sending = tokio::spawn(async move {
            sender.write_all(&header).await.unwrap();
            sender.write_all(b"x").await.unwrap();
        });
        assert!(matches!(
            read(&mut receiver).await.unwrap(),
            Told::Client(_)
        ));
        assert_eq!(receiver.read_u8().await.unwrap(), b'x');
        sending.await.unwrap();
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_past_a_header(
            start in prop_oneof![
                Just(GREETING.to_vec()),
                Just(b"PROXY TCP4 ".to_vec()),
                Just(b"PROXY UNKNOWN".to_vec()),
                Just([SIGNATURE.as_slice(), &[0x21, 0x11]].concat()),
                Just([SIGNATURE.as_slice(), &[0x21, 0x31, 0]].concat()),
                Just(Vec::new()),
            ],
            rest in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let bytes = [start, rest].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (told, left) = runtime.block_on(read_from(&bytes));
            if told.is_ok() {
                let header = &bytes[..bytes.len() - left.len()];
                let (again, none) = runtime.block_on(read_from(header));
                prop_assert_eq!(again.unwrap(), told.unwrap());
                prop_assert!(none.is_empty());
            }
        }
    }
}
