//! The answers to `/who`: the members of a room in pages, or those whose names begin as asked.

use super::{Decision, Room, WHO_ROWS_MAX, push_more, reply};
use crate::relay::directory::RoomId;
use crate::relay::elsewhere::OtherRow;
use crate::relay::name::{TYPED_BYTES_MAX, fold};
use crate::relay::notice::Notice;
use crate::relay::roster::{Roster, Row};

/// Bytes of a reply for which a look at a member counts, to find those of a name or the begin of a page.
const LOOK_BYTES: usize = 8;

/// The word before the number of a page.
const PAGE: &str = "page";

/// Members that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked<'a> {
    /// The page with this many members before it.
    Behind(usize),
    /// The members whose names begin so.
    Beginning(&'a str),
}

impl Room {
    /// Answers `/who` with this text behind it.
    pub(super) fn who(&self, roster: &Roster, text: &str, now: u32) -> Decision<'static> {
        let members = count(roster, self.id);
        match parse(text) {
            Some(Asked::Behind(0)) => Decision::Reply(page(roster, self.id, 0, now)),
            Some(Asked::Behind(before)) => {
                let effort = LOOK_BYTES * before.min(members);
                Decision::Costly { reply: page(roster, self.id, before, now), effort }
            }
            Some(Asked::Beginning(begin)) => {
                Decision::Costly { reply: search(roster, self.id, begin, now), effort: LOOK_BYTES * members }
            }
            None => reply(Notice::WhoUsage),
        }
    }
}

/// Reads what stands behind `/who`. A name has no blank, so `page 2` is none, and `page` alone is one.
fn parse(text: &str) -> Option<Asked<'_>> {
    match text.split_once([' ', '\t']) {
        None if text.is_empty() => Some(Asked::Behind(0)),
        None => Some(Asked::Beginning(text)),
        Some((word, number)) if word.eq_ignore_ascii_case(PAGE) => {
            let before = number.trim_start().parse::<usize>().ok()?.checked_sub(1)?;
            Some(Asked::Behind(before.saturating_mul(WHO_ROWS_MAX)))
        }
        Some(_) => None,
    }
}

/// Returns the number of members of the room, on all servers.
fn count(roster: &Roster, room: RoomId) -> usize {
    roster.seats(room).len() + roster.others_in(room)
}

fn page(roster: &Roster, room: RoomId, before: usize, now: u32) -> String {
    let (mut rows, seats) = (String::new(), roster.seats(room).len());
    roster.rows(room, now).skip(before).take(WHO_ROWS_MAX).for_each(|row| push_row(&row, &mut rows));
    let left = WHO_ROWS_MAX.saturating_sub(seats.saturating_sub(before));
    let others = roster.other_rows(room, now).skip(before.saturating_sub(seats));
    others.take(left).for_each(|row| push_other(&row, &mut rows));
    let clients = count(roster, room);
    push_more(clients.saturating_sub(before), &mut rows);
    Notice::HereTotal { clients }.push_line(&mut rows);
    rows
}

fn search(roster: &Roster, room: RoomId, begin: &str, now: u32) -> String {
    let (mut rows, mut found) = (String::new(), 0);
    // A longer text is the begin of no name.
    let begin = fold(if begin.len() > TYPED_BYTES_MAX { " " } else { begin });
    for row in roster.rows(room, now).filter(|row| row.shown.begins_with(&begin)) {
        found += 1;
        if found <= WHO_ROWS_MAX {
            push_row(&row, &mut rows);
        }
    }
    for row in roster.other_rows_beginning(room, &begin, now) {
        found += 1;
        if found <= WHO_ROWS_MAX {
            push_other(&row, &mut rows);
        }
    }
    push_more(found, &mut rows);
    Notice::HereFound { found, clients: count(roster, room) }.push_line(&mut rows);
    rows
}

/// Adds the row of a member of this server.
fn push_row(row: &Row<'_>, rows: &mut String) {
    let name = row.shown.to_string();
    Notice::Here { name: &name, lines: row.lines, minutes: row.minutes, is_away: row.is_away }.push_line(rows);
}

/// Adds the row of a member of another server.
fn push_other(row: &OtherRow<'_>, rows: &mut String) {
    Notice::Here { name: &row.name, lines: row.lines, minutes: row.seconds / 60, is_away: false }.push_line(rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_number_and_all_else_is_the_begin_of_a_name() {
        for (text, asked) in [
            ("", Some(Asked::Behind(0))),
            ("page 1", Some(Asked::Behind(0))),
            ("PAGE \t3", Some(Asked::Behind(200))),
            ("page", Some(Asked::Beginning("page"))),
            ("2", Some(Asked::Beginning("2"))),
            ("page 0", None),
            ("page x", None),
            ("page 18446744073709551616", None),
            ("ana ben", None),
            ("page 18446744073709551615", Some(Asked::Behind(usize::MAX))),
        ] {
            assert_eq!(parse(text), asked, "{text}");
        }
    }
}
