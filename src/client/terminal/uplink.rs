//! The way to the server, over all the connections that it takes: connecting, talking, lost and tried again; and what
//! outlives a connection, which is what was typed and not sent, and the name.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Token};

use super::names::{Notice, Reading};
use super::nick::{Nick, Tell};
use super::scribe::{News, Scribe};
use super::unsent::Unsent;
use crate::client::address::ServerAddress;
use crate::client::backoff::{Pauses, chance};
use crate::client::config::{
    GRACE, READ_BYTES, RECONNECT_PAUSE_FIRST, RECONNECT_PAUSE_MAX, RECONNECT_STABLE, WELCOME_WAIT,
};
use crate::client::connect::{Attempt, Connected, Progress};
use crate::client::decoder::{Peer, Said};
use crate::client::session::{Conversation, Outcome};
use crate::client::{ClientError, Options};

/// What a run of the client ends with.
pub type End = Result<(), ClientError>;

/// The way to the server.
#[derive(Debug)]
pub struct Uplink {
    address: ServerAddress,
    /// Resolved once: the resolver blocks, and the input line must not.
    candidates: Vec<SocketAddr>,
    flush_after: Option<Duration>,
    reconnects: bool,
    state: State,
    intent: Intent,
    past: Past,
    /// The last thing of consequence that the server said on this connection.
    farewell: News,
    unsent: Unsent,
    nick: Nick,
    pauses: Pauses,
    /// Why there is no connection, or was none before this one.
    failure: Option<ClientError>,
}

#[derive(Debug)]
enum State {
    Connecting(Attempt),
    /// Since then.
    Talking(Box<Conversation>, Instant),
    /// There is no connection; the next attempt begins then.
    Waiting(Instant),
}

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Stay,
    /// To end it, once what was typed is sent, or at the latest then.
    LeaveBy(Instant),
}

/// What went before the present connection, or the attempt to have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// None was ever made.
    Nothing,
    /// Since then something may have been said that we did not hear.
    GapFrom(Instant),
    /// Nothing is missing.
    Continuous,
}

/// How the way to the server stands, to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A connection is being made.
    Connecting,
    /// There is one.
    Talking,
    /// There is one, and it is being ended.
    Leaving,
    /// There is none, and it is tried again after so many seconds.
    Waiting(u64),
}

impl Uplink {
    /// Will connect to the first of `candidates` that answers.
    pub fn new(options: &Options, candidates: Vec<SocketAddr>) -> Uplink {
        Uplink {
            address: options.server.clone(),
            state: State::Connecting(Attempt::new(&candidates)),
            candidates,
            flush_after: options.flush_after,
            reconnects: options.reconnect,
            intent: Intent::Stay,
            past: Past::Nothing,
            farewell: News::None,
            unsent: Unsent::default(),
            nick: Nick::new(options.nick.as_ref()),
            pauses: Pauses::new(RECONNECT_PAUSE_FIRST, RECONNECT_PAUSE_MAX),
            failure: None,
        }
    }

    /// How it stands.
    pub fn standing(&self, now: Instant) -> Standing {
        match (&self.state, self.intent) {
            (State::Connecting(_), _) => Standing::Connecting,
            (State::Talking(..), Intent::LeaveBy(_)) => Standing::Leaving,
            (State::Talking(conversation, _), _) if !conversation.is_two_sided() => Standing::Leaving,
            (State::Talking(..), Intent::Stay) => Standing::Talking,
            (State::Waiting(until), _) => Standing::Waiting(seconds_until(*until, now)),
        }
    }

    /// How many typed lines wait to be sent.
    pub fn waiting_lines(&self) -> usize {
        self.unsent.waiting()
    }

    /// The typed lines that will never be sent.
    pub fn drain_unsent(&mut self) -> impl Iterator<Item = String> {
        self.unsent.take_back();
        self.unsent.drain()
    }

    /// Has these lines sent as soon as they can be.
    ///
    /// # Errors
    /// The lines, when too much waits already.
    pub fn say(&mut self, lines: Vec<String>) -> Result<(), Vec<String>> {
        self.unsent.push(lines)
    }

