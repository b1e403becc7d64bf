//! What a client may be called, and when two names are the same.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 24;

/// The longest text that may become a name, in bytes: a character is composed of at most four (UAX #15), of four bytes
/// each. A longer one is not even looked at, so that nobody can make others wait by asking for it.
pub const TYPED_BYTES_MAX: usize = NAME_CHARS_MAX * 4 * 4;

/// Prefix of the names that the server gives, which no client can choose; its number follows.
pub(super) const GIVEN_PREFIX: &str = "client-";

/// A name that a client chose: letters, digits, `_` and `-` of any script, normalised (NFC).
///
/// It can hold neither white space nor punctuation, so that no name can make a line look like another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    shown: Box<str>,
    folded: Box<str>,
}

/// Why a text is no name. Its `Display` is a full sentence without its stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, too long, or with a character that names do not have.
    #[error("a name is 1 to {NAME_CHARS_MAX} letters, digits, _ or -")]
    Form,
    /// `server`, or `client-` and anything.
    #[error("that name is taken")]
    Reserved,
}

impl Name {
    /// The name of the operator, which no client can take. It is its own folded form.
    pub const OPERATOR: &str = "server";

    /// Takes `text` as a name.
    ///
    /// # Errors
    /// When the text is not of a name's form, or is one of the relay's own names.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        if text.len() > TYPED_BYTES_MAX {
            return Err(NameError::Form);
        }
        let shown: String = text.nfc().collect();
        let chars = shown.chars().count();
        let begins_with_mark = shown.starts_with(is_combining_mark);
        if !(1..=NAME_CHARS_MAX).contains(&chars) || begins_with_mark || !shown.chars().all(is_of_names) {
            return Err(NameError::Form);
        }
        let folded = fold(&shown);
        if &*folded == Name::OPERATOR || folded.starts_with(GIVEN_PREFIX) {
            return Err(NameError::Reserved);
        }
        Ok(Name { shown: shown.into(), folded })
    }

    /// The operator's, which nobody can choose.
    pub fn of_operator() -> Name {
        Name { shown: Name::OPERATOR.into(), folded: Name::OPERATOR.into() }
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// What is the same for all names that differ in case alone.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Whether the server may show `text` as a member's name: a chosen name, `client-N` or `server`.
pub fn is_shown_name(text: &str) -> bool {
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text == Name::OPERATOR || text.strip_prefix(GIVEN_PREFIX).is_some_and(is_number) || Name::parse(text).is_ok()
}

/// Folds case away: upper case before lower case, so that ß and SS, ς and σ, ſ and s meet; and lower case before that,
/// because ẞ has no other upper case.
///
/// This is the simple way of the standard library; it joins at least what Unicode's default caseless matching joins
/// for letters, and NFC again after it, because case mapping may denormalise.
pub fn fold(name: &str) -> Box<str> {
    let lower = name.nfc().flat_map(char::to_lowercase);
    lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect::<String>().into()
}

fn is_of_names(c: char) -> bool {
    // Letters that show as nothing at all (Hangul fillers, Egyptian blanks) would make a name that nobody sees.
    let is_blank = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{13441}'..='\u{13446}');
    (c.is_alphanumeric() && !is_blank) || is_mark_of_a_script(c) || c == '_' || c == '-'
}

/// Whether `c` is a mark that words of some script are written with, such as a virama or a tone mark.
///
/// Not the marks that go with any letter: those that make a letter are composed with it (NFC), and the others only
/// make names that are hard to read. Nor those that show as nothing, or two names could look the same.
fn is_mark_of_a_script(c: char) -> bool {
    let goes_with_any = matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}');
    let shows_as_nothing = matches!(c,
        '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
    is_combining_mark(c) && !goes_with_any && !shows_as_nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_script_are_names() {
        for name in ["ana", "Zoë", "Ωμέγα", "名前", "дом_2", "a-b", "x", "٣", "हिन्दी", "เพื่อน", "שָׁלוֹם"]
        {
            let normal: String = name.nfc().collect();
            assert_eq!(Name::parse(name).map(|name| name.to_string()), Ok(normal));
        }
    }

    #[test]
    fn what_is_no_name_is_told_so() {
        let long = "a".repeat(NAME_CHARS_MAX + 1);
        for text in ["", " ", "a b", "a>", "*", "a\tb", "a\u{202e}b", "a.b", "\u{3164}", "\u{200d}", "\u{13441}"] {
            assert_eq!(Name::parse(text), Err(NameError::Form), "{text:?}");
        }
        // A mark with nothing to stand on, one that goes with any letter, one that shows as nothing.
        for text in ["\u{5b0}", "x\u{301}", "ana\u{fe0f}", &long, &"é".repeat(10_000)] {
            assert_eq!(Name::parse(text), Err(NameError::Form), "{text:?}");
        }
    }

    #[test]
    fn the_relay_keeps_its_own_names() {
        for text in ["server", "SERVER", "Server", "client-7", "CLIENT-x", "client-"] {
            assert_eq!(Name::parse(text), Err(NameError::Reserved), "{text:?}");
        }
        assert_eq!(Name::parse(Name::of_operator().as_str()), Err(NameError::Reserved));
        assert_eq!(Name::of_operator().folded(), &*fold("Server"));
        assert!(Name::parse("client7").is_ok());
        assert!(Name::parse("servers").is_ok());
    }

    #[test]
    fn the_limit_counts_characters_after_normalising() {
        let decomposed = "e\u{301}".repeat(NAME_CHARS_MAX);
        let name = Name::parse(&decomposed).unwrap();
        assert_eq!(name.as_str(), "é".repeat(NAME_CHARS_MAX));
    }

    #[test]
    fn names_that_differ_in_case_alone_are_the_same() {
        let same = [
            ("Ana", "aNA"),
            ("STRASSE", "straße"),
            ("ΟΔΟΣ", "οδος"),
            ("É", "e\u{301}"),
            ("ſ", "S"),
            ("STRAẞE", "straße"),
        ];
        for (a, b) in same {
            assert_eq!(Name::parse(a).unwrap().folded(), Name::parse(b).unwrap().folded(), "{a} {b}");
        }
        assert_ne!(fold("ana"), fold("anna"));
    }

    #[test]
    fn every_case_of_every_letter_is_the_same() {
        let has_case = |&c: &char| !c.to_lowercase().eq([c]) || !c.to_uppercase().eq([c]);
        for c in (char::MIN..=char::MAX).filter(has_case) {
            let letter = c.to_string();
            let (lower, upper, folded) = (letter.to_lowercase(), letter.to_uppercase(), fold(&letter));
            for case in [&lower, &upper, &lower.to_uppercase(), &upper.to_lowercase(), &*folded] {
                assert_eq!(fold(case), folded, "{letter} {case}");
            }
        }
    }
}
