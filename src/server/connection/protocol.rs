//! The protocol of a connection: lines (with or without telnet), HTTP, or lines in the frames of a WebSocket. The state
//! of the latter two is boxed, so a plain client pays nothing for it.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use super::sealing::put;
use super::tracking::private_lines;
use super::{Connection, Farewell, Phase, ReadState};
use crate::net::stream::Socket;
use crate::relay::cursor::{Cursor, Slices};
use crate::relay::notice::{self, Notice};
use crate::relay::tape::Tape;
use crate::relay::telnet::{Telnet, put_crlf};
use crate::server::web::exchange::Exchange;
use crate::server::web::frame::{FRAME_BYTES_MAX, Header, put_close, put_ping, put_text};
use crate::server::web::websocket::{MESSAGE_BYTES_MAX, PingState, WebSocket, WebSocketEnd};

/// Framing of a connection's bytes.
#[derive(Debug, Default)]
pub(super) enum Protocol {
    /// By the ends of lines.
    #[default]
    Lines,
    /// By the ends of lines, among telnet commands. Its output ends lines with CRLF.
    Telnet(Telnet),
    /// As the requests and answers of HTTP.
    Http(Box<Exchange>),
    /// As the frames of a WebSocket, which hold lines.
    WebSocket(Box<WebSocket>),
}

/// The next step of a browser's keepalive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingStep {
    /// Look again at this time.
    Wait(Instant),
    /// It was pinged long ago and has sent nothing since.
    TimedOut,
}

/// The work that frames of a browser made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unframed {
    /// Number of frames that began.
    pub frames: usize,
    /// Bytes of messages that came in earlier turns.
    pub message_bytes: usize,
    /// Bytes of answers that the protocol requires.
    pub answer_bytes: usize,
}

impl Protocol {
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Protocol::Lines)
    }

    /// Drops bytes that were received: nothing more is processed.
    pub(super) fn end_input(&mut self) {
        match self {
            Protocol::Lines | Protocol::Telnet(_) => {}
            Protocol::Http(exchange) => drop(exchange.take_pipelined()),
            Protocol::WebSocket(websocket) => websocket.close(),
        }
    }
}

impl<S: Socket> Connection<S> {
    /// Queues whole lines for it alone: in a frame if it is a browser, with CRLF if it sends CRLF. Drops them if the
    /// peer takes no more output.
    pub fn tell(&mut self, lines: &str) {
        let private;
        let lines = if self.is_tracked() {
            private = private_lines(lines);
            &private
        } else {
            lines
        };
        let (is_framed, has_crlf) = (self.websocket().is_some(), self.has_crlf());
        if let Some(outbox) = self.outbox_mut() {
            if is_framed {
                put_text(outbox, lines.as_bytes());
            } else if has_crlf {
                put_crlf(outbox, lines.as_bytes());
            } else {
                outbox.extend_from_slice(lines.as_bytes());
            }
        }
    }

