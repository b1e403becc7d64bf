//! Events for one other server alone: private messages of members, their answers, and the wish for a snapshot.
//!
//! ```text
//! m ID TO NUMBER FROM TEXT    a message for the member TO, from the member NUMBER that is called FROM
//! d ID OUTCOME                what has become of it: told, unread, away or unknown
//! r                           events of this server were lost: the other one needs a snapshot
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::Hub;
use super::super::input::ReadTurn;
use crate::net::stream::Socket;
use crate::relay::name::is_shown_name;
use crate::relay::notice::Notice;
use crate::relay::roster::MemberId;
use crate::relay::sanitize::sanitize;
use crate::relay::sequence::Writer;
use crate::server::bus::Entry;
use crate::server::connection::{Connection, Handle};

/// Longest wait for the answer of another server. Then the message counts as unread.
const POST_TIME: Duration = Duration::from_secs(5);

/// Messages that wait for an answer. A further one counts as unread.
const POSTS_MAX: usize = 1_000;

/// The wish for a snapshot.
const SNAPSHOT_WANTED: &str = "r";

/// The messages of members of this server that wait for an answer, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Posts {
    waiting: VecDeque<Post>,
    last_id: u64,
}

#[derive(Debug)]
struct Post {
    id: u64,
    server: Writer,
    author: Handle,
    to: String,
    text: String,
    until: Instant,
}

/// The outcome of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Told,
    Unread,
    Away,
    Unknown,
}

impl Outcome {
    const ALL: [(Outcome, &str); 4] =
        [(Outcome::Told, "told"), (Outcome::Unread, "unread"), (Outcome::Away, "away"), (Outcome::Unknown, "unknown")];

    fn parse(word: &str) -> Option<Outcome> {
        Outcome::ALL.iter().find(|(_, other)| *other == word).map(|&(outcome, _)| outcome)
    }

    fn word(self) -> &'static str {
        Outcome::ALL.iter().find(|(outcome, _)| *outcome == self).map_or("", |&(_, word)| word)
    }

    /// Returns what the author is told.
    fn notice<'a>(self, to: &'a str, text: &'a str) -> Notice<'a> {
        match self {
            Outcome::Told => Notice::YouTold { to, text },
            Outcome::Unread => Notice::NotReading { name: to },
            Outcome::Away => Notice::Away { name: to },
            Outcome::Unknown => Notice::NobodyCalled { name: to },
        }
    }
}

impl Posts {
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.waiting.front().map(|post| post.until)
    }
}

impl<S: Socket> Hub<S> {
    /// Sends a private message to a member of another server. Its answer comes later.
    pub(in super::super) fn post(
        &mut self,
        turn: &mut ReadTurn,
        member: MemberId,
        (to, text): (u64, &str),
        now: Instant,
    ) {
        let Some(row) = self.roster.elsewhere().and_then(|elsewhere| elsewhere.row(to, 0)) else { return };
        let (server, name) = (row.server, row.name);
        let is_sent = self.is_in_touch();
        let author = self.connections[turn.key].handle(turn.key);
        let (Some(others), Some(bus)) = (&mut self.others, &mut self.bus) else { return };
        if !is_sent || others.posts.waiting.len() >= POSTS_MAX {
            self.reply(turn, &Notice::NotReading { name: &name }.to_line());
            return;
        }
        others.posts.last_id += 1;
        let id = others.posts.last_id;
        let (number, from) = (self.roster.number(member), self.roster.shown(member));
        bus.post(server, &format!("m {id} {to} {number} {from} {text}\n"));
        let post = Post { id, server, author, to: name, text: text.to_owned(), until: now + POST_TIME };
        others.posts.waiting.push_back(post);
        turn.reply_bytes_left = turn.reply_bytes_left.saturating_sub(text.len());
    }

    /// Handles what another server sent to this one.
    pub(in super::super) fn hear_post(&mut self, entry: &Entry) {
        for line in entry.events.lines() {
            if let Some((id, to, from, text)) = parse_message(line) {
                let outcome = self.deliver(to, from, text);
                if let Some(bus) = &mut self.bus {
                    bus.post(entry.writer, &format!("d {id} {}\n", outcome.word()));
                }
            } else if let Some((id, outcome)) = parse_outcome(line) {
                self.on_outcome(entry.writer, id, outcome);
            } else if line == SNAPSHOT_WANTED
                && let Some(others) = &mut self.others
            {
                others.is_asked = true;
            }
        }
    }

