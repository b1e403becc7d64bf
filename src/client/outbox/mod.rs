//! Text on its way to the server: [typed lines](line_queue) that outlive a connection, and the [bytes](send_buffer) of
//! one connection.

pub mod line_queue;
pub mod send_buffer;
