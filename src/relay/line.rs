//! Line framing: owns the part of a line that a stream has sent without its end.
//!
//! A chunk of any size goes into [`LineDecoder::next`], lines come out, and "no whole line yet" is `None`. A line ends
//! with LF or CRLF; [`LineEnds`] says whether a CR ends it, too. Memory is bounded by the limit on a line, whatever
//! arrives.
//!
//! NULs are padding: they do not count toward the limit, and are dropped before a line and from a fragment.
//! [`sanitize`](super::sanitize) drops those within a line that arrived whole.

use std::mem;

use super::sanitize::after_marks;

/// A line, or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line as received, without its end.
    Text(&'a [u8]),
    /// A further piece of a line over the limit ([`Overlong::Cut`]).
    More(&'a [u8]),
    /// The beginning of a line over the limit ([`Overlong::Drop`]), of at least 64 bytes or as many as have arrived.
    /// Returned once per line; the whole line is dropped.
    TooLong(&'a [u8]),
}

/// The treatment of a line over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// It is dropped up to its newline, and reported once as [`Line::TooLong`].
    Drop,
    /// It is returned in pieces within the limit, cut between characters.
    Cut,
}

/// The ends of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnds {
    /// LF or CRLF. Any other CR is part of its line.
    Newline,
    /// Also a CR alone, and CR NUL: telnet and raw terminals send them for the Enter key.
    NewlineOrReturn,
}

/// The rules by which a stream is cut into lines.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    /// The longest line as received, in bytes, without its end and without NULs.
    pub line_bytes_max: usize,
    /// The treatment of a longer line.
    pub overlong: Overlong,
    /// The ends of lines.
    pub ends: LineEnds,
}

impl Framing {
    /// Returns the place of the first end of a line.
    pub(crate) fn line_end(self, bytes: &[u8]) -> Option<usize> {
        match self.ends {
            LineEnds::Newline => memchr::memchr(b'\n', bytes),
            LineEnds::NewlineOrReturn => memchr::memchr2(b'\n', b'\r', bytes),
        }
    }
}

/// Minimum that [`Line::TooLong`] shows of a dropped line, in bytes: enough to recognize an HTTP request.
const BEGINNING_BYTES: usize = 64;

/// Splits one stream into lines.
///
/// Invariant: between calls, `fragment` holds no LF, no NUL and at most `line_bytes_max + 1` bytes; the last of them
/// may be the CR of a CRLF. Each byte is searched for the end of a line once. An idle decoder holds no heap memory.
#[derive(Debug, Default)]
pub struct LineDecoder {
    fragment: Vec<u8>,
    /// Bytes at the front of `fragment` that the last call returned. The next call discards them.
    returned: usize,
    fate: Fate,
    /// Whether the stream stands behind a CR that ended a line, and that an LF may still follow.
    is_after_return: bool,
    /// Whether a CR has ended a line, alone or before LF.
    has_seen_return: bool,
}

/// The fate of the bytes up to the next LF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    /// They are a line.
    #[default]
    Line,
    /// They are the rest of a line whose first pieces were returned.
    Rest,
    /// They are the rest of a line that is dropped.
    Dropped,
}

