//! The chat itself: lines, names, commands, notices, the rules of a room and its tape.
//!
//! All of it is pure: no socket, no clock, no mio. The server feeds it bytes and times, and the client shares the parts
//! that both sides must agree on ([`line`](mod@line), [`sanitize`](mod@sanitize), [`name`], [`command`], [`notice`]).

pub mod command;
pub mod cursor;
pub mod directory;
pub mod elsewhere;
pub mod event;
pub mod line;
mod lookalike;
pub mod name;
pub mod names;
pub mod notice;
pub(crate) mod object;
pub mod order;
pub mod past;
pub mod record;
pub mod room;
pub mod roster;
pub mod sanitize;
pub mod secret;
pub mod sequence;
pub mod stamp;
pub mod tape;
pub mod telnet;
