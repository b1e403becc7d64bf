//! The peers of the hub: what they send, how they read, and how they leave.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use pollchat::relay::room::Audience;
use pollchat::server::config::{Config, Lag};

use crate::browsers::Browser;
use crate::chance::Chance;
use crate::claims::Claims;
use crate::clients::{Client, State, about};
use crate::knocks::Knock;
use crate::movers::Mover;
use crate::net::{Reset, Wire};
use crate::rule::Verdict;
use crate::said::{is_name, is_reserved};
use crate::setting::{Fault, Faults};

/// Names that are asked for: some are the same but for case, some are nobody's to choose, some are none.
const NAMES: [&str; 14] = [
    "ana",
    "Ana",
    "BOB",
    "bob",
    "zoë",
    "名前",
    "x",
    "a-b_c",
    "server",
    "client-1",
    "a>b",
    "",
    "exactly-twenty-four-long",
    "this-one-is-longer-than-24",
];

/// Bytes that a peer may have to say and has not sent.
pub(crate) const TALK_BYTES_MAX: usize = 5_000;

/// Pieces that are no text, or none that should reach a terminal.
const HOSTILE: [&[u8]; 11] = [
    b"\x1b[2J",
    b"\x00",
    b"\xfe\xc3",
    b"\xef\xbb\xbf",
    b"\xe2\x80",
    b"\xe2\x80\xae",
    b"\xc2\x9b",
    b"\r",
    b"\xf0\x9f\x98\x80",
    b"* ana left",
    b"bob> ",
];

/// Telnet commands, whole: text that they stand in stays as it is.
const TELNET: [&[u8]; 6] =
    [b"\xff\xfb\x1f", b"\xff\xfd\x01", b"\xff\xfe\x03", b"\xff\xf1", b"\xff\xff", b"\xff\xfa\x18\x00xterm\xff\xf0"];

/// The habit of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Takes everything at once and never says a word.
    Witness,
    Talker,
    Flood,
    /// Says a line at a time, all the time, and never reads.
    Mutterer,
    /// Sends byte by byte.
    Dripper,
    Renamer,
    /// Asks for answers and takes none.
    Provoker,
    /// Talks in private.
    Whisperer,
    /// Sends what should not be sent.
    Hostile,
    /// Comes and goes.
    Guest,
    /// Speaks another protocol.
    ForeignProtocol,
    /// Never says anything, though it may send something.
    Silent,
    /// Leaves as soon as it has connected.
    Prober,
    /// Is a connection of a tracked client.
    Tracked,
}

/// The way in which a peer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    AtOnce,
    Slowly(usize),
    InBursts,
    Never,
}

/// The progress of a peer on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Stays,
    /// It sends nothing more but what it has written already; then it ends its side.
    Ends,
    /// It is gone, or going: it does nothing but read.
    Ended,
}

/// A peer.
#[derive(Debug)]
pub(crate) struct Peer {
    chance: Chance,
    pub(crate) habit: Habit,
    reading: Reading,
    course: Course,
    outbox: Vec<u8>,
    /// The names that it asked for.
    tried: Vec<&'static str>,
    /// Counts what it tells and is called, so that each text is told once.
    tellings: usize,
    /// Whether it closes when it was told FIN.
    is_polite: bool,
    /// Whether it leaves out newlines, where silence does instead. It asks for no names then and tells nobody anything,
    /// because half of such a line may be heard for another one: the log would not tell which came about.
    is_chunky: bool,
    /// Whether it puts telnet commands anywhere among its bytes.
    is_telnet: bool,
    /// Whether it is one that never sends a newline.
    is_bare: bool,
    line_bytes_max: usize,
    /// Its moves, if it is one that moves.
    mover: Option<Mover>,
    /// Its claims to a name, if it makes some.
    claims: Option<Claims>,
    /// The way in which it gives the password, if there is one.
    knock: Option<Knock>,
    /// The browser, if it is a peer on the page's port.
    pub(crate) browser: Option<Box<Browser>>,
    /// The tracked client, of which this is one connection.
    client: Option<Rc<RefCell<Client>>>,
}

