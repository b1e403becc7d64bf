//! The hub in memory: no socket and no clock is real, so each test chooses every byte, error, event and time.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod bans;
mod budgets;
mod control;
mod elsewhere;
mod entering;
mod flush_after;
mod foreign;
mod frames;
mod handing_over;
mod http;
mod journal;
mod lag_wait;
mod limits;
mod metrics;
mod names;
mod orders;
mod password;
mod patrol;
mod proxies;
mod report;
mod rooms;
mod settings;
mod tape;
mod telnet;
mod tls;
mod together;
mod tracking;
mod turns;
mod web_rooms;
mod websocket;
