//! Limits of the server, each with its unit and its reason. Limits of one algorithm stand beside it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::PORT;

/// Default address: used without `--listen` and without inherited sockets.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);

/// Listening sockets that may be inherited. No unit has as many, and without a limit a wrong number would reserve
/// memory.
pub const INHERITED_LISTENERS_MAX: usize = 1_024;

/// Buffer that all reads share, in bytes: the most that one `read` takes.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// Default size of the tape, in bytes.
pub const BACKLOG_BYTES: usize = 8 * 1024 * 1024;

/// Largest size of the tape, in bytes.
pub const BACKLOG_BYTES_MAX: usize = 1 << 40;

/// Default size of the tape of a room beside the lobby, in bytes.
pub const ROOM_BACKLOG_BYTES: usize = 256 * 1024;

/// Default of `--rooms`: rooms at a time, the lobby included.
pub const ROOMS: usize = 100;

/// Time for which a room with history is kept after its last member has left. It outlives a restart of their computers.
pub const ROOM_KEPT: Duration = Duration::from_secs(600);

/// Default of `--announce-up-to`. In a larger room, joins and leaves would be most of what clients read.
pub const ANNOUNCE_UP_TO: usize = 50;

/// Default limit of a received line, in bytes without its end. A longer line is dropped.
pub const LINE_BYTES_MAX: usize = 4_096;

/// Highest limit of a received line, in bytes: each connection may hold a fragment of this size.
pub const LINE_BYTES_CEILING: usize = 1024 * 1024;

/// Bytes of a relayed line beside its text: the longest name, the separator and the end. It includes room for the
/// notice of the shutdown behind the line.
pub const LINE_OVERHEAD_BYTES: usize = 256;

/// Private replies that a client may leave unread, in bytes, or four of the longest lines, if that is more. Beyond it
/// the server stops reading the client. Other clients can fill half of it, so `/msg` stops no client from talking.
pub const PRIVATE_BYTES_MAX: usize = 64 * 1024;

/// Operators at a time: some programs that watch, and people that act. Beyond it, another operator is told so.
pub const OPERATORS_MAX: usize = 16;

/// Peers on the operators' socket that are told at a time why they may give no orders. Further ones are dropped.
pub const REFUSED_OPERATORS_MAX: usize = 4;

/// Rows of a list that one turn tells an operator: some 0.2 ms of work.
pub const ROWS_MAX: usize = 200;

/// Bytes of a row of an answer to an operator: two names, an address, numbers, their keys in JSON and a reason.
pub const ROW_BYTES: usize = 1_024;

/// Longest order, in bytes without its end: a text for all with its verb.
pub const ORDER_BYTES_MAX: usize = LINE_BYTES_MAX + 256;

/// Bytes that one `read` takes of an operator: what is behind its next order is kept until that is answered.
pub const ORDER_READ_BYTES: usize = 4 * 1024;

/// Connections that one turn accepts on each listener: more would delay the clients.
pub const ACCEPTS_MAX: usize = 64;

/// Failed connections that one `accept` skips in a row. Then accepting is postponed: a persistent error must not keep
/// the loop busy.
pub const ACCEPT_ERRORS_MAX: usize = 16;

/// Connections that enter in one turn because their delay is over: each costs about 14 µs, and all that were accepted
/// together are due together.
pub const ENTERS_MAX: usize = 64;

/// Events that one `poll` reports. Further ones are reported in the next turn.
pub const EVENTS_MAX: usize = 1_024;

/// Length of the kernel's accept queue. With 1,024, a storm of 20,000 connects lost SYNs.
pub const LISTEN_BACKLOG: i32 = 4_096;

/// Kernel send buffer of a connection, in bytes; the kernel doubles it. By default it grows: a peer that never reads
/// makes the kernel hold 3.9 MB.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Kernel receive buffer of a connection, in bytes; the kernel doubles it. By default it grows with the speed of
/// reading, up to 32 MB. A client that flooded and is then held by the brake keeps 1.6 MB there.
pub const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

/// Timeout of a closing connection: it is closed if its peer takes nothing for this long.
pub const GRACE: Duration = Duration::from_secs(5);

/// Timeout of an HTTP connection for a request to arrive, and for its answer to be taken.
pub const REQUEST_TIME: Duration = Duration::from_secs(5);

/// Timeout of a TLS handshake, from the accept on.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// TLS handshakes that one turn takes a step of. Each takes 0.15 ms with an ECDSA key, and 0.75 ms with RSA. Two raise
/// the latency of others in a storm of hellos to 3 ms, and cost a tenth of the handshakes that any number would allow.
pub const HANDSHAKES_A_TURN: usize = 2;

