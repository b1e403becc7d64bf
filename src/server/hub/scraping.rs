//! Scrapers: connections to the port of metrics, which ask for figures and for the health check.
//!
//! A scraper is an HTTP connection like a [visitor](super::http), with places of its own: it takes none of clients or
//! visitors, nor they one of its. Beyond [`SCRAPERS_MAX`] they wait in the kernel's queue. While all places are taken,
//! each is free again after an answer.

use super::Hub;
use crate::net::stream::Socket;
use crate::server::connection::Role;
use crate::server::limits::SCRAPERS_MAX;
use crate::server::metrics::{Format, Metrics};
use crate::server::reason::Reason;
use crate::server::web::exchange::Service;
use crate::server::web::response::Status;
use crate::server::web::scrape::{Inquiry, Wanted, refuse};
use crate::server::web::site::Answer;

impl<S: Socket> Hub<S> {
    /// Serves metrics from now on, and counts what they need.
    pub fn open_metrics(&mut self, metrics: Metrics) {
        self.metrics = Some(Box::new(metrics));
    }

    /// Checks a new connection to the port of metrics: `--allow` and `--deny` hold for it, `--max-per-address` does not.
    pub(super) fn check_scraper(&self, stream: &S) -> Result<(), Reason> {
        if let Some(access) = &self.admission.access
            && let Some(address) = stream.peer_address().map_err(Reason::Reset)?
        {
            access.check_address(address.ip())?;
        }
        if self.has_place_to_scrape() { Ok(()) } else { Err(Reason::VisitorsFull(SCRAPERS_MAX)) }
    }

    /// Answers a request at the port of metrics.
    pub(super) fn answer_scrape(&mut self, head: &[u8]) -> Answer {
        self.stats.scrapes += 1;
        let Some(metrics) = &self.metrics else { return Answer::empty() };
        let time = metrics.time();
        let inquiry = match Inquiry::parse(head, time) {
            Ok(inquiry) if self.has_place_to_scrape() => inquiry,
            Ok(inquiry) => inquiry.as_last(),
            Err(refusal) => return refusal,
        };
        match inquiry.wanted {
            Wanted::Health => inquiry.answer_health(self.is_stop_wanted, time),
            Wanted::Metrics(format) => inquiry.answer_with(format, self.metrics_text(format), time),
        }
    }

    /// Returns the answer that refuses an HTTP connection, whatever its request.
    pub(super) fn refusal_answer(&mut self, key: usize, status: Status) -> Answer {
        let service = self.connections[key].exchange_mut().map(|exchange| exchange.service());
        match (service, &self.metrics, &self.site) {
            (Some(Service::Metrics), Some(metrics), _) => refuse(status, metrics.time()),
            (_, _, Some(site)) => site.refuse(status),
            (_, _, None) => Answer::empty(),
        }
    }

    /// Returns the text of this turn: the first scraper of the turn has it written.
    fn metrics_text(&mut self, format: Format) -> &str {
        let is_written = self.metrics.as_ref().is_some_and(|metrics| metrics.text(format).is_some());
        let snapshot = if is_written { None } else { Some(self.stats()) };
        match (&mut self.metrics, snapshot) {
            (Some(metrics), Some(snapshot)) => metrics.write(format, snapshot),
            (Some(metrics), None) => metrics.text(format).unwrap_or_default(),
            (None, _) => "",
        }
    }

    pub(super) fn has_place_to_scrape(&self) -> bool {
        self.connections.count(Role::Scraper) < SCRAPERS_MAX
    }
}
