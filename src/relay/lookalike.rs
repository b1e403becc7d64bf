//! Names that look like the server's own: `server`, and `client-` with anything behind it.
//!
//! Two texts look alike if their skeletons are equal (UTS 39, section 4). Skeletons join far more than a reader would:
//! `rn` and `m`, `1` and `l`. So they protect reserved names alone, and no member from another.

use unicode_security::skeleton;

use super::name::{GIVEN_PREFIX, Name, fold};

/// Whether a name looks like one that only the server gives, in any case.
pub(super) fn is_reserved(shown: &str, folded: &str) -> bool {
    // The skeleton of `I` is `l`, and that of `i` is `i`: so both cases of both sides are compared.
    let looks = [outline(shown), outline(folded)];
    let is_like = |reserved: &str, matches: fn(&str, &str) -> bool| {
        [outline(reserved), outline(&reserved.to_uppercase())]
            .iter()
            .any(|reserved| looks.iter().any(|look| matches(look, reserved)))
    };
    is_like(Name::OPERATOR, |look, reserved| look == reserved)
        || is_like(GIVEN_PREFIX, |look, prefix| look.starts_with(prefix))
}

/// Returns the skeleton of a name, without differences of case.
fn outline(name: &str) -> Box<str> {
    fold(&skeleton(name).collect::<String>())
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
        ] {
            assert_eq!(Name::parse(name), Err(NameError::Reserved), "{name}");
        }
        for name in
            ["сlient-7", "cIient-7", "c1ient-7", "CLІENT-7", "CL1ENT-7", "ｃｌｉｅｎｔ-7", "clіent-x", "client-７"]
        {
            assert_eq!(Name::parse(name), Err(NameError::Reserved), "{name}");
        }
    }

    #[test]
    fn other_names_may_look_alike() {
        for name in
            ["servers", "serve", "observer", "client", "clients", "emily", "ernily", "Il1", "аnа", "сервер", "Σέρβερ"]
        {
            assert!(Name::parse(name).is_ok(), "{name}");
        }
    }
}
