//! Input side of a WebSocket: received bytes in, lines and replies to control frames out (RFC 6455).
//!
//! `tungstenite` implements the protocol and reads the bytes as a stream of its own. Its state for one browser takes
//! some hundred bytes and a read buffer, so it exists only while a frame or message is incomplete. A silent browser has
//! none.
//!
//! Tests are here, in `tests/server/websocket/`, `tests/server/autobahn/` and `tests/fuzz/bodies/socket.rs`.

use std::io::{self, Cursor, Read, Write};
use std::time::Instant;

use tungstenite::error::Error;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

/// Longest message in bytes, over any number of frames, and so the longest frame. A longer one is closed with 1009.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Read buffer of an incomplete message, in bytes. Most messages are shorter.
pub(crate) const READ_BUFFER_BYTES: usize = 1_024;

/// Longest header of a masked frame, in bytes (RFC 6455, 5.2).
const MASKED_HEADER_BYTES_MAX: usize = 14;

/// Longest payload of a control frame, in bytes (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// Status codes of a close frame (RFC 6455, 7.4.1, and the IANA registry).
pub(crate) mod code {
    /// The connection has done what it was for.
    pub(crate) const NORMAL: u16 = 1000;
    /// The server is shutting down.
    pub(crate) const GOING_AWAY: u16 = 1001;
    /// Protocol error.
    pub(crate) const PROTOCOL: u16 = 1002;
    /// Binary data, which the server does not accept.
    pub(crate) const UNSUPPORTED: u16 = 1003;
    /// Text that is not UTF-8.
    pub(crate) const INVALID: u16 = 1007;
    /// Policy violation, such as a lag or an idle timeout.
    pub(crate) const POLICY: u16 = 1008;
    /// Message longer than the limit.
    pub(crate) const TOO_BIG: u16 = 1009;
    /// The server is shutting down, and keeps the session.
    pub(crate) const SERVICE_RESTART: u16 = 1012;
    /// The server is full, or the address has too many connections.
    pub(crate) const TRY_AGAIN_LATER: u16 = 1013;
    /// Another connection has resumed the session. Codes from 4000 on are for private use.
    pub(crate) const ELSEWHERE: u16 = 4000;
}

/// End of a WebSocket, as its input shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketEnd {
    /// The browser sent a close frame, with this code.
    Closed(Option<u16>),
    /// The browser violated the protocol or a limit; the server closes with this code.
    Broken(u16),
}

/// State of the keepalive of one browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PingState {
    /// No ping is unanswered. The browser sent something last, or connected, at this time.
    Idle(Instant),
    /// A ping was sent at this time, and nothing came since.
    AwaitingPong(Instant),
}

/// State of one browser's input; at most 56 bytes while nothing is incomplete.
///
/// Invariant: `context` is `Some` exactly if a frame or message is incomplete and the WebSocket has not ended.
#[derive(Debug)]
pub struct WebSocket {
    context: Option<Box<WebSocketContext>>,
    walk: FrameWalk,
    end: Option<WebSocketEnd>,
    /// Whether a ping was sent and nothing came since.
    is_pinged: bool,
    /// Time of that ping, or else of the last input.
    since: Instant,
}

impl WebSocket {
    /// Creates the state of a WebSocket that opens now.
    pub fn new(now: Instant) -> WebSocket {
        WebSocket { context: None, walk: FrameWalk::default(), end: None, is_pinged: false, since: now }
    }

    /// Receives `bytes`. Appends whole messages to `lines`, each ended by LF, and replies to control frames to
    /// `replies`. Drops bytes after the end. Any input counts as a pong. Returns how many frames began.
    pub fn receive(&mut self, bytes: &[u8], lines: &mut Vec<u8>, replies: &mut Vec<u8>, now: Instant) -> usize {
        self.is_pinged = false;
        self.since = now;
        if self.end.is_some() {
            return 0;
        }
        let Walked { valid_bytes, breach, frames } = self.walk.pass(bytes);
        let mut context = self.context.take().unwrap_or_else(|| Box::new(new_context()));
        let end = read(&mut context, &mut Feed { bytes: &bytes[..valid_bytes], replies }, lines);
        self.end = end.or(breach.map(WebSocketEnd::Broken));
        if self.end.is_none() && !self.walk.is_at_rest() {
            self.context = Some(context);
        }
        frames
    }

