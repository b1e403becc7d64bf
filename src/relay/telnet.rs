//! Telnet (RFC 854): owns the part of a telnet command that a stream has sent without its end.
//!
//! A telnet command begins with IAC (0xFF), a byte that UTF-8 never uses. So commands can be removed from any stream
//! of text, and a stream without that byte need not be looked at. Every option is refused: the peer stays in its
//! initial mode, in which it echoes and edits the line itself. Erase commands (EC, EL) are dropped like the others,
//! because a peer in that mode has no use for them.
//!
//! The byte order mark of UTF-16 (little-endian) is the byte pair IAC DONT. Its first letter would be lost, and with it
//! the `/` of a command. So the letter is text if a NUL follows: no telnet peer sends one behind a printable option.

use memchr::memchr;

/// First byte of a command.
pub const IAC: u8 = 255;

const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;

/// Lowest command: end of a file (RFC 1184). Lower bytes behind an IAC are text.
const LOWEST_COMMAND: u8 = 236;

/// Option that tells the size of the window (RFC 1073). Any of its four bytes may be an LF.
const NAWS: u8 = 31;

/// Longest subnegotiation, in bytes: real ones take less than a hundred. What follows is text again, so a
/// subnegotiation without an end costs a client a few lines at most.
pub const SUBNEGOTIATION_BYTES_MAX: u16 = 1_024;

/// Most refusals until the next end of a line: more than there are options in use. A peer that asks again after each
/// refusal would otherwise be answered for ever.
pub const REFUSALS_MAX: u8 = 64;

/// Removes commands from the bytes of one peer, and refuses the options that they ask for.
#[derive(Clone, Copy, Debug)]
pub struct Telnet {
    state: State,
    refusals_left: u8,
}

/// The place in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In text.
    #[default]
    Text,
    /// Behind an IAC.
    Command,
    /// Behind WILL, WONT, DO or DONT. The option follows.
    Negotiation(u8),
    /// Behind a DONT of this option. A NUL says that both were UTF-16.
    Dont(u8),
    /// In a subnegotiation, behind so many of its bytes.
    Subnegotiation { bytes: u16, is_naws: bool },
    /// In a subnegotiation, behind an IAC.
    SubnegotiationCommand { bytes: u16, is_naws: bool },
}

impl Default for Telnet {
    fn default() -> Telnet {
        Telnet { state: State::Text, refusals_left: REFUSALS_MAX }
    }
}

impl Telnet {
    /// Whether `bytes` are text to the last, so that [`receive`](Telnet::receive) need not be called.
    pub fn is_text(&self, bytes: &[u8]) -> bool {
        self.state == State::Text && memchr(IAC, bytes).is_none()
    }

