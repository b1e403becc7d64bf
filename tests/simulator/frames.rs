//! Frames that a browser is sent, with the same lines as for every client; and the end of its WebSocket.

use std::time::{Duration, Instant};

use pollchat::server::limits::{PING_AFTER, PONG_WITHIN};

use crate::net::Reset;
use crate::oracle::Oracle;
use crate::outline::SocketEnd;
use crate::rule::{Rule, Verdict, Violation};

/// The longest frame, unless one line is longer.
const FRAME_BYTES_MAX: usize = 16 * 1024;

/// The longest time for which a silent browser may stay: it may be pinged late, and turns come late.
const SILENCE_MAX: Duration = Duration::from_secs(400);

/// The state of a WebSocket, as far as the oracle can tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    opened: Instant,
    /// Pongs that it was sent.
    pongs: usize,
    /// It was told `FIN`.
    pub(crate) has_fin: bool,
    /// It was closed.
    pub(crate) is_closed: bool,
    /// When it was last heard, as far as was known before this turn.
    heard: Instant,
    /// When it may have been pinged since it was last heard.
    pinged: Option<Instant>,
    /// Pings that it may have been sent, and pings that it was sent.
    pings_allowed: usize,
    pings: usize,
    /// Whether it may have been disconnected for its silence.
    pub(crate) may_be_gone: bool,
    overdue: Option<Instant>,
}

impl Socket {
    pub(crate) fn new(opened: Instant) -> Socket {
        Socket {
            opened,
            pongs: 0,
            has_fin: false,
            is_closed: false,
            heard: opened,
            pinged: None,
            pings_allowed: 0,
            pings: 0,
            may_be_gone: false,
            overdue: None,
        }
    }
}

/// A frame: its first byte, what is in it, and how long it is in all.
struct Frame {
    first: u8,
    payload: Vec<u8>,
    bytes: usize,
}

impl Oracle {
    /// Takes the frames that a browser was sent.
    pub(crate) fn take_frames(&mut self, member: usize) -> Verdict {
        while let Some(visit) = &mut self.members[member].visit {
            let Some(frame) = frame(&visit.unread)? else { return Ok(()) };
            if visit.socket.is_closed {
                return Rule::Farewell.broken("a frame after the last one");
            }
            visit.unread.drain(..frame.bytes);
            match frame.first {
                0x81 => self.take_text(member, frame.payload)?,
                0x88 => self.take_close(member, &frame.payload)?,
                0x89 => self.take_ping(member, frame.payload)?,
                0x8a => self.take_pong(member, &frame.payload)?,
                first => return Rule::Frames.broken(format!("a frame that begins with {first:#x}")),
            }
        }
        Ok(())
    }

    fn take_text(&mut self, member: usize, payload: Vec<u8>) -> Verdict {
        let Ok(text) = String::from_utf8(payload) else { return Rule::Clean.broken("invalid UTF-8") };
        let Some(lines) = text.strip_suffix('\n') else {
            return Rule::Frames.broken(format!("not whole lines: {text:?}"));
        };
        if text.len() > FRAME_BYTES_MAX && lines.contains('\n') {
            return Rule::Frames.broken(format!("a frame of {} bytes", text.len()));
        }
        lines.split('\n').try_for_each(|line| {
            self.receive_line(member, line).map_err(|violation| violation.about(format!("given {line:?}")))
        })
    }

    fn take_pong(&mut self, member: usize, payload: &[u8]) -> Verdict {
        let wire = self.wires[member].borrow();
        let Some(visit) = &mut self.members[member].visit else { return Ok(()) };
        let pings = wire.ear.outline.as_ref().map_or(&[][..], |outline| &outline.pings);
        let is_right = pings.get(visit.socket.pongs).is_some_and(|ping| ping == payload);
        visit.socket.pongs += 1;
        if is_right { Ok(()) } else { Rule::Frames.broken(format!("it did not ask: {payload:?}")) }
    }

    fn take_ping(&mut self, member: usize, payload: Vec<u8>) -> Verdict {
        let Some(visit) = &mut self.members[member].visit else { return Ok(()) };
        visit.socket.pings += 1;
        if visit.socket.pings > visit.socket.pings_allowed || payload.len() > 125 {
            return Rule::Keepalive.broken("it was asked for a sign without need");
        }
        self.wires[member].borrow_mut().pings.push(payload);
        Ok(())
    }

