//! Budgets: bytes put on the tape ([`brake`]), work of one turn ([`budget`]), lines of one client ([`rate`]), and time of a
//! slow reader ([`stall`]).

pub mod brake;
pub mod budget;
pub mod rate;
pub mod stall;
