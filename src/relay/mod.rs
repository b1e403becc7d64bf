//! What is said, and who hears it. Pure: no socket, no clock, no mio.

pub mod command;
pub mod cursor;
pub mod event;
mod help;
pub mod line;
pub mod name;
pub mod notice;
pub mod room;
pub mod roster;
pub mod sanitize;
pub mod tape;