impl Peer {
    pub(crate) fn new(mut chance: Chance, config: &Config) -> Peer {
        use Habit::{Dripper, Flood, Guest, Hostile, Mutterer, Provoker, Renamer, Talker, Whisperer};
        let habits = [Talker, Talker, Flood, Flood, Mutterer, Dripper, Renamer, Provoker, Whisperer, Hostile, Guest];
        let is_chunky = config.flush_after.is_some();
        let habit = match chance.pick(&habits) {
            Renamer | Whisperer if is_chunky => Talker,
            habit => habit,
        };
        let reading = match (habit, chance.below(8)) {
            (Mutterer, _) | (Provoker, 0..6) | (_, 0) => Reading::Never,
            (_, 1..3) => Reading::Slowly(chance.pick(&[1, 5, 40, 400])),
            (_, 3) => Reading::InBursts,
            _ => Reading::AtOnce,
        };
        let is_polite = !chance.one_in(4);
        let is_telnet = chance.one_in(8);
        // A first line that silence ends may have to wait, with its connection in the room already, and grow meanwhile.
        // Then its author could not tell what it said.
        let is_bare = is_chunky && chance.one_in(2) && !may_defer_first_line(config);
        let outbox = if is_chunky && !is_bare { b"\n".to_vec() } else { Vec::new() };
        Peer {
            chance,
            habit,
            reading,
            course: Course::Stays,
            outbox,
            tried: Vec::new(),
            tellings: 0,
            is_polite,
            is_chunky,
            is_telnet,
            is_bare,
            line_bytes_max: config.line_bytes_max,
            mover: None,
            claims: None,
            knock: None,
            browser: None,
            client: None,
        }
    }

    pub(crate) fn witness() -> Peer {
        let peer = Peer::new(Chance::new(0), &Config::default());
        Peer { habit: Habit::Witness, reading: Reading::AtOnce, is_polite: true, is_telnet: false, ..peer }
    }

    /// A peer on the page's port.
    pub(crate) fn browser(mut chance: Chance, config: &Config) -> Peer {
        let browser = Some(Box::new(Browser::new(chance.fork())));
        Peer { browser, is_telnet: false, ..Peer::new(chance, config) }
    }

    /// A connection of a tracked client.
    pub(crate) fn tracked(mut chance: Chance, config: &Config, client: &Rc<RefCell<Client>>) -> Peer {
        let is_browser = client.borrow().is_browser;
        let browser = is_browser.then(|| Box::new(Browser::chatty(chance.fork())));
        let client = Some(Rc::clone(client));
        let (habit, reading) = (
            Habit::Tracked,
            chance.pick(&[
                Reading::AtOnce,
                Reading::AtOnce,
                Reading::AtOnce,
                Reading::Slowly(5),
                Reading::Slowly(40),
                Reading::Slowly(400),
                Reading::InBursts,
            ]),
        );
        let peer = Peer::new(chance, config);
        let outbox = Vec::new();
        Peer { habit, reading, browser, client, outbox, is_telnet: false, is_bare: false, is_chunky: false, ..peer }
    }

    /// A peer that speaks another protocol, or begins to.
    pub(crate) fn foreign(chance: Chance, config: &Config) -> Peer {
        if may_defer_first_line(config) {
            return Peer::new(chance, config);
        }
        let mut peer = Peer { habit: Habit::ForeignProtocol, is_bare: false, ..Peer::new(chance, config) };
        let padding = peer.chance.pick(&[0, 0, 0, 10, 100, 1_000]);
        let mut words = match peer.chance.below(8) {
            6 => b"SSH-2.0-x\r\n".to_vec(),
            7 => b"\x10\x1a\0\x04MQTT\x04\x02\0\x3c\0\x0eclient".to_vec(),
            5 => b"\x00\x01\x00\x08\x21\x12\xa4\x42\x07\x07\x07\x07".to_vec(),
            0 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            1 => b"OPTIONS * HTTP/1.1\r\n".to_vec(),
            2 => format!("GET /{} HTTP/1.1\r\nHost: a.b\r\n\r\n", "g".repeat(padding)).into_bytes(),
            _ => format!("POST /p?{} HTTP/1.0\nContent-Length: 99\n\n", "p".repeat(padding)).into_bytes(),
        };
        if peer.chance.one_in(6) {
            words.splice(..0, *b"\n\r\n");
        }
        if peer.chance.one_in(3) {
            words.truncate(peer.chance.up_to(words.len()));
        }
        if peer.chance.one_in(2) {
            words.extend(b"hello, room\nsecond\n/nick browser\nFIN\nnot said\n");
        }
        if peer.chance.one_in(3) {
            peer.course = Course::Ends;
        }
        peer.outbox = words;
        peer
    }

