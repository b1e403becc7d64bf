//! What comes of a browser: the bytes of a WebSocket in, lines and what is to be answered out.
//!
//! The protocol is `tungstenite`'s, which takes what was read as a stream of its own. Its memory for one browser is
//! some hundred bytes and a read buffer; so there is only one while the browser has begun something and not ended it. A
//! browser that says nothing has none.

use std::io::{self, Cursor, Read, Write};
use std::time::Instant;

use tungstenite::error::Error;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

/// The longest message, in bytes, in as many frames as it likes; and so the longest frame.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What is read at a time into the buffer that there is while a browser speaks, in bytes: most messages are shorter.
pub const READ_BUFFER_BYTES: usize = 1_024;

/// The longest header of a frame, with its mask (RFC 6455, 5.2).
const MASKED_HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a frame that is about the connection itself, in bytes (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// Codes of a close (RFC 6455, 7.4.1, and the registry there).
pub mod code {
    /// All was said.
    pub const NORMAL: u16 = 1000;
    /// The server stops.
    pub const GOING_AWAY: u16 = 1001;
    /// Not as the protocol has it.
    pub const PROTOCOL: u16 = 1002;
    /// Something that is no text.
    pub const UNSUPPORTED: u16 = 1003;
    /// Text that is not UTF-8.
    pub const INVALID: u16 = 1007;
    /// Against the rules of the house.
    pub const POLICY: u16 = 1008;
    /// A longer message than is taken.
    pub const TOO_BIG: u16 = 1009;
    /// There is no place now.
    pub const TRY_AGAIN_LATER: u16 = 1013;
}

/// How a WebSocket came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketEnd {
    /// The other side closed it, with this code.
    Closed(Option<u16>),
    /// The other side broke a rule, for which this is the code.
    Broken(u16),
}

/// State of the keepalive of one browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingState {
    /// No ping is unanswered. The browser sent something last, or connected, at this time.
    Idle(Instant),
    /// A ping was sent at this time, and nothing came since.
    AwaitingPong(Instant),
}

/// One browser's side of a WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    /// While something was begun.
    context: Option<Box<WebSocketContext>>,
    walk: Walk,
    end: Option<WebSocketEnd>,
    /// Whether it was asked to show that it is there, and nothing came since then.
    is_pinged: bool,
    /// When it was asked, or else when anything came last.
    since: Instant,
}

impl WebSocket {
    /// One that was opened now.
    pub fn new(now: Instant) -> WebSocket {
        WebSocket { context: None, walk: Walk::default(), end: None, is_pinged: false, since: now }
    }

    /// Takes `bytes` in. Whole messages are added to `lines`, each ended by LF; what the protocol wants to be answered,
    /// to `answers`. What comes after the end is dropped.
    pub fn receive(&mut self, bytes: &[u8], lines: &mut Vec<u8>, answers: &mut Vec<u8>, now: Instant) {
        self.is_pinged = false;
        self.since = now;
        if self.end.is_some() {
            return;
        }
        let (passed, breach) = self.walk.pass(bytes);
        let mut context = self.context.take().unwrap_or_else(|| Box::new(new_context()));
        let end = read(&mut context, &mut Feed { bytes: &bytes[..passed], answers }, lines);
        self.end = end.or(breach.map(WebSocketEnd::Broken));
        if self.end.is_none() && !self.walk.is_at_rest() {
            self.context = Some(context);
        }
    }

    /// How it came to its end, if it did.
    pub fn end(&self) -> Option<WebSocketEnd> {
        self.end
    }

    /// Returns what the keepalive has to wait for.
    pub fn ping_state(&self) -> PingState {
        if self.is_pinged { PingState::AwaitingPong(self.since) } else { PingState::Idle(self.since) }
    }

    /// Learns that it was asked to show that it is there.
    pub fn on_ping_sent(&mut self, now: Instant) {
        self.is_pinged = true;
        self.since = now;
    }

    /// Drops what it holds: nothing more will be taken in.
    pub fn close(&mut self) {
        self.context = None;
        self.end.get_or_insert(WebSocketEnd::Closed(None));
    }
}

fn new_context() -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        // What it answers goes to our own buffer, which takes all of it at once.
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    WebSocketContext::new(Role::Server, Some(config))
}

