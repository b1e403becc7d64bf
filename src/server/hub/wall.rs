//! Input that is processed although its room waits for a slow reader (`--lag wait`).
//!
//! At the wall no line for the room is processed, because it would overwrite what the slow reader still needs. All that
//! puts nothing on the tape is: the operator's orders, of which `/kick` may end the wait, goodbyes, answers, and the EOF
//! behind them. So a member is read up to its first line for the room. If its connection is reset behind that line, the poller
//! tells.

use std::mem;
use std::time::Instant;

use super::Hub;
use crate::net::stream::Socket;
use crate::relay::command::Command;
use crate::relay::line::LineDecoder;
use crate::server::connection::{Connection, ReadState};
use crate::server::reason::Reason;

/// Bytes of a line that show whether it is a command: the longest command's word, and more.
const WORD_BYTES_MAX: usize = 16;

impl<S: Socket> Hub<S> {
    /// Records that the poller reports an error of the connection with this key: a hint, which the next turn checks.
    pub fn on_error(&mut self, key: usize) {
        if let Some(connection) = self.connections.get(key) {
            self.schedule.failed.push(connection.handle(key));
        }
    }

    /// Disconnects clients whose connection is gone and whose input waits: for a slow reader, or by their `--rate`. Any
    /// other client is read, and the read reports the error behind the last bytes. Until then the client stays listed,
    /// because the room may come to the wall first.
    pub(super) fn end_failed(&mut self, now: Instant) {
        for handle in mem::take(&mut self.schedule.failed) {
            let Some(connection) = self.connections.known(handle) else { continue };
            let is_member = connection.was_in_room();
            let is_at_wall = self.rooms[self.room_of(connection)].brake.is_at_wall();
            let is_waiting = match connection.read_state {
                ReadState::Throttled => true,
                ReadState::Ready | ReadState::Asking | ReadState::Held => is_at_wall,
                ReadState::Idle | ReadState::Ended => continue,
            };
            if !is_waiting && is_member {
                self.schedule.failed.push(handle);
            } else if is_member && let Some(error) = connection.take_error() {
                self.leave(handle.key, &Reason::Reset(error), now);
            }
        }
    }

    /// Whether the next turn can disconnect a client whose connection is gone.
    pub(super) fn can_end_failed(&self) -> bool {
        let is_at_wall = |connection: &Connection<S>| self.rooms[self.room_of(connection)].brake.is_at_wall();
        self.schedule.failed.iter().filter_map(|&handle| self.connections.known(handle)).any(is_at_wall)
    }

    /// Whether a member is read at the wall: it has sent no line for the room.
    pub(super) fn is_read_at_wall(&self, connection: &Connection<S>) -> bool {
        self.rooms[self.room_of(connection)].brake.is_at_wall()
            && connection.input().is_none_or(|input| is_for_its_author(&input.decoder, input.pending.bytes()))
    }

    /// Whether the next line of a member is processed at the wall.
    pub(super) fn is_processed_at_wall(&self, key: usize, decoder: &LineDecoder, bytes: &[u8]) -> bool {
        self.rooms[self.room_of(&self.connections[key])].brake.is_at_wall() && is_for_its_author(decoder, bytes)
    }
}

/// Whether the next line, as far as it has arrived, puts nothing on the tape. If in doubt, it does.
fn is_for_its_author(decoder: &LineDecoder, bytes: &[u8]) -> bool {
    let fragment = decoder.fragment();
    let blank = if fragment.is_empty() { bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count() } else { 0 };
    let bytes = &bytes[blank..];
    if fragment.is_empty() && !decoder.is_empty() {
        // The rest of a line that is dropped; the next line comes behind it.
        return false;
    }
    let line = fragment.iter().chain(bytes).take_while(|byte| !b"\r\n".contains(byte)).take(WORD_BYTES_MAX);
    let line: Vec<u8> = line.copied().collect();
    // Bytes that the server drops or replaces would make it another command.
    match str::from_utf8(&line) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) => !matches!(
            Command::parse(text),
            Command::Say(_) | Command::Act(_) | Command::Nick { .. } | Command::Indented
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::line::{Framing, Line, LineEnds, Overlong};

    const FRAMING: Framing = Framing { line_bytes_max: 30, overlong: Overlong::Drop, ends: LineEnds::NewlineOrReturn };

    #[test]
    fn a_line_for_the_room_waits_however_it_is_split() {
        for (line, is_processed) in [
            ("/kick ana\nhello\n", true),
            ("/who\r\n", true),
            ("/me waves\n", false),
            ("/msg ana hello, how are you\n", true),
            ("\n\r\n/who\n", true),
            ("\nhello", false),
            ("\n", true),
            ("", true),
            ("FIN\r\n", true),
            ("exit\n", true),
            ("exit now\n", false),
            ("hello\n/kick ana\n", false),
            ("//kick\n", false),
            ("/say hello, all of you\n", false),
            ("/nick ana\n", false),
            ("/s\0ay hello\n", false),
            ("/who\rhello\n", true),
            ("hello\r/who\n", false),
            ("\u{feff}/who\n", false),
            (" /kick ana\n", false),
            (" /abcdefghijklmn/opq\n", false),
            (" hello\n", false),
        ] {
            for at in 0..=line.len() {
                let Some((fragment, bytes)) = line.split_at_checked(at) else { continue };
                let mut decoder = LineDecoder::default();
                if !fragment.contains(['\n', '\r']) {
                    assert!(decoder.next(&mut fragment.as_bytes(), FRAMING).is_none());
                    assert_eq!(is_for_its_author(&decoder, bytes.as_bytes()), is_processed, "{line:?} at {at}");
                }
            }
        }
    }

    #[test]
    fn what_follows_a_dropped_line_is_not_taken_for_a_command() {
        let mut decoder = LineDecoder::default();
        let mut bytes = &[b'x'; 100][..];
        assert!(matches!(decoder.next(&mut bytes, FRAMING), Some(Line::TooLong(_))));
        assert!(!is_for_its_author(&decoder, b"/who\nhello\n"));
        assert!(!is_for_its_author(&decoder, b""));
    }
}
