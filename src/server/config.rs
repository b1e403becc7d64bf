//! The configuration of a server: every setting, with its default.

use std::net::SocketAddr;
use std::time::Duration;

use super::access::AccessRules;
use super::flow::rate::Rate;
use super::limits::{
    ANNOUNCE_UP_TO, BACKLOG_BYTES, LINE_BYTES_MAX, LINE_OVERHEAD_BYTES, PRIVATE_BYTES_MAX, STALL_TIMEOUT, VISITORS_MAX,
};
use super::web::origin::OriginPolicy;
use crate::relay::line::{Framing, Overlong};
use crate::relay::room::{Audience, Options};

/// What happens to one who falls off the tail of the tape, or is about to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Lag {
    /// It goes on where the tape begins, and is told how many lines it missed.
    #[default]
    Skip,
    /// It is let go.
    Disconnect,
    /// It is waited for: nobody may say what it could not get any more. One who stalls is let go.
    Wait,
}

/// What can be set of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, beside the sockets that are handed over; if there are none of either, at [`LISTEN`]. Endpoint 0 lets
    /// the kernel pick one.
    pub listen: Vec<SocketAddr>,
    /// Where the page is handed out to browsers.
    pub web: Vec<SocketAddr>,
    /// Which requests for it are answered.
    pub origin_policy: OriginPolicy,
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
    pub access: AccessRules,
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
            origin_policy: OriginPolicy::default(),
            greeting: String::new(),
            history_lines: 0,
            audience: Audience::default(),
            announce_up_to: ANNOUNCE_UP_TO,
            backlog_bytes: BACKLOG_BYTES,
            lag: Lag::default(),
            stall_timeout: STALL_TIMEOUT,
            rate: None,
            idle_timeout: None,
            clients_max: None,
            access: AccessRules::default(),
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
pub struct Capacity {
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

impl Capacity {
    /// What an open-file limit allows. Some descriptors are kept back for the listeners, the poller, the signals, the
    /// log, for those who are refused or leaving, and where there is a page for its visitors.
    pub fn within(open_files: usize, config: &Config) -> Capacity {
        let reserve = if open_files < 128 { 16 } else { 32 };
        let visitors_max = if config.web.is_empty() { 0 } else { (open_files / 8).clamp(1, VISITORS_MAX) };
        let left = open_files.saturating_sub(reserve + visitors_max).max(1);
        let clients_max = config.clients_max.unwrap_or(left);
        Capacity { clients_max, visitors_max, leavers_max: reserve / 4, refusals_max: reserve / 4 }
    }
}