    /// Returns the end of the WebSocket, if it has ended.
    pub fn end(&self) -> Option<WebSocketEnd> {
        self.end
    }

    /// Returns what the keepalive has to wait for.
    pub(crate) fn ping_state(&self) -> PingState {
        if self.is_pinged { PingState::AwaitingPong(self.since) } else { PingState::Idle(self.since) }
    }

    /// Notes that a ping was sent.
    pub(crate) fn on_ping_sent(&mut self, now: Instant) {
        self.is_pinged = true;
        self.since = now;
    }

    /// Ends the input: frees the memory, and drops all bytes that follow.
    pub(crate) fn close(&mut self) {
        self.context = None;
        self.end.get_or_insert(WebSocketEnd::Closed(None));
    }
}

fn new_context() -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        // Replies go to our own buffer, which takes all of them at once.
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    WebSocketContext::new(Role::Server, Some(config))
}

/// Reads messages until the input is used up, or to the end of the WebSocket.
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
            // The hub replies to it, after the replies to earlier lines.
            Ok(Message::Close(close)) => return Some(WebSocketEnd::Closed(close.map(|close| close.code.into()))),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Err(Error::Io(_)) => return None,
            Err(Error::Capacity(_)) => return Some(WebSocketEnd::Broken(code::TOO_BIG)),
            Err(Error::Utf8(_)) => return Some(WebSocketEnd::Broken(code::INVALID)),
            Err(_) => return Some(WebSocketEnd::Broken(code::PROTOCOL)),
        }
    }
}

/// In-memory stream for `tungstenite`: reads come from `bytes`, writes go to `replies`.
struct Feed<'a> {
    bytes: &'a [u8],
    replies: &'a mut Vec<u8>,
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.bytes.read(buffer) }
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Position in the frames: finds out whether a frame or message is incomplete. It also rejects an invalid frame at its
/// header; `tungstenite` would buffer the whole frame first.
///
/// Invariant: `header_len == 0` or `payload_left == 0`.
#[derive(Debug, Default)]
struct FrameWalk {
    /// The first `header_len` bytes are those of an incomplete header.
    header: [u8; MASKED_HEADER_BYTES_MAX],
    header_len: u8,
    payload_left: u64,
    is_mid_message: bool,
}

/// Outcome of [`FrameWalk::pass`].
struct Walked {
    /// Bytes up to and including the header of the first invalid frame, or all.
    valid_bytes: usize,
    /// Close code of that frame.
    breach: Option<u16>,
    /// Headers that ended.
    frames: usize,
}

impl FrameWalk {
    /// Moves past `all`, up to the first invalid header. Costs a step per header byte and per payload.
    fn pass(&mut self, all: &[u8]) -> Walked {
        let (mut bytes, mut frames) = (all, 0);
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
                    frames += 1;
                    if let Some(breach) = breach_of(&header, payload_left) {
                        return Walked { valid_bytes: all.len() - bytes.len(), breach: Some(breach), frames };
                    }
                    if let OpCode::Data(_) = header.opcode {
                        self.is_mid_message = !header.is_final;
                    }
                }
                // An invalid opcode or length: `tungstenite` fails at it, too, and ends the WebSocket.
                Ok(None) | Err(_) => {
                    self.header_len = 0;
                    self.is_mid_message = true;
                    break;
                }
            }
        }
        Walked { valid_bytes: all.len(), breach: None, frames }
    }

    fn is_at_rest(&self) -> bool {
        self.header_len == 0 && self.payload_left == 0 && !self.is_mid_message
    }
}

