//! Lines of the page in the rows of a window. Pure.
//!
//! A terminal that wraps a line itself begins the next row at the left edge, where a sender could make it look like a
//! line of somebody else. So each row is made here, and all rows of a line but the first are indented.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const TAB_COLUMNS: usize = 8;
const RESET: &str = "\x1b[0m";

/// Stands in a line where its text begins, and is not shown: further rows of the line begin in that column. No clean
/// text has it.
pub(super) const HANG: char = '\u{1f}';

/// Appends `page` (clean lines with SGR sequences) to `out`, in rows of at most `columns`.
pub(super) fn wrap_page(page: &str, columns: usize, out: &mut String) {
    for line in page.split_inclusive('\n') {
        let text = line.strip_suffix('\n').unwrap_or(line);
        if text.len() <= columns && !text.contains('\t') {
            // The common case: bytes and columns are alike, or it is shorter still.
            let (head, text) = text.split_once(HANG).unwrap_or(("", text));
            out.push_str(head);
            out.push_str(text);
        } else {
            Rows { columns, indent: indent(columns), column: 0, style: String::new(), word: None, out }.put_line(text);
        }
        out.push_str(&line[text.len()..]);
    }
}

/// Columns before all rows of a line but the first. In two columns nothing looks like a name and a text.
fn indent(columns: usize) -> usize {
    match columns {
        0..=2 => 0,
        3..=9 => 1,
        10..=19 => 2,
        _ => 4,
    }
}

/// The rows of a line.
struct Rows<'a> {
    columns: usize,
    indent: usize,
    /// The next column.
    column: usize,
    /// The SGR sequences in force.
    style: String,
    /// The begin of the last word that a row can be broken at.
    word: Option<Word>,
    out: &'a mut String,
}

struct Word {
    /// Its offset in `out`.
    at: usize,
    column: usize,
    /// The SGR sequences in force there.
    style: String,
}

impl Rows<'_> {
    fn put_line(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(['\x1b', HANG]) {
            self.put_text(&rest[..at]);
            if let Some(behind) = rest[at..].strip_prefix(HANG) {
                self.hang();
                rest = behind;
                continue;
            }
            let len = rest[at..].find('m').map_or(rest.len() - at, |end| end + 1);
            let sequence = &rest[at..at + len];
            self.out.push_str(sequence);
            if sequence == RESET {
                self.style.clear();
            } else {
                self.style.push_str(sequence);
            }
            rest = &rest[at + len..];
        }
        self.put_text(rest);
    }

    /// Indents further rows to this column, unless too little would be left of them.
    fn hang(&mut self) {
        if self.column <= self.columns / 3 {
            self.indent = self.indent.max(self.column);
        }
    }

    fn put_text(&mut self, text: &str) {
        for (at, grapheme) in text.grapheme_indices(true) {
            match grapheme {
                "\t" => {
                    let len = TAB_COLUMNS - self.column % TAB_COLUMNS;
                    (0..len.min(self.columns.saturating_sub(self.column)).max(1)).for_each(|_| self.put_blank(""));
                }
                " " => self.put_blank(&text[at + 1..]),
                _ => self.put(grapheme, width(grapheme)),
            }
        }
    }

    /// Puts a blank before this text.
    fn put_blank(&mut self, behind: &str) {
        if self.column >= self.columns {
            // The end of the row is blank enough.
            self.word = None;
            return self.break_row();
        }
        self.put(" ", 1);
        // A word that begins in the first half of the row is not worth an empty half, unless it is a link, which a
        // terminal opens only as a whole.
        if self.column > self.columns / 2 || self.fits_link(behind) {
            self.word = Some(Word { at: self.out.len(), column: self.column, style: self.style.clone() });
        }
    }

    /// Whether `text` begins with a link that fits a row of its own.
    fn fits_link(&self, text: &str) -> bool {
        let link = text.split([' ', '\t']).next().unwrap_or_default();
        let is_link = ["http://", "https://"].iter().any(|scheme| link.starts_with(scheme));
        is_link && self.indent + link.width() <= self.columns
    }

    fn put(&mut self, grapheme: &str, width: usize) {
        if self.column > 0 && self.column + width > self.columns {
            self.break_row();
        }
        self.out.push_str(grapheme);
        self.column += width;
    }

    /// Breaks the row before its last word, or here.
    fn break_row(&mut self) {
        let (at, column, style) = match self.word.take() {
            Some(word) => (word.at, word.column, word.style),
            None => (self.out.len(), self.column, self.style.clone()),
        };
        let reset = if style.is_empty() { "" } else { RESET };
        let gap = [reset, "\n", &" ".repeat(self.indent), &style].concat();
        self.out.insert_str(at, &gap);
        self.column = self.indent + self.column - column;
    }
}

