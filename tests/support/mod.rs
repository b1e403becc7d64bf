//! What the test programs share: the server as a child process, the hub in memory, and the clients of both.

// Every test program uses a part of this.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod http;
pub mod hub;
pub mod page;
pub mod server;
pub mod terminal;
pub mod ws;

pub use server::*;
