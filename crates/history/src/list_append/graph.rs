use crate::list_append::components::Components;
use crate::list_append::table::Table;

/// Why one node comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The second appended after the first.
    Ww,
    /// The second read what the first appended.
    Wr,
    /// The first read a list without what the second appended.
    Rw,
    /// Both are of one process.
    Process,
    /// The first ended before the second began.
    RealTime,
    /// The second half of any of these: from a helper node to a transaction or to another helper node.
    ///
    /// If all of many transactions come before all of many others, a helper node between them saves most of the edges.
    /// The edge to it has the kind, so that a path counts it once.
    Exit,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    /// An exit leads out of a helper node, which cannot be reached but by an edge of a kind that is looked at.
    pub(super) const EXIT: Self = Self(Kind::Exit.bit());

    pub(super) const fn with(self, kind: Kind) -> Self {
        Self(self.0 | kind.bit())
    }

    pub(super) const fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }
}

impl Kind {
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// An edge as its first node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) to: usize,
    pub(super) kind: Kind,
    /// Which list it is about, unless it is about time.
    pub(super) list: usize,
    /// Which version of the list the later transaction wrote, or the earlier one if it was read.
    pub(super) position: usize,
}

/// Transactions, then helper nodes, and what comes before what.
#[derive(Debug)]
pub(super) struct Graph {
    /// Where the edges of each node begin, and at the end where those of the last one end.
    starts: Vec<usize>,
    edges: Vec<Edge>,
    /// What the nodes are called in the graph of the whole history, if this is a part of it.
    names: Option<Vec<usize>>,
}

impl Graph {
    /// From edges, each with the node that it begins at. Of several edges of a kind between two nodes one is kept.
    pub(super) fn new(nodes: usize, mut list: Vec<(usize, Edge)>) -> Self {
        list.sort_unstable();
        list.dedup_by_key(|(from, edge)| (*from, edge.to, edge.kind));
        let mut starts = Vec::with_capacity(nodes + 1);
        for (at, (from, _)) in list.iter().enumerate() {
            while starts.len() <= *from {
                starts.push(at);
            }
        }
        starts.resize(nodes + 1, list.len());
        Self { starts, edges: list.into_iter().map(|(_, edge)| edge).collect(), names: None }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub(super) fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// The edges that begin at a node.
    pub(super) fn edges(&self, node: usize) -> &[Edge] {
        let (Some(start), Some(end)) = (self.starts.get(node), self.starts.get(node + 1)) else { return &[] };
        self.edges.get(*start..*end).unwrap_or_default()
    }

    /// Edges with the node that they begin at.
    pub(super) fn all_edges(&self) -> impl Iterator<Item = (usize, Edge)> {
        (0..self.len()).flat_map(|node| self.edges(node).iter().map(move |edge| (node, *edge)))
    }

    /// What a node is called in the graph of the whole history.
    pub(super) fn name(&self, node: usize) -> usize {
        self.names.as_ref().and_then(|names| names.get(node)).copied().unwrap_or(node)
    }

    /// The parts of more than one node, each with the edges within it, in the order of their first transactions.
    pub(super) fn split(&self, components: &Components) -> Vec<Self> {
        let mut sizes = Table::<usize>::new(components.count());
        for node in 0..self.len() {
            sizes.set(components.of(node), sizes.get(components.of(node)) + 1);
        }
        let mut parts: Vec<Part> = Vec::new();
        // Each counted from 1, for 0 is none.
        let mut part_of = Table::<usize>::new(components.count());
        let mut new_name = Table::<usize>::new(self.len());
        for node in (0..self.len()).filter(|node| sizes.get(components.of(*node)) > 1) {
            if part_of.get(components.of(node)) == 0 {
                parts.push(Part::default());
                part_of.set(components.of(node), parts.len());
            }
            if let Some(part) = parts.get_mut(part_of.get(components.of(node)) - 1) {
                new_name.set(node, part.names.len());
                part.names.push(self.name(node));
            }
        }
        for (from, edge) in self.all_edges() {
            let part = part_of.get(components.of(from));
            if part == 0 || components.of(from) != components.of(edge.to) {
                continue;
            }
            if let Some(part) = parts.get_mut(part - 1) {
                part.edges.push((new_name.get(from), Edge { to: new_name.get(edge.to), ..edge }));
            }
        }
        parts.into_iter().map(Part::graph).collect()
    }
}

/// A part of a graph that is being collected.
#[derive(Debug, Default)]
struct Part {
    names: Vec<usize>,
    edges: Vec<(usize, Edge)>,
}

impl Part {
    fn graph(self) -> Graph {
        let graph = Graph::new(self.names.len(), self.edges);
        Graph { names: Some(self.names), ..graph }
    }
}
