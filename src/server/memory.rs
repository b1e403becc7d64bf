//! Upper bounds on memory: what the limits add up to for one client, whatever it does, and for all clients.
//!
//! The figures count memory that is touched. What an allocator reserves beyond it by doubling costs address space
//! alone. `tests/load/memory.rs` drives a server to each of these limits, and checks it and
//! [the manual's tables](crate::manual::memory) against them.

use super::bus::BATCH_BYTES;
use super::bus::link::READ_BYTES as LINK_READ_BYTES;
use super::bus::posts::BYTES_MAX as POSTS_BYTES_MAX;
use super::bus::resp::REPLY_BYTES_MAX;
use super::bus::streams::CLOSED_MAX as CLOSED_STREAMS_MAX;
use super::config::{Capacity, Config};
use super::journal;
use super::limits::{
    BANS_FILE_BYTES_MAX, OPERATORS_MAX, ORDER_BYTES_MAX, ORDER_READ_BYTES, PASS_LINE_BYTES_MAX, RECEIVE_BUFFER_BYTES,
    ROW_BYTES, ROWS_MAX, SCRAPERS_MAX, SCRATCH_BYTES, SEND_BUFFER_BYTES, WRONG_ADDRESSES_MAX,
};
use super::metrics::TEXT_BYTES_MAX;
use super::pem::FILE_BYTES_MAX;
use super::secrets::NAMES_FILE_BYTES_MAX;
use crate::net::tls::{RECORD_BYTES_MAX, RECORD_TEXT_BYTES};
use crate::relay::cursor::{HOLE_BYTES, HOLES_MAX};
use crate::relay::elsewhere::MEMBERS_MAX;
use crate::relay::name::NAME_CHARS_MAX;
use crate::relay::room::{ARRIVAL_BYTES, WHO_ROWS_MAX};
use crate::relay::sequence::WRITERS_MAX;
use crate::server::web::exchange::HEAD_BYTES_MAX;
use crate::server::web::site::ANSWER_BYTES_MAX;
use crate::server::web::websocket::{MESSAGE_BYTES_MAX, READ_BUFFER_BYTES};

/// Bytes of an idle client: its connection, its member and its places in the orders of members and readers.
const IDLE_BYTES: usize = 128;

/// Bytes of an idle browser: as an idle client, plus its WebSocket, its ping timer and holes that its HTTP request left
/// in the heap.
const IDLE_BROWSER_BYTES: usize = 512;

/// Bytes of an active connection beside its buffers: boxes, a chosen name, its places in queues and timers. It includes
/// the rate limit, the stall timeout, the count of its address, and the header and the address that a proxy gives, if
/// these are enabled.
const BOOKKEEPING_BYTES: usize = 2 * 1024;

/// Bytes of a row of `/who` beside the name: two numbers and the words around them.
const WHO_ROW_BYTES: usize = 64;

/// Bytes of the longest character in UTF-8.
const CHAR_BYTES: usize = 4;

/// Bytes of a session whose client is not there: itself, its rest, and its places in two indexes and two queues, each up
/// to twice as large as they need be.
const SESSION_BYTES: usize = 384;

/// Bytes of an address whose wrong passwords are counted: its places in a table and a queue, each up to twice as large
/// as they need be.
pub(crate) const WRONG_ADDRESS_BYTES: usize = 128;

/// Bytes of a room beside its tape and its members: its brake, its lists and its name.
const ROOM_BYTES: usize = 1024;

/// Bytes that the names with owners take for each byte of their file: 500 for a line of 80. While the file is read again,
/// there are old and new ones.
const NAMES_BYTES_EACH: usize = 2 * 8;

/// Bytes of a ban with the longest reason and name: itself, and its places in a trie and two indexes, each up to twice
/// as large as they need be.
pub(crate) const BAN_BYTES: usize = 1024;

/// Bytes of a member of another server with the longest name: itself, its name as written and as compared, and its places
/// in three indexes, each up to twice as large as they need be.
const MEMBER_ELSEWHERE_BYTES: usize = 704;

/// Bytes of a room on other servers with the longest name and a member: itself, its lists of members and of servers, and
/// its place in an index.
const ROOM_ELSEWHERE_BYTES: usize = 1024;

