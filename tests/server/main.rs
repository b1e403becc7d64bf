//! `pollchat-server` as a child process, seen from outside: over TCP, by its output, its exit status and `/proc`.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod activation;
mod addresses;
mod autobahn;
mod bans;
mod bus;
mod bus_fake;
mod bus_start;
mod closing;
mod config;
mod console;
mod control;
mod flush_after;
mod full_disk;
mod handing_over;
mod hostile;
mod journal;
mod limits;
mod logging;
mod metrics;
mod names;
mod process;
mod protocol;
mod proxies;
mod readme;
mod restarts;
mod stats;
mod textbook;
mod tls;
mod tracking;
mod typing;
mod unix;
mod variables;
mod web;
mod websocket;
