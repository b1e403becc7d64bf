//! The state of one connection, as far as the oracle can tell.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{Bucket, Idleness};
use crate::lock::Told;
use crate::room::LOBBY;
use crate::said::Ear;
use crate::stalls::Stall;
use crate::tracked::{Stage, Tracked};
use crate::visits::Exchange;

/// The way in which the room learns of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Introduction {
    /// Not yet, or there was nothing to learn of it.
    Pending,
    /// By `joined`; it will learn `left`, too.
    Told,
    /// By neither: the room was too full.
    Untold,
}

/// A first name, which only its bearer is told of.
#[derive(Debug)]
pub(crate) struct FirstName {
    /// The place of the request among all that the client asked for.
    pub(crate) place: usize,
    /// The line that it is told.
    pub(crate) line: String,
}

/// The stay of a member in a room: what it is owed of that room's tape, and what it was given.
#[derive(Debug, Default)]
pub(crate) struct Stay {
    pub(crate) room: usize,
    /// The place of the request that brought it here, among all that it asked for, and the line that answers it; `None`
    /// if it came here when it entered the server.
    pub(crate) asked: Option<(usize, String)>,
    /// Its first place in the log, and the end of what it is owed once it has left.
    pub(crate) joined: usize,
    pub(crate) left: Option<usize>,
    /// The next item that it may be given.
    pub(crate) next: usize,
    /// Lines that it was told it missed, in the gap that begins at `next`.
    pub(crate) missed: usize,
    /// Whether it is known how many earlier lines it is sent.
    pub(crate) is_begun: bool,
    /// The tail of the tape may have passed it since it last had everything: of notices it may miss any without a word.
    pub(crate) lags: bool,
    pub(crate) stall: Stall,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Member {
    /// When it was accepted.
    pub(crate) came: Instant,
    /// Since when it should have entered, and nothing kept the server from seeing that.
    pub(crate) overdue: Option<Instant>,
    /// Whether it was refused on the line port.
    pub(crate) is_turned_away: bool,
    /// Whether it was refused at its accept, and so never counted for its address.
    pub(crate) is_refused_at_accept: bool,
    /// Turns that ended while it had sent its first line and had not entered.
    pub(crate) late_turns: usize,
    /// Whether it was closed without being told so.
    pub(crate) is_silenced: bool,
    /// Which greeting was in force when it entered.
    pub(crate) greeting_at_entry: usize,
    /// Its number, once it has entered.
    pub(crate) number: Option<u64>,
    pub(crate) introduction: Introduction,
    /// Whether the room may have been too full when it was to be introduced.
    pub(crate) may_be_untold: bool,
    /// When it is introduced at the latest, if it entered a small room.
    pub(crate) introduce_by: Option<Instant>,
    /// Whether it took a name before it was introduced.
    pub(crate) is_named_first: bool,
    pub(crate) first_names: Vec<FirstName>,
    /// All its names, the last one last.
    pub(crate) names: Vec<String>,
    /// Up to where what it asked for is settled by the log.
    pub(crate) heard: usize,
    /// The places of its requests for a name that were granted.
    pub(crate) won: Vec<usize>,
    /// Up to where what it asked for is answered in private.
    pub(crate) answered: usize,
    /// Lines of the answer under way that it was given.
    pub(crate) answer_lines: usize,
    /// Lines that it said, up to `answered`.
    pub(crate) lines_said: usize,
    /// Up to where what it asked for was looked at.
    pub(crate) scanned: usize,
    /// The lines that it must be told first.
    pub(crate) greeting: Vec<String>,
    pub(crate) greeted: usize,
    /// It must be told next that the room is kept.
    pub(crate) awaits_kept: bool,
    /// The room that it is given lines of, and those in which it was since; at least one.
    pub(crate) stays: VecDeque<Stay>,
    /// Where it is on its way to, or was when it left.
    pub(crate) way: Option<usize>,
    /// The place of the request that it moves by, or moved by last.
    pub(crate) moved_by: usize,
    /// Whether its first line brought it into its first room.
    pub(crate) entered_by_join: bool,
    /// It has left the server.
    pub(crate) has_left: bool,
    /// The version of the roster when each of its requests was read, at the latest.
    pub(crate) asked_at: Vec<u32>,
    /// Rows of the answer under way.
    pub(crate) rows: Vec<String>,
    pub(crate) partial: Vec<u8>,
    pub(crate) has_fin: bool,
    /// It was told its own `exit`.
    pub(crate) has_exit: bool,
    /// It was disconnected though it did not wish to leave.
    pub(crate) is_kicked: bool,
    /// The reason for which an operator removed it, and whether it was told so.
    pub(crate) removal: Option<&'static str>,
    pub(crate) is_told_removal: bool,
    /// Whether it leaves the server because of an operator.
    pub(crate) is_removed: bool,
    /// The notice of the ban that has come over its address while it was connected.
    pub(crate) is_banned: Option<String>,
    pub(crate) is_closed: bool,
    /// The tail of the tape may have passed it once.
    pub(crate) was_overtaken: bool,
    pub(crate) bucket: Bucket,
    pub(crate) idleness: Idleness,
    /// The rest of the state of a connection on the page's port.
    pub(crate) visit: Option<Box<Exchange>>,
    /// The answer to HTTP on the line port, as far as it came.
    pub(crate) hint: Option<String>,
    /// The rest of the state of a tracked connection.
    pub(crate) tracked: Option<Box<Tracked>>,
    /// Until when its seat is kept, if it has lost its connection.
    pub(crate) away_until: Option<Instant>,
    /// Its session goes on elsewhere.
    pub(crate) is_elsewhere: bool,
    /// Whether it was told that the server keeps its session over the restart.
    pub(crate) is_handed_over: bool,
    /// Whether it alone was told of the shutdown.
    pub(crate) is_told_of_stop: bool,
    /// Then its address had so many clients that it is dropped at once.
    pub(crate) is_in_the_way: bool,
    /// It goes on with a session: of what it was before, the oracle knows not all.
    pub(crate) is_resumed: bool,
    /// It has said a line.
    pub(crate) has_said: bool,
    /// Its said lines: their places among all that it asked for, their rooms, and their items.
    pub(crate) said_at: Vec<(usize, usize, usize)>,
    /// The room in which its seat is, if it was lost on the way there.
    pub(crate) seated_in: Option<usize>,
    /// What it was told before it gave the password, and when it gave that.
    pub(crate) at_door: Told,
    pub(crate) unlocked: Option<Instant>,
    /// The token of its name, if that belongs to it.
    pub(crate) token: Option<&'static str>,
    /// Lines that it has to be told of names that it has lost.
    pub(crate) losses: VecDeque<String>,
}

impl Member {
    pub(crate) fn new(came: Instant) -> Member {
        Member {
            came,
            overdue: None,
            is_turned_away: false,
            is_refused_at_accept: false,
            late_turns: 0,
            is_silenced: false,
            greeting_at_entry: 0,
            number: None,
            introduction: Introduction::Pending,
            may_be_untold: false,
            introduce_by: None,
            is_named_first: false,
            first_names: Vec::new(),
            names: Vec::new(),
            heard: 0,
            won: Vec::new(),
            answered: 0,
            answer_lines: 0,
            lines_said: 0,
            scanned: 0,
            greeting: Vec::new(),
            awaits_kept: false,
            greeted: 0,
            stays: VecDeque::from([Stay { room: LOBBY, ..Stay::default() }]),
            way: None,
            moved_by: usize::MAX,
            entered_by_join: false,
            has_left: false,
            asked_at: Vec::new(),
            rows: Vec::new(),
            partial: Vec::new(),
            has_fin: false,
            has_exit: false,
            is_kicked: false,
            removal: None,
            is_told_removal: false,
            is_removed: false,
            is_banned: None,
            is_closed: false,
            was_overtaken: false,
            bucket: Bucket::default(),
            idleness: Idleness::default(),
            visit: None,
            hint: None,
            tracked: None,
            away_until: None,
            is_elsewhere: false,
            is_handed_over: false,
            is_told_of_stop: false,
            is_in_the_way: false,
            is_resumed: false,
            has_said: false,
            said_at: Vec::new(),
            seated_in: None,
            at_door: Told::default(),
            unlocked: None,
            token: None,
            losses: VecDeque::new(),
        }
    }

