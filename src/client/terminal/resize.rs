//! The cursor's place after a resize of the window. Pure: events and times in, requests out.

use std::time::Instant;

use crate::client::limits::{CURSOR_REPORT_WAIT, RESIZE_SETTLE};

/// Requests the cursor's column, moves the cursor to the right edge, and requests its column again (DSR, CUF, DSR).
pub(super) const CURSOR_REQUEST: &str = "\x1b[6n\x1b[9999C\x1b[6n";

/// Reports that one [`CURSOR_REQUEST`] brings.
const REPORTS: usize = 2;

/// Finds the cursor after a resize: waits until the window keeps its size, then asks the terminal.
///
/// Nothing may be drawn until the probe is idle: the terminal may have wrapped its rows anew. Reports come in pairs, in
/// the order of the requests, and only the last pair counts.
#[derive(Debug)]
pub(super) struct ResizeProbe {
    state: ProbeState,
    /// Reports that are still to come.
    awaited: usize,
    /// The column of the last report.
    column: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeState {
    Idle,
    /// The window was resized, and may be resized again until then.
    Settling(Instant),
    /// The terminal was asked. Without its reports, the probe gives up then.
    Asked(Instant),
}

/// The next step of a [`ResizeProbe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeStep {
    /// Nothing is due.
    Wait,
    /// Send [`CURSOR_REQUEST`].
    Ask,
    /// The terminal does not report. Draw without knowing the cursor's place.
    GiveUp,
}

/// Columns from a pair of reports, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CursorReport {
    /// The cursor's column.
    pub(super) column: usize,
    /// The last column of the window.
    pub(super) last_column: usize,
}

impl ResizeProbe {
    /// A probe at rest.
    pub(super) fn new() -> ResizeProbe {
        ResizeProbe { state: ProbeState::Idle, awaited: 0, column: 0 }
    }

    /// Starts, or starts again.
    pub(super) fn on_resize(&mut self, now: Instant) {
        self.state = ProbeState::Settling(now + RESIZE_SETTLE);
    }

    /// Stops: the cursor's place no longer matters.
    pub(super) fn cancel(&mut self) {
        self.state = ProbeState::Idle;
    }

    /// Whether the input line may be drawn.
    pub(super) fn is_idle(&self) -> bool {
        self.state == ProbeState::Idle
    }

    /// The time of the next [`ResizeProbe::step`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            ProbeState::Idle => None,
            ProbeState::Settling(until) | ProbeState::Asked(until) => Some(until),
        }
    }

    /// The end of the wait for reports; `None` while none are awaited.
    pub(super) fn report_deadline(&self) -> Option<Instant> {
        if let ProbeState::Asked(until) = self.state { Some(until) } else { None }
    }

    /// Takes the step that is due. With `can_ask` false, the terminal reads nothing and would not answer.
    pub(super) fn step(&mut self, now: Instant, can_ask: bool) -> ProbeStep {
        if self.deadline().is_none_or(|at| now < at) {
            return ProbeStep::Wait;
        }
        if matches!(self.state, ProbeState::Settling(_)) && can_ask {
            self.awaited += REPORTS;
            self.state = ProbeState::Asked(now + CURSOR_REPORT_WAIT);
            return ProbeStep::Ask;
        }
        self.awaited = 0;
        self.state = ProbeState::Idle;
        ProbeStep::GiveUp
    }

    /// Takes a report of the terminal. Returns the pair that it completes, if that is the last awaited one.
    pub(super) fn on_report(&mut self, column: usize) -> Option<CursorReport> {
        self.awaited = self.awaited.saturating_sub(1);
        let report = CursorReport { column: self.column, last_column: column };
        self.column = column;
        if self.awaited > 0 || self.report_deadline().is_none() {
            return None;
        }
        self.state = ProbeState::Idle;
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_kept_its_size_is_asked_and_its_pair_of_reports_counts() {
        let (mut probe, now) = (ResizeProbe::new(), Instant::now());
        assert_eq!((probe.deadline(), probe.step(now, true)), (None, ProbeStep::Wait));
        probe.on_resize(now);
        probe.on_resize(now + RESIZE_SETTLE / 2);
        assert_eq!(probe.step(now + RESIZE_SETTLE, true), ProbeStep::Wait, "it was resized again");
        let at = probe.deadline().unwrap();
        assert_eq!(probe.step(at, true), ProbeStep::Ask);
        assert!(!probe.is_idle());
        assert_eq!(probe.on_report(12), None);
        assert_eq!(probe.on_report(39), Some(CursorReport { column: 12, last_column: 39 }));
        assert!(probe.is_idle());
    }

    #[test]
    fn after_a_second_resize_only_the_second_pair_counts() {
        let (mut probe, now) = (ResizeProbe::new(), Instant::now());
        for _ in 0..2 {
            probe.on_resize(now);
            assert_eq!(probe.step(now + RESIZE_SETTLE, true), ProbeStep::Ask);
        }
        assert_eq!([1, 2, 3].map(|column| probe.on_report(column)), [None; 3]);
        assert_eq!(probe.on_report(4), Some(CursorReport { column: 3, last_column: 4 }));
    }

    #[test]
    fn a_terminal_that_does_not_report_is_given_up() {
        let (mut probe, now) = (ResizeProbe::new(), Instant::now());
        probe.on_resize(now);
        assert_eq!(probe.step(now + RESIZE_SETTLE, true), ProbeStep::Ask);
        let at = probe.report_deadline().unwrap();
        assert_eq!(at, now + RESIZE_SETTLE + CURSOR_REPORT_WAIT);
        assert_eq!(probe.step(at, true), ProbeStep::GiveUp);
        assert!(probe.is_idle());
        assert_eq!(probe.on_report(5), None, "it comes too late");
        probe.on_resize(at);
        assert_eq!(probe.step(at + RESIZE_SETTLE, false), ProbeStep::GiveUp, "it reads nothing");
    }
}
