//! Every limit of the client, with its unit and its reason.

use std::time::Duration;

/// Timeout of the connects to all addresses of a server together: time for three lost SYNs (1 + 2 + 4 s).
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Delay before the next address is tried beside one that has not answered (RFC 8305, 5).
pub(crate) const CONNECT_STAGGER: Duration = Duration::from_millis(250);

/// Timeout of a TLS handshake: three lost packets, as for the connect, and a server that hears a storm of hellos.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest file of `--ca`, in bytes: the authorities of a system have 200 KiB.
pub(crate) const AUTHORITIES_BYTES_MAX: u64 = 8 << 20;

/// Names of a certificate in an error.
pub(crate) const NAMES_SHOWN_MAX: usize = 3;

/// Wait for the resolver before the addresses of its last answer are tried. A cache or a server nearby answers sooner.
pub(crate) const RESOLVE_PATIENCE: Duration = Duration::from_secs(2);

/// Timeout of the end of a session: of a server after our goodbye, and of a stdout that takes nothing.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Bytes of a foreign server after our goodbye, and of any server at a terminal. A foreign one may also repeat
/// everything that it was sent.
pub(crate) const LEAVE_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a pollchat server after the goodbye of a pipe: twice its default `--backlog`.
pub(crate) const OWED_BYTES_MAX: u64 = 16 << 20;

/// Bytes per second at which a pollchat server must send what it owes after our goodbye, beyond [`GRACE`].
pub(crate) const SLOWEST_LINK: u64 = 256 << 10;

/// Additional time that a pollchat server gets to take each line, from the time on at which we sent it: it may throttle
/// them (`--rate`).
pub(crate) const PATIENCE_PER_LINE: Duration = Duration::from_millis(250);

/// The longest time for all lines together.
pub(crate) const PATIENCE_MAX: Duration = Duration::from_secs(300);

/// Time after a deadline for a client that still reads: it may have been stopped for longer.
pub(crate) const OVERTIME: Duration = Duration::from_millis(500);

/// Time for counting the lines of stdin that were not said.
pub(crate) const COUNT_TIME_MAX: Duration = Duration::from_secs(1);

/// `--send`: time without a connection after which a line counts as not said. It is as long as a server keeps a seat.
pub(crate) const SEND_WAIT_MAX: Duration = Duration::from_secs(30);

/// Time that a sent line waits for its record until an acknowledgement is asked for: the lines of a burst share one.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(1);

/// Time after which a line without its record is marked as under way at a terminal: records come sooner, unless
/// something is wrong.
pub(crate) const UNDER_WAY_AFTER: Duration = Duration::from_secs(1);

/// The same for a command, which has no record: time for an acknowledgement, which is asked for after [`ACK_WAIT`].
pub(crate) const UNRECORDED_AFTER: Duration = Duration::from_secs(2);

/// Wait for the answer to `/track` before the connection counts as lost: a server with `--rate` may throttle.
pub(crate) const TRACK_WAIT: Duration = Duration::from_secs(30);

/// Bytes of lines that came before the answer to `/track`, and of the private lines that come in one piece with a new
/// position.
pub(crate) const HELD_LINES_BYTES_MAX: usize = 1 << 20;

/// Pause between two sends to a server that takes each `recv` for a message.
pub(crate) const MESSAGE_PAUSE: Duration = Duration::from_millis(50);

/// Wait for the first answer of such a server before the next message: a person or a slow program may have to think,
/// and one that never answers costs this time once.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Wait for its later answers: as long as leaves time for the words of farewell within [`GRACE`].
pub(crate) const ANSWER_WAIT_MAX: Duration = Duration::from_secs(4);

/// Silence that ends a message of such a server while we have something to answer.
pub(crate) const MESSAGE_SILENCE: Duration = Duration::from_millis(10);

/// Unsent bytes before the socket: the server's own read size. Without space for a whole read ([`READ_BYTES`]), stdin
/// is not read.
pub(crate) const OUTBOX_BYTES_MAX: usize = 64 << 10;

/// Unwritten bytes before stdout. At this mark the server is not read.
///
/// Bytes that were already read still go in. So the queue may exceed the mark by one read and one line, at worst with
/// each byte shown as U+FFFD: 3 × ([`READ_BYTES`] + [`SHOWN_LINE_BYTES_MAX`]), plus the marks of continued lines.
pub(crate) const SCREEN_BYTES_MAX: usize = 64 << 10;

