//! The bell, and `--notify-command`, for lines that call the user.

use std::time::Instant;

use super::TerminalClient;
use super::mode::Foreground;
use crate::relay::name::Name;

/// The terminal's bell. A terminal shows it as a mark on its tab or window, or sounds.
const BELL: &[u8] = b"\x07";

impl TerminalClient {
    /// Rings for a line that calls the user, if one waits.
    pub(super) fn ring(&mut self, now: Instant) {
        if self.mode.foreground() != Foreground::Held {
            return;
        }
        let Some(call) = self.chat.calls.take(now) else { return };
        self.stdout.queue().extend(BELL);
        let room = self.uplink.room().unwrap_or(Name::LOBBY);
        if let Some(fault) = self.notifier.as_mut().and_then(|notifier| notifier.notify(&call, room, now)) {
            self.chat.show_note(&fault);
        }
    }

    /// Reaps the processes of `--notify-command` that have ended.
    pub(super) fn reap(&mut self) {
        if let Some(fault) = self.notifier.as_mut().and_then(super::notify::Notifier::reap) {
            self.chat.show_note(&fault);
        }
    }
}