/// Bytes of a member that is to be told of when its server is gone, with the longest names: its own, that of its room as
/// written and as compared, and its place in a table that is up to twice as large as it needs be.
const DEPARTED_BYTES: usize = 576;

/// Bytes of a writer of a stream: its two counts, and its place in a table that is up to twice as large as it needs be.
const WRITER_BYTES: usize = 64;

/// Bytes of a closed stream: its name and its numbers.
const CLOSED_STREAM_BYTES: usize = 128;

/// Bytes of the program beside its tape and its clients: code, stack, memory that the allocator keeps, and the few bans
/// without a file (1 MiB).
const PROGRAM_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of a TLS session that has nothing under way.
const SESSION_OF_TLS_BYTES: usize = 4 * 1024;

/// Bytes of an operator: half an order, orders that wait, and a part of an answer, whose sent part is dropped once it is
/// more than half.
const OPERATOR_BYTES: usize =
    IDLE_BYTES + BOOKKEEPING_BYTES + 2 * (ORDER_BYTES_MAX + 1) + ORDER_READ_BYTES + 2 * ROWS_MAX * ROW_BYTES;

/// Bytes by which the kernel may exceed the size of a buffer: it checks for room before it adds a segment.
const SEGMENT_BYTES: usize = 64 * 1024;

/// Most memory that a client can make the server hold, in bytes, by cause. A client that does everything at once holds
/// the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Silent client that has read everything.
    pub idle: usize,
    /// Any other client, in addition.
    pub bookkeeping: usize,
    /// Partial line.
    pub fragment: usize,
    /// Input that was read before a budget was spent.
    pub parked: usize,
    /// Private replies that it does not read.
    pub private: usize,
    /// Part of `private` that other clients can cause.
    pub private_of_others: usize,
    /// Positions of its own lines that lie ahead of its cursor.
    pub holes: usize,
    /// Kernel send buffer.
    pub send_buffer: usize,
    /// Kernel receive buffer.
    pub receive_buffer: usize,
    /// Server without any client, with the lobby, the journal, the names with owners and the bans.
    pub shared: usize,
    /// Any other room.
    pub room: usize,
    /// Rooms beside the lobby.
    pub rooms: usize,
    /// All operators together, if there is a socket for them.
    pub operators: usize,
    /// Bounds of browsers and HTTP connections, if there is a page.
    pub page: Option<PageBounds>,
    /// Bounds of a connection that speaks TLS, in addition, if a port does.
    pub tls: Option<TlsBounds>,
}

/// Most memory that a browser or an HTTP connection can make the server hold, in bytes, where it differs from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageBounds {
    /// Silent browser that has read everything.
    pub idle: usize,
    /// Partial message, and the frame that continues it.
    pub message: usize,
    /// Lines of input that was read before a budget was spent.
    pub parked: usize,
    /// Private replies that it does not read, including pongs.
    pub private: usize,
    /// Partial request.
    pub request: usize,
    /// Answer that the peer does not read.
    pub answers: usize,
}

/// Most memory that a connection which speaks TLS can make the server hold, in bytes, in addition to what it holds
/// without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsBounds {
    /// Session that has nothing under way.
    pub session: usize,
    /// Partial record.
    pub partial: usize,
    /// Text of a record that its reader had no room for.
    pub opened: usize,
    /// Record, or certificates, that the peer does not take.
    pub unsent: usize,
}

impl TlsBounds {
    const MOST: TlsBounds = TlsBounds {
        session: SESSION_OF_TLS_BYTES,
        partial: RECORD_BYTES_MAX,
        // It grows by doubling.
        opened: 2 * RECORD_TEXT_BYTES,
        // Base64 is longer than the certificates, and these are longer than a record.
        unsent: FILE_BYTES_MAX,
    };

    /// Returns the sum.
    pub fn all(self) -> usize {
        self.session + self.partial + self.opened + self.unsent
    }
}