    /// A peer that never says anything: at most, empty lines and the beginning of a line.
    pub(crate) fn silent(chance: Chance, config: &Config) -> Peer {
        let mut peer = Peer { habit: Habit::Silent, is_bare: false, ..Peer::new(chance, config) };
        let begun = if may_defer_first_line(config) { &b""[..] } else { b"begun" };
        peer.outbox = peer.chance.pick(&[&b""[..], b"", b"\n", b"\n\r\n\r", begun]).to_vec();
        peer
    }

    /// A peer that leaves before it has sent a line.
    pub(crate) fn prober(chance: Chance, config: &Config) -> Peer {
        let mut peer = Peer { habit: Habit::Prober, is_bare: false, ..Peer::new(chance, config) };
        let words = peer.chance.pick(&[&b""[..], b"", b"", b"\r", b"GET", b"bye"]);
        peer.outbox = if may_defer_first_line(config) { Vec::new() } else { words.to_vec() };
        peer
    }

    /// The same, as one that moves. Half a request that silence ends would be another one.
    pub(crate) fn moving(mut self, mover: Option<Mover>) -> Peer {
        let talks = !matches!(self.habit, Habit::Witness | Habit::ForeignProtocol | Habit::Silent | Habit::Prober);
        self.mover = mover.filter(|_| talks && !self.is_bare);
        let first_words = self.mover.as_mut().filter(|_| !self.is_chunky).and_then(Mover::first_words);
        self.outbox.extend(first_words.unwrap_or_default().bytes());
        self
    }

    /// The same, as one that claims a name.
    pub(crate) fn claiming(mut self, claims: Option<Claims>) -> Peer {
        let talks = !matches!(self.habit, Habit::Witness | Habit::ForeignProtocol | Habit::Silent | Habit::Prober);
        self.claims = claims.filter(|_| talks && !self.is_bare && !self.is_chunky);
        self
    }

    /// The same, before a server with a password.
    pub(crate) fn knocking(mut self, knock: Option<Knock>) -> Peer {
        let first = knock.as_ref().map_or("", |knock| &knock.first);
        self.outbox.splice(..0, first.bytes());
        self.knock = knock;
        self
    }

    /// Does something for its tracked client, or nothing.
    fn act_tracked(&mut self, number: usize, wire: &mut Wire, faults: Faults, client: &mut Client) -> Verdict {
        let taken = mem::take(&mut wire.taken);
        if client.link != Some(number) {
            // Its client has another connection. What was sent over this one may still be on its way.
            match self.chance.below(100) {
                0 => self.end_abruptly(wire, faults),
                1..50 => self.put_and_send(wire),
                _ => {}
            }
            return Ok(());
        }
        client.take(&taken)?;
        if client.link.is_none() || wire.reset != Reset::No || wire.is_closed || wire.is_finished {
            client.lose();
            self.course = Course::Ended;
            wire.close();
            return Ok(());
        }
        if client.state == State::Idle {
            let is_time = !client.is_late || self.chance.one_in(100);
            if is_time {
                client.is_late = false;
                self.outbox.extend(client.ask().bytes());
            } else if self.outbox.len() < 1_000 && self.chance.one_in(10) {
                self.outbox.extend(format!("{}\n", self.chance.below(10_000)).bytes());
            }
        }
        if self.outbox.len() < 2_000 {
            client.talk(&mut self.outbox);
        }
        if client.state != State::Over && self.chance.one_in(150) {
            self.lose(wire, faults, client);
        }
        self.put_and_send(wire);
        Ok(())
    }

