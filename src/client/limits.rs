//! Every limit of the client, with its unit and its reason.

use std::time::Duration;

/// How long one address of the server may take to answer a connect: three SYNs get lost (1 + 2 + 4 s) before we do.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an ending may stand still, with no byte moving anywhere, before the client leaves all the same.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Bytes taken from stdin that the server has not taken yet: the server's own read size. While there is no room for
/// another read ([`READ_BYTES`]), stdin is left alone.
pub(crate) const OUTBOX_BYTES_MAX: usize = 64 << 10;

/// Bytes for stdout from which on the server is not read.
///
/// What was read already goes in all the same, so the queue may pass this mark by one read and one line, each byte of
/// them shown as U+FFFD at worst: 3 × ([`READ_BYTES`] + [`SHOWN_LINE_BYTES_MAX`]), and by what marks continued lines.
pub(crate) const SCREEN_BYTES_MAX: usize = 64 << 10;

/// The longest line from the server that is shown in one piece, in bytes as received. It is sixteen times what the
/// server itself takes, so only a hostile server ever meets it.
pub(crate) const SHOWN_LINE_BYTES_MAX: usize = 64 << 10;

/// The longest typed line, in bytes, that is looked at for a wish to leave. `/quit` may have a text behind it; with a
/// longer one it is the server that recognises it.
pub(crate) const LEAVE_LINE_BYTES_MAX: usize = 64;

/// Bytes read at once, from stdin or from the server: a quarter of what waits in either direction.
pub(crate) const READ_BYTES: usize = 16 << 10;

/// How long a line of a server that is none of pollchat's may lack its end, unless another time is named, in
/// milliseconds. A person does not notice it, and what was sent at once arrives in less, but for a lost packet.
pub const FLUSH_AFTER_MS: u64 = 100;

/// The first pause before a lost connection is made again, nominally: a server that is started anew is back by then.
pub(crate) const RECONNECT_PAUSE_FIRST: Duration = Duration::from_millis(500);

/// The longest pause before a lost connection is made again, nominally: somebody is watching it.
pub(crate) const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long a connection must have held for the backoff to begin with the first one again: a server that takes everybody
/// and lets them go at once must not be hurried.
pub(crate) const RECONNECT_STABLE: Duration = Duration::from_secs(10);

/// The first pause before a name that is taken is asked for again, nominally. The server may still foreground the connection
/// that was lost, with the name: for its grace, or until the network tells it.
pub(crate) const NICK_PAUSE_FIRST: Duration = Duration::from_secs(1);

/// The longest pause before a name that is taken is asked for again, nominally.
pub(crate) const NICK_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long a new connection may go without a word before typed lines are sent all the same: a pollchat server says at
/// once who we are and whether the name is ours, or that it is full and throws away what it is sent. Others may say nothing before they are spoken to.
pub(crate) const WELCOME_WAIT: Duration = Duration::from_millis(500);

/// How long an escape byte may stand alone before it is the Escape key: a slow link may tear the sequence of another key
/// apart, and Escape is needed for nothing that is in a hurry.
pub(crate) const ESCAPE_WAIT: Duration = Duration::from_millis(200);

/// The longest sequence of one key, in bytes. The longest known has about twenty.
pub(crate) const KEY_BYTES_MAX: usize = 64;

/// The longest paste, in bytes. What is over it is left out, and that is told.
pub(crate) const PASTE_BYTES_MAX: usize = 64 << 10;

/// How many lines of a paste are shown before it is asked about.
pub(crate) const PASTE_LINES_SHOWN_MAX: usize = 10;

/// The longest line that can be typed, in bytes: twice what a server takes by default.
pub(crate) const TYPED_LINE_BYTES_MAX: usize = 8 << 10;

/// How many typed lines are remembered for the Up key.
pub(crate) const HISTORY_LINES_MAX: usize = 500;

/// How many names are remembered for the Tab key: as many as take part in a talk that one can follow.
pub(crate) const NAMES_MAX: usize = 1000;

/// Bytes of typed lines that wait for a connection, or for a server that takes them: a whole paste and some.
pub(crate) const UNSENT_BYTES_MAX: usize = 128 << 10;

/// How many own lines are remembered to know them when a server sends them back. It does so at once, or not at all.
pub(crate) const ECHOES_MAX: usize = 64;

/// How long a window must have kept its size before the input line is drawn anew. While a window is dragged, tmux tells
/// of a new size every 250 ms, and has laid out its rows for another one meanwhile.
pub(crate) const RESIZE_SETTLE: Duration = Duration::from_millis(300);

/// How long a terminal may take to say where its cursor is: one on the other side of the earth. One that does not know
/// the question never does.
pub(crate) const CURSOR_REPORT_WAIT: Duration = Duration::from_millis(500);

/// How often a client in the background looks whether it has the terminal again: a shell that brings a running job to the
/// foreground tells it nothing.
pub(crate) const AWAY_LOOK: Duration = Duration::from_millis(200);

/// How long the terminal may take to show the last words.
pub(crate) const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);

/// The size of a terminal that does not know its own, in columns and rows.
pub(crate) const TERMINAL_SIZE: (usize, usize) = (80, 24);

/// How many of the lines that were typed and will never be sent are shown at the end.
pub(crate) const UNSENT_SHOWN_MAX: usize = 10;
