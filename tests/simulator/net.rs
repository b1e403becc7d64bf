//! The simulated network: sockets as a kernel would show them, and edges as epoll would report them.
//!
//! A [`Wire`] is one connection, seen from both ends. What it does when it is asked is decided by its own chance,
//! within what a kernel may do: a write blocks when its buffer is full and the edge comes once a third of it is free; a
//! reset destroys what was on its way out, leaves what came in, and shows as one error, then as an end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use pollchat::net::stream::Socket;
use pollchat::server::hub::Readiness;

use crate::chance::Chance;
use crate::last_words::PAUSE;
use crate::said::{Ear, Ended};
use crate::sealing::{Meaning, Sealing};
use crate::setting::{Fault, Faults};

/// Where proxies connect from.
pub(crate) const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 1);

/// The state that all wires of a world share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The time.
    pub(crate) now: Cell<Instant>,
    /// Counts actions of sockets that made progress.
    pub(crate) progress: Cell<u64>,
    /// The turn under way.
    pub(crate) turn: Cell<Turn>,
}

/// What a turn has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    number: u64,
    /// Wires that were read.
    pub(crate) read: usize,
    /// Wires that were written to.
    pub(crate) written: usize,
    /// TLS handshakes of which it read the first message to its end.
    pub(crate) hellos: usize,
}

impl Turn {
    /// The turn after this one.
    pub(crate) fn next(self) -> Turn {
        Turn { number: self.number + 1, ..Turn::default() }
    }
}

/// Whether the connection was torn down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    No,
    /// It was, and the server was not told yet.
    Untold,
    /// It was, and one call has failed for it.
    Told,
}

/// A connection, and all that passed over it.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Where the peer comes from.
    pub(crate) address: IpAddr,
    /// The port there: its number.
    pub(crate) port: u16,
    /// The user that the kernel says the peer is.
    pub(crate) user: Option<u32>,
    /// What the proxy says before the peer, and the server has not read; `None` if there is no proxy.
    header: Option<VecDeque<u8>>,
    /// Whether a reset has destroyed some of it.
    is_header_lost: bool,
    /// A WebSocket was opened.
    pub(crate) is_open: bool,
    /// Payloads of pings that the peer has not answered.
    pub(crate) pings: Vec<Vec<u8>>,
    shared: Rc<Shared>,
    /// The turns in which it was last read, and written to.
    last_turns: (u64, u64),
    chance: Chance,
    faults: Faults,
    /// Bytes that the peer sent and the server has not read.
    incoming: VecDeque<u8>,
    incoming_max: usize,
    /// The peer sends nothing more.
    is_ended: bool,
    /// The same, and nothing sealed waits for its way.
    is_at_end: bool,
    /// The peer is gone: what is written to it is answered by a reset.
    is_peer_closed: bool,
    /// Bytes that the server wrote and the peer did not take.
    outgoing: usize,
    /// Those bytes, and those that it took, if the peer looks at them.
    untaken: Option<VecDeque<u8>>,
    pub(crate) taken: Vec<u8>,
    outgoing_max: usize,
    /// A write was told to wait: an edge is due once there is room.
    is_short_of_room: bool,
    pub(crate) reset: Reset,
    /// The edges that were not collected yet.
    edge: Readiness,
    /// Whether the server found nothing more to read, and was told of nothing since.
    pub(crate) is_drained: bool,
    /// Bytes that the server wrote, for the oracle to take.
    pub(crate) written: Vec<u8>,
    /// The meaning of all that the server read.
    pub(crate) ear: Ear,
    /// When the server last wrote something, or ended writing.
    pub(crate) last_written: Instant,
    /// Bytes that the server wrote, and the places in them behind which it had written nothing for a pause.
    pub(crate) written_bytes: usize,
    pub(crate) rests: Vec<usize>,
    /// When the server learned that the peer leaves.
    pub(crate) leaving_since: Option<Instant>,
    /// The server ended writing.
    pub(crate) is_finished: bool,
    /// The server closed it.
    pub(crate) is_closed: bool,
    /// A call of the server that no program may make.
    pub(crate) misuse: Option<&'static str>,
    /// Whether the server has read an end that the peer did not say.
    is_end_untold: bool,
    /// TLS, if it is sealed.
    pub(crate) sealing: Option<Box<Sealing>>,
}

