//! The news of the bus that the clients have read: the server is cut off, and later it is together with the others again.
//! Both are words of this server alone.
//!
//! A room that has read the first reads the second, too, even if it is empty by then: a later client finds both in the
//! history, or neither.

use std::collections::HashMap;
use std::time::Instant;

use crate::net::stream::Socket;
use crate::relay::directory::RoomId;
use crate::relay::notice::Notice;
use crate::server::hub::Hub;

/// The news of the bus.
///
/// Invariant: `told` is empty unless the clients know that the server is cut off.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The time since which the server has been cut off, if the clients know that it is.
    cut_off_since: Option<Instant>,
    /// Rooms whose tapes say so, with the places behind these words.
    told: HashMap<RoomId, u64>,
}

impl News {
    /// Records that the server has been cut off since then, and that the clients are told now.
    pub(super) fn begin(&mut self, since: Instant) {
        self.cut_off_since = Some(since);
    }

    /// Forgets a room that is dropped.
    pub(super) fn forget(&mut self, room: RoomId) {
        self.told.remove(&room);
    }
}

impl<S: Socket> Hub<S> {
    /// Says in each room with readers that the server is cut off.
    pub(super) fn tell_cut_off_to_rooms(&mut self) {
        for room in self.roster.directory().ids().collect::<Vec<_>>() {
            if self.rooms[room].readers() > 0 {
                self.rooms.aside(room, Notice::CutOff);
                self.together.news.told.insert(room, self.rooms[room].tape().end().offset);
            }
        }
    }

    /// Says that the server is together with the others again, if the clients know that it was cut off: in each room
    /// with readers, and in each whose tape says the contrary.
    pub(super) fn tell_together_to_rooms(&mut self, now: Instant) {
        let News { cut_off_since: Some(since), told } = std::mem::take(&mut self.together.news) else { return };
        let seconds = now.saturating_duration_since(since).as_secs();
        for room in self.roster.directory().ids().collect::<Vec<_>>() {
            if self.rooms[room].readers() > 0 || told.contains_key(&room) {
                self.rooms.aside(room, Notice::Together { seconds });
            }
        }
    }

    /// Whether the clients know that the server is cut off.
    pub(in crate::server::hub) fn is_cut_off(&self) -> bool {
        self.together.news.cut_off_since.is_some()
    }

    /// Tells a connection that has come to a room that the server is cut off, if the others there know it, and it does
    /// not find these words in the history.
    pub(in crate::server::hub) fn tell_cut_off(&mut self, key: usize, room: RoomId) {
        let is_cut_off = self.is_cut_off();
        let connection = &mut self.connections[key];
        let told = self.together.news.told.get(&room);
        if is_cut_off && told.is_none_or(|&end| connection.cursor.offset() >= end) {
            connection.tell(&Notice::CutOff.to_line());
        }
    }
}
