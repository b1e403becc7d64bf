//! The handover: what a server that stops in good order leaves for the next one, in a file of the journal's folder.
//!
//! Over a restart the members of tracked clients stay: their clients come back with the tokens of their sessions, and
//! nobody reads `left` or `joined`. Without the handover they come back as after a crash, with a new session, seat and
//! number.
//!
//! The file has a line that names its form and its checksum, and one object of JSON. The server writes it last of all,
//! when all records are on the disk: a count of heard lines must not be ahead of the records of those lines. The next
//! one reads it, and removes it before it serves: a crash must never bring an old state back. What is damaged, foreign,
//! of another version or out of date is told in the log, and counts as none.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::{Disk as _, RealDisk, open_file, replace_file};
use super::head::checksum;
use crate::relay::stamp::RecordId;
use crate::server::limits::HANDOVER_BYTES_MAX;
use crate::server::sessions::HandedSession;

/// Name of the file.
const FILE: &str = "pollchat.sessions";

/// Name of the file that is about to take its place.
const NEXT_FILE: &str = "pollchat.sessions.new";

/// Beginning of every such file.
const MAGIC: &str = "pollchat-sessions ";

/// Version of its form.
const VERSION: &str = "1 ";

/// The sessions of a server that has stopped, and their rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// When it stopped, in ms since 1970.
    pub stopped_ms: u64,
    /// Rooms of the sessions.
    pub rooms: Vec<HandedRoom>,
    /// The sessions: those of members first, by their numbers.
    pub sessions: Vec<HandedSession>,
}

/// A room with sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedRoom {
    /// Its name.
    pub name: String,
    /// Whether the journal has its records.
    pub is_kept: bool,
    /// The position behind its last record.
    pub end: RecordId,
}

/// A handover that was found at the start.
#[derive(Debug)]
pub struct Found {
    dir: PathBuf,
    content: Result<Handover, String>,
}

impl Handover {
    /// Returns the number of sessions with a member.
    pub fn members(&self) -> usize {
        self.sessions.iter().filter(|session| session.member.is_some()).count()
    }

