//! Moves from room to room: where a member goes, where its new room begins for it, and the line that tells it so.

use pollchat::relay::room::Audience;
use pollchat::server::config::Lag;

use crate::log::Kind;
use crate::member::{Introduction, Member, Stay};
use crate::oracle::{Oracle, is_same_name};
use crate::room::{Due, LOBBY, Room, looks_like};
use crate::rule::{Rule, Verdict, Violation};
use crate::said::{Asked, is_name, is_reserved};

const ROOM_FORM: &str = "the name of a room is 1 to 24 letters, digits, _ or -";

/// The line that tells a member where it is.
pub(crate) fn place_line(room: &str, others: usize) -> String {
    match others {
        0 => format!("* you are in {room}, alone"),
        1 => format!("* you are in {room}, with 1 other"),
        _ => format!("* you are in {room}, with {others} others"),
    }
}

impl Oracle {
    /// Judges that a client enters the server in the room that its first line asks for, or in the lobby.
    pub(crate) fn judge_first_room(&mut self, member: usize, room: usize) -> Verdict {
        let first = self.wires[member].borrow().ear.asked.first().cloned();
        let wanted = match &first {
            Some(Asked::Join { name, .. }) if self.config.rooms_max > 1 => Some(name),
            _ => None,
        };
        if room != LOBBY {
            let is_wanted = wanted.is_some_and(|name| is_same_name(name, &self.rooms[room].name));
            Rule::Place.demands(is_wanted, || format!("it enters in {}", self.rooms[room].name))?;
            self.members[member].heard = 1;
            self.members[member].entered_by_join = true;
            return self.charge(member, 1);
        }
        // A line without its end may be over when its author has entered already.
        let is_whole = self.config.flush_after.is_none() && self.wires[member].borrow().ear.ended.is_none();
        let is_line_client = self.members[member].visit.is_none();
        let can_go = |name: &String| {
            let is_there = self.live().any(|room| room.is_open && is_same_name(&room.name, name));
            let is_free = self.is_room_name(name) && self.lookalike(name).is_none() && !self.is_full_house();
            !is_same_name(name, "lobby") && (is_there || is_free)
        };
        let is_late = wanted.is_some_and(can_go) && is_whole && is_line_client;
        Rule::Place.demands(!is_late, || format!("it asked for {wanted:?} at once, and enters in the lobby"))
    }

    fn is_room_name(&self, name: &str) -> bool {
        is_name(name) && !is_reserved(name)
    }

    /// The room that exists for ever and that a name looks like.
    fn lookalike(&self, name: &str) -> Option<&str> {
        let permanent = self.live().filter(|room| room.is_permanent && !is_same_name(&room.name, name));
        permanent.map(|room| &*room.name).find(|other| looks_like(name, other))
    }

    /// A member leaves its room for another.
    pub(crate) fn move_out(&mut self, member: usize, room: usize, to: usize) -> Verdict {
        self.judge_seated(member, room)?;
        let name = self.rooms[to].name.clone();
        let answered = self.members[member].answered;
        let is_silent = self.config.audience == Audience::Sender;
        let place = self.settle_heard(member, |place, asked| match asked {
            // A request that was answered already was refused.
            Asked::Join { name: asked, .. } if is_same_name(asked, &name) && place >= answered => Some(Ok(())),
            Asked::Say(said) if !is_silent => Some(Rule::Author.broken(format!("{said:?} was said before it moved"))),
            _ => None,
        })?;
        self.charge_request(member, place)?;
        let is_new = room != to && self.rooms[to].is_open && self.config.rooms_max > 1;
        Rule::Place.demands(is_new, || format!("it moves to {name}"))?;
        self.unseat(member, room);
        self.rooms[to].empty_since = None;
        let known = &mut self.members[member];
        known.way = Some(to);
        known.moved_by = place;
        known.introduction = Introduction::Pending;
        known.introduce_by = None;
        known.is_named_first = false;
        known.may_be_untold = false;
        Ok(())
    }

    /// A member that moves arrives in its new room.
    pub(crate) fn arrive(&mut self, member: usize, name: &str, room: usize) -> Verdict {
        let now = self.now();
        let known = &mut self.members[member];
        let is_expected = known.is_present() && known.way == Some(room);
        Rule::Place.demands(is_expected, || "it did not go there".to_owned())?;
        let is_called_so = known.names.last().is_some_and(|own| own == name);
        Rule::Names.demands(is_called_so, || format!("it arrives as {name}"))?;
        known.way = None;
        let place = known.moved_by;
        let others = self.take_seat(member, room);
        let asked = Some((place, place_line(&self.rooms[room].name, others)));
        let stay = self.stay_in(room, asked);
        let announces = others < self.config.announce_up_to;
        let known = &mut self.members[member];
        known.stays.push_back(stay);
        self.arrive_tracked(member, room);
        let known = &mut self.members[member];
        if self.config.lag == Lag::Wait {
            // At the wall, it has to wait. Its own history may be what the room waits for.
            let Room { log, backlog_bytes, was_at_wall, .. } = &mut self.rooms[room];
            let room_bytes = *backlog_bytes - self.config.longest_line_bytes();
            *was_at_wall |= log.end() - log.offset(known.last_stay().next) > room_bytes;
            known.may_be_untold = !announces;
            known.introduce_by = Some(now);
        } else if announces {
            self.rooms[room].due = Some(Due { line: format!("* {name} joined"), by: member, kind: Kind::Joined });
        } else {
            known.introduction = Introduction::Untold;
        }
        Ok(())
    }