/// Reads until nothing is left, or the end.
fn read(context: &mut WebSocketContext, feed: &mut Feed<'_>, lines: &mut Vec<u8>) -> Option<WebSocketEnd> {
    loop {
        match context.read(feed) {
            Ok(Message::Text(text)) => {
                lines.extend_from_slice(text.as_bytes());
                if !text.is_empty() && !text.ends_with('\n') {
                    lines.push(b'\n');
                }
            }
            Ok(Message::Binary(_)) => return Some(WebSocketEnd::Broken(code::UNSUPPORTED)),
            // The answer is not made here: what was said before may be answered first.
            Ok(Message::Close(close)) => return Some(WebSocketEnd::Closed(close.map(|close| close.code.into()))),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Err(Error::Io(_)) => return None,
            Err(Error::Capacity(_)) => return Some(WebSocketEnd::Broken(code::TOO_BIG)),
            Err(Error::Utf8(_)) => return Some(WebSocketEnd::Broken(code::INVALID)),
            Err(_) => return Some(WebSocketEnd::Broken(code::PROTOCOL)),
        }
    }
}

/// What was read, as a stream; its other direction is what is to be answered.
struct Feed<'a> {
    bytes: &'a [u8],
    answers: &'a mut Vec<u8>,
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.bytes.read(buffer) }
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes from frame to frame, to know whether something was begun and has not ended; and whether it should never have
/// begun, of which `tungstenite` says nothing before all of a frame is there.
#[derive(Debug, Default)]
struct Walk {
    header: [u8; MASKED_HEADER_BYTES_MAX],
    header_len: u8,
    payload_left: u64,
    is_amid_message: bool,
}

