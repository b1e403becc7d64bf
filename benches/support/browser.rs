//! A browser, as far as a server can tell: it asks for the conversation in HTTP, and from then on its lines come and go
//! in frames (RFC 6455). Made by hand, so that it costs the load no more than it must.

use std::net::SocketAddr;

/// How a client of a benchmark speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// In lines.
    Lines,
    /// In HTTP: it has asked for the conversation and has no answer yet.
    Asking,
    /// In frames, which hold lines.
    Frames,
}

/// Where one comes in, and how it speaks there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entrance {
    pub(crate) address: SocketAddr,
    pub(crate) speech: Speech,
    /// What a client says first, in lines: an empty line lets it enter a pollchat server at once.
    pub(crate) first_words: &'static str,
    pub(crate) seal: Seal,
}

/// Whether clients of an entrance speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// They do not.
    None,
    /// They do, and offer the protocol of pollchat (ALPN).
    Lines,
    /// They do, and offer none.
    Any,
}

/// What became of received bytes.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// So many of them were whole.
    pub(crate) bytes: usize,
    /// Signs of life that were asked for.
    pub(crate) pings: u64,
    /// Whether nothing more will come: it was closed, or it was no conversation that was opened.
    pub(crate) is_over: bool,
}

/// First bytes of frames: whole ones.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// What marks the payload of a client's frame as masked; and the mask that leaves it as it is.
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0; 4];

impl From<SocketAddr> for Entrance {
    fn from(address: SocketAddr) -> Entrance {
        Entrance { address, speech: Speech::Lines, first_words: "", seal: Seal::None }
    }
}

impl Entrance {
    /// That of browsers, where the page is.
    pub(crate) fn of_page(address: SocketAddr) -> Entrance {
        Entrance { address, speech: Speech::Asking, first_words: "", seal: Seal::None }
    }

    /// What one says first, before it hears anything.
    pub(crate) fn first_words(self) -> Vec<u8> {
        match self.speech {
            Speech::Lines => self.first_words.into(),
            Speech::Asking | Speech::Frames => opening(self.address),
        }
    }
}

/// The request for the conversation, with the key that the standard has for an example.
pub(crate) fn opening(host: SocketAddr) -> Vec<u8> {
    let fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{fields}").into_bytes()
}

/// Adds a message of text.
pub(crate) fn put_message(to: &mut Vec<u8>, text: &[u8]) {
    put_frame(to, TEXT, text);
}

/// Adds what ends the conversation, all being said.
pub(crate) fn put_close(to: &mut Vec<u8>) {
    put_frame(to, CLOSE, &1000_u16.to_be_bytes());
}

fn put_frame(to: &mut Vec<u8>, first: u8, payload: &[u8]) {
    to.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..126), _) => to.push(MASKED | len),
        (_, Ok(len)) => {
            to.push(MASKED | 126);
            to.extend(len.to_be_bytes());
        }
        _ => {
            to.push(MASKED | 127);
            to.extend((payload.len() as u64).to_be_bytes());
        }
    }
    to.extend(MASK);
    to.extend_from_slice(payload);
}

/// Takes what is whole off the beginning of `received`: hands the lines on, and adds what is to be answered to
/// `answers`.
pub(crate) fn take(
    speech: &mut Speech,
    received: &[u8],
    mut on_lines: impl FnMut(&[u8]),
    answers: &mut Vec<u8>,
) -> Taken {
    let mut taken = Taken::default();
    if *speech == Speech::Asking {
        let Some(end) = memchr::memmem::find(received, b"\r\n\r\n") else { return taken };
        if !received.starts_with(b"HTTP/1.1 101 ") {
            taken.is_over = true;
            return taken;
        }
        *speech = Speech::Frames;
        taken.bytes = end + 4;
    }
    while let Some((first, payload, bytes)) = whole_frame(&received[taken.bytes..]) {
        taken.bytes += bytes;
        match first {
            TEXT => on_lines(payload),
            PING => {
                taken.pings += 1;
                put_frame(answers, PONG, payload);
            }
            CLOSE => {
                put_frame(answers, CLOSE, payload);
                taken.is_over = true;
                return taken;
            }
            _ => {}
        }
    }
    taken
}

/// The first byte of the frame that `bytes` begin with, its payload, and its length in all; `None` if it is not whole.
fn whole_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&[first, len], rest) = bytes.split_first_chunk()?;
    let (len, rest) = match len {
        126 => rest.split_first_chunk().map(|(len, rest)| (u64::from(u16::from_be_bytes(*len)), rest))?,
        127 => rest.split_first_chunk().map(|(len, rest)| (u64::from_be_bytes(*len), rest))?,
        len => (u64::from(len), rest),
    };
    let len = usize::try_from(len).ok()?;
    Some((first, rest.get(..len)?, bytes.len() - rest.len() + len))
}
