//! `pollchat-client` as a child process: in a pipe, and in a terminal as a person sees it.

#[path = "../support/mod.rs"]
mod support;

mod pipe;
mod terminal;
