//! Bombards: the game by itself, its referee as a child process, and players of every kind.

#[path = "../support/mod.rs"]
mod support;

mod bots;
mod games;
mod hostile;
mod physics;
mod room;
mod words;
