//! `pollchat-client` in a terminal: what a person sees, read back through a terminal emulator, and what the server
//! hears.
//!
//! Nothing here sleeps to let something happen: each wait is for something to be seen, and has a deadline.

// Each file uses a part of what the others offer.
#![allow(unreachable_pub)]

mod calls;
mod chunks;
mod comfort;
mod connection;
mod long_lines;
mod looks;
mod password;
mod resolution;
mod restart;
mod rooms;
mod server;
mod strings;
mod text;
mod textbook;
mod tls;
mod tracking;
mod typing;
mod ways_out;
mod window;