    /// Asks another server for a snapshot: some of its events were lost.
    pub(super) fn ask_for_snapshot(&mut self, server: Writer) {
        if let Some(bus) = &mut self.bus {
            bus.post(server, &format!("{SNAPSHOT_WANTED}\n"));
        }
    }

    /// Tells a member of this server what one of another says.
    fn deliver(&mut self, to: u64, from: &str, text: &str) -> Outcome {
        let Some(member) = self.roster.find_client(to) else { return Outcome::Unknown };
        let Some(key) = self.roster.key(member) else { return Outcome::Away };
        let mut sanitized = String::new();
        let text = sanitize(text.as_bytes(), &mut sanitized);
        let text = &text[..text.floor_char_boundary(self.rooms.options().line_bytes_max)];
        let message = Notice::TellsYou { from, text }.to_line();
        let others_max = self.limits.read.private_bytes_max / 2;
        if !self.connections[key].has_room_for(message.len(), others_max) {
            return Outcome::Unread;
        }
        self.tell(key, &message);
        Outcome::Told
    }

    fn on_outcome(&mut self, server: Writer, id: u64, outcome: Outcome) {
        let Some(others) = &mut self.others else { return };
        let place = others.posts.waiting.iter().position(|post| post.id == id && post.server == server);
        if let Some(post) = place.and_then(|place| others.posts.waiting.remove(place)) {
            self.answer_author(&post, outcome);
        }
    }

    fn answer_author(&mut self, post: &Post, outcome: Outcome) {
        let author = self.connections.known(post.author);
        if author.is_some_and(Connection::was_in_room) {
            self.tell(post.author.key, &outcome.notice(&post.to, &post.text).to_line());
        }
    }

    /// Ends the waits for answers that are over.
    pub(super) fn end_late_posts(&mut self, now: Instant) {
        while let Some(others) = &mut self.others
            && let Some(post) = others.posts.waiting.pop_front_if(|post| post.until <= now)
        {
            self.answer_author(&post, Outcome::Unread);
        }
    }

    /// Ends the waits for answers of a server that is gone.
    pub(super) fn end_posts_to(&mut self, server: Writer) {
        let Some(others) = &mut self.others else { return };
        let waiting = std::mem::take(&mut others.posts.waiting);
        let (ended, waiting) = waiting.into_iter().partition(|post| post.server == server);
        others.posts.waiting = waiting;
        let ended: VecDeque<Post> = ended;
        ended.iter().for_each(|post| self.answer_author(post, Outcome::Unread));
    }
}

/// Reads a message: its id, the number of the member that it is for, its author and its text.
fn parse_message(line: &str) -> Option<(u64, u64, &str, &str)> {
    let mut words = line.strip_prefix("m ")?.splitn(5, ' ');
    let (id, to) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (_number, from, text) = (words.next()?, words.next()?, words.next()?);
    (is_shown_name(from) && !text.is_empty()).then_some((id, to, from, text))
}

fn parse_outcome(line: &str) -> Option<(u64, Outcome)> {
    let (id, outcome) = line.strip_prefix("d ")?.split_once(' ')?;
    Some((id.parse().ok()?, Outcome::parse(outcome)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_are_written_and_hostile_ones_are_not() {
        assert_eq!(parse_message("m 1 1001 7 ana good  night"), Some((1, 1_001, "ana", "good  night")));
        for line in ["m 1 1001 7 ana", "m 1 1001 7 ana ", "m x 1001 7 ana hi", "m 1 1001 7 a>b hi", "d 1 told", "m"] {
            assert_eq!(parse_message(line), None, "{line}");
        }
        for (outcome, word) in Outcome::ALL {
            assert_eq!(parse_outcome(&format!("d 7 {word}")), Some((7, outcome)));
        }
        assert_eq!((parse_outcome("d 7 x"), parse_outcome("d told")), (None, None));
    }
}
