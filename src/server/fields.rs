//! Fields behind the words of an event in the log: `event=left name=ana address=192.0.2.7:50122 reason=eof`.
//!
//! Invariant: a value with a blank, a quote or any other byte that no name has is quoted and escaped, and no value has an
//! equals sign. Words before the fields that a peer chooses are [quoted](Quoted), too. So ` event=` occurs once in a line,
//! and no peer can forge a field.

use std::fmt;

use crate::relay::command::is_blank;

/// Facts about an event. Each has a place of its own in the line; those that are `None` are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    /// The name of the client, as shown.
    pub name: Option<&'a str>,
    /// The name that it had before.
    pub was: Option<&'a str>,
    /// The name of the client that is told something.
    pub to: Option<&'a str>,
    /// The address of the peer.
    pub address: Option<&'a str>,
    /// The transport of the client.
    pub transport: Option<&'static str>,
    /// The room that the client is in.
    pub room: Option<&'a str>,
    /// The room that it came from.
    pub from: Option<&'a str>,
    /// The label of the reason.
    pub reason: Option<&'a str>,
    /// The name of another protocol that the peer speaks.
    pub protocol: Option<&'a str>,
    /// The status code of the answer.
    pub status: Option<u16>,
    /// Further events of this kind.
    pub more: Option<u64>,
    /// Different addresses that those came from.
    pub addresses: Option<usize>,
}

/// The fields of an event of this name, each with a blank before it.
pub struct Event<'a>(pub &'a str, pub Fields<'a>);

/// A label as one word: in lower case, with `_` for all that is no letter and no digit.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a>(pub &'a str);

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event(event, fields) = self;
        write!(f, " event={event}")?;
        let text = |f: &mut fmt::Formatter<'_>, key, value: Option<&str>| {
            value.map_or(Ok(()), |value| write!(f, " {key}={}", Value(value)))
        };
        text(f, "name", fields.name)?;
        text(f, "was", fields.was)?;
        text(f, "to", fields.to)?;
        text(f, "address", fields.address)?;
        text(f, "transport", fields.transport)?;
        text(f, "room", fields.room)?;
        text(f, "from", fields.from)?;
        let token = |f: &mut fmt::Formatter<'_>, key, label: Option<&str>| {
            label.map_or(Ok(()), |label| write!(f, " {key}={}", Token(label)))
        };
        token(f, "reason", fields.reason)?;
        token(f, "protocol", fields.protocol)?;
        let number = |f: &mut fmt::Formatter<'_>, key, number: Option<u64>| {
            number.map_or(Ok(()), |number| write!(f, " {key}={number}"))
        };
        number(f, "status", fields.status.map(u64::from))?;
        number(f, "more", fields.more)?;
        number(f, "addresses", fields.addresses.map(|addresses| addresses as u64))
    }
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            let plain = if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
            fmt::Write::write_char(f, plain)
        })
    }
}

/// The value of a field: as it is, or quoted and escaped.
struct Value<'a>(&'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_special = |c: char| is_blank(c) || matches!(c, '"' | '=' | '\\');
        if self.0.is_empty() || self.0.contains(is_special) { Quoted(self.0).fmt(f) } else { f.write_str(self.0) }
    }
}

/// Characters of a quoted text. Escaped, it takes at most 10 bytes for each: the log cuts lines of 2,000 bytes, and fields
/// follow.
const QUOTED_CHARS_MAX: usize = 150;

/// The beginning of a peer's text in quotes, escaped: control characters, quotes, what changes the direction, and the
/// equals sign.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.char_indices().nth(QUOTED_CHARS_MAX).map_or(self.0, |(end, _)| &self.0[..end]);
        f.write_str("\"")?;
        for (index, part) in cut.split('=').enumerate() {
            let equals_sign = if index > 0 { "\\u{3d}" } else { "" };
            write!(f, "{equals_sign}{}", part.escape_debug())?;
        }
        f.write_str(if cut.len() < self.0.len() { "…\"" } else { "\"" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_their_order_and_those_without_a_value_are_left_out() {
        let fields = Fields { reason: Some("page full"), name: Some("дом"), status: Some(404), ..Fields::default() };
        assert_eq!(Event("left", fields).to_string(), " event=left name=дом reason=page_full status=404");
        assert_eq!(Event("left", Fields::default()).to_string(), " event=left");
        let fields = Fields { address: Some("[::1]:7"), more: Some(3), addresses: Some(2), ..Fields::default() };
        assert_eq!(Event("came", fields).to_string(), " event=came address=[::1]:7 more=3 addresses=2");
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let long = "é".repeat(QUOTED_CHARS_MAX);
        assert_eq!(Quoted(&long).to_string(), format!("\"{long}\""));
        assert_eq!(Quoted(&format!("{long}é")).to_string(), format!("\"{long}…\""));
        assert!(Quoted(&"\u{10ffff}".repeat(1_000)).to_string().len() < 1_600);
    }

    #[test]
    fn no_value_forges_a_field_or_a_line() {
        for (value, shown) in [
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("ana event=left", "\"ana event\\u{3d}left\""),
            ("x=y", "\"x\\u{3d}y\""),
            ("=", "\"\\u{3d}\""),
            ("a\"b", "\"a\\\"b\""),
            ("a\\", "\"a\\\\\""),
            ("a\nb", "\"a\\nb\""),
            ("a\u{202e}b", "\"a\\u{202e}b\""),
            ("a\u{2028}b", "\"a\\u{2028}b\""),
        ] {
            assert_eq!(Value(value).to_string(), shown);
        }
    }
}
