//! Orders of operators, from the console and from the socket of `--control`: their execution, and their answers.

use std::mem;
use std::time::Instant;

use super::Hub;
use crate::net::stream::Socket;
use crate::relay::order::{Order, Row};
use crate::server::connection::Handle;

/// The orders that wait for the outer loop, which owns files and flags.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// The operators that wait for the outcome of a reload.
    reloads: Vec<Handle>,
}

/// The answer to an order.
#[derive(Debug)]
pub(super) enum Answer {
    /// All rows, perhaps none: the order is carried out.
    Done(Vec<Row>),
    /// The order is refused, for this reason.
    Refused(String),
    /// There may be many rows: [`Hub::list`] gives them.
    Listing(Listing),
    /// [`Hub::answer_reload`] brings the answer.
    Later,
}

/// A list that is told in parts.
#[derive(Debug)]
pub(super) enum Listing {}

impl<S: Socket> Hub<S> {
    /// Carries out the order of the operator with this connection.
    pub(super) fn obey(&mut self, operator: Handle, order: Order<'_>, _now: Instant) -> Answer {
        match order {
            Order::Stop => {
                self.is_stop_wanted = true;
                Answer::Done(Vec::new())
            }
            Order::Reload => {
                self.orders.reloads.push(operator);
                Answer::Later
            }
            _ => Answer::Refused("not yet".to_owned()),
        }
    }

    /// Returns the next rows of a list, at most [`ROWS_MAX`](crate::server::limits::ROWS_MAX); none at its end.
    pub(super) fn list(&self, listing: &mut Listing) -> Vec<Row> {
        match *listing {}
    }

    /// Whether an operator has ordered that the files are read again. The caller answers with
    /// [`answer_reload`](Hub::answer_reload).
    pub fn is_reload_wanted(&self) -> bool {
        !self.orders.reloads.is_empty()
    }

    /// Tells the operators that wait for it what a reload has changed, or why it has changed nothing.
    pub fn answer_reload(&mut self, outcome: &Result<String, String>) {
        for operator in mem::take(&mut self.orders.reloads) {
            self.tell_operator(operator, outcome);
        }
    }

    /// Ends the answer of an operator with the outcome of its order.
    fn tell_operator(&mut self, operator: Handle, outcome: &Result<String, String>) {
        self.end_awaited(operator, outcome);
    }
}
