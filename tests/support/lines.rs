//! Line helpers that all readers of the server's lines share, and a numbered conversation in which every lost line
//! shows.

use std::fmt::Display;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::client::Client;
use super::socket::{is_readable_within, read};
use super::{DEADLINE, LONG_DEADLINE};

/// A reader of lines: a client, a browser, or the screen of an operator.
pub trait Lines {
    /// The next line, without its end. Fails the test if none comes within the deadline.
    fn line(&mut self) -> String;

    /// The name of this reader in a failed test.
    fn reader(&self) -> String;

    #[track_caller]
    fn expect(&mut self, line: impl AsRef<str>) {
        assert_eq!(self.line(), line.as_ref(), "({} got the first)", self.reader());
    }

    #[track_caller]
    fn expect_all<T: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = T>) {
        for line in lines {
            self.expect(line);
        }
    }

    /// A private notice, whatever it says.
    #[track_caller]
    fn expect_notice(&mut self) -> String {
        let line = self.line();
        assert!(line.starts_with("* ") && line.len() > 2, "not a notice: {line:?}");
        line
    }

    /// Takes lines up to the first that `is_last`. Returns them all, that one too.
    #[track_caller]
    fn lines_until(&mut self, mut is_last: impl FnMut(&str) -> bool) -> Vec<String> {
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

/// A member of the room: a client or a browser.
pub trait Member: Lines {
    /// The number that it was given; 0 before the greeting.
    fn number(&self) -> u64;

    fn set_number(&mut self, number: u64);

    /// Sends one line.
    fn send_line(&mut self, text: impl AsRef<[u8]>);

    /// Takes the greeting, which tells a newcomer its number.
    #[track_caller]
    fn greeted(&mut self) {
        let line = self.line();
        let number = line.strip_prefix("* you are client-");
        let number = number.and_then(|rest| rest.strip_suffix("; /help lists what you can do"));
        let number = number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("not the greeting: {line:?}"));
        self.set_number(number);
    }

    /// The name that it was given.
    fn name(&self) -> String {
        format!("client-{}", self.number())
    }

    /// The line by which others get `text` of it, while it has the name that it was given.
    fn says(&self, text: impl Display) -> String {
        format!("client-{}> {text}", self.number())
    }

    /// Takes the name, and waits until it has it.
    #[track_caller]
    fn rename(&mut self, name: &str) {
        self.send_line(format!("/nick {name}"));
        self.expect(format!("* {} is now {name}", self.name()));
    }

    /// Asks who is here. Returns the rows, the total last; lines that came before them come along.
    ///
    /// Afterwards the server has acted on everything that it sent before.
    #[track_caller]
    fn who(&mut self) -> Vec<String> {
        self.send_line("/who");
        self.lines_until(is_total)
    }

    /// The number of clients in the room.
    #[track_caller]
    fn present(&mut self) -> usize {
        let rows = self.who();
        let total = rows.last().and_then(|row| row.strip_prefix("* ")?.strip_suffix(" here"));
        total.expect("/who ends with it").replace(',', "").parse().expect("a number")
    }
}

/// Whether this is the last line of a reply to `/who`.
fn is_total(line: &str) -> bool {
    let total = line.strip_prefix("* ").and_then(|rest| rest.strip_suffix(" here"));
    total.is_some_and(|total| total.bytes().all(|byte| byte.is_ascii_digit() || byte == b','))
}

/// The screen of an operator: a pipe or a terminal, read only when the test looks at it.
pub struct Screen {
    source: File,
    received: Vec<u8>,
}

impl Screen {
    pub fn new(source: impl Into<OwnedFd>) -> Screen {
        Screen { source: File::from(source.into()), received: Vec::new() }
    }

    /// The next line; `None` at the end, when no writer is left.
    #[track_caller]
    pub fn try_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let line = String::from_utf8(line).expect("what is shown is UTF-8");
                return Some(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            let is_ready = is_readable_within(&self.source, DEADLINE);
            assert!(is_ready, "nothing in {DEADLINE:?}; half a line: {:?}", String::from_utf8_lossy(&self.received));
            let mut buffer = [0; 64 * 1024];
            match read(&mut self.source, &mut buffer) {
                // A terminal reports its end as an error.
                Ok(0) | Err(_) => return None,
                Ok(len) => self.received.extend(&buffer[..len]),
            }
        }
    }
}

