//! The kernel, for server and client: sockets and consoles as byte streams, dead-peer detection, inherited stdio.

pub mod keepalive;
pub mod outbox;
pub mod stdio;
pub mod stream;
