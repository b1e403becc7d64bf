//! Frames as a server sends them: a few bytes before what lies on the tape, which is not copied for it (RFC 6455, 5.2).

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::websocket::code;
use crate::relay::notice;

/// Bytes of lines that one frame holds at most, unless one line is longer. What is left of a frame when the socket
/// takes no more is copied.
pub const FRAME_BYTES_MAX: u64 = 16 * 1024;

/// The longest header of a frame that is not masked.
pub const HEADER_BYTES_MAX: usize = 10;

/// The header of one whole frame.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl Header {
    /// That of lines, `payload_bytes` in all.
    pub fn of_text(payload_bytes: usize) -> Header {
        Header::new(OpCode::Data(Data::Text), payload_bytes)
    }

    fn new(opcode: OpCode, payload_bytes: usize) -> Header {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        let mut bytes = Cursor::new([0; HEADER_BYTES_MAX]);
        // It fails for want of room alone, and none is longer.
        let _ = header.format(payload_bytes as u64, &mut bytes);
        let len = usize::try_from(bytes.position()).unwrap_or(HEADER_BYTES_MAX);
        Header { bytes: bytes.into_inner(), len }
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Adds a frame of whole lines.
pub fn put_text(to: &mut Vec<u8>, lines: &[u8]) {
    to.extend_from_slice(Header::of_text(lines.len()).as_slice());
    to.extend_from_slice(lines);
}

/// Adds a frame that asks the other side to show that it is there.
pub fn put_ping(to: &mut Vec<u8>) {
    to.extend_from_slice(Header::new(OpCode::Control(Control::Ping), 0).as_slice());
}

/// Adds the frame after which nothing comes, with a code that says why if there is one.
pub fn put_close(to: &mut Vec<u8>, code: Option<u16>) {
    let payload = code.map(u16::to_be_bytes);
    let payload = payload.as_ref().map_or(&[][..], |code| code);
    to.extend_from_slice(Header::new(OpCode::Control(Control::Close), payload.len()).as_slice());
    to.extend_from_slice(payload);
}

/// All that one is told who cannot come in: why not, in whole lines, and that this was all.
pub fn refusal(lines: &str) -> Vec<u8> {
    let mut frames = Vec::new();
    put_text(&mut frames, lines.as_bytes());
    put_text(&mut frames, notice::FAREWELL.as_bytes());
    put_close(&mut frames, Some(code::TRY_AGAIN_LATER));
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_how_much_follows_in_as_few_bytes_as_may_be() {
        for (bytes, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(Header::of_text(bytes).as_slice(), header, "{bytes}");
        }
    }

    #[test]
    fn control_frames_are_as_the_standard_has_them() {
        let mut frames = Vec::new();
        put_ping(&mut frames);
        put_close(&mut frames, Some(1000));
        put_close(&mut frames, None);
        assert_eq!(frames, [0x89, 0, 0x88, 2, 0x03, 0xe8, 0x88, 0]);
    }
}
