//! Every limit of the server, named, with its unit and its reason.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::PORT;

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

/// Joins and leaves are announced while at most this many clients are present, unless another number is named. In a
/// larger room they would be most of what is read.
pub const ANNOUNCE_UP_TO: usize = 50;

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
pub const TURN_DELAY_MAX: Duration = Duration::from_secs(1);

/// A connection on the line port that sends nothing enters the room after this time. A browser that opened this port by
/// mistake sends its request at once, and accepts nothing before the answer.
pub const ENTER_DELAY: Duration = Duration::from_millis(100);

/// A connection on the line port that sends part of a line, and not its end, enters the room this long after its accept.
pub const ENTER_TIMEOUT: Duration = Duration::from_secs(5);

/// A member of a small room that says nothing is announced after this time. A name that it takes meanwhile is the one that is
/// announced.
pub const INTRODUCE_AFTER: Duration = Duration::from_secs(2);

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

/// Foreign protocols are logged at most this often.
pub const FOREIGN_LOG_PERIOD: Duration = Duration::from_secs(60);
