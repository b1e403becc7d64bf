//! Peers on the page's port: their requests, and the frames into which a browser puts its lines.

use crate::chance::Chance;
use crate::net::Wire;
use crate::outline::{Body, Expected, Meaning};

/// The longest message.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The request for a WebSocket, with the key of the example in RFC 6455 (1.3).
const OPENING: &str = "GET /ws HTTP/1.1\r\nHost: 192.0.2.9:8080\r\nOrigin: http://192.0.2.9:8080\r\n\
                       Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Requests after which the connection is kept: what they are answered, and whether with the page.
const KEPT: [(&str, u16, Body); 13] = [
    ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, Body::Page),
    ("GET /?a=b HTTP/1.1\nhost: LOCALHOST:1\nX: y\n\n", 200, Body::Page),
    ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 200, Body::Page),
    ("HEAD / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200, Body::Withheld),
    ("GET /nothing HTTP/1.1\r\nHost: 192.0.2.9\r\n\r\n", 404, Body::Words),
    ("HEAD /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, Body::Withheld),
    ("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, Body::Words),
    ("POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405, Body::Words),
    ("GET / HTTP/1.1\r\nHost: chat.example.org\r\n\r\n", 421, Body::Words),
    ("GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n", 426, Body::Words),
    (
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        426,
        Body::Words,
    ),
    (
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: http://elsewhere.example\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        403,
        Body::Words,
    ),
    ("HEAD /ws HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, Body::Withheld),
];

/// Requests after which it is not.
const LAST: [(&[u8], u16, Body); 10] = [
    (b"GET / HTTP/1.0\r\n\r\n", 200, Body::Page),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200, Body::Page),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 405, Body::Words),
    (b"GET / HTTP/1.1\r\n\r\n", 400, Body::Words),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, Body::Words),
    (b"\x01\x02 \xff\xfe\r\n\r\n", 400, Body::Words),
    (b"\x16\x03", 400, Body::Words),
    (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, Body::Words),
    (b"PRI * HTTP/2.0\r\n\r\n", 505, Body::Words),
    (
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bm8ga2V5\r\n\r\n",
        400,
        Body::Words,
    ),
];

/// Codes that a browser may close with, if it says one.
const CLOSES: [Option<u16>; 6] = [None, Some(1000), Some(1001), Some(1003), Some(3000), Some(4999)];

/// The stage of a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has still so many requests to make, and then may open a WebSocket.
    Asking(usize),
    Open,
    /// Its further bytes mean nothing.
    Over,
}

/// The state of a browser.
#[derive(Debug)]
pub(crate) struct Browser {
    chance: Chance,
    stage: Stage,
    /// Whether it opens a WebSocket.
    opens: bool,
    /// Whether it sends frames before it knows that the WebSocket is open.
    is_hasty: bool,
    answers_pings: bool,
    /// Whether it says nothing but what it is given.
    is_chatty: bool,
    /// Bytes to be sent.
    pub(crate) queue: Vec<u8>,
    /// Bytes that were ever queued.
    queued: usize,
    /// The rest of a message of which a part was sent.
    rest: Option<Vec<u8>>,
    /// All of that message.
    whole: Vec<u8>,
}

impl Browser {
    pub(crate) fn new(mut chance: Chance) -> Browser {
        Browser {
            stage: Stage::Asking(chance.pick(&[0, 0, 0, 1, 3])),
            opens: !chance.one_in(5),
            is_hasty: chance.one_in(3),
            answers_pings: !chance.one_in(4),
            is_chatty: false,
            queue: Vec::new(),
            queued: 0,
            rest: None,
            whole: Vec::new(),
            chance,
        }
    }

    /// One that opens a WebSocket at once, and breaks no rule.
    pub(crate) fn chatty(chance: Chance) -> Browser {
        let browser = Browser::new(chance);
        Browser { stage: Stage::Asking(0), opens: true, answers_pings: true, is_chatty: true, ..browser }
    }

