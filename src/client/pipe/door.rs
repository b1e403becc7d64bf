//! A pipe before a server that asks for a password: gives it and begins the connection anew, or ends the run.

use std::time::Instant;

use super::PipeClient;
use crate::client::door::Door;
use crate::client::progress::Progress;
use crate::variables;

impl PipeClient {
    /// Answers a server that asks for the password. Leaves it without one, or with another one.
    pub(super) fn follow_door(&mut self, now: Instant) -> Progress {
        if !self.answers.door.is_asking() {
            return Progress::None;
        }
        let Some(session) = self.link.session() else { return Progress::None };
        // A server that asks so late has dropped them.
        let is_late = !session.is_open() || (self.tracked.tracking.is_plain() && session.line_counts().sent > 0);
        let address = &self.address;
        let why = match (self.answers.secrets.pass_line(), self.answers.secrets.password_place()) {
            (Some(_), place) if self.answers.door == Door::Rejected => {
                format!("the server at {address} has another password than {}", place.unwrap_or("the given one"))
            }
            (Some(_), _) if is_late => format!("the server at {address} has asked for the password too late"),
            (Some(line), _) => {
                self.answers.door.on_tried();
                session.begun_at = now;
                session.queue_own(&line);
                // What was sent before it was dropped.
                self.tracked.tracking.on_disconnected();
                self.on_connected(now);
                return Progress::Made;
            }
            (None, _) => {
                let variable = variables::PASSWORD;
                format!("the server at {address} asks for a password: give it with --password-file or {variable}")
            }
        };
        self.answers.turn_away(&why);
        self.answers.door = Door::Open;
        self.abandon_server();
        Progress::Made
    }
}
