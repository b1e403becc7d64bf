//! What a visitor asks for.

use data_encoding::BASE64;
use httparse::{EMPTY_HEADER, Error, Header, Status as Parsed};

use super::origin::{Authority, Origin};
use super::response::Status;

/// How many fields a head may have.
pub const FIELDS_MAX: usize = 100;

/// How many bytes the key of an opening handshake has (RFC 6455, 4.1).
const KEY_BYTES: usize = 16;

/// A request, as far as it matters here.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Where it was sent to; `None` if it does not say, which HTTP/1.0 allows.
    pub authority: Option<Authority>,
    /// What is asked for, without a query.
    pub path: &'a str,
    /// Whether the connection ends with the answer.
    pub is_last: bool,
    has_body: bool,
    version: u8,
    fields: Vec<Header<'a>>,
}

/// What opens a WebSocket.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The key that is to be answered.
    pub key: &'a [u8],
    /// The page that it comes from; none if it is no browser.
    pub origin: Option<Origin>,
}

impl<'a> Request<'a> {
    /// Takes a whole head.
    ///
    /// # Errors
    /// What it is answered if it is none.
    pub fn parse(head: &'a [u8]) -> Result<Request<'a>, Status> {
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
        let (authority, target) = split_target(target)?;
        let path = path_of(target);
        let mut request = Request { method, authority: None, path, is_last: true, has_body: false, version, fields };
        // That of the target counts, if there are two; the field has to be there all the same.
        request.authority = authority.or(request.host()?);
        request.has_body = request.announces_body()?;
        request.is_last = !request.keeps_connection() || request.has_body;
        Ok(request)
    }

    /// Takes it as one that opens a WebSocket.
    ///
    /// # Errors
    /// What it is answered if it is none.
    pub fn opening(&self) -> Result<Opening<'a>, Status> {
        let is_upgrade = self.version > 0 && self.has_token("upgrade", "websocket");
        let is_thirteen = matches!(self.values("sec-websocket-version").as_slice(), [b"13"]);
        if !is_upgrade || !self.has_token("connection", "upgrade") || !is_thirteen {
            return Err(Status::UpgradeRequired);
        }
        let &[key] = self.values("sec-websocket-key").as_slice() else { return Err(Status::BadRequest) };
        if self.has_body || BASE64.decode(key).map_or(0, |key| key.len()) != KEY_BYTES {
            return Err(Status::BadRequest);
        }
        let origin = match self.values("origin").as_slice() {
            [] => None,
            [origin] => Some(text_of(origin).and_then(|text| text.parse().ok()).ok_or(Status::OriginNotAllowed)?),
            _ => return Err(Status::OriginNotAllowed),
        };
        Ok(Opening { key, origin })
    }

    fn host(&self) -> Result<Option<Authority>, Status> {
        match self.values("host").as_slice() {
            [] if self.version == 0 => Ok(None),
            [host] => text_of(host).and_then(Authority::parse).map(Some).ok_or(Status::BadRequest),
            _ => Err(Status::BadRequest),
        }
    }

    fn keeps_connection(&self) -> bool {
        let is_to_be_kept = self.version > 0 || self.has_token("connection", "keep-alive");
        is_to_be_kept && !self.has_token("connection", "close")
    }

    /// Whether something follows the head that is not the next request. It is no request if there are two opinions about
    /// how long that is, or none (RFC 9112, 6.1 and 6.3).
    fn announces_body(&self) -> Result<bool, Status> {
        match (self.values("transfer-encoding").as_slice(), self.values("content-length").as_slice()) {
            ([], []) => Ok(false),
            ([], [length, others @ ..]) if is_number(length) && others.iter().all(|other| other == length) => {
                Ok(length.iter().any(|&digit| digit != b'0'))
            }
            ([.., codings], []) if is_chunked(codings) => Ok(true),
            _ => Err(Status::BadRequest),
        }
    }

    /// The values of all fields of this name.
    fn values(&self, name: &str) -> Vec<&'a [u8]> {
        self.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect()
    }

    /// Whether a field of this name lists the token, in any case.
    fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.values(name);
        let mut tokens = values.iter().flat_map(|value| value.split(|&byte| byte == b','));
        tokens.any(|of| of.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// Whether the third and last word of the request line is a version, if not one that is spoken here.
fn names_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.trim_ascii_end().split(|&byte| byte == b' ').collect();
    matches!(words.as_slice(), [_, _, version] if version.starts_with(b"HTTP/"))
}

/// Takes a target that names its host apart (RFC 9112, 3.2.2).
fn split_target(target: &str) -> Result<(Option<Authority>, &str), Status> {
    let is_scheme = |scheme: &str| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let Some((_, rest)) = target.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        // The forms that there are but for a proxy (RFC 9112, 3.2.1 and 3.2.4).
        let is_own = target.starts_with('/') || target == "*";
        return if is_own { Ok((None, target)) } else { Err(Status::BadRequest) };
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = Authority::parse(authority).ok_or(Status::BadRequest)?;
    Ok((Some(authority), path))
}

fn path_of(target: &str) -> &str {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    if path.is_empty() { "/" } else { path }
}

fn is_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

/// Whether the last of these codings tells where the body ends.
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

    #[track_caller]
    fn refusal(line: &str) -> Status {
        let head = format!("{line}\r\nHost: localhost\r\n\r\n");
        Request::parse(head.as_bytes()).expect_err(line)
    }

    #[test]
    fn a_version_that_is_not_spoken_is_told_from_what_is_no_version() {
        for line in ["PRI * HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9", "GET / HTTP/x"] {
            assert_eq!(refusal(line), Status::VersionNotSupported, "{line}");
        }
        for line in ["GET /", "GET / x HTTP/1.1", "GET /a b HTTP/1.1", "GET / http/1.1", "GET / HTTX/1.1", "GET /  "] {
            assert_eq!(refusal(line), Status::BadRequest, "{line}");
        }
    }

    #[test]
    fn a_target_is_a_path_or_a_full_address() {
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
}
