//! pollchat

pub mod logging;
pub mod relay;
pub mod server;