impl Wire {
    pub(crate) fn new(shared: &Rc<Shared>, chance: Chance, faults: Faults, ear: Ear, room: (usize, usize)) -> Wire {
        Wire {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            user: None,
            header: None,
            is_header_lost: false,
            is_open: false,
            pings: Vec::new(),
            shared: Rc::clone(shared),
            last_turns: (0, 0),
            chance,
            faults,
            incoming: VecDeque::new(),
            incoming_max: room.0,
            is_ended: false,
            is_at_end: false,
            is_peer_closed: false,
            outgoing: 0,
            untaken: None,
            taken: Vec::new(),
            outgoing_max: room.1,
            is_short_of_room: false,
            reset: Reset::No,
            edge: Readiness { readable: false, writable: false },
            is_drained: false,
            written: Vec::new(),
            ear,
            last_written: shared.now.get(),
            written_bytes: 0,
            rests: Vec::new(),
            leaving_since: None,
            is_finished: false,
            is_closed: false,
            misuse: None,
            is_end_untold: false,
            sealing: None,
        }
    }

    /// A proxy connects for the peer, and says so in the PROXY protocol.
    pub(crate) fn come_through_proxy(&mut self, is_second: bool) {
        let Wire { address: IpAddr::V4(address), port, .. } = *self else { return };
        let header = if is_second {
            let begin = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
            [&begin[..], &address.octets(), &[0; 4], &port.to_be_bytes(), &[0; 2]].concat()
        } else {
            format!("PROXY TCP4 {address} 192.0.2.9 {port} 46000\r\n").into_bytes()
        };
        self.header = Some(header.into());
    }

    /// The peer looks at what it takes.
    pub(crate) fn keep_taken(&mut self) {
        self.untaken = Some(VecDeque::new());
    }

    /// The server begins to watch it: epoll reports what is ready already.
    pub(crate) fn watch(&mut self) {
        self.pump();
        self.edge = self.ready();
    }

    /// The edge that is due, if one is.
    pub(crate) fn has_edge(&self) -> bool {
        !self.is_closed && (self.edge.readable || self.edge.writable)
    }

    /// Takes the edge: bare, or with all else that is ready, as epoll does it.
    pub(crate) fn collect(&mut self) -> Readiness {
        let nothing = Readiness { readable: false, writable: false };
        let edge = std::mem::replace(&mut self.edge, nothing);
        if self.faults.has(Fault::BareEdges) {
            return edge;
        }
        let ready = self.ready();
        Readiness { readable: edge.readable | ready.readable, writable: edge.writable | ready.writable }
    }

    /// Whether there is input that the server was told of, and did not read.
    pub(crate) fn is_unread(&self) -> bool {
        !self.is_closed && !self.edge.readable && self.has_input()
    }

    /// Whether all input was read but its end, of which the server was told.
    pub(crate) fn is_end_unread(&self) -> bool {
        self.is_unread() && self.incoming.is_empty() && !self.has_header()
    }

    /// Whether there is input that the server has not read, told of it or not.
    pub(crate) fn has_input(&self) -> bool {
        !self.incoming.is_empty() || self.has_header() || self.has_unread_end()
    }

    /// Whether the server has read all that the proxy says, if there is one.
    pub(crate) fn has_read_header(&self) -> bool {
        !self.has_header() && !self.is_header_lost
    }

    /// Whether the server has not read all that the proxy says, and still can.
    pub(crate) fn has_header(&self) -> bool {
        self.header.as_ref().is_some_and(|header| !header.is_empty())
    }

    /// Whether the server knows that it must wait before it writes.
    pub(crate) fn is_blocked(&self) -> bool {
        self.is_short_of_room || self.edge.writable
    }

    /// The most bytes that the server can read at one time.
    pub(crate) fn incoming_max(&self) -> usize {
        self.incoming_max
    }

