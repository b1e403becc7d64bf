//! Line framing: owns the part of a line that a stream has sent without its end.
//!
//! A chunk of any size goes into [`LineDecoder::next`], lines come out, and "no whole line yet" is `None`. A line ends
//! with LF or CRLF. Memory is bounded by the limit on a line, whatever arrives.

use std::mem;

/// A line, or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line as received, without its end (LF or CRLF).
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

/// The rules by which a stream is cut into lines.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    /// The longest line as received, in bytes, without its end.
    pub line_bytes_max: usize,
    /// The treatment of a longer line.
    pub overlong: Overlong,
}

/// Minimum that [`Line::TooLong`] shows of a dropped line, in bytes: enough to recognize an HTTP request.
const BEGINNING_BYTES: usize = 64;

/// Splits one stream into lines.
///
/// Invariant: between calls, `fragment` holds no LF and at most `line_bytes_max + 1` bytes; the last of them may be the
/// CR of a CRLF. Each byte is searched for LF once. An idle decoder holds no heap memory.
#[derive(Debug, Default)]
pub struct LineDecoder {
    fragment: Vec<u8>,
    /// Bytes at the front of `fragment` that the last call returned. The next call discards them.
    returned: usize,
    fate: Fate,
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
            let bytes: &'i [u8] = input;
            let newline = memchr::memchr(b'\n', bytes);
            let (arrived, rest) = match newline {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
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
                    Overlong::Cut => self.cut_line(input, framing.line_bytes_max),
                });
            }
            *input = rest;
            if newline.is_none() {
                self.fragment.extend_from_slice(arrived);
                return None;
            }
            let fate = mem::take(&mut self.fate);
            let whole = if self.fragment.is_empty() {
                arrived
            } else {
                self.fragment.extend_from_slice(arrived);
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
        let len = self.fragment.len() + arrived.len();
        // The byte after the limit may be the CR of the line's end.
        let last = arrived.last().or(self.fragment.last());
        len > limit + 1 || (len == limit + 1 && last != Some(&b'\r'))
    }

    fn drop_line<'a, 'i: 'a>(&'a mut self, arrived: &'i [u8], ended: bool) -> Line<'a> {
        self.fate = if ended { Fate::Line } else { Fate::Dropped };
        if self.fragment.is_empty() {
            return Line::TooLong(arrived);
        }
        let missing = BEGINNING_BYTES.saturating_sub(self.fragment.len()).min(arrived.len());
        self.fragment.extend_from_slice(&arrived[..missing]);
        self.returned = self.fragment.len();
        Line::TooLong(&self.fragment)
    }

    fn cut_line(&mut self, input: &mut &[u8], limit: usize) -> Line<'_> {
        let (taken, rest) = input.split_at((limit + 1).saturating_sub(self.fragment.len()));
        self.fragment.extend_from_slice(taken);
        *input = rest;
        self.returned = cut_between_characters(&self.fragment, limit);
        let fate = mem::replace(&mut self.fate, Fate::Rest);
        as_line(fate, &self.fragment[..self.returned])
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

    /// The same by looking at all of the input at once.
    fn naive(input: &[u8], limit: usize) -> Vec<Said> {
        let mut all = Vec::new();
        let mut lines = input.split(|&byte| byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let is_last = lines.peek().is_none();
            if is_last && line.is_empty() {
                break;
            }
            let text = if is_last { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
            all.push(if text.len() > limit { Said::TooLong } else { Said::Text(text.to_vec()) });
        }
        all
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
        let framing = Framing { line_bytes_max: 2, overlong: Overlong::Drop };
        for len in 0..=7_u32 {
            for code in 0..3_usize.pow(len) {
                let input: Vec<u8> = (0..len).map(|i| alphabet[code / 3_usize.pow(i) % 3]).collect();
                let expected = naive(&input, 2);
                for chunks in every_split(&input) {
                    assert_eq!(decode(chunks.iter().copied(), framing), expected, "{input:?} as {chunks:?}");
                }
            }
        }
    }

    #[test]
    fn a_line_at_the_limit_is_whole_with_either_end() {
        let framing = Framing { line_bytes_max: 4, overlong: Overlong::Drop };
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
        let framing = Framing { line_bytes_max: 4, overlong: Overlong::Drop };
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
        let framing = Framing { line_bytes_max: 4, overlong: Overlong::Drop };
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
        let framing = Framing { line_bytes_max: 4_096, overlong: Overlong::Drop };
        let mut decoder = LineDecoder::default();
        for mut chunk in [&b"hel"[..], b"lo\n", b""] {
            while decoder.next(&mut chunk, framing).is_some() {}
        }
        assert!(decoder.is_empty());
        assert_eq!(decoder.heap_bytes(), 0);
    }

    #[test]
    fn a_cut_line_comes_in_pieces_and_loses_nothing() {
        let framing = Framing { line_bytes_max: 3, overlong: Overlong::Cut };
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
        let framing = Framing { line_bytes_max: 5, overlong: Overlong::Cut };
        let pieces = decode([&[0x80; 12][..]], framing);
        let bytes: usize =
            pieces.iter().map(|piece| if let Said::Text(b) | Said::More(b) = piece { b.len() } else { 0 }).sum();
        assert_eq!((pieces.len(), bytes), (3, 12));
    }

    #[test]
    fn a_line_that_is_broken_off_is_one_and_the_next_is_another() {
        let framing = Framing { line_bytes_max: 4, overlong: Overlong::Drop };
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
        let framing = Framing { line_bytes_max: 100, overlong: Overlong::Drop };
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
