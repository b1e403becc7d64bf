//! Names seen in the room, for completion. Pure.

use crate::client::limits::NAMES_MAX;
use crate::relay::name::fold;

/// Names seen, the latest last.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Each name as shown and folded.
    seen: Vec<(Box<str>, Box<str>)>,
}

impl Names {
    /// Adds a name as the latest.
    pub(super) fn add(&mut self, name: &str) {
        let folded = fold(name);
        self.remove_folded(&folded);
        if self.seen.len() == NAMES_MAX {
            self.seen.remove(0);
        }
        self.seen.push((name.into(), folded));
    }

    /// Removes a name that is no longer used.
    pub(super) fn remove(&mut self, name: &str) {
        self.remove_folded(&fold(name));
    }

    fn remove_folded(&mut self, folded: &str) {
        // Most senders have sent recently, so search from the end.
        if let Some(at) = self.seen.iter().rposition(|(_, seen)| &**seen == folded) {
            self.seen.remove(at);
        }
    }

    /// Returns the names that begin with `typed` in any case, the latest first.
    pub(super) fn beginning_with(&self, typed: &str) -> Vec<String> {
        let typed = fold(typed);
        let matching = self.seen.iter().rev().filter(|(_, folded)| folded.starts_with(&*typed));
        matching.map(|(shown, _)| shown.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_in_any_case_the_latest_first() {
        let mut names = Names::default();
        for name in ["ana", "Anton", "ben", "ANA"] {
            names.add(name);
        }
        assert_eq!(names.beginning_with("an"), ["ANA", "Anton"]);
        assert_eq!(names.beginning_with("AN"), ["ANA", "Anton"]);
        names.remove("ana");
        assert_eq!(names.beginning_with(""), ["ben", "Anton"]);
        assert!(names.beginning_with("x").is_empty());
    }

    #[test]
    fn no_more_names_are_kept_than_the_limit() {
        let mut names = Names::default();
        for number in 0..NAMES_MAX + 5 {
            names.add(&format!("client-{number}"));
        }
        assert_eq!(names.beginning_with("").len(), NAMES_MAX);
    }
}
