//! Line framing: owns the part of a line that a stream has sent without its end.
//!
//! A chunk of any size goes into [`LineDecoder::next`], lines come out, and "no whole line yet" is `None`. A line ends
//! with LF or CRLF; [`LineEnds`] says whether a CR ends it, too. Memory is bounded by the limit on a line, whatever
//! arrives.
//!
//! NULs are padding: they do not count toward the limit, and are dropped before a line and from a fragment.
//! [`sanitize`](super::sanitize) drops those within a line that arrived whole.

use std::mem;

use super::sanitize::BYTE_ORDER_MARK;

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
/// Invariant: between calls, `fragment` holds no LF, no NUL and at most `line_bytes_max + 1` bytes; the last of them may
/// be the CR of a CRLF. Each byte is searched for the end of a line once. An idle decoder holds no heap memory.
#[derive(Debug, Default)]
pub struct LineDecoder {
    fragment: Vec<u8>,
    /// Bytes at the front of `fragment` that the last call returned. The next call discards them.
    returned: usize,
    fate: Fate,
    /// Whether the stream stands behind a CR that ended a line, and that an LF may still follow.
    is_after_return: bool,
    /// Whether a CR has ended a line.
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

    /// Ends the stream at EOF. An unterminated line is its last one.
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

    /// Returns an unterminated line as a line, although the stream goes on. If the line was being dropped, it ends
    /// here.
    pub fn flush_partial(&mut self, framing: Framing) -> Option<Line<'_>> {
        self.discard_returned();
        // The CR may be half of a CRLF, whose LF then becomes an empty line.
        if self.fragment.last() == Some(&b'\r') {
            self.fragment.pop();
        }
        self.finish(framing)
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

    /// Whether a CR has ended a line: its peer needs CRLF.
    pub fn has_seen_return(&self) -> bool {
        self.has_seen_return
    }

    /// Returns the first byte of the line that `input` begins or continues, as [`sanitize`](super::sanitize) leaves it.
    pub fn first_byte(&self, input: &[u8]) -> Option<u8> {
        let input = skip_padding(input, &mut self.is_after_return.clone());
        let mut bytes = self.fragment().iter().chain(input).copied().filter(|&byte| byte != 0);
        while bytes.clone().take(BYTE_ORDER_MARK.len()).eq(BYTE_ORDER_MARK) {
            bytes.nth(BYTE_ORDER_MARK.len() - 1);
        }
        bytes.next()
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
        if self.fragment.len() + arrived.len() <= limit {
            return false;
        }
        let bytes = || self.fragment.iter().chain(arrived).filter(|&&byte| byte != 0);
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
mod tests {
    use super::*;

    /// An owned [`Line`].
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Said {
        Text(Vec<u8>),
        More(Vec<u8>),
        TooLong,
    }

    fn said(line: &Line<'_>) -> Said {
        match line {
            Line::Text(bytes) => Said::Text(bytes.to_vec()),
            Line::More(bytes) => Said::More(bytes.to_vec()),
            Line::TooLong(_) => Said::TooLong,
        }
    }

    fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, framing: Framing) -> Vec<Said> {
        let mut decoder = LineDecoder::default();
        let mut all = Vec::new();
        for mut chunk in chunks {
            while let Some(line) = decoder.next(&mut chunk, framing) {
                all.push(said(&line));
            }
            assert!(chunk.is_empty(), "all of a chunk is taken in");
            assert!(decoder.fragment.len() <= framing.line_bytes_max + 1, "a fragment is bounded");
        }
        all.extend(decoder.finish(framing).map(|line| said(&line)));
        all
    }

    /// The same by looking at all of the input at once. It must hold no NUL.
    fn naive(input: &[u8], framing: Framing) -> Vec<Said> {
        let mut text = String::from_utf8(input.to_vec()).unwrap();
        if framing.ends == LineEnds::NewlineOrReturn {
            text = text.replace("\r\n", "\n").replace('\r', "\n");
        }
        let mut all = Vec::new();
        let mut lines = text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let is_last = lines.peek().is_none();
            if is_last && line.is_empty() {
                break;
            }
            let text = if is_last { line } else { line.strip_suffix('\r').unwrap_or(line) };
            all.push(if text.len() > framing.line_bytes_max { Said::TooLong } else { Said::Text(text.into()) });
        }
        all
    }

    fn framing(line_bytes_max: usize, overlong: Overlong) -> Framing {
        Framing { line_bytes_max, overlong, ends: LineEnds::Newline }
    }

    /// Every way to cut `input` into chunks.
    fn every_split(input: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
        let cuts = input.len().saturating_sub(1);
        (0..1_u32 << cuts).map(move |mask| {
            let mut chunks = Vec::new();
            let mut start = 0;
            for end in (1..input.len()).filter(|end| mask >> (end - 1) & 1 == 1).chain([input.len()]) {
                chunks.push(&input[start..end]);
                start = end;
            }
            chunks
        })
    }

