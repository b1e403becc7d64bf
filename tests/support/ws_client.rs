//! A browser in the room, as the server sees it: the WebSocket of the page's script, and nothing of the page.

use std::collections::VecDeque;

use super::http::{KEYS, Wire, head};
use super::lines::{Lines, Member};
use super::ws::{Frame, opcode};

/// The longest payload of a frame that holds more than one line, in bytes.
pub const FRAME_BYTES_MAX: usize = 16 * 1024;

/// An event that the server causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line, without its end.
    Line(String),
    Pong(Vec<u8>),
    /// The code and the reason.
    Close(Option<u16>, String),
    /// The end of the connection, in good order.
    End,
}

/// A browser that waits for each line until a deadline. It answers pings, as browsers do.
pub struct Browser {
    pub wire: Wire,
    lines: VecDeque<String>,
    number: u64,
    /// Text frames so far.
    pub frames: usize,
    /// Whether a close has come: nothing may follow it.
    closed: bool,
}

impl Browser {
    /// Upgrades the wire, as a page does that came from there. Takes nothing after the answer.
    #[track_caller]
    pub fn upgrade(mut wire: Wire) -> Browser {
        let page = wire.stream().peer_addr().expect("connected");
        // Different browsers use different keys.
        let key = usize::from(wire.stream().local_addr().expect("connected").port()) % KEYS.len();
        wire.send(head(&[
            "GET /ws HTTP/1.1",
            &format!("Host: {page}"),
            "Connection: keep-alive, Upgrade",
            "Upgrade: websocket",
            &format!("Origin: http://{page}"),
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            &format!("Sec-WebSocket-Key: {}", KEYS[key].0),
            "User-Agent: a test",
        ]));
        wire.response().assert_switches(key);
        Browser::over(wire)
    }

    /// A browser on a wire that was upgraded.
    pub fn over(wire: Wire) -> Browser {
        Browser { wire, lines: VecDeque::new(), number: 0, frames: 0, closed: false }
    }

    /// Upgrades the wire, and learns its name.
    #[track_caller]
    pub fn join(wire: Wire) -> Browser {
        let mut browser = Browser::upgrade(wire);
        browser.greeted();
        browser
    }

    #[track_caller]
    pub fn send(&mut self, frame: &Frame) {
        self.wire.send(frame.encode());
    }

    /// Says something: one message.
    #[track_caller]
    pub fn say(&mut self, text: impl AsRef<str>) {
        self.send(&Frame::text(text.as_ref()));
    }

    /// The next that comes.
    #[track_caller]
    pub fn next(&mut self) -> Event {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Event::Line(line);
            }
            let Some(frame) = self.wire.try_frame() else { return Event::End };
            assert!(!self.closed, "after a close came {frame:?}");
            match frame.opcode {
                opcode::TEXT => self.take_lines(frame),
                // The server pings silent browsers; on a slow machine a test may be silent.
                opcode::PING => drop(self.wire.push(Frame::pong(frame.payload).encode())),
                opcode::PONG => return Event::Pong(frame.payload),
                opcode::CLOSE => {
                    self.closed = true;
                    let (code, reason) = frame.close_code();
                    return Event::Close(code, reason.to_owned());
                }
                _ => panic!("a relay does not send {frame:?}"),
            }
        }
    }

    /// A text frame holds whole lines, and is not long unless it is one line.
    #[track_caller]
    fn take_lines(&mut self, frame: Frame) {
        assert!(frame.fin, "a message of several frames");
        let text = String::from_utf8(frame.payload).expect("text is UTF-8");
        let lines = text.strip_suffix('\n').unwrap_or_else(|| panic!("the end of a line is missing: {text:?}"));
        self.lines.extend(lines.split('\n').map(str::to_owned));
        assert!(self.lines.iter().all(|line| !line.is_empty()), "an empty line: {text:?}");
        assert!(text.len() <= FRAME_BYTES_MAX || self.lines.len() == 1, "a frame of {} bytes", text.len());
        self.frames += 1;
    }

    #[track_caller]
    pub fn expect_pong(&mut self, payload: impl AsRef<[u8]>) {
        assert_eq!(self.next(), Event::Pong(payload.as_ref().to_vec()), "({} got the first)", self.name());
    }

    /// A close with this code, then the end of the connection in good order; answers as a browser does.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) {
        match self.next() {
            Event::Close(given, _) => assert_eq!(given, Some(code), "the code that {} is closed with", self.name()),
            event => panic!("{}: {event:?} came instead of a close", self.name()),
        }
        self.wire.push(Frame::close(Some(code)).encode());
        assert_eq!(self.next(), Event::End);
    }

    /// The farewell, and the close with this code.
    #[track_caller]
    pub fn expect_farewell(&mut self, code: u16) {
        self.expect("FIN");
        self.expect_close(code);
    }

    /// Leaves as a tab that is closed: a close with this code, which is answered; then the end of the connection.
    #[track_caller]
    pub fn close(mut self, code: Option<u16>) {
        self.send(&Frame::close(code));
        loop {
            match self.next() {
                Event::Line(_) => {}
                Event::Close(given, _) => {
                    assert_eq!(given, code, "a close is answered with its code");
                    assert_eq!(self.next(), Event::End);
                    return;
                }
                event => panic!("{}: {event:?} came instead of a close", self.name()),
            }
        }
    }
}

impl Lines for Browser {
    /// The next line; nothing else may come before it.
    #[track_caller]
    fn line(&mut self) -> String {
        match self.next() {
            Event::Line(line) => line,
            event => panic!("{}: {event:?} came instead of a line", self.name()),
        }
    }

    fn reader(&self) -> String {
        self.name()
    }
}

impl Member for Browser {
    fn number(&self) -> u64 {
        self.number
    }

    fn set_number(&mut self, number: u64) {
        self.number = number;
    }

    #[track_caller]
    fn send_line(&mut self, text: impl AsRef<[u8]>) {
        self.send(&Frame::text(text.as_ref()));
    }
}
