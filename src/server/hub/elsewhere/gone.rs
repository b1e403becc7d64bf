//! The hub at the end of a server. If it is another one, the rooms are told that its members have left. If it is this
//! one, the others took it for gone, and it says hello again. `ends` in
//! [`relay::elsewhere`](crate::relay::elsewhere) has the rules.

use std::time::Instant;

use super::super::Hub;
use super::{Others, Standing};
use crate::net::stream::Socket;
use crate::relay::directory::RoomId;
use crate::relay::elsewhere::Departed;
use crate::relay::elsewhere::event::RosterEvent;
use crate::relay::record::Record;
use crate::relay::room::Outgoing;
use crate::relay::roster::Introduction;
use crate::relay::sequence::Writer;
use crate::server::report::Kind;

impl<S: Socket> Hub<S> {
    /// Handles a server whose lease has run out.
    pub(in super::super) fn on_expired(&mut self, other: Writer, now: Instant) {
        if self.roster.elsewhere().is_some_and(|elsewhere| elsewhere.has(other)) {
            let what = format_args!("the server {other} does not renew its lease, and counts as gone");
            self.reports.note(Kind::ServerGone, None, what, now);
            self.roster.tell_others(&RosterEvent::Gone { writer: other });
        } else {
            self.watch_others();
        }
    }

    /// Handles the end of a server: of another, whose members the rooms are told to have left, or of this one, as others
    /// have decided meanwhile.
    pub(super) fn on_gone(&mut self, server: Writer, told: &[Departed], now: Instant) {
        if self.bus.as_ref().is_some_and(|bus| bus.writer() == server) {
            self.on_own_end(now);
            return;
        }
        self.watch_others();
        self.end_posts_to(server);
        if let Some(others) = &mut self.others {
            others.doubts.end(server);
        }
        for departed in told {
            self.tell_departed(departed);
        }
    }

    /// Tells a room that a member of another server has left. If its last member here has just left, it is opened for
    /// that: members of others may be there.
    fn tell_departed(&mut self, Departed { number, name, room }: &Departed) {
        let is_open = self.roster.directory().find(room).is_some();
        let Some(id) = self.rooms.find_or_open(room, self.roster.directory_mut()) else { return };
        if !is_open {
            self.open_streams();
            self.rooms.note_empty(id, self.roster.directory());
        }
        let mut outgoing = Outgoing::default();
        Record::Left { number: *number, name }.push(&mut outgoing.events);
        self.submit(id, &outgoing);
        self.roster.tell_others(&RosterEvent::Left { number: *number });
    }

    /// Says hello again: the members of this server are still there.
    fn on_own_end(&mut self, now: Instant) {
        // It has not said hello yet, or it has said goodbye.
        let is_in = |others: &Others| !matches!(others.standing, Standing::Loading | Standing::Left);
        if !self.others.as_deref().is_some_and(is_in) {
            return;
        }
        self.refuse_claims();
        let what = format_args!("the other servers took this one for gone; it says hello again");
        self.reports.note(Kind::ServerOdd("taken_for_gone"), None, what, now);
        if let Some(others) = &mut self.others {
            others.claims.forget_given_up();
        }
        self.say_hello();
    }

    /// Handles the word of another server in a room that a member of this one has left: this one counted as gone. The
    /// member is introduced anew when it says something: not before, since `left` would stand behind that.
    pub(super) fn on_told_to_have_left(&mut self, number: u64, room: RoomId) {
        if let Some(member) = self.roster.find_client(number)
            && self.roster.room(member) == room
            && self.roster.introduction(member) == Introduction::Told
        {
            self.roster.introduce_anew(member);
        }
    }
}