    /// Appends the text in `bytes` to `text`, and the refusals of options to `refusals`.
    pub fn receive(&mut self, bytes: &[u8], text: &mut Vec<u8>, refusals: &mut Vec<u8>) {
        let before = text.len();
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Text => self.pass_text(rest, text),
                _ => self.step(rest, text, refusals),
            };
        }
        if text[before..].iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            self.refusals_left = REFUSALS_MAX;
        }
    }

    /// Passes text up to the next command on. Returns the bytes behind it.
    fn pass_text<'a>(&mut self, bytes: &'a [u8], text: &mut Vec<u8>) -> &'a [u8] {
        let Some(at) = memchr(IAC, bytes) else {
            text.extend_from_slice(bytes);
            return &[];
        };
        text.extend_from_slice(&bytes[..at]);
        self.state = State::Command;
        &bytes[at + 1..]
    }

    /// Takes the next byte of a command. Returns the bytes behind it, or all if the byte is text.
    fn step<'a>(&mut self, bytes: &'a [u8], text: &mut Vec<u8>, refusals: &mut Vec<u8>) -> &'a [u8] {
        let (byte, rest) = (bytes[0], &bytes[1..]);
        let is_taken = match self.state {
            State::Text => false,
            State::Command => self.begin(byte),
            State::Negotiation(_) if byte == IAC => {
                self.state = State::Command;
                true
            }
            State::Negotiation(DONT) if byte.is_ascii_graphic() => {
                self.state = State::Dont(byte);
                true
            }
            State::Negotiation(verb) => {
                self.state = State::Text;
                self.refuse(verb, byte, refusals);
                true
            }
            State::Dont(letter) => {
                self.state = State::Text;
                if byte == 0 {
                    text.push(letter);
                }
                byte == 0
            }
            State::Subnegotiation { bytes, is_naws } => self.subnegotiate(byte, bytes, is_naws),
            State::SubnegotiationCommand { bytes, is_naws } if byte == IAC => {
                let is_over = bytes >= SUBNEGOTIATION_BYTES_MAX;
                self.state = if is_over { State::Text } else { State::Subnegotiation { bytes: bytes + 1, is_naws } };
                true
            }
            // It was not ended, unless this is SE, and another command follows.
            State::SubnegotiationCommand { .. } => self.begin(byte),
        };
        if is_taken { rest } else { bytes }
    }

    /// Begins the command that `byte` names. Returns whether it is one: a client may lose the byte behind an IAC,
    /// because it sends that byte as urgent data.
    fn begin(&mut self, byte: u8) -> bool {
        self.state = match byte {
            WILL..=DONT => State::Negotiation(byte),
            SB => State::Subnegotiation { bytes: 0, is_naws: false },
            _ => State::Text,
        };
        byte >= LOWEST_COMMAND
    }

    /// Takes a byte of a subnegotiation, which follows `bytes` others. Returns whether it belongs to it: an LF ends it.
    fn subnegotiate(&mut self, byte: u8, bytes: u16, is_naws: bool) -> bool {
        let is_naws = is_naws || (bytes == 0 && byte == NAWS);
        let is_size = is_naws && bytes <= 4;
        let is_over = bytes >= SUBNEGOTIATION_BYTES_MAX || (byte == b'\n' && !is_size);
        self.state = match byte {
            IAC => State::SubnegotiationCommand { bytes, is_naws },
            _ if is_over => State::Text,
            _ => State::Subnegotiation { bytes: bytes + 1, is_naws },
        };
        !is_over || byte == IAC
    }

    fn refuse(&mut self, verb: u8, option: u8, refusals: &mut Vec<u8>) {
        let answer = match verb {
            DO => WONT,
            WILL => DONT,
            // Refusals of the peer need no answer.
            _ => return,
        };
        if let Some(left) = self.refusals_left.checked_sub(1) {
            self.refusals_left = left;
            refusals.extend([IAC, answer, option]);
        }
    }
}

