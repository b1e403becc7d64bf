//! Bombards, a game of cannons for the members of a room: the last program of the textbooks, as a client of the relay.
//!
//! The relay's promise is all that it needs: whole lines, in one order, to everybody, over any number of connections.
//! The [referee](referee) says each change of the field as a line. So a page, a bot and `--check` compute the same
//! flights from the same lines, and a late or slow reader costs nobody anything. There is no lock, no thread, and no
//! timer while nothing flies. The [manual](crate::manual::bombards) has the rules, the orders and the lines.
//!
//! ```text
//! line of a member ─Order::parse→ Game::order ─┐
//!                       every 20 ms Game::step ┴→ reports ─Display→ lines of the referee
//!                                                             └─parse→ Follower: --check, a restarted referee
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`field`] | cannons, shells in the air, and the physics of both |
//! | [`game`] | who takes part, what an order does, what the room is told |
//! | [`order`] | the words of players |
//! | [`report`] | the words of the referee |
//! | [`follow`] | the field as reports tell it |
//! | [`check`](mod@check) | transcripts |
//! | [`referee`] | a game and its room; its `run` alone has a socket and a clock |
//!
//! # A player in eighteen lines
//!
//! `python3 bot.py 127.0.0.1 46000 gunner` fires at 60 degrees with the power of the closed form. It needs neither a
//! protocol library nor a timer: a line comes when there is something to do.
//!
//! ```python
#![doc = include_str!("bot.py")]
//! ```

pub mod check;
pub mod field;
pub mod follow;
pub mod game;
pub mod order;
pub mod referee;
pub mod report;
