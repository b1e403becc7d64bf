//! The protocol of Redis (RESP2): commands as bytes, and bytes as replies. It owns the part of a reply that has
//! arrived.
//!
//! The parser reads each byte once, however the bytes arrive, and keeps open arrays on a stack of its own. So a reply
//! in small pieces costs no more than a whole one, and nested arrays overflow nothing. The crate `resp-rs` parses a
//! reply anew with each piece: a roster of 4,000 entries in segments of TCP takes it 550 ms, and this file 8 ms.
//!
//! An entry that is too long for any server to have written is passed over while it arrives. If it ended the connection,
//! it would end the next one, too, for as long as its stream holds it.

use bytes::{Buf as _, Bytes, BytesMut};

/// Depth of arrays in a reply. `XREAD` needs five: its streams, a stream, the entries, an entry, and its fields.
pub const DEPTH_MAX: usize = 8;

/// Bytes of a reply, with the memory of its parts. The longest page of a history has a quarter of it, and a read of
/// streams that are behind an eighth.
pub const REPLY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of the fields of an entry, with their memory; those of a longer one are dropped. An entry that a server writes
/// has less: a line of the largest `--max-line`, each byte replaced by three.
pub const FIELDS_BYTES_MAX: usize = REPLY_BYTES_MAX / 8 * 7;

/// Arrays around the fields of an entry, at least, with their own: entries, an entry, and its fields.
const FIELDS_DEPTH_MIN: usize = 3;

/// Longest line of a reply: words of Redis, a number or a length. Redis cuts its errors far below.
pub const LINE_BYTES_MAX: usize = 4 * 1024;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A word, as in `OK`.
    Simple(String),
    /// An error: a word in capitals, and more words for people.
    Error(String),
    /// A number.
    Number(i64),
    /// Bytes; `None` where there is no value.
    Bulk(Option<Bytes>),
    /// Replies in a row; `None` where there is nothing, as of a read that has waited in vain, or where the fields
    /// of an entry were too long.
    Array(Option<Vec<Reply>>),
}

/// The reason why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RespError {
    /// No reply begins with this byte.
    #[error("the byte 0x{0:02x} begins no reply of Redis")]
    Type(u8),
    /// A length or a number is none.
    #[error("a number in a reply is none")]
    Number,
    /// A value does not end where its length says.
    #[error("a value in a reply is longer than its length says")]
    End,
    /// A line does not end.
    #[error("a line of a reply is longer than {LINE_BYTES_MAX} bytes")]
    Line,
    /// The arrays in it are too deep.
    #[error("a reply has more than {DEPTH_MAX} arrays in each other")]
    Depth,
    /// It is too long.
    #[error("a reply is longer than {REPLY_BYTES_MAX} bytes")]
    Size,
}

/// Bytes on their way to replies.
///
/// Invariant: the first `searched` bytes of `received` hold no LF, unless a value is under way. `used` is at most
/// [`REPLY_BYTES_MAX`], and `open` has at most [`DEPTH_MAX`] arrays, each with a part that is to come.
#[derive(Debug, Default)]
pub struct Parser {
    received: BytesMut,
    /// Bytes at the front of `received` in which the end of the line was not found.
    searched: usize,
    value: Value,
    /// Arrays that have begun, the outermost first.
    open: Vec<OpenArray>,
    /// Bytes of the reply so far, with the memory of its parts.
    used: usize,
}

/// The value that is to come behind its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Value {
    /// None: a line is to come.
    #[default]
    None,
    /// So many bytes, and their end.
    Kept(usize),
    /// So many bytes of a value that is dropped, and its end.
    Dropped(usize),
}

/// An array, some of whose parts are to come.
#[derive(Debug)]
struct OpenArray {
    missing: usize,
    parts: Vec<Reply>,
    /// Bytes of the values among its parts, with their memory.
    used: usize,
    /// Whether they were too many, and its parts are dropped.
    is_dropped: bool,
}

