//! Secrets that a client proves to know: the server's password, and the tokens of names. Only their hashes are kept.

use std::fmt;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::net::random;

/// The beginning of every token of a name, so that people and programs know one when they see it.
pub const TOKEN_PREFIX: &str = "pcn_";

/// The beginning of a hash in its text form.
const HASH_PREFIX: &str = "sha256:";

/// The SHA-256 of a secret. Its `Display` is `sha256:` and 64 hexadecimal digits, its `Debug` nothing of it.
///
/// A token is 128 random bits, so there is nothing to guess, and a slow hash would only let strangers waste the
/// server's time. A password is compared by its hash, too, so that the comparison tells nothing of its length.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Returns the hash of a secret. Cost: 0.1 µs for a token.
    pub fn of(secret: &str) -> SecretHash {
        SecretHash(Sha256::digest(secret).into())
    }

    /// Reads a hash in its text form.
    pub fn parse(text: &str) -> Option<SecretHash> {
        let digits = text.strip_prefix(HASH_PREFIX)?.to_ascii_lowercase();
        HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok().map(SecretHash)
    }

    /// Whether this is the hash of `secret`, in a time that does not depend on where they differ.
    pub fn is_of(&self, secret: &str) -> bool {
        self.is_same(&SecretHash::of(secret))
    }

    /// Whether both are hashes of the same secret.
    pub fn is_same(&self, other: &SecretHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}{}", HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// Returns a new token: [`TOKEN_PREFIX`] and 128 random bits as 26 letters and digits of base32.
pub fn new_token() -> String {
    format!("{TOKEN_PREFIX}{}", BASE32_NOPAD.encode(&random::bytes::<16>()).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_no_other_is_the_same() {
        let (token, other) = (new_token(), new_token());
        assert_eq!(token.len(), TOKEN_PREFIX.len() + 26);
        assert_ne!(token, other);
        let hash = SecretHash::of(&token);
        assert!(hash.is_of(&token) && !hash.is_of(&other) && !hash.is_of("") && !hash.is_of(&token[..29]));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let text = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
        assert_eq!(SecretHash::of("foo").to_string(), text);
        assert!(SecretHash::parse(text).unwrap().is_of("foo"));
        assert!(SecretHash::parse(&text.to_uppercase().replace("SHA", "sha")).unwrap().is_of("foo"));
        for text in ["", "sha256:", &text[7..], &text[..70], &format!("{text}0"), &text.replace('2', "g")] {
            assert!(SecretHash::parse(text).is_none(), "{text}");
        }
        assert_eq!(format!("{:?}", SecretHash::of("foo")), "SecretHash(…)");
    }
}