/// The longest line shown in one piece, in bytes as received. It is sixteen times the server's own limit, so only a
/// hostile server exceeds it.
pub(crate) const SHOWN_LINE_BYTES_MAX: usize = 64 << 10;

/// The beginning of a typed line, in bytes of text, that decides whether the line leaves: longer than `/quit` and a
/// blank. (One byte more is compared.)
pub(crate) const LEAVE_LINE_BYTES_MAX: usize = 64;

/// The longest line without its end that waits for it, in bytes: as much as makes no reader of stdin wait for space.
pub(crate) const HELD_BYTES_MAX: usize = READ_BYTES;

/// The beginning of a sent line, in bytes, by which its echo is recognised.
pub(crate) const ECHO_BYTES_MAX: usize = 1 << 10;

/// Bytes of one read from stdin or the server: a quarter of each buffer.
pub(crate) const READ_BYTES: usize = 16 << 10;

/// Default of `--flush-after`, in milliseconds. A person does not notice it, and the parts of one write arrive in less,
/// unless a packet is lost.
pub const FLUSH_AFTER_MS: u64 = 100;

/// First delay before a reconnect, before jitter: a restarted server is back by then.
pub(crate) const RECONNECT_PAUSE_FIRST: Duration = Duration::from_millis(500);

/// Maximum delay before a reconnect, before jitter: a person is watching.
pub(crate) const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Time for which a pollchat server keeps the seat of a tracked client by default.
pub(crate) const SEAT_KEPT: Duration = Duration::from_secs(30);

/// Maximum delay before a reconnect while our seat may be kept: several attempts fit in.
pub(crate) const SEAT_PAUSE_MAX: Duration = Duration::from_secs(4);

/// Lifetime of a connection that resets the reconnect backoff. A server that accepts and disconnects at once must not
/// be flooded.
pub(crate) const RECONNECT_STABLE: Duration = Duration::from_secs(10);

/// First delay before asking again for a taken nick, before jitter. The server may still hold the lost connection, and
/// the nick with it: for its own grace, or until it detects the dead peer.
pub(crate) const NICK_PAUSE_FIRST: Duration = Duration::from_secs(1);

/// Maximum delay before asking again for a taken nick, before jitter.
pub(crate) const NICK_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Wait for the greeting of a new connection before the first line of a pipe: as long as a server nearby needs that
/// greets by itself. A pollchat server greets when it has a line, or after 100 ms.
pub(crate) const GREETING_WAIT: Duration = Duration::from_millis(30);

/// Wait for the greeting of a new connection before typed lines are sent regardless.
///
/// A pollchat server greets within 100 ms, answers about the nick, or says that it is full and drops its input. A
/// foreign server may stay silent until it has input.
pub(crate) const WELCOME_WAIT: Duration = Duration::from_millis(500);

/// Wait for the greeting before a line is sent that a pollchat server gets in other words. On a slow link the greeting
/// takes longer than [`WELCOME_WAIT`].
pub(crate) const KIND_WAIT: Duration = Duration::from_secs(3);

/// Time after which a lone escape byte is the Escape key. A slow link may split the sequence of another key, and Escape
/// is never urgent.
pub(crate) const ESCAPE_WAIT: Duration = Duration::from_millis(200);

/// Silence that ends a begun key, character or string of the terminal: more than a slow link needs between its parts.
pub(crate) const SEQUENCE_WAIT: Duration = Duration::from_millis(500);

/// The longest sequence of a key, in bytes. The longest known has about twenty.
pub(crate) const KEY_BYTES_MAX: usize = 64;

/// The longest string of the terminal that is swallowed, in bytes: a clipboard of considerable size. What follows
/// counts as typed.
pub(crate) const SWALLOW_BYTES_MAX: usize = 1 << 20;

/// Time after which a string of the terminal without an end is over, though more bytes come: somebody types.
pub(crate) const SWALLOW_WAIT_MAX: Duration = Duration::from_secs(2);

/// Silence that ends a paste, if the terminal does not. The bytes of a paste come in one burst.
pub(crate) const PASTE_WAIT: Duration = Duration::from_millis(300);

/// Silence that ends a paste dropped at Ctrl-C. A user needs more time for the next key.
pub(crate) const PASTE_REST_WAIT: Duration = Duration::from_millis(50);

/// Time for which the end of such a paste is awaited after its last part: the longest pause of a link that a user
/// waits for.
pub(crate) const PASTE_END_WAIT: Duration = Duration::from_secs(10);

