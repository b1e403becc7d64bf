//! Browsers in the room of a real server: how they come in, talk with TCP clients and with each other, fall behind,
//! misbehave, and leave. What every WebSocket server has to do is asked by `tests/autobahn`; this is what ours
//! promises.

mod closing;
mod handshakes;
mod hostile;
mod lagging;
mod limits;
mod messages;
mod room;
