//! What a connection's bytes are: lines, HTTP, or lines in the frames of a WebSocket. What only the latter two need is
//! boxed, so that a plain client pays nothing for them.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use super::{Connection, Phase, ReadState, Socket};
use crate::relay::cursor::{Cursor, Slices};
use crate::relay::notice;
use crate::relay::room::MemberId;
use crate::relay::tape::Tape;
use crate::server::web::exchange::Exchange;
use crate::server::web::frame::{FRAME_BYTES_MAX, Header, put_close, put_ping, put_text};
use crate::server::web::websocket::{PingState, WebSocket, WebSocketEnd};

/// What is spoken on a connection: how its bytes are cut into what they say.
#[derive(Debug, Default)]
pub(super) enum Protocol {
    /// By the ends of lines.
    #[default]
    Lines,
    /// As the requests and answers of HTTP.
    Http(Box<Exchange>),
    /// As the frames of a WebSocket, which hold lines.
    WebSocket(Box<WebSocket>),
}

/// What one who leaves is told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// That it was the end; a browser gets this code besides.
    Fin(u16),
    /// Nothing, or to a browser the code alone: it has ended it, or has broken the rules, or was answered in HTTP.
    Close(Option<u16>),
}

/// What the patience with a browser that says nothing comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vigil {
    /// To be looked at again then.
    Until(Instant),
    /// It was asked long ago to show that it is there.
    Over,
}

impl Protocol {
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Protocol::Lines)
    }

    /// Drops what was received: nothing more will be heard.
    pub(super) fn end_input(&mut self) {
        match self {
            Protocol::Lines => {}
            Protocol::Http(visit) => drop(visit.take_pipelined()),
            Protocol::WebSocket(socket) => socket.close(),
        }
    }
}

impl<S: Socket> Connection<S> {
    /// Tells it something in private: whole lines.
    pub fn tell(&mut self, lines: &str) {
        let is_framed = self.socket().is_some();
        if let Some(private) = self.private_mut() {
            if is_framed {
                put_text(private, lines.as_bytes());
            } else {
                private.extend_from_slice(lines.as_bytes());
            }
        }
    }

    /// Gives it bytes as they are.
    pub fn answer(&mut self, bytes: &[u8]) {
        if let Some(private) = self.private_mut() {
            private.extend_from_slice(bytes);
        }
    }

    /// Drops what it was to be told in private, of which nothing was written yet.
    pub fn withdraw_private(&mut self) {
        if let Some(busy) = self.busy.as_mut().filter(|busy| busy.private_sent == 0) {
            busy.private = Vec::new();
        }
    }

    /// The visit of one who is at the page's door.
    pub fn visit_mut(&mut self) -> Option<&mut Exchange> {
        match &mut self.busy.as_mut()?.protocol {
            Protocol::Http(visit) => Some(visit),
            Protocol::Lines | Protocol::WebSocket(_) => None,
        }
    }

    /// Whether it speaks HTTP, and so has never been in the room.
    pub fn is_visitor(&self) -> bool {
        self.busy.as_ref().is_some_and(|busy| matches!(busy.protocol, Protocol::Http(_)))
    }

    /// Takes one in who has visited: as a browser, whose lines come in frames from now on.
    pub fn move_in(&mut self, seat: MemberId, reader: Cursor, now: Instant) {
        self.phase = Phase::Present(seat);
        self.reader = reader;
        self.busy.get_or_insert_default().protocol = Protocol::WebSocket(Box::new(WebSocket::new(now)));
    }

    /// Whether its lines come in frames.
    pub fn is_browser(&self) -> bool {
        self.socket().is_some()
    }

    /// Takes in what a browser sent: adds its lines to `lines`, and answers what the protocol wants answered. Returns
    /// how much it was answered, in bytes.
    pub fn take_in(&mut self, bytes: &[u8], lines: &mut Vec<u8>, now: Instant) -> usize {
        let mut answers = Vec::new();
        if let Some(socket) = self.socket_mut() {
            socket.receive(bytes, lines, &mut answers, now);
            self.answer(&answers);
        }
        answers.len()
    }

    /// How a browser's WebSocket came to its end, if it did.
    pub fn socket_end(&self) -> Option<WebSocketEnd> {
        self.socket()?.end()
    }

    /// Asks a browser to show that it is there, if nothing came of it for `ping_after`; `None` if it is no browser. One
    /// whose input waits to be heard cannot show it.
    pub fn ask_for_sign(&mut self, ping_after: Duration, pong_within: Duration, now: Instant) -> Option<Vigil> {
        let is_heard = matches!(self.phase, Phase::Present(_)) && self.input == ReadState::Drained;
        let socket = self.socket_mut()?;
        let (is_pinged, since) = match socket.ping_state() {
            PingState::Idle(since) => (false, since),
            PingState::AwaitingPong(since) => (true, since),
        };
        // A turn may come late: its time begins when it is asked.
        let until = since + if is_pinged { pong_within } else { ping_after };
        if until > now {
            return Some(Vigil::Until(until));
        }
        if !is_heard {
            return Some(Vigil::Until(now + ping_after));
        }
        if is_pinged {
            return Some(Vigil::Over);
        }
        socket.on_ping_sent(now);
        if let Some(private) = self.private_mut() {
            put_ping(private);
        }
        // It will mostly answer at once, and is then to be asked again in time.
        Some(Vigil::Until(now + ping_after.min(pong_within)))
    }