    /// The peer sends; how many bytes were taken.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> usize {
        if self.is_ended || self.is_closed || self.reset != Reset::No {
            return bytes.len();
        }
        if let Some(sealing) = &mut self.sealing {
            let taken = sealing.seal(bytes, self.incoming_max);
            self.pump();
            return taken;
        }
        let taken = bytes.len().min(self.incoming_max - self.incoming.len());
        if taken > 0 {
            self.incoming.extend(&bytes[..taken]);
            self.edge.readable = true;
        }
        taken
    }

    /// The peer takes up to `bytes` of what was written to it.
    pub(crate) fn take(&mut self, bytes: usize) {
        let taken = bytes.min(self.outgoing);
        self.outgoing -= taken;
        let text_bytes = self.sealing.as_mut().map_or(taken, |sealing| sealing.take(taken));
        if let Some(untaken) = &mut self.untaken {
            self.taken.extend(untaken.drain(..text_bytes));
        }
        if self.is_short_of_room && self.has_room() {
            self.is_short_of_room = false;
            self.edge.writable = true;
        }
    }

    /// The time of its world.
    pub(crate) fn now(&self) -> Instant {
        self.shared.now.get()
    }

    /// Bytes that the peer could take.
    pub(crate) fn outgoing(&self) -> usize {
        self.outgoing
    }

    /// The peer sends nothing more.
    pub(crate) fn end(&mut self) {
        if !self.is_ended && self.reset == Reset::No {
            self.is_ended = true;
            match &mut self.sealing {
                Some(sealing) => sealing.end(),
                None => self.edge.readable = true,
            }
            self.pump();
        }
    }

    /// What the peer has sealed goes on its way, as far as there is room.
    pub(crate) fn pump(&mut self) {
        let room = self.incoming_max - self.incoming.len().min(self.incoming_max);
        let Some(sealing) = self.sealing.as_mut().filter(|_| self.reset == Reset::No && !self.is_closed) else {
            return;
        };
        let moved = sealing.pending.len().min(room);
        self.incoming.extend(sealing.pending.drain(..moved));
        let was_at_end = std::mem::replace(&mut self.is_at_end, self.is_ended && sealing.pending.is_empty());
        if moved > 0 || self.is_at_end && !was_at_end {
            self.edge.readable = true;
        }
    }

    /// Whether the server has read an end that the peer did not say (`close_notify`): as good as a reset.
    pub(crate) fn has_ended_untold(&self) -> bool {
        self.is_end_untold
    }

    /// Whether its TLS handshake is not over, for all the server has read.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.sealing.as_ref().is_some_and(|sealing| sealing.open_since.is_none())
    }

    /// The peer closes: with a reset if it did not take all.
    pub(crate) fn close(&mut self) {
        if self.outgoing > 0 {
            self.tear_down();
        } else {
            self.end();
            self.is_peer_closed = true;
        }
    }

    /// The peer tears the connection down.
    pub(crate) fn tear_down(&mut self) {
        if self.reset != Reset::No {
            return;
        }
        self.reset = Reset::Untold;
        self.outgoing = 0;
        self.untaken.iter_mut().for_each(VecDeque::clear);
        self.sealing.iter_mut().for_each(|sealing| sealing.tear_down());
        self.is_short_of_room = false;
        if self.faults.has(Fault::ResetDropsInput) {
            self.incoming.clear();
            self.is_header_lost = self.has_header();
            self.header.iter_mut().for_each(VecDeque::clear);
        }
        self.edge = Readiness { readable: true, writable: true };
    }

    /// The faults stop: the kernel takes as much as there is.
    pub(crate) fn calm_down(&mut self) {
        self.faults = Faults::NONE;
        self.incoming_max = self.incoming_max.max(1 << 16);
        self.outgoing_max = self.outgoing_max.max(1 << 20);
        self.take(0);
        self.pump();
    }

    /// Whether all that the peer has sent is on its way or read, and its end.
    fn has_end(&self) -> bool {
        if self.sealing.is_some() { self.is_at_end } else { self.is_ended }
    }

    fn has_unread_end(&self) -> bool {
        self.ear.ended.is_none() && (self.has_end() || self.reset != Reset::No)
    }

    fn ready(&self) -> Readiness {
        let is_down = self.reset != Reset::No;
        Readiness {
            readable: is_down || self.has_end() || self.has_header() || !self.incoming.is_empty(),
            writable: is_down || (!self.is_finished && self.has_room()),
        }
    }

    fn has_room(&self) -> bool {
        (self.outgoing_max - self.outgoing) * 3 >= self.outgoing_max
    }

    fn note_progress(&self) {
        self.shared.progress.set(self.shared.progress.get() + 1);
    }

    fn note_read(&mut self) {
        let mut turn = self.shared.turn.get();
        turn.read += usize::from(self.last_turns.0 != turn.number);
        self.last_turns.0 = turn.number;
        self.shared.turn.set(turn);
    }

    fn note_write(&mut self) {
        let mut turn = self.shared.turn.get();
        turn.written += usize::from(self.last_turns.1 != turn.number);
        self.last_turns.1 = turn.number;
        self.shared.turn.set(turn);
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.note_read();
        if self.faults.has(Fault::Interrupted) && self.chance.one_in(8) {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.incoming.is_empty() && !self.has_header() {
            return self.read_nothing();
        }
        if self.reset == Reset::No && self.faults.has(Fault::EarlyBlock) && self.chance.one_in(12) {
            // As if it had come a moment later.
            self.edge.readable = true;
            self.hear_nothing();
            return Err(ErrorKind::WouldBlock.into());
        }
        self.is_drained = false;
        if let Some(header) = self.header.as_mut().filter(|header| !header.is_empty()) {
            let taken = self.chance.up_to(buffer.len().min(header.len()));
            buffer.iter_mut().zip(header.drain(..taken)).for_each(|(to, from)| *to = from);
            self.note_progress();
            return Ok(taken);
        }
        let mut taken = buffer.len().min(self.incoming.len());
        if self.faults.has(Fault::Cut) {
            taken = self.chance.up_to(taken);
        }
        for (to, from) in buffer.iter_mut().zip(self.incoming.drain(..taken)) {
            *to = from;
        }
        match &mut self.sealing {
            Some(sealing) => {
                sealing.note_read(taken);
                self.hear_sealed();
            }
            None => self.ear.hear(buffer[..taken].iter().copied(), self.shared.now.get()),
        }
        if self.ear.is_leaving() {
            self.leaving_since.get_or_insert(self.shared.now.get());
        }
        self.note_progress();
        Ok(taken)
    }

    /// Hears what the server can open by now.
    fn hear_sealed(&mut self) {
        let now = self.shared.now.get();
        while let Some(sealing) = &mut self.sealing
            && let Some(meaning) = sealing.next_meaning()
        {
            match meaning {
                Meaning::Hello => {
                    let mut turn = self.shared.turn.get();
                    turn.hellos += 1;
                    self.shared.turn.set(turn);
                }
                Meaning::Finished => {
                    sealing.open_since = Some(now);
                    self.last_written = now;
                }
                Meaning::Text(text) => self.ear.hear(text, now),
                Meaning::End => {
                    self.leaving_since.get_or_insert(now);
                    self.ear.end(Ended::Orderly);
                }
            }
        }
    }

    fn hear_nothing(&mut self) {
        self.is_drained = true;
        self.ear.hear_nothing(self.shared.now.get());
        if self.ear.is_leaving() {
            self.leaving_since.get_or_insert(self.shared.now.get());
        }
    }

    fn read_nothing(&mut self) -> io::Result<usize> {
        if self.reset == Reset::No && !self.has_end() {
            self.hear_nothing();
            return Err(ErrorKind::WouldBlock.into());
        }
        self.leaving_since.get_or_insert(self.shared.now.get());
        if self.ear.ended.is_none() {
            self.note_progress();
        }
        if self.sealing.is_some() && self.reset == Reset::No && self.ear.ended.is_none() {
            // An end that the peer has not said is as good as a reset.
            self.outgoing = 0;
            self.reset = Reset::Told;
            self.is_end_untold = true;
        }
        self.ear.end(if self.reset == Reset::No { Ended::Orderly } else { Ended::Cut });
        if self.reset == Reset::Untold {
            self.reset = Reset::Told;
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(0)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.note_write();
        if self.is_finished {
            self.misuse = Some("it wrote after it had ended writing");
        }
        if self.faults.has(Fault::Interrupted) && self.chance.one_in(8) {
            return Err(ErrorKind::Interrupted.into());
        }
        if self.reset == Reset::No && self.faults.has(Fault::FailedWrite) && self.chance.one_in(2_000) {
            self.tear_down();
        }
        match self.reset {
            Reset::No => {}
            Reset::Untold => {
                self.reset = Reset::Told;
                self.note_progress();
                return Err(ErrorKind::ConnectionReset.into());
            }
            Reset::Told => return Err(ErrorKind::BrokenPipe.into()),
        }
        let room = self.outgoing_max - self.outgoing;
        if room == 0 {
            self.is_short_of_room = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.faults.has(Fault::EarlyBlock) && self.chance.one_in(12) {
            self.is_short_of_room = true;
            self.take(0);
            return Err(ErrorKind::WouldBlock.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut taken = offered.min(room);
        if self.faults.has(Fault::Cut) {
            taken = self.chance.up_to(taken);
        }
        self.accept_written(slices, taken);
        Ok(taken)
    }

    fn accept_written(&mut self, slices: &[IoSlice<'_>], taken: usize) {
        if self.shared.now.get() >= self.last_written + PAUSE {
            self.rests.push(self.written_bytes);
        }
        let mut text = Vec::with_capacity(taken);
        for slice in slices {
            text.extend_from_slice(&slice[..(taken - text.len()).min(slice.len())]);
        }
        let mut is_shaking_hands = false;
        if let Some(sealing) = &mut self.sealing {
            is_shaking_hands = sealing.is_shaking_hands();
            text = sealing.open(&text);
        }
        self.written_bytes += text.len();
        self.written.extend_from_slice(&text);
        self.last_written = self.shared.now.get();
        self.note_progress();
        if self.is_peer_closed {
            self.tear_down();
        } else {
            self.outgoing += taken;
            if let Some(untaken) = &mut self.untaken {
                untaken.extend(&text);
            }
            if is_shaking_hands {
                // The peer's kernel is in a hurry.
                self.take(usize::MAX);
            }
            self.pump();
        }
    }

    fn shut_down_write(&mut self) -> io::Result<()> {
        if self.reset != Reset::No {
            return Err(ErrorKind::NotConnected.into());
        }
        self.is_finished = true;
        self.sealing.iter_mut().for_each(|sealing| sealing.finish());
        self.last_written = self.shared.now.get();
        self.note_progress();
        Ok(())
    }

    /// The server may turn away what belongs to a binary protocol before there is a line of it.
    pub(crate) fn note_turned_away(&mut self, line: &str) {
        if self.ear.is_turned_away(line) {
            self.leaving_since.get_or_insert(self.shared.now.get());
        }
    }

    /// Bytes that were unread when the server closed; a kernel would turn that close into a reset.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.incoming.len()
    }
}

/// The server's end of a wire.
pub(crate) struct FakeSocket(pub(crate) Rc<RefCell<Wire>>);

impl fmt::Debug for FakeSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeSocket")
    }
}

impl Read for FakeSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Write for FakeSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.borrow_mut().write(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for FakeSocket {
    fn shutdown_write(&self) -> io::Result<()> {
        self.0.borrow_mut().shut_down_write()
    }

    fn peer_address(&self) -> io::Result<Option<SocketAddr>> {
        let wire = self.0.borrow();
        Ok(Some(if wire.header.is_some() { PROXY } else { SocketAddr::new(wire.address, wire.port) }))
    }

    fn peer_user(&self) -> Option<u32> {
        self.0.borrow().user
    }

    fn take_error(&self) -> Option<io::Error> {
        let mut wire = self.0.borrow_mut();
        if wire.reset != Reset::Untold {
            return None;
        }
        // Like the kernel's, it is told once.
        wire.reset = Reset::Told;
        wire.note_progress();
        Some(ErrorKind::ConnectionReset.into())
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        let mut wire = self.0.borrow_mut();
        wire.is_closed = true;
        wire.note_progress();
    }
}
