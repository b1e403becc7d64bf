//! The kernel, for server and client: sockets and consoles as byte streams, dead-peer detection, inherited stdio;
//! addresses as people write them, and their resolution.

pub mod address;
pub(crate) mod backoff;
pub mod keepalive;
pub mod outbox;
pub mod random;
pub(crate) mod resolve;
pub mod stdio;
pub mod stream;
pub mod tls;
pub(crate) mod unanswered;