    /// Judges the last frame.
    fn take_close(&mut self, member: usize, payload: &[u8]) -> Verdict {
        let code = match payload {
            [] => None,
            [high, low] => Some(u16::from_be_bytes([*high, *low])),
            _ => return Rule::CloseCode.broken(format!("a close with {payload:?}")),
        };
        let is_elsewhere = self.members[member].is_elsewhere && self.members[member].has_fin;
        let is_sent_away = self.may_be_sent_away(member);
        let is_handed_over = self.members[member].is_handed_over;
        let (is_kicked, is_shutting_down) = (self.members[member].is_kicked, self.is_shutting_down);
        let (leaves_by_word, end, breach) = {
            let ear = &self.wires[member].borrow().ear;
            (ear.leaves_by_word(), ear.socket_end(), ear.outline.as_ref().and_then(|outline| outline.breach_begun))
        };
        let Some(visit) = &mut self.members[member].visit else { return Ok(()) };
        visit.socket.is_closed = true;
        let is_right = match (visit.socket.has_fin, code) {
            (true, Some(1000)) => leaves_by_word,
            (true, Some(1001)) => is_shutting_down,
            (true, Some(1008)) => is_kicked || is_sent_away,
            (true, Some(1013)) => visit.is_refused_inside || is_sent_away,
            (true, _) => false,
            (false, Some(1012)) => is_handed_over,
            (false, code) if end == Some(SocketEnd::Closed(code)) => true,
            (false, Some(code)) => breach == Some(code),
            (false, None) => false,
        };
        if is_elsewhere && code == Some(4000) {
            return Ok(());
        }
        if !is_right {
            return Rule::CloseCode
                .broken(format!("closed with {code:?}, FIN: {}, after {end:?}", visit.socket.has_fin));
        }
        if !visit.socket.has_fin && !is_handed_over {
            self.members[member].has_fin = true;
            self.all_heard(member)?;
            self.all_answered(member)?;
        }
        Ok(())
    }

    /// Judges that the hub ended writing to a browser.
    pub(crate) fn judge_end_of_socket(&self, member: usize) -> Verdict {
        let Some(visit) = &self.members[member].visit else { return Ok(()) };
        if visit.unread.is_empty() && visit.socket.is_closed {
            Ok(())
        } else {
            Rule::Farewell.broken("it was not closed")
        }
    }

    /// If the hub would sleep: judges that a browser has all frames that it is owed.
    pub(crate) fn rests_socket(&self, member: usize) -> Verdict {
        let Some(visit) = &self.members[member].visit else { return Ok(()) };
        if !visit.unread.is_empty() {
            return Rule::Rest.broken("a frame was not written to its end");
        }
        let wire = self.wires[member].borrow();
        let due = wire.ear.outline.as_ref().map_or(0, |outline| outline.pings_due);
        let is_here = self.is_heard(member) && !wire.ear.is_leaving();
        if is_here && visit.socket.pongs < due { Rule::Frames.broken("its ping was not answered") } else { Ok(()) }
    }

    /// Sees whether a browser was silent for long, before its frames of this turn are looked at.
    pub(crate) fn watch_vigil(&mut self, member: usize, now: Instant) -> Verdict {
        if self.members[member].visit.is_none() || !(self.is_heard(member) || self.members[member].is_entering()) {
            return Ok(());
        }
        let is_answered = self.all_heard(member).is_ok() && self.all_answered(member).is_ok();
        let wire = self.wires[member].borrow();
        let is_late = self.is_late;
        let Some(visit) = &mut self.members[member].visit else { return Ok(()) };
        let socket = &mut visit.socket;
        // The hub pings at the beginning of a turn.
        let heard = socket.heard;
        if now >= heard + PING_AFTER && socket.pinged.is_none() {
            socket.pinged = Some(now);
            socket.pings_allowed += 1;
        }
        let is_over = socket.pinged.is_some_and(|pinged| now >= pinged + PONG_WITHIN);
        socket.may_be_gone = is_over;
        let is_quiet =
            is_over && !is_late && is_answered && !wire.has_input() && wire.reset == Reset::No && !wire.is_closed;
        if !is_quiet {
            socket.overdue = None;
        } else if now >= *socket.overdue.get_or_insert(now) + SILENCE_MAX {
            return Rule::Keepalive.broken("it gives no sign, and is still here");
        }
        let heard = wire.ear.read_at().map_or(socket.opened, |read_at| read_at.max(socket.opened));
        if heard > socket.heard {
            *socket = Socket { heard, pinged: None, may_be_gone: false, overdue: None, ..*socket };
        }
        Ok(())
    }

    /// The most bytes of lines that can be in a frame of which a part was sent.
    pub(crate) fn amid_bytes(&self, member: usize) -> Option<usize> {
        let known = &self.members[member];
        let Some(visit) = &known.visit else { return known.is_amid_line().then_some(0) };
        match (&visit.unread[..], visit.is_socket) {
            ([], _) | (_, false) => None,
            ([_, len @ 0..126, ..], _) => Some(usize::from(*len)),
            ([_, 126, high, low, ..], _) => Some(usize::from(u16::from_be_bytes([*high, *low]))),
            _ => Some(FRAME_BYTES_MAX.max(self.config.longest_line_bytes())),
        }
    }
}

/// The first frame, if it is whole.
fn frame(bytes: &[u8]) -> Result<Option<Frame>, Violation> {
    let &[first, len, ref rest @ ..] = bytes else { return Ok(None) };
    let (len, payload) = match (len, rest) {
        (0..126, payload) => (usize::from(len), payload),
        (126, [high, low, payload @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), payload),
        (127, [len @ .., _, _]) if len.len() >= 6 => {
            let (len, payload) = rest.split_at(8);
            (len.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)), payload)
        }
        (126 | 127, _) => return Ok(None),
        _ => return Rule::Frames.broken("a masked frame"),
    };
    let header = bytes.len() - payload.len();
    if header != [2, 4, 10][usize::from(len > 125) + usize::from(len > 65_535)] {
        return Rule::Frames.broken(format!("a header of {header} bytes for {len}"));
    }
    let payload = payload.get(..len).map(<[u8]>::to_vec);
    Ok(payload.map(|payload| Frame { first, payload, bytes: header + len }))
}