impl Bounds {
    /// Returns the most memory that the limits allow so many connections, in words.
    pub fn told(&self, capacity: Capacity) -> String {
        let (all, shared) = (self.all(capacity.clients_max, capacity.visitors_max), self.shared);
        let (client, visitor) = (self.client().div_ceil(1 << 10), self.visitor().div_ceil(1 << 10));
        let visitors = if self.page.is_none() {
            String::new()
        } else {
            format!(", and {visitor} KiB for each of {} visitors of the page", capacity.visitors_max)
        };
        let rooms = match self.rooms {
            0 => String::new(),
            rooms => format!("{} KiB for each of {rooms} rooms beside the lobby, ", self.room.div_ceil(1 << 10)),
        };
        format!(
            "at most {} MiB of memory: {} MiB, {rooms}and {client} KiB for each client that does its worst{visitors}",
            all.div_ceil(1 << 20),
            shared.div_ceil(1 << 20),
        )
    }

    /// Returns the bounds of a server with this configuration.
    pub fn of(config: &Config) -> Bounds {
        let private_bytes_max = config.private_bytes_max();
        let asks = config.password_file.is_some();
        let line_bytes_max = config.line_bytes_max.max(if asks { PASS_LINE_BYTES_MAX } else { 0 });
        let who = WHO_ROWS_MAX * (CHAR_BYTES * NAME_CHARS_MAX + WHO_ROW_BYTES);
        // The limit is checked before a line is read, not before it is answered.
        let waiting = private_bytes_max + who.max(config.longest_line_bytes());
        Bounds {
            idle: IDLE_BYTES,
            bookkeeping: BOOKKEEPING_BYTES,
            // Includes a CR at the end. In buffers this small, the part reserved by doubling is partly touched.
            fragment: 2 * (line_bytes_max + 1),
            parked: SCRATCH_BYTES,
            // The sent part is dropped once it is more than half.
            private: 2 * waiting,
            private_of_others: private_bytes_max / 2,
            holes: HOLES_MAX * HOLE_BYTES,
            // The kernel doubles what is asked for (socket(7)).
            send_buffer: 2 * SEND_BUFFER_BYTES + SEGMENT_BYTES,
            receive_buffer: 2 * RECEIVE_BUFFER_BYTES + SEGMENT_BYTES,
            // The scratch buffers are part of the program.
            shared: tape_bytes(config.backlog_bytes)
                + PROGRAM_BYTES
                + journal_bytes(config)
                + names_bytes(config)
                + scrapers_bytes(config)
                + bans_bytes(config)
                + bus_bytes(config)
                + if asks { WRONG_ADDRESSES_MAX * WRONG_ADDRESS_BYTES } else { 0 },
            room: tape_bytes(config.room_backlog_bytes) + ROOM_BYTES + stream_bytes(config),
            rooms: config.rooms_max.saturating_sub(1),
            operators: if config.has_control() { OPERATORS_MAX * OPERATOR_BYTES } else { 0 },
            page: config.has_page().then(|| PageBounds::of(config, waiting)),
            tls: config.tls.as_ref().map(|_| TlsBounds::MOST),
        }
    }

    /// Returns the most that one client takes in the server's own memory. With a page, it may be a browser; with TLS, it
    /// may speak it.
    pub fn client(&self) -> usize {
        let of_lines = self.idle + self.fragment + self.parked + self.private;
        let of_frames = self.page.map_or(0, |page| page.idle + page.message + page.parked + page.private);
        self.bookkeeping + self.holes + of_lines.max(of_frames) + self.tls.map_or(0, TlsBounds::all)
    }

    /// Returns the most that one HTTP connection takes in the server's own memory.
    pub fn visitor(&self) -> usize {
        let of_tls = self.tls.map_or(0, TlsBounds::all);
        self.page.map_or(0, |page| page.idle + self.bookkeeping + page.request + page.answers + of_tls)
    }

    /// Returns the most that the server takes in its own memory, with so many clients and HTTP connections.
    pub fn all(&self, clients: usize, visitors: usize) -> usize {
        let sessions = clients.saturating_mul(SESSION_BYTES);
        let (clients, visitors) = (clients.saturating_mul(self.client()), visitors.saturating_mul(self.visitor()));
        let rooms = self.rooms.saturating_mul(self.room);
        // As many sessions are kept as clients, beside those of clients that are present.
        let clients = clients.saturating_add(sessions);
        (self.shared + self.operators).saturating_add(rooms).saturating_add(clients).saturating_add(visitors)
    }
}

