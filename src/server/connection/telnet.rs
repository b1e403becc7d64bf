//! Telnet and CRLF: a client that sent a telnet command, or ended a line with CR, is sent CRLF in place of LF.
//!
//! The tape holds LF alone, and is shared. So such a client gets a copy of its own, as a browser gets frames: it is
//! made for each write, and the rest of a line that the socket took in part goes to the outbox. A plain client costs
//! one search for the byte 0xFF in each read.

use std::io::{self, IoSlice};

use super::output::share_stop;
use super::protocol::{Protocol, frame_stop};
use super::sealing::{put, put_one};
use super::{Connection, Role};
use crate::net::stream::Socket;
use crate::relay::cursor::Slices;
use crate::relay::tape::Tape;
use crate::relay::telnet::{Telnet, put_crlf};

impl<S: Socket> Connection<S> {
    /// Whether `bytes` of a client on the line port hold part of a telnet command. If so, its lines end with CRLF from
    /// now on.
    pub fn hears_telnet(&mut self, bytes: &[u8]) -> bool {
        let is_text =
            self.telnet_mut().map_or_else(|| Telnet::default().is_text(bytes), |telnet| telnet.is_text(bytes));
        if !is_text {
            self.switch_to_crlf();
        }
        !is_text && self.telnet_mut().is_some()
    }

    /// Removes telnet commands: adds the text to `lines`, and queues the refusals of options. Returns how many bytes
    /// of refusals these are.
    pub fn strip_telnet(&mut self, bytes: &[u8], lines: &mut Vec<u8>) -> usize {
        let mut refusals = Vec::new();
        if let Some(telnet) = self.telnet_mut() {
            telnet.receive(bytes, lines, &mut refusals);
        }
        if !refusals.is_empty() {
            self.push_bytes(&refusals);
        }
        refusals.len()
    }

    /// Ends its lines with CRLF from now on, those in its outbox included. Changes neither a browser nor the console.
    pub fn switch_to_crlf(&mut self) {
        if self.role == Role::Console {
            return;
        }
        let busy = self.busy.get_or_insert_default();
        if !matches!(busy.protocol, Protocol::Lines) {
            return;
        }
        busy.protocol = Protocol::Telnet(Telnet::default());
        if !busy.outbox.is_empty() {
            let mut lines = Vec::new();
            put_crlf(&mut lines, busy.outbox.unsent());
            busy.outbox.clear();
            busy.outbox.replace(lines);
        }
    }

    /// Whether its lines end with CRLF.
    pub(super) fn has_crlf(&self) -> bool {
        self.busy.as_ref().is_some_and(|busy| matches!(busy.protocol, Protocol::Telnet(_)))
    }

    /// Writes the outbox and a copy of about `share` bytes of the tape in one call; `None` if it is owed neither.
    pub(super) fn write_crlf(&mut self, tape: &Tape, share: usize) -> io::Result<Option<usize>> {
        let stop = frame_stop(&self.cursor, tape, self.stop(tape).offset);
        let stop = share_stop(&self.cursor, tape, stop, share as u64);
        let mut slices = Slices::new();
        if !self.cursor.has_missed() {
            self.cursor.pending(self.view(tape), stop, &mut slices);
        }
        let tape_bytes = slices.bytes();
        let private_bytes = self.outbox_bytes();
        if private_bytes + tape_bytes == 0 {
            return Ok(None);
        }
        let mut copy = Vec::with_capacity(tape_bytes + tape_bytes / 4);
        for slice in slices.as_slice() {
            put_crlf(&mut copy, slice);
        }
        let (private, tls) = self.busy.as_mut().map_or((&[][..], None), |busy| busy.output());
        let written = match (private, &copy[..]) {
            ([], copy) => put_one(&mut self.stream, tls, copy)?,
            (private, []) => put_one(&mut self.stream, tls, private)?,
            (private, copy) => put(&mut self.stream, tls, &[private, copy].map(IoSlice::new))?,
        };
        self.advance(tape, written.min(private_bytes));
        if written > private_bytes {
            self.pass_crlf(tape, &copy[..written - private_bytes]);
        }
        Ok(Some(written))
    }

    /// Moves the cursor past the tape of which `sent` is the copy, to the end of a line, as for a plain client. The
    /// rest of a torn line goes to the outbox.
    fn pass_crlf(&mut self, tape: &Tape, sent: &[u8]) {
        // The tape holds no CR.
        let returns = memchr::memchr_iter(b'\r', sent).count();
        self.cursor.advance(self.view(tape), (sent.len() - returns) as u64);
        let (mut torn, mut rest) = (Vec::new(), Vec::new());
        self.cursor.align_to_line(self.view(tape), &mut torn);
        if torn.is_empty() {
            return;
        }
        if sent.last() == Some(&b'\r') {
            rest = torn;
        } else {
            put_crlf(&mut rest, &torn);
        }
        self.busy.get_or_insert_default().outbox.replace(rest);
    }

    fn telnet_mut(&mut self) -> Option<&mut Telnet> {
        match &mut self.busy.as_mut()?.protocol {
            Protocol::Telnet(telnet) => Some(telnet),
            Protocol::Lines | Protocol::Http(_) | Protocol::WebSocket(_) => None,
        }
    }
}
