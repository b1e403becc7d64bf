//! Every limit of the server, named, with its unit and its reason.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::door::Rules;
use super::rate::Rate;
use super::web::gate::Gate;
use crate::PORT;
use crate::relay::line::{Framing, Overlong};
use crate::relay::room::{Audience, Options};

/// Where to listen unless it is said, or listening sockets are handed over.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);

/// Listening sockets that can be handed over; nobody has as many. Without a limit a wrong number would cost its memory.
pub const INHERITED_LISTENERS_MAX: usize = 1_024;

/// One buffer for all reading, in bytes: what one `read` can take in.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// The size of the tape unless another one is named, in bytes.
pub const BACKLOG_BYTES: usize = 8 * 1024 * 1024;

/// The largest tape that can be asked for, in bytes.
pub const BACKLOG_BYTES_MAX: usize = 1 << 40;

/// The longest line as received unless another one is named, in bytes, its end not counted.
pub const LINE_BYTES_MAX: usize = 4_096;

/// The highest `line_bytes_max` that can be asked for: a connection may hold a fragment of this size.
pub const LINE_BYTES_CEILING: usize = 1024 * 1024;

/// What a line can have beside its text, in bytes: the longest name, what marks a notice, its end; and as much again, so
/// that the notice of the shutdown has a place behind it.
pub const LINE_OVERHEAD_BYTES: usize = 256;

/// Bytes of private replies after which a connection is not read until it takes some of them; four of the longest
/// lines, if that is more. Others can fill half of it, so that nobody can stop another from talking.
pub const PRIVATE_BYTES_MAX: usize = 64 * 1024;

/// Connections that one turn accepts.
pub const ACCEPTS_MAX: usize = 64;

/// Errors of single connections that are passed over, one after another, before accepting is postponed like any other
/// that fails: an error that stays must not keep the loop.
pub const ACCEPT_ERRORS_MAX: usize = 16;

/// Events that one `poll` reports.
pub const EVENTS_MAX: usize = 1_024;

/// The kernel's queue of connections that are not accepted yet. At 1,024 a storm of 20,000 connects lost SYNs.
pub const LISTEN_BACKLOG: i32 = 4_096;

/// The kernel's send buffer of a connection, in bytes (the kernel doubles it). With the default one a peer that never
/// reads swallows 3.9 MB.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The kernel's receive buffer of a connection, in bytes (the kernel doubles it). By default it grows with the speed at
/// which it was read, up to 32 MB: one who flooded, and is then held by the brake or takes no replies, keeps 1.6 MB there.
pub const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

/// How long one who leaves may go without taking anything before its connection is closed.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long a visitor of the page may take for a request, and for taking what it is answered.
pub const REQUEST_TIME: Duration = Duration::from_secs(5);

/// How long nothing may come of a browser before it is asked to show that it is there: proxies commonly forget
/// connections on which nothing happened for a minute.
pub const PING_AFTER: Duration = Duration::from_secs(30);

/// How long it may take to show that.
pub const PONG_WITHIN: Duration = Duration::from_secs(60);

/// By how much a turn may be late, at most, if a browser is to be taken for gone because of what it did not send until then.
pub const LATENESS_MAX: Duration = Duration::from_secs(1);

/// How long the greeting is withheld on the port for lines, where there is a page, unless something came that is not
/// HTTP: a browser that opens this port asks at once, and takes nothing before the answer.
pub const GREETING_DELAY: Duration = Duration::from_millis(100);

/// How many visitors of the page there may be at a time, if an eighth of the open-file limit is not less. A page is
/// handed out in milliseconds, and who asks for nothing stays for [`REQUEST_TIME`].
pub const VISITORS_MAX: usize = 1_024;

/// How many visitors of the page there may be from one address at a time, where clients are limited by address, unless
/// more clients may be in from there: browsers open up to six connections.
pub const VISITORS_PER_ADDRESS: usize = 8;

/// How long a server that shuts down goes on flushing.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// When accepting is tried again after it failed.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The longest silence that can be asked for to end a line, in milliseconds: an hour. Nobody waits longer for an answer.
pub const FLUSH_AFTER_MS_MAX: u64 = 60 * 60 * 1_000;

/// Who is waited for ([`Lag::Wait`]) has to take this much of what was said, in bytes, or all of it, within
/// [`Config::stall_timeout`]: a 56k modem does so in ten seconds.
pub const STALL_BYTES: u64 = 64 * 1024;

/// How long one who is waited for may take for [`STALL_BYTES`] unless another time is named.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest time that can be asked for, in seconds: a year. A deadline is a point in time, and has to be one.
pub const SECONDS_MAX: u64 = 366 * 24 * 60 * 60;

/// The highest rate, and the largest burst, that can be asked for, in lines (a second).
pub const RATE_MAX: u32 = 1_000_000;

