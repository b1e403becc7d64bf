//! `--check`: whether the shots of a transcript ended as the physics of the game has it. Pure, but for the reads.

use std::io::BufRead;

use super::follow::Follower;
use super::report::Report;
use crate::relay::notice::Notice;

/// Computes every shot of a transcript again: what a client of the room printed, with or without times. `referee` is the
/// name of the referee. Returns the number of shots that hold. All other lines are ignored.
///
/// # Errors
/// A line contradicts those before it: the first one, with its number. Or the transcript cannot be read.
pub fn check(transcript: impl BufRead, referee: &str) -> Result<u64, String> {
    let mut follower = Follower::default();
    for (line, bytes) in (1_u64..).zip(transcript.split(b'\n')) {
        let bytes = bytes.map_err(|error| format!("cannot read the transcript: {error}"))?;
        let text = String::from_utf8_lossy(&bytes);
        let text = without_time(text.trim_end());
        take(&mut follower, text, referee).map_err(|why| format!("line {line}: {why}: {text}"))?;
    }
    Ok(follower.held)
}

fn take(follower: &mut Follower, line: &str, referee: &str) -> Result<(), String> {
    match Notice::in_line(line) {
        Some(Notice::Renamed { from, to }) => follower.rename(from, to),
        Some(Notice::Missed { .. }) => follower.forget(),
        Some(Notice::Joined { name }) if name == referee => follower.forget_flights(),
        Some(_) => {}
        None => {
            let said = line.strip_prefix(referee).and_then(|rest| rest.strip_prefix("> "));
            return said.and_then(Report::parse).map_or(Ok(()), |report| follower.take(report));
        }
    }
    Ok(())
}

/// Returns a line without the day and the time before it: words of digits and the signs of times.
fn without_time(line: &str) -> &str {
    let is_of_time = |char: char| char.is_ascii_digit() || ":-.TZ".contains(char);
    let mut rest = line.trim_start();
    while let Some((word, behind)) = rest.split_once(' ') {
        if !word.starts_with(|first: char| first.is_ascii_digit()) || !word.chars().all(is_of_time) {
            break;
        }
        rest = behind.trim_start();
    }
    rest
}