    /// Returns the content of the file.
    pub fn to_text(&self) -> String {
        // Keys are strings, and nothing fails by itself.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{MAGIC}{VERSION}{}\n{json}\n", checksum(json.as_bytes()))
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// The fault of the file, in words behind its name.
    pub fn parse(text: &[u8]) -> Result<Handover, String> {
        let rest = text.strip_prefix(MAGIC.as_bytes()).ok_or("it holds no sessions")?;
        let rest = rest.strip_prefix(VERSION.as_bytes()).ok_or("it is of another version of the server")?;
        let (sum, json) = rest.split_at_checked(checksum(&[]).len()).ok_or("it is damaged")?;
        let json = json.strip_prefix(b"\n").and_then(|json| json.strip_suffix(b"\n")).ok_or("it is damaged")?;
        if checksum(json).as_bytes() != sum {
            return Err("it is damaged".to_owned());
        }
        serde_json::from_slice(json).map_err(|error| format!("it is of another version of the server: {error}"))
    }
}

impl Found {
    /// Removes the file, and returns what it held.
    ///
    /// # Errors
    /// Why it counts as none: it cannot be read, or not be removed.
    pub fn take(self) -> Result<Handover, String> {
        let path = self.dir.join(FILE);
        let removed = fs::remove_file(&path).and_then(|()| RealDisk.sync_folder(&self.dir));
        let about = |what: &str| format!("{}: {what}; clients come back as after a crash", path.display());
        let handover = self.content.map_err(|fault| about(&fault));
        removed.map_err(|error| about(&format!("it cannot be removed: {error}"))).and(handover)
    }
}

/// Looks for a handover, and leaves it where it is: the server may fail to start.
pub(super) fn find(dir: &Path) -> Option<Found> {
    let content = match read(&dir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(format!("it cannot be read: {error}")),
        Ok(text) if text.len() > HANDOVER_BYTES_MAX => Err("it is too large".to_owned()),
        Ok(text) => Handover::parse(&text),
    };
    Some(Found { dir: dir.to_owned(), content })
}

/// Reads at most a byte more than a file may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_file(path, false)?.take(HANDOVER_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Writes a handover.
///
/// # Errors
/// As the kernel says. Then there is none.
pub(super) fn write(dir: &Path, handover: &Handover) -> io::Result<()> {
    replace_file(dir, FILE, NEXT_FILE, handover.to_text().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Scratch;
    use super::*;
    use crate::relay::stamp::Epoch;

    fn handover() -> Handover {
        let json = r#"{"hash":"000102030405060708090a0b0c0d0e0f","heard":12,"is_proven":true,"since":"0000000000007.3",
            "left":"0000000000008.4","room":0,"member":{"number":7,"name":"Zoë","owner":null,"lines":9,"age":60,
            "introduction":"Told","has_spoken":true,"has_moved":false}}"#;
        let end = RecordId { epoch: Epoch::new(7), record: 1_712 };
        Handover {
            stopped_ms: 1_764_166_801_123,
            rooms: vec![HandedRoom { name: "lobby".into(), is_kept: true, end }],
            sessions: vec![serde_json::from_str(json).unwrap()],
        }
    }

    #[test]
    fn a_handover_is_read_as_it_is_written() {
        let text = handover().to_text();
        assert_eq!(Handover::parse(text.as_bytes()), Ok(handover()));
        assert_eq!(text.lines().count(), 2);
        assert_eq!(handover().members(), 1);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_detected() {
        let whole = handover().to_text().into_bytes();
        (0..whole.len()).for_each(|cut| assert!(Handover::parse(&whole[..cut]).is_err(), "{cut} bytes"));
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Handover::parse(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let text = handover().to_text();
        let newer = text.replace("pollchat-sessions 1", "pollchat-sessions 2");
        assert!(Handover::parse(newer.as_bytes()).unwrap_err().contains("another version"));
        let json = r#"{"stopped_ms":1,"rooms":[],"sessions":[],"more":1}"#;
        let more = format!("{MAGIC}{VERSION}{}\n{json}\n", checksum(json.as_bytes()));
        assert!(Handover::parse(more.as_bytes()).unwrap_err().contains("another version"));
        assert_eq!(Handover::parse(b"a note of the operator\n").unwrap_err(), "it holds no sessions");
    }

    #[test]
    fn a_handover_is_found_and_gone_once_it_is_taken() {
        let scratch = Scratch::new();
        assert!(find(scratch.path()).is_none());
        write(scratch.path(), &handover()).unwrap();
        // A start that fails leaves it.
        drop(find(scratch.path()));
        assert_eq!(find(scratch.path()).unwrap().take(), Ok(handover()));
        assert!(find(scratch.path()).is_none() && fs::read_dir(scratch.path()).unwrap().next().is_none());
    }

    #[test]
    fn what_is_no_handover_is_told_and_removed_if_that_can_be() {
        let scratch = Scratch::new();
        let path = scratch.path().join(FILE);
        let too_large = vec![b'x'; HANDOVER_BYTES_MAX + 1];
        for (bytes, why) in [(&b""[..], "no sessions"), (b"\xff\0", "no sessions"), (&too_large, "too large")] {
            fs::write(&path, bytes).unwrap();
            let told = find(scratch.path()).unwrap().take().unwrap_err();
            assert!(told.contains(why) && told.ends_with("; clients come back as after a crash"), "{told}");
            assert!(!path.exists());
        }
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(find(scratch.path()).unwrap().take().unwrap_err().contains("cannot be read"));
        fs::create_dir(&path).unwrap();
        assert!(find(scratch.path()).unwrap().take().unwrap_err().contains("cannot be removed"));
    }
}