    /// Ends it: what was typed is still sent, and the server's farewell awaited. Asked for twice, it ends at once.
    pub fn leave(&mut self, now: Instant) -> ControlFlow<End> {
        match (&self.state, self.intent) {
            (State::Talking(conversation, _), Intent::Stay) if conversation.is_two_sided() => {
                self.intent = Intent::LeaveBy(now + GRACE);
                ControlFlow::Continue(())
            }
            (State::Talking(..), _) => ControlFlow::Break(Ok(())),
            _ => ControlFlow::Break(Err(self.failure.take().unwrap_or_else(|| ClientError::Connect {
                address: self.address.clone(),
                source: std::io::Error::new(std::io::ErrorKind::Interrupted, "given up"),
            }))),
        }
    }

    /// Takes note of an event of the socket.
    pub fn on_event(&mut self, event: &Event) {
        if let State::Talking(conversation, _) = &mut self.state {
            conversation.on_event(event);
        }
    }

    /// Takes note that something was shown.
    pub fn note_progress(&mut self, now: Instant) {
        if let State::Talking(conversation, _) = &mut self.state {
            conversation.note_progress(now);
        }
    }

    /// Goes on a step: connects, sends once, and, if there is `room` to show it, receives once.
    pub fn advance(
        &mut self,
        (registry, token): (&Registry, Token),
        scratch: &mut [u8; READ_BYTES],
        scribe: &mut Scribe,
        room: Room,
        now: Instant,
    ) -> ControlFlow<End> {
        match &mut self.state {
            State::Waiting(until) if *until > now => {}
            State::Waiting(_) => self.state = State::Connecting(Attempt::new(&self.candidates)),
            State::Connecting(attempt) => match attempt.advance(registry, token, now) {
                Progress::Pending => {}
                Progress::Connected(connected) => self.begin(connected, scribe, now),
                Progress::Failed(source) => {
                    let address = self.address.clone();
                    self.failure = Some(ClientError::Connect { address, source });
                    self.pause(now)?;
                }
            },
            State::Talking(..) => {
                self.hand_over(scribe, now);
                self.talk(scratch, scribe, room, now);
                return self.look_for_the_end(scribe, now);
            }
        }
        ControlFlow::Continue(())
    }

    /// Takes what lacks its end as a line, if the server has been silent for long enough.
    pub fn hear_silence(&mut self, scribe: &mut Scribe, room: Room, now: Instant) {
        if let State::Talking(conversation, _) = &mut self.state
            && room == Room::Enough
        {
            let mut news = Vec::new();
            conversation.hear_silence(now, &mut |said| hear(said, scribe, &mut self.past, &mut news, now));
            self.digest(news, scribe, now);
        }
    }

