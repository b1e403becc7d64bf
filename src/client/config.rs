//! Every limit of the client, with its unit and its reason.

use std::time::Duration;

/// How long one address of the server may take to answer a connect: three SYNs get lost (1 + 2 + 4 s) before we do.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an ending may stand still, with no byte moving anywhere, before the client leaves all the same.
pub const GRACE: Duration = Duration::from_secs(5);

/// Bytes taken from stdin that the server has not taken yet: the server's own read size. While there is no room for
/// another read ([`READ_BYTES`]), stdin is left alone.
pub const OUTBOX_BYTES_MAX: usize = 64 << 10;

/// Bytes for stdout from which on the server is not read.
///
/// What was read already goes in all the same, so the queue may pass this mark by one read and one line, each byte of
/// them shown as U+FFFD at worst: 3 × ([`READ_BYTES`] + [`SHOWN_LINE_BYTES_MAX`]), and by what marks continued lines.
pub const SCREEN_BYTES_MAX: usize = 64 << 10;

/// The longest line from the server that is shown in one piece, in bytes as received. It is sixteen times what the
/// server itself takes, so only a hostile server ever meets it.
pub const SHOWN_LINE_BYTES_MAX: usize = 64 << 10;

/// The longest typed line, in bytes, that is looked at for a wish to leave. `/quit` may have a text behind it; with a
/// longer one it is the server that recognises it.
pub const LEAVE_LINE_BYTES_MAX: usize = 64;

/// Bytes read at once, from stdin or from the server: a quarter of what waits in either direction.
pub const READ_BYTES: usize = 16 << 10;

/// Bytes written to stdout at once: `PIPE_BUF`, which a pipe that is ready takes without blocking.
pub const STDOUT_WRITE_BYTES_MAX: usize = 4096;

/// How long a line of a server that is none of pollchat's may lack its end, unless another time is named, in
/// milliseconds. A person does not notice it, and what was sent at once arrives in less, but for a lost packet.
pub const FLUSH_AFTER_MS: u64 = 100;