/// Time for which it is awaited in all: a terminal that never ends its pastes must not take the typing for more of one.
pub(crate) const PASTE_OPEN_MAX: Duration = Duration::from_secs(60);

/// Silence around a key that is typed although the end of a paste is owed. A link passes the parts of a burst on at
/// once, and a user types more slowly. Enter and answers wait for [`PASTE_WAIT`].
pub(crate) const ALONE_WAIT: Duration = Duration::from_millis(50);

/// Time for which the rest of a torn key or string is awaited.
pub(crate) const REST_WAIT: Duration = Duration::from_secs(2);

/// The longest paste, in bytes. The rest is dropped, and a note tells how much.
pub(crate) const PASTE_BYTES_MAX: usize = 64 << 10;

/// Lines of a paste shown before its confirmation.
pub(crate) const PASTE_LINES_SHOWN_MAX: usize = 10;

/// The longest typed line, in bytes: twice the default limit of a server.
pub(crate) const TYPED_LINE_BYTES_MAX: usize = 8 << 10;

/// Limit of a pollchat server for a line, in bytes, unless it tells another one: the default of `--max-line`.
pub(crate) const SERVER_LINE_BYTES: usize = 4_096;

/// The longest text of a search with Ctrl-R, in bytes: more than fits a prompt.
pub(crate) const SEARCH_BYTES_MAX: usize = 256;

/// Ignored names: a person who needs more of them needs another room.
pub(crate) const IGNORED_MAX: usize = 100;

/// Rows of `/who` that wait for the end of the answer: a pollchat server sends a hundred.
pub(crate) const LISTED_MAX: usize = 1000;

/// Rows of `/who` that are shown one below the other, as the server tells them. More of them are put in columns.
pub(crate) const LISTED_ONE_A_ROW_MAX: usize = 8;

/// Time without focus after which lines count as unread, in milliseconds: a glance at another window is shorter.
pub(crate) const UNREAD_AFTER_MS: u64 = 30_000;

/// Time after the user is back in which lines of a server that tells no times count as unread, in milliseconds: those
/// that waited to be read.
pub(crate) const UNREAD_SLACK_MS: u64 = 500;

/// Pause between two rings of the bell.
pub(crate) const CALL_PAUSE: Duration = Duration::from_secs(2);

/// Processes of `--notify-command` at once. Further calls start none.
pub(crate) const NOTIFIERS_MAX: usize = 4;

/// Time after which such a process is killed when the next one is due. A notification is shown at once.
pub(crate) const NOTIFIER_TIME_MAX: Duration = Duration::from_secs(10);

/// Lines in the history of the Up key.
pub(crate) const HISTORY_LINES_MAX: usize = 500;

/// Names remembered for the Tab key: more than take part in a conversation that a person can follow.
pub(crate) const NAMES_MAX: usize = 1000;

/// Bytes of typed lines that wait for a connection or for space in it: a whole paste and some more.
pub(crate) const UNSENT_BYTES_MAX: usize = 128 << 10;

/// Bytes of sent lines, with their newlines, that the server may still refuse. The answer to the first line of a paste
/// may come behind everything that could be sent meanwhile: the queue and the buffer before the socket, both full.
pub(crate) const REFUSABLE_BYTES_MAX: usize = UNSENT_BYTES_MAX + OUTBOX_BYTES_MAX;

/// Own lines remembered to recognise their echoes. A server echoes at once or not at all.
pub(crate) const ECHOES_MAX: usize = 64;

/// Time for which a window must keep its size before it is redrawn. While a window is dragged, tmux reports a size
/// every 250 ms, but has already wrapped its rows for another one.
pub(crate) const RESIZE_SETTLE: Duration = Duration::from_millis(300);

/// Wait for a cursor report, enough for a terminal on the other side of the earth. Some terminals never report.
pub(crate) const CURSOR_REPORT_WAIT: Duration = Duration::from_millis(500);

/// Interval at which a client in the background checks for the foreground. A shell sends no signal when it brings a
/// running job to the foreground.
pub(crate) const AWAY_LOOK: Duration = Duration::from_millis(200);

/// Time for the terminal to take the last lines.
pub(crate) const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);

/// Columns and rows of a terminal that does not know its size.
pub(crate) const TERMINAL_SIZE: (usize, usize) = (80, 24);

/// Unsent lines shown at the end of a run.
pub(crate) const UNSENT_SHOWN_MAX: usize = 10;

/// The longest password or token, in bytes: as long as a server takes a password.
pub(crate) const SECRET_BYTES_MAX: usize = 1 << 10;
