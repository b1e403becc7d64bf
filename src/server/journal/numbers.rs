//! Client numbers that never come again: a file with the end of those that may have been given out.
//!
//! It is replaced as a whole, so a crash leaves the old one or the new one. If it is damaged all the same, or lost, the
//! names in the segments tell which numbers are in use.

use std::convert::Infallible;
use std::io::{self, Read as _};
use std::path::Path;

use super::OpenError;
use super::disk::{open_file, replace_file};
use super::folder::Folder;
use super::head::checksum;
use super::restore::each_line;
use crate::relay::name::GIVEN_PREFIX;
use crate::relay::notice;

/// Name of the file.
const FILE: &str = "pollchat.numbers";

/// Name of the file that is about to take its place.
const NEXT_FILE: &str = "pollchat.numbers.new";

/// More bytes than it has.
const FILE_BYTES_MAX: u64 = 256;

/// Beginning of its only line.
const MAGIC: &str = "client numbers below";

/// Returns the first client number that no earlier run has given out.
///
/// # Errors
/// When the file, or the segments in its place, cannot be read.
pub(super) fn first_free(folder: &Folder, warnings: &mut Vec<String>) -> Result<u64, OpenError> {
    let path = folder.dir().join(FILE);
    match read(&path) {
        Ok(text) => {
            if let Some(end) = parse(&text) {
                return Ok(end);
            }
            warnings.push(format!("{}: it is damaged; the names in the journal stand in for it", path.display()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(OpenError::at(&path)(error)),
    }
    let highest = highest_in_use(folder).map_err(OpenError::at(folder.dir()))?;
    Ok(highest.saturating_add(1))
}

/// Records that numbers below `end` may be given out. After that they survive a power loss.
///
/// # Errors
/// As the kernel says. Then the former end stays recorded.
pub(super) fn reserve(dir: &Path, end: u64) -> io::Result<()> {
    replace_file(dir, FILE, NEXT_FILE, line(end).as_bytes())
}

/// Returns the file, as far as its line may reach.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open_file(path, false)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

fn line(end: u64) -> String {
    let text = format!("{MAGIC} {end} ");
    let checksum = checksum(text.as_bytes());
    text + &checksum + "\n"
}

fn parse(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    let end = text.strip_prefix(MAGIC)?.split(' ').nth(1)?.parse().ok()?;
    (line(end) == text).then_some(end)
}

/// Returns the highest number in the names that the server gave to clients, in all segments; 0 if there is none.
fn highest_in_use(folder: &Folder) -> io::Result<u64> {
    let mut highest = 0;
    for room in folder.rooms()? {
        for segment in folder.segments(&room)? {
            if let Some(head_bytes) = segment.head_bytes {
                let Ok(()) = each_line(&open_file(&segment.path, false)?, head_bytes, |line| {
                    highest = highest.max(number_in(line).unwrap_or(0));
                    Ok::<(), Infallible>(())
                })?;
            }
        }
    }
    Ok(highest)
}

/// Returns the number of the client that said a line, or that a notice is about.
fn number_in(line: &[u8]) -> Option<u64> {
    let line = line.strip_prefix(notice::PREFIX.as_bytes()).unwrap_or(line).strip_prefix(GIVEN_PREFIX.as_bytes())?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&line[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_of_the_file_is_detected() {
        let whole = line(8_000);
        assert_eq!(parse(whole.as_bytes()), Some(8_000));
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&flipped), None, "bit {bit}");
        }
        (0..whole.len()).for_each(|cut| assert_eq!(parse(&whole.as_bytes()[..cut]), None));
    }

    #[test]
    fn the_author_of_a_line_has_a_number_and_its_text_has_none() {
        for (line, number) in [
            ("client-7> hello", Some(7)),
            ("* client-12 joined", Some(12)),
            ("* client-9 is now ana", Some(9)),
            ("ana> client-99 is gone", None),
            ("* ana is now bob", None),
            ("client-> x", None),
            ("client-99999999999999999999> x", None),
            ("@ 1764166801123 0000000000007.1712", None),
        ] {
            assert_eq!(number_in(line.as_bytes()), number, "{line}");
        }
    }
}
