//! Text on its way to the server: [typed lines](line_queue), which outlive a connection, and the [bytes](send_buffer)
//! of one connection. The pipe form needs only the second.

pub(crate) mod entered;
pub(crate) mod line_count;
pub(crate) mod line_queue;
pub(crate) mod line_view;
pub(crate) mod send_buffer;
