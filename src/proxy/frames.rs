//! Where the frames of a WebSocket begin and end (RFC 6455 §5.2), told from the bytes as they pass.
//!
//! Always true: payloads are not looked at and nothing is kept but the head of one frame; a stream that broke the framing once is
//! lost for good, because nobody can tell where its next frame begins.

/// The longest head of a frame: two bytes, a length of eight, a mask of four.
const LONGEST: usize = 14;
/// The opcode of a Close.
const CLOSE: u8 = 8;

/// One direction of a WebSocket.
#[derive(Debug)]
pub struct Frames {
    masked: bool,
    head: [u8; LONGEST],
    have: usize,
    left: u64,
    closing: bool,
    lost: bool,
}

/// Where a direction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between two frames.
    Between,
    /// Within one; so many bytes belong to it for sure. Never zero.
    Within(u64),
    /// After its Close: nothing may follow.
    Closed,
    /// Nobody knows.
    Lost,
}

impl Frames {
    /// A direction that begins. A client's frames are `masked`, a server's are not (§5.1).
    pub const fn new(masked: bool) -> Self {
        Self {
            masked,
            head: [0; LONGEST],
            have: 0,
            left: 0,
            closing: false,
            lost: false,
        }
    }

    /// Takes note of bytes that pass.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.lost {
            if self.left > 0 {
                let length =
                    usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.left -= length as u64;
                bytes = bytes.get(length..).unwrap_or_default();
                continue;
            }
            let wanted = self.head_length().saturating_sub(self.have);
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            if let Some(room) = self.head.get_mut(self.have..self.have + now.len()) {
                room.copy_from_slice(now);
            }
            self.have += now.len();
            bytes = later;
            if self.have >= 2 && self.have == self.head_length() {
                self.begin();
            }
        }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        if self.lost {
            Place::Lost
        } else if self.left > 0 {
            Place::Within(self.left)
        } else if self.have > 0 {
            Place::Within(self.head_length().saturating_sub(self.have).max(1) as u64)
        } else if self.closing {
            Place::Closed
        } else {
            Place::Between
        }
    }

    /// A Close with a status code and a reason of at most 123 bytes, as this direction would carry it.
    pub fn close(&self, code: u16, reason: &str, mask: [u8; 4]) -> Vec<u8> {
        let length = u8::try_from(reason.len() + 2).unwrap_or(2).min(125);
        let reason = reason.as_bytes().iter().take(usize::from(length) - 2);
        let payload = code.to_be_bytes().into_iter().chain(reason.copied());
        if !self.masked {
            return [0x80 | CLOSE, length].into_iter().chain(payload).collect();
        }
        let masked = payload
            .zip(mask.into_iter().cycle())
            .map(|(byte, mask)| byte ^ mask);
        let head = [0x80 | CLOSE, 0x80 | length].into_iter().chain(mask);
        head.chain(masked).collect()
    }

    /// Bytes of the head that is read, as far as its length is known; at least two.
    fn head_length(&self) -> usize {
        let [_, second, ..] = self.head;
        if self.have < 2 {
            return 2;
        }
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & 0x80 == 0 { 0 } else { 4 }
    }

    /// The head is whole: the frame's payload begins.
    fn begin(&mut self) {
        let [first, second, a, b, c, d, e, f, g, h, ..] = self.head;
        let (length, is_shortest) = match second & 0x7f {
            126 => {
                let length = u64::from(u16::from_be_bytes([a, b]));
                (length, length > 125)
            }
            127 => {
                let length = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                (length, length > u64::from(u16::MAX) && length >> 63 == 0)
            }
            length => (u64::from(length), true),
        };
        let is_control = first & 0x08 != 0;
        let is_whole = first & 0x80 != 0 && length <= 125;
        let is_masked = second & 0x80 != 0;
        // Nothing follows a Close, and control frames are whole and short (§5.5).
        if !is_shortest || is_masked != self.masked || self.closing || (is_control && !is_whole) {
            self.lost = true;
            return;
        }
        self.closing = first & 0x0f == CLOSE;
        (self.left, self.have) = (length, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    /// A frame as another implementation writes it.
    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mut frame = Frame::message(vec![7_u8; length], OpCode::Data(Data::Binary), true);
        frame.header_mut().mask = masked.then_some([1, 2, 3, 4]);
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn boundaries_are_found_however_the_bytes_are_cut(
            lengths in prop::collection::vec(prop_oneof![0_usize..4, 124_usize..130, 65_530_usize..65_540], 1..5),
            masked: bool,
            step in 1_usize..70_000,
        ) {
            let all: Vec<Vec<u8>> = lengths.iter().map(|length| frame(*length, masked)).collect();
            let ends: Vec<usize> = all.iter().scan(0, |end, frame| { *end += frame.len(); Some(*end) }).collect();
            let stream = all.concat();
            let mut frames = Frames::new(masked);
            let mut at = 0;
            for piece in stream.chunks(step) {
                frames.pass(piece);
                at += piece.len();
                match frames.place() {
                    Place::Between => prop_assert!(ends.contains(&at)),
                    Place::Within(left) => {
                        prop_assert!(!ends.contains(&at));
                        let end = ends.iter().find(|end| **end > at).unwrap();
                        prop_assert!(left as usize <= end - at);
                    }
                    place => prop_assert!(false, "{place:?}"),
                }
            }
        }

        #[test]
        fn nothing_that_is_sent_makes_it_fail(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20), masked: bool) {
            let mut frames = Frames::new(masked);
            for piece in pieces {
                frames.pass(&piece);
                prop_assert_ne!(frames.place(), Place::Within(0));
            }
        }
    }

    #[test]
    fn what_breaks_the_framing_is_lost_for_good() {
        let server = Frames::new(false).close(1000, "bye", [0; 4]);
        let twice = [server.clone(), server.clone()].concat();
        for (bytes, masked) in [
            (&frame(3, true)[..], false),
            (&frame(3, false)[..], true),
            // A length written longer than need be; one with the highest bit; a control frame that is not whole.
            (&[0x82, 126, 0, 3][..], false),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0][..], false),
            (&[0x09, 0][..], false),
            (&[0x89, 126, 1, 0][..], false),
            (&twice[..], false),
        ] {
            let mut frames = Frames::new(masked);
            frames.pass(bytes);
            frames.pass(&frame(1, masked));
            assert_eq!(frames.place(), Place::Lost, "{bytes:?}");
        }
    }

    #[test]
    fn a_close_that_is_made_is_one_and_ends_its_direction() {
        for masked in [false, true] {
            let mut frames = Frames::new(masked);
            let close = frames.close(1008, "over", [9, 8, 7, 6]);
            frames.pass(&close);
            assert_eq!(frames.place(), Place::Closed);
        }
    }
}
