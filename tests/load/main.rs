//! What is measured: memory, and times compared with each other, of a real server under load. A program of its own,
//! because cargo runs programs one after another and the others would disturb it.

#[path = "../support/mod.rs"]
mod support;

mod memory;
mod siege;
