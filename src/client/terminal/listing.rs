//! The answer to `/who`, in columns that fit the window: owns its rows until its end has come. Pure.

use unicode_width::UnicodeWidthStr;

use super::style::Style;
use crate::client::limits::{LISTED_MAX, LISTED_ONE_A_ROW_MAX};

/// Blanks between two columns.
const GAP: usize = 2;

/// The rows of an answer that has begun.
#[derive(Debug, Default)]
pub(super) struct Listing {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    is_away: bool,
    /// The line of the server.
    line: String,
}

impl Listing {
    /// Adds a row. Returns whether no further one fits.
    pub(super) fn add(&mut self, name: &str, is_away: bool, line: &str) -> bool {
        self.rows.push(Row { name: name.to_owned(), is_away, line: line.to_owned() });
        self.rows.len() >= LISTED_MAX
    }

    /// Whether an answer has begun.
    pub(super) fn is_begun(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Takes the lines to show in a window of this width. A few members are shown as the server tells them, and many
    /// with their names alone, in columns from the top down.
    pub(super) fn take(&mut self, style: Style, columns: usize) -> Vec<String> {
        let rows = std::mem::take(&mut self.rows);
        if rows.len() <= LISTED_ONE_A_ROW_MAX {
            return rows.into_iter().map(|row| style.dim(row.line)).collect();
        }
        let cells: Vec<usize> = rows.iter().map(|row| row.width() + GAP).collect();
        let height = height(&cells, columns + GAP);
        let line = |top: usize| {
            let mut line = String::new();
            for at in (top..rows.len()).step_by(height) {
                line.push_str(&rows[at].styled(style));
                if at + height < rows.len() {
                    let column = at - top;
                    line.push_str(&" ".repeat(widest(&cells[column..column + height]) - rows[at].width()));
                }
            }
            line
        };
        (0..height).map(line).collect()
    }
}

/// Returns the least number of lines in which columns of these cells fit. Each column is as wide as its widest cell, so
/// that one long name does not make all of them wide.
fn height(cells: &[usize], columns: usize) -> usize {
    let fits = |height: &usize| cells.chunks(*height).map(widest).sum::<usize>() <= columns;
    (1..cells.len()).find(fits).unwrap_or(cells.len())
}

fn widest(cells: &[usize]) -> usize {
    cells.iter().copied().max().unwrap_or_default()
}

impl Row {
    fn width(&self) -> usize {
        self.name.width() + if self.is_away { 2 } else { 0 }
    }

    /// Returns the name, in parentheses if its connection is lost.
    fn styled(&self, style: Style) -> String {
        match self.is_away {
            true => style.dim(format_args!("({})", self.name)),
            false => style.name(&self.name, &self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Colors;

    fn listed(names: &[&str], columns: usize) -> Vec<String> {
        let mut listing = Listing::default();
        for name in names {
            let (name, is_away) = name.strip_suffix('!').map_or((*name, false), |name| (name, true));
            listing.add(name, is_away, &format!("* here: {name}"));
        }
        let lines = listing.take(Style::new(Colors::Off), columns);
        assert!(!listing.is_begun());
        lines.into_iter().map(|line| line.replace("\x1b[2m", "").replace("\x1b[0m", "")).collect()
    }

    #[test]
    fn a_few_members_have_a_row_each_and_many_are_in_columns() {
        assert_eq!(listed(&["ana", "ben"], 80), ["* here: ana", "* here: ben"]);
        let names = ["a", "b", "c", "d", "eve-1", "f", "g", "h", "i", "世界!", "k"];
        assert_eq!(listed(&names, 30), ["a  c  eve-1  g  i       k", "b  d  f      h  (世界)"]);
        let long = "the-longest-name-of-all";
        let names = ["a", "b", long, "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        assert_eq!(listed(&names, 40)[0], "a  the-longest-name-of-all  d  f  h  j", "one long name widens one column");
    }

    #[test]
    fn every_row_fits_the_window_and_no_name_is_lost() {
        let names: Vec<String> = (0..137).map(|number| format!("名{}", "x".repeat(number % 22))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for columns in 1..120 {
            let lines = listed(&names, columns);
            assert!(lines.iter().all(|line| line.width() <= columns.max(24)), "{columns}");
            assert_eq!(lines.iter().flat_map(|line| line.split_whitespace()).count(), names.len(), "{columns}");
        }
    }
}