    /// Loses its connection, or says goodbye.
    fn lose(&mut self, wire: &mut Wire, faults: Faults, client: &mut Client) {
        match self.chance.below(10) {
            0 if client.state == State::Live => client.part(&mut self.outbox),
            0..3 if self.browser.is_none() => {
                // Half a line, perhaps, and the end of its input.
                let keep = self.chance.below(self.outbox.len() + 1);
                self.outbox.truncate(keep);
                self.put_and_send(wire);
                self.forget();
                self.course = Course::Ended;
                wire.end();
                client.lose();
            }
            3..6 => {
                // It knows nothing of the end of this connection, which may be processed behind the next one.
                client.lose();
            }
            6 if let Some(browser) = self.browser.as_mut() => {
                if let Some(is_goodbye) = browser.close_tracked(wire) {
                    client.lose();
                    if is_goodbye {
                        client.state = State::Over;
                    }
                }
            }
            _ => {
                self.end_abruptly(wire, faults);
                client.lose();
            }
        }
    }

    fn end_abruptly(&mut self, wire: &mut Wire, faults: Faults) {
        self.course = Course::Ended;
        self.forget();
        if faults.has(Fault::Reset) && self.chance.one_in(2) {
            wire.tear_down();
        } else {
            wire.close();
        }
    }

    fn put_and_send(&mut self, wire: &mut Wire) {
        self.put(wire);
        self.send(wire, self.left_to_send().len());
        self.follow_up(wire);
    }

    /// Looks at what it takes, says all that was not heard, and asks for an acknowledgement: the faults have stopped.
    fn calm_down_tracked(&mut self, number: usize, wire: &mut Wire, client: &mut Client) -> Verdict {
        let taken = mem::take(&mut wire.taken);
        if client.link != Some(number) {
            return Ok(());
        }
        client.take(&taken)?;
        if client.link.is_none() || wire.reset != Reset::No || wire.is_closed || wire.is_finished {
            client.lose();
            wire.close();
            return Ok(());
        }
        if client.state == State::Idle {
            self.outbox.extend(client.ask().bytes());
        } else if !client.is_settled() && self.outbox.is_empty() {
            client.send(&mut self.outbox);
            client.acknowledge(&mut self.outbox);
        }
        Ok(())
    }

    /// Does something, or nothing.
    pub(crate) fn act(&mut self, number: usize, wire: &mut Wire, faults: Faults) -> Verdict {
        self.read(wire);
        if let Some(client) = self.client.clone() {
            return self
                .act_tracked(number, wire, faults, &mut client.borrow_mut())
                .map_err(|seen| about(number, seen));
        }
        if self.habit == Habit::Witness {
            return Ok(());
        }
        // A bare one enters by silence.
        let may_talk = !self.is_bare || wire.written_bytes > 0;
        if self.course == Course::Stays && self.outbox.len() < 4_000 && may_talk {
            let before = self.outbox.len();
            self.talk(number);
            if self.outbox.last().is_none_or(|&last| last == b'\n') {
                let words = [
                    self.mover.as_mut().and_then(Mover::words),
                    self.knock.as_mut().and_then(Knock::words),
                    self.claims.as_mut().and_then(Claims::words),
                ];
                words.iter().flatten().for_each(|words| self.outbox.extend(words.bytes()));
            }
            self.leave(wire, faults);
            if self.is_bare {
                self.outbox.retain(|byte| !b"\r\n".contains(byte));
            }
            if self.is_telnet && self.outbox.len() > before && self.chance.one_in(2) {
                let at = before + self.chance.below(self.outbox.len() - before + 1);
                let command = self.chance.pick(&TELNET);
                self.outbox.splice(at..at, command.iter().copied());
            }
        }
        self.put(wire);
        let left = self.left_to_send().len();
        let piece = match self.habit {
            Habit::Dripper => left.min(1),
            Habit::ForeignProtocol if left > 0 => self.chance.up_to(left),
            _ => left,
        };
        self.send(wire, piece);
        self.follow_up(wire);
        Ok(())
    }

    /// Sends and takes all there is: the faults have stopped.
    pub(crate) fn calm_down(&mut self, number: usize, wire: &mut Wire) -> Verdict {
        wire.take(usize::MAX);
        if let Some(client) = self.client.clone() {
            let verdict = self.calm_down_tracked(number, wire, &mut client.borrow_mut());
            verdict.map_err(|seen| about(number, seen))?;
        }
        self.put_and_send(wire);
        Ok(())
    }

