//! The tracked dialect in a pipe: lines of stdin go through [`Tracking`], and its events to stdout.

use std::time::Instant;

use super::stdin_lines::{StdinLine, StdinLines};
use super::{InputState, PipeClient};
use crate::client::decoder::ServerKind;
use crate::client::limits::{GRACE, READ_BYTES, SCREEN_BYTES_MAX, SEND_WAIT_MAX, UNSENT_BYTES_MAX};
use crate::client::outbox::entered::Entered as EnteredLine;
use crate::client::outbox::line_count::LineCount;
use crate::client::outbox::line_view::is_goodbye;
use crate::client::progress::Progress;
use crate::client::session::LineCounts;
use crate::client::tracked_link::{self, GOODBYE, Turn};
use crate::client::tracking::{Event, Tracking};
use crate::net::backoff::jitter;
use crate::net::stream::Received;
use crate::relay::notice::Notice;

/// The session, and the lines of stdin on their way into it.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) tracking: Tracking,
    lines: StdinLines,
    /// `--text` or `--send`: each line is text.
    says_text: bool,
    /// `--send`: the line must have its record.
    awaits_record: bool,
    /// Whether stdin has said a goodbye.
    has_left: bool,
    /// Lines behind it.
    dropped: LineCount,
    /// Whether the server has taken all, and was told goodbye.
    is_done: bool,
    /// Whether the present connection began with `/track`.
    began_with_track: bool,
    /// Whether an attempt was begun at once, to say goodbye.
    has_hurried: bool,
}

impl Tracked {
    /// Tracks the server if it `is_wanted` and the server can be tracked.
    pub(super) fn new(is_wanted: bool, says_text: bool, awaits_record: bool) -> Tracked {
        Tracked {
            tracking: Tracking::new(is_wanted),
            lines: StdinLines::default(),
            says_text,
            awaits_record,
            has_left: false,
            dropped: LineCount::default(),
            is_done: false,
            began_with_track: false,
            has_hurried: false,
        }
    }

    /// Whether the server has taken all lines, and was told goodbye. What comes behind does not matter.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether a connection for the goodbye may be made without the pause of a reconnect: once.
    pub(super) fn take_hurry(&mut self) -> bool {
        !std::mem::replace(&mut self.has_hurried, true)
    }

    /// Whether a line of `--send` is awaited.
    pub(super) fn awaits_record(&self) -> bool {
        self.awaits_record
    }

    /// Whether stdin has said a goodbye.
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    /// Whether lines were not taken, or may not have been.
    pub(super) fn has_unsaid(&self) -> bool {
        self.tracking.waiting_lines() + self.tracking.untaken_lines() > 0
    }

    /// Lines of stdin by what became of them; `None` without tracking.
    pub(super) fn line_counts(&self) -> Option<LineCounts> {
        (!self.tracking.is_plain()).then(|| LineCounts {
            sent: self.tracking.untaken_lines() as u64,
            unsent: self.tracking.waiting_lines() as u64,
            dropped: self.dropped.lines(),
        })
    }
}

impl PipeClient {
    /// Begins a connection: with the session, or with the requests for the room and the name.
    pub(super) fn on_connected(&mut self, now: Instant) {
        let track = self.tracked.tracking.on_connected(now);
        self.tracked.began_with_track = track.is_some();
        let Some(session) = self.link.session() else { return };
        if let Some(track) = track {
            self.answers.on_tracked_connected();
            session.queue_track(&track);
        } else {
            self.answers.on_connected(now).for_each(|request| session.queue_own(&request));
        }
    }

    /// Goes on with a server that does not track, or does not track any more.
    fn on_untracked(&mut self, now: Instant) {
        let (in_doubt, waiting) = self.tracked.tracking.drain();
        self.link.in_doubt += in_doubt as u64;
        waiting.iter().for_each(|line| self.link.give_back(line.as_bytes()));
        if std::mem::take(&mut self.tracked.began_with_track) {
            let requests = self.answers.on_untracked(now);
            if let Some(session) = self.link.session() {
                requests.for_each(|request| session.queue_own(&request));
            }
        }
    }

