//! pollchat

pub mod relay;
