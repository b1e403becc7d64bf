//! How silence ends a line, where it is to (`--flush-after`): for peers that send what was typed without a newline.
//!
//! Only who holds the beginning of a line is listed, under the time at which its silence will have lasted. If more comes
//! until then, the entry is put back under the new time when it comes up; a new time that is earlier (what was half a
//! character is whole now) takes the place of the old one. One whose time has come is heard like any who may have more to
//! say: so the brake holds it like any other, what it has sent meanwhile comes first, and it is when reading finds nothing
//! that what there is of a line is one.

use std::time::Instant;

use super::input::Talker;
use super::{Hub, known, known_mut};
use crate::net::stream::Socket;
use crate::server::connection::ReadState;
use crate::server::connection::input::Input;
use crate::server::sniff::ForeignProtocol;

impl<S: Socket> Hub<S> {
    /// Has those heard whose silence has lasted.
    pub(super) fn hear_silent(&mut self, now: Instant) {
        let Some(flush_after) = self.limits.flush_after else { return };
        while let Some((time, handle)) = self.due.silences.pop_due(now) {
            let Some(connection) = known_mut(&mut self.connections, handle) else { continue };
            if !connection.is_listed(time) {
                continue;
            }
            let Some(intake) = connection.intake_mut() else { continue };
            intake.listed = intake.silent_at(flush_after).filter(|&time| time > now);
            if let Some(time) = intake.listed {
                self.due.silences.push(time, handle);
            } else if connection.input == ReadState::Drained {
                self.lists.queue(handle.key, connection);
            }
        }
    }

    /// Nothing is left to read of one: the line that it began is one if that has lasted, and else may become one.
    pub(super) fn hear_silence(&mut self, talker: &mut Talker, intake: &mut Input, now: Instant) {
        let Some(time) = self.limits.flush_after.and_then(|flush_after| intake.silent_at(flush_after)) else { return };
        if time <= now {
            if self.is_cut_request(talker, intake) {
                self.turn_away(talker.key, talker.seat, ForeignProtocol::Http, now);
                return;
            }
            if let Some(line) = intake.decoder.break_off(self.framing) {
                if let Some(rate) = talker.rate {
                    intake.bucket.charge(rate, now);
                }
                self.hear_line(talker, &line, now);
            }
        } else if intake.listed.is_none_or(|listed| time < listed) {
            let connections = &self.connections;
            // Before it is listed itself: its intake is in our hands, and what was listed of it is over.
            self.due.silences.tidy(connections.len(), |time, handle| {
                known(connections, handle).is_some_and(|connection| connection.is_listed(time))
            });
            intake.listed = Some(time);
            self.due.silences.push(time, connections[talker.key].handle(talker.key));
        }
    }
}
