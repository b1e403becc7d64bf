//! The files of secrets: the server's password, and the names with owners. Owns what may be wrong with such a file.
//!
//! An error says nothing of a secret. Both files may begin with a byte order mark, as editors of Windows write it.

use std::path::{Path, PathBuf};

use super::small_file::{self, FileProblem, SmallFile};
use crate::relay::command::{Command, pass_line};
use crate::relay::names::{Names, NamesError};
use crate::relay::sanitize::sanitize;
use crate::relay::secret::SecretHash;

/// Largest password, in bytes. A client gives it in a line.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Largest file of a password, in bytes. Only its first line counts.
const PASSWORD_FILE_BYTES_MAX: usize = 64 * 1024;

/// Largest file of names, in bytes: some 10,000 names, which take 0.1 s to read.
pub const NAMES_FILE_BYTES_MAX: usize = 1024 * 1024;

/// A file that is of no use, and its fault.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file of `--password-file`.
    #[error("cannot use the password file {}: {problem}", path.display())]
    Password {
        /// Its path.
        path: PathBuf,
        /// Its fault.
        problem: PasswordProblem,
    },
    /// The file of `--names`.
    #[error("cannot use the names {}: {problem}", path.display())]
    Names {
        /// Its path.
        path: PathBuf,
        /// Its fault.
        problem: NamesProblem,
    },
}

/// A fault of a file with a password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordProblem {
    /// It is not read.
    #[error(transparent)]
    File(#[from] FileProblem),
    /// There is no password in it.
    #[error("its first line is empty")]
    Empty,
    /// Its password is too long.
    #[error("its first line is longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// No line of a client gives this password.
    #[error("its first line is not text that a client can send: it is not UTF-8, or has a control character")]
    Unsendable,
}

/// A fault of a file with names.
#[derive(Debug, thiserror::Error)]
pub enum NamesProblem {
    /// It is not read.
    #[error(transparent)]
    File(#[from] FileProblem),
    /// It has other bytes than text.
    #[error("line {line}: it is not UTF-8")]
    NotText {
        /// The first line with such bytes, from 1 on.
        line: usize,
    },
    /// A line is not one of a name.
    #[error(transparent)]
    Line(#[from] NamesError),
}

/// The password of the server, as it is kept.
#[derive(Debug)]
pub(super) struct Password {
    /// Its hash.
    pub(super) hash: SecretHash,
    /// Whether all users of this machine can read its file.
    pub(super) is_readable_by_all: bool,
}

/// Reads the password in the first line of a file.
///
/// # Errors
/// Names the file and its fault.
pub(super) fn read_password(path: &Path) -> Result<Password, SecretsError> {
    let fail = |problem| SecretsError::Password { path: path.to_owned(), problem };
    let file = small_file::read(path, PASSWORD_FILE_BYTES_MAX).map_err(|problem| fail(problem.into()))?;
    let hash = parse_password(&file.bytes).map_err(fail)?;
    Ok(Password { hash, is_readable_by_all: file.is_readable_by_all })
}

/// Reads a file of names.
///
/// # Errors
/// Names the file, its first bad line, and the fault of that.
pub(super) fn read_names(path: &Path) -> Result<Names, SecretsError> {
    let fail = |problem| SecretsError::Names { path: path.to_owned(), problem };
    let SmallFile { bytes, .. } =
        small_file::read(path, NAMES_FILE_BYTES_MAX).map_err(|problem| fail(problem.into()))?;
    parse_names(&bytes).map_err(fail)
}

fn parse_password(bytes: &[u8]) -> Result<SecretHash, PasswordProblem> {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    if line.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordProblem::TooLong);
    }
    let text = str::from_utf8(line).map_err(|_| PasswordProblem::Unsendable)?;
    let line = pass_line(without_mark(text));
    let line = line.trim_end_matches('\n');
    // As the server reads it in the line of a client: what it would replace there, no client can send.
    if sanitize(line.as_bytes(), &mut String::new()) != line {
        return Err(PasswordProblem::Unsendable);
    }
    match Command::parse(line) {
        Command::Pass("") => Err(PasswordProblem::Empty),
        Command::Pass(word) => Ok(SecretHash::of(word)),
        _ => Err(PasswordProblem::Unsendable),
    }
}

fn parse_names(bytes: &[u8]) -> Result<Names, NamesProblem> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        NamesProblem::NotText { line: 1 + before.iter().filter(|&&byte| byte == b'\n').count() }
    })?;
    Ok(Names::parse(without_mark(text))?)
}

/// Returns a text without its byte order mark.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::name::Name;
    use crate::relay::names::Right;

    #[test]
    fn the_password_is_the_first_line_as_a_client_can_give_it() {
        for text in [
            "open sesame\n",
            "open sesame",
            "open sesame\r\nand more\n",
            "  open sesame \t\n",
            "\u{feff}open sesame\r\n",
            "open sesame\n\0\u{7}\n",
        ] {
            assert!(parse_password(text.as_bytes()).unwrap().is_of("open sesame"), "{text:?}");
        }
        assert!(parse_password("пароль\n".as_bytes()).unwrap().is_of("пароль"));
    }

    #[test]
    fn each_bad_password_is_refused_without_a_word_of_it() {
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        for (text, fault) in [
            (&b"\nsecret"[..], "its first line is empty"),
            (b" \t\r\nsecret", "its first line is empty"),
            (long.as_bytes(), "its first line is longer than 1024 bytes"),
            (b"sec\0ret\n", "its first line is not text that a client can send"),
            (b"sec\x1b[0mret\n", "its first line is not text that a client can send"),
            (b"sec\rret\n", "its first line is not text that a client can send"),
            (b"secret\xff\n", "its first line is not text that a client can send"),
        ] {
            let error = parse_password(text).unwrap_err().to_string();
            assert!(error.starts_with(fault) && !error.contains("sec"), "{error}");
        }
        assert!(parse_password(&long.as_bytes()[1..]).is_ok());
    }

    #[test]
    fn names_are_read_with_the_number_of_a_bad_line() {
        let line = format!("ana token {}\n", SecretHash::of("a"));
        for text in [line.clone(), format!("\u{feff}# a class\r\n\r\n{line}")] {
            let names = parse_names(text.as_bytes()).unwrap();
            assert_eq!(names.right_to(&Name::parse("ana").unwrap(), "a"), Right::Owner);
        }
        let error = |bytes: &[u8]| parse_names(bytes).unwrap_err().to_string();
        assert_eq!(error(&[line.as_bytes(), b"\n\xffx\n"].concat()), "line 3: it is not UTF-8");
        assert!(error((line.clone() + "zoe pcn_secret").as_bytes()).starts_with("line 2: it is not `NAME token"));
        assert!(!error((line + "zoe pcn_secret").as_bytes()).contains("secret"));
    }
}
