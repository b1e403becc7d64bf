//! Names of members: their form, reserved names, and caseless comparison.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::lookalike;

/// The longest name, in characters (Unicode scalar values) after normalization.
pub const NAME_CHARS_MAX: usize = 24;

/// The longest text that can become a name, in bytes: NFC composes a character of at most four (UAX #15), of four bytes
/// each. Longer text is refused without normalizing it, which could delay other clients.
pub const TYPED_BYTES_MAX: usize = NAME_CHARS_MAX * 4 * 4;

/// Prefix of the names that the server gives, which no client can choose; its number follows.
pub(crate) const GIVEN_PREFIX: &str = "client-";

/// A name that a client chose: letters and digits of any script, `_` and `-`, normalized to NFC.
///
/// Invariants: `shown` holds neither white space nor other punctuation, so no name makes a line look like another line
/// or like a notice; `folded` is [`fold`] of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    shown: Box<str>,
    folded: Box<str>,
}

/// The reason that a text is no name. Its `Display` is a sentence without its full stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, too long, or with a character that names do not have.
    #[error("a name is 1 to {NAME_CHARS_MAX} letters, digits, _ or -")]
    Form,
    /// `server`, or `client-` and anything, or what looks like them.
    #[error("that name is taken")]
    Reserved,
}

impl Name {
    /// The name of the operator, which no client can take. It is its own folded form.
    pub const OPERATOR: &str = "server";

    /// The name of the first room. It is its own folded form.
    pub const LOBBY: &str = "lobby";

    /// Parses a name that a client asks for.
    ///
    /// # Errors
    /// [`NameError::Form`] if `text` does not have a name's form, [`NameError::Reserved`] if only the server gives it.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        if text.len() > TYPED_BYTES_MAX {
            return Err(NameError::Form);
        }
        let shown: String = text.nfc().collect();
        let chars = shown.chars().count();
        let begins_with_mark = shown.starts_with(is_combining_mark);
        if !(1..=NAME_CHARS_MAX).contains(&chars) || begins_with_mark || !shown.chars().all(is_name_char) {
            return Err(NameError::Form);
        }
        let folded = fold(&shown);
        if lookalike::is_reserved(&shown, &folded) {
            return Err(NameError::Reserved);
        }
        Ok(Name { shown: shown.into(), folded })
    }

    /// Returns the name of the first room.
    pub fn of_lobby() -> Name {
        Name { shown: Name::LOBBY.into(), folded: Name::LOBBY.into() }
    }

    /// Returns the operator's name, which no client can take.
    pub fn of_operator() -> Name {
        Name { shown: Name::OPERATOR.into(), folded: Name::OPERATOR.into() }
    }

    /// Returns the name as shown.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// Returns the folded form: names that differ only in case have the same.
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

/// Whether a member can have chosen a name that is shown so. Most names are known at a glance: the records of a shared
/// log are checked one by one.
pub(super) fn is_chosen_name(text: &str) -> bool {
    if text.len() > NAME_CHARS_MAX || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        return Name::parse(text).is_ok_and(|name| name.as_str() == text);
    }
    // A reserved name looks like its own: the letters of both are ASCII, and `l`, `I`, `1` and `i` alike at worst.
    let plain = |byte: u8| if b"lIi1".contains(&byte) { b'l' } else { byte.to_ascii_lowercase() };
    let looks_like = |reserved: &str, len: usize| text.bytes().map(plain).take(len).eq(reserved.bytes().map(plain));
    let is_suspect = looks_like(Name::OPERATOR, text.len()) || looks_like(GIVEN_PREFIX, GIVEN_PREFIX.len());
    !text.is_empty() && (!is_suspect || Name::parse(text).is_ok())
}