    /// Gives a member a seat in a room. Returns how many others are there.
    pub(crate) fn take_seat(&mut self, member: usize, room: usize) -> usize {
        let number = self.members[member].number;
        let place = self.rooms[room].seats.partition_point(|&other| self.members[other].number < number);
        self.rooms[room].seats.insert(place, member);
        self.rooms[room].empty_since = None;
        self.rooms[room].count();
        self.note_version(room);
        self.rooms[room].seats.len() - 1
    }

    /// A stay in a room that begins at the end of its log. Until the member is told how many earlier lines it is sent,
    /// it may stand at the first of as many as there can be.
    pub(crate) fn stay_in(&self, room: usize, asked: Option<(usize, String)>) -> Stay {
        let items = &self.rooms[room].log.items;
        let at = items.len();
        let history = usize::try_from(self.config.history_lines).unwrap_or(usize::MAX);
        let said = (0..at).rev().filter(|&item| items[item].kind == Kind::Said);
        let next = said.take(history).last().unwrap_or(at);
        Stay { room, asked, joined: at, next, ..Stay::default() }
    }

    /// The room that a member was in, or on its way to, when it asked for something.
    pub(crate) fn room_at(&self, member: usize, place: usize) -> usize {
        let before = |stay: &&Stay| stay.asked.as_ref().is_none_or(|&(asked, _)| asked < place);
        self.members[member].stays.iter().take_while(before).last().map_or(LOBBY, |stay| stay.room)
    }

    /// Checks the answer to a request for another room.
    pub(crate) fn judge_join(&mut self, member: usize, place: usize, name: &str, line: &str) -> Verdict {
        let next = self.members[member].stays.get(1).and_then(|stay| stay.asked.clone());
        if let Some((asked, place_line)) = next.filter(|&(asked, _)| asked == place) {
            if self.is_full_of_rooms(member, place, line) {
                return self.put_move_off(member, asked);
            }
            Rule::Place.demands(line == place_line, || format!("not where it is: {place_line:?}"))?;
            let verdict = self.judge_missed(member);
            verdict.map_err(|violation| violation.of(Rule::Border))?;
            self.members[member].stays.pop_front();
            let is_tracked = self.members[member].tracked.is_some();
            self.members[member].awaits_kept = !is_tracked && self.is_kept(self.members[member].stay().room);
            return Ok(());
        }
        if self.members[member].moved_by == place && self.members[member].way.is_some() {
            let is_full = self.is_full_of_rooms(member, place, line);
            Rule::Border.demands(is_full, || "it has not arrived".to_owned())?;
            return self.put_move_off(member, place);
        }
        let own = &self.rooms[self.room_at(member, place)];
        let is_right = if name.is_empty() {
            line == format!("* /join NAME: {ROOM_FORM}")
        } else if !is_name(name) {
            line == format!("* {ROOM_FORM}")
        } else if is_reserved(name) {
            line == format!("* the name {name} is taken")
        } else if let Some(other) = self.lookalike(name) {
            line == format!("* {name} looks like {other}")
        } else if is_same_name(name, &own.name) {
            line == format!("* you are in {} already", own.name)
        } else {
            self.is_full_of_rooms(member, place, line)
        };
        Rule::Place.demands(is_right, || format!("no reason not to go to {name:?} from {}", own.name))
    }

    /// Whether a member is told that there was no place for the room that it seemed to be on its way to: a later request
    /// took it there.
    pub(crate) fn is_move_put_off(&self, member: usize, place: usize, line: &str) -> bool {
        let known = &self.members[member];
        known.way.is_some() && known.moved_by == place && self.is_full_of_rooms(member, place, line)
    }

    /// Whether this line tells that there was no place for another room, at some time since it asked for one.
    fn is_full_of_rooms(&self, member: usize, place: usize, line: &str) -> bool {
        let since = self.members[member].asked_at.get(place).copied().unwrap_or(0);
        let is_it =
            |rooms: usize| line == format!("* there are {rooms} room{} already", if rooms == 1 { "" } else { "s" });
        self.counts_of_rooms(since).any(|rooms| rooms >= self.config.rooms_max && is_it(rooms))
    }

    /// A member asked for the same room twice, and not the request at `place` brought it there, but a later one. So did
    /// later ones bring it to the rooms where it went then.
    fn put_move_off(&mut self, member: usize, place: usize) -> Verdict {
        let wire = self.wires[member].borrow();
        let Member { stays, way, moved_by, heard, .. } = &mut self.members[member];
        let moves = stays.iter_mut().filter_map(|stay| stay.asked.as_mut().map(|(asked, _)| (asked, stay.room)));
        let last = way.map(|room| (moved_by, room));
        let mut from = place + 1;
        for (asked, room) in moves.chain(last).filter(|(asked, _)| **asked >= place) {
            let name = &self.rooms[room].name;
            let is_same = |asked: &Asked| matches!(asked, Asked::Join { name: other, .. } if is_same_name(name, other));
            let later = (from.max(*asked)..wire.ear.asked.len()).find(|&at| is_same(&wire.ear.asked[at]));
            let Some(later) = later else { return Rule::Place.broken(format!("it went to {name}")) };
            *asked = later;
            from = later + 1;
            *heard = (*heard).max(from);
        }
        Ok(())
    }

    /// Checks a line of `/rooms`; whether it is the last.
    pub(crate) fn judge_rooms(&mut self, member: usize, place: usize, line: &str) -> Result<bool, Violation> {
        let known = &mut self.members[member];
        known.rows.push(line.to_owned());
        if line.starts_with("* room: ") {
            return Ok(false);
        }
        let rows = std::mem::take(&mut known.rows);
        let since = known.asked_at.get(place).copied().unwrap_or(0);
        let list = crate::room::digest(rows.iter().map(String::as_str));
        Rule::Lists.demands(self.were_rooms(list, since), || format!("never were all rooms {rows:?}")).map(|()| true)
    }
}