    /// Ends a connection that has stood still for too long, if its time is over.
    pub fn lose_patience(&mut self, scribe: &mut Scribe, now: Instant) -> ControlFlow<End> {
        match &self.state {
            State::Talking(conversation, _) if conversation.patience() == Some(Duration::ZERO) => {
                self.conclude(scribe, now)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// Whether [`Uplink::advance`] can do something without waiting.
    pub fn is_busy(&self, room: Room, now: Instant) -> bool {
        match &self.state {
            State::Talking(conversation, _) => {
                conversation.may_send()
                    || (room == Room::Enough && conversation.may_receive())
                    || self.may_hand_over(now)
            }
            _ => self.deadline(room, now).is_some_and(|deadline| deadline <= now),
        }
    }

    /// When to come back, if no event does before.
    pub fn deadline(&self, room: Room, now: Instant) -> Option<Instant> {
        match &self.state {
            State::Connecting(attempt) => attempt.deadline().or(Some(now)),
            // What is shown of it changes every second.
            State::Waiting(until) => {
                let later = Duration::from_secs(seconds_until(*until, now).saturating_sub(1));
                Some(until.checked_sub(later).unwrap_or(*until))
            }
            State::Talking(conversation, since) => {
                let patience = conversation.patience().map(|patience| now + patience);
                let welcome = (self.unsent.waiting() > 0).then(|| *since + WELCOME_WAIT).filter(|&at| at > now);
                let leave = match self.intent {
                    Intent::LeaveBy(at) if conversation.is_two_sided() => Some(at),
                    _ => None,
                };
                // What cannot be shown, or read first, is not waited for.
                let silence = conversation.silence_at().filter(|_| room == Room::Enough && !conversation.may_receive());
                [patience, welcome, leave, silence, self.nick.deadline()].into_iter().flatten().min()
            }
        }
    }

    fn begin(&mut self, connected: Connected, scribe: &mut Scribe, now: Instant) {
        let mut conversation = Conversation::new(connected, self.flush_after, now);
        scribe.on_connection();
        self.farewell = News::None;
        if let Some(name) = self.nick.on_connection() {
            ask_for(name, &mut conversation, &mut self.unsent, now);
        }
        self.state = State::Talking(Box::new(conversation), now);
    }

    /// Whether typed lines may be sent: a server that is full would throw them away, so it is given the time to say so;
    /// and the name should be ours before.
    fn is_welcome(&self, now: Instant) -> bool {
        match &self.state {
            State::Talking(conversation, since) => {
                let is_known = conversation.peer() == Peer::Pollchat && !self.nick.is_awaited();
                is_known || now.saturating_duration_since(*since) >= WELCOME_WAIT
            }
            _ => false,
        }
    }

    fn may_hand_over(&self, now: Instant) -> bool {
        let State::Talking(conversation, _) = &self.state else { return false };
        let is_open = conversation.is_two_sided() && self.is_welcome(now);
        let has_line = self.unsent.next_bytes().is_some_and(|bytes| bytes <= conversation.room_bytes());
        let leaves = matches!(self.intent, Intent::LeaveBy(at) if self.unsent.waiting() == 0 || at <= now);
        conversation.is_two_sided() && (leaves || (is_open && has_line))
    }

    /// Hands typed lines to the connection, as many as it takes; and ends our half behind them, if that is wanted.
    fn hand_over(&mut self, scribe: &mut Scribe, now: Instant) {
        let is_welcome = self.is_welcome(now);
        let State::Talking(conversation, _) = &mut self.state else { return };
        while is_welcome && conversation.is_two_sided() {
            let Some(line) = self.unsent.hand_over(conversation.room_bytes()) else { break };
            note_gap(scribe, &mut self.past, now);
            scribe.say(&line);
            self.nick.on_typed(&line);
            conversation.say(format!("{line}\n").as_bytes(), now);
        }
        if let Intent::LeaveBy(at) = self.intent
            && (self.unsent.waiting() == 0 || at <= now)
        {
            conversation.end_ours(now);
        }
    }

    fn talk(&mut self, scratch: &mut [u8; READ_BYTES], scribe: &mut Scribe, room: Room, now: Instant) {
        let State::Talking(conversation, _) = &mut self.state else { return };
        if let Some(name) = self.nick.ask_again(now)
            && conversation.is_two_sided()
        {
            ask_for(name, conversation, &mut self.unsent, now);
        }
        conversation.send(now);
        self.unsent.note_left(conversation.waiting_bytes());
        if room == Room::Enough {
            let mut news = Vec::new();
            conversation.receive(scratch, now, &mut |said| hear(said, scribe, &mut self.past, &mut news, now));
            self.digest(news, scribe, now);
        }
    }

    fn digest(&mut self, news: Vec<News>, scribe: &mut Scribe, now: Instant) {
        for news in news {
            match news {
                News::Called(name) => self.nick.on_called(&name),
                News::Taken(name) => match self.nick.on_taken(&name, now, chance()) {
                    Tell::Nothing => {}
                    Tell::Taken => scribe.note_taken(&name),
                    Tell::TakenForNow => {
                        scribe.note_taken(&name);
                        scribe.note("it is asked for again until it is free");
                    }
                },
                News::ShuttingDown | News::Full => self.farewell = news,
                News::None | News::Fin => {}
            }
        }
    }

    fn look_for_the_end(&mut self, scribe: &mut Scribe, now: Instant) -> ControlFlow<End> {
        match &self.state {
            State::Talking(conversation, _) if conversation.is_over() => self.conclude(scribe, now),
            _ => ControlFlow::Continue(()),
        }
    }

    /// The connection is over: that is the end, or there will be another one.
    fn conclude(&mut self, scribe: &mut Scribe, now: Instant) -> ControlFlow<End> {
        let State::Talking(conversation, since) = std::mem::replace(&mut self.state, State::Waiting(now)) else {
            return ControlFlow::Continue(());
        };
        let is_wanted = !conversation.is_ours_open() || self.intent != Intent::Stay;
        let outcome = conversation.outcome();
        let comes_back = match (&outcome, &self.farewell) {
            _ if is_wanted || !self.reconnects => false,
            // A server that ends the conversation ends it, but for one that is started anew, and one that has no place
            // for us after it had one.
            (Outcome::Complete, News::ShuttingDown) => true,
            (Outcome::Complete, News::Full) => matches!(self.past, Past::GapFrom(_)),
            (Outcome::Complete, _) => false,
            _ => true,
        };
        if !comes_back {
            return ControlFlow::Break(outcome.into_result(self.address.clone()));
        }
        if self.past == Past::Continuous || self.past == Past::Nothing {
            scribe.note(&format!("{}; trying again (Ctrl-C ends it)", told(&outcome)));
            self.past = Past::GapFrom(now);
        }
        match self.unsent.take_back() {
            0 => {}
            1 => scribe.note("the last line was not taken and will be sent again"),
            lines => scribe.note(&format!("the last {lines} lines were not taken and will be sent again")),
        }
        self.failure = Some(match outcome.into_result(self.address.clone()) {
            Ok(()) => ClientError::Closed { address: self.address.clone() },
            Err(err) => err,
        });
        if now.saturating_duration_since(since) >= RECONNECT_STABLE {
            self.pauses.reset();
        }
        self.pause(now)
    }

    /// There is no connection: has the next attempt wait, unless there is to be none.
    fn pause(&mut self, now: Instant) -> ControlFlow<End> {
        if self.past == Past::Nothing
            && let Some(failure) = self.failure.take()
        {
            return ControlFlow::Break(Err(failure));
        }
        self.state = State::Waiting(now + self.pauses.next(chance()));
        ControlFlow::Continue(())
    }
}

/// Whether what the server says can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It can.
    Enough,
    /// Not now: the terminal has yet to take what came before.
    None,
}

/// Writes one line of the server's; before the first one after a gap, that there was one.
fn hear(said: Said<'_>, scribe: &mut Scribe, past: &mut Past, news: &mut Vec<News>, now: Instant) {
    if !is_refusal(said) {
        note_gap(scribe, past, now);
    }
    let heard = scribe.hear(said);
    if heard != News::None {
        news.push(heard);
    }
}

/// Whether it is what one hears who is not let in.
fn is_refusal(said: Said<'_>) -> bool {
    matches!(Reading::of(said.text), Reading::Notice(Notice::Full) | Reading::Fin)
}

fn note_gap(scribe: &mut Scribe, past: &mut Past, now: Instant) {
    if let Past::GapFrom(from) = *past {
        let seconds = now.saturating_duration_since(from).as_secs_f64().ceil();
        scribe.note(&format!("connected again; what was said in these {seconds} s is missing here"));
    }
    *past = Past::Continuous;
}

fn ask_for(name: &str, conversation: &mut Conversation, unsent: &mut Unsent, now: Instant) {
    let line = format!("/nick {name}\n");
    if line.len() <= conversation.room_bytes() {
        unsent.note_handed(line.len());
        conversation.say(line.as_bytes(), now);
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Complete => "the server has stopped".to_owned(),
        Outcome::Closed => "the server closed the connection".to_owned(),
        Outcome::Lost(err) => format!("the connection was lost: {err}"),
        Outcome::Unsent(_) => "the server stopped reading".to_owned(),
    }
}

/// So many seconds are left, the last one included.
fn seconds_until(until: Instant, now: Instant) -> u64 {
    let left = until.saturating_duration_since(now);
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}
