//! The head of a segment, and the name of its file. Pure.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::relay::stamp::{Epoch, RecordId};

/// The longest head, in bytes with its LF: a name has at most 255.
pub(super) const HEAD_BYTES_MAX: usize = 512;

/// Beginning of every head: the format and its version.
const MAGIC: &str = "pollchat-journal 1";

/// Digits of a serial, and of the number of a record, in the name of a file: so names sort.
const SERIAL_DIGITS: usize = 10;
const RECORD_DIGITS: usize = 20;

/// Bytes of the checksum, each shown as two hexadecimal digits.
const CHECKSUM_BYTES: usize = 8;

/// The identity of a segment: the name of its file, and a part of its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentName {
    /// Its number among all segments of the room. Later ones have higher numbers, whatever the clock did.
    pub(super) serial: u64,
    /// The position of its first record.
    pub(super) first: RecordId,
}

impl SegmentName {
    /// Reads the name of a file; `None` if it is of no segment.
    pub(super) fn parse(text: &str) -> Option<SegmentName> {
        let mut parts = text.split('.');
        let (serial, epoch, record) = (parts.next()?, parts.next()?, parts.next()?);
        let first = RecordId { epoch: Epoch::parse(epoch)?, record: record.parse().ok()? };
        let name = SegmentName { serial: serial.parse().ok()?, first };
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecordId { epoch, record } = self.first;
        write!(f, "{:0SERIAL_DIGITS$}.{epoch}.{record:0RECORD_DIGITS$}", self.serial)
    }
}

/// Returns the head of the segment with this name of a room, with its LF.
pub(super) fn head(room: &str, name: SegmentName) -> String {
    let text = format!("{MAGIC} {room} {name} ");
    let checksum = checksum(text.as_bytes());
    text + &checksum + "\n"
}

/// Returns the bytes of the head at the start of a file, with its LF. `None` unless it is that of the segment with this
/// name of this room, to the bit.
pub(super) fn head_bytes(start: &[u8], room: &str, name: SegmentName) -> Option<usize> {
    let expected = head(room, name);
    start.starts_with(expected.as_bytes()).then_some(expected.len())
}

/// Returns a checksum of a line, in hexadecimal digits.
pub(super) fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..CHECKSUM_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: SegmentName = SegmentName { serial: 12, first: RecordId { epoch: Epoch::new(7), record: 1_712 } };

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let text = NAME.to_string();
        assert_eq!(text, "0000000012.0000000000007.00000000000000001712");
        assert_eq!(SegmentName::parse(&text), Some(NAME));
        for other in ["", "lobby", "12.0000000000007.1712", &text[1..], &format!("{text}.bak"), &text.replace('7', "A")]
        {
            assert_eq!(SegmentName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_sort_as_their_segments_were_written() {
        let name = |serial, record| SegmentName { serial, first: RecordId { record, ..NAME.first } }.to_string();
        let names = [name(9, 100), name(10, 5), name(11, u64::MAX), name(123_456_789, 0)];
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn every_flipped_bit_of_a_head_is_detected() {
        let whole = head("rust", NAME);
        assert_eq!(head_bytes(whole.as_bytes(), "rust", NAME), Some(whole.len()));
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(head_bytes(&flipped, "rust", NAME), None, "bit {bit}");
        }
    }

    #[test]
    fn the_head_of_another_segment_is_none() {
        let whole = head("rust", NAME);
        assert_eq!(head_bytes(whole.as_bytes(), "go", NAME), None);
        assert_eq!(head_bytes(whole.as_bytes(), "rust", SegmentName { serial: 13, ..NAME }), None);
        (0..whole.len()).for_each(|cut| assert_eq!(head_bytes(&whole.as_bytes()[..cut], "rust", NAME), None));
    }

    #[test]
    fn the_longest_head_is_within_its_bound() {
        let name = SegmentName { serial: u64::MAX, first: RecordId { epoch: Epoch::new(u64::MAX), record: u64::MAX } };
        assert!(head(&"x".repeat(255), name).len() <= HEAD_BYTES_MAX);
    }
}
