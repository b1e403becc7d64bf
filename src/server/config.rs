//! Configuration of a server: all settings with their defaults, and what follows from them.

use std::path::PathBuf;
use std::time::Duration;

use super::access::AccessRules;
use super::bus::address::BusAddress;
use super::certificate::TlsFiles;
use super::endpoint::{Endpoint, ListenAddress};
use super::flow::budget::TurnLimits;
use super::flow::rate::Rate;
use super::inherited::Inherited;
use super::limits::{
    ANNOUNCE_UP_TO, BACKLOG_BYTES, BANS_MAX, BANS_UNKEPT_MAX, LINE_BYTES_MAX, LINE_OVERHEAD_BYTES, OPERATORS_MAX,
    PRIVATE_BYTES_MAX, REFUSED_OPERATORS_MAX, RESUME_WITHIN, ROOM_BACKLOG_BYTES, ROOMS, SCRAPERS_MAX, STALL_TIMEOUT,
    VISITORS_MAX,
};
use super::proxy::TrustedProxies;
use super::web::origin::OriginPolicy;
use super::web::resource::WebPath;
use crate::relay::line::{Framing, LineEnds, Overlong};
use crate::relay::name::Name;
use crate::relay::room::{Audience, Options};
use crate::relay::stamp::STAMP_BYTES_MAX;

/// Action if a client lags: if it falls off the tail of the tape, or is about to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Lag {
    /// Skip to the tail of the tape, and tell the client how many lines it missed.
    #[default]
    Skip,
    /// Disconnect the client.
    Disconnect,
    /// Wait: accept no line that the client would miss. Disconnect it if it stalls.
    Wait,
}

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Descriptors that the service manager hands over.
    pub inherited: Inherited,
    /// Addresses of line ports, in addition to inherited sockets. Without both, and without a line port over TLS, it is
    /// [`LISTEN`](super::limits::LISTEN). Port 0 lets the kernel choose.
    pub listen: Vec<ListenAddress>,
    /// Addresses that serve the page to browsers.
    pub web: Vec<ListenAddress>,
    /// Settings of TLS; `None` if nothing is encrypted.
    pub tls: Option<TlsConfig>,
    /// Addresses that serve metrics.
    pub metrics: Vec<ListenAddress>,
    /// Path of the socket of operators; `None` for no such socket.
    pub control: Option<PathBuf>,
    /// Folder of the page.
    pub web_path: WebPath,
    /// Hosts and origins that the page answers to.
    pub origin_policy: OriginPolicy,
    /// Greeting of a new client, one notice a line; empty for none.
    pub greeting: String,
    /// Earlier lines that a new client is shown.
    pub history_lines: u64,
    /// Recipients of a line.
    pub audience: Audience,
    /// Joins and leaves are announced while at most this many clients are present.
    pub announce_up_to: usize,
    /// Size of the lobby's tape, in bytes.
    pub backlog_bytes: usize,
    /// Size of the tape of every other room, in bytes.
    pub room_backlog_bytes: usize,
    /// Rooms at a time, the lobby included; 0 or 1 for the lobby alone.
    pub rooms_max: usize,
    /// Rooms beside the lobby that exist from the start and forever.
    pub rooms: Vec<Name>,
    /// Action if a client lags.
    pub lag: Lag,
    /// With [`Lag::Wait`], the time in which a slow reader has to take [`STALL_BYTES`](super::limits::STALL_BYTES), or
    /// all that is pending; then it is disconnected.
    pub stall_timeout: Duration,
    /// Rate limit of each client; `None` for no limit.
    pub rate: Option<Rate>,
    /// Time after which a client that has never sent a line is disconnected; `None` for never.
    pub idle_timeout: Option<Duration>,
    /// Time for which a tracked client whose connection is lost keeps its seat; `None` for not at all.
    pub resume_within: Option<Duration>,
    /// Clients at a time; `None` for as many as the open-file limit allows.
    pub clients_max: Option<usize>,
    /// Rules of access by address.
    pub access: AccessRules,
    /// File that keeps the bans; `None` if they end with the server.
    pub bans_file: Option<PathBuf>,
    /// File with the server's password; `None` if the server asks for none.
    pub password_file: Option<PathBuf>,
    /// File with the names that belong to somebody; `None` if no name does.
    pub names_file: Option<PathBuf>,
    /// Proxies that name the addresses of their clients.
    pub proxies: TrustedProxies,
    /// Longest line as received, in bytes without its end.
    pub line_bytes_max: usize,
    /// Whether stdin and stdout are the operator's console.
    pub console: bool,
    /// Silence after which a partial line is relayed as a whole one; `None` for never.
    pub flush_after: Option<Duration>,
    /// The journal; `None` if nothing is kept.
    pub journal: Option<JournalConfig>,
    /// The bus; `None` if no room is shared with other servers.
    pub bus: Option<BusConfig>,
    /// Whether other servers on this machine may listen on the same ports.
    pub share_port: bool,
    /// Budgets of a turn. No flag sets them.
    pub turn: TurnLimits,
}

/// Settings of TLS. There is at least one address, or an inherited socket that speaks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Addresses of line ports.
    pub lines: Vec<ListenAddress>,
    /// Addresses that serve the page.
    pub web: Vec<ListenAddress>,
    /// The certificate and its key.
    pub files: TlsFiles,
}

/// Settings of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Its folder.
    pub dir: PathBuf,
    /// Most bytes of a room.
    pub keep_bytes: u64,
    /// Time between two syncs; `None` for never.
    pub sync_every: Option<Duration>,
}

