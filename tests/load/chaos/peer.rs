//! A tracked peer: it resumes its session over any number of connections, and checks each line that it is sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::random::Random;
use super::tapes::{Place, Tapes};
use super::wire::{Lost, Wire};
use super::{RESUME_WITHIN, ROOMS, Stage, THE_END, text_of};

/// The habits of a peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habits {
    /// Whether it speaks WebSocket.
    pub(super) is_socket: bool,
    /// Whether it sometimes comes back after its seat is gone.
    pub(super) is_late: bool,
    /// Whether it goes from room to room.
    pub(super) moves: bool,
}

/// A peer and all that it knows.
pub(super) struct Peer {
    id: String,
    habits: Habits,
    address: SocketAddr,
    tapes: Arc<Tapes>,
    random: Random,
    session: Option<Session>,
    /// The first record that it does not have.
    position: Option<Place>,
    /// The room in which its next line is said.
    room: usize,
    /// All lines of the session, commands included.
    lines: Vec<String>,
    /// So many lines were taken by the server.
    heard: usize,
    said: usize,
    /// Each line about the session: lines taken, and the place in the log.
    reports: Vec<(usize, Place)>,
    /// Texts that it has said, by room.
    pub(super) texts: [Vec<String>; 2],
    /// Names that it had, in order.
    pub(super) names: Vec<String>,
    pub(super) missed: u64,
    pub(super) connections: u64,
    pub(super) late: u64,
    has_heard_the_end: bool,
}

struct Session {
    token: String,
}

/// What a connection of a peer is about to be told.
struct Talk {
    wire: Wire,
    /// Lines of the session that were sent on it, or were heard before.
    sent: usize,
    /// Since when it waits for the line about the session.
    asked: Option<Instant>,
    unit: Unit,
}

/// Lines that explain the next stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    None,
    Entering,
    Resuming,
    Resumed,
    Missed(u64),
    NotResumed,
    Moved,
}

