//! Visitors of the page: their answers, their time, and how one becomes a client.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use pollchat::server::limits::{GRACE, PONG_WITHIN, REQUEST_TIME};

use crate::frames::Socket;
use crate::member::Member;
use crate::net::{Reset, Wire};
use crate::oracle::Oracle;
use crate::outline::{Body, Expected};
use crate::rule::{Rule, Verdict, Violation};

/// The state of a visitor, as far as the oracle can tell.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) came: Instant,
    /// Its answer, if it is refused at once.
    refusal: Option<Expected>,
    /// Bytes that it was sent and that were not looked at.
    pub(crate) unread: Vec<u8>,
    /// Its requests that were answered.
    answered: usize,
    /// Its last request was answered.
    is_over: bool,
    /// If its time for a request is over: how many were answered then, whether one was begun, and whether none was.
    timed_out: Option<(usize, bool, bool)>,
    /// Since when it had to be gone, and nothing kept the server from seeing that.
    overdue: Option<Instant>,
    /// Since when it should have been told so, at least.
    exceeded: Option<Instant>,
    /// When it opened a WebSocket.
    pub(crate) opened: Option<Instant>,
    /// Whether frames follow.
    pub(crate) is_socket: bool,
    /// Whether it opened a WebSocket and was refused in it.
    pub(crate) is_refused_inside: bool,
    pub(crate) socket: Socket,
}

impl Exchange {
    fn new(came: Instant, refused_with: Option<u16>) -> Exchange {
        let refusal = refused_with.map(|status| Expected { status, is_last: true, body: Body::Words });
        Exchange {
            came,
            refusal,
            unread: Vec::new(),
            answered: 0,
            is_over: false,
            timed_out: None,
            overdue: None,
            exceeded: None,
            opened: None,
            is_socket: false,
            is_refused_inside: false,
            socket: Socket::new(came),
        }
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }
}

impl Oracle {
    /// Learns that the hub is given a connection on the page's port. Returns its number among the connections.
    pub(crate) fn admit_visitor(&mut self, wire: &Rc<RefCell<Wire>>, now: Instant) -> usize {
        let mut known = Member::new(now);
        known.visit = Some(Box::new(Exchange::new(now, self.refused_with(wire))));
        self.add(known, wire)
    }

    /// The status that a visitor is refused with at once, if it is.
    fn refused_with(&self, wire: &Rc<RefCell<Wire>>) -> Option<u16> {
        if self.is_denied(wire) {
            return Some(403);
        }
        let is_visitor = |member: &&usize| {
            let visit = self.members[**member].visit.as_ref();
            let is_counted = visit.is_some_and(|visit| !visit.is_refused() && visit.opened.is_none());
            is_counted && !self.wires[**member].borrow().is_closed
        };
        if self.is_crowded_at_accept(wire).is_some() {
            return Some(429);
        }
        (self.active.iter().filter(is_visitor).count() >= self.visitors_max).then_some(503)
    }

    /// A visitor opens a WebSocket: it has asked for one, and is to enter.
    pub(crate) fn open_socket(&mut self, member: usize) -> Verdict {
        let now = self.now();
        let wire = self.wires[member].borrow();
        let requests = wire.ear.outline.as_ref().map_or(&[][..], |outline| &outline.requests);
        let Some(visit) = &mut self.members[member].visit else { return Rule::Entering.broken("it is no visitor") };
        let is_new = !visit.is_over && !visit.is_refused_inside && visit.opened.is_none();
        let has_asked = requests.iter().any(|request| request.status == 101);
        visit.opened = Some(now);
        visit.socket = Socket::new(now);
        Rule::Entering.demands(is_new && has_asked, || "it did not ask for a WebSocket".to_owned())
    }

    /// Takes what the hub wrote to a peer on the page's port.
    pub(crate) fn receive_at_door(&mut self, member: usize, written: &[u8]) -> Verdict {
        let Some(visit) = &mut self.members[member].visit else { return Ok(()) };
        visit.unread.extend_from_slice(written);
        while self.members[member].visit.as_ref().is_some_and(|visit| !visit.is_socket) {
            if !self.take_answer(member)? {
                return Ok(());
            }
        }
        self.take_frames(member)
    }

