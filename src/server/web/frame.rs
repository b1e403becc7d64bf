//! WebSocket frames that the server sends (RFC 6455, 5.2): headers of up to 10 bytes, unmasked. A header stands before
//! lines of the tape, which are not copied.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Longest payload of lines in one frame, in bytes, unless a single line is longer. When the socket takes a part of a
/// frame, the rest is copied, so this bounds that copy.
pub(crate) const FRAME_BYTES_MAX: u64 = 16 * 1024;

/// Longest header of an unmasked frame, in bytes.
pub(crate) const HEADER_BYTES_MAX: usize = 10;

/// Header of one unfragmented frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl Header {
    /// Returns the header of a text frame with a payload of `payload_bytes`.
    pub(crate) fn of_text(payload_bytes: usize) -> Header {
        Header::new(OpCode::Data(Data::Text), payload_bytes)
    }

    fn new(opcode: OpCode, payload_bytes: usize) -> Header {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        let mut bytes = Cursor::new([0; HEADER_BYTES_MAX]);
        // It fails only if the buffer is too small, and no header is longer.
        let _ = header.format(payload_bytes as u64, &mut bytes);
        let len = usize::try_from(bytes.position()).unwrap_or(HEADER_BYTES_MAX);
        Header { bytes: bytes.into_inner(), len }
    }

    /// Returns the bytes of the header.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Appends a text frame of whole lines.
pub(crate) fn put_text(to: &mut Vec<u8>, lines: &[u8]) {
    to.extend_from_slice(Header::of_text(lines.len()).as_slice());
    to.extend_from_slice(lines);
}

/// Appends a ping without a payload (RFC 6455, 5.5.2).
pub(crate) fn put_ping(to: &mut Vec<u8>) {
    to.extend_from_slice(Header::new(OpCode::Control(Control::Ping), 0).as_slice());
}

/// Appends a close frame, the last frame of a connection, with a status code if there is one (RFC 6455, 5.5.1).
pub(crate) fn put_close(to: &mut Vec<u8>, code: Option<u16>) {
    let payload = code.map(u16::to_be_bytes);
    let payload = payload.as_ref().map_or(&[][..], |code| code);
    to.extend_from_slice(Header::new(OpCode::Control(Control::Close), payload.len()).as_slice());
    to.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_the_length_in_as_few_bytes_as_possible() {
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
    fn control_frames_are_as_rfc_6455_has_them() {
        let mut frames = Vec::new();
        put_ping(&mut frames);
        put_close(&mut frames, Some(1000));
        put_close(&mut frames, None);
        assert_eq!(frames, [0x89, 0, 0x88, 2, 0x03, 0xe8, 0x88, 0]);
    }
}
