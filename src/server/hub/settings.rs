//! Settings that change at run time: the greeting, the rules of access, the rate.
//!
//! A change holds for the next client, the next connection, the next line. It takes nothing back: no member is
//! disconnected or told.

use std::time::Instant;

use super::Hub;
use crate::net::stream::Socket;
use crate::server::access::{AccessControl, AccessRules};
use crate::server::connection::{ReadState, Role};
use crate::server::flow::rate::Rate;

impl<S: Socket> Hub<S> {
    /// Greets newcomers with this text from now on, in each room; empty for no greeting.
    pub fn set_greeting(&mut self, text: &str) {
        self.rooms.set_greeting(text);
    }

    /// Checks new connections against these rules from now on. Those that are there stay. If `--max-per-address` begins,
    /// they count: the kernel is asked once for the address of each.
    pub fn set_access(&mut self, rules: &AccessRules) {
        let earlier = self.admission.access.take();
        let Some(mut access) = AccessControl::new(rules) else { return };
        let has_counts = earlier.is_some_and(|earlier| access.go_on_from(earlier));
        if access.counts() && !has_counts {
            self.count_all(&mut access);
        }
        self.admission.access = Some(access);
    }

    /// Counts all connections by address. A connection whose proxy has yet to name its client is counted then.
    fn count_all(&self, access: &mut AccessControl) {
        for (key, connection) in self.connections.iter() {
            let own = || connection.stream().peer_address().ok().flatten();
            let known = self.proxied.client(key);
            let address = match connection.role() {
                Role::Console | Role::Operator | Role::Scraper | Role::Refused => None,
                Role::Entering | Role::Visitor if known.is_none() && self.proxied.awaits_client(key) => None,
                Role::Client | Role::Entering | Role::Visitor => known.or_else(own),
            };
            match address {
                Some(address) if connection.role() == Role::Client => access.count_client(key, address.ip()),
                Some(address) => access.admit(key, address.ip()),
                None => {}
            }
        }
    }

    /// Limits the lines of each client to this rate from now on; `None` for no limit. A client that waits for its next
    /// line waits as long as the new rate demands.
    pub fn set_rate(&mut self, rate: Option<Rate>, now: Instant) {
        self.limits.rate = rate;
        for (key, connection) in self.connections.iter_mut() {
            if let Some(input) = connection.input_mut() {
                input.bucket.adapt(rate, now);
            }
            let waits = connection.read_state == ReadState::Throttled;
            if waits {
                self.schedule.mark_ready(key, connection);
            }
        }
        self.sessions.buckets_mut().for_each(|bucket| bucket.adapt(rate, now));
    }
}