    /// Sends a request of the client itself.
    pub(super) fn request(&mut self, line: &str) {
        if self.tracked.tracking.is_tracked() {
            self.tracked.tracking.push_requests(&[line.trim_end().to_owned()]);
        } else if let Some(session) = self.link.session() {
            session.queue_own(line);
        }
    }

    /// Leaves before everything was said. The end of input alone would keep a tracked seat.
    pub(super) fn give_up(&mut self, now: Instant) {
        let is_tracked = self.tracked.tracking.is_tracked();
        if let Some(session) = self.link.session() {
            if is_tracked {
                session.queue_own(GOODBYE);
            }
            session.finish_sending(now);
        }
    }

    /// Asks for tracking and for acknowledgements, and sends the lines that may go.
    pub(super) fn follow_tracking(&mut self, now: Instant) -> Progress {
        let turn = Turn {
            is_in: self.answers.is_in(),
            holds_lines: self.answers.holds_lines(),
            is_leaving: self.has_all_lines(),
        };
        let Some(session) = self.link.session().filter(|session| session.is_open()) else { return Progress::None };
        let tracking = &mut self.tracked.tracking;
        if !tracked_link::learn_server(tracking, session, turn.is_in, now) {
            return self.take_events(now);
        }
        tracked_link::advance(tracking, session, turn, now) | self.leave_tracked(now)
    }

    /// The time of the next step of the tracking, on a connection.
    pub(super) fn tracking_deadline(&mut self, now: Instant) -> Option<Instant> {
        let tracking = &self.tracked.tracking;
        self.link.session().and_then(|session| tracked_link::deadline(tracking, session, now))
    }

    /// Counts the connection as lost if the answer to `/track` is late, unless it may be unread.
    pub(super) fn give_up_answer(&mut self, is_idle: bool, now: Instant) {
        let may_be_late = is_idle && !self.stdout.holds(SCREEN_BYTES_MAX);
        if may_be_late && tracked_link::give_up_answer(&mut self.tracked.tracking, now) {
            self.abandon_server();
        }
        self.take_events(now);
    }

    /// The time until which a lost session is worth another connection that says goodbye: the seat would be kept, and
    /// the name with it.
    pub(super) fn goodbye_deadline(&self) -> Option<Instant> {
        let is_owed = self.tracked.tracking.has_session() && !self.tracked.is_done;
        self.link.lost_at.filter(|_| is_owed).map(|at| at + GRACE)
    }

    /// `--send`: the time at which the line counts as not said, without a connection.
    pub(super) fn send_deadline(&mut self) -> Option<Instant> {
        let is_awaited = self.tracked.awaits_record && self.link.session().is_none();
        self.link.lost_at.filter(|_| is_awaited).map(|at| at + SEND_WAIT_MAX)
    }

    /// Says goodbye once the server has taken everything.
    fn leave_tracked(&mut self, now: Instant) -> Progress {
        let is_leaving = self.has_all_lines() && self.tracked.tracking.is_tracked();
        let tracked = &mut self.tracked;
        let is_settled = tracked.tracking.is_settled() || !tracked.awaits_record;
        if !is_leaving || tracked.is_done || tracked.has_unsaid() || tracked.tracking.holds_lines() || !is_settled {
            return Progress::None;
        }
        let Some(session) = self.link.session() else { return Progress::None };
        tracked.is_done = true;
        session.queue_own(GOODBYE);
        session.finish_sending(now);
        Progress::Made
    }

    /// Whether no more lines come from stdin.
    fn has_all_lines(&self) -> bool {
        let is_read = matches!(self.input, InputState::Ended | InputState::Failed(_)) && !self.link.has_given_back();
        is_read || self.tracked.has_left || (!self.is_shown && self.is_input_dry)
    }