    /// Takes one answer; false if it is not whole.
    fn take_answer(&mut self, member: usize) -> Result<bool, Violation> {
        let expected = self.expected_answer(member);
        let Some(visit) = &mut self.members[member].visit else { return Ok(false) };
        if visit.unread.is_empty() {
            return Ok(false);
        }
        if visit.is_over {
            return Rule::Http.broken("it is told more than it asked for");
        }
        let Some(end) = visit.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(false) };
        let Ok(head) = String::from_utf8(visit.unread[..end].to_vec()) else {
            return Rule::Clean.broken("invalid UTF-8");
        };
        let mut expected = expected;
        if head.starts_with("HTTP/1.1 408 ") {
            let is_late = visit
                .timed_out
                .is_some_and(|(answered, was_begun, _)| answered == visit.answered && (was_begun || answered == 0));
            if !is_late {
                return Rule::RequestTime.broken("it had still time");
            }
            expected = Some(Expected { status: 408, is_last: true, body: Body::Words });
        }
        let Some(expected) = expected else { return Rule::Http.broken(format!("it did not ask: {head:?}")) };
        let len = judge_head(&head, &expected)?;
        let body = match expected.body {
            Body::Page | Body::Words => len,
            Body::Withheld | Body::None => 0,
        };
        let Some(rest) = visit.unread[end + 4..].get(..body) else { return Ok(false) };
        match expected.body {
            Body::Page if rest != self.page.get_or_insert_with(|| rest.to_vec()) => {
                return Rule::Http.broken("it is given another page");
            }
            Body::Words if rest.last() != Some(&b'\n') => return Rule::Http.broken("its answer has no end"),
            _ => {}
        }
        visit.unread.drain(..end + 4 + body);
        visit.answered += 1;
        visit.is_over = expected.is_last;
        if expected.status == 101 {
            visit.is_socket = true;
            self.wires[member].borrow_mut().is_open = true;
            if visit.opened.is_none() {
                return Rule::Entering.broken("its WebSocket is open, and it does not enter");
            }
        }
        Ok(true)
    }

    fn expected_answer(&self, member: usize) -> Option<Expected> {
        let visit = self.members[member].visit.as_ref()?;
        if visit.is_refused() {
            return visit.refusal.clone();
        }
        let wire = self.wires[member].borrow();
        wire.ear.outline.as_ref()?.requests.get(visit.answered).cloned()
    }

    /// Sees, at the end of a turn, whether a visitor had to ask for something by now.
    pub(crate) fn watch_visit(&mut self, member: usize, now: Instant) -> Verdict {
        let wire = self.wires[member].borrow();
        if wire.is_handshaking() {
            return Ok(());
        }
        let known = &mut self.members[member];
        let Some(visit) = known.visit.as_mut().filter(|visit| !visit.is_refused() && visit.opened.is_none()) else {
            return Ok(());
        };
        let Some(outline) = wire.ear.outline.as_ref().filter(|_| known.number.is_none()) else { return Ok(()) };
        if now < wire.last_written.max(visit.came) + REQUEST_TIME || wire.is_closed {
            (visit.overdue, visit.exceeded) = (None, None);
            return Ok(());
        }
        let (_, was_begun, was_idle) =
            visit.timed_out.filter(|(answered, ..)| *answered == visit.answered).unwrap_or_default();
        visit.timed_out = Some((visit.answered, was_begun || outline.is_amid(), was_idle || !outline.is_amid()));
        if wire.has_input() || wire.reset != Reset::No {
            (visit.overdue, visit.exceeded) = (None, None);
            return Ok(());
        }
        // What it is told then, it may not take.
        if now > *visit.overdue.get_or_insert(now) + 2 * REQUEST_TIME
            && now > *visit.exceeded.get_or_insert(now) + 2 * GRACE
            && !wire.is_finished
        {
            return Rule::RequestTime.broken("a visitor stays for ever");
        }
        Ok(())
    }

    /// Whether a connection is on the page's port, and neither a client nor a browser.
    pub(crate) fn is_visitor(&self, member: usize) -> bool {
        let known = &self.members[member];
        known.visit.as_ref().is_some_and(|visit| known.number.is_none() && !visit.is_socket)
    }

    /// Judges that the hub ended writing to a visitor.
    pub(crate) fn judge_end_of_visit(&self, member: usize, wire: &Wire) -> Verdict {
        let Some(visit) = &self.members[member].visit else { return Ok(()) };
        if !visit.unread.is_empty() {
            return Rule::Http.broken("the end of its answer is missing");
        }
        let requests = wire.ear.outline.as_ref().map_or(0, |outline| outline.requests.len());
        let has_left = wire.ear.ended.is_some() && visit.answered == requests;
        let was_idle = visit.timed_out.is_some_and(|(answered, _, was_idle)| answered == visit.answered && was_idle);
        if visit.is_over || has_left || self.is_shutting_down || (visit.answered > 0 && was_idle) {
            Ok(())
        } else {
            Rule::Http.broken("a visitor was not answered")
        }
    }

    /// Judges that a visitor was closed.
    pub(crate) fn judge_closed_visitor(&self, member: usize, wire: &Wire, now: Instant) -> Verdict {
        let Some(visit) = &self.members[member].visit else { return Ok(()) };
        let idle = now.saturating_duration_since(wire.last_written.max(visit.came));
        let is_over = wire.reset != Reset::No || (wire.is_finished && wire.ear.ended.is_some());
        let is_evicted = visit.is_refused() && wire.is_finished;
        if is_over || is_evicted || idle >= GRACE {
            Ok(())
        } else {
            Rule::Grace.broken(format!("a visitor was closed {idle:?} after it took something"))
        }
    }

    /// If the hub would sleep: judges that a visitor has all that it is owed.
    pub(crate) fn rests_visitor(&self, member: usize, wire: &Wire, is_braked: bool) -> Verdict {
        let Some(visit) = &self.members[member].visit else { return Ok(()) };
        if !visit.unread.is_empty() {
            return Rule::Http.broken("its answer was not written to its end");
        }
        let requests = wire.ear.outline.as_ref().map_or(0, |outline| outline.requests.len());
        let is_over = visit.is_over || (wire.ear.ended.is_some() && visit.answered == requests);
        if wire.is_finished {
            return Ok(());
        }
        if is_over || visit.is_refused() || self.is_shutting_down {
            return Rule::Rest.broken("a visitor is still here");
        }
        if visit.answered < requests && !is_braked {
            return Rule::Http.broken("a visitor was not answered");
        }
        Ok(())
    }

    /// The time by which the hub must look after a peer on the page's port.
    pub(crate) fn wakes_for(&self, member: usize, now: Instant) -> Option<Instant> {
        self.members[member].visit.as_ref()?;
        if let Some(time) = self.enters_by(member, now) {
            return Some(time);
        }
        let is_client = self.members[member].number.is_some();
        Some(now + if is_client { PONG_WITHIN } else { REQUEST_TIME.max(GRACE) })
    }
}

