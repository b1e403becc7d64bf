//! The seam between the loop and the disk: what the hub hands over, and what it finds at the start.

use std::fmt;

use super::handover::Handover;
use crate::relay::past::Run;

/// Records of a room that earlier runs of the server have kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The kept logs, the oldest first.
    pub runs: Vec<Run>,
    /// The newest whole lines, stamps included, at most as many bytes as were asked for. They begin with a stamp and
    /// have no gap: records before the last gap are left out.
    pub text: Vec<u8>,
}

/// The work of a store so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes on the disk, over all rooms, since the start.
    pub written_bytes: u64,
    /// Writes, syncs and other calls that failed.
    pub errors: u64,
}

/// A store of the kept rooms: the lobby is 0, and then each `--room` in the order of the flags. No method waits for a
/// disk. The server implements it by a helper thread, the simulator in memory.
pub trait Store: fmt::Debug {
    /// Returns for how many bytes of this room there is space now. If that is not enough, the loop is woken once there
    /// is more.
    fn space(&self, room: usize) -> usize;

    /// Takes whole lines of a room, at most [`space`](Store::space) bytes in both slices together. They go on where the
    /// last ones ended, or begin with a stamp; the first ones do.
    fn append(&mut self, room: usize, lines: [&[u8]; 2]);

    /// Has client numbers below `end` never given out by a later run.
    fn reserve_numbers(&mut self, end: u64);

    /// Keeps sessions for the next run, once all that was appended is on the disk. Nothing follows.
    fn hand_over(&mut self, handover: Handover);

    /// Returns the work so far.
    fn work(&self) -> Work;
}