/// Returns the most bytes that a tape takes, with its checkpoints (24 bytes for 4 KiB, in a list that doubles) and its
/// stamps: 16 bytes for each, which takes over 40 with its record. The places of arrivals take 16 bytes for each
/// [`ARRIVAL_BYTES`], in a list that doubles.
fn tape_bytes(backlog_bytes: usize) -> usize {
    backlog_bytes + backlog_bytes / 64 + backlog_bytes / 2 + backlog_bytes / ARRIVAL_BYTES * 32
}

/// Returns the most bytes that the journal takes: for each kept room a buffer that fills, and one that is written.
fn journal_bytes(config: &Config) -> usize {
    config.journal.as_ref().map_or(0, |_| (1 + config.rooms.len()) * 2 * journal::Settings::buffer_bytes(config))
}

/// Returns the most bytes that names with owners take.
fn names_bytes(config: &Config) -> usize {
    config.names_file.as_ref().map_or(0, |_| NAMES_BYTES_EACH * NAMES_FILE_BYTES_MAX)
}

/// Returns the most bytes that scrapers take: each a request and an answer, and all together the text of a turn in two
/// formats.
fn scrapers_bytes(config: &Config) -> usize {
    let each = IDLE_BROWSER_BYTES + BOOKKEEPING_BYTES + HEAD_BYTES_MAX + TEXT_BYTES_MAX;
    if config.has_metrics() { SCRAPERS_MAX * each + 2 * TEXT_BYTES_MAX } else { 0 }
}

/// Returns the most bytes that kept bans take. While their file is read again, there are old and new ones, and its
/// text. While it is written, the thread has a copy, and its text as it was.
fn bans_bytes(config: &Config) -> usize {
    config.bans_file.as_ref().map_or(0, |_| 2 * config.bans_max() * BAN_BYTES + BANS_FILE_BYTES_MAX)
}

/// Returns the most bytes that the bus takes, with the streams of the lobby, of the roster and of the inbox. Each of its
/// two connections has a reply, as bytes and as values. Posts to other servers wait twice: for the socket, and for an
/// answer. Each member elsewhere may be alone in its room. As many are known from the rooms alone, and as many are owed
/// to the rooms.
fn bus_bytes(config: &Config) -> usize {
    let all = 2 * (2 * REPLY_BYTES_MAX + LINK_READ_BYTES)
        + 2 * POSTS_BYTES_MAX
        + MEMBERS_MAX * (MEMBER_ELSEWHERE_BYTES + ROOM_ELSEWHERE_BYTES + 2 * DEPARTED_BYTES)
        + CLOSED_STREAMS_MAX * CLOSED_STREAM_BYTES
        + 3 * stream_bytes(config);
    if config.bus.is_some() { all } else { 0 }
}

/// Returns the most bytes that a stream takes: what waits in its room and in its batch, the entry under way, and its copy
/// for the socket, each with a last line beyond the limit; and the counts of its writers.
fn stream_bytes(config: &Config) -> usize {
    let batch = BATCH_BYTES + config.longest_line_bytes();
    if config.bus.is_some() { 4 * batch + WRITERS_MAX * WRITER_BYTES } else { 0 }
}

impl PageBounds {
    /// Returns the bounds of a server with this configuration, whose clients may leave `waiting` bytes of replies
    /// unread.
    fn of(config: &Config, waiting: usize) -> PageBounds {
        let private_bytes_max = config.private_bytes_max();
        PageBounds {
            idle: IDLE_BROWSER_BYTES,
            // The frame buffer doubles once if a frame follows the rest of another.
            message: MESSAGE_BYTES_MAX + 2 * (MESSAGE_BYTES_MAX + READ_BUFFER_BYTES),
            // One message may have been partial before.
            parked: SCRATCH_BYTES + MESSAGE_BYTES_MAX,
            // Pongs are appended as pings are read, and none is longer than its ping.
            private: 2 * waiting.max(private_bytes_max + SCRATCH_BYTES),
            request: HEAD_BYTES_MAX,
            // The next request is not read before the answer is taken.
            answers: ANSWER_BYTES_MAX,
        }
    }
}
