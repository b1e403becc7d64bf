//! Sessions: what a tracked client keeps from one connection to the next.
//!
//! A session is a token and a count of lines, and outlives its connections. Its member is present, or *away*: the
//! connection is lost, and the seat is kept for a while. Later the member is gone, and the session stays, so that a
//! client that comes back late knows which lines the server has taken.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Instant;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use slab::Slab;

use super::flow::rate::Bucket;
use crate::net::random;
use crate::relay::directory::RoomId;
use crate::relay::roster::MemberId;
use crate::relay::stamp::Epoch;

mod handed;

pub use handed::HandedSession;

/// Up to this length, the queues may hold entries that are over.
const KEPT_MIN: usize = 64;

/// The secret of a session: 128 random bits. Its `Display` is 32 hexadecimal digits, its `Debug` nothing of it.
#[derive(Clone, Copy)]
pub struct Token([u8; 16]);

/// The first half of the SHA-256 of a token.
type TokenHash = [u8; 16];

/// The slot of a session. Slots are reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(u32);

/// A session. 80 bytes, and its places in the two indexes.
#[derive(Debug)]
pub struct Session {
    hash: TokenHash,
    /// The token itself, while a connection has the session: the client is told it again behind each gap.
    token: Option<Token>,
    /// Lines that the server has taken, over all connections.
    pub heard: u64,
    /// Whether the client has shown that it was told the token: it said something afterwards.
    pub is_proven: bool,
    /// Whether its connection had entered before it resumed the session, and may have timers of that other member.
    pub came_late: bool,
    /// The member, present or away.
    member: Option<MemberId>,
    /// The room of that member, or of the last one.
    pub room: RoomId,
    /// The log of that room.
    pub epoch: Epoch,
    /// The first record of that log that it may read.
    pub since: u64,
    /// State that few sessions have.
    pub rest: Option<Box<Rest>>,
    /// The number of its last loss, of a connection or of its member, among those of all sessions.
    lost: u32,
}

/// State that few sessions have: those that moved, or sent lines under `--rate`.
#[derive(Debug, Default)]
pub struct Rest {
    /// The log of the room that it left last, and the number of the record at which it left.
    pub left: Option<(Epoch, u64)>,
    /// Lines that it has sent recently.
    pub bucket: Bucket,
}

/// All sessions.
///
/// Invariants: `index` holds each session under the beginning of its hash, and `by_member` each under its member;
/// `away` holds every session whose member is away, and `idle` every one without a member, the longest lost first. Both
/// may hold entries that are over.
#[derive(Debug)]
pub struct Sessions {
    sessions: Slab<Session>,
    index: HashMap<u64, SessionId>,
    by_member: HashMap<MemberId, SessionId>,
    most: usize,
    away: VecDeque<(Instant, SessionId, u32)>,
    idle: VecDeque<(SessionId, u32)>,
    /// Number of sessions whose member is away.
    away_count: usize,
    /// Losses so far. It may wrap: no queue holds as many.
    losses: u32,
}

impl Session {
    /// Returns the member, present or away.
    pub fn member(&self) -> Option<MemberId> {
        self.member
    }

    /// Whether its member has no connection.
    fn is_away(&self) -> bool {
        self.member.is_some() && self.token.is_none()
    }

    /// Returns the token for the connection that has the session, in its text form.
    pub fn token(&self) -> String {
        self.token.map(|token| token.to_string()).unwrap_or_default()
    }

    /// Records that its member reads from this record on in a room. What it could read before in the same log, it still
    /// can.
    pub fn on_room(&mut self, room: RoomId, epoch: Epoch, since: u64) {
        self.since = if self.epoch == epoch { self.since.min(since) } else { since };
        (self.room, self.epoch) = (room, epoch);
    }

    /// Keeps lines that it has sent recently.
    pub fn keep_bucket(&mut self, bucket: Bucket) {
        if bucket != Bucket::default() {
            self.rest.get_or_insert_default().bucket = bucket;
        }
    }

    /// Takes out lines that it has sent recently.
    pub fn take_bucket(&mut self) -> Bucket {
        self.rest.as_mut().map(|rest| std::mem::take(&mut rest.bucket)).unwrap_or_default()
    }
}