/// Returns `name` without differences of case: two names are the same if their folded forms are equal.
///
/// Upper case comes before the final lower case, so that ß and SS, ς and σ, ſ and s meet. Lower case comes before that,
/// because ẞ has no other upper case. NFC comes last, because case mapping may denormalize. For letters, this joins at
/// least what Unicode's default caseless matching joins.
pub fn fold(name: &str) -> Box<str> {
    let lower = name.nfc().flat_map(char::to_lowercase);
    lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect::<String>().into()
}

fn is_name_char(c: char) -> bool {
    // Letters without a glyph (Hangul fillers, Egyptian blanks) would make an invisible name.
    let is_blank = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{13441}'..='\u{13446}');
    (c.is_alphanumeric() && !is_blank) || is_script_mark(c) || c == '_' || c == '-'
}

/// Whether `c` is a mark that some script needs to write words, such as a virama or a tone mark.
///
/// Marks that combine with any letter are left out: NFC composes the useful ones, and the others make names hard to
/// read. Invisible marks are left out too, because two names could look the same.
fn is_script_mark(c: char) -> bool {
    let combines_with_any = matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}');
    let is_invisible = matches!(c,
        '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
    is_combining_mark(c) && !combines_with_any && !is_invisible
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
    fn text_of_another_form_is_no_name() {
        let long = "a".repeat(NAME_CHARS_MAX + 1);
        for text in ["", " ", "a b", "a>", "*", "a\tb", "a\u{202e}b", "a.b", "\u{3164}", "\u{200d}", "\u{13441}"] {
            assert_eq!(Name::parse(text), Err(NameError::Form), "{text:?}");
        }
        // A mark without a letter, one that combines with any letter, an invisible one.
        for text in ["\u{5b0}", "x\u{301}", "ana\u{fe0f}", &long, &"é".repeat(10_000)] {
            assert_eq!(Name::parse(text), Err(NameError::Form), "{text:?}");
        }
    }

    #[test]
    fn names_that_are_known_at_a_glance_are_those_that_are_parsed() {
        let parsed = |text: &str| Name::parse(text).is_ok_and(|name| name.as_str() == text);
        for text in [
            "", "a", "a b", "e\u{301}", "é", "client", "client-", "CL1ENT-7", "cIient-7", "clicnt-", "server", "SERVER",
        ] {
            assert_eq!(is_chosen_name(text), parsed(text), "{text}");
        }
        // Every name that differs from a reserved one by one sign of ASCII, in both cases.
        let alphabet: Vec<char> =
            ('0'..='9').chain('a'..='z').chain('A'..='Z').chain(['_', '-', '|', '.', 'é']).collect();
        for reserved in ["server", "SERVER", "client-", "CLIENT-", "client-7"] {
            for at in 0..reserved.len() {
                for sign in &alphabet {
                    let (before, behind) = (&reserved[..at], &reserved[at + 1..]);
                    for text in [format!("{before}{sign}{behind}"), format!("{before}{sign}{}", &reserved[at..])] {
                        assert_eq!(is_chosen_name(&text), parsed(&text), "{text}");
                    }
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_of_few_signs_is_known_at_a_glance_as_it_is_parsed(text in "[sSeErRvV5cClLiI1|nNmMtT7_-]{1,8}|.{0,26}") {
            let is_parsed = Name::parse(&text).is_ok_and(|name| name.as_str() == text);
            proptest::prop_assert_eq!(is_chosen_name(&text), is_parsed);
        }
    }

    #[test]
    fn the_servers_own_names_are_reserved() {
        for text in ["server", "SERVER", "Server", "client-7", "CLIENT-x", "client-"] {
            assert_eq!(Name::parse(text), Err(NameError::Reserved), "{text:?}");
        }
        assert_eq!(Name::parse(Name::of_operator().as_str()), Err(NameError::Reserved));
        assert_eq!(Name::of_operator().folded(), &*fold("Server"));
        assert!(Name::parse("client7").is_ok());
        assert!(Name::parse("servers").is_ok());
    }

    #[test]
    fn the_limit_counts_characters_after_normalizing() {
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
