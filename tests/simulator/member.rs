//! What is known of one connection.

use std::time::Instant;

use crate::limits::{Bucket, Idleness};
use crate::stalls::Stall;
use crate::visits::Exchange;

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its number; one who was refused has none.
    pub(crate) number: Option<u64>,
    /// What it was ever called, the last one last.
    pub(crate) names: Vec<String>,
    /// Up to where what it asked for is settled by the log.
    pub(crate) heard: usize,
    /// Which of its renames came about.
    pub(crate) won: Vec<usize>,
    /// Up to where what it asked for is answered in private.
    pub(crate) answered: usize,
    /// Lines of the answer under way that it was given.
    pub(crate) answer_lines: usize,
    /// How many lines it said, up to `answered`.
    pub(crate) lines_said: usize,
    /// Up to where what it asked for was looked at.
    pub(crate) scanned: usize,
    /// What it must be told first.
    pub(crate) greeting: Vec<String>,
    pub(crate) greeted: usize,
    /// Where in the log it came, and where it left if the log says so.
    pub(crate) joined: usize,
    pub(crate) left: Option<usize>,
    /// It cannot have left before here.
    pub(crate) left_floor: Option<usize>,
    /// The next item that it may be given.
    pub(crate) next: usize,
    /// Lines that it was told it missed, in the gap that begins at `next`.
    pub(crate) missed: usize,
    pub(crate) partial: Vec<u8>,
    pub(crate) has_fin: bool,
    /// It was let go because it read too slowly.
    pub(crate) is_kicked: bool,
    pub(crate) is_closed: bool,
    /// The tail of the tape may have passed it once.
    pub(crate) was_overtaken: bool,
    /// The same, since it last had everything: of notices it may miss any without a word.
    pub(crate) lags: bool,
    /// The end of the log when it was let go at the earliest, if it was told so.
    pub(crate) let_go_since: Option<usize>,
    pub(crate) stall: Stall,
    pub(crate) bucket: Bucket,
    pub(crate) idleness: Idleness,
    /// What there is besides of one who came to the page's door.
    pub(crate) visit: Option<Box<Exchange>>,
    /// Until when it is not greeted on the port for lines, unless it says something.
    pub(crate) withheld_until: Option<Instant>,
    /// What it was answered who speaks HTTP on the port for lines.
    pub(crate) hint: Option<String>,
}

impl Member {
    pub(crate) fn new(number: Option<u64>, names: Vec<String>, greeting: Vec<String>) -> Member {
        Member {
            number,
            names,
            heard: 0,
            won: Vec::new(),
            answered: 0,
            answer_lines: 0,
            lines_said: 0,
            scanned: 0,
            greeting,
            greeted: 0,
            joined: 0,
            left: None,
            left_floor: None,
            next: 0,
            missed: 0,
            partial: Vec::new(),
            has_fin: false,
            is_kicked: false,
            is_closed: false,
            was_overtaken: false,
            lags: false,
            let_go_since: None,
            stall: Stall::default(),
            bucket: Bucket::default(),
            idleness: Idleness::default(),
            visit: None,
            withheld_until: None,
            hint: None,
        }
    }

    /// Whether the door did not let it in, or the house was full.
    pub(crate) fn is_refused(&self) -> bool {
        self.number.is_none() && self.visit.as_ref().is_none_or(|visit| visit.is_refused())
    }

    /// Whether it was told all that comes first, and what it is shown of what was said before is known.
    pub(crate) fn is_greeted(&self) -> bool {
        self.greeted > self.greeting.len()
    }

    /// Whether a line to it was begun and not ended.
    pub(crate) fn is_amid_line(&self) -> bool {
        !self.partial.is_empty()
    }

    pub(crate) fn next_greeting(&self) -> Option<&str> {
        self.greeting.get(self.greeted).map(String::as_str)
    }
}