    /// Closes its WebSocket with a code, if it may. Returns whether that is a goodbye.
    pub(crate) fn close_tracked(&mut self, wire: &mut Wire) -> Option<bool> {
        if self.stage != Stage::Open || self.rest.is_some() {
            return None;
        }
        let code = self.chance.pick(&CLOSES);
        self.frame(0x88, &code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec()));
        self.mean(wire, Meaning::Close(code));
        self.stage = Stage::Over;
        Some(code == Some(1000))
    }

    /// Whether nothing that it sends from now on means anything.
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether there is something that it has begun to say.
    pub(crate) fn is_amid_message(&self) -> bool {
        self.rest.is_some()
    }

    /// Puts what it has to say into frames; or asks for something.
    pub(crate) fn put(&mut self, lines: &mut Vec<u8>, wire: &mut Wire, ends: bool) {
        if let Stage::Asking(left) = self.stage {
            if ends {
                lines.clear();
                self.stage = Stage::Over;
                return;
            }
            if self.queue.len() < 500 && self.chance.one_in(3) {
                self.ask(left, wire);
            }
            return;
        }
        if self.stage == Stage::Over {
            lines.clear();
            return;
        }
        if !(wire.is_open || self.is_hasty) {
            return;
        }
        for payload in std::mem::take(&mut wire.pings) {
            if self.answers_pings {
                self.frame(0x8a, &payload);
            }
        }
        if let Some(rest) = self.rest.take() {
            self.go_on(&rest, ends, wire);
        } else if self.queue.len() < 4_000 {
            self.say(lines, wire, ends);
        }
    }

    /// Closes, or breaks a rule.
    pub(crate) fn close(&mut self, wire: &mut Wire) {
        if self.stage != Stage::Open || self.rest.is_some() {
            return;
        }
        if self.chance.one_in(2) {
            let code = self.chance.pick(&CLOSES);
            let mut payload = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
            if code.is_some() && self.chance.one_in(2) {
                payload.extend(b"bye");
            }
            self.frame(0x88, &payload);
            self.mean(wire, Meaning::Close(code));
        } else {
            self.break_rule(wire);
        }
        self.stage = Stage::Over;
        if self.chance.one_in(2) {
            self.frame(0x81, b"not heard");
        }
    }

    fn ask(&mut self, left: usize, wire: &mut Wire) {
        if left > 0 {
            self.stage = Stage::Asking(left - 1);
            let (request, status, body) = self.chance.pick(&KEPT);
            self.send(request.as_bytes());
            self.mean(wire, Meaning::Request(Expected { status, is_last: false, body }));
        } else if self.opens {
            self.stage = Stage::Open;
            self.send(OPENING.as_bytes());
            let expected = Expected { status: 101, is_last: false, body: Body::None };
            self.mean(wire, Meaning::Request(expected));
        } else {
            self.stage = Stage::Over;
            self.ask_last(wire);
        }
    }

    fn ask_last(&mut self, wire: &mut Wire) {
        let (request, status, body) = match self.chance.below(16) {
            // It waits, or asks for something and never ends.
            0..3 => return,
            3..6 => {
                let piece = self.chance.up_to(OPENING.len() - 1);
                return self.send(&OPENING.as_bytes()[..piece]);
            }
            6 => {
                let endless = [b"GET / HTTP/1.1\r\nX: ", &[b'x'; HEAD_BYTES_MAX][..]].concat();
                self.send(&endless[..HEAD_BYTES_MAX]);
                (&b""[..], 431, Body::Words)
            }
            7 => {
                self.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100)).as_bytes());
                (&b""[..], 431, Body::Words)
            }
            _ => self.chance.pick(&LAST),
        };
        self.send(request);
        self.mean(wire, Meaning::Request(Expected { status, is_last: true, body }));
        let behind = self.chance.pick(&[&b""[..], b"hello", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]);
        self.send(behind);
    }

    /// Puts some of its lines into a message; of the last one the end may be left out.
    fn say(&mut self, lines: &mut Vec<u8>, wire: &mut Wire, ends: bool) {
        self.distract(wire);
        if !self.is_chatty && self.chance.one_in(1_500) {
            return self.say_much(wire);
        }
        let newlines: Vec<usize> =
            lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        let end = match newlines.len() {
            0 if ends || self.chance.one_in(4) => lines.len(),
            0 => return,
            some => newlines[self.chance.below(some)] + 1,
        };
        let mut message: Vec<u8> = lines.drain(..end).collect();
        if message.is_empty() && !self.chance.one_in(20) {
            return;
        }
        // The last of two newlines is a line of its own.
        let has_line = message.len() > 1 && !message.ends_with(b"\n\n");
        if message.last() == Some(&b'\n') && (has_line || !self.is_chatty) && self.chance.one_in(2) {
            message.pop();
        }
        if let Err(error) = str::from_utf8(&message) {
            if self.chance.one_in(3) && error.error_len().is_some() {
                self.breach(1007, 0x81, &message, wire);
                self.stage = Stage::Over;
                return;
            }
            message = String::from_utf8_lossy(&message).into_owned().into_bytes();
        }
        self.begin(message, wire);
    }

    fn say_much(&mut self, wire: &mut Wire) {
        if self.chance.one_in(2) {
            return self.begin(vec![b'x'; MESSAGE_BYTES_MAX], wire);
        }
        // What is too long is so by its header.
        let start = self.queued;
        self.send(&[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4]);
        self.mean_breach(start, 1009, wire);
        self.stage = Stage::Over;
    }

    fn begin(&mut self, message: Vec<u8>, wire: &mut Wire) {
        if !self.chance.one_in(3) {
            self.frame(0x81, &message);
            return self.mean(wire, Meaning::Message(message));
        }
        let piece = self.chance.below(message.len() + 1);
        self.frame(0x01, &message[..piece]);
        self.rest = Some(message[piece..].to_vec());
        self.whole = message;
        if self.chance.one_in(2) {
            let rest = self.rest.take().unwrap_or_default();
            self.go_on(&rest, false, wire);
        }
    }

    fn go_on(&mut self, rest: &[u8], ends: bool, wire: &mut Wire) {
        self.distract(wire);
        if !ends && self.chance.one_in(3) {
            let piece = self.chance.below(rest.len() + 1);
            self.frame(0x00, &rest[..piece]);
            self.rest = Some(rest[piece..].to_vec());
            return;
        }
        self.frame(0x80, rest);
        let whole = std::mem::take(&mut self.whole);
        self.mean(wire, Meaning::Message(whole));
    }

    /// Asks whether the server is there, or shows it that one is.
    fn distract(&mut self, wire: &mut Wire) {
        match self.chance.below(20) {
            0 => {
                let payload = vec![b'p'; self.chance.pick(&[0, 1, 4, 125])];
                self.frame(0x89, &payload);
                self.mean(wire, Meaning::Ping(payload));
            }
            1 => self.frame(0x8a, b"unasked"),
            _ => {}
        }
    }

    fn break_rule(&mut self, wire: &mut Wire) {
        match self.chance.below(10) {
            0 => self.breach(1003, 0x82, b"binary", wire),
            1 => self.breach(1007, 0x81, b"\xff", wire),
            2 => self.breach(1002, 0xc1, b"reserved", wire),
            3 => self.breach(1002, 0x83, b"reserved", wire),
            4 => self.breach(1002, 0x80, b"nothing to continue", wire),
            5 => self.breach(1002, 0x09, b"a part of a ping", wire),
            6 => self.breach(1002, 0x89, &[b'p'; 126], wire),
            7 => self.breach(1002, 0x88, b"x", wire),
            8 => self.breach(1002, 0x88, &[0x03, 0xed], wire),
            _ => {
                let start = self.queued;
                self.send(b"\x81\x05hello");
                self.mean_breach(start, 1002, wire);
            }
        }
    }

    fn breach(&mut self, code: u16, first: u8, payload: &[u8], wire: &mut Wire) {
        let start = self.queued;
        self.frame(first, payload);
        self.mean_breach(start, code, wire);
    }

    fn mean_breach(&mut self, start: usize, code: u16, wire: &mut Wire) {
        if let Some(outline) = &mut wire.ear.outline {
            outline.mean(start + 1, Meaning::BreachBegins(code));
        }
        self.mean(wire, Meaning::Breach(code));
    }

    /// A masked frame, with this first byte.
    fn frame(&mut self, first: u8, payload: &[u8]) {
        let mask =
            [0x81, 0x02, 0x00, 0xff].map(|byte: u8| byte.wrapping_add(u8::try_from(self.queued % 251).unwrap_or(0)));
        let mut frame = vec![first];
        match u16::try_from(payload.len()) {
            Ok(len @ 0..126) => frame.push(0x80 | len.to_be_bytes()[1]),
            Ok(len) => {
                frame.push(0x80 | 126);
                frame.extend(len.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.send(&frame);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.queue.extend_from_slice(bytes);
        self.queued += bytes.len();
    }

    /// Says what all means that was sent since it last said so.
    fn mean(&mut self, wire: &mut Wire, meaning: Meaning) {
        if let Some(outline) = &mut wire.ear.outline {
            outline.mean(self.queued, meaning);
        }
    }
}
