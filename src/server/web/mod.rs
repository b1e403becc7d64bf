//! The page in the browser: HTTP as far as it takes to hand it out and to turn a connection into a WebSocket, and the
//! framing of what is said over one. Pure: bytes in, bytes out; no socket, and of clocks the one alone that the [`site`]
//! is handed, for the date of its answers.
//!
//! A browser comes as a [visitor](visit), asks for the page, and asks once more, on a connection of its own, for the
//! conversation ([`site`] answers both, by the rules of the [`gate`]). From then on it is a client like any other,
//! whose lines come and go in [frames](frame) ([`socket`]).

pub mod exchange;
pub mod frame;
pub mod origin;
mod page;
pub mod request;
pub mod response;
pub mod site;
pub mod websocket;
