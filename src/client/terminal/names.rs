//! Names seen, for completion: those of members, in our room or elsewhere, and those of rooms. Pure.

use crate::client::limits::NAMES_MAX;
use crate::relay::name::{Name, fold};

/// Names seen, the latest last.
#[derive(Debug)]
pub(super) struct Names {
    members: Vec<Seen>,
    rooms: Vec<Seen>,
    /// Our room, folded.
    room: Box<str>,
}

#[derive(Debug)]
struct Seen {
    shown: Box<str>,
    folded: Box<str>,
    /// Whether it is the name of a member of our room. Others may still be on the server.
    is_here: bool,
}

impl Default for Names {
    fn default() -> Names {
        let mut names = Names { members: Vec::new(), rooms: Vec::new(), room: Name::LOBBY.into() };
        names.add_room(Name::LOBBY);
        names
    }
}

impl Names {
    /// Adds a member of our room as the latest.
    pub(super) fn add(&mut self, name: &str) {
        add(&mut self.members, name, true);
    }

    /// Adds a member that may be in another room as the latest. While the lobby alone is known, it is there.
    pub(super) fn add_from_anywhere(&mut self, name: &str) {
        let folded = fold(name);
        let is_here = self.rooms.len() == 1 || self.members.iter().any(|seen| seen.folded == folded && seen.is_here);
        add(&mut self.members, name, is_here);
    }

    /// Removes a name that is no longer used.
    pub(super) fn remove(&mut self, name: &str) {
        remove(&mut self.members, &fold(name));
    }

    /// Records that a member has left our room.
    pub(super) fn on_left(&mut self, name: &str) {
        let folded = fold(name);
        if let Some(seen) = self.members.iter_mut().rev().find(|seen| seen.folded == folded) {
            seen.is_here = false;
        }
    }

    /// Adds a room as the latest.
    pub(super) fn add_room(&mut self, room: &str) {
        add(&mut self.rooms, room, true);
    }

    /// Records that we are in this room. In another room than before, nobody has been seen yet.
    pub(super) fn enter(&mut self, room: &str) {
        self.add_room(room);
        let folded = fold(room);
        if folded != self.room {
            self.room = folded;
            self.members.iter_mut().for_each(|seen| seen.is_here = false);
        }
    }

    /// Returns the names of our room that begin with `typed` in any case, the latest first.
    pub(super) fn beginning_with(&self, typed: &str) -> Vec<String> {
        beginning_with(&self.members, typed, |seen| seen.is_here)
    }

    /// Returns the names that begin with `typed` in any case: first those of our room, each the latest first.
    pub(super) fn anywhere_beginning_with(&self, typed: &str) -> Vec<String> {
        [self.beginning_with(typed), beginning_with(&self.members, typed, |seen| !seen.is_here)].concat()
    }

    /// Returns the rooms that begin with `typed` in any case, the latest first.
    pub(super) fn rooms_beginning_with(&self, typed: &str) -> Vec<String> {
        beginning_with(&self.rooms, typed, |_| true)
    }
}

fn add(list: &mut Vec<Seen>, name: &str, is_here: bool) {
    let folded = fold(name);
    remove(list, &folded);
    if list.len() == NAMES_MAX {
        list.remove(0);
    }
    list.push(Seen { shown: name.into(), folded, is_here });
}

fn remove(list: &mut Vec<Seen>, folded: &str) {
    // Most senders have sent recently, so search from the end.
    if let Some(at) = list.iter().rposition(|seen| &*seen.folded == folded) {
        list.remove(at);
    }
}

fn beginning_with(list: &[Seen], typed: &str, is_offered: impl Fn(&Seen) -> bool) -> Vec<String> {
    let typed = fold(typed);
    let matching = list.iter().rev().filter(|seen| seen.folded.starts_with(&*typed) && is_offered(seen));
    matching.map(|seen| seen.shown.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_in_any_case_the_latest_first() {
        let mut names = Names::default();
        for name in ["ana", "Anton", "ben", "ANA"] {
            names.add(name);
        }
        assert_eq!(names.beginning_with("an"), ["ANA", "Anton"]);
        assert_eq!(names.beginning_with("AN"), ["ANA", "Anton"]);
        names.remove("ana");
        assert_eq!(names.beginning_with(""), ["ben", "Anton"]);
        assert!(names.beginning_with("x").is_empty());
    }

    #[test]
    fn no_more_names_are_kept_than_the_limit() {
        let mut names = Names::default();
        for number in 0..NAMES_MAX + 5 {
            names.add(&format!("client-{number}"));
        }
        assert_eq!(names.beginning_with("").len(), NAMES_MAX);
    }

    #[test]
    fn a_move_leaves_the_names_of_the_old_room_behind() {
        let mut names = Names::default();
        names.add("ana");
        names.add_from_anywhere("ben");
        names.enter("Lobby");
        assert_eq!(names.beginning_with(""), ["ben", "ana"], "it is the room we were in");
        names.enter("rust");
        names.add("eve");
        names.add_from_anywhere("ana");
        names.add_from_anywhere("eve");
        assert_eq!(names.beginning_with(""), ["eve"]);
        assert_eq!(names.anywhere_beginning_with(""), ["eve", "ana", "ben"]);
        names.on_left("Eve");
        assert!(names.beginning_with("").is_empty());
        names.add("ana");
        assert_eq!(names.anywhere_beginning_with(""), ["ana", "eve", "ben"]);
    }

    #[test]
    fn rooms_seen_and_visited_are_known_and_the_lobby_from_the_start() {
        let mut names = Names::default();
        names.add_room("rust");
        names.enter("Tea");
        names.add_room("Rust");
        assert_eq!(names.rooms_beginning_with(""), ["Rust", "Tea", "lobby"]);
        assert_eq!(names.rooms_beginning_with("RU"), ["Rust"]);
    }
}
