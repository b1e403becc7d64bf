//! HTTP requests: the head of one, parsed and checked as far as the page and the WebSocket need it (RFC 9110, RFC
//! 9112).
//!
//! Tests are here, in `tests/server/web/requests.rs` and in `tests/fuzz/bodies/site.rs`.

use data_encoding::BASE64;
use httparse::{EMPTY_HEADER, Error, Header, Status as Parsed};

use super::origin::{Authority, Origin};
use super::response::{Persistence, Status};

/// Header fields that a head may have; more is a 431.
pub(crate) const FIELDS_MAX: usize = 100;

/// Bytes of the key in an opening handshake (RFC 6455, 4.1).
const KEY_BYTES: usize = 16;

/// Parts of a request that decide the response.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Method, in its own case.
    pub method: &'a str,
    /// Host the request was sent to; `None` in HTTP/1.0, which does not require a `Host`.
    pub authority: Option<Authority>,
    /// Path, without a query.
    pub path: &'a str,
    /// Query, without its question mark; may be empty.
    pub query: &'a str,
    /// State of the connection after the response.
    pub persistence: Persistence,
    body: Body,
    version: u8,
    fields: Vec<Header<'a>>,
}

/// Whether anything but the next request follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    None,
    Announced,
}

/// Target of a request (RFC 9112, 3.2), split.
struct Target<'a> {
    /// Host in the target itself, which it has for a proxy.
    authority: Option<Authority>,
    /// Path and query; may be empty.
    path: &'a str,
}

impl<'a> Request<'a> {
    /// Parses a whole head, in time linear in its length. A request that announces a body is the last one: the body is
    /// not read.
    ///
    /// # Errors
    /// The status of the response, if the head is not a valid request.
    pub(crate) fn parse(head: &'a [u8]) -> Result<Request<'a>, Status> {
        let mut fields = vec![EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(head) {
            Ok(Parsed::Complete(_)) => {}
            Err(Error::TooManyHeaders) => return Err(Status::HeadTooLong),
            Err(Error::Version) if names_version(head) => return Err(Status::VersionNotSupported),
            Ok(Parsed::Partial) | Err(_) => return Err(Status::BadRequest),
        }
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
            return Err(Status::BadRequest);
        };
        let len = request.headers.len();
        fields.truncate(len);
        let Target { authority, path } = Target::parse(target)?;
        let ((path, query), persistence, body) = (split(path), Persistence::Close, Body::None);
        let mut request = Request { method, authority: None, path, query, persistence, body, version, fields };
        // A host in the target takes precedence (RFC 9112, 3.2.2), but HTTP/1.1 requires the field all the same.
        request.authority = authority.or(request.host()?);
        request.body = request.announced_body()?;
        if request.body == Body::None && request.asks_to_keep_alive() {
            request.persistence = Persistence::KeepAlive;
        }
        Ok(request)
    }

    /// Reads the opening handshake of a WebSocket (RFC 6455, 4.2.1). Returns its `Sec-WebSocket-Key`.
    ///
    /// # Errors
    /// The status of the response, if the request is not a valid opening handshake.
    pub(crate) fn opening_key(&self) -> Result<&'a [u8], Status> {
        let is_upgrade = self.version > 0 && self.has_token("upgrade", "websocket");
        let is_thirteen = matches!(self.values("sec-websocket-version").as_slice(), [b"13"]);
        if !is_upgrade || !self.has_token("connection", "upgrade") || !is_thirteen {
            return Err(Status::UpgradeRequired);
        }
        let &[key] = self.values("sec-websocket-key").as_slice() else { return Err(Status::BadRequest) };
        if self.body != Body::None || BASE64.decode(key).map_or(0, |key| key.len()) != KEY_BYTES {
            return Err(Status::BadRequest);
        }
        Ok(key)
    }

    /// Reads the origin of the page that sends the request; `None` if there is none.
    ///
    /// # Errors
    /// The status that refuses a malformed origin.
    pub(crate) fn origin(&self) -> Result<Option<Origin>, Status> {
        match self.values("origin").as_slice() {
            [] => Ok(None),
            [origin] => text_of(origin).and_then(|text| text.parse().ok()).ok_or(Status::OriginNotAllowed).map(Some),
            _ => Err(Status::OriginNotAllowed),
        }
    }

    fn host(&self) -> Result<Option<Authority>, Status> {
        match self.values("host").as_slice() {
            [] if self.version == 0 => Ok(None),
            [host] => text_of(host).and_then(Authority::parse).map(Some).ok_or(Status::BadRequest),
            _ => Err(Status::BadRequest),
        }
    }

    fn asks_to_keep_alive(&self) -> bool {
        let is_persistent = self.version > 0 || self.has_token("connection", "keep-alive");
        is_persistent && !self.has_token("connection", "close")
    }

