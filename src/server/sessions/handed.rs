//! Sessions that pass from one run of the server to the next. Pure.

use std::time::Instant;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{Rest, Session, SessionId, Sessions, TokenHash, key_of};
use crate::relay::directory::RoomId;
use crate::relay::roster::{HandedMember, MemberId};
use crate::relay::stamp::RecordId;

/// More lines than a client says.
const HEARD_MAX: u64 = 1 << 56;

/// A session as it passes from one run of the server to the next. Its token is not in it, but its hash: the client
/// brings the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedSession {
    hash: String,
    heard: u64,
    is_proven: bool,
    /// The log of its room, and the first record of it that the client may read.
    since: RecordId,
    /// The log of the room that it left last, and the record at which it left.
    left: Option<RecordId>,
    /// The place of its room in the list of rooms that were handed over; `None` if that is gone.
    pub room: Option<usize>,
    /// Its member, if it has one.
    pub member: Option<HandedMember>,
}

impl Sessions {
    /// Returns the sessions of these members, in this order, and those without a member: the longest lost of them
    /// first.
    pub fn in_order(&self, members: impl Iterator<Item = MemberId>) -> Vec<SessionId> {
        let of_members = members.filter_map(|member| self.of_member(member));
        let memberless = self.idle.iter().filter(|&&(id, lost)| self.is_idle_since(id, lost)).map(|&(id, _)| id);
        of_members.chain(memberless).collect()
    }

    /// Returns a session as it is handed over.
    pub fn hand_over(&self, id: SessionId, room: Option<usize>, member: Option<HandedMember>) -> HandedSession {
        let session = &self[id];
        let left = session.rest.as_ref().and_then(|rest| rest.left);
        HandedSession {
            hash: HEXLOWER.encode(&session.hash),
            heard: session.heard,
            is_proven: session.is_proven,
            since: RecordId { epoch: session.epoch, record: session.since },
            left: left.map(|(epoch, record)| RecordId { epoch, record }),
            room,
            member,
        }
    }

    /// Whether there is a session with the same token, or none can be found by it.
    pub fn has(&self, handed: &HandedSession) -> bool {
        handed.hash().is_none_or(|hash| self.index.contains_key(&key_of(hash)))
    }

    /// Begins with a session that was handed over. Its member, if it has one, is away until `until`. Does nothing
    /// if there [is one](Sessions::has) with the same token.
    pub fn take_back(&mut self, handed: &HandedSession, room: RoomId, member: Option<MemberId>, until: Instant) {
        let Some(hash) = handed.hash().filter(|_| !self.has(handed)) else { return };
        let left = handed.left.map(|left| (left.epoch, left.record));
        let session = Session {
            hash,
            token: None,
            // A count that goes on may not overflow, whatever the file says.
            heard: handed.heard.min(HEARD_MAX),
            is_proven: handed.is_proven,
            came_late: false,
            member: None,
            room,
            epoch: handed.since.epoch,
            since: handed.since.record,
            rest: left.map(|left| Box::new(Rest { left: Some(left), ..Rest::default() })),
            lost: 0,
        };
        // At most as many as clients, whose keys fit 32 bits.
        let id = SessionId(self.sessions.insert(session).try_into().unwrap_or(u32::MAX));
        self.index.insert(key_of(hash), id);
        match member {
            Some(member) => {
                self.seat(id, member);
                self.on_away(id, until);
            }
            None => self.on_memberless(id),
        }
    }
}

impl HandedSession {
    fn hash(&self) -> Option<TokenHash> {
        HEXLOWER.decode(self.hash.as_bytes()).ok()?.try_into().ok()
    }
}
