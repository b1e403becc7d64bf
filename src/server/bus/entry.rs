//! The form of an entry: `w WRITER n NUMBER c LINES e EVENTS`, as it is written and as it is read back.
//!
//! Any client of Redis may have written an entry. What is not of this form is dropped and counted, but its id counts:
//! a reader goes on behind it.

use super::resp::Reply;
use crate::relay::record::said_lines;
use crate::relay::sequence::{EntryId, Header, Writer};

/// Returns the fields of an entry as arguments of `XADD`, behind its id, which Redis gives.
pub(super) fn fields<'a>(writer: &'a str, number: &'a str, lines_before: &'a str, events: &'a str) -> [&'a [u8]; 9] {
    ["*", "w", writer, "n", number, "c", lines_before, "e", events].map(str::as_bytes)
}

/// An entry as it was read, before its place is known.
#[derive(Debug)]
pub(super) struct RawEntry {
    /// Its id.
    pub id: EntryId,
    /// Its count and its events; `None` if it is malformed.
    pub content: Option<(Header, String)>,
}

/// Reads the list of entries in a reply to `XREVRANGE`, or of one stream in a reply to `XREAD`. `None` if it is none.
pub(super) fn entries_of(reply: Reply, has_lines: bool) -> Option<Vec<RawEntry>> {
    let Reply::Array(entries) = reply else { return None };
    entries.unwrap_or_default().into_iter().map(|entry| entry_of(entry, has_lines)).collect()
}

fn entry_of(reply: Reply, has_lines: bool) -> Option<RawEntry> {
    let Reply::Array(Some(parts)) = reply else { return None };
    let [Reply::Bulk(Some(id)), fields] = <[Reply; 2]>::try_from(parts).ok()? else { return None };
    let id = EntryId::parse(std::str::from_utf8(&id).ok()?)?;
    Some(RawEntry { id, content: content_of(&fields, has_lines).filter(|(header, _)| header.is_possible(id)) })
}

fn content_of(fields: &Reply, has_lines: bool) -> Option<(Header, String)> {
    let Reply::Array(Some(fields)) = fields else { return None };
    let fields: &[Reply; 8] = fields.as_slice().try_into().ok()?;
    let writer = Writer::parse(value_of(fields, 0, "w")?)?;
    let number = number_of(value_of(fields, 1, "n")?)?;
    let lines_before = number_of(value_of(fields, 2, "c")?)?;
    let events = value_of(fields, 3, "e")?;
    if !(events.is_empty() || events.ends_with('\n')) {
        return None;
    }
    let lines = if has_lines { said_lines(events) } else { 0 };
    Some((Header { writer, number, lines_before, lines }, events.to_owned()))
}

fn value_of<'a>(fields: &'a [Reply; 8], index: usize, name: &str) -> Option<&'a str> {
    let (Reply::Bulk(Some(found)), Reply::Bulk(Some(value))) = (&fields[2 * index], &fields[2 * index + 1]) else {
        return None;
    };
    if &found[..] == name.as_bytes() { std::str::from_utf8(value).ok() } else { None }
}

fn number_of(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(Some(text.to_owned().into()))
    }

    fn entry(fields: &[&str]) -> Reply {
        let fields = fields.iter().map(|field| bulk(field)).collect();
        Reply::Array(Some(vec![Reply::Array(Some(vec![bulk("5-1"), Reply::Array(Some(fields))]))]))
    }

    const WHOLE: [&str; 8] = ["w", "00000000000000ff", "n", "3", "c", "12", "e", "s 1 a b\nj 2 c\na d\n"];

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let mut entries = entries_of(entry(&WHOLE), true).expect("a list");
        let entry = entries.pop().expect("one");
        assert_eq!((entry.id, entries.len()), (EntryId { ms: 5, seq: 1 }, 0));
        let header = Header { writer: Writer::new(255), number: 3, lines_before: 12, lines: 2 };
        assert_eq!(entry.content, Some((header, "s 1 a b\nj 2 c\na d\n".to_owned())));
    }

    #[test]
    fn a_malformed_entry_keeps_its_id() {
        let changes = [
            (0, "v"),
            (1, "ff"),
            (1, "00000000000000FF"),
            (3, "0"),
            (3, "+3"),
            (3, ""),
            (3, "18446744073709551616"),
            (3, "9223372036854775808"),
            (3, "5001"),
            (5, "-1"),
            (5, "18446744073709551615"),
            (5, "5001"),
            (7, "s 1 a b"),
            (6, "f"),
        ];
        for (index, text) in changes {
            let mut fields = WHOLE;
            fields[index] = text;
            let entries = entries_of(entry(&fields), true).expect("a list");
            assert_eq!(entries[0].id, EntryId { ms: 5, seq: 1 });
            assert!(entries[0].content.is_none(), "{fields:?}");
        }
        for fields in [&WHOLE[..6], &[], &[WHOLE, WHOLE].concat()] {
            assert!(entries_of(entry(fields), true).expect("a list")[0].content.is_none());
        }
    }

    #[test]
    fn a_reply_of_another_form_is_no_list() {
        let no_id = Reply::Array(Some(vec![Reply::Array(Some(vec![bulk("five"), Reply::Array(None)]))]));
        for reply in [Reply::Number(1), bulk("x"), Reply::Array(Some(vec![Reply::Number(1)])), no_id] {
            assert!(entries_of(reply, true).is_none());
        }
        assert!(entries_of(Reply::Array(None), true).expect("empty").is_empty());
    }
}
