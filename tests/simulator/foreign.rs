//! Other protocols on the line port: how they begin. Where there is a page, browsers are told its address in HTTP.

use crate::oracle::Oracle;
use crate::rule::{Rule, Verdict};
use crate::said::Asked;

/// The name of the protocols that only their control characters tell.
pub(crate) const BINARY: &str = "binary protocol";

impl Oracle {
    /// Whether a client is to be told the address of the page.
    pub(crate) fn is_owed_hint(&self, member: usize) -> bool {
        self.speaks_http(member) && self.members[member].hint.is_none()
    }

    /// Whether a client of the line port turned out to be a browser, where there is a page.
    pub(crate) fn speaks_http(&self, member: usize) -> bool {
        let last = &self.wires[member].borrow().ear.asked;
        self.page_hint.is_some() && last.last() == Some(&Asked::Foreign("HTTP"))
    }

    /// Whether `line` begins to tell a browser the address of the page.
    pub(crate) fn is_page_hint(&self, member: usize, line: &str) -> bool {
        self.is_owed_hint(member) && line.starts_with("HTTP/1.1 400 ")
    }

    /// Takes a line that tells a browser the address of the page.
    pub(crate) fn receive_hint(&mut self, member: usize, line: &str) -> Verdict {
        let known = &mut self.members[member];
        if known.has_fin {
            return Rule::Foreign.broken("after the last line of an answer");
        }
        if known.hint.is_none() && known.number.is_some() && known.greeted < known.greeting.len() {
            return Rule::Greeting.broken("it was not greeted");
        }
        let hint = known.hint.get_or_insert_default();
        hint.push_str(line);
        hint.push('\n');
        let Some((head, body)) = hint.split_once("\r\n\r\n").filter(|(_, body)| !body.is_empty()) else {
            return Ok(());
        };
        let expected = self.page_hint.unwrap_or_default();
        let fields = [format!("Content-Length: {}", expected.len()), "Connection: close".to_owned()];
        if body != expected || !fields.iter().all(|field| head.split("\r\n").any(|line| line == field)) {
            return Rule::Foreign.broken(format!("not where the page is: {head:?}, {body:?}"));
        }
        self.members[member].has_fin = true;
        self.all_heard(member)
    }
}

/// Whether a line holds a control character that no person sends there: the keys that edit a line follow text.
pub(crate) fn has_control(line: &[u8]) -> bool {
    let is_edited = |byte: &u8| b"\x01\x04\x05\x0b\x0c\x12\x1a".contains(byte);
    let is_text = |byte: &u8| *byte >= 0x20 || b"\0\x03\x07\x08\t\n\r\x15\x17\x1b".contains(byte);
    let is_odd = str::from_utf8(line).is_err() && line.iter().any(is_edited);
    is_odd || line.first().is_some_and(is_edited) || !line.iter().all(|byte| is_text(byte) || is_edited(byte))
}

/// Whether this is a whole request line, perhaps of HTTP/0.9.
pub(crate) fn is_request(line: &[u8]) -> bool {
    let words = line.strip_suffix(b"\r").unwrap_or(line).split(|&byte| byte == b' ');
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    let is_short = words.len() == 2 && words[0].iter().all(u8::is_ascii_uppercase) && words[1].starts_with(b"/");
    is_cut_request(line) && (is_short || (words.len() == 3 && words[2].starts_with(b"HTTP/")))
}

/// Whether this is how one begins, and nothing but its end is missing.
pub(crate) fn is_cut_request(line: &[u8]) -> bool {
    let mut words = line.splitn(3, |&byte| byte == b' ').skip(1);
    let (target, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_target = target.starts_with(b"/") || target == b"*";
    is_long_request(line) && is_target && (version.starts_with(b"HTTP/") || b"HTTP/".starts_with(version))
}

/// Whether this is how one begins, whatever follows.
pub(crate) fn is_long_request(line: &[u8]) -> bool {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let [method, target, rest] = [(); 3].map(|()| words.next().unwrap_or_default());
    let is_upper = !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_any_method = !method.is_empty() && method.iter().all(is_token) && target.starts_with(b"/");
    (is_upper && (target.starts_with(b"/") || target.starts_with(b"*")))
        || (is_any_method && (b"HTTP/".starts_with(rest) || rest.starts_with(b"HTTP/")))
}
