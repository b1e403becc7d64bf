//! The protocol that a listening socket speaks.

/// What is spoken on a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Lines.
    Lines,
    /// HTTP, and from the page lines in frames.
    Web,
}
