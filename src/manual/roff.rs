//! Markdown as roff: the pages of the manual as sections of a man page.
//!
//! The parser is the one of rustdoc, so both see the same document. The manual keeps to headings, paragraphs, lists,
//! code and tables; everything else is shown as its text. A row of a table becomes a tagged paragraph, which fits any
//! width.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use roff::{Inline, Roff, bold, italic, roman};

/// Turns a Markdown page into sections of a man page. Its title is left out: the text below it stands under `heading`.
pub(super) fn page(markdown: &str, heading: &str) -> String {
    let mut writer = Writer {
        roff: Roff::new(),
        line: Vec::new(),
        style: roman,
        lists: Vec::new(),
        cell: 0,
        is_below_heading: true,
    };
    writer.roff.control("SH", [heading]);
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        writer.take(event);
    }
    writer.roff.render()
}

struct Writer {
    roff: Roff,
    /// The inline text since the last block began.
    line: Vec<Inline>,
    style: fn(String) -> Inline,
    /// For each list around the present item its next number; `None` if it has bullets.
    lists: Vec<Option<u64>>,
    /// The cells of the present table row that are complete.
    cell: usize,
    /// Whether nothing stands below the last heading yet, so that a paragraph needs no mark.
    is_below_heading: bool,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.push((self.style)(text.into_string())),
            Event::Code(text) => self.push(bold(text.into_string())),
            Event::SoftBreak => self.push(roman("\n")),
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph if self.lists.is_empty() => self.start_paragraph(),
            Tag::CodeBlock(_) => {
                self.flush();
                self.start_paragraph();
                self.roff.control("RS", ["4"]).control("EX", []);
            }
            Tag::List(first) => {
                self.flush();
                if !self.lists.is_empty() {
                    self.roff.control("RS", []);
                }
                self.lists.push(*first);
            }
            Tag::Item => {
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}.", *number - 1)
                    }
                    _ => r"\(bu".to_owned(),
                };
                self.roff.control("IP", [mark.as_str(), "4"]);
            }
            // Its cells are no tags.
            Tag::TableHead => self.cell = 1,
            Tag::TableRow => {
                self.roff.control("TP", ["4"]);
            }
            Tag::TableCell if self.cell > 1 => self.push(roman(": ")),
            Tag::Emphasis => self.style = italic,
            Tag::Strong => self.style = bold,
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let text: String = std::mem::take(&mut self.line).into_iter().map(text_of).collect();
                match level {
                    HeadingLevel::H1 => {}
                    HeadingLevel::H2 => {
                        self.roff.control("SH", [text.to_uppercase().as_str()]);
                    }
                    _ => {
                        self.roff.control("SS", [text.as_str()]);
                    }
                }
                self.is_below_heading = true;
            }
            TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::CodeBlock => {
                self.flush();
                self.roff.control("EE", []).control("RE", []);
            }
            TagEnd::List(_) => {
                self.lists.pop();
                if !self.lists.is_empty() {
                    self.roff.control("RE", []);
                }
            }
            // The heads of the columns: the rows speak for themselves.
            TagEnd::TableHead => {
                self.line.clear();
                self.cell = 0;
            }
            TagEnd::TableCell => self.end_cell(),
            TagEnd::TableRow => {
                self.flush();
                self.cell = 0;
            }
            TagEnd::Emphasis | TagEnd::Strong => self.style = roman,
            _ => {}
        }
    }

    fn start_paragraph(&mut self) {
        if !self.is_below_heading {
            self.roff.control("PP", []);
        }
    }

    /// Makes the first cell of a row its tag.
    fn end_cell(&mut self) {
        self.cell += 1;
        if self.cell == 1 {
            self.flush();
        }
    }

    /// Adds to the text. Roman text stays in one piece: only there `roff` finds lines that begin with a period.
    fn push(&mut self, inline: Inline) {
        match (self.line.last_mut(), inline) {
            (Some(Inline::Roman(last)), Inline::Roman(text)) => last.push_str(&text),
            (_, inline) => self.line.push(inline),
        }
    }

    fn flush(&mut self) {
        if let Some(Inline::Roman(text)) = self.line.last_mut() {
            text.truncate(text.trim_end_matches(['\n', ' ']).len());
        }
        if !self.line.is_empty() {
            self.is_below_heading = false;
            self.roff.text(std::mem::take(&mut self.line));
        }
    }
}

fn text_of(inline: Inline) -> String {
    match inline {
        Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text,
        Inline::LineBreak => " ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_page(markdown: &str, expected: &str) {
        let page = page(markdown, "DESCRIPTION");
        let (_, sections) = page.split_once(".SH DESCRIPTION\n").unwrap();
        assert_eq!(sections, expected);
    }

    #[test]
    fn headings_become_sections() {
        assert_page("# title\n\n## On the `net`\n\n### Proxies\n", ".SH \"ON THE NET\"\n.SS Proxies\n");
    }

    #[test]
    fn text_keeps_its_fonts_and_is_never_a_request() {
        assert_page(
            "See `--web`, *or*\n.not and\n[that](x).\n",
            "See \\fB\\-\\-web\\fR, \\fIor\\fR\n\\&.not and\nthat.\n",
        );
    }

    #[test]
    fn code_keeps_its_lines() {
        assert_page("```sh\n.a\n\n'b\n```\n", ".RS 4\n.EX\n\\&.a\n\n\\*(Aqb\n.EE\n.RE\n");
    }

    #[test]
    fn lists_have_bullets_or_numbers() {
        assert_page("- a\n- b\n  1. c\n", ".IP \\(bu 4\na\n.IP \\(bu 4\nb\n.RS\n.IP 1. 4\nc\n.RE\n");
    }

    #[test]
    fn rows_become_tagged_paragraphs() {
        assert_page(
            "| code | why | when |\n|---|---|---|\n| `1` | it failed | early |\n",
            ".TP 4\n\\fB1\\fR\nit failed: early\n",
        );
    }
}
