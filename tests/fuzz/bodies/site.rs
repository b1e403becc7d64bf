//! What a visitor sends: each request is answered, the same however the bytes come, in answers that another parser
//! takes for such; and only our own page gets in.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use pollchat::relay::name::Name;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::web::exchange::{Exchange, RequestProgress};
use pollchat::server::web::origin::OriginPolicy;
use pollchat::server::web::response::Status;
use pollchat::server::web::site::{AfterAnswer, Answer, Site};

/// The first byte is the size of the pieces; the rest is what a visitor sends.
pub(crate) fn run(data: &[u8]) {
    let Some((&size, bytes)) = data.split_first() else { return };
    let page = (Endpoint::Web, SocketAddr::from(([127, 0, 0, 1], 8080)));
    let site = Site::new(OriginPolicy::default(), &[page], || SystemTime::UNIX_EPOCH);
    let whole = visit(&site, bytes, 1 << 20);
    assert_eq!(whole, visit(&site, bytes, usize::from(size).max(1)));
    for (head, answer) in &whole {
        check(head, answer);
    }
}

/// The heads of the requests, up to the last one that is answered, with the answers.
fn visit(site: &Site, mut bytes: &[u8], size: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut visit = Exchange::new(Instant::now());
    let mut answers = Vec::new();
    loop {
        let (head, answer) = match visit.next_head() {
            RequestProgress::Head(head) => {
                let answer = site.answer(&head, |typed| Name::parse(typed).ok());
                (head, answer)
            }
            RequestProgress::TooLong => (Vec::new(), site.refuse(Status::HeadTooLong)),
            RequestProgress::Tls => (Vec::new(), site.refuse(Status::TlsSpoken)),
            RequestProgress::Partial if bytes.is_empty() => return answers,
            RequestProgress::Partial => {
                let (piece, rest) = bytes.split_at(size.min(visit.free_bytes()).min(bytes.len()));
                visit.receive(piece);
                bytes = rest;
                continue;
            }
        };
        let Answer { bytes, next, .. } = answer;
        answers.push((head, bytes));
        if next != AfterAnswer::Request {
            return answers;
        }
    }
}

fn check(request: &[u8], answer: &[u8]) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let (head, body) = answer.split_at(end);
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    assert!(response.parse(head).expect("an answer").is_complete());
    let value = |name: &str| {
        let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| std::str::from_utf8(field.value).expect("our own"))
    };
    let is_head = request.starts_with(b"HEAD ");
    match value("content-length") {
        None => assert!(matches!(response.code, Some(101 | 304)) && body.is_empty()),
        Some(length) => assert!(length.parse() == Ok(body.len()) || (is_head && body.is_empty())),
    }
    if response.code == Some(101) {
        let request = String::from_utf8_lossy(request).to_ascii_lowercase();
        let origin = request.lines().find_map(|line| line.strip_prefix("origin:"));
        let is_ours = |origin: &str| origin.trim().starts_with("http") && !origin.contains("evil");
        assert!(origin.is_none_or(is_ours), "{request}");
    }
}
