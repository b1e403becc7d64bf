//! pollchat: a TCP chat relay that one thread runs for twenty thousand people.
//!
//! `pollchat-server` accepts TCP clients and relays each complete line of one to all the others, marked with who said
//! it; with `--web` it hands out a page as well, with which browsers are clients like any other. The whole server is one
//! readiness-driven loop over a slab of connections. `pollchat-client` is the companion: one loop over stdin, stdout and
//! the socket.
//!
//! # The way of a line
//!
//! ```text
//! socket ─read→ scratch buffer ─LineDecoder→ clean line ─Room→ tape (appended once: "ana> hello\n")
//!                                                        └────→ private reply, for commands
//! tape ─place of each reader→ one write a connection a turn → socket
//! ```
//!
//! There are no queues per recipient. A room keeps one shared, bounded, append-only [tape](relay::tape::Tape) of
//! outgoing bytes; a connection keeps a [place](relay::cursor::Cursor) on it. To say something is one append, whatever
//! the audience; to flush a connection is one `write` of all that it has not seen.
//!
//! # The map
//!
//! | module | owns |
//! |---|---|
//! | [`relay`] | what is said, and who hears it: [lines](relay::line), [names](relay::name), [commands](relay::command), [what the server says](relay::notice), the [room](relay::room), the [tape](relay::tape) and its [readers](relay::cursor). Pure: no socket, no clock, no mio |
//! | [`server`] | the relay on mio: the [outer loop](server::Server), the [hub](server::hub) (one turn over all connections), a [connection](server::connection) and what it [talks over](net::stream), the budgets ([brake](server::flow::brake), [turn](server::flow::budget)), the [listeners](server::listener), the [page in the browser](server::web) and [every limit](server::config) |
//! | [`client`] | the companion: one loop over stdin, stdout and the socket, in a pipe form or a terminal form; a connection is a session |
//! | [`inherited`] | descriptors that are not ours: stdin, stdout, stderr, used without blocking |
//! | [`pulse`] | how the kernel is to find out that a peer is dead |
//! | [`logging`] | the log on stderr, which neither blocks nor panics |

pub mod client;
pub mod logging;
pub mod manual;
pub mod net;
pub mod relay;
pub mod server;

/// The port that a server listens on, and a client connects to, unless another one is named.
pub const PORT: u16 = 46_000;