impl Parser {
    /// Adds bytes that were received.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// Returns the next reply; `None` if it has not arrived whole.
    ///
    /// # Errors
    /// If the bytes are no reply. There is no way on from there.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, RespError> {
        while let Some(part) = self.next_part()? {
            let Some(mut whole) = part else { continue };
            loop {
                let Some(array) = self.open.last_mut() else {
                    self.used = 0;
                    return Ok(Some(whole));
                };
                if !array.is_dropped {
                    array.parts.push(whole);
                }
                array.missing -= 1;
                if array.missing > 0 {
                    break;
                }
                whole = Reply::Array(self.open.pop().filter(|array| !array.is_dropped).map(|array| array.parts));
            }
        }
        Ok(None)
    }

    /// Whether bytes have arrived that were not returned in a reply, for tests.
    #[cfg(test)]
    pub(super) fn is_within_reply(&self) -> bool {
        !self.received.is_empty() || self.value != Value::None || !self.open.is_empty()
    }

    /// Returns the next part of a reply; `Some(None)` if it is the head of an array or of a value.
    fn next_part(&mut self) -> Result<Option<Option<Reply>>, RespError> {
        if let Value::Dropped(bytes) = self.value {
            let passed = bytes.min(self.received.len());
            self.received.advance(passed);
            self.value = if passed < bytes { Value::Dropped(bytes - passed) } else { Value::Kept(0) };
        }
        match self.value {
            Value::None => {}
            Value::Kept(bytes) => return Ok(self.take_value(bytes)?.map(|value| Some(Reply::Bulk(Some(value))))),
            Value::Dropped(_) => return Ok(None),
        }
        let Some(end) = self.find_line()? else { return Ok(None) };
        let (kind, line) = (self.received[0], &self.received[1..end]);
        let text = || String::from_utf8_lossy(line).into_owned();
        let bytes = line.len() + size_of::<Reply>();
        let mut value_bytes = None;
        let part = match kind {
            b'+' => Some(Reply::Simple(text())),
            b'-' => Some(Reply::Error(text())),
            b':' => Some(Reply::Number(number(line)?)),
            b'$' => match length(line)? {
                None => Some(Reply::Bulk(None)),
                length => {
                    value_bytes = length;
                    None
                }
            },
            // `find_line` lets nothing else through.
            _ => match length(line)? {
                None => Some(Reply::Array(None)),
                Some(0) => Some(Reply::Array(Some(Vec::new()))),
                Some(_) if self.open.len() == DEPTH_MAX => return Err(RespError::Depth),
                Some(missing) => {
                    self.received.advance(end + 2);
                    self.spend(bytes)?;
                    self.open.push(OpenArray { missing, parts: Vec::new(), used: 0, is_dropped: false });
                    return Ok(Some(None));
                }
            },
        };
        self.received.advance(end + 2);
        let is_kept = self.spend_on_value(bytes.saturating_add(value_bytes.unwrap_or(0)))?;
        if let Some(bytes) = value_bytes {
            self.value = if is_kept { Value::Kept(bytes) } else { Value::Dropped(bytes) };
        }
        Ok(Some(part))
    }

    /// Counts the bytes of a value. Returns whether it is kept: if the fields of an entry are too long, all are dropped.
    fn spend_on_value(&mut self, bytes: usize) -> Result<bool, RespError> {
        let is_entry = self.open.len() >= FIELDS_DEPTH_MIN;
        if let Some(array) = self.open.last_mut().filter(|_| is_entry) {
            if !array.is_dropped && array.used.saturating_add(bytes) > FIELDS_BYTES_MAX {
                (array.parts, array.is_dropped) = (Vec::new(), true);
                self.used -= array.used;
            }
            if array.is_dropped {
                return Ok(false);
            }
            array.used += bytes;
        }
        self.spend(bytes)?;
        Ok(true)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), RespError> {
        self.used = self.used.saturating_add(bytes);
        if self.used > REPLY_BYTES_MAX { Err(RespError::Size) } else { Ok(()) }
    }

    /// Returns where the line at the front ends, before CR LF. It is not empty.
    fn find_line(&mut self) -> Result<Option<usize>, RespError> {
        match self.received.first() {
            None => return Ok(None),
            Some(b'+' | b'-' | b':' | b'$' | b'*') => {}
            // Another protocol may never end its line.
            Some(&other) => return Err(RespError::Type(other)),
        }
        let unsearched = &self.received[self.searched..];
        let newline = memchr::memchr(b'\n', unsearched).map(|at| self.searched + at);
        if newline.unwrap_or(self.received.len()) > LINE_BYTES_MAX {
            return Err(RespError::Line);
        }
        self.searched = if newline.is_some() { 0 } else { self.received.len() };
        match newline {
            Some(newline) if self.received[newline - 1] != b'\r' => Err(RespError::End),
            newline => Ok(newline.map(|newline| newline - 1)),
        }
    }

    /// Takes a value of so many bytes, and its end.
    fn take_value(&mut self, bytes: usize) -> Result<Option<Bytes>, RespError> {
        if self.received.len() < bytes + 2 {
            return Ok(None);
        }
        self.value = Value::None;
        let value = self.received.split_to(bytes).freeze();
        if self.received[..2] != *b"\r\n" {
            return Err(RespError::End);
        }
        self.received.advance(2);
        Ok(Some(value))
    }
}

/// Appends a command: an array of values.
pub fn push_command(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    push_head(out, b'*', arguments.len());
    for argument in arguments {
        push_head(out, b'$', argument.len());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_head(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    out.extend_from_slice(count.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Reads a length; `None` is -1.
fn length(digits: &[u8]) -> Result<Option<usize>, RespError> {
    match number(digits)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| RespError::Number),
    }
}

fn number(digits: &[u8]) -> Result<i64, RespError> {
    let is_number = digits.iter().enumerate().all(|(at, byte)| byte.is_ascii_digit() || (at == 0 && *byte == b'-'));
    let text = str::from_utf8(digits).ok().filter(|_| is_number);
    text.and_then(|text| text.parse().ok()).ok_or(RespError::Number)
}

#[cfg(test)]
mod tests;