    /// Leaves, whatever it was about.
    pub(crate) fn farewell(&mut self) {
        if let Some(client) = &self.client {
            client.borrow_mut().state = State::Over;
        }
        if self.course == Course::Stays {
            match self.chance.below(3) {
                _ if self.is_bare || self.browser.as_ref().is_some_and(|browser| browser.is_over()) => {
                    self.course = Course::Ends;
                }
                0 => self.outbox.extend(b"\nFIN\nnot said\n"),
                1 => self.outbox.extend(b"\n/quit\n"),
                _ => self.course = Course::Ends,
            }
        }
    }

    fn read(&mut self, wire: &mut Wire) {
        match self.reading {
            Reading::AtOnce => wire.take(usize::MAX),
            Reading::Slowly(bytes) => wire.take(self.chance.up_to(bytes)),
            Reading::InBursts if self.chance.one_in(200) => wire.take(usize::MAX),
            Reading::InBursts | Reading::Never => {}
        }
    }

    fn send(&mut self, wire: &mut Wire, bytes: usize) {
        if bytes > 0 {
            let taken = wire.send(&self.left_to_send()[..bytes]);
            self.browser.as_mut().map_or(&mut self.outbox, |browser| &mut browser.queue).drain(..taken);
        }
    }

    /// The bytes to be sent.
    fn left_to_send(&self) -> &[u8] {
        self.browser.as_ref().map_or(&self.outbox, |browser| &browser.queue)
    }

    /// A browser sends frames, or requests.
    fn put(&mut self, wire: &mut Wire) {
        if let Some(browser) = self.browser.as_mut().filter(|_| self.course != Course::Ended) {
            browser.put(&mut self.outbox, wire, self.course == Course::Ends);
        }
    }

    /// Ends its side when all is sent; closes when the server has ended writing.
    fn follow_up(&mut self, wire: &mut Wire) {
        let is_silent =
            self.browser.as_ref().is_none_or(|browser| browser.queue.is_empty() && !browser.is_amid_message());
        if self.course == Course::Ends && self.outbox.is_empty() && is_silent {
            self.course = Course::Ended;
            wire.end();
        }
        if wire.is_finished && wire.outgoing() == 0 && self.is_polite {
            self.course = Course::Ended;
            wire.close();
        }
    }

    /// Sends nothing of what it was about to.
    fn forget(&mut self) {
        self.outbox.clear();
        if let Some(browser) = &mut self.browser {
            browser.queue.clear();
        }
    }

    fn talk(&mut self, number: usize) {
        match self.habit {
            Habit::Witness | Habit::ForeignProtocol | Habit::Silent | Habit::Prober | Habit::Tracked => {}
            Habit::Talker | Habit::Guest => {
                if self.chance.one_in(4) {
                    self.say_something(number);
                }
            }
            Habit::Flood => {
                for _ in 0..self.chance.up_to(20) {
                    self.say_something(number);
                }
            }
            Habit::Dripper => self.say_something(number),
            Habit::Mutterer => self.outbox.extend(b"m\n"),
            Habit::Renamer => match self.chance.below(4) {
                0 => self.rename(number),
                1 => self.say_something(number),
                _ => {}
            },
            Habit::Provoker => {
                let command = self.chance.pick(&["/help\n", "/help\n", "/rooms\n", "/who\n", "/nope\n"]);
                self.outbox.extend(command.repeat(self.chance.up_to(30)).bytes());
            }
            Habit::Whisperer => self.whisper(number),
            Habit::Hostile => self.be_hostile(number),
        }
    }

    fn say_something(&mut self, number: usize) {
        match self.chance.below(40) {
            0 => self.outbox.extend(self.chance.pick(&[
                &b"/who\n"[..],
                b"/who\n",
                b"/who page 1\n",
                b"/who page 2\n",
                b"/who page 0\n",
                b"/who CLIENT-\n",
                b"/who a\n",
            ])),
            1 => self.outbox.extend(b"\n"),
            2 => self.outbox.extend(self.chance.pick(&[
                &b"//x\r\n"[..],
                b"/say  exit\n",
                b"/say /who\n",
                b"/say\n",
                b"/me  waves\n",
                b"/me\n",
                // Behind a word it would look like the target of a request.
                if self.is_bare { b"/say\n" } else { b" /who\n" },
            ])),
            3 if !self.is_chunky => self.rename(number),
            4 => self.overlong(),
            5 if !self.is_chunky => self.whisper(number),
            _ => {
                let text = format!("{}", self.chance.below(10_000));
                let most = self.line_bytes_max.saturating_sub(text.len());
                let padding = if self.chance.one_in(4) { self.chance.below(most + 1) } else { 0 };
                self.outbox.extend(text.bytes().chain(std::iter::repeat_n(b'.', padding)));
                let end = if self.chance.one_in(5) { &b"\r\n"[..] } else { b"\n" };
                let end =
                    if self.is_chunky && self.chance.one_in(3) { self.chance.pick(&[&b""[..], b"\r"]) } else { end };
                self.outbox.extend(end);
            }
        }
    }

