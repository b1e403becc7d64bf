//! Names that look like the server's own: `server`, and `client-` with anything behind it.
//!
//! Two texts look alike if their skeletons are equal (UTS 39, section 4). Skeletons join far more than a reader would:
//! `rn` and `m`, `1` and `l`. So they protect reserved names and those of permanent rooms alone, and no member from
//! another.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

use super::name::{GIVEN_PREFIX, Name, fold};

/// Whether a name looks like one that only the server gives, in any case.
pub(super) fn is_reserved(shown: &str, folded: &str) -> bool {
    // The skeleton of `I` is `l`, and that of `i` is `i`: so both cases of both sides are compared.
    static OPERATOR: LazyLock<[Box<str>; 2]> = LazyLock::new(|| outlines(Name::OPERATOR));
    static PREFIX: LazyLock<[Box<str>; 2]> = LazyLock::new(|| outlines(GIVEN_PREFIX));
    let looks = [outline(shown), outline(folded)];
    let is_like = |reserved: &[Box<str>], matches: fn(&str, &str) -> bool| {
        reserved.iter().any(|reserved| looks.iter().any(|look| matches(look, reserved)))
    };
    is_like(&*OPERATOR, |look, reserved| look == reserved) || is_like(&*PREFIX, |look, prefix| look.starts_with(prefix))
}

/// Returns the outlines of a name in both cases. Two names look alike if they share one.
pub(super) fn outlines(name: &str) -> [Box<str>; 2] {
    [outline(name), outline(&name.to_uppercase())]
}

/// Returns the skeleton of a name, without differences of case, style and small signs.
///
/// NFKC replaces letters that are only styled: raised, small or wide ones. Other signs beside letters hardly show, so
/// modifier letters and marks are dropped: `serverʼ`, `seˑrver`. Most skeletons of them are punctuation.
fn outline(name: &str) -> Box<str> {
    let plain: String = name.nfkc().filter(|&c| !is_sign(c)).collect();
    let skeleton: String = skeleton(&plain).filter(|&c| !is_sign(c)).collect();
    fold(&skeleton)
}

/// Whether `c` is a mark, or a modifier letter that shows no letter (NFKC maps those that do).
fn is_sign(c: char) -> bool {
    is_combining_mark(c)
        || matches!(c, '\u{2b0}'..='\u{2ff}' | '\u{374}' | '\u{559}' | '\u{640}' | '\u{7f4}' | '\u{7f5}' | '\u{7fa}')
        || matches!(c, '\u{a67f}' | '\u{a700}'..='\u{a721}' | '\u{a788}' | '\u{a78b}' | '\u{a78c}' | '\u{ff70}')
        || matches!(c, '\u{1d2c}'..='\u{1d6a}' | '\u{1d78}' | '\u{30fc}' | '\u{ab5b}' | '\u{ab6a}' | '\u{ab6b}')
        || matches!(c, '\'' | '`' | '\u{2018}' | '\u{2019}' | ':' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::name::NameError;

    #[test]
    fn a_name_that_looks_like_the_servers_is_reserved() {
        for name in [
            "ѕerver",
            "ЅERVER",
            "sеrver",
            "ｓｅｒｖｅｒ",
            "ｓerver",
            "serνer",
            "seгver",
            "ЅЕRVЕR",
            "SΕRVΕR",
            "ꓢꓰꓣꓦꓰꓣ",
            "Ꮪerver",
            "ѕеrvеr",
            "𝗌𝖾𝗋𝗏𝖾𝗋",
            "𝐒𝐄𝐑𝐕𝐄𝐑",
            "ſerver",
            "ˢᵉʳᵛᵉʳ",
            "serverʼ",
            "serverˈ",
            "ʻserver",
            "seˑrver",
            "seːrver",
            "ⓢerver",
            "ₛerver",
            "Šerver",
            "serverـ",
            "ꜝserver",
            "ʼˢеrverʼ",
        ] {
            assert_eq!(Name::parse(name), Err(NameError::Reserved), "{name}");
        }
        for name in [
            "сlient-7",
            "cIient-7",
            "c1ient-7",
            "CLІENT-7",
            "CL1ENT-7",
            "ｃｌｉｅｎｔ-7",
            "clіent-x",
            "client-７",
            "ᶜˡⁱᵉⁿᵗ-7",
            "clientʼ-7",
            "clˑient-7",
        ] {
            assert_eq!(Name::parse(name), Err(NameError::Reserved), "{name}");
        }
    }

    #[test]
    fn other_names_may_look_alike() {
        for name in [
            "servers",
            "serve",
            "observer",
            "client",
            "clients",
            "emily",
            "ernily",
            "Il1",
            "аnа",
            "сервер",
            "Σέρβερ",
            "Serverin",
            "OʼBrien",
            "DʼAngelo",
            "ʻOkina",
            "हिन्दी",
            "server2",
            "my-server",
            "clientele",
            "Çelik",
            "bserver",
        ] {
            assert!(Name::parse(name).is_ok(), "{name}");
        }
    }
}
