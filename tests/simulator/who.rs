//! Answers to `/who`: all members of the room, or those whose names begin as asked, and how many they are.

use crate::oracle::{Oracle, between};
use crate::room::digest;
use crate::rule::{Rule, Verdict, Violation};

/// Rows of an answer: more members are counted.
const ROWS_MAX: usize = 100;

/// The begin of names whose finds are known for each version of a room: the names that the server gives.
const BEGIN: &str = "client-";

/// The answer to a search for [`BEGIN`] among these rows of a room.
pub(crate) fn found(rows: &[String]) -> Vec<String> {
    let mut answer: Vec<String> = rows.iter().filter(|row| row.starts_with(BEGIN)).cloned().collect();
    let count = answer.len();
    answer.truncate(ROWS_MAX);
    if count > ROWS_MAX {
        answer.push(format!("* and {} more", count - ROWS_MAX));
    }
    answer.push(format!("* {count} of {} here", rows.len()));
    answer
}

impl Oracle {
    /// Checks a line of the answer to `/who`; whether it is the last.
    pub(crate) fn judge_who(&mut self, member: usize, line: &str) -> Result<bool, Violation> {
        let known = &self.members[member];
        if let Some(more) = between(line, "* and ", " more").and_then(|more| more.parse::<usize>().ok()) {
            let is_full = known.answer_lines == ROWS_MAX && more > 0;
            self.members[member].rows = vec![more.to_string()];
            return Rule::Answers.demands(is_full, || "it is shown all".to_owned()).map(|()| false);
        }
        if line.starts_with("* here: ") {
            return self.judge_row(member, line).map(|()| false);
        }
        let rows = known.answer_lines;
        if rows == ROWS_MAX + 1 {
            let more = std::mem::take(&mut self.members[member].rows).concat().parse().unwrap_or(0);
            let is_end = line == format!("* {} here", ROWS_MAX + more);
            return Rule::Answers.demands(is_end, || "not the end of /who".to_owned()).map(|()| true);
        }
        let is_end = line == format!("* {rows} here") && rows > 0;
        Rule::Answers.demands(is_end, || format!("not the end of /who, after {rows} rows"))?;
        let rows = std::mem::take(&mut self.members[member].rows);
        let (room, since) = self.asked_in(member);
        let room = &self.rooms[room];
        let is_list = room.was_as(digest(rows.iter().map(String::as_str)), since);
        Rule::Lists.demands(is_list, || format!("{} never had {rows:?}", room.name)).map(|()| true)
    }

    /// Checks a line of the answer to `/who page N`, from the second page on; whether it is the last. There is a row only
    /// if the pages before it are full.
    pub(crate) fn judge_page(&mut self, member: usize, page: usize, line: &str) -> Result<bool, Violation> {
        if line.starts_with("* here: ") {
            return self.judge_row(member, line).map(|()| false);
        }
        if between(line, "* and ", " more").is_some() {
            return Ok(false);
        }
        let rows = std::mem::take(&mut self.members[member].rows).len();
        let clients = between(line, "* ", " here").and_then(|clients| clients.parse::<usize>().ok());
        let is_end = clients.is_some_and(|clients| {
            let before = (page - 1).saturating_mul(ROWS_MAX);
            rows == clients.saturating_sub(before).min(ROWS_MAX)
        });
        Rule::Answers.demands(is_end, || format!("not the end of page {page}, after {rows} rows")).map(|()| true)
    }

    /// Checks a line of the answer to `/who NAME`; whether it is the last.
    pub(crate) fn judge_found(&mut self, member: usize, begin: &str, line: &str) -> Result<bool, Violation> {
        if let Some(row) = line.strip_prefix("* here: ") {
            let is_found = row.to_lowercase().starts_with(&begin.to_lowercase());
            Rule::Lists.demands(is_found, || format!("its name does not begin with {begin}"))?;
            return self.judge_row(member, line).map(|()| false);
        }
        self.members[member].rows.push(line.to_owned());
        if between(line, "* and ", " more").is_some() {
            return Ok(false);
        }
        let rows = std::mem::take(&mut self.members[member].rows);
        let is_end = between(line, "* ", " here").is_some_and(|counts| counts.contains(" of "));
        Rule::Answers.demands(is_end, || format!("not the end of /who {begin}"))?;
        if !begin.eq_ignore_ascii_case(BEGIN) {
            return Ok(true);
        }
        let (room, since) = self.asked_in(member);
        let room = &self.rooms[room];
        let is_list = room.were_found(digest(rows.iter().map(String::as_str)), since);
        Rule::Lists.demands(is_list, || format!("{} never had these alone: {rows:?}", room.name)).map(|()| true)
    }

    /// The room of the request that is being answered, and the version since which it may have been answered.
    fn asked_in(&self, member: usize) -> (usize, u32) {
        let known = &self.members[member];
        let since = known.asked_at.get(known.answered).copied().unwrap_or(0);
        (self.room_at(member, known.answered), since)
    }

    /// Checks a row: a name that somebody has or had, and the lines of its member, if it is that of the one that asks.
    fn judge_row(&mut self, member: usize, line: &str) -> Verdict {
        let known = &self.members[member];
        let row = line.strip_prefix("* here: ").unwrap_or(line);
        let Some((name, (lines, _))) =
            row.split_once(", ").and_then(|(name, rest)| Some((name, rest.split_once(' ')?)))
        else {
            return Rule::Answers.broken("no row of /who");
        };
        let mut names = self.members.iter().flat_map(|other| &other.names).chain(&self.bygone_names);
        if !names.any(|held| held == name) {
            return Rule::Names.broken("nobody was ever called so");
        }
        let is_own = name == known.names[0] || (known.names.last().is_some_and(|own| own == name));
        let is_only_own = self.members.iter().filter(|other| other.names.iter().any(|held| held == name)).count() == 1;
        let is_plain = known.tracked.is_none();
        if is_own && is_only_own && is_plain && lines != known.lines_said.to_string() {
            return Rule::Answers.broken(format!("it said {} lines", known.lines_said));
        }
        let away = if row.ends_with(", away") { ", away" } else { "" };
        self.members[member].rows.push(name.to_owned() + away);
        Ok(())
    }
}