impl Token {
    /// Reads a token as a client sent it.
    pub fn parse(text: &str) -> Option<Token> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Token)
    }

    fn hash(self) -> TokenHash {
        let mut hash = TokenHash::default();
        hash.copy_from_slice(&Sha256::digest(self.0)[..16]);
        hash
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Returns the key of a hash in the index.
fn key_of(hash: TokenHash) -> u64 {
    let mut key = [0; 8];
    key.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(key)
}

impl Sessions {
    /// Creates an empty list of at most `most` sessions without a member, beside those of members.
    pub fn new(most: usize) -> Sessions {
        Sessions {
            sessions: Slab::new(),
            index: HashMap::new(),
            by_member: HashMap::new(),
            most: most.max(1),
            away: VecDeque::new(),
            idle: VecDeque::new(),
            away_count: 0,
            losses: 0,
        }
    }

    /// Returns the rates of all sessions whose connections are lost.
    pub fn buckets_mut(&mut self) -> impl Iterator<Item = &mut Bucket> {
        self.sessions.iter_mut().filter_map(|(_, session)| Some(&mut session.rest.as_mut()?.bucket))
    }

    /// Begins a session of a member. If too many have none, those that have been without longest are forgotten.
    pub fn begin(&mut self, member: MemberId, room: RoomId, epoch: Epoch) -> SessionId {
        while self.sessions.len() - self.by_member.len() > self.most && self.forget_oldest() {}
        let (token, hash) = loop {
            let token = Token(random::bytes());
            let hash = token.hash();
            if !self.index.contains_key(&key_of(hash)) {
                break (token, hash);
            }
        };
        // Until the member has a place in the room.
        let since = u64::MAX;
        let session = Session {
            hash,
            token: Some(token),
            heard: 0,
            is_proven: false,
            came_late: false,
            member: None,
            room,
            epoch,
            since,
            rest: None,
            lost: 0,
        };
        // At most as many as clients, whose keys fit 32 bits.
        let id = SessionId(self.sessions.insert(session).try_into().unwrap_or(u32::MAX));
        self.index.insert(key_of(hash), id);
        self.seat(id, member);
        id
    }

    /// Records the member of a session that has none.
    pub fn seat(&mut self, id: SessionId, member: MemberId) {
        debug_assert!(self[id].member.is_none(), "a session has one member");
        self[id].member = Some(member);
        self.by_member.insert(member, id);
    }

    /// Records that a connection has the session again. `token` is the one that it was found by.
    pub fn on_resumed(&mut self, id: SessionId, token: Token) {
        self.away_count -= usize::from(self[id].is_away());
        self[id].token = Some(token);
        self[id].is_proven = true;
        self[id].came_late = false;
    }

    /// Returns the session of a member, present or away.
    pub fn of_member(&self, member: MemberId) -> Option<SessionId> {
        self.by_member.get(&member).copied()
    }

    /// Returns the session with this token.
    pub fn find(&self, token: Token) -> Option<SessionId> {
        let hash = token.hash();
        let id = *self.index.get(&key_of(hash))?;
        (self[id].hash == hash).then_some(id)
    }

    /// Ends a session: its token leads nowhere.
    pub fn end(&mut self, id: SessionId) {
        let session = self.sessions.remove(id.0 as usize);
        self.away_count -= usize::from(session.is_away());
        self.index.remove(&key_of(session.hash));
        if let Some(member) = session.member {
            self.by_member.remove(&member);
        }
    }

    /// Records that the member of a session is away, until `until`.
    pub fn on_away(&mut self, id: SessionId, until: Instant) {
        self[id].token = None;
        self.away_count += 1;
        let lost = self.note_loss(id);
        self.away.push_back((until, id, lost));
        if self.away.len() > 2 * self.away_count + KEPT_MIN {
            let mut away = std::mem::take(&mut self.away);
            away.retain(|&(_, id, lost)| self.is_away_since(id, lost));
            self.away = away;
        }
    }

    /// Records that a session has no member any more.
    pub fn on_memberless(&mut self, id: SessionId) {
        self.away_count -= usize::from(self[id].is_away());
        self[id].token = None;
        if let Some(member) = self[id].member.take() {
            self.by_member.remove(&member);
        }
        let lost = self.note_loss(id);
        self.idle.push_back((id, lost));
        if self.idle.len() > 2 * self.sessions.len() + KEPT_MIN {
            let mut idle = std::mem::take(&mut self.idle);
            idle.retain(|&(id, lost)| self.is_idle_since(id, lost));
            self.idle = idle;
        }
    }

    fn note_loss(&mut self, id: SessionId) -> u32 {
        self.losses = self.losses.wrapping_add(1);
        self[id].lost = self.losses;
        self.losses
    }

    /// Returns the session in this slot, if there is one.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.0 as usize)
    }

    /// Returns the session whose seat has been kept longest, and until when it is.
    pub fn first_away(&mut self) -> Option<(Instant, SessionId)> {
        while let Some(&(until, id, lost)) = self.away.front() {
            if self.is_away_since(id, lost) {
                return Some((until, id));
            }
            self.away.pop_front();
        }
        None
    }

    /// Returns when the next kept seat may be over.
    pub fn next_end(&self) -> Option<Instant> {
        self.away.front().map(|&(until, ..)| until)
    }

    /// Forgets all sessions: the server stops.
    pub fn clear(&mut self) {
        *self = Sessions::new(self.most);
    }

    /// Returns the session of a member that is away, if its client may not know the token.
    pub fn unproven(&self, member: MemberId) -> Option<SessionId> {
        self.of_member(member).filter(|&id| self[id].is_away() && !self[id].is_proven)
    }

    /// Returns the number of sessions whose member is away.
    pub fn away(&self) -> usize {
        self.away_count
    }

    /// Returns the number of sessions.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn forget_oldest(&mut self) -> bool {
        while let Some((id, lost)) = self.idle.pop_front() {
            if self.is_idle_since(id, lost) {
                self.end(id);
                return true;
            }
        }
        false
    }

    fn is_away_since(&self, id: SessionId, lost: u32) -> bool {
        self.sessions.get(id.0 as usize).is_some_and(|session| session.is_away() && session.lost == lost)
    }

    fn is_idle_since(&self, id: SessionId, lost: u32) -> bool {
        let session = self.sessions.get(id.0 as usize);
        session.is_some_and(|session| session.member.is_none() && session.lost == lost)
    }
}

