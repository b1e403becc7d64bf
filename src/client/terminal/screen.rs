//! The input line on the screen: layout in a window of any width, drawing, erasing, and recovery after a resize. Pure:
//! text in, bytes for the terminal out.

use std::collections::VecDeque;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::wrap::wrap_page;

/// Erases from the cursor's row to the end of the screen. Nothing is below the input line.
const ERASE: &str = "\r\x1b[J";

/// Disables wrapping by the terminal, which may take a character for wider than we do.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// The terminal saves the cursor where it ends the text before it. So the cursor is right even if terminal and client
/// disagree about the width of a character.
const SAVE_CURSOR: &str = "\x1b7";
const RESTORE_CURSOR: &str = "\x1b8";

/// Content of the input line.
#[derive(Clone, Copy, Debug)]
pub(super) struct InputLine<'a> {
    /// Prompts, from the longest to the shortest. The first that leaves enough columns is drawn.
    pub(super) prompts: &'a [Prompt],
    /// The text.
    pub(super) text: &'a str,
    /// The cursor's offset in the text, in bytes.
    pub(super) cursor: usize,
}

/// Text before the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Without attributes, to measure its width.
    pub(super) plain: String,
    /// The same text with attributes, to draw it.
    pub(super) styled: String,
}

/// The input line on the terminal.
///
/// Invariant: when drawn, it takes exactly one row, the cursor is in that row, and nothing is below it.
#[derive(Debug)]
pub(super) struct Screen {
    columns: usize,
    /// The first visible column of the text.
    scroll: usize,
    drawn: Drawn,
}

/// Content of the last row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drawn {
    /// No input line.
    No,
    /// The input line, drawn with the cursor in this column. If the terminal has wrapped its rows since, the cursor is
    /// this many rows below the start of the line.
    Line { cursor: usize, rows_up: usize },
}

/// Next step after a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resized {
    /// Draw.
    Draw,
    /// Ask the terminal for the cursor's column and the last column before drawing.
    AskCursor,
}

/// The layout of an input line.
#[derive(Debug, PartialEq, Eq)]
struct Layout<'a> {
    prompt: Option<&'a Prompt>,
    /// The visible text before the cursor.
    head: String,
    /// The visible text behind the cursor.
    tail: String,
    cursor: usize,
}

impl Screen {
    /// A terminal of this many columns, with nothing drawn.
    pub(super) fn new(columns: usize) -> Screen {
        Screen { columns, scroll: 0, drawn: Drawn::No }
    }

    /// Whether the last row may hold an input line.
    pub(super) fn is_drawn(&self) -> bool {
        self.drawn != Drawn::No
    }

    /// Sets the width of the window.
    ///
    /// A terminal that became narrower either wraps its rows, so that the line may take several, or cuts them off. The
    /// cursor's column tells which.
    pub(super) fn resize(&mut self, columns: usize) -> Resized {
        self.columns = columns;
        if self.is_drawn() { Resized::AskCursor } else { Resized::Draw }
    }

    /// Takes the cursor's column after a resize, and the window's last column.
    ///
    /// Both come from the terminal itself. While a window is dragged, tmux reports the new width long after it has
    /// wrapped its rows.
    pub(super) fn find_cursor(&mut self, column: usize, last_column: usize) {
        if let Drawn::Line { cursor, rows_up } = &mut self.drawn {
            let columns = last_column + 1;
            *rows_up = if *cursor < columns || column >= last_column {
                // The line fits, or was cut off at the edge. (The cursor may be there by coincidence. A trace of the
                // old line is better than an erased row of chat.)
                0
            } else {
                // The cursor is at the same offset, in rows and columns. Terminal and client may disagree about widths,
                // so the nearest number of rows counts.
                (*cursor + columns / 2).saturating_sub(column) / columns
            };
        }
    }