/// Appends `lines` to `output` with CRLF in place of each LF, as telnet and raw terminals need them.
pub fn put_crlf(output: &mut Vec<u8>, lines: &[u8]) {
    let mut rest = lines;
    while let Some(end) = memchr(b'\n', rest) {
        output.extend_from_slice(&rest[..end]);
        output.extend_from_slice(b"\r\n");
        rest = &rest[end + 1..];
    }
    output.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<u8>) {
        let (mut telnet, mut text, mut refusals) = (Telnet::default(), Vec::new(), Vec::new());
        for chunk in chunks {
            if telnet.is_text(chunk) {
                text.extend_from_slice(chunk);
            } else {
                telnet.receive(chunk, &mut text, &mut refusals);
            }
        }
        (text, refusals)
    }

    /// Checks what comes of `stream`, at once, byte by byte, and cut once at every place.
    fn check(stream: &[u8], text: &[u8], refusals: &[u8]) {
        let expected = (text.to_vec(), refusals.to_vec());
        assert_eq!(strip(stream.chunks(1)), expected, "{stream:?} byte by byte");
        for cut in 0..=stream.len() {
            assert_eq!(strip([&stream[..cut], &stream[cut..]]), expected, "{stream:?} cut at {cut}");
        }
    }

    #[test]
    fn commands_are_removed_however_they_are_split() {
        for command in (LOWEST_COMMAND..SB).chain([IAC]) {
            check(&[b'h', b'e', IAC, command, b'y', b'\n'], b"hey\n", b"");
        }
        for option in 0..IAC {
            check(&[b'h', b'e', IAC, DO, option, b'y'], b"hey", &[IAC, WONT, option]);
            check(&[b'h', b'e', IAC, WILL, option, b'y'], b"hey", &[IAC, DONT, option]);
            check(&[b'h', b'e', IAC, WONT, option, b'y'], b"hey", b"");
            check(&[b'h', b'e', IAC, DONT, option, b'y'], b"hey", b"");
        }
        check(b"h\xff\xfa\x18\x00xterm\xff\xf0ello", b"hello", b"");
        check(b"\xc3\xff\xf1\xa9", "é".as_bytes(), b"");
    }

    #[test]
    fn what_plink_sends_is_no_text() {
        let hello = b"\xff\xfb\x1f\xff\xfb \xff\xfb\x18\xff\xfb'\xff\xfd\x01\xff\xfb\x03\xff\xfd\x03hello\r\n";
        let refusals = b"\xff\xfe\x1f\xff\xfe \xff\xfe\x18\xff\xfe'\xff\xfc\x01\xff\xfe\x03\xff\xfc\x03";
        check(hello, b"hello\r\n", refusals);
    }

    #[test]
    fn a_command_that_is_none_costs_no_text() {
        check(b"a\xffb\xff\nc\xff", b"ab\nc", b"");
        check(b"a\xff\xfd\xff\xfd\x01b", b"ab", b"\xff\xfc\x01");
        check(b"a\xff\xfa\x01\xff\xf1b", b"ab", b"");
        check(b"a\xff\xfa\x01\xff\nb", b"a\nb", b"");
        check(b"a\xff\xf0b", b"ab", b"");
    }

    #[test]
    fn a_subnegotiation_without_an_end_is_over_at_the_next_line_or_the_limit() {
        check(b"\xff\xfa\x18\x00xterm\nhello\n", b"\nhello\n", b"");
        check(b"\xff\xfa\x1f\x00\x0a\x00\x0a\xff\xf0hello\n", b"hello\n", b"");
        check(b"\xff\xfa\x1f\x00\x50\x00\x18\nhello\n", b"\nhello\n", b"");
        for filler in [&b"a"[..], b"\xff\xff"] {
            let (text, _) = strip([&b"\xff\xfa"[..], &filler.repeat(70_000), b"hello\n"]);
            assert!(text.len() <= 70_000 - 1_000 && text.ends_with(b"hello\n"), "{filler:?}: {}", text.len());
        }
    }

    #[test]
    fn refusals_are_bounded_until_the_next_line() {
        let mut telnet = Telnet::default();
        let mut asked = |text: &str| {
            let mut refusals = Vec::new();
            telnet.receive(&b"\xff\xfd\x01".repeat(100), &mut Vec::new(), &mut refusals);
            telnet.receive(text.as_bytes(), &mut Vec::new(), &mut Vec::new());
            refusals.len() / 3
        };
        let counts = [asked("hello"), asked("hello\n"), asked(""), asked("\r"), asked("")];
        assert_eq!(counts, [64, 0, 64, 0, 64]);
    }

    #[test]
    fn the_byte_order_mark_of_utf_16_costs_no_letter() {
        check(b"\xff\xfeh\0i\0\n\0", b"hi\0\n\0", b"");
        check(b"\xff\xfe/\0w\0\xff\xfd\x01", b"/w\0", b"\xff\xfc\x01");
        // A DONT among padding is a command.
        for padded in [&b"a\0\xff\xfe\x03\0b"[..], b"a\0\xff\xfe'b\0", b"a\0\xff\xfe'\xff\xf1\0b"] {
            let text: Vec<u8> = strip([padded]).0.into_iter().filter(|&byte| byte != 0).collect();
            assert_eq!(text, b"ab", "{padded:?}");
        }
    }

    #[test]
    fn each_lf_becomes_crlf() {
        let mut output = Vec::new();
        put_crlf(&mut output, b"one\ntwo\n\nthree");
        assert_eq!(output, b"one\r\ntwo\r\n\r\nthree");
    }
}
