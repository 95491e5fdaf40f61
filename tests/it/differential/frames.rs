//! HTTP/2 by hand (RFC 9113, RFC 7541): one request with any bytes in any field, which no library would send.

use std::io;

use crate::harness::client::{Target, Wire};

pub(crate) const HEADERS: u8 = 1;
pub(crate) const DATA: u8 = 0;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What a connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `:status: 200` of HPACK's static table.
const STATUS_200: u8 = 0x88;

/// Sends one request on a connection of its own and waits for its end. Whether the answer was 200; a reset stream or a closed
/// connection is none.
pub(crate) fn is_answered_with_200(
    target: &Target,
    fields: &[(Vec<u8>, Vec<u8>)],
    data: Option<&[u8]>,
) -> bool {
    let mut wire = target.connect();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let last = if data.is_some() { 0 } else { END_STREAM };
    bytes.extend(frame(HEADERS, END_HEADERS | last, 1, &block(fields)));
    if let Some(data) = data {
        bytes.extend(frame(DATA, END_STREAM, 1, data));
    }
    wire.send(&bytes).is_ok() && read_answer(&mut wire).unwrap_or(false)
}

/// A frame as it is on the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Every field as a literal without indexing and without Huffman coding (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend_from_slice(text);
        }
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541 §5.1).
fn length(mut length: usize, into: &mut Vec<u8>) {
    if length < 127 {
        into.push(length as u8);
        return;
    }
    into.push(127);
    length -= 127;
    while length >= 128 {
        into.push((length % 128) as u8 | 128);
        length /= 128;
    }
    into.push(length as u8);
}

fn read_answer(wire: &mut Wire) -> io::Result<bool> {
    let mut good = false;
    loop {
        let head = wire.read_exactly(9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = wire.read_exactly(length)?;
        match head[3] {
            HEADERS => good = payload.first() == Some(&STATUS_200),
            RST_STREAM | GOAWAY => return Ok(false),
            _ => {}
        }
        if matches!(head[3], HEADERS | DATA) && head[4] & END_STREAM != 0 {
            return Ok(good);
        }
    }
}
