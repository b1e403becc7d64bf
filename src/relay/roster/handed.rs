//! Members that pass from one run of the server to the next. Pure.

use serde::{Deserialize, Serialize};

use super::super::directory::RoomId;
use super::super::name::Name;
use super::super::names::Right;
use super::{AWAY, ClientNumber, Introduction, MOVED, Member, MemberId, OWNER, Roster, SPOKEN};

/// A member as it passes from one run of the server to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedMember {
    /// The number, as it is shown.
    pub number: u64,
    /// The chosen name.
    pub name: Option<String>,
    /// If the name belongs to the member, the hash of its owner's token.
    pub owner: Option<String>,
    /// Lines said.
    pub lines: u32,
    /// Seconds since it entered, when it was handed over.
    pub age: u32,
    /// Whether its room was told that it joined.
    pub introduction: Introduction,
    /// Whether it has sent anything but empty lines.
    pub has_spoken: bool,
    /// Whether it came to its room from another one.
    pub has_moved: bool,
}

/// A member that was handed over, in its new slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// The slot.
    pub member: MemberId,
    /// Whether the member has no right to its name any more. The caller takes the name from it, with
    /// [`Event::Unnamed`](super::super::event::Event::Unnamed).
    pub has_lost_name: bool,
}

impl Roster {
    /// Returns a client as it is handed over, at `now` in seconds of the caller's clock.
    pub fn hand_over(&self, id: MemberId, now: u32) -> HandedMember {
        let member = self.member(id);
        let owned = member.name.as_ref().filter(|_| member.marks & OWNER != 0);
        HandedMember {
            number: member.number.shown(),
            name: member.name.as_ref().map(|name| name.as_str().to_owned()),
            owner: owned.and_then(|name| self.names.owner(name)),
            lines: member.lines,
            age: now.saturating_sub(member.entered),
            introduction: member.introduction,
            has_spoken: member.marks & SPOKEN != 0,
            has_moved: member.marks & MOVED != 0,
        }
    }

    /// Gives a member that was handed over a seat in a room. It is away, and entered at `entered` in seconds of the
    /// caller's clock. A name that is none any more, or that another member holds, is left out. `None` if the number
    /// may be that of another member: members are taken back in the order of their numbers, before new ones come.
    pub fn take_back(&mut self, handed: &HandedMember, room: RoomId, entered: u32) -> Option<TakenBack> {
        let number = ClientNumber::of_client(handed.number).filter(|_| handed.number < self.next_number)?;
        if self.order.last().is_some_and(|&last| self.number(last) >= number) {
            return None;
        }
        let name = handed.name.as_ref().and_then(|name| Name::parse(name).ok());
        let name = name.filter(|name| !self.chosen.contains_key(name.folded()));
        let right = name.as_ref().map(|name| match self.names.right_to(name, "") {
            Right::Free => (0, false),
            Right::Unproven if handed.owner.is_some() && handed.owner == self.names.owner(name) => (OWNER, false),
            _ => (0, true),
        });
        let (owner, has_lost_name) = right.unwrap_or_default();
        let marks = if handed.has_spoken { SPOKEN } else { 0 } | if handed.has_moved { MOVED } else { 0 } | owner;
        let folded = name.as_ref().map(|name| name.folded().into());
        let member = Member {
            number,
            name: name.map(Box::new),
            lines: handed.lines,
            entered,
            key: AWAY,
            room,
            introduction: handed.introduction,
            marks,
        };
        let id = self.insert(member);
        self.seat(id, room);
        if let Some(folded) = folded {
            self.chosen.insert(folded, id);
        }
        Some(TakenBack { member: id, has_lost_name })
    }

    /// Has a member that was taken back be introduced to its room, which is another than before.
    pub fn introduce_anew(&mut self, id: MemberId) {
        self.member_mut(id).introduction = Introduction::Pending;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::names::Names;
    use crate::relay::secret::SecretHash;

    fn names(token: &str) -> Names {
        Names::parse(&format!("ana token {}\n", SecretHash::of(token))).unwrap()
    }

    /// A roster whose second client is the owner of `ana`.
    fn before() -> (Roster, [MemberId; 3]) {
        let mut roster = Roster::default();
        roster.set_names(names("a"));
        let members = [0, 1, 2].map(|key| roster.add_client(key, RoomId::LOBBY, 100));
        roster.rename(members[1], Name::parse("Ana").unwrap(), true);
        roster.rename(members[2], Name::parse("bob").unwrap(), false);
        (roster, members)
    }

    fn after(token: &str) -> Roster {
        let mut roster = Roster::default();
        roster.begin_numbers_at(1_001);
        roster.set_names(names(token));
        roster
    }

    #[test]
    fn a_member_is_the_same_in_the_next_run() {
        let (before, members) = before();
        let handed = members.map(|member| before.hand_over(member, 160));
        assert_eq!((handed[1].number, handed[1].age, handed[1].name.as_deref()), (2, 60, Some("Ana")));
        let mut roster = after("a");
        for (handed, member) in handed.iter().zip(members) {
            let back = roster.take_back(handed, RoomId::LOBBY, 0).unwrap();
            assert_eq!((roster.key(back.member), back.has_lost_name), (None, false));
            assert_eq!(roster.shown(back.member).to_string(), before.shown(member).to_string());
            assert_eq!(roster.hand_over(back.member, 60), *handed);
        }
        roster.check_invariants();
        let newcomer = roster.add_client(0, RoomId::LOBBY, 0);
        assert_eq!(roster.shown(newcomer).to_string(), "client-1001");
    }

    #[test]
    fn a_name_that_belongs_to_another_client_by_now_is_lost() {
        let (before, members) = before();
        let handed = before.hand_over(members[1], 160);
        let mut roster = after("b");
        assert!(roster.take_back(&handed, RoomId::LOBBY, 0).unwrap().has_lost_name);
        let mut roster = after("a");
        let thief = HandedMember { owner: None, ..handed };
        assert!(roster.take_back(&thief, RoomId::LOBBY, 0).unwrap().has_lost_name);
    }

    #[test]
    fn numbers_that_may_be_those_of_others_and_names_that_are_none_are_not_taken() {
        let (before, members) = before();
        let handed = before.hand_over(members[2], 160);
        let mut roster = after("a");
        let with = |number| HandedMember { number, ..handed.clone() };
        for number in [0, 1_001, u64::MAX] {
            assert_eq!(roster.take_back(&with(number), RoomId::LOBBY, 0), None);
        }
        let first = roster.take_back(&with(7), RoomId::LOBBY, 0).unwrap();
        assert_eq!(
            (roster.take_back(&with(7), RoomId::LOBBY, 0), roster.take_back(&with(3), RoomId::LOBBY, 0)),
            (None, None)
        );
        // The second of the same name, and one that no client could have.
        let second = roster.take_back(&with(8), RoomId::LOBBY, 0).unwrap();
        let server = HandedMember { name: Some("server".into()), ..with(9) };
        let third = roster.take_back(&server, RoomId::LOBBY, 0).unwrap();
        let shown = [first, second, third].map(|back| roster.shown(back.member).to_string());
        assert_eq!(shown, ["bob", "client-8", "client-9"]);
        roster.check_invariants();
    }
}
