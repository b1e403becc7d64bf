//! Flow control: bytes appended to one tape ([`brake`]), bytes of all tapes to be written ([`deliveries`]), work of one
//! turn ([`budget`]), lines of one client ([`rate`]) and progress of a slow reader ([`stall`]). Pure: no socket, and
//! time is an argument.

pub mod brake;
pub mod budget;
pub mod deliveries;
pub mod rate;
pub mod stall;
