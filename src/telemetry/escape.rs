//! Text that a client chose, written so that it can neither end a line, nor end a JSON string, nor steer a terminal.
//!
//! Everything here appends to a buffer and allocates nothing of its own.

use std::io::Write as _;
use std::net::IpAddr;

/// Appends `key`, and then `text` as a JSON string, quotes included, cut to about `limit` bytes.
///
/// The key's length is a constant, so that copying it is a few moves and no call.
#[inline]
pub(super) fn field<const N: usize>(out: &mut Vec<u8>, key: &[u8; N], text: &str, limit: usize) {
    out.extend_from_slice(key);
    json(out, text, limit);
}

/// Appends `text` as a JSON string, quotes included, cut to about `limit` bytes.
#[inline]
pub(super) fn json(out: &mut Vec<u8>, text: &str, limit: usize) {
    out.push(b'"');
    // Looking at every byte without stopping lets the compiler compare many at once.
    if text.len() <= limit && !text.bytes().fold(false, |any, byte| any | is_special(byte)) {
        out.extend_from_slice(text.as_bytes());
    } else {
        escape_all(out, text, limit);
    }
    out.push(b'"');
}

/// Bytes that can't be copied as they are: controls, `"`, `\`, DEL and all of non-ASCII, which [`escape`] looks at closely.
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte >= 0x7f || byte == b'"' || byte == b'\\'
}

#[cold]
fn escape_all(out: &mut Vec<u8>, text: &str, limit: usize) {
    let (mut rest, cut) = truncate(text, limit);
    while let Some(at) = rest.bytes().position(is_special) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut characters = special.chars();
        if let Some(character) = characters.next() {
            escape(out, character);
        }
        rest = characters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    if cut {
        out.extend_from_slice("…".as_bytes());
    }
}

/// Appends `text` bare when nothing in it can be mistaken for the syntax of a `key=value` line, else as [`json`] does.
pub(super) fn word(out: &mut Vec<u8>, text: &str, limit: usize) {
    let bare = !text.is_empty()
        && text.len() <= limit
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'='));
    if bare {
        out.extend_from_slice(text.as_bytes());
    } else {
        json(out, text, limit);
    }
}

/// Appends a number.
#[inline]
pub(super) fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends an address; an IPv4 address in IPv6 clothes is written as IPv4.
pub(super) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            for (position, octet) in address.octets().into_iter().enumerate() {
                if position > 0 {
                    out.push(b'.');
                }
                number(out, octet.into());
            }
        }
        IpAddr::V6(address) => {
            // Writing to memory does not fail.
            let _ = write!(out, "{address}");
        }
    }
}

/// At most `limit` bytes of `text`, ending between characters; and whether anything was cut off.
fn truncate(text: &str, limit: usize) -> (&str, bool) {
    if text.len() <= limit {
        return (text, false);
    }
    (&text[..text.floor_char_boundary(limit)], true)
}

fn escape(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        character if is_unsafe(character) => {
            // All of them lie in the basic plane, so one escape is enough. Writing to memory does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        character => {
            let mut bytes = [0; 4];
            out.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        }
    }
}

/// Characters that steer a terminal, break lines for some readers, or turn the reading direction around (Unicode TR 36 §2.4).
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_that_breaks_a_line_or_steers_a_terminal_survives() {
        let evil = "a\nb\r\u{1b}[31m\u{9b}2J\u{2028}\u{202e}\u{7f}\0\"\\é";
        assert_eq!(
            written(|out| json(out, evil, 100)),
            r#""a\nb\r\u001b[31m\u009b2J\u2028\u202e\u007f\u0000\"\\é""#
        );
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(written(|out| json(out, "ééé", 3)), "\"é…\"");
        assert_eq!(written(|out| json(out, "ééé", 6)), "\"ééé\"");
    }

    #[test]
    fn a_word_that_could_forge_a_field_is_quoted() {
        assert_eq!(written(|out| word(out, "/orders/1", 100)), "/orders/1");
        for forged in ["a route=admin", "a=b", "", "é"] {
            assert!(written(|out| word(out, forged, 100)).starts_with('"'));
        }
    }

    #[test]
    fn numbers_and_addresses_read_as_usual() {
        for value in [0, 7, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
        for (text, expected) in [
            ("10.0.255.1", "10.0.255.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(written(|out| address(out, text.parse().unwrap())), expected);
        }
    }
}
