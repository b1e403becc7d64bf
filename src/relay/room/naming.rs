//! Names of members: the answers to `/nick`, and what the room reads when a member takes a name or loses it.
//!
//! A name with an owner is taken by its token alone, also from a member that holds it. Any other name belongs to the
//! first member that takes it, unless it looks like one with an owner.

use super::super::event::{Applied, Event};
use super::super::name::{Name, NameError};
use super::super::names::Right;
use super::super::notice::Notice;
use super::super::record::Record;
use super::super::roster::{Introduction, MemberId, Roster};
use super::super::secret::TOKEN_PREFIX;
use super::announcements::Announcement;
use super::{Decision, Room, reply};

/// Returns the effect of `/nick` with this name and this token, both as typed and perhaps empty.
pub(super) fn decide_name(roster: &Roster, member: MemberId, typed: &str, token: &str) -> Decision<'static> {
    if typed.is_empty() {
        return reply(Notice::NickUsage);
    }
    let name = match Name::parse(typed) {
        Ok(name) => name,
        Err(NameError::Reserved) => return reply(Notice::NameTaken { name: typed }),
        Err(NameError::Form) => return reply(Notice::NameMalformed),
    };
    let shown = name.as_str();
    let is_owner = match roster.names().right_to(&name, token) {
        Right::Owner => true,
        // Its own name in another case: it has shown the token before.
        Right::Unproven if roster.owns(member, &name) => true,
        Right::Unproven => return reply(Notice::NameOwned { name: shown }),
        Right::WrongToken => return reply(Notice::TokenWrong { name: shown }),
        Right::LooksLike(owned) => return reply(Notice::NameLookalike { name: shown, owned: owned.as_str() }),
        Right::Free if token.is_empty() => false,
        Right::Free if token.starts_with(TOKEN_PREFIX) => return reply(Notice::TokenUnknown { name: shown }),
        Right::Free => return reply(Notice::NameMalformed),
    };
    if !is_owner && roster.elsewhere().is_some_and(|elsewhere| elsewhere.is_held(&name)) {
        return reply(Notice::NameTaken { name: shown });
    }
    match roster.holder(&name) {
        Some(holder) if holder != member => {
            let taken = Notice::NameTaken { name: shown }.to_line();
            let is_away = roster.key(holder).is_none();
            let renamed = Event::Renamed { member, name, is_owner };
            match (is_owner, is_away) {
                (true, _) => Decision::TakeOver { holder, renamed },
                (false, true) => Decision::Claim { holder, renamed, taken },
                (false, false) => Decision::Reply(taken),
            }
        }
        Some(_) if roster.is_called(member, &name) => reply(Notice::NameUnchanged { name: shown }),
        _ => Decision::Apply(Event::Renamed { member, name, is_owner }),
    }
}

impl Room {
    /// Gives a member a new name. A member that was not introduced yet is introduced with it, and is told in private.
    pub(super) fn rename(&mut self, roster: &mut Roster, member: MemberId, name: Name, is_owner: bool) -> Applied {
        let before = roster.shown(member).to_string();
        if roster.introduction(member) == Introduction::Pending {
            let reply = Notice::Renamed { from: &before, to: name.as_str() }.to_line();
            roster.rename(member, name, is_owner);
            return Applied { reply: Some(reply), ..self.introduce(roster, member) };
        }
        let number = roster.number(member).shown();
        let bytes = self.put(&Record::Renamed { number, from: &before, to: name.as_str() }).bytes;
        roster.rename(member, name, is_owner);
        Applied { bytes, ..Applied::default() }
    }

    /// Takes its name from a member. A room that does not know the member is told nothing: it will be introduced as
    /// `client-N`, in this room or in the one that it moves to.
    pub(super) fn unname(&mut self, roster: &mut Roster, member: MemberId) {
        let from = roster.shown(member).to_string();
        roster.unname(member);
        if roster.introduction(member) != Introduction::Pending {
            let (number, to) = (roster.number(member).shown(), roster.shown(member).to_string());
            self.announcements.push(Announcement::Renamed { number, from, to });
        }
    }
}