impl LineDecoder {
    /// Takes the next line off the front of `input`; `None` once `input` is used up.
    ///
    /// A line that lies whole in `input` is borrowed, not copied.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8], framing: Framing) -> Option<Line<'a>> {
        self.discard_returned();
        loop {
            let bytes: &'i [u8] = if self.is_empty() { skip_padding(input, &mut self.is_after_return) } else { input };
            let newline = framing.line_end(bytes);
            let (arrived, rest) = match newline {
                Some(end) => (&bytes[..end], self.after_end(&bytes[end..])),
                None => (bytes, &bytes[bytes.len()..]),
            };
            if self.fate == Fate::Dropped {
                *input = rest;
                newline?;
                self.fate = Fate::Line;
                continue;
            }
            if self.is_over(arrived, framing.line_bytes_max) {
                return Some(match framing.overlong {
                    Overlong::Drop => {
                        *input = rest;
                        self.drop_line(arrived, newline.is_some())
                    }
                    Overlong::Cut => self.cut_line(bytes, input, framing.line_bytes_max),
                });
            }
            *input = rest;
            if newline.is_none() {
                self.keep(arrived);
                return None;
            }
            let fate = mem::take(&mut self.fate);
            let whole = if self.fragment.is_empty() {
                arrived
            } else {
                self.keep(arrived);
                self.returned = self.fragment.len();
                &self.fragment
            };
            return Some(as_line(fate, whole.strip_suffix(b"\r").unwrap_or(whole)));
        }
    }

    /// Returns an unterminated line as a line, at EOF or although the stream goes on. If the line was being dropped, it
    /// ends here.
    pub fn finish(&mut self, framing: Framing) -> Option<Line<'_>> {
        self.discard_returned();
        let fate = mem::take(&mut self.fate);
        let over = self.fragment.len() > framing.line_bytes_max;
        match fate {
            Fate::Dropped => None,
            _ if self.fragment.is_empty() => None,
            _ if over && framing.overlong == Overlong::Drop => {
                self.returned = self.fragment.len();
                Some(Line::TooLong(&self.fragment))
            }
            _ => {
                // At most one byte over the limit, and that is a CR at the end.
                self.returned = self.fragment.len();
                Some(as_line(fate, &self.fragment))
            }
        }
    }

    /// Whether the unterminated line stops in the middle of a UTF-8 character.
    pub fn ends_mid_char(&self) -> bool {
        let fragment = self.fragment();
        let end = &fragment[fragment.len().saturating_sub(3)..];
        let lead = end.iter().rposition(|byte| byte & 0xc0 != 0x80);
        lead.is_some_and(|lead| str::from_utf8(&end[lead..]).is_err_and(|error| error.error_len().is_none()))
    }

    /// Returns the unterminated line, as far as it is kept.
    pub fn fragment(&self) -> &[u8] {
        &self.fragment[self.returned..]
    }

    /// Whether the stream stands between two lines.
    pub fn is_empty(&self) -> bool {
        self.fragment.len() == self.returned && self.fate == Fate::Line
    }

    /// Whether it holds nothing that a new decoder would not: no part of a line, and no half of a CRLF.
    pub fn is_unused(&self) -> bool {
        self.is_empty() && !self.is_after_return
    }

    /// Whether the stream stands behind a CR that ended a line, and that an LF may still follow.
    pub fn is_after_return(&self) -> bool {
        self.is_empty() && self.is_after_return
    }

    /// Whether a CR, alone or before LF, has ended a line: its peer needs CRLF.
    pub fn has_seen_return(&self) -> bool {
        self.has_seen_return
    }

    /// Returns the line that `input` begins or continues in two pieces, without the LF and NULs that
    /// [`next`](Self::next) would skip.
    pub fn begun<'a>(&'a self, input: &'a [u8]) -> [&'a [u8]; 2] {
        let input = if self.is_empty() { skip_padding(input, &mut self.is_after_return.clone()) } else { input };
        [self.fragment(), input]
    }

    /// Returns the first byte of the line that `input` begins or continues, as [`sanitize`](super::sanitize) leaves it.
    pub fn first_byte(&self, input: &[u8]) -> Option<u8> {
        let bytes = self.begun(input).into_iter().flatten().copied().filter(|&byte| byte != 0);
        after_marks(bytes).next()
    }

    /// Returns the heap memory, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.fragment.capacity()
    }

    fn discard_returned(&mut self) {
        self.fragment.drain(..self.returned);
        self.returned = 0;
        if self.fragment.is_empty() {
            // Fragments are rare and short-lived. A client that sends whole lines should not pay for an old one.
            self.fragment = Vec::new();
        }
    }

    /// Whether the fragment and `arrived` exceed the limit, whatever follows.
    pub(crate) fn is_over(&self, arrived: &[u8], limit: usize) -> bool {
        let fragment = self.fragment();
        if fragment.len() + arrived.len() <= limit {
            return false;
        }
        let bytes = || fragment.iter().chain(arrived).filter(|&&byte| byte != 0);
        let len = bytes().take(limit + 2).count();
        // The byte after the limit may be the CR of the line's end.
        len > limit + 1 || (len == limit + 1 && bytes().next_back() != Some(&b'\r'))
    }

    /// Returns the bytes behind the end of a line, with which `bytes` begin.
    fn after_end<'i>(&mut self, bytes: &'i [u8]) -> &'i [u8] {
        match bytes {
            [b'\r', rest @ ..] => {
                self.has_seen_return = true;
                let after_newline = rest.strip_prefix(b"\n");
                self.is_after_return = after_newline.is_none();
                after_newline.unwrap_or(rest)
            }
            _ => &bytes[1..],
        }
    }

    fn keep(&mut self, arrived: &[u8]) {
        if memchr::memchr(0, arrived).is_none() {
            self.fragment.extend_from_slice(arrived);
        } else {
            self.fragment.extend(arrived.iter().filter(|&&byte| byte != 0));
        }
    }

    fn drop_line<'a, 'i: 'a>(&'a mut self, arrived: &'i [u8], ended: bool) -> Line<'a> {
        self.fate = if ended { Fate::Line } else { Fate::Dropped };
        if self.fragment.is_empty() {
            return Line::TooLong(arrived);
        }
        let missing = BEGINNING_BYTES.saturating_sub(self.fragment.len()).min(arrived.len());
        self.keep(&arrived[..missing]);
        self.returned = self.fragment.len();
        Line::TooLong(&self.fragment)
    }

    fn cut_line<'i>(&mut self, bytes: &'i [u8], input: &mut &'i [u8], limit: usize) -> Line<'_> {
        let missing = (limit + 1).saturating_sub(self.fragment.len());
        let places = bytes.iter().enumerate().filter(|&(_, &byte)| byte != 0).map(|(place, _)| place + 1);
        let (taken, rest) = bytes.split_at(places.take(missing).last().unwrap_or(0));
        self.keep(taken);
        *input = rest;
        self.returned = cut_between_characters(&self.fragment, limit);
        let fate = mem::replace(&mut self.fate, Fate::Rest);
        as_line(fate, &self.fragment[..self.returned])
    }
}

/// Skips the LF of a CRLF whose CR ended the last line, and NULs before a line.
fn skip_padding<'i>(input: &'i [u8], is_after_return: &mut bool) -> &'i [u8] {
    let mut bytes = input;
    loop {
        match bytes {
            [0, rest @ ..] => bytes = rest,
            [b'\n', rest @ ..] if *is_after_return => {
                *is_after_return = false;
                bytes = rest;
            }
            [] => return bytes,
            _ => {
                *is_after_return = false;
                return bytes;
            }
        }
    }
}

fn as_line(fate: Fate, bytes: &[u8]) -> Line<'_> {
    if fate == Fate::Rest { Line::More(bytes) } else { Line::Text(bytes) }
}

/// Returns the last place at or before `limit` that splits no character, or `limit` if none is near.
fn cut_between_characters(bytes: &[u8], limit: usize) -> usize {
    let is_continuation = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (limit.saturating_sub(3).max(1)..=limit).rev().find(|&at| !is_continuation(at)).unwrap_or(limit)
}

#[cfg(test)]
mod tests;
