//! Earlier logs of a room, and answers from the tape to `/history` and `/search`: said lines with their times, the
//! newest last.
//!
//! An answer has at most [`ROWS_MAX`] rows, and at most [`ANSWER_BYTES_MAX`] bytes unless a single row has more. A
//! search looks at the newest [`SEARCHED_BYTES_MAX`] of the tape, and costs up to half a millisecond.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::super::notice::Notice;
use super::super::past::Past;
use super::super::stamp::RecordId;
use super::{Decision, Room, reply};

/// Most rows of an answer.
const ROWS_MAX: u64 = 100;

/// Rows of `/history` without a number.
const ROWS: u64 = 20;

/// Bytes of an answer: a quarter of what a client may leave unread.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the tape that a search looks at.
const SEARCHED_BYTES_MAX: u64 = 1024 * 1024;

/// Searched bytes for which one byte of a reply counts: a search of the most bytes uses up the replies of a turn.
const SEARCHED_BYTES_A_BYTE: u64 = 4;

/// The newest rows of an answer.
#[derive(Default)]
struct Rows {
    rows: VecDeque<String>,
    bytes: usize,
}

impl Rows {
    fn push(&mut self, time_ms: u64, line: &[u8]) {
        let mut row = String::new();
        // The tape holds UTF-8.
        let line = String::from_utf8_lossy(line);
        Notice::Said { time: &utc(time_ms), line: &line }.push_line(&mut row);
        self.bytes += row.len();
        self.rows.push_back(row);
        while self.rows.len() as u64 > ROWS_MAX || (self.bytes > ANSWER_BYTES_MAX && self.rows.len() > 1) {
            self.bytes -= self.rows.pop_front().map_or(0, |row| row.len());
        }
    }

    fn into_reply(self) -> String {
        let lines = self.rows.len() as u64;
        let mut reply: String = self.rows.into_iter().collect();
        Notice::LinesTotal { lines }.push_line(&mut reply);
        reply
    }
}

impl Room {
    /// Lets the empty tape go on behind earlier logs, with the last of their records.
    pub fn load(&mut self, past: Past, text: &[u8]) {
        self.tape.load(past, text);
    }

    /// Lets the loaded tape go on in the newest of its earlier logs, which ends here.
    pub fn go_on_in_log(&mut self, end: RecordId) {
        self.tape.go_on_in_log(end);
    }

    /// Answers `/history`, with the number of lines as typed.
    pub(super) fn history(&self, typed: &str) -> Decision<'static> {
        let count = if typed.is_empty() { Some(ROWS) } else { typed.parse().ok().filter(|&count: &u64| count > 0) };
        let Some(count) = count else { return reply(Notice::HistoryUsage) };
        let mut rows = Rows::default();
        for (offset, line) in self.tape.said_from(self.tape.back(count.min(ROWS_MAX))) {
            rows.push(self.tape.time_at(offset), &line);
        }
        Decision::Reply(rows.into_reply())
    }

    /// Answers `/search`. Looks for the word in lines and in names, in ASCII regardless of case.
    pub(super) fn search(&self, word: &str) -> Decision<'static> {
        if word.is_empty() {
            return reply(Notice::SearchUsage);
        }
        let end = self.tape.end().offset;
        let start = self.tape.first_from(end.saturating_sub(SEARCHED_BYTES_MAX).max(self.tape.tail()));
        let mut rows = Rows::default();
        for (offset, line) in self.tape.said_from(start) {
            if contains(&line, word.as_bytes()) {
                rows.push(self.tape.time_at(offset), &line);
            }
        }
        let effort = usize::try_from((end - start.offset) / SEARCHED_BYTES_A_BYTE).unwrap_or(usize::MAX);
        Decision::Costly { reply: rows.into_reply(), effort }
    }
}

/// Returns a time of day in UTC, as people read it.
fn utc(time_ms: u64) -> String {
    let time = i64::try_from(time_ms).ok().and_then(|time_ms| Timestamp::from_millisecond(time_ms).ok());
    time.unwrap_or_default().strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Whether a line contains a word. Letters of ASCII match in both cases.
fn contains(line: &[u8], word: &[u8]) -> bool {
    let Some((&first, rest)) = word.split_first() else { return true };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    memchr::memchr2_iter(lower, upper, line).any(|at| {
        let behind = line.get(at + 1..at + 1 + rest.len());
        behind.is_some_and(|behind| behind.eq_ignore_ascii_case(rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_at_any_place_and_in_any_case() {
        for (line, word, is_found) in [
            ("ana> Hello", "hello", true),
            ("ana> Hello", "O", true),
            ("ana> hhello", "HELLO", true),
            ("ana> hell", "hello", false),
            ("ana> Zoë", "zoë", true),
            ("ana> ZOË", "zoë", false),
            ("ana> x", "ANA>", true),
        ] {
            assert_eq!(contains(line.as_bytes(), word.as_bytes()), is_found, "{line} {word}");
        }
    }

    #[test]
    fn a_time_is_shown_in_utc() {
        assert_eq!(utc(1_764_166_801_123), "2025-11-26 14:20:01Z");
        assert_eq!(utc(u64::MAX), "1970-01-01 00:00:00Z");
    }
}