    /// Reads stdin once into lines, if there is space for a full read.
    pub(super) fn read_tracked(&mut self, now: Instant) -> Progress {
        if self.tracked.has_left
            || self.tracked.tracking.is_undecided()
            || self.tracked.tracking.free_bytes() < READ_BYTES
        {
            return Progress::None;
        }
        let given_back = self.link.take_back();
        if !given_back.is_empty() {
            let has_ended = matches!(self.input, InputState::Ended | InputState::Failed(_));
            self.push_typed(&given_back, has_ended);
            return Progress::Made;
        }
        if !matches!(self.input, InputState::Open) {
            return Progress::None;
        }
        match self.stdin.read(&mut self.scratch[..]) {
            Received::Bytes(len) => {
                if let Some(session) = self.link.session() {
                    session.mark_progress(now);
                }
                let piece = self.scratch[..len].to_vec();
                self.push_typed(&piece, false);
            }
            Received::NotYet => {
                self.is_input_dry = true;
                return Progress::None;
            }
            Received::End => {
                self.input = InputState::Ended;
                self.push_typed(&[], true);
            }
            Received::Failed(err) => {
                self.input = InputState::Failed(err);
                self.push_typed(&[], true);
            }
        }
        self.is_input_dry = false;
        Progress::Made
    }

    /// Cuts typed bytes into lines. Counts those behind a goodbye.
    fn push_typed(&mut self, typed: &[u8], has_ended: bool) {
        let tracked = &mut self.tracked;
        if tracked.has_left {
            tracked.dropped.add(typed);
            return;
        }
        tracked.lines.push(typed);
        while let Some(line) = tracked.lines.next(has_ended) {
            let text = match line {
                StdinLine::Text(text) => text,
                StdinLine::TooLong => {
                    self.answers.on_too_long(UNSENT_BYTES_MAX);
                    continue;
                }
            };
            if tracked.says_text {
                tracked.tracking.push(&EnteredLine::text(text).wire(ServerKind::Pollchat));
            } else if is_goodbye(text.as_bytes()) {
                tracked.has_left = true;
                tracked.dropped.add(&tracked.lines.take_rest());
                return;
            } else {
                tracked.tracking.push(&text);
            }
        }
    }

    /// Acts on the events of the tracking, and shows them.
    pub(super) fn take_events(&mut self, now: Instant) -> Progress {
        let mut progress = Progress::None;
        while let Some(event) = self.tracked.tracking.next_event() {
            progress = Progress::Made;
            self.take_event(event, now);
        }
        progress
    }

    fn take_event(&mut self, event: Event, now: Instant) {
        let tracking = &mut self.tracked.tracking;
        let (output, queue) = (&self.output, self.stdout.queue());
        match event {
            Event::Plain(line) => output.show_line("", &line, self.answers.room.present(), queue),
            Event::Fin => output.show_line("", "FIN", Some(tracking.room()), queue),
            Event::Untracked => self.on_untracked(now),
            Event::Entered(entered) => {
                output.show_entered(&entered, queue);
                let requests = self.answers.on_entered(&entered, now);
                let requests: Vec<String> = requests.map(|line| line.trim_end().to_owned()).collect();
                tracking.push_requests(&requests);
                self.link.on_tracked(entered.how.is_known_session());
                self.link.on_in(true, now);
            }
            Event::Missed(missed) => output.show_missed(missed, tracking.room(), queue),
            Event::Private(text) => {
                let notice = Notice::parse(&text);
                // The session goes on: stderr tells of the loss.
                if !matches!(notice, Notice::HandedOver) {
                    output.show_private(&text, tracking.room(), queue);
                }
                self.answers.on_notice(notice, now, jitter());
            }
            Event::Record(record) => {
                output.show_record(&record, tracking.room(), tracking.name(), queue);
                if let Some(notice) = Notice::in_line(&record.line).filter(|_| !record.is_past) {
                    self.answers.on_notice(notice, now, jitter());
                }
                if self.answers.refused_name().is_some() {
                    tracking.forget_nicks();
                }
            }
            Event::Taken { line, .. } => {
                self.answers.on_taken();
                self.answers.room.on_sent(&line);
            }
            Event::InDoubt(_) => self.link.in_doubt += 1,
            Event::Unrecorded(_) => {}
            Event::Elsewhere => self.answers.on_elsewhere(),
        }
    }
}