impl Walk {
    /// Returns how many of the bytes count: those behind the header of a frame that can only be wrong do not; and the code for
    /// such a frame.
    fn pass(&mut self, all: &[u8]) -> (usize, Option<u16>) {
        let mut bytes = all;
        while let [first, rest @ ..] = bytes {
            if self.payload_left > 0 {
                let passed = usize::try_from(self.payload_left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.payload_left -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.header[usize::from(self.header_len)] = *first;
            self.header_len += 1;
            bytes = rest;
            let header = &self.header[..usize::from(self.header_len)];
            match FrameHeader::parse(&mut Cursor::new(header)) {
                Ok(None) if header.len() < MASKED_HEADER_BYTES_MAX => {}
                Ok(Some((header, payload_left))) => {
                    self.header_len = 0;
                    self.payload_left = payload_left;
                    if let Some(breach) = breach_of(&header, payload_left) {
                        return (all.len() - bytes.len(), Some(breach));
                    }
                    if let OpCode::Data(_) = header.opcode {
                        self.is_amid_message = !header.is_final;
                    }
                }
                // It is the end, as will be found out.
                Ok(None) | Err(_) => {
                    self.header_len = 0;
                    self.is_amid_message = true;
                    return (all.len(), None);
                }
            }
        }
        (all.len(), None)
    }

    fn is_at_rest(&self) -> bool {
        self.header_len == 0 && self.payload_left == 0 && !self.is_amid_message
    }
}

/// What a frame is closed for that begins like this. A browser's frames are masked, have no reserved bits where no
/// extension was agreed upon, and are text; those that are about the connection are short and whole (RFC 6455, 5.2 and
/// 5.5).
fn breach_of(header: &FrameHeader, payload_bytes: u64) -> Option<u16> {
    let is_reserved = header.rsv1 || header.rsv2 || header.rsv3;
    let is_control = matches!(header.opcode, OpCode::Control(_));
    let is_bad_control = is_control && (!header.is_final || payload_bytes > CONTROL_BYTES_MAX);
    if is_reserved || header.mask.is_none() || is_bad_control {
        return Some(code::PROTOCOL);
    }
    (header.opcode == OpCode::Data(Data::Binary)).then_some(code::UNSUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | u8::try_from(len).unwrap()),
            len @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                frame.push(0x80 | 127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// Takes it in, in pieces of this size; returns the lines, the answers and the end.
    fn receive(bytes: &[u8], size: usize) -> (String, Vec<u8>, Option<WebSocketEnd>) {
        let now = Instant::now();
        let (mut socket, mut lines, mut answers) = (WebSocket::new(now), Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            socket.receive(piece, &mut lines, &mut answers, now);
        }
        assert!(socket.end.is_some() || socket.walk.is_at_rest() == socket.context.is_none());
        (String::from_utf8(lines).unwrap(), answers, socket.end)
    }

    #[test]
    fn messages_are_lines_however_the_bytes_come() {
        let bytes = [
            frame(0x81, b"hello"),
            frame(0x01, b"two "),
            frame(0x89, b"there?"),
            frame(0x80, b"parts\nand two lines\n"),
            frame(0x81, b""),
            frame(0x8a, b"a pong that nobody asked for"),
            frame(0x81, &[b'x'; 300]),
            frame(0x88, &[0x03, 0xe8]),
        ]
        .concat();
        let lines = format!("hello\ntwo parts\nand two lines\n{}\n", "x".repeat(300));
        for size in 1..bytes.len() {
            let (heard, answers, end) = receive(&bytes, size);
            assert_eq!(heard, lines, "{size}");
            assert_eq!(answers, [&[0x8a, 6][..], b"there?"].concat(), "{size}");
            assert_eq!(end, Some(WebSocketEnd::Closed(Some(1000))), "{size}");
        }
    }

    #[test]
    fn a_frame_that_can_only_be_wrong_is_refused_before_all_of_it_is_there() {
        for (header, code) in [
            (&[0x81, 100][..], code::PROTOCOL),
            (&[0xc1, 0x80 | 100], code::PROTOCOL),
            (&[0xa1, 0x80 | 126, 1, 0], code::PROTOCOL),
            (&[0x83, 0x80 | 100], code::PROTOCOL),
            (&[0x8b, 0x80 | 100], code::PROTOCOL),
            (&[0x09, 0x80 | 100], code::PROTOCOL),
            (&[0x89, 0x80 | 126, 1, 0], code::PROTOCOL),
            (&[0x88, 0x80 | 126, 1, 0], code::PROTOCOL),
            (&[0x82, 0x80 | 100], code::UNSUPPORTED),
            (&[0x02, 0x80 | 100], code::UNSUPPORTED),
            (&[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 1], code::TOO_BIG),
        ] {
            let bytes = [&frame(0x81, b"hello")[..], header, &MASK].concat();
            for size in [1, 7, bytes.len()] {
                let (heard, _, end) = receive(&bytes, size);
                assert_eq!((heard.as_str(), end), ("hello\n", Some(WebSocketEnd::Broken(code))), "{header:x?}");
            }
        }
    }

    #[test]
    fn who_has_ended_what_was_begun_holds_nothing() {
        let now = Instant::now();
        let mut socket = WebSocket::new(now);
        let bytes = frame(0x81, &[b'x'; 60_000]);
        let (begun, rest) = bytes.split_at(30_000);
        let (mut lines, mut answers) = (Vec::new(), Vec::new());
        socket.receive(begun, &mut lines, &mut answers, now);
        assert!(socket.context.is_some() && lines.is_empty());
        socket.receive(rest, &mut lines, &mut answers, now);
        assert!(socket.context.is_none());
        assert_eq!(lines.len(), 60_001);
        assert!(size_of::<WebSocket>() <= 56, "{}", size_of::<WebSocket>());
    }

    #[test]
    fn each_breach_has_its_code_and_what_was_said_before_is_heard() {
        for (bytes, code) in [
            (frame(0x82, b"binary"), code::UNSUPPORTED),
            (frame(0x81, b"\xff"), code::INVALID),
            (frame(0x81, &[b'x'; MESSAGE_BYTES_MAX + 1]), code::TOO_BIG),
            ([frame(0x01, &[b'x'; MESSAGE_BYTES_MAX]), frame(0x80, b"y")].concat(), code::TOO_BIG),
            (vec![0x81, 1, b'x'], code::PROTOCOL),
            (frame(0xc1, b"x"), code::PROTOCOL),
            (frame(0x83, b"x"), code::PROTOCOL),
            (frame(0x80, b"x"), code::PROTOCOL),
            ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), code::PROTOCOL),
            (frame(0x09, b"x"), code::PROTOCOL),
            (frame(0x89, &[b'x'; 126]), code::PROTOCOL),
            (frame(0x88, b"x"), code::PROTOCOL),
            (frame(0x88, &[0x03, 0xe8, 0xff]), code::INVALID),
        ] {
            let bytes = [frame(0x81, b"hello"), bytes, frame(0x81, b"not heard")].concat();
            for size in [1, 7, bytes.len()] {
                let (heard, _, end) = receive(&bytes, size);
                assert_eq!((heard.as_str(), end), ("hello\n", Some(WebSocketEnd::Broken(code))), "{:?}", &bytes[..20]);
            }
        }
        let (heard, _, end) = receive(&frame(0x81, &[b'x'; MESSAGE_BYTES_MAX]), 4_096);
        assert_eq!((heard.len(), end), (MESSAGE_BYTES_MAX + 1, None));
        // Codes that nobody may send are answered as a breach.
        let (_, _, end) = receive(&frame(0x88, &[0x03, 0xed]), 4_096);
        assert_eq!(end, Some(WebSocketEnd::Closed(Some(code::PROTOCOL))));
    }
}