    /// Asks for a name; for none that can be had a second time, or the log would not tell which attempt came about.
    fn rename(&mut self, number: usize) {
        let name = self.chance.pick(&NAMES);
        if is_name(name) && !is_reserved(name) && self.tried.contains(&name) {
            self.tellings += 1;
            self.outbox.extend(format!("/nick n{number}-{}\n", self.tellings).bytes());
        } else {
            self.tried.push(name);
            self.outbox.extend(format!("/nick {name}\n").bytes());
        }
    }

    fn whisper(&mut self, number: usize) {
        let to = match self.chance.below(3) {
            0 => self.chance.pick(&NAMES).to_owned(),
            _ => format!("client-{}", self.chance.up_to(number + 2)),
        };
        self.tellings += 1;
        // Its end is there so that half of it, before an end of input, is not another one.
        self.outbox.extend(format!("/msg {to} t{number}-{}.\n", self.tellings).bytes());
    }

    fn overlong(&mut self) {
        let over = self.chance.below(3);
        self.outbox.extend(std::iter::repeat_n(b'o', self.line_bytes_max + over));
        self.outbox.extend(self.chance.pick(&[&b"\n"[..], b"\r\n", b"\rx\n", b"xxxxx\n"]));
    }

    fn be_hostile(&mut self, number: usize) {
        for _ in 0..self.chance.up_to(4) {
            let piece = self.chance.pick(&HOSTILE);
            self.outbox.extend(piece);
        }
        match self.chance.below(4) {
            0 => self.overlong(),
            1 => self.say_something(number),
            _ => self.outbox.push(b'\n'),
        }
    }

    fn leave(&mut self, wire: &mut Wire, faults: Faults) {
        let patience = match self.habit {
            Habit::Guest => 60,
            Habit::Prober => 2,
            _ if self.browser.is_some() => 400,
            _ => 1_500,
        };
        if !self.chance.one_in(patience) {
            return;
        }
        if let Some(browser) = self.browser.as_mut().filter(|_| self.chance.one_in(2)) {
            browser.close(wire);
            return;
        }
        let way = if self.habit == Habit::Prober { 4 + self.chance.below(5) } else { self.chance.below(9) };
        match way {
            0..3 if self.is_bare => {
                // It says nothing more, or the word would be part of it.
                self.outbox = self.chance.pick(&[&b"FIN"[..], b"fin", b"exit", b"Exit", b"/quit"]).to_vec();
                self.habit = Habit::Silent;
            }
            0 => self.outbox.extend(b"FIN\n"),
            1 => self.outbox.extend(b"exit\r\nnot said\n"),
            2 => self.outbox.extend(b"/quit now\n"),
            3 => {
                self.outbox.extend(b"fragment");
                self.course = Course::Ends;
            }
            4 => self.course = Course::Ends,
            5 | 6 => {
                self.course = Course::Ended;
                self.forget();
                wire.close();
            }
            _ if faults.has(Fault::Reset) => {
                self.course = Course::Ended;
                self.forget();
                wire.tear_down();
            }
            _ => {}
        }
    }
}

/// Whether a first line without its end may have to wait, and grow meanwhile: with its connection in the room already,
/// or until this server tells its refusal.
fn may_defer_first_line(config: &Config) -> bool {
    let may_refuse = config.clients_max.is_some() || config.access.per_address_max > 0;
    let may_wait = config.lag == Lag::Wait || config.audience == Audience::Sender || may_refuse;
    config.flush_after.is_some() && may_wait
}