    /// Whether it was refused by its address, or because there was no free seat. A browser that was refused in its
    /// WebSocket does not count.
    pub(crate) fn is_refused(&self) -> bool {
        self.visit.as_ref().map_or(self.is_turned_away, |visit| visit.is_refused())
    }

    /// Whether it is on the server, in a room or between two.
    pub(crate) fn is_present(&self) -> bool {
        self.number.is_some() && !self.has_left
    }

    /// Whether it asked to be tracked, and may be sent again from now on what it was sent: from where is not known yet.
    pub(crate) fn begins_again(&self, ear: &Ear) -> bool {
        ear.is_tracked() && self.tracked.as_ref().is_none_or(|tracked| tracked.stage != Stage::Live)
    }

    /// Whether it asked so later than with its first line: where it was meanwhile, the oracle does not know.
    pub(crate) fn has_begun_again(&self, ear: &Ear) -> bool {
        self.begins_again(ear) || self.tracked.as_ref().is_some_and(|tracked| tracked.is_late)
    }

    /// The stay of which it is given lines.
    pub(crate) fn stay(&self) -> &Stay {
        &self.stays[0]
    }

    pub(crate) fn stay_mut(&mut self) -> &mut Stay {
        &mut self.stays[0]
    }

    /// The stay in the room that it is in, or left last.
    pub(crate) fn last_stay(&self) -> &Stay {
        &self.stays[self.stays.len() - 1]
    }

