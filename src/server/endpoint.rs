//! Protocols of listening sockets.

/// Protocol of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Line protocol: the *line port*.
    Lines,
    /// HTTP, and WebSocket after an upgrade.
    Web,
}