impl Lines for Screen {
    #[track_caller]
    fn line(&mut self) -> String {
        let line = self.try_line();
        line.unwrap_or_else(|| panic!("the end came after {:?}", String::from_utf8_lossy(&self.received)))
    }

    fn reader(&self) -> String {
        "the screen".to_owned()
    }
}

/// A text that holds its number, and has another length than its neighbours.
pub fn numbered(index: usize) -> String {
    format!("{index} {}", "~".repeat(index * 7919 % 400))
}

/// Says the numbered texts `from..to`, in step with a listener that hears every one of them.
///
/// When it returns, the server has put all of them on the tape.
#[track_caller]
pub fn say_numbered(talker: &mut Client, listener: &mut Client, from: usize, to: usize) {
    let begin = Instant::now();
    let mut heard = Follower::new(talker, from);
    for start in (from..to).step_by(100) {
        let lines = start..to.min(start + 100);
        talker.send(lines.clone().map(|index| numbered(index) + "\n").collect::<String>());
        lines.for_each(|_| heard.take(&listener.line()));
        assert!(begin.elapsed() < LONG_DEADLINE, "{start} of {to} lines in {LONG_DEADLINE:?}");
    }
    assert_eq!(heard.missed, 0, "a healthy listener loses nothing");
}

/// Follows the numbered lines of a talker: each must be the one that is due, and lines that were missed must be
/// reported where they are missing, and exactly.
pub struct Follower {
    talker: String,
    due: usize,
    pub seen: usize,
    pub missed: usize,
    pub notices: usize,
}

impl Follower {
    pub fn new(talker: &Client, due: usize) -> Follower {
        Follower { talker: talker.name(), due, seen: 0, missed: 0, notices: 0 }
    }

    /// The number of the line that should come next.
    pub fn due(&self) -> usize {
        self.due
    }

    #[track_caller]
    pub fn take(&mut self, line: &str) {
        if let Some(missed) = missed(line) {
            self.missed += missed;
            self.due += missed;
            self.notices += 1;
        } else {
            assert_eq!(line, format!("{}> {}", self.talker, numbered(self.due)));
            self.seen += 1;
            self.due += 1;
        }
    }

    /// Reads on until all numbers below `to` were seen, or told as missed.
    #[track_caller]
    pub fn follow(&mut self, reader: &mut Client, to: usize) {
        let begin = Instant::now();
        while self.due < to {
            self.take(&reader.line());
            assert!(begin.elapsed() < LONG_DEADLINE, "{} of {to} lines in {LONG_DEADLINE:?}", self.due);
        }
        assert_eq!(self.due, to, "told of more than there was");
    }
}

/// The number of lines that this notice says were missed; `None` for any other line.
#[track_caller]
pub fn missed(line: &str) -> Option<usize> {
    let (count, unit) = line.strip_prefix("* you missed ")?.split_once(' ').expect("a number and a unit");
    let count = count.replace(',', "").parse().expect("a number of lines");
    assert_eq!(unit, if count == 1 { "line" } else { "lines" });
    assert!(count > 0, "a notice of nothing missed");
    Some(count)
}

/// Lets two members talk to each other, answer for question. Skips what others say meanwhile; nothing may be missed.
#[track_caller]
pub fn converse(a: &mut impl Member, b: &mut impl Member, rounds: usize) {
    for round in 0..rounds {
        ask(a, b, &format!("ping {round}"));
        ask(b, a, &format!("pong {round}"));
    }
}

/// Lets the talker say it, and the listener get it, having missed nothing.
#[track_caller]
pub fn ask(talker: &mut impl Member, listener: &mut impl Member, text: &str) {
    talker.send_line(text);
    let said = talker.says(text);
    for line in listener.lines_until(|line| line == said) {
        assert_eq!(missed(&line), None, "{} is healthy", listener.name());
    }
}
