//! A delta as the arrays the function `commit` takes.

use pac_concurrency::{Delta, Entry, OrderKey, RunKey};

use crate::statement::Statement;

/// One array a column, one element an action.
#[derive(Debug, Default)]
pub(crate) struct Columns<'d> {
    actions: Vec<&'static str>,
    namespaces: Vec<&'d str>,
    names: Vec<&'d str>,
    uids: Vec<&'d str>,
    event_created: Vec<i64>,
    positions: Vec<i64>,
    created: Vec<i64>,
}

// === impl Columns ===

impl<'d> Columns<'d> {
    pub(crate) fn new(delta: &'d Delta) -> Self {
        // The place of a run whose place isn't asked for.
        let nowhere = OrderKey::alone(0);
        let mut columns = Self::default();
        delta.release.iter().for_each(|run| columns.push("release", run, nowhere));
        delta.give_back.iter().for_each(|run| columns.push("give_back", run, nowhere));
        delta.enqueue.iter().for_each(|Entry { order, run }| columns.push("enqueue", run, *order));
        delta.hold.iter().for_each(|Entry { order, run }| columns.push("hold", run, *order));
        columns
    }

    fn push(&mut self, action: &'static str, run: &'d RunKey, order: OrderKey) {
        self.actions.push(action);
        self.namespaces.push(run.namespace());
        self.names.push(run.name());
        self.uids.push(run.uid());
        self.event_created.push(order.event_created);
        self.positions.push(i64::from(order.position));
        self.created.push(order.created);
    }

    /// Adds the arrays to the parameters of `statement`, in the function's order.
    pub(crate) fn bind<'q>(self, statement: Statement<'q>) -> Statement<'q>
    where
        'd: 'q,
    {
        statement
            .texts(self.actions)
            .texts(self.namespaces)
            .texts(self.names)
            .texts(self.uids)
            .numbers(self.event_created)
            .numbers(self.positions)
            .numbers(self.created)
    }
}
