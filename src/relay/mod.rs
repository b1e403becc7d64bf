//! What is said, and who hears it. Pure: no socket, no clock, no mio.

pub mod command;
pub mod line;
pub mod name;
pub mod notice;
pub mod reader;
pub mod room;
pub mod stranger;
pub mod tape;
