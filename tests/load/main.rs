//! Measurements of a real server under load: its memory at each limit, and times compared with each other. A program of
//! its own, because cargo runs programs one after another, and other tests would disturb it.

#[path = "../support/mod.rs"]
mod support;

mod chaos;
mod memory;
mod siege;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The processors. Tests that measure memory share them; a test that measures times has them alone.
static MACHINE: RwLock<()> = RwLock::new(());

fn share_machine() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

fn have_machine() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}
