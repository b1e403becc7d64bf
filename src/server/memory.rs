//! What memory the limits add up to, at worst: for one client, whatever it does, and for all of them.
//!
//! The figures are of memory that is touched: what an allocator reserves beyond it by doubling costs address space alone.
//! A test drives a server to each of these limits, and compares [the manual's tables](crate::manual::memory) with them.

use super::config::Config;
use super::limits::{RECEIVE_BUFFER_BYTES, SCRATCH_BYTES, SEND_BUFFER_BYTES};
use crate::relay::cursor::HOLES_MAX;
use crate::relay::name::NAME_CHARS_MAX;
use crate::relay::room::WHO_ROWS_MAX;
use crate::relay::tape::Span;
use crate::server::web::exchange::HEAD_BYTES_MAX;
use crate::server::web::site::ANSWER_BYTES_MAX;
use crate::server::web::websocket::{MESSAGE_BYTES_MAX, READ_BUFFER_BYTES};

/// What an idle client costs: its connection, its seat and its place in the order of seats.
const IDLE_BYTES: usize = 128;

/// What an idle browser costs: besides, what its bytes are, and when it is to be looked after; and what coming in through the
/// page's door left between these.
const IDLE_BROWSER_BYTES: usize = 512;

/// What else one costs with which something is going on, beside what it holds: its boxes, a chosen name, its places on
/// the lists and among the deadlines; its rate, the patience with it, and the count of those from its address, where these
/// are asked for.
const BOOKKEEPING_BYTES: usize = 2 * 1024;

/// What a row of `/who` has beside the name: two numbers, and the words around them.
const WHO_ROW_BYTES: usize = 64;

/// The longest character in UTF-8.
const CHAR_BYTES: usize = 4;

/// What the program takes beside its tape and its clients: its code, its stack, what the allocator keeps.
const PROGRAM_BYTES: usize = 8 * 1024 * 1024;

/// By how much the kernel may go over the size of a buffer: it asks whether there is room before it adds a segment.
const SEGMENT_BYTES: usize = 64 * 1024;

/// The most that a client can make the server hold, in bytes; each for itself, so that one who does all at once holds the
/// sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// One who says nothing and has read all.
    pub idle: usize,
    /// What any other has besides.
    pub bookkeeping: usize,
    /// The beginning of a line.
    pub fragment: usize,
    /// What was read of it when a budget was spent.
    pub parked: usize,
    /// What it is told in private and does not take.
    pub private: usize,
    /// What of this others can make it hold.
    pub private_of_others: usize,
    /// Its own lines, in so far as they lie ahead of it.
    pub holes: usize,
    /// What the kernel holds of what it does not take.
    pub send_buffer: usize,
    /// What the kernel holds of what is not read of it.
    pub receive_buffer: usize,
    /// What the server takes without any client.
    pub shared: usize,
    /// What is different for browsers, and for visitors, if there is a page.
    pub page: Option<PageBounds>,
}

/// The most that a browser can make the server hold, where that is more than for others, and a visitor of the page; in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageBounds {
    /// A browser that says nothing and has read all.
    pub idle: usize,
    /// The beginning of a message, and the frame that is to go on with it.
    pub message: usize,
    /// The lines of what was read of it when a budget was spent.
    pub parked: usize,
    /// What it is told in private and does not take: the answers to its pings are, too.
    pub private: usize,
    /// The beginning of a visitor's request.
    pub request: usize,
    /// The answer that a visitor does not take.
    pub answers: usize,
}

impl Bounds {
    /// Those of a server that is set like this.
    pub fn of(config: &Config) -> Bounds {
        let private_bytes_max = config.private_bytes_max();
        let who = WHO_ROWS_MAX * (CHAR_BYTES * NAME_CHARS_MAX + WHO_ROW_BYTES);
        // It is asked whether there is room before the next line is heard, not before it is answered.
        let waiting = private_bytes_max + who.max(config.longest_line_bytes());
        Bounds {
            idle: IDLE_BYTES,
            bookkeeping: BOOKKEEPING_BYTES,
            // With a CR that may end it; what the allocator reserves by doubling is not all untouched in pieces so small.
            fragment: 2 * (config.line_bytes_max + 1),
            parked: SCRATCH_BYTES,
            // What was taken of it is let go once it is more than half.
            private: 2 * waiting,
            private_of_others: private_bytes_max / 2,
            holes: HOLES_MAX * size_of::<Span>(),
            // The kernel doubles what is asked for (socket(7)).
            send_buffer: 2 * SEND_BUFFER_BYTES + SEGMENT_BYTES,
            receive_buffer: 2 * RECEIVE_BUFFER_BYTES + SEGMENT_BYTES,
            // A checkpoint for some of its bytes, and the scratch buffers, are little beside the program.
            shared: config.backlog_bytes + config.backlog_bytes / 128 + PROGRAM_BYTES,
            page: (!config.web.is_empty()).then(|| PageBounds::of(config, waiting)),
        }
    }

    /// One client, in the server's own memory: where there is a page, that may be a browser.
    pub fn client(&self) -> usize {
        let of_lines = self.idle + self.fragment + self.parked + self.private;
        let of_frames = self.page.map_or(0, |page| page.idle + page.message + page.parked + page.private);
        self.bookkeeping + self.holes + of_lines.max(of_frames)
    }

    /// One visitor of the page, in the server's own memory.
    pub fn visitor(&self) -> usize {
        self.page.map_or(0, |page| page.idle + self.bookkeeping + page.request + page.answers)
    }

    /// All there is with so many clients and visitors, in the server's own memory.
    pub fn all(&self, clients: usize, visitors: usize) -> usize {
        let (clients, visitors) = (clients.saturating_mul(self.client()), visitors.saturating_mul(self.visitor()));
        self.shared.saturating_add(clients).saturating_add(visitors)
    }
}

impl PageBounds {
    /// Those of a server that is set like this, of which a client may have let so much wait that it is told in private.
    fn of(config: &Config, waiting: usize) -> PageBounds {
        let private_bytes_max = config.private_bytes_max();
        PageBounds {
            idle: IDLE_BROWSER_BYTES,
            // The buffer for frames is doubled once if one frame lies behind the rest of another.
            message: MESSAGE_BYTES_MAX + 2 * (MESSAGE_BYTES_MAX + READ_BUFFER_BYTES),
            // One message may have waited for its end.
            parked: SCRATCH_BYTES + MESSAGE_BYTES_MAX,
            // Pings are answered as they are read, and none by more than it has itself.
            private: 2 * waiting.max(private_bytes_max + SCRATCH_BYTES),
            request: HEAD_BYTES_MAX,
            // There is no other before it is taken.
            answers: ANSWER_BYTES_MAX,
        }
    }
}