/// What the log says about a kind of stranger, it says at most this often.
pub const STRANGERS_LOG_PERIOD: Duration = Duration::from_secs(60);

/// What happens to one who falls off the tail of the tape, or is about to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// It goes on where the tape begins, and is told how many lines it missed.
    #[default]
    Skip,
    /// It is let go.
    Disconnect,
    /// It is waited for: nobody may say what it could not get any more. One who stalls is let go.
    Wait,
}

/// What is spoken on a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Lines.
    Lines,
    /// HTTP, and from the page lines in frames.
    Web,
}

/// What can be set of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, beside the sockets that are handed over; if there are none of either, at [`LISTEN`]. Port 0 lets
    /// the kernel pick one.
    pub listen: Vec<SocketAddr>,
    /// Where the page is handed out to browsers.
    pub web: Vec<SocketAddr>,
    /// Which requests for it are answered.
    pub gate: Gate,
    /// What newcomers are told besides; a notice a line.
    pub greeting: String,
    /// How many of the lines said before a newcomer is shown.
    pub history_lines: u64,
    /// Who gets a line.
    pub audience: Audience,
    /// Joins and leaves are told to all while at most this many clients are present.
    pub announce_up_to: usize,
    /// The size of the tape, in bytes.
    pub backlog_bytes: usize,
    /// What happens to one who falls off its tail.
    pub lag: Lag,
    /// With [`Lag::Wait`], how long one may take for [`STALL_BYTES`], or for all it is owed, before it is let go.
    pub stall_timeout: Duration,
    /// How much each client may say; `None` for as much as it likes.
    pub rate: Option<Rate>,
    /// How long one may be here without ever saying anything; `None` for ever.
    pub idle_timeout: Option<Duration>,
    /// How many clients there may be; `None` for as many as there are descriptors.
    pub clients_max: Option<usize>,
    /// Who may come in, by address.
    pub door: Rules,
    /// The longest line as received, in bytes, its end not counted.
    pub line_bytes_max: usize,
    /// Whether stdin and stdout are the operator's console.
    pub console: bool,
    /// After how much silence what one has sent of a line is taken for one; `None` for never.
    pub flush_after: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: Vec::new(),
            web: Vec::new(),
            gate: Gate::default(),
            greeting: String::new(),
            history_lines: 0,
            audience: Audience::default(),
            announce_up_to: 50,
            backlog_bytes: BACKLOG_BYTES,
            lag: Lag::default(),
            stall_timeout: STALL_TIMEOUT,
            rate: None,
            idle_timeout: None,
            clients_max: None,
            door: Rules::default(),
            line_bytes_max: LINE_BYTES_MAX,
            console: false,
            flush_after: None,
        }
    }
}

impl Config {
    /// The longest line that may leave the server, in bytes: each byte received may become three (U+FFFD). A tape holds
    /// one of them at least.
    pub fn longest_line_bytes(&self) -> usize {
        3 * self.line_bytes_max + LINE_OVERHEAD_BYTES
    }

    /// Private bytes after which a connection is not read until it takes some of them.
    pub fn private_bytes_max(&self) -> usize {
        PRIVATE_BYTES_MAX.max(4 * self.longest_line_bytes())
    }

    /// How the input of a client is cut into lines.
    pub fn framing(&self) -> Framing {
        Framing { line_bytes_max: self.line_bytes_max, overlong: Overlong::Drop }
    }

    /// What of this concerns the room.
    pub fn room_options(&self) -> Options {
        Options {
            greeting: self.greeting.clone(),
            history_lines: self.history_lines,
            audience: self.audience,
            announce_up_to: self.announce_up_to,
            backlog_bytes: self.backlog_bytes,
            line_bytes_max: self.line_bytes_max,
        }
    }
}

/// How many connections there may be at a time, of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Seats {
    /// Clients in the room.
    pub clients_max: usize,
    /// Connections, beyond those, that ask for the page.
    pub visitors_max: usize,
    /// Connections, beyond those, that have left the room and are still being given what they are owed.
    pub leavers_max: usize,
    /// Connections, beyond those, that are being told that they cannot come in; for the rest of a turn in which old ones had
    /// to make room, twice as many.
    pub refusals_max: usize,
}

impl Seats {
    /// What an open-file limit allows. Some descriptors are kept back for the listeners, the poller, the signals, the
    /// log, for those who are refused or leaving, and where there is a page for its visitors.
    pub fn within(open_files: usize, config: &Config) -> Seats {
        let reserve = if open_files < 128 { 16 } else { 32 };
        let visitors_max = if config.web.is_empty() { 0 } else { (open_files / 8).clamp(1, VISITORS_MAX) };
        let left = open_files.saturating_sub(reserve + visitors_max).max(1);
        let clients_max = config.clients_max.unwrap_or(left);
        Seats { clients_max, visitors_max, leavers_max: reserve / 4, refusals_max: reserve / 4 }
    }
}