impl Peer {
    pub(super) fn new(id: String, habits: Habits, address: SocketAddr, tapes: Arc<Tapes>, random: Random) -> Peer {
        Peer {
            id,
            habits,
            address,
            tapes,
            random,
            session: None,
            position: None,
            room: 0,
            lines: Vec::new(),
            heard: 0,
            said: 0,
            reports: Vec::new(),
            texts: Default::default(),
            names: Vec::new(),
            missed: 0,
            connections: 0,
            late: 0,
            has_heard_the_end: false,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn is_late(&self) -> bool {
        self.late > 0
    }

    pub(super) fn moves(&self) -> bool {
        self.habits.moves
    }

    /// Begins in another room than the lobby.
    pub(super) fn go_to(&mut self, room: usize) {
        self.room = room;
        self.lines.push(format!("/join {}", ROOMS[room]));
    }

    /// Talks until the end of the test.
    pub(super) fn run(mut self, stage: &Stage) -> Peer {
        let mut talk = None;
        let mut old = Vec::new();
        let mut say_at = Instant::now();
        let mut is_done = false;
        loop {
            stage.check();
            if !stage.is_over() && Instant::now() > say_at {
                self.think_of_lines();
                say_at = Instant::now() + self.random.millis(5..=120);
            }
            talk = match talk.take() {
                None => self.connect().ok(),
                Some(talk) if self.random.one_in(150) && !stage.is_over() => self.abandon(talk, &mut old),
                Some(mut talk) => self.talk(&mut talk, stage.is_over()).is_ok().then_some(talk),
            };
            if stage.is_over() && !is_done && self.heard == self.lines.len() {
                is_done = true;
                stage.on_done();
            }
            if self.has_heard_the_end {
                break;
            }
            if talk.is_none() {
                let pause = self.random.millis(0..=60);
                std::thread::sleep(pause);
            }
        }
        if let Some(mut talk) = talk {
            let _ = talk.wire.send("FIN\n");
        }
        self.judge_reports();
        self
    }

    fn think_of_lines(&mut self) {
        if self.habits.moves && self.random.one_in(12) {
            self.room = 1 - self.room;
            self.lines.push(format!("/join {}", ROOMS[self.room]));
        }
        for _ in 0..self.random.between(1..=3) {
            if self.random.one_in(15) {
                self.lines.push(["/who", "", "/nonsense"][self.random.below(3)].to_owned());
            }
            let text = text_of(&self.id, self.said, &mut self.random);
            self.said += 1;
            self.texts[self.room].push(text.clone());
            self.lines.push(text);
        }
    }

    fn connect(&mut self) -> Result<Talk, Lost> {
        self.connections += 1;
        let mut wire = Wire::connect(self.address, self.habits.is_socket)?;
        let (first, unit) = match (&self.session, &self.position) {
            (None, _) => ("/track\n".to_owned(), Unit::Entering),
            (Some(session), None) => (format!("/track - {}\n", session.token), Unit::Resuming),
            (Some(session), Some(position)) => (format!("/track {position} {}\n", session.token), Unit::Resuming),
        };
        wire.send(&first)?;
        Ok(Talk { wire, sent: self.heard, asked: Some(Instant::now()), unit })
    }

    /// Loses a connection on purpose. May return another, which races with it.
    fn abandon(&mut self, mut talk: Talk, old: &mut Vec<Wire>) -> Option<Talk> {
        let way = self.random.below(3);
        if way > 0 || self.session.is_none() {
            talk.wire.drop_somehow(&mut self.random);
            if self.habits.is_late && self.session.is_some() && way == 1 && self.random.one_in(2) {
                self.late += 1;
                std::thread::sleep(RESUME_WITHIN + Duration::from_secs(2));
            }
            return None;
        }
        // The old connection stays, and what it has sent may be on its way.
        let _ = self.send_lines(&mut talk);
        old.push(talk.wire);
        if old.len() > 2 {
            old.remove(0);
        }
        self.connect().ok()
    }

    fn send_lines(&mut self, talk: &mut Talk) -> Result<(), Lost> {
        if talk.asked.is_some() || talk.sent == self.lines.len() {
            return Ok(());
        }
        let upto = self.lines.len().min(talk.sent + 20);
        let lines: String = self.lines[talk.sent..upto].iter().map(|line| format!("{line}\n")).collect();
        talk.sent = upto;
        talk.wire.send(&lines)
    }

    fn talk(&mut self, talk: &mut Talk, is_over: bool) -> Result<(), Lost> {
        self.send_lines(talk)?;
        let is_curious = self.random.one_in(40) || is_over && self.heard < self.lines.len();
        if is_curious && talk.asked.is_none() && talk.sent == self.lines.len() {
            talk.wire.send("/track\n")?;
            talk.asked = Some(Instant::now());
        }
        for line in talk.wire.lines()? {
            if line == "** this session goes on elsewhere" || line == "FIN" {
                return Err(Lost);
            }
            self.take(talk, &line);
        }
        let waited = talk.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        assert!(waited < Duration::from_secs(30), "{}: no answer to /track as {:?}", self.id, self.habits);
        Ok(())
    }

    fn take(&mut self, talk: &mut Talk, line: &str) {
        let is_first = matches!(talk.unit, Unit::Entering | Unit::Resuming) && talk.asked.is_some();
        if is_first && !line.starts_with("** ") {
            // Its first line was late: it has entered without it.
        } else if let Some(private) = line.strip_prefix("** ") {
            self.take_private(talk, private);
        } else if let Some(stamp) = line.strip_prefix("@ ") {
            let place = Place::parse(stamp.split_once(' ').expect("a time and a position").1);
            self.take_stamp(talk, place);
        } else {
            assert_eq!(talk.unit, Unit::None, "{}: a record before the stamp: {line}", self.id);
            let position = self.position.as_mut().unwrap_or_else(|| panic!("{}: no stamp before {line}", self.id));
            self.tapes.put(&self.id, position, line);
            position.record += 1;
            self.has_heard_the_end |= line.ends_with(THE_END);
        }
    }

    fn take_private(&mut self, talk: &mut Talk, line: &str) {
        if let Some(session) = line.strip_prefix("session ") {
            let words: Vec<&str> = session.split(' ').collect();
            let [token, "heard", heard, "at", at, "as", name] = words[..] else { panic!("{}: {line}", self.id) };
            let known = self.session.get_or_insert_with(|| Session { token: token.to_owned() });
            assert_eq!(known.token, token, "{}: another session", self.id);
            let heard: usize = heard.parse().unwrap();
            assert!(
                self.heard <= heard && heard <= self.lines.len(),
                "{}: heard {heard} of {}",
                self.id,
                self.lines.len()
            );
            // Until it has said a line, its seat is not kept.
            let prefix = format!("{} ", self.id);
            if !self.lines[..self.heard].iter().any(|line| line.starts_with(&prefix)) {
                self.names.clear();
            }
            self.heard = heard;
            talk.sent = talk.sent.max(heard);
            self.reports.push((heard, Place::parse(at)));
            if self.names.last().is_none_or(|last| last != name) {
                self.names.push(name.to_owned());
            }
            talk.asked = None;
        } else if line == "resumed" {
            assert_eq!(talk.unit, Unit::Resuming);
            talk.unit = Unit::Resumed;
        } else if line == "cannot resume: earlier lines follow" {
            // It may have gone to another room and back without being told.
            let may_be = self.position.is_none() || self.habits.moves;
            assert!(talk.unit == Unit::Resuming && may_be, "{}: cannot resume", self.id);
            self.position = None;
            talk.unit = Unit::NotResumed;
        } else if let Some(missed) = line.strip_prefix("you missed ") {
            let count = missed.split(' ').next().unwrap().replace(',', "").parse().unwrap();
            talk.unit = Unit::Missed(count);
        } else if line.starts_with("you are in ") && !line.ends_with("already") {
            talk.unit = Unit::Moved;
        }
    }

    fn take_stamp(&mut self, talk: &mut Talk, place: Place) {
        let unit = std::mem::replace(&mut talk.unit, Unit::None);
        let Some(position) = &self.position else {
            assert!(unit != Unit::None && unit != Unit::Resumed, "{}: {unit:?} at first", self.id);
            self.position = Some(place);
            return;
        };
        let told = match unit {
            Unit::None | Unit::Resumed => 0,
            Unit::Missed(missed) => missed,
            Unit::Moved => {
                assert_ne!(position.epoch, place.epoch, "{}: moved within a room", self.id);
                self.position = Some(place);
                return;
            }
            Unit::Entering | Unit::Resuming | Unit::NotResumed => panic!("{}: {unit:?} before {place}", self.id),
        };
        if position.epoch == place.epoch {
            assert_eq!(position.record + told, place.record, "{}: {unit:?} from {position} to {place}", self.id);
        } else {
            assert!(self.habits.moves || self.room == 1, "{}: {unit:?} from {position} to {place}", self.id);
        }
        self.missed += told;
        self.position = Some(place);
    }

    /// Each report separates the records of its own lines.
    fn judge_reports(&self) {
        let own: Vec<(usize, Place)> =
            (0..self.lines.len()).filter_map(|at| Some((at, self.tapes.find_text(&self.lines[at])?))).collect();
        for (heard, at) in &self.reports {
            for (index, place) in own.iter().filter(|(_, place)| place.epoch == at.epoch) {
                let is_before = place.record < at.record;
                assert_eq!(is_before, index < heard, "{}: line {index} at {place}, heard {heard} at {at}", self.id);
            }
        }
    }
}