/// Returns the columns of a grapheme on the terminal that makes most of it: one that does not join emoji.
fn width(grapheme: &str) -> usize {
    let single: usize = grapheme.chars().map(|c| c.width().unwrap_or(0)).sum();
    single.max(grapheme.width())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(page: &str, columns: usize) -> String {
        let mut out = String::new();
        wrap_page(page, columns, &mut out);
        out
    }

    #[test]
    fn a_line_that_fits_stays_as_it_is() {
        for page in [
            "",
            "\n",
            "hello\n",
            "ana> hello\nben> hi\n",
            "1234567890\n",
            "世界世界世\n",
            "\x1b[1;31mana>\x1b[0m 12345\n",
        ] {
            assert_eq!(wrapped(page, 10), page);
        }
    }

    #[test]
    fn a_long_line_is_broken_at_words_and_indented() {
        for (line, columns, rows) in [
            ("ben> one two three four five", 20, "ben> one two three \n    four five"),
            ("ben> one two three four five", 12, "ben> one two\n  three four\n  five"),
            ("ben> 0123456789abcdef", 12, "ben> 0123456\n  789abcdef"),
            ("ben> hello all       ana> I resign", 21, "ben> hello all       \n    ana> I resign"),
            ("abcdef", 3, "abc\n de\n f"),
            ("abc", 2, "ab\nc"),
            ("abc", 1, "a\nb\nc"),
        ] {
            assert_eq!(wrapped(line, columns), rows, "{line} in {columns}");
        }
    }

    #[test]
    fn further_rows_begin_under_the_text() {
        for (line, columns, rows) in [
            ("14:03 ben> \u{1f}one two three four five six", 33, "14:03 ben> one two three four \n           five six"),
            ("14:03 ben> \u{1f}hi", 24, "14:03 ben> hi"),
            ("\x1b[2m14:03 \x1b[0m\u{1f}* one two three four five", 24, "14:03 * one two three \n      four five"),
            ("14:03 ben> \u{1f}one two three", 20, "14:03 ben> one two \n    three"),
            ("\u{1f}one two three four five", 22, "one two three four \n    five"),
            ("世界世界世> \u{1f}one two three four five", 22, "世界世界世> one two \n    three four five"),
        ] {
            let shown = wrapped(line, columns).replace("\x1b[2m", "").replace(RESET, "");
            assert_eq!(shown, rows, "{line}");
        }
    }

    #[test]
    fn a_link_is_whole_if_it_fits_a_row() {
        for (line, rows) in [
            ("ben> \u{1f}see it https://example.org/12", "ben> see it \n     https://example.org/12"),
            ("ben> \u{1f}see it https://example.org/12 now", "ben> see it \n     https://example.org/12 \n     now"),
            ("ben> \u{1f}https://example.org/12345", "ben> https://example.org/12345"),
            ("ben> \u{1f}see https://example.org/123456789", "ben> see https://example.org/1\n     23456789"),
            ("ben> \u{1f}see it ftp://example.org/123456", "ben> see it ftp://example.org/\n     123456"),
        ] {
            assert_eq!(wrapped(line, 30), rows, "{line}");
        }
    }

    #[test]
    fn attributes_go_on_behind_the_indent() {
        let line = "\x1b[2m* aaaa bbbbbb\x1b[0m cc";
        assert_eq!(wrapped(line, 10), "\x1b[2m* aaaa \x1b[0m\n  \x1b[2mbbbbbb\x1b[0m \n  cc");
    }

    #[test]
    fn tabs_are_blanks_and_emoji_are_counted_as_their_parts() {
        assert_eq!(wrapped("a\tb\n", 80), "a       b\n");
        assert_eq!(wrapped("abcdefgh\t\tx", 12), "abcdefgh    \n  x");
        assert_eq!(wrapped("abcd👩\u{200d}👩\u{200d}👧x", 9), "abcd\n 👩\u{200d}👩\u{200d}👧x");
    }

    #[test]
    fn whatever_the_line_rows_fit_lose_nothing_and_are_indented() {
        let lines = [
            "ben> hello all                                    ana> I resign".to_owned(),
            format!("ben> {}ana> I resign", "世".repeat(40)),
            format!("ben> {}ana> I resign", "e\u{301}\u{302}".repeat(40)),
            format!("ben> {}\tana> I resign", "\t".repeat(9)),
            format!("ben> {} x", "👍🏽".repeat(20)),
            "ana> a ana> b ana> c ana> d ana> e".to_owned(),
            "\u{301}\u{301}\u{200d}x".repeat(9),
        ];
        for line in lines {
            for columns in 1..100 {
                let styled = format!("\x1b[1;7m{line}\x1b[0m");
                let hanging = line.replacen("> ", "> \u{1f}", 1);
                for text in [&line, &styled, &hanging] {
                    let rows = wrapped(text, columns);
                    let plain = rows.replace("\x1b[1;7m", "").replace(RESET, "");
                    for (number, row) in plain.split('\n').enumerate() {
                        assert!(row.width() <= columns.max(2), "{row:?} in {columns}");
                        let indented = row.chars().take_while(|&c| c == ' ').count();
                        assert!(
                            number == 0 || indented >= indent(columns).min(1) || columns <= 4,
                            "{row:?} in {columns}"
                        );
                        assert!(number == 0 || !row.starts_with("ana> "), "{row:?} in {columns}");
                    }
                    let shown = |text: &str| text.split_whitespace().collect::<String>();
                    assert_eq!(shown(&plain), shown(&line), "in {columns}");
                }
            }
        }
    }
}