impl std::ops::Index<SessionId> for Sessions {
    type Output = Session;

    fn index(&self, id: SessionId) -> &Session {
        &self.sessions[id.0 as usize]
    }
}

impl std::ops::IndexMut<SessionId> for Sessions {
    fn index_mut(&mut self, id: SessionId) -> &mut Session {
        &mut self.sessions[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::relay::roster::Roster;

    fn members(count: usize) -> Vec<MemberId> {
        let mut roster = Roster::default();
        (0..count).map(|key| roster.add_client(key, RoomId::LOBBY, 0)).collect()
    }

    #[test]
    fn losses_in_a_row_leave_nothing_behind() {
        let members = members(2);
        let mut sessions = Sessions::new(10);
        let ghost = sessions.begin(members[0], RoomId::LOBBY, Epoch::new(1));
        let id = sessions.begin(members[1], RoomId::LOBBY, Epoch::new(1));
        let token = sessions[id].token.unwrap();
        let now = Instant::now();
        sessions.on_away(ghost, now + Duration::from_secs(1_000));
        for second in 0..10_000 {
            sessions.on_away(id, now + Duration::from_secs(second));
            assert_eq!(sessions.away(), 2);
            sessions.on_resumed(id, token);
        }
        assert_eq!((sessions.away(), sessions.first_away().map(|(_, id)| id)), (1, Some(ghost)));
        assert!(sessions.away.len() <= 2 * 2 + KEPT_MIN + 1, "{}", sessions.away.len());
        sessions.end(ghost);
        assert_eq!((sessions.away(), sessions.first_away()), (0, None));
    }

    #[test]
    fn sessions_without_a_member_are_bounded_and_the_longest_lost_go_first() {
        let members = members(20);
        let mut sessions = Sessions::new(3);
        let mut tokens = Vec::new();
        for &member in &members {
            let id = sessions.begin(member, RoomId::LOBBY, Epoch::new(1));
            tokens.push(sessions[id].token.unwrap());
            sessions.on_memberless(id);
        }
        assert_eq!(sessions.len(), 4);
        let found: Vec<_> = tokens.iter().map(|&token| sessions.find(token).is_some()).collect();
        assert_eq!(found, [[false; 16].as_slice(), &[true; 4]].concat());
        assert!(members.iter().all(|&member| sessions.of_member(member).is_none()));
    }
}