    /// Erases the line, and puts `page` (whole lines) and the new line in its place.
    pub(super) fn draw(&mut self, page: &str, input: InputLine<'_>, out: &mut VecDeque<u8>) {
        self.put_page(page, out);
        let layout = lay_out(self.columns, input, &mut self.scroll);
        let prompt = layout.prompt.map_or("", |prompt| &prompt.styled);
        put(out, &[NO_WRAP, prompt, &layout.head, SAVE_CURSOR, &layout.tail, RESTORE_CURSOR, WRAP]);
        self.drawn = Drawn::Line { cursor: layout.cursor, rows_up: 0 };
    }

    /// Erases the line, and puts `page` (whole lines) in its place.
    pub(super) fn put_page(&mut self, page: &str, out: &mut VecDeque<u8>) {
        if let Drawn::Line { rows_up: rows @ 1.., .. } = self.drawn {
            put(out, &[&format!("\x1b[{rows}A")]);
        }
        if self.is_drawn() {
            put(out, &[ERASE]);
        }
        if !page.is_empty() {
            // The terminal may take a character for wider than we do. It cuts such a row off rather than wrap it.
            let mut rows = String::with_capacity(page.len());
            wrap_page(page, self.columns, &mut rows);
            // The terminal adds a CR to each LF.
            put(out, &[NO_WRAP, &rows, WRAP]);
        }
        self.drawn = Drawn::No;
    }

    /// Scrolls the screen into the scrollback.
    pub(super) fn clear(&mut self, rows: usize, out: &mut VecDeque<u8>) {
        self.put_page(&"\n".repeat(rows), out);
    }

    /// Starts over after another process had the terminal: the cursor is in an empty row or in the row of the line.
    pub(super) fn forget(&mut self) {
        self.drawn = Drawn::Line { cursor: 0, rows_up: 0 };
    }
}

fn put(out: &mut VecDeque<u8>, parts: &[&str]) {
    for part in parts {
        out.extend(part.as_bytes());
    }
}

/// Lays the line out. The last column stays free, and the cursor is visible.
fn lay_out<'a>(columns: usize, input: InputLine<'a>, scroll: &mut usize) -> Layout<'a> {
    let free = columns.saturating_sub(1);
    let prompt = input.prompts.iter().find(|prompt| prompt.plain.width() <= free / 2);
    let prompt_columns = prompt.map_or(0, |prompt| prompt.plain.width());
    let free = free - prompt_columns;

    let mut graphemes = Vec::new();
    let (mut column, mut cursor) = (0, None);
    for (at, grapheme) in input.text.grapheme_indices(true) {
        // The cursor may be inside a grapheme that was typed mark by mark. It is shown before it.
        if cursor.is_none() && at + grapheme.len() > input.cursor {
            cursor = Some((graphemes.len(), column));
        }
        let shown = if grapheme == "\t" { " " } else { grapheme };
        graphemes.push((column, shown));
        column += shown.width();
    }
    let (cursor_index, cursor_column) = cursor.unwrap_or((graphemes.len(), column));

    *scroll = scroll_to(*scroll, cursor_column, column, free);
    let start = graphemes.partition_point(|&(column, _)| column < *scroll).min(cursor_index);
    let start_column = graphemes.get(start).map_or(column, |&(column, _)| column);
    let visible = |&&(column, shown): &&(usize, &str)| column + shown.width() <= start_column + free;
    let text = |range: &[(usize, &str)]| range.iter().take_while(visible).map(|&(_, shown)| shown).collect();
    Layout {
        prompt,
        head: text(&graphemes[start..cursor_index]),
        tail: text(&graphemes[cursor_index..]),
        cursor: prompt_columns + cursor_column - start_column,
    }
}

