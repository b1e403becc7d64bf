//! What the benchmarks share: the subjects, the load generator, the measuring, the reports.
//!
//! A subject runs in a process of its own and is measured from outside, through `/proc`; the load comes from one mio
//! loop in the process of the benchmark. Nothing in here is told what to find: every figure is a median of interleaved
//! rounds, kept with its spread.

// Every benchmark uses a part of this.
#![allow(dead_code, reason = "every benchmark uses a part of this")]

pub(crate) mod bare;
pub(crate) mod browser;
pub(crate) mod chart;
pub(crate) mod churn;
pub(crate) mod flags;
pub(crate) mod gated;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod redis;
pub(crate) mod relayed;
pub(crate) mod report;
pub(crate) mod sealing;
pub(crate) mod subject;
pub(crate) mod threads;

/// Why a benchmark could not be run to its end.
pub(crate) type Error = Box<dyn std::error::Error>;
