//! Browsers on the line port: where there is a page, they are told its address in HTTP.

use crate::oracle::Oracle;
use crate::rule::{Rule, Verdict};
use crate::said::Asked;

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