/// Silence of a browser after which it is pinged. Proxies commonly drop connections that are idle for a minute.
pub const PING_AFTER: Duration = Duration::from_secs(30);

/// Time within which a pinged browser has to send anything, or it is disconnected.
pub const PONG_WITHIN: Duration = Duration::from_secs(60);

/// Delay of a turn up to which a missing pong counts. After a longer delay (the server was suspended, say) the pong may
/// have arrived and is read first.
pub const TURN_DELAY_MAX: Duration = Duration::from_secs(1);

/// A connection on the line port that sends nothing enters the room after this time. A browser that opened this port by
/// mistake sends its request at once, and accepts nothing before the answer.
pub const ENTER_DELAY: Duration = Duration::from_millis(100);

/// A connection on the line port that sends part of a line, and not its end, enters the room this long after its
/// accept.
pub const ENTER_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for the server's password, from the moment a connection is asked for it: people type it.
pub const PASSWORD_TIME: Duration = Duration::from_secs(60);

/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// Longest line of a connection that has not given the password, in bytes, or `--max-line`, if that is more: `/pass`,
/// the longest password, and some space.
pub const PASS_LINE_BYTES_MAX: usize = PASSWORD_BYTES_MAX + 16;

/// Wrong passwords of a connection: the last of so many disconnects it.
pub const PASSWORD_TRIES_MAX: usize = 3;

/// Lines of a connection that has not given the password, which give none: it is disconnected beyond that. A client
/// that does not know of passwords sends a few before it reads the answer.
pub const LOCKED_LINES_MAX: usize = 16;

/// Wrong passwords from one address within [`WRONG_PASSWORDS_PERIOD`]. A class behind one address may mistype some, and
/// a guesser gets through no list of words.
pub const WRONG_PASSWORDS_MAX: usize = 60;

/// Time in which wrong passwords are counted, and for which an address with too many has to wait.
pub const WRONG_PASSWORDS_PERIOD: Duration = Duration::from_secs(60);

/// Addresses whose wrong passwords are counted. Beyond it the server forgets the oldest of them.
pub const WRONG_ADDRESSES_MAX: usize = 4_096;

/// Time within which a proxy has to send its header of the PROXY protocol: it knows the client when it connects.
pub const HEADER_TIME: Duration = Duration::from_secs(5);

/// A member of a small room that says nothing is announced after this time. If it takes a name before that, it is
/// announced with that name.
pub const INTRODUCE_AFTER: Duration = Duration::from_secs(2);

/// A client whose first line is `/join` is announced in its room after this time. Until then it may take a name.
pub const INTRODUCE_JOINER_AFTER: Duration = Duration::from_millis(100);

/// Default of `--resume-within`: a tracked client whose connection is lost keeps its seat so long.
pub const RESUME_WITHIN: Duration = Duration::from_secs(30);

/// HTTP connections at a time, or an eighth of the open-file limit, if that is less. Serving the page takes
/// milliseconds, and a connection that sends no request stays for [`REQUEST_TIME`].
pub const VISITORS_MAX: usize = 1_024;

/// Connections to the port of metrics at a time; further ones wait in the kernel's queue. A few servers scrape, each over
/// one connection, and a turn that answers all of them takes well below 1 ms.
pub const SCRAPERS_MAX: usize = 16;

/// Connections from one address that have not entered, at a time, if `--max-per-address` is set and not higher, on
/// both ports together. Browsers open up to six for the page.
pub const ENTERING_PER_ADDRESS: usize = 8;

/// Time for which a server that shuts down goes on flushing.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Pause after a failed `accept`.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Longest `--flush-after`, in milliseconds: an hour. No peer waits longer for an answer.
pub const FLUSH_AFTER_MS_MAX: u64 = 60 * 60 * 1_000;

/// Bytes of the tape that a reader has to take within the stall timeout, or all that is pending. A 56k modem takes them
/// in ten seconds.
pub const STALL_BYTES: u64 = 64 * 1024;

/// Default of the stall timeout: the time in which a reader has to take [`STALL_BYTES`] under `--lag wait`.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest configurable time, in seconds: a year. A deadline must not overflow the clock.
pub const SECONDS_MAX: u64 = 366 * 24 * 60 * 60;

/// Highest rate in lines per second, and largest burst in lines.
pub const RATE_MAX: u32 = 1_000_000;

/// Default of `--journal-keep`: bytes of a room on the disk.
pub const JOURNAL_KEEP_BYTES: usize = 64 * 1024 * 1024;

/// Smallest `--journal-keep`, in bytes, or eight times what waits for the disk, if that is more: the oldest eighth goes
/// at a time.
pub const JOURNAL_KEEP_BYTES_MIN: usize = 8 * 1024 * 1024;