/// Judges the head of an answer; returns how long it says that the body is.
fn judge_head(head: &str, expected: &Expected) -> Result<usize, Violation> {
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with(&format!("HTTP/1.1 {} ", expected.status)) {
        return Rule::Http.broken(format!("answered {status:?}, not {expected:?}"));
    }
    let fields: Vec<(String, &str)> = lines
        .map(|line| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)))
        .collect::<Option<_>>()
        .unwrap_or_default();
    let has = |name: &str, value: &str| fields.iter().any(|(of, is)| of == name && *is == value);
    let is_right = match expected.status {
        101 => {
            has("upgrade", "websocket")
                && has("connection", "Upgrade")
                && has("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        }
        405 => fields.iter().any(|(name, _)| name == "allow"),
        426 => has("upgrade", "websocket") && has("sec-websocket-version", "13"),
        _ => true,
    };
    if !is_right || has("connection", "close") != expected.is_last {
        return Rule::Http.broken(format!("not the head of {expected:?}: {head:?}"));
    }
    let lengths: Vec<&str> =
        fields.iter().filter(|(name, _)| name == "content-length").map(|(_, value)| *value).collect();
    match (expected.body, lengths.as_slice()) {
        (Body::None, []) => Ok(0),
        (Body::Page | Body::Words | Body::Withheld, [len]) => match len.parse() {
            Ok(len) => Ok(len),
            Err(_) => Rule::Http.broken(format!("no length: {len:?}")),
        },
        _ => Rule::Http.broken(format!("{} lengths: {head:?}", lengths.len())),
    }
}
