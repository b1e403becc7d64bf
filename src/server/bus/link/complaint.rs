//! The errors of Redis, by what follows from them.

use crate::relay::sanitize::sanitize;

/// Longest words of Redis in the log, in bytes.
const WORDS_BYTES_MAX: usize = 200;

/// An error of Redis, by its meaning for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// There is no such key: an answer like others.
    NoKey,
    /// It takes no writes for the time being; the command may be repeated on this connection.
    Later,
    /// It cannot answer for the time being: try again after a pause.
    NotNow,
    /// It is a replica now: a new connection may lead to the master.
    NoMaster,
    /// It refuses the password, a command or a key, or has another form of them: for an operator to mend.
    Refusal,
}

impl Complaint {
    /// Tells it by its first word.
    pub(super) fn of(words: &str) -> Complaint {
        match words.split(' ').next().unwrap_or_default() {
            "OOM" | "MISCONF" | "NOREPLICAS" => Complaint::Later,
            "LOADING" | "MASTERDOWN" | "TRYAGAIN" | "BUSY" | "CLUSTERDOWN" => Complaint::NotNow,
            "READONLY" | "UNBLOCKED" => Complaint::NoMaster,
            "ERR" if words.starts_with("ERR no such key") => Complaint::NoKey,
            "ERR" if words.starts_with("ERR max number of clients reached") => Complaint::NotNow,
            _ => Complaint::Refusal,
        }
    }
}

/// Returns words of Redis for the log: safe to show, short, and without the password. Redis repeats the arguments of
/// a command that it does not know.
pub(super) fn cleaned(words: &str, password: Option<&str>) -> String {
    let words = words.split(", with args").next().unwrap_or_default();
    let hidden = match password {
        Some(password) if !password.is_empty() => words.replace(password, "…"),
        _ => words.to_owned(),
    };
    let mut buffer = String::new();
    let clean = sanitize(hidden.as_bytes(), &mut buffer);
    clean[..clean.floor_char_boundary(WORDS_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_by_its_first_word() {
        for (words, complaint) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", Complaint::Later),
            ("MISCONF Redis is configured to save RDB snapshots, but …", Complaint::Later),
            ("NOREPLICAS Not enough good replicas to write.", Complaint::Later),
            ("LOADING Redis is loading the dataset in memory", Complaint::NotNow),
            ("BUSY Redis is busy running a script.", Complaint::NotNow),
            ("BUSYGROUP Consumer Group name already exists", Complaint::Refusal),
            ("ERR max number of clients reached", Complaint::NotNow),
            ("READONLY You can't write against a read only replica.", Complaint::NoMaster),
            ("UNBLOCKED force unblock from blocking operation, instance state changed", Complaint::NoMaster),
            ("ERR no such key", Complaint::NoKey),
            ("ERR syntax error", Complaint::Refusal),
            ("WRONGPASS invalid username-password pair or user is disabled.", Complaint::Refusal),
            ("NOPERM this user has no permissions to run the 'xadd' command", Complaint::Refusal),
            ("MOVED 3999 127.0.0.1:6381", Complaint::Refusal),
            ("", Complaint::Refusal),
        ] {
            assert_eq!(Complaint::of(words), complaint, "{words}");
        }
    }

    #[test]
    fn words_for_the_log_are_short_and_safe_and_hold_no_password() {
        let unknown = "ERR unknown command 'AUTH', with args beginning with: 'pollchat' 'secret' ";
        assert_eq!(cleaned(unknown, Some("secret")), "ERR unknown command 'AUTH'");
        assert_eq!(cleaned("ERR bad argument secret", Some("secret")), "ERR bad argument …");
        assert_eq!(cleaned("ERR \x1b[2J", Some("")), "ERR \u{fffd}[2J");
        assert_eq!(cleaned(&"é".repeat(1_000), None).len(), WORDS_BYTES_MAX);
    }
}