/// Default of `--journal-sync`: a power loss costs no more than this.
pub const JOURNAL_SYNC: Duration = Duration::from_secs(1);

/// Bytes of a room that wait for the disk, or two of the longest lines, if that is more. The thread that writes has as
/// many again. A room of 1,000 lines a second may wait for 15 s.
pub const JOURNAL_BUFFER_BYTES: usize = 1024 * 1024;

/// Pause of the journal's thread between two writes: a write for each turn of the loop would wake it a thousand times a
/// second. A kill of the process costs no more than this.
pub const JOURNAL_NAP: Duration = Duration::from_millis(5);

/// Pause after a write of the journal that failed: people free a full disk, and a buffer lasts for longer.
pub const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// Time for which a server that ends waits for the journal's disk, behind [`SHUTDOWN_GRACE`]: a service manager waits
/// for longer than both.
pub const JOURNAL_STOP_TIME: Duration = Duration::from_secs(2);

/// Sessions that a server hands over to the next at most: those of 20,000 clients, and as many that are lost.
pub const HANDOVER_SESSIONS_MAX: usize = 40_000;

/// Bytes of a handover at most: 500 for a session, which has about 300, and as many for each room.
pub const HANDOVER_BYTES_MAX: usize = 2 * 500 * HANDOVER_SESSIONS_MAX;

/// Age at which a handover is out of date, in ms: the server was not restarted, but stopped.
pub const HANDOVER_AGE_MAX_MS: u64 = 60 * 60 * 1_000;

/// Default of `--bus-keep`: bytes of a room in Redis. A server that stood still for longer than it takes to say them
/// is told how many lines it has missed.
pub const BUS_KEEP_BYTES: usize = 64 * 1024 * 1024;

/// Smallest `--bus-keep`, in bytes: some sixty entries of the longest kind, which Redis drops a hundred at a time.
pub const BUS_KEEP_BYTES_MIN: usize = 1024 * 1024;

/// Entries of a stream that the server asks for at a time when it reads a history, unless [`BUS_PAGE_BYTES`] are fewer of
/// the longest.
pub const BUS_PAGE: usize = 64;

/// Bytes of the longest such page: a quarter of the longest reply that the server takes.
pub const BUS_PAGE_BYTES: usize = 1024 * 1024;

/// Client numbers that are reserved on the disk at a time: few syncs, and few numbers that a start leaves out. If half of
/// them are given out, the server reserves further ones.
pub const JOURNAL_NUMBERS: u64 = 1_000;

/// Bytes of the reason of a `kick`, in what the member reads and in the log: enough for a sentence. The rest is cut off.
pub const KICK_REASON_BYTES_MAX: usize = 300;

/// Rooms to which a turn brings announcements of operators: a copy of the text each, so 2 MB at the default
/// `--max-line`.
pub const ANNOUNCED_ROOMS_MAX: usize = 500;

/// Announcements of operators that may be on their way to the rooms at a time. A further one is refused.
pub const ANNOUNCEMENTS_MAX: usize = 16;
/// Bans at a time with `--bans`: as many as the longest public lists of networks have. Reading them takes 0.1 s.
pub const BANS_MAX: usize = 100_000;

/// Bans at a time without `--bans`: operators give them by hand, and they end with the server.
pub const BANS_UNKEPT_MAX: usize = 1_000;

/// Longest reason of a ban, in bytes: a sentence, which its clients read in each refusal.
pub const BAN_REASON_BYTES_MAX: usize = 120;

/// Longest time of a ban with an end: ten years. A longer one is a ban without an end.
pub const BAN_TIME_MAX: Duration = Duration::from_secs(10 * SECONDS_MAX);

/// Largest file of bans, in bytes: as many of the longest lines as there may be bans.
pub const BANS_FILE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Pause after a write of the bans that failed: people free a full disk, or mend a file.
pub const BANS_RETRY: Duration = Duration::from_secs(1);

/// Time for which a reload waits while the bans are written. Clients wait as long.
pub const BANS_RELOAD_WAIT: Duration = Duration::from_secs(1);

/// Time for which a server that ends waits for the disk of the bans, behind [`SHUTDOWN_GRACE`].
pub const BANS_STOP_TIME: Duration = Duration::from_secs(2);

/// Connections whose addresses one turn compares with new bans: asking the kernel takes about 0.5 µs for each.
pub const BANS_CHECKED_A_TURN: usize = 1_000;

/// Connections that one turn removes because of a new ban: each costs about 14 µs.
pub const BANNED_A_TURN: usize = 64;

/// Bans that one turn removes because they have ended.
pub const BANS_ENDED_A_TURN: usize = 64;