    /// Says the last thing that it is told.
    pub(super) fn bid_farewell(&mut self) {
        let Some(farewell) = self.leaving().map(|leaving| leaving.farewell) else { return };
        let protocol = self.busy.as_ref().map_or(&Protocol::Lines, |busy| &busy.protocol);
        match (protocol, farewell) {
            (Protocol::Http(_), _) | (Protocol::Lines, Farewell::Close(_)) => {}
            (Protocol::Lines, Farewell::Fin(_)) => self.tell(notice::FAREWELL),
            (Protocol::WebSocket(_), Farewell::Fin(code)) => {
                self.tell(notice::FAREWELL);
                self.close_frames(Some(code));
            }
            (Protocol::WebSocket(_), Farewell::Close(code)) => self.close_frames(code),
        }
    }

    fn close_frames(&mut self, code: Option<u16>) {
        if let Some(private) = self.private_mut() {
            put_close(private, code);
        }
    }

    /// Writes what a browser is owed, at once, if that is nothing but what all are given. True if it took all; else there is
    /// more to be seen to.
    ///
    /// This is [`write_frame`](Connection::write_frame) in the case that decides what a delivery costs.
    pub(super) fn flush_plain_browser(&mut self, tape: &Tape, sent_bytes: &mut u64) -> bool {
        let Some(busy) = self.busy.as_mut().filter(|busy| busy.is_idle_browser()) else { return false };
        if !self.reader.is_plain() || !matches!(self.phase, Phase::Present(_)) {
            return false;
        }
        let Some(lines) = self.reader.owed_in_one(tape, tape.end().offset) else { return false };
        if lines.is_empty() {
            return true;
        }
        if lines.len() as u64 > FRAME_BYTES_MAX {
            return false;
        }
        let header = Header::of_text(lines.len());
        let frame = [header.as_slice(), lines];
        match self.stream.write_vectored(&frame.map(IoSlice::new)) {
            Ok(bytes) => {
                *sent_bytes += bytes as u64;
                self.reader.reach(tape.end());
                let is_whole = bytes == header.as_slice().len() + lines.len();
                if !is_whole {
                    busy.private = frame.concat().split_off(bytes);
                }
                is_whole
            }
            Err(error) => {
                self.on_write_error(&error);
                false
            }
        }
    }

    /// Writes what it was told in private, and one frame of what it is owed of the tape, at once; `None` if it is owed
    /// nothing. A frame of which a part was written is whole in what it is told in private next.
    pub(super) fn write_frame(&mut self, tape: &Tape) -> io::Result<Option<usize>> {
        let stop = frame_stop(&self.reader, tape, self.stop(tape).offset);
        let mut slices = Slices::behind_two();
        if !self.reader.has_missed() {
            self.reader.owed(tape, stop, &mut slices);
        }
        let payload_bytes = slices.bytes();
        let header = Header::of_text(payload_bytes);
        let header = if payload_bytes > 0 { header.as_slice() } else { &[] };
        let private = self.busy.as_ref().map_or(&[][..], |busy| &busy.private[busy.private_sent..]);
        let private_bytes = private.len();
        if private_bytes + payload_bytes == 0 {
            return Ok(None);
        }
        slices.put_first(private, header);
        let written = self.stream.write_vectored(slices.as_slice())?;
        let rest = if written > private_bytes { slices.after(written) } else { Vec::new() };
        self.advance(written.min(private_bytes));
        if written > private_bytes {
            self.reader.advance(payload_bytes as u64);
            let mut torn = Vec::new();
            self.reader.land(tape, &mut torn);
            debug_assert!(torn.is_empty(), "a frame ends between two lines");
        }
        if !rest.is_empty() {
            self.busy.get_or_insert_default().private = rest;
        }
        Ok(Some(written))
    }

    fn socket(&self) -> Option<&WebSocket> {
        match &self.busy.as_ref()?.protocol {
            Protocol::WebSocket(socket) => Some(socket),
            Protocol::Lines | Protocol::Http(_) => None,
        }
    }

    fn socket_mut(&mut self) -> Option<&mut WebSocket> {
        match &mut self.busy.as_mut()?.protocol {
            Protocol::WebSocket(socket) => Some(socket),
            Protocol::Lines | Protocol::Http(_) => None,
        }
    }

    /// What it is told in private, to be added to; `None` if nothing reaches it any more.
    fn private_mut(&mut self) -> Option<&mut Vec<u8>> {
        if !self.takes_output() {
            return None;
        }
        let busy = self.busy.get_or_insert_default();
        // One who reads steadily and never has all of it must not make what it has read pile up.
        if busy.private_sent > busy.private.len() / 2 {
            busy.private.drain(..busy.private_sent);
            busy.private_sent = 0;
        }
        Some(&mut busy.private)
    }
}

/// Where the next frame ends, between two lines: not far from where the reader stands, but for a line that is longer.
fn frame_stop(reader: &Cursor, tape: &Tape, stop: u64) -> u64 {
    let from = reader.cursor().offset;
    if stop.saturating_sub(from) <= FRAME_BYTES_MAX {
        return stop;
    }
    tape.last_line_end(from, from + FRAME_BYTES_MAX).unwrap_or_else(|| tape.line_end(from))
}
