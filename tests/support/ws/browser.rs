//! A browser in the room: what the page's script is to the server, and nothing of what it shows.

use std::collections::VecDeque;
use std::fmt::Display;
use std::time::Instant;

use super::{Frame, opcode};
use crate::support::http::{KEYS, Wire, head};
use crate::support::server::{DEADLINE, is_total};

/// How long a frame may be that holds more than one line, in bytes of payload.
pub const FRAME_BYTES_MAX: usize = 16 * 1024;

/// What can come of a server.
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

/// One that waits for each line, but not for ever. It answers pings, as browsers do.
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
    /// Has the wire upgraded, as a page does that came from there; what comes then was not looked at.
    #[track_caller]
    pub fn upgrade(mut wire: Wire) -> Browser {
        let page = wire.stream().peer_addr().expect("connected");
        // Whoever it is, each gets another key.
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

    /// One on a wire that was upgraded.
    pub fn over(wire: Wire) -> Browser {
        Browser { wire, lines: VecDeque::new(), number: 0, frames: 0, closed: false }
    }

    /// Has the wire upgraded, and learns its name.
    #[track_caller]
    pub fn join(wire: Wire) -> Browser {
        let mut browser = Browser::upgrade(wire);
        browser.greeted();
        browser
    }

    /// Takes the first line, which tells a newcomer its name.
    #[track_caller]
    pub fn greeted(&mut self) {
        let line = self.line();
        let number = line.strip_prefix("* you are client-");
        let number = number.and_then(|rest| rest.strip_suffix("; /help lists what you can do"));
        self.number = number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("not the first line: {line:?}"));
    }

    /// The name it was given.
    pub fn name(&self) -> String {
        format!("client-{}", self.number)
    }

    /// The line by which others get `text` of it, while it has the name that it was given.
    pub fn says(&self, text: impl Display) -> String {
        format!("client-{}> {text}", self.number)
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
                // It asks who is silent; a test on a slow machine may be.
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

    /// The next line; nothing else may come before it.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.next() {
            Event::Line(line) => line,
            event => panic!("{}: {event:?} came instead of a line", self.name()),
        }
    }

    #[track_caller]
    pub fn expect(&mut self, line: impl AsRef<str>) {
        assert_eq!(self.line(), line.as_ref(), "({} got the first)", self.name());
    }

    #[track_caller]
    pub fn expect_all<T: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = T>) {
        lines.into_iter().for_each(|line| self.expect(line));
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

    /// Takes the name, and waits until it has it.
    #[track_caller]
    pub fn rename(&mut self, name: &str) {
        self.say(format!("/nick {name}"));
        self.expect(format!("* {} is now {name}", self.name()));
    }

    /// Asks who is here; the rows, the total last. What came before them comes along.
    ///
    /// Afterwards the server has acted on everything that it sent before.
    #[track_caller]
    pub fn who(&mut self) -> Vec<String> {
        self.say("/who");
        self.lines_until(is_total)
    }

    /// Takes lines up to the first that `is_last`; returns them, that one too.
    #[track_caller]
    pub fn lines_until(&mut self, mut is_last: impl FnMut(&str) -> bool) -> Vec<String> {
        let start = Instant::now();
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let is_last = is_last(&line);
            lines.push(line);
            if is_last {
                return lines;
            }
            assert!(start.elapsed() < DEADLINE, "not among {} lines, the last {:?}", lines.len(), lines.last());
        }
    }
}