/// Returns the first visible column for this cursor. It jumps by a third of the window, to show text on both sides.
fn scroll_to(scroll: usize, cursor: usize, width: usize, free: usize) -> usize {
    if width <= free {
        0
    } else if cursor < scroll {
        cursor.saturating_sub(free / 3)
    } else if cursor > scroll + free {
        cursor - free * 2 / 3
    } else {
        scroll
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn prompts(texts: &[&str]) -> Vec<Prompt> {
        let prompt = |text: &&str| Prompt { plain: (*text).to_owned(), styled: format!("\x1b[1m{text}\x1b[0m") };
        texts.iter().map(prompt).collect()
    }

    fn laid_out(columns: usize, text: &str, cursor: usize, scroll: &mut usize) -> (String, usize) {
        let prompts = prompts(&["ana> ", "> "]);
        let layout = lay_out(columns, InputLine { prompts: &prompts, text, cursor }, scroll);
        let prompt = layout.prompt.map_or("", |prompt| &prompt.plain);
        (format!("{prompt}{}|{}", layout.head, layout.tail), layout.cursor)
    }

    #[test]
    fn the_prompt_shrinks_with_the_window() {
        for (columns, line) in [(80, "ana> hi|"), (11, "ana> hi|"), (10, "> hi|"), (5, "> hi|"), (4, "hi|"), (3, "hi|")]
        {
            assert_eq!(laid_out(columns, "hi", 2, &mut 0).0, line, "{columns}");
        }
    }

    #[test]
    fn a_long_line_scrolls_with_the_cursor() {
        let text = "0123456789abcdefghij";
        let mut scroll = 0;
        let mut at = |cursor| laid_out(16, text, cursor, &mut scroll);
        assert_eq!(at(0), ("ana> |0123456789".into(), 5));
        assert_eq!(at(10), ("ana> 0123456789|".into(), 15));
        assert_eq!(at(11), ("ana> 56789a|bcde".into(), 11));
        assert_eq!(at(20), ("ana> efghij|".into(), 11));
        assert_eq!(at(13), ("ana> abc|defghij".into(), 8));
    }

    #[test]
    fn wherever_the_cursor_goes_the_line_fits_and_the_cursor_is_in_it() {
        let texts = [
            "",
            "hello world",
            "世界世界世界世界世界",
            "e\u{301}e\u{301}e\u{301}\u{301}",
            "\u{301}\u{301}",
            "a\t\tb",
            "👩\u{200d}👩\u{200d}👧👍🏽🇩🇪❤\u{fe0f}x",
            "\u{200b}\u{2060}a\u{200d}",
        ];
        for text in texts {
            for columns in 1..30 {
                let mut scroll = 0;
                let places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
                let round: Vec<usize> = places.clone().chain(places.rev()).collect();
                for cursor in round {
                    let (line, column) = laid_out(columns, text, cursor, &mut scroll);
                    let (head, _) = line.split_once('|').unwrap();
                    let width = line.replace('|', "").width();
                    assert!(width < columns, "{text:?} in {columns}: {line:?} takes {width}");
                    assert!(column < columns, "{text:?} in {columns}: cursor at {column}");
                    assert_eq!(head.width(), column, "{text:?} in {columns}: {line:?}");
                }
            }
        }
    }

    fn terminal(columns: u16) -> vt100::Parser {
        vt100::Parser::new(NonZeroU16::new(6).unwrap(), NonZeroU16::new(columns).unwrap(), 100)
    }

    /// Draws a page and the line on a terminal that adds a CR to each LF.
    fn show(screen: &mut Screen, terminal: &mut vt100::Parser, page: &str, text: &str, cursor: usize) {
        let prompts = prompts(&["ana> ", "> "]);
        let mut out = VecDeque::new();
        screen.draw(page, InputLine { prompts: &prompts, text, cursor }, &mut out);
        for &byte in out.make_contiguous().iter() {
            if byte == b'\n' {
                terminal.process(b"\r");
            }
            terminal.process(&[byte]);
        }
    }

    #[test]
    fn lines_go_above_and_the_line_stays_at_the_bottom() {
        let (mut screen, mut terminal) = (Screen::new(20), terminal(20));
        for number in 0..10 {
            show(&mut screen, &mut terminal, &format!("ben> {number}\n"), "half a 世", 7);
            assert!(terminal.screen().contents().ends_with(&format!("ben> {number}\nana> half a 世")));
            assert_eq!(terminal.screen().cursor_position().1, 12);
        }
        show(&mut screen, &mut terminal, &format!("{}\n", "x".repeat(40)), "", 0);
        let contents = terminal.screen().contents();
        assert!(
            contents.ends_with(&format!(
                "ben> 9\n{}\n    {}\n    {}\nana> ",
                "x".repeat(20),
                "x".repeat(16),
                "x".repeat(4)
            )),
            "{contents}"
        );
    }

    #[test]
    fn a_terminal_that_cuts_off_what_does_not_fit_loses_no_row() {
        let (mut screen, mut terminal) = (Screen::new(30), terminal(30));
        show(&mut screen, &mut terminal, "one\ntwo\n", "a sentence of some length", 25);
        terminal.set_size(NonZeroU16::new(6).unwrap(), NonZeroU16::new(10).unwrap());
        assert_eq!(screen.resize(10), Resized::AskCursor);
        let column = terminal.screen().cursor_position().1.min(9);
        screen.find_cursor(column.into(), 9);
        show(&mut screen, &mut terminal, "", "a sentence of some length", 25);
        assert_eq!(terminal.screen().contents(), "one\ntwo\n> ngth");
    }

    #[test]
    fn a_terminal_that_wraps_anew_is_left_with_nothing_of_the_old_line() {
        let (mut screen, mut terminal) = (Screen::new(30), terminal(10));
        let mut out = VecDeque::new();
        let input = InputLine { prompts: &prompts(&["ana> "]), text: "a sentence of some", cursor: 18 };
        screen.draw("", input, &mut out);
        // A terminal of 10 columns that wraps shows the line in three rows, with the cursor behind it.
        terminal.process(b"one\r\ntwo\r\nana> a sentence of some");
        assert_eq!(screen.resize(10), Resized::AskCursor);
        screen.find_cursor(terminal.screen().cursor_position().1.into(), 9);
        show(&mut screen, &mut terminal, "three\n", "a", 1);
        assert_eq!(terminal.screen().contents(), "one\ntwo\nthree\n> a");
    }

    #[test]
    fn the_rows_above_the_cursor_are_those_that_the_terminal_made() {
        // Drawn with the cursor in column 75. Its new column, the last column, and the rows above it.
        for (column, last_column, rows) in [
            (15, 29, 2),
            (14, 29, 2), // The terminal takes a character for narrower
            (17, 29, 2), // or wider than we do.
            (28, 46, 1),
            (1, 1, 0),   // Cut off at the edge.
            (75, 79, 0), // It fits.
            (2, 79, 0),
            (3, 4, 15),
        ] {
            let mut screen = Screen::new(80);
            screen.drawn = Drawn::Line { cursor: 75, rows_up: 0 };
            assert_eq!(screen.resize(20), Resized::AskCursor);
            screen.find_cursor(column, last_column);
            let Drawn::Line { rows_up, .. } = screen.drawn else { panic!("it is drawn") };
            // With five columns, the result may be off by one: disagreements about widths weigh most there.
            assert!(rows_up.abs_diff(rows) <= usize::from(last_column < 5), "{column} of {last_column}: {rows_up}");
        }
        assert_eq!(Screen::new(80).resize(20), Resized::Draw);
    }

    #[test]
    fn clearing_keeps_what_was_said_in_the_scrollback() {
        let (mut screen, mut terminal) = (Screen::new(20), terminal(20));
        show(&mut screen, &mut terminal, "one\ntwo\n", "half", 4);
        let mut out = VecDeque::new();
        screen.clear(6, &mut out);
        terminal.process(&String::from_utf8(out.into()).unwrap().replace('\n', "\r\n").into_bytes());
        show(&mut screen, &mut terminal, "", "half", 4);
        assert_eq!(terminal.screen().contents().trim_start(), "ana> half");
        terminal.screen_mut().set_scrollback(100);
        assert!(terminal.screen().contents().starts_with("one\ntwo"));
    }
}
