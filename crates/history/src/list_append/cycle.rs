use crate::list_append::graph::{Edge, Kind};
use crate::list_append::list::Lists;
use crate::{AnomalyKind, Order, Phenomenon};

/// A step of a cycle, from one transaction to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The first edge, which tells the reason, if the step leads over helper nodes.
    pub(super) edge: Edge,
}

/// Transactions, each of which must come before the next, and the last before the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cycle(pub(super) Vec<Step>);

impl Cycle {
    /// Leaves out transactions that only append to a list between two others that wrote or read it.
    ///
    /// The graph connects each version to the next one only, or it would be large. A reader need not follow all of
    /// them.
    pub(super) fn shortened(self, lists: &Lists<'_>) -> Self {
        let mut steps: Vec<Step> = Vec::with_capacity(self.0.len());
        for step in self.0 {
            let joined = steps.last().and_then(|last| join(lists, last, &step));
            if joined.is_some() {
                steps.pop();
            }
            steps.push(joined.unwrap_or(step));
        }
        // The last step and the first meet as well.
        while steps.len() > 2 {
            let joined = steps.last().zip(steps.first()).and_then(|(last, first)| join(lists, last, first));
            let Some(joined) = joined else { break };
            steps.pop();
            if let Some(first) = steps.first_mut() {
                *first = joined;
            }
        }
        Self(steps)
    }

    /// What it is, by the kinds of its steps.
    pub(super) fn kind(&self) -> AnomalyKind {
        let count = |kind| self.0.iter().filter(|step| step.edge.kind == kind).count();
        let phenomenon = match (count(Kind::Rw), count(Kind::Wr)) {
            (0, 0) => Phenomenon::G0,
            (0, _) => Phenomenon::G1c,
            (1, _) => Phenomenon::GSingle,
            _ => Phenomenon::G2,
        };
        let order = match (count(Kind::RealTime), count(Kind::Process)) {
            (0, 0) => Order::Any,
            (0, _) => Order::Process,
            _ => Order::RealTime,
        };
        AnomalyKind::Cycle(phenomenon, order)
    }
}

/// A single step for two on the same list, if there is one of the same kind. A cycle keeps two steps at least.
fn join(lists: &Lists<'_>, one: &Step, next: &Step) -> Option<Step> {
    if one.edge.list != next.edge.list || one.from == next.to {
        return None;
    }
    let edge = match (one.edge.kind, next.edge.kind) {
        (Kind::Ww | Kind::Rw, Kind::Ww) => Edge { kind: one.edge.kind, ..next.edge },
        (Kind::Ww, Kind::Wr) => {
            let list = lists.lists.get(one.edge.list)?;
            Edge { position: list.last_position(one.from, one.edge.position)?, ..next.edge }
        }
        _ => return None,
    };
    Some(Step { from: one.from, to: next.to, edge })
}
