//! Where there is a page: who asks for it on the port for lines is told in HTTP where it is. So nobody is greeted there
//! who may still turn out to be a browser.

use crate::oracle::{Oracle, Verdict};
use crate::said::Asked;

impl Oracle {
    /// Whether one is not to be greeted yet: it said nothing, or HTTP alone.
    pub(crate) fn is_withheld(&self, member: usize) -> bool {
        let known = &self.members[member];
        let ear = &self.wires[member].borrow().ear;
        let is_early = known.withheld_until.is_some_and(|time| self.now() < time);
        let has_cause = ear.ended.is_some() || known.is_kicked || self.may_have_been_let_go(member);
        let is_silent = ear.asked.iter().all(|asked| *asked == Asked::Foreign("HTTP"));
        is_early && is_silent && !has_cause && !self.is_shutting_down
    }

    /// Whether one is to be told where the page is.
    pub(crate) fn is_owed_hint(&self, member: usize) -> bool {
        self.speaks_http(member) && self.members[member].hint.is_none()
    }

    /// Whether one has opened the port for lines, where there is a page, with a browser.
    pub(crate) fn speaks_http(&self, member: usize) -> bool {
        let last = &self.wires[member].borrow().ear.asked;
        self.page_hint.is_some() && last.last() == Some(&Asked::Foreign("HTTP"))
    }

    /// Whether `line` begins to tell one where the page is.
    pub(crate) fn is_page_hint(&self, member: usize, line: &str) -> bool {
        self.is_owed_hint(member) && line.starts_with("HTTP/1.1 400 ")
    }

    /// Takes a line that tells one where the page is.
    pub(crate) fn receive_hint(&mut self, member: usize, line: &str) -> Verdict {
        let known = &mut self.members[member];
        let has_said_more = self.wires[member].borrow().ear.asked.len() > 1;
        if known.has_fin {
            return Err("after the last line of an answer".to_owned());
        }
        if known.hint.is_none() && has_said_more && known.greeted == 0 {
            return Err("it was not greeted".to_owned());
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
            return Err(format!("not where the page is: {head:?}, {body:?}"));
        }
        self.members[member].has_fin = true;
        self.all_heard(member)
    }
}