    #[test]
    fn every_split_of_every_short_input_gives_the_same_lines() {
        let alphabet = [b'a', b'\n', b'\r'];
        for ends in [LineEnds::Newline, LineEnds::NewlineOrReturn] {
            let framing = Framing { ends, ..framing(2, Overlong::Drop) };
            for len in 0..=7_u32 {
                for code in 0..3_usize.pow(len) {
                    let input: Vec<u8> = (0..len).map(|i| alphabet[code / 3_usize.pow(i) % 3]).collect();
                    let expected = naive(&input, framing);
                    for chunks in every_split(&input) {
                        assert_eq!(decode(chunks.iter().copied(), framing), expected, "{input:?} as {chunks:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn nuls_are_padding_wherever_they_stand() {
        let alphabet = [b'a', b'\n', b'\r', 0];
        for overlong in [Overlong::Drop, Overlong::Cut] {
            let framing = Framing { ends: LineEnds::NewlineOrReturn, ..framing(2, overlong) };
            for code in 0..4_usize.pow(6) {
                let input: Vec<u8> = (0..6).map(|i| alphabet[code / 4_usize.pow(i) % 4]).collect();
                let without: Vec<u8> = input.iter().copied().filter(|&byte| byte != 0).collect();
                let expected = decode([&without[..]], framing);
                for chunks in every_split(&input) {
                    let mut lines = decode(chunks.iter().copied(), framing);
                    for line in &mut lines {
                        if let Said::Text(bytes) | Said::More(bytes) = line {
                            bytes.retain(|&byte| byte != 0);
                        }
                    }
                    // Whether a CR NUL LF is one end or two is not seen: an empty line says nothing.
                    let words = |lines: &[Said]| lines.iter().filter(|l| **l != Said::Text(vec![])).cloned().collect();
                    let (lines, expected): (Vec<Said>, Vec<Said>) = (words(&lines), words(&expected));
                    assert_eq!(lines, expected, "{input:?} as {chunks:?}");
                }
            }
        }
    }

    #[test]
    fn a_buffer_of_padding_is_no_line_and_keeps_no_memory() {
        let framing = Framing { ends: LineEnds::NewlineOrReturn, ..framing(16, Overlong::Drop) };
        let mut decoder = LineDecoder::default();
        let message = [&b"hello\n"[..], &[0; 8_000]].concat();
        for _ in 0..3 {
            let mut input = &message[..];
            assert_eq!(decoder.next(&mut input, framing), Some(Line::Text(b"hello")));
            assert_eq!(decoder.next(&mut input, framing), None);
            assert!(decoder.is_unused());
        }
        // So does the padding behind a line without an end, and it does not count toward the limit.
        let message = [&b"hello"[..], &[0; 8_000]].concat();
        assert_eq!(decoder.next(&mut &message[..], framing), None);
        assert_eq!(decoder.flush_partial(framing), Some(Line::Text(b"hello")));
    }

    #[test]
    fn the_first_byte_of_a_line_is_the_one_that_is_obeyed() {
        let framing = Framing { ends: LineEnds::NewlineOrReturn, ..framing(16, Overlong::Drop) };
        let first_byte = |mut before: &[u8], input: &[u8]| {
            let mut decoder = LineDecoder::default();
            while decoder.next(&mut before, framing).is_some() {}
            decoder.first_byte(input)
        };
        for (before, input) in [
            (&b""[..], &b"/who"[..]),
            (b"", b"\0\0/who"),
            (b"/", b"who"),
            (b"\xef\xbb", b"\xbf\0/who"),
            (b"", b"\xef\xbb\xbf\xef\xbb\xbf/who"),
            (b"hello\r", b"\0\n\0/who"),
        ] {
            assert_eq!(first_byte(before, input), Some(b'/'), "{before:?} {input:?}");
        }
        assert_eq!(first_byte(b"hello\r", b"\n"), None);
        assert_eq!(first_byte(b"", b"\xef\xbb/who"), Some(0xef));
    }

    #[test]
    fn a_line_at_the_limit_is_whole_with_either_end() {
        let framing = framing(4, Overlong::Drop);
        for input in ["abcd\n", "abcd\r\n", "abcd"] {
            for chunks in every_split(input.as_bytes()) {
                assert_eq!(decode(chunks, framing), [Said::Text(b"abcd".to_vec())]);
            }
        }
        for input in ["abcde\n", "abcde\r\n", "abcde", "abcd\r", "abcd\rx\n"] {
            for chunks in every_split(input.as_bytes()) {
                assert_eq!(decode(chunks, framing), [Said::TooLong], "{input:?}");
            }
        }
    }

    #[test]
    fn an_endless_line_is_told_once_and_keeps_nothing() {
        let framing = framing(4, Overlong::Drop);
        let mut decoder = LineDecoder::default();
        let mut told = 0;
        for _ in 0..1_000 {
            let mut chunk = &b"abc"[..];
            while decoder.next(&mut chunk, framing).is_some() {
                told += 1;
            }
        }
        assert_eq!((told, decoder.heap_bytes()), (1, 0));
        let mut chunk = &b"\nok\n"[..];
        assert_eq!(decoder.next(&mut chunk, framing), Some(Line::Text(b"ok")));
    }

    #[test]
    fn the_beginning_of_a_dropped_line_is_handed_out_however_it_came() {
        let framing = framing(4, Overlong::Drop);
        let line: Vec<u8> = (0..200).map(|at| b'a' + at % 26).collect();
        for first in 0..=4 {
            let mut decoder = LineDecoder::default();
            let (mut head, mut tail) = line.split_at(first);
            assert_eq!(decoder.next(&mut head, framing), None);
            let Some(Line::TooLong(beginning)) = decoder.next(&mut tail, framing) else { panic!("cut at {first}") };
            assert!(beginning.len() >= BEGINNING_BYTES && line.starts_with(beginning), "cut at {first}");
            assert_eq!(decoder.next(&mut &b"\n"[..], framing), None);
            assert_eq!(decoder.heap_bytes(), 0);
        }
    }

    #[test]
    fn a_decoder_between_two_lines_keeps_no_memory() {
        let framing = framing(4_096, Overlong::Drop);
        let mut decoder = LineDecoder::default();
        for mut chunk in [&b"hel"[..], b"lo\n", b""] {
            while decoder.next(&mut chunk, framing).is_some() {}
        }
        assert!(decoder.is_empty());
        assert_eq!(decoder.heap_bytes(), 0);
    }

    #[test]
    fn a_cut_line_comes_in_pieces_and_loses_nothing() {
        let framing = framing(3, Overlong::Cut);
        let text = |bytes: &[u8]| Said::Text(bytes.to_vec());
        let more = |bytes: &[u8]| Said::More(bytes.to_vec());
        for chunks in every_split(b"abcdefgh\nxyz\r\nuv") {
            let expected = [text(b"abc"), more(b"def"), more(b"gh"), text(b"xyz"), text(b"uv")];
            assert_eq!(decode(chunks, framing), expected);
        }
        // A character of three bytes does not fit behind one of two: it is not split.
        for chunks in every_split("é…é\n".as_bytes()) {
            let expected = [text("é".as_bytes()), more("…".as_bytes()), more("é".as_bytes())];
            assert_eq!(decode(chunks, framing), expected);
        }
    }

    #[test]
    fn bytes_that_are_no_characters_are_cut_at_the_limit() {
        let framing = framing(5, Overlong::Cut);
        let pieces = decode([&[0x80; 12][..]], framing);
        let bytes: usize =
            pieces.iter().map(|piece| if let Said::Text(b) | Said::More(b) = piece { b.len() } else { 0 }).sum();
        assert_eq!((pieces.len(), bytes), (3, 12));
    }

    #[test]
    fn a_line_that_is_broken_off_is_one_and_the_next_is_another() {
        let framing = framing(4, Overlong::Drop);
        let broken_off = |mut input: &[u8]| {
            let mut decoder = LineDecoder::default();
            let mut all = Vec::new();
            while let Some(line) = decoder.next(&mut input, framing) {
                all.push(said(&line));
            }
            all.extend(decoder.flush_partial(framing).map(|line| said(&line)));
            assert!(decoder.is_empty());
            let mut next: &[u8] = b"\nnext\n";
            while let Some(line) = decoder.next(&mut next, framing) {
                all.push(said(&line));
            }
            all
        };
        let text = |text: &str| Said::Text(text.into());
        assert_eq!(broken_off(b""), [text(""), text("next")]);
        assert_eq!(broken_off(b"abc"), [text("abc"), text(""), text("next")]);
        assert_eq!(broken_off(b"abc\r"), [text("abc"), text(""), text("next")], "half of a CRLF");
        assert_eq!(broken_off(b"abcd\r"), [text("abcd"), text(""), text("next")]);
        assert_eq!(broken_off(b"\r"), [text(""), text("next")]);
        assert_eq!(broken_off(b"one\ntwo"), [text("one"), text("two"), text(""), text("next")]);
        // A line that is too long was told of, and is over.
        assert_eq!(broken_off(b"abcdef"), [Said::TooLong, text(""), text("next")]);
    }

    #[test]
    fn a_line_that_stops_in_the_middle_of_a_character_is_known() {
        let framing = framing(100, Overlong::Drop);
        let is_amid = |mut input: &[u8]| {
            let mut decoder = LineDecoder::default();
            assert_eq!(decoder.next(&mut input, framing), None);
            decoder.ends_mid_char()
        };
        for text in ["", "a", "é", "a€", "😀", "aé😀"] {
            assert!(!is_amid(text.as_bytes()), "{text}");
        }
        for c in ['é', '€', '😀'] {
            let bytes = c.to_string().into_bytes();
            for cut in 1..bytes.len() {
                assert!(is_amid(&bytes[..cut]), "{c} cut at {cut}");
                assert!(is_amid(&[b"ab", &bytes[..cut]].concat()), "{c} cut at {cut}");
                assert!(!is_amid(&[&bytes[..cut], b"a"].concat()), "{c} cut at {cut}, and no other half can follow");
            }
        }
        for never in [&b"\x80"[..], b"\xff", b"a\x80\x80\x80", b"\xc0", b"\xe0\x80", b"\xf0\x9f\x98\x80\x80"] {
            assert!(!is_amid(never), "{never:?}");
        }
    }
}
