use crate::list_append::graph::{Graph, Kinds};
use crate::list_append::table::Table;

/// The strongly connected components of a graph: nodes are in one if there is a cycle through all of them.
#[derive(Debug)]
pub(super) struct Components {
    of: Table<usize>,
    count: usize,
}

impl Components {
    /// Tarjan's algorithm over the edges of these kinds. It keeps its own stack of calls, because a path through a
    /// history may be as long as the history.
    pub(super) fn new(graph: &Graph, kinds: Kinds) -> Self {
        let mut search = Search {
            found: Table::new(graph.len()),
            lowest: Table::new(graph.len()),
            is_open: Table::new(graph.len()),
            open: Vec::new(),
            calls: Vec::new(),
            next: 1,
        };
        let mut components = Self { of: Table::new(graph.len()), count: 0 };
        for root in 0..graph.len() {
            if search.found.get(root) == 0 {
                search.enter(root);
            }
            while let Some((node, seen)) = search.calls.last_mut() {
                let node = *node;
                if let Some(edge) = graph.edges(node).get(*seen) {
                    *seen += 1;
                    if !kinds.contains(edge.kind) {
                        continue;
                    }
                    if search.found.get(edge.to) == 0 {
                        search.enter(edge.to);
                    } else if search.is_open.get(edge.to) {
                        search.lower(node, search.found.get(edge.to));
                    }
                } else {
                    search.leave(node, &mut components);
                }
            }
        }
        components
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The number of a node's component. An edge between components leads from the higher number to the lower.
    pub(super) fn of(&self, node: usize) -> usize {
        self.of.get(node)
    }
}

struct Search {
    /// When each node was found, counted from 1.
    found: Table<usize>,
    /// The earliest found node that each is known to lead to within its component.
    lowest: Table<usize>,
    /// Whether it was found and its component is not complete.
    is_open: Table<bool>,
    open: Vec<usize>,
    /// The path to the node being looked at, each with the number of its edges that were followed.
    calls: Vec<(usize, usize)>,
    next: usize,
}

impl Search {
    fn enter(&mut self, node: usize) {
        self.found.set(node, self.next);
        self.lowest.set(node, self.next);
        self.next += 1;
        self.is_open.set(node, true);
        self.open.push(node);
        self.calls.push((node, 0));
    }

    fn lower(&mut self, node: usize, found: usize) {
        self.lowest.set(node, self.lowest.get(node).min(found));
    }

    fn leave(&mut self, node: usize, components: &mut Components) {
        self.calls.pop();
        if let Some((caller, _)) = self.calls.last() {
            self.lower(*caller, self.lowest.get(node));
        }
        if self.lowest.get(node) < self.found.get(node) {
            return;
        }
        while let Some(member) = self.open.pop() {
            self.is_open.set(member, false);
            components.of.set(member, components.count);
            if member == node {
                break;
            }
        }
        components.count += 1;
    }
}
