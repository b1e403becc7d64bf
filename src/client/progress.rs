//! Progress of the main loops. Pure.

use std::ops::{BitOr, BitOrAssign};

/// Whether an action did something.
///
/// Each action of a round tries its work and returns `None` only when it would have to wait. So a loop that made no
/// progress in a whole round can sleep until the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Bytes moved, or a state changed: another round may find more to do.
    Made,
    /// Nothing was possible.
    None,
}

impl Progress {
    /// `Made` if `bytes` is not 0.
    pub(crate) fn of_bytes(bytes: usize) -> Progress {
        if bytes > 0 { Progress::Made } else { Progress::None }
    }
}

impl BitOr for Progress {
    type Output = Progress;

    fn bitor(mut self, other: Progress) -> Progress {
        self |= other;
        self
    }
}

impl BitOrAssign for Progress {
    fn bitor_assign(&mut self, other: Progress) {
        if other == Progress::Made {
            *self = Progress::Made;
        }
    }
}