    /// Queues bytes for it alone, as they are.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        if let Some(outbox) = self.outbox_mut() {
            outbox.extend_from_slice(bytes);
        }
    }

    /// Returns the HTTP exchange of a visitor.
    pub fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        match &mut self.busy.as_mut()?.protocol {
            Protocol::Http(exchange) => Some(exchange),
            Protocol::Lines | Protocol::Telnet(_) | Protocol::WebSocket(_) => None,
        }
    }

    /// Whether it speaks HTTP, and so has never been in the room.
    pub fn is_http(&self) -> bool {
        self.busy.as_ref().is_some_and(|busy| matches!(busy.protocol, Protocol::Http(_)))
    }

    /// Makes a visitor a browser that enters in `room`: its lines come in frames from now on.
    pub fn switch_to_websocket(&mut self, now: Instant) {
        let websocket = WebSocket::new(now);
        self.busy.get_or_insert_default().protocol = Protocol::WebSocket(Box::new(websocket));
    }

    /// Whether its lines come in frames.
    pub fn is_browser(&self) -> bool {
        self.websocket().is_some()
    }

    /// Processes frames of a browser: adds the lines that they hold to `lines`, and queues the answers that the
    /// protocol requires.
    pub fn unframe(&mut self, bytes: &[u8], lines: &mut Vec<u8>, now: Instant) -> Unframed {
        let mut answers = Vec::new();
        let Some(websocket) = self.websocket_mut() else { return Unframed::default() };
        let frames = websocket.receive(bytes, lines, &mut answers, now);
        let message_bytes = match websocket.end() {
            // The message whose end broke the protocol may have been as long as any.
            Some(WebSocketEnd::Broken(_)) => MESSAGE_BYTES_MAX,
            _ => lines.len().saturating_sub(bytes.len()),
        };
        self.push_bytes(&answers);
        Unframed { frames, message_bytes, answer_bytes: answers.len() }
    }

    /// Returns the end of a browser's WebSocket, if it ended.
    pub fn websocket_end(&self) -> Option<WebSocketEnd> {
        self.websocket()?.end()
    }

    /// Pings a browser that has sent nothing for `ping_after`; `None` if it is no browser. Unread input may hold its
    /// answer: such a browser is neither pinged nor timed out.
    pub fn check_ping(&mut self, ping_after: Duration, pong_within: Duration, now: Instant) -> Option<PingStep> {
        let is_read = matches!(self.phase, Phase::Present(_)) && self.read_state == ReadState::Idle;
        let websocket = self.websocket_mut()?;
        let state = websocket.ping_state();
        // A turn may run late, so the time for the pong begins at the ping.
        let until = match state {
            PingState::Idle(since) => since + ping_after,
            PingState::AwaitingPong(since) => since + pong_within,
        };
        if until > now {
            return Some(PingStep::Wait(until));
        }
        if !is_read {
            return Some(PingStep::Wait(now + ping_after));
        }
        if let PingState::AwaitingPong(_) = state {
            return Some(PingStep::TimedOut);
        }
        websocket.on_ping_sent(now);
        if let Some(outbox) = self.outbox_mut() {
            put_ping(outbox);
        }
        // Most browsers answer at once, and then the next ping is due after `ping_after`.
        Some(PingStep::Wait(now + ping_after.min(pong_within)))
    }

    /// Queues its farewell.
    pub(super) fn say_farewell(&mut self) {
        let Some(farewell) = self.closing().map(|closing| closing.farewell) else { return };
        let farewell = if let Farewell::ShuttingDown(code) = farewell {
            self.tell(&Notice::ShuttingDown.to_line());
            Farewell::Fin(code)
        } else {
            farewell
        };
        let protocol = self.busy.as_ref().map_or(&Protocol::Lines, |busy| &busy.protocol);
        match (protocol, farewell) {
            (Protocol::Http(_), _)
            | (_, Farewell::Bare(_) | Farewell::ShuttingDown(_))
            | (Protocol::Lines | Protocol::Telnet(_), Farewell::Close(_)) => {}
            (Protocol::Lines | Protocol::Telnet(_), Farewell::Fin(_)) => self.tell(notice::FAREWELL),
            (Protocol::WebSocket(_), Farewell::Fin(code)) => {
                self.tell(notice::FAREWELL);
                self.push_close_frame(Some(code));
            }
            (Protocol::WebSocket(_), Farewell::Close(code)) => self.push_close_frame(code),
        }
    }

    fn push_close_frame(&mut self, code: Option<u16>) {
        if let Some(outbox) = self.outbox_mut() {
            put_close(outbox, code);
        }
    }

    /// Writes the pending tape of an idle browser in one call, if it is owed nothing else. Returns whether the socket
    /// took all of it.
    ///
    /// This is the fast path of [`write_frame`](Connection::write_frame), which decides the cost of a delivery.
    pub(super) fn flush_plain_browser(&mut self, tape: &Tape, sent_bytes: &mut u64) -> bool {
        let view = self.view(tape);
        let Some(busy) = self.busy.as_mut().filter(|busy| busy.is_idle_browser()) else { return false };
        if !self.cursor.is_plain() || !matches!(self.phase, Phase::Present(_)) {
            return false;
        }
        let Some(lines) = self.cursor.pending_in_one(view, tape.end().offset) else { return false };
        if lines.is_empty() {
            return true;
        }
        if lines.len() as u64 > FRAME_BYTES_MAX {
            return false;
        }
        let header = Header::of_text(lines.len());
        let frame = [header.as_slice(), lines];
        match put(&mut self.stream, busy.tls.as_deref_mut(), &frame.map(IoSlice::new)) {
            Ok(bytes) => {
                self.cursor.set_position(tape.end(), view.dialect);
                let is_whole = bytes == header.as_slice().len() + lines.len();
                if !is_whole {
                    busy.outbox.replace(frame.concat().split_off(bytes));
                }
                *sent_bytes += self.take_sent(bytes) as u64;
                is_whole && self.unsent_bytes() == 0
            }
            Err(error) => {
                self.on_write_error(&error);
                false
            }
        }
    }

    /// Writes the outbox and one frame of tape in one call; `None` if it is owed neither. The rest of a frame that was
    /// written in part goes to the outbox.
    pub(super) fn write_frame(&mut self, tape: &Tape) -> io::Result<Option<usize>> {
        let stop = frame_stop(&self.cursor, tape, self.stop(tape).offset);
        let mut slices = Slices::with_two_reserved();
        if !self.cursor.has_missed() {
            self.cursor.pending(self.view(tape), stop, &mut slices);
        }
        let payload_bytes = slices.bytes();
        let header = Header::of_text(payload_bytes);
        let header = if payload_bytes > 0 { header.as_slice() } else { &[] };
        let (private, tls) = self.busy.as_mut().map_or((&[][..], None), |busy| busy.output());
        let private_bytes = private.len();
        if private_bytes + payload_bytes == 0 {
            return Ok(None);
        }
        slices.fill_reserved(private, header);
        let written = put(&mut self.stream, tls, slices.as_slice())?;
        let rest = if written > private_bytes { slices.after(written) } else { Vec::new() };
        self.advance(tape, written.min(private_bytes));
        if written > private_bytes {
            self.cursor.advance(self.view(tape), payload_bytes as u64);
            let mut torn = Vec::new();
            self.cursor.align_to_line(self.view(tape), &mut torn);
            debug_assert!(torn.is_empty(), "a frame ends between two lines");
        }
        if !rest.is_empty() {
            self.busy.get_or_insert_default().outbox.replace(rest);
        }
        Ok(Some(written))
    }

    fn websocket(&self) -> Option<&WebSocket> {
        match &self.busy.as_ref()?.protocol {
            Protocol::WebSocket(websocket) => Some(websocket),
            Protocol::Lines | Protocol::Telnet(_) | Protocol::Http(_) => None,
        }
    }

    fn websocket_mut(&mut self) -> Option<&mut WebSocket> {
        match &mut self.busy.as_mut()?.protocol {
            Protocol::WebSocket(websocket) => Some(websocket),
            Protocol::Lines | Protocol::Telnet(_) | Protocol::Http(_) => None,
        }
    }

    /// Returns the buffer of private bytes; `None` if nothing reaches the peer any more.
    fn outbox_mut(&mut self) -> Option<&mut Vec<u8>> {
        let is_open = self.takes_output() && !self.is_handshaking();
        is_open.then(|| self.busy.get_or_insert_default().outbox.buffer())
    }
}

/// Returns the end of the next frame, between two lines: at most [`FRAME_BYTES_MAX`] away, unless one line is longer.
pub(super) fn frame_stop(cursor: &Cursor, tape: &Tape, stop: u64) -> u64 {
    let from = cursor.offset();
    if stop.saturating_sub(from) <= FRAME_BYTES_MAX {
        return stop;
    }
    tape.last_line_end(from, from + FRAME_BYTES_MAX).unwrap_or_else(|| tape.line_end(from))
}
