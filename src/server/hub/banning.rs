//! Bans: a stub.

use std::time::{Duration, Instant};

use super::Hub;
use crate::net::stream::Socket;
use crate::relay::order::Row;

/// The place in a list of bans.
#[derive(Debug, Default)]
pub(super) struct BanListing(usize);

const NONE: &str = "there are no bans on this server";

impl<S: Socket> Hub<S> {
    /// Keeps an address or a network out.
    pub(super) fn ban(
        &mut self,
        _target: &str,
        _time: Option<Duration>,
        _reason: &str,
        _now: Instant,
    ) -> Result<Vec<Row>, String> {
        Err(NONE.to_owned())
    }

    /// Lifts a ban.
    pub(super) fn unban(&mut self, _target: &str, _now: Instant) -> Result<String, String> {
        Err(NONE.to_owned())
    }

    /// Returns the next bans of a list; none at its end.
    pub(super) fn list_bans(&self, listing: &mut BanListing) -> Vec<Row> {
        let BanListing(_told) = listing;
        Vec::new()
    }

    /// Returns the number of bans.
    pub(super) fn bans_len(&self) -> usize {
        0
    }
}