    pub(crate) fn last_stay_mut(&mut self) -> &mut Stay {
        let last = self.stays.len() - 1;
        &mut self.stays[last]
    }

    /// The room whose tape it is owed.
    pub(crate) fn room(&self) -> usize {
        self.last_stay().room
    }

    /// Its row in a list.
    pub(crate) fn row(&self) -> String {
        let away = if self.away_until.is_some() { ", away" } else { "" };
        self.names.last().map_or("", String::as_str).to_owned() + away
    }

    /// The room in which its seat is.
    pub(crate) fn seat_room(&self) -> usize {
        self.seated_in.unwrap_or(self.room())
    }

    /// Whether it has a seat in a room, with a connection or without.
    pub(crate) fn has_seat_in(&self, room: usize) -> bool {
        (self.is_seated() || self.away_until.is_some()) && self.way.is_none() && self.seat_room() == room
    }

    /// The wait for it in the room that it is in, or left last.
    pub(crate) fn stall(&self) -> &Stall {
        &self.last_stay().stall
    }

    /// Whether it is in a room.
    pub(crate) fn is_seated(&self) -> bool {
        self.is_present() && self.way.is_none()
    }

    /// Whether it is on the line port or has opened a WebSocket, and has neither entered nor been refused.
    pub(crate) fn is_entering(&self) -> bool {
        let may_enter = match &self.visit {
            Some(visit) => visit.opened.is_some() && !visit.is_refused_inside,
            None => !self.is_turned_away,
        };
        self.number.is_none() && may_enter
    }

    /// When it was accepted, or opened its WebSocket.
    pub(crate) fn came_in(&self) -> Instant {
        self.visit.as_ref().and_then(|visit| visit.opened).unwrap_or(self.came)
    }

    /// When its time to enter began.
    pub(crate) fn enters_since(&self) -> Instant {
        let since = self.came_in();
        self.unlocked.map_or(since, |unlocked| unlocked.max(since))
    }

    /// Whether `line` tells it of its first name.
    pub(crate) fn is_told_first_name(&self, line: &str) -> bool {
        self.first_names.iter().any(|first| first.place >= self.answered && first.line == line)
    }

    /// Whether it was sent its greeting, and it is known how many earlier lines it is sent.
    pub(crate) fn is_greeted(&self) -> bool {
        self.stays.len() == 1 && self.stay().is_begun
    }

    /// Whether a line to it was begun and not ended.
    pub(crate) fn is_amid_line(&self) -> bool {
        !self.partial.is_empty()
    }

    pub(crate) fn next_greeting(&self) -> Option<&str> {
        self.greeting.get(self.greeted).map(String::as_str)
    }
}