/// Settings of the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusConfig {
    /// The address of Redis, with user and password.
    pub address: BusAddress,
    /// Bytes of a room that Redis keeps.
    pub keep_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            inherited: Inherited::default(),
            listen: Vec::new(),
            web: Vec::new(),
            tls: None,
            metrics: Vec::new(),
            control: None,
            web_path: WebPath::default(),
            origin_policy: OriginPolicy::default(),
            greeting: String::new(),
            history_lines: 0,
            audience: Audience::default(),
            announce_up_to: ANNOUNCE_UP_TO,
            backlog_bytes: BACKLOG_BYTES,
            room_backlog_bytes: ROOM_BACKLOG_BYTES,
            rooms_max: ROOMS,
            rooms: Vec::new(),
            lag: Lag::default(),
            stall_timeout: STALL_TIMEOUT,
            rate: None,
            idle_timeout: None,
            resume_within: Some(RESUME_WITHIN),
            clients_max: None,
            access: AccessRules::default(),
            bans_file: None,
            password_file: None,
            names_file: None,
            proxies: TrustedProxies::default(),
            line_bytes_max: LINE_BYTES_MAX,
            console: false,
            flush_after: None,
            journal: None,
            bus: None,
            share_port: false,
            turn: TurnLimits::default(),
        }
    }
}

impl Config {
    /// Whether browsers are served, with TLS or without.
    pub fn has_page(&self) -> bool {
        self.inherited.has_page() || !self.web.is_empty() || self.tls.as_ref().is_some_and(|tls| !tls.web.is_empty())
    }

    /// Whether metrics are served.
    pub fn has_metrics(&self) -> bool {
        self.inherited.has(Endpoint::Metrics) || !self.metrics.is_empty()
    }

    /// Whether operators give orders on a socket.
    pub fn has_control(&self) -> bool {
        self.inherited.has(Endpoint::Control) || self.control.is_some()
    }

    /// Whether the operator has a console: stdin, or an inherited FIFO in its place.
    pub fn has_console(&self) -> bool {
        self.console || self.inherited.has_console()
    }

    /// Returns the length of the longest relayed line, in bytes: each received byte may become three (U+FFFD), and a
    /// stamp may come before it. A tape has to hold at least one such line.
    pub fn longest_line_bytes(&self) -> usize {
        3 * self.line_bytes_max + LINE_OVERHEAD_BYTES + STAMP_BYTES_MAX
    }

    /// Returns how many bytes of private replies a client may leave unread before the server stops reading it.
    pub fn private_bytes_max(&self) -> usize {
        PRIVATE_BYTES_MAX.max(4 * self.longest_line_bytes())
    }

    /// Returns how many bans there may be at a time.
    pub fn bans_max(&self) -> usize {
        if self.bans_file.is_some() { BANS_MAX } else { BANS_UNKEPT_MAX }
    }

    /// Returns how input is cut into lines.
    pub(crate) fn framing(&self) -> Framing {
        Framing { line_bytes_max: self.line_bytes_max, overlong: Overlong::Drop, ends: LineEnds::NewlineOrReturn }
    }

    /// Returns the settings of all rooms.
    pub fn room_options(&self) -> Options {
        Options {
            greeting: self.greeting.clone(),
            history_lines: self.history_lines,
            audience: self.audience,
            announce_up_to: self.announce_up_to,
            line_bytes_max: self.line_bytes_max,
            rooms_max: self.rooms_max,
            // Until the hub is given one.
            has_journal: false,
        }
    }
}

/// Files of the journal that are open beside a segment of each `--room`: its lock, a segment of the lobby, the file of
/// numbers, a folder that is synced.
const JOURNAL_FILES: usize = 4;

/// Connections to Redis.
const BUS_SOCKETS: usize = 2;

/// Limits on the number of open connections, by role.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Clients in the room.
    pub clients_max: usize,
    /// HTTP connections, in addition.
    pub visitors_max: usize,
    /// Connections that have left the room and are still being flushed, in addition. While the server is full,
    /// newcomers use these places, too, until they are told so.
    pub leavers_max: usize,
    /// Connections that are being told why they are refused, in addition. Twice as many may be open until the end of a
    /// turn in which older ones made room.
    pub refusals_max: usize,
}

impl Capacity {
    /// Returns what an open-file limit allows. It reserves descriptors for listeners, poller, signals and log, for
    /// refused and closing connections, with a page for HTTP connections, with a journal for its files, with a socket for
    /// operators for them, with metrics for scrapers, and with a bus for its connections. At least one client is always
    /// allowed.
    pub fn within(open_files: usize, config: &Config) -> Capacity {
        let reserve = if open_files < 128 { 16 } else { 32 };
        let visitors_max = if config.has_page() { (open_files / 8).clamp(1, VISITORS_MAX) } else { 0 };
        let journal = config.journal.as_ref().map_or(0, |_| config.rooms.len() + JOURNAL_FILES);
        let operators = if config.has_control() { OPERATORS_MAX + REFUSED_OPERATORS_MAX + 1 } else { 0 };
        let scrapers = if config.has_metrics() { SCRAPERS_MAX } else { 0 };
        let bus = if config.bus.is_some() { BUS_SOCKETS } else { 0 };
        let left = open_files.saturating_sub(reserve + visitors_max + journal + operators + scrapers + bus).max(1);
        let clients_max = config.clients_max.unwrap_or(left);
        Capacity { clients_max, visitors_max, leavers_max: reserve / 4, refusals_max: reserve / 4 }
    }
}
