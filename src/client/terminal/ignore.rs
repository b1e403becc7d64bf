//! The names that are ignored, until the client ends: their lines are not shown. Pure.

use super::line_kind::LineKind;
use crate::client::limits::IGNORED_MAX;
use crate::relay::name::{TYPED_BYTES_MAX, fold};
use crate::relay::notice::Notice;

/// The ignored names, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    names: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    shown: Box<str>,
    folded: Box<str>,
}

/// Effect of `/ignore NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is ignored from now on.
    New,
    /// It was ignored before.
    Known,
    /// [`IGNORED_MAX`] names are ignored already.
    Full,
}

impl Ignored {
    /// Ignores a name.
    pub(super) fn add(&mut self, name: &str) -> Added {
        if self.has(name) {
            return Added::Known;
        }
        if self.names.len() == IGNORED_MAX {
            return Added::Full;
        }
        self.names.push(Entry { shown: name.into(), folded: fold(name) });
        Added::New
    }

    /// Ends to ignore a name. Returns whether it was ignored.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let before = self.names.len();
        let folded = fold(name);
        self.names.retain(|ignored| ignored.folded != folded);
        self.names.len() < before
    }

    /// The ignored names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &*name.shown)
    }

    /// Whether a name is ignored.
    pub(super) fn has(&self, name: &str) -> bool {
        if self.names.is_empty() || name.len() > TYPED_BYTES_MAX {
            return false;
        }
        let folded = fold(name);
        self.names.iter().any(|ignored| ignored.folded == folded)
    }

    /// Whether a line is of an ignored member, or about it. Follows such a member to its next name: the old one may
    /// become that of another member.
    pub(super) fn hides(&mut self, line: &LineKind<'_>) -> bool {
        match *line {
            _ if self.names.is_empty() => false,
            LineKind::Talk { by, .. } => self.has(by),
            LineKind::Notice(Notice::Said { line, .. }) => match LineKind::parse(line) {
                LineKind::Talk { by, .. } => self.has(by),
                _ => false,
            },
            LineKind::Notice(
                Notice::Joined { name }
                | Notice::Left { name }
                | Notice::Removed { name }
                | Notice::TellsYou { from: name, .. },
            ) => self.has(name),
            LineKind::Notice(Notice::Renamed { from, to }) if self.has(from) => {
                self.remove(from);
                self.add(to);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hides(ignored: &mut Ignored, line: &str) -> bool {
        ignored.hides(&LineKind::parse(line))
    }

    #[test]
    fn all_lines_of_an_ignored_name_are_hidden_in_any_case() {
        let mut ignored = Ignored::default();
        assert_eq!((ignored.add("Zoe\u{308}"), ignored.add("ZOË")), (Added::New, Added::Known));
        for line in [
            "zoë> hi",
            "* Zoë joined",
            "* Zoë left",
            "* Zoë was removed",
            "* ZOË tells you: psst",
            "* 2026-11-26 14:30:01Z zoë> hi",
        ] {
            assert!(hides(&mut ignored, line), "{line}");
        }
        for line in ["ana> Zoë> hi", "* ana tells you: Zoë left", "* here: Zoë, 1 line, 0 min", "FIN", "Zoë", "zoe> hi"]
        {
            assert!(!hides(&mut ignored, line), "{line}");
        }
        assert!(ignored.remove("zoë") && !ignored.remove("zoë"));
        assert!(!hides(&mut ignored, "zoë> hi"));
    }

    #[test]
    fn an_ignored_member_stays_ignored_under_its_next_name() {
        let mut ignored = Ignored::default();
        ignored.add("ben");
        assert!(hides(&mut ignored, "* ben is now Bob"));
        assert!(!hides(&mut ignored, "* eve is now ben"));
        assert!(hides(&mut ignored, "bob> hi") && !hides(&mut ignored, "ben> hi"));
        assert_eq!(ignored.names().collect::<Vec<_>>(), ["Bob"]);
    }

    #[test]
    fn only_so_many_names_are_ignored() {
        let mut ignored = Ignored::default();
        for number in 0..IGNORED_MAX {
            assert_eq!(ignored.add(&format!("client-{number}")), Added::New);
        }
        assert_eq!(ignored.add("ben"), Added::Full);
        assert!(!ignored.has("ben"));
    }
}