/// Returns the close code for a frame with this header, if it is invalid. Frames of a browser are masked text without
/// reserved bits, as no extension is negotiated. Control frames are short and unfragmented (RFC 6455, 5.2 and 5.5).
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

    /// Output of a WebSocket.
    struct Output {
        lines: String,
        replies: Vec<u8>,
        end: Option<WebSocketEnd>,
    }

    /// Receives `bytes` in pieces of this size.
    fn receive(bytes: &[u8], size: usize) -> Output {
        let now = Instant::now();
        let (mut socket, mut lines, mut replies) = (WebSocket::new(now), Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            socket.receive(piece, &mut lines, &mut replies, now);
        }
        assert!(socket.end.is_some() || socket.walk.is_at_rest() == socket.context.is_none());
        Output { lines: String::from_utf8(lines).unwrap(), replies, end: socket.end }
    }

    #[test]
    fn messages_are_lines_however_the_bytes_are_split() {
        let bytes = [
            frame(0x81, b"hello"),
            frame(0x01, b"two "),
            frame(0x89, b"there?"),
            frame(0x80, b"parts\nand two lines\n"),
            frame(0x81, b""),
            frame(0x8a, b"an unsolicited pong"),
            frame(0x81, &[b'x'; 300]),
            frame(0x88, &[0x03, 0xe8]),
        ]
        .concat();
        let lines = format!("hello\ntwo parts\nand two lines\n{}\n", "x".repeat(300));
        for size in 1..bytes.len() {
            let output = receive(&bytes, size);
            assert_eq!(output.lines, lines, "{size}");
            assert_eq!(output.replies, [&[0x8a, 6][..], b"there?"].concat(), "{size}");
            assert_eq!(output.end, Some(WebSocketEnd::Closed(Some(1000))), "{size}");
        }
    }

    #[test]
    fn an_invalid_frame_is_rejected_at_its_header() {
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
                let Output { lines, end, .. } = receive(&bytes, size);
                assert_eq!((lines.as_str(), end), ("hello\n", Some(WebSocketEnd::Broken(code))), "{header:x?}");
            }
        }
    }

    #[test]
    fn memory_is_held_only_while_a_message_is_incomplete() {
        let now = Instant::now();
        let mut socket = WebSocket::new(now);
        let bytes = frame(0x81, &[b'x'; 60_000]);
        let (begun, rest) = bytes.split_at(30_000);
        let (mut lines, mut replies) = (Vec::new(), Vec::new());
        socket.receive(begun, &mut lines, &mut replies, now);
        assert!(socket.context.is_some() && lines.is_empty());
        socket.receive(rest, &mut lines, &mut replies, now);
        assert!(socket.context.is_none());
        assert_eq!(lines.len(), 60_001);
        assert!(size_of::<WebSocket>() <= 56, "{}", size_of::<WebSocket>());
    }

    #[test]
    fn each_breach_has_its_code_and_earlier_messages_count() {
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
            let bytes = [frame(0x81, b"hello"), bytes, frame(0x81, b"too late")].concat();
            for size in [1, 7, bytes.len()] {
                let Output { lines, end, .. } = receive(&bytes, size);
                assert_eq!((lines.as_str(), end), ("hello\n", Some(WebSocketEnd::Broken(code))), "{:?}", &bytes[..20]);
            }
        }
        let longest = receive(&frame(0x81, &[b'x'; MESSAGE_BYTES_MAX]), 4_096);
        assert_eq!((longest.lines.len(), longest.end), (MESSAGE_BYTES_MAX + 1, None));
        // Codes that must not be sent are a protocol error (RFC 6455, 7.4.1).
        let reserved = receive(&frame(0x88, &[0x03, 0xed]), 4_096);
        assert_eq!(reserved.end, Some(WebSocketEnd::Closed(Some(code::PROTOCOL))));
    }

    #[test]
    fn any_input_answers_a_ping() {
        let start = Instant::now();
        let mut socket = WebSocket::new(start);
        assert_eq!(socket.ping_state(), PingState::Idle(start));
        let pinged = start + std::time::Duration::from_secs(30);
        socket.on_ping_sent(pinged);
        assert_eq!(socket.ping_state(), PingState::AwaitingPong(pinged));
        let answered = pinged + std::time::Duration::from_secs(1);
        socket.receive(&frame(0x81, b"hello")[..1], &mut Vec::new(), &mut Vec::new(), answered);
        assert_eq!(socket.ping_state(), PingState::Idle(answered));
    }

    #[test]
    fn bytes_after_a_close_are_dropped() {
        let now = Instant::now();
        let (mut socket, mut lines) = (WebSocket::new(now), Vec::new());
        socket.receive(&frame(0x81, b"begun")[..3], &mut lines, &mut Vec::new(), now);
        socket.close();
        assert!(socket.context.is_none());
        socket.receive(&frame(0x81, b"hello"), &mut lines, &mut Vec::new(), now);
        assert!(lines.is_empty());
        assert_eq!(socket.end(), Some(WebSocketEnd::Closed(None)));
    }
}
