//! Requests at the port of metrics: `/metrics` and `/healthz`, with GET or HEAD, and their answers.
//!
//! There is neither a page nor a WebSocket, and no answer has a field that opens it to pages of other origins.

use std::time::SystemTime;

use super::request::Request;
use super::response::{self, Body, Extent, Persistence, Status};
use super::site::{Answer, AnswerRefusal};
use crate::server::metrics::Format;

/// Media type by which a scraper asks for [`Format::OpenMetrics`].
const OPEN_METRICS: &[u8] = b"application/openmetrics-text";

/// Content type of all texts but the metrics.
const PLAIN: &str = "text/plain; charset=utf-8";

/// A valid request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inquiry {
    pub(crate) wanted: Wanted,
    extent: Extent,
    persistence: Persistence,
}

/// The resource that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `/metrics`, in this format.
    Metrics(Format),
    /// `/healthz`
    Health,
}

impl Inquiry {
    /// Parses the head of a request.
    ///
    /// # Errors
    /// The answer that refuses it.
    pub(crate) fn parse(head: &[u8], time: SystemTime) -> Result<Inquiry, Answer> {
        let request = Request::parse(head).map_err(|status| refuse(status, time))?;
        let extent = if request.method == "HEAD" { Extent::HeadOnly } else { Extent::Full };
        let wanted = match request.path {
            "/metrics" => Wanted::Metrics(format_of(&request)),
            "/healthz" => Wanted::Health,
            _ => return Err(refusal(Status::NotFound, request.persistence, extent, time)),
        };
        if !matches!(request.method, "GET" | "HEAD") {
            return Err(refusal(Status::MethodNotAllowed, request.persistence, extent, time));
        }
        Ok(Inquiry { wanted, extent, persistence: request.persistence })
    }

    /// Has the server close the connection after the answer.
    #[must_use]
    pub(crate) fn as_last(self) -> Inquiry {
        Inquiry { persistence: Persistence::Close, ..self }
    }

    /// Returns the answer with the metrics.
    pub(crate) fn answer_with(self, format: Format, text: &str, time: SystemTime) -> Answer {
        self.answer(Status::Ok, Body { content_type: format.content_type(), text }, time)
    }

    /// Returns the answer of a server that is well, or that stops.
    pub(crate) fn answer_health(self, is_stopping: bool, time: SystemTime) -> Answer {
        let (status, text) =
            if is_stopping { (Status::ServiceUnavailable, "shutting down\n") } else { (Status::Ok, "ok\n") };
        self.answer(status, Body { content_type: PLAIN, text }, time)
    }

    fn answer(self, status: Status, body: Body<'_>, time: SystemTime) -> Answer {
        let bytes = response::with_body(status, body, time, self.persistence, self.extent);
        Answer { bytes, next: self.persistence.into(), refusal: None }
    }
}

/// Returns the answer to a connection that is refused, whether it sent a request or not.
pub(crate) fn refuse(status: Status, time: SystemTime) -> Answer {
    refusal(status, Persistence::Close, Extent::Full, time)
}

fn refusal(status: Status, persistence: Persistence, extent: Extent, time: SystemTime) -> Answer {
    let text = match status {
        Status::NotFound => "not found: metrics are at /metrics, and a health check is at /healthz\n".to_owned(),
        Status::ServiceUnavailable => "there are too many connections for metrics\n".to_owned(),
        _ => format!("{}\n", status.text()),
    };
    let bytes = response::with_body(status, Body { content_type: PLAIN, text: &text }, time, persistence, extent);
    Answer { bytes, next: persistence.into(), refusal: Some(AnswerRefusal::new(status)) }
}

/// Returns the format that a request asks for: OpenMetrics only if it names it (RFC 9110, 12.5.1).
fn format_of(request: &Request<'_>) -> Format {
    let names_it = |accepted: &[u8]| {
        let media_type = accepted.split(|&byte| byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(OPEN_METRICS)
    };
    let accepted = request.values("accept");
    let is_named = accepted.iter().flat_map(|value| value.split(|&byte| byte == b',')).any(names_it);
    if is_named { Format::OpenMetrics } else { Format::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &str) -> Result<Inquiry, String> {
        let head = format!("{lines}\r\n\r\n");
        Inquiry::parse(head.as_bytes(), SystemTime::UNIX_EPOCH)
            .map_err(|answer| String::from_utf8(answer.bytes).expect("text"))
    }

    #[test]
    fn a_format_is_open_metrics_only_if_the_request_names_it() {
        for (accept, format) in [
            ("", Format::Plain),
            ("Accept: */*", Format::Plain),
            ("Accept: text/plain;version=0.0.4, application/OpenMetrics-text ;q=0.1", Format::OpenMetrics),
            ("Accept: text/html\r\nAccept: application/openmetrics-text", Format::OpenMetrics),
            ("Accept: application/openmetrics-textual", Format::Plain),
        ] {
            let inquiry = parse(&format!("GET /metrics?x HTTP/1.1\r\nHost: a\r\n{accept}").replace("\r\n\r\n", "\r\n"));
            assert_eq!(inquiry.map(|inquiry| inquiry.wanted), Ok(Wanted::Metrics(format)), "{accept}");
        }
    }

    #[test]
    fn all_but_get_and_head_of_two_paths_is_refused_in_words() {
        for (line, code, text) in [
            ("GET / HTTP/1.0", "404 ", "metrics are at /metrics"),
            ("POST /ws HTTP/1.0", "404 ", "/healthz"),
            ("POST /metrics HTTP/1.0", "405 ", "\r\nAllow: GET, HEAD\r\n"),
            ("OPTIONS /healthz HTTP/1.0", "405 ", "use GET or HEAD"),
            ("GET /metrics HTTP/3.0", "505 ", "HTTP/1.1"),
            ("GET", "400 ", "not a valid"),
        ] {
            let refused = parse(line).expect_err(line);
            assert!(refused.starts_with(&format!("HTTP/1.1 {code}")) && refused.contains(text), "{line}: {refused}");
            assert!(!refused.to_ascii_lowercase().contains("access-control"), "{refused}");
        }
        assert!(parse("HEAD /nowhere HTTP/1.0").expect_err("404").ends_with("\r\n\r\n"), "a head alone");
    }
}
