//! The names of members: chosen ones, and those that belong to their members.

use super::super::elsewhere::event::RosterEvent;
use super::super::name::{GIVEN_PREFIX, Name, TYPED_BYTES_MAX, fold};
use super::super::names::{Names, Right};
use super::{ClientNumber, MemberId, OWNER, Roster};

/// A member whose name belongs to another client from now on.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost {
    /// The member.
    pub member: MemberId,
    /// The name that belongs to another client: that of the member, or one that it looks like.
    pub owned: Name,
}

impl Roster {
    /// Returns the names with owners.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Sets the names with owners. Returns the members that have no right to their name any more, the oldest first. The
    /// caller takes the name from each, with [`Event::Unnamed`](super::super::event::Event::Unnamed). A member keeps a
    /// name with the same token, and one that belongs to nobody now.
    ///
    /// Cost: two skeletons for each chosen name, about 10 µs.
    pub fn set_names(&mut self, names: Names) -> Vec<Lost> {
        let before = std::mem::replace(&mut self.names, names);
        let mut lost = Vec::new();
        for &member in &self.order {
            let row = &mut self.members[member.index()];
            let Some(name) = &row.name else { continue };
            let is_owner = row.marks & OWNER != 0;
            match self.names.right_to(name, "") {
                Right::Unproven if is_owner && self.names.has_same_owner(name, &before) => {}
                Right::LooksLike(owned) => lost.push(Lost { member, owned: owned.clone() }),
                Right::Unproven | Right::WrongToken => lost.push(Lost { member, owned: Name::clone(name) }),
                Right::Free | Right::Owner => row.marks &= !OWNER,
            }
        }
        lost
    }

    /// Gives a member a name. The name must be free, or the member's own in another case. `is_owner` tells whether it
    /// belongs to the member.
    pub(in super::super) fn rename(&mut self, id: MemberId, name: Name, is_owner: bool) {
        let folded = name.folded().into();
        self.mirror(id, |number| RosterEvent::Named { number, name: name.as_str() });
        if let Some(old) = self.member_mut(id).name.replace(Box::new(name)) {
            self.chosen.remove(old.folded());
        }
        self.chosen.insert(folded, id);
        let marks = &mut self.member_mut(id).marks;
        *marks = if is_owner { *marks | OWNER } else { *marks & !OWNER };
    }

    /// Takes its chosen name from a member, which is `client-N` again.
    pub(in super::super) fn unname(&mut self, id: MemberId) {
        self.mirror(id, |number| RosterEvent::Unnamed { number });
        let member = self.member_mut(id);
        member.marks &= !OWNER;
        if let Some(name) = member.name.take() {
            self.chosen.remove(name.folded());
        }
    }

    /// Whether the name of a member belongs to it, and is this one in any case.
    pub(in super::super) fn owns(&self, id: MemberId, name: &Name) -> bool {
        let member = self.member(id);
        member.marks & OWNER != 0 && member.name.as_ref().is_some_and(|own| own.folded() == name.folded())
    }

    /// Returns the member that holds `name`, in any case, as a chosen name.
    pub(in super::super) fn holder(&self, name: &Name) -> Option<MemberId> {
        self.chosen.get(name.folded()).copied()
    }

    /// Whether a member has chosen exactly this name, in this case.
    pub(in super::super) fn is_called(&self, id: MemberId, name: &Name) -> bool {
        self.member(id).name.as_ref().is_some_and(|own| own.as_str() == name.as_str())
    }

    /// Returns the member that is called `typed`, in any case.
    pub fn find(&self, typed: &str) -> Option<MemberId> {
        if typed.len() > TYPED_BYTES_MAX {
            return None;
        }
        let folded = fold(typed);
        if let Some(&member) = self.chosen.get(&folded) {
            return Some(member);
        }
        let number = ClientNumber::of_client(folded.strip_prefix(GIVEN_PREFIX)?.parse().ok()?)?;
        let member = self.order[self.place_in_order(number).ok()?];
        // Not a member that has chosen a name by now, and not `client-007`.
        (self.shown(member).to_string() == *folded).then_some(member)
    }

    /// Panics if an invariant of the names does not hold.
    pub(super) fn check_names(&self) {
        for (folded, &id) in &self.chosen {
            let name = self.member(id).name.as_ref();
            assert_eq!(name.map(|name| name.folded()), Some(&**folded), "a chosen name leads to its holder");
        }
        let named = self.members.iter().filter(|(_, member)| member.name.is_some()).count();
        assert_eq!(named, self.chosen.len(), "every chosen name can be found");
        for (_, member) in &self.members {
            let is_owned = member.name.as_ref().is_some_and(|name| self.names.has(name));
            assert_eq!(member.marks & OWNER != 0, is_owned, "{} holds a name of its own", member.shown());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::directory::RoomId;
    use crate::relay::secret::SecretHash;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    /// Names, each with a token.
    fn names(owned: &[(&str, &str)]) -> Names {
        let lines: Vec<_> =
            owned.iter().map(|(name, token)| format!("{name} token {}\n", SecretHash::of(token))).collect();
        Names::parse(&lines.concat()).unwrap()
    }

    #[test]
    fn a_member_is_found_by_its_number_only_while_it_has_no_name() {
        let mut roster = Roster::default();
        let ana = roster.add_client(7, RoomId::LOBBY, 0);
        assert_eq!(roster.find("CLIENT-1"), Some(ana));
        assert!(roster.find("client-01").is_none());
        roster.rename(ana, name("Ana"), false);
        assert_eq!(roster.find("ANA"), Some(ana));
        assert!(roster.find("client-1").is_none());
        roster.check_invariants();
        roster.unname(ana);
        assert_eq!((roster.find("client-1"), roster.find("ana")), (Some(ana), None));
        roster.check_invariants();
    }

    #[test]
    fn a_name_is_kept_while_its_token_is_the_same() {
        let mut roster = Roster::default();
        let [ana, bob, emily] = [0, 1, 2].map(|key| roster.add_client(key, RoomId::LOBBY, 0));
        assert_eq!(roster.set_names(names(&[("ana", "a")])), []);
        roster.rename(ana, name("Ana"), true);
        roster.rename(bob, name("bob"), false);
        roster.rename(emily, name("ernily"), false);
        roster.check_invariants();
        assert_eq!(roster.set_names(names(&[("zoe", "z"), ("ANA", "a")])), [], "the case of the file is nothing");
        assert!(roster.owns(ana, &name("ana")) && !roster.owns(bob, &name("bob")));
        let lost = roster.set_names(names(&[("ana", "b"), ("bob", "b"), ("emily", "e")]));
        let lost: Vec<_> = lost.iter().map(|lost| (lost.member, lost.owned.as_str())).collect();
        assert_eq!(lost, [(ana, "Ana"), (bob, "bob"), (emily, "emily")]);
    }

    #[test]
    fn a_name_that_leaves_the_file_is_kept_as_one_of_nobody() {
        let mut roster = Roster::default();
        let ana = roster.add_client(0, RoomId::LOBBY, 0);
        roster.set_names(names(&[("ana", "a")]));
        roster.rename(ana, name("ana"), true);
        assert_eq!(roster.set_names(Names::default()), []);
        roster.check_invariants();
        assert!(roster.is_called(ana, &name("ana")) && !roster.owns(ana, &name("ana")));
        // The same token as before: but the member has held the name of nobody.
        assert_eq!(roster.set_names(names(&[("ana", "a")])).len(), 1);
    }
}
