//! Colours and attributes: a fixed colour for each name, bold, dim, reverse. Pure: text in, text with SGR sequences
//! out.

use std::fmt::Display;

use crate::client::Colors;
use crate::relay::name::fold;

/// Adds attributes to clean text, which cannot end them itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    colors: Colors,
}

/// SGR parameters for names: the palette without black, white and grey, legible on light and on dark backgrounds.
const NAME_COLORS: [u8; 12] = [31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96];

impl Style {
    /// A style with or without colours.
    pub(super) fn new(colors: Colors) -> Style {
        Style { colors }
    }

    /// A name in its own colour.
    pub(super) fn name(self, name: &str, shown: impl Display) -> String {
        match self.colors {
            Colors::On => format!("\x1b[{}m{shown}\x1b[0m", color_of(name)),
            Colors::Off => shown.to_string(),
        }
    }

    /// Our own name: in bold, too.
    pub(super) fn own_name(self, name: &str, shown: impl Display) -> String {
        match self.colors {
            Colors::On if !name.is_empty() => format!("\x1b[1;{}m{shown}\x1b[0m", color_of(name)),
            _ => self.bold(shown),
        }
    }

    /// Notices and notes.
    pub(super) fn dim(self, text: impl Display) -> String {
        format!("\x1b[2m{text}\x1b[0m")
    }

    /// Private messages and questions.
    pub(super) fn bold(self, text: impl Display) -> String {
        format!("\x1b[1m{text}\x1b[0m")
    }

    /// The text of an action, in which a mention may have its own attributes.
    pub(super) fn action(self, text: &str) -> String {
        format!("\x1b[3m{}\x1b[0m", text.replace("\x1b[0m", "\x1b[0;3m"))
    }

    /// The prompt of a conversation with one member alone.
    pub(super) fn alone(self, text: impl Display) -> String {
        format!("\x1b[7m{text}\x1b[0m")
    }

    /// Our name in a line of another client.
    pub(super) fn mention(self, text: impl Display) -> String {
        format!("\x1b[1;7m{text}\x1b[0m")
    }
}

/// Returns the colour of a name, the same in any case.
fn color_of(name: &str) -> u8 {
    // FNV-1a: short, and the same in every run.
    let hash = fold(name)
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The lowest bits alone are too similar for names that differ in the last letter.
    let folded = hash ^ (hash >> 32);
    let colors = NAME_COLORS.len() as u64;
    NAME_COLORS[usize::try_from(folded % colors).expect("an index below 12")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_colour_in_any_case() {
        let style = Style::new(Colors::On);
        assert_eq!(style.name("Ana", "x"), style.name("aNA", "x"));
        assert!(NAME_COLORS.iter().any(|color| style.name("ana", "x") == format!("\x1b[{color}mx\x1b[0m")));
    }

    #[test]
    fn names_share_out_the_colours() {
        let mut used: Vec<u8> = (0..200).map(|number| color_of(&format!("client-{number}"))).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, NAME_COLORS);
    }

    #[test]
    fn without_colours_there_are_none() {
        let style = Style::new(Colors::Off);
        assert_eq!(style.name("ana", "ana> "), "ana> ");
        assert_eq!(style.own_name("ana", "ana> "), "\x1b[1mana> \x1b[0m");
    }
}