    /// Reads whether a body follows. A request is invalid if its fields do not tell the length of the body, or
    /// contradict each other (RFC 9112, 6.1 and 6.3). A proxy could see another request in it.
    fn announced_body(&self) -> Result<Body, Status> {
        match (self.values("transfer-encoding").as_slice(), self.values("content-length").as_slice()) {
            ([], []) => Ok(Body::None),
            ([], [length, others @ ..]) if is_number(length) && others.iter().all(|other| other == length) => {
                let is_empty = length.iter().all(|&digit| digit == b'0');
                Ok(if is_empty { Body::None } else { Body::Announced })
            }
            ([.., codings], []) if is_chunked(codings) => Ok(Body::Announced),
            _ => Err(Status::BadRequest),
        }
    }

    /// Returns the values of all fields of this name, in any case.
    pub(super) fn values(&self, name: &str) -> Vec<&'a [u8]> {
        self.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect()
    }

    /// Whether a field of this name lists the token, both in any case.
    fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.values(name);
        let mut tokens = values.iter().flat_map(|value| value.split(|&byte| byte == b','));
        tokens.any(|of| of.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// Whether the third and last word of the request line is an HTTP version, which httparse does not know.
fn names_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.trim_ascii_end().split(|&byte| byte == b' ').collect();
    matches!(words.as_slice(), [_, _, version] if version.starts_with(b"HTTP/"))
}

impl Target<'_> {
    /// Splits a target in origin form, asterisk form or absolute form (RFC 9112, 3.2.1, 3.2.4 and 3.2.2). The fourth
    /// form is for CONNECT, which only a proxy understands.
    fn parse(target: &str) -> Result<Target<'_>, Status> {
        let is_scheme = |scheme: &str| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let Some((_, rest)) = target.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            let is_valid = target.starts_with('/') || target == "*";
            return if is_valid { Ok(Target { authority: None, path: target }) } else { Err(Status::BadRequest) };
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = Authority::parse(authority).ok_or(Status::BadRequest)?;
        Ok(Target { authority: Some(authority), path })
    }
}

/// Splits path and query. An empty path is `/`.
fn split(target: &str) -> (&str, &str) {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (if path.is_empty() { "/" } else { path }, query)
}

fn is_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

/// Whether the last of these transfer codings delimits the body.
fn is_chunked(codings: &[u8]) -> bool {
    let last = codings.rsplit(|&byte| byte == b',').next().unwrap_or_default();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

fn text_of(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the status that refuses a request with this line.
    #[track_caller]
    fn refusal(line: &str) -> Status {
        let head = format!("{line}\r\nHost: localhost\r\n\r\n");
        Request::parse(head.as_bytes()).expect_err(line)
    }

    #[test]
    fn an_unsupported_version_is_told_from_an_invalid_one() {
        for line in ["PRI * HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9", "GET / HTTP/x"] {
            assert_eq!(refusal(line), Status::VersionNotSupported, "{line}");
        }
        for line in ["GET /", "GET / x HTTP/1.1", "GET /a b HTTP/1.1", "GET / http/1.1", "GET / HTTX/1.1", "GET /  "] {
            assert_eq!(refusal(line), Status::BadRequest, "{line}");
        }
    }

    #[test]
    fn a_target_is_a_path_or_a_full_url() {
        let path =
            |line: &str| Request::parse(format!("{line} HTTP/1.0\r\n\r\n").as_bytes()).map(|it| it.path.to_owned());
        for (line, expected) in [
            ("GET /?/ws", "/"),
            ("GET /ws?x", "/ws"),
            ("GET http://localhost", "/"),
            ("GET HTTPS://localhost:1?x", "/"),
            ("GET http://localhost/ws", "/ws"),
            ("OPTIONS *", "*"),
        ] {
            assert_eq!(path(line).as_deref(), Ok(expected), "{line}");
        }
        for line in
            ["GET ?", "GET ws", "CONNECT localhost:80", "GET ftp://localhost/", "GET http:///", "GET http://a@b/"]
        {
            assert_eq!(path(line), Err(Status::BadRequest), "{line}");
        }
    }

    #[test]
    fn a_connection_persists_unless_a_field_the_version_or_a_body_ends_it() {
        let persistence = |lines: &str| Request::parse(format!("{lines}\r\n\r\n").as_bytes()).map(|it| it.persistence);
        for (lines, expected) in [
            ("GET / HTTP/1.1\r\nHost: x", Persistence::KeepAlive),
            ("GET / HTTP/1.1\r\nHost: x\r\nConnection: Close", Persistence::Close),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 00", Persistence::KeepAlive),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1", Persistence::Close),
            ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked", Persistence::Close),
            ("GET / HTTP/1.0", Persistence::Close),
            ("GET / HTTP/1.0\r\nConnection: keep-alive", Persistence::KeepAlive),
        ] {
            assert_eq!(persistence(lines), Ok(expected), "{lines}");
        }
    }

    #[test]
    fn a_body_of_ambiguous_length_is_no_request() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: +1",
            "Content-Length:",
            "Transfer-Encoding: chunked, gzip",
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n");
            assert_eq!(Request::parse(head.as_bytes()).map(|it| it.body), Err(Status::BadRequest), "{fields}");
        }
    }
}
