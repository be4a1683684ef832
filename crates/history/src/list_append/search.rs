use std::collections::VecDeque;

use crate::Options;
use crate::list_append::components::Components;
use crate::list_append::cycle::{Cycle, Step};
use crate::list_append::graph::{Edge, Graph, Kind, Kinds};
use crate::list_append::list::Lists;
use crate::list_append::table::Table;

/// How many edges a search may follow for each edge of the component, so that a large broken history does not take for
/// ever. A search that gives up has found a cycle, but perhaps not the shortest.
const EFFORT_PER_EDGE: usize = 64;
const LEAST_EFFORT: usize = 50_000;

/// Up to so many transactions a cycle can be understood.
const READABLE: usize = 8;

/// A shortest cycle of the gravest kind for each entangled group of transactions.
///
/// A group in which no order at all explains what was read is not searched for contradictions to process order or real
/// time: these would mostly be the same mistake once more. But if it takes very many transactions to show that, and
/// fewer with process order or real time, the latter says more.
pub(super) fn cycles(graph: &Graph, lists: &Lists<'_>, options: Options) -> Vec<Cycle> {
    let mut orders = vec![Kinds::EXIT];
    let with_process = if options.process_order { Kinds::EXIT.with(Kind::Process) } else { Kinds::EXIT };
    if options.process_order {
        orders.push(with_process);
    }
    if options.real_time {
        orders.push(with_process.with(Kind::RealTime));
    }
    let dependencies = |order: Kinds| order.with(Kind::Ww).with(Kind::Wr).with(Kind::Rw);
    let strictest = orders.last().copied().unwrap_or(Kinds::EXIT);
    let mut cycles = Vec::new();
    for group in graph.split(&Components::new(graph, dependencies(strictest))) {
        let mut best: Option<(usize, Vec<Cycle>)> = None;
        for order in &orders {
            let knots = group.split(&Components::new(&group, dependencies(*order)));
            let found = knots.iter().filter_map(|knot| gravest(knot, *order));
            let found: Vec<Cycle> = found.map(|cycle| cycle.shortened(lists)).collect();
            let Some(longest) = found.iter().map(|cycle| cycle.0.len()).max() else { continue };
            if best.as_ref().is_none_or(|(length, _)| longest < *length) {
                best = Some((longest, found));
            }
            if best.as_ref().is_some_and(|(length, _)| *length <= READABLE) {
                break;
            }
        }
        cycles.extend(best.into_iter().flat_map(|(_, found)| found));
    }
    cycles
}

/// A shortest cycle of the gravest phenomenon in a component.
fn gravest(graph: &Graph, order: Kinds) -> Option<Cycle> {
    let writes = order.with(Kind::Ww);
    let flow = writes.with(Kind::Wr);
    // A cycle of each phenomenon has an edge of the first kind, and a path back over edges of the other kinds.
    let phenomena = [(Kind::Ww, writes), (Kind::Wr, flow), (Kind::Rw, flow), (Kind::Rw, flow.with(Kind::Rw))];
    phenomena.into_iter().find_map(|(closing, back)| shortest(graph, closing, back))
}

/// A shortest cycle out of one edge of a kind and a path from its end back to its beginning.
fn shortest(graph: &Graph, closing: Kind, back: Kinds) -> Option<Cycle> {
    let components = Components::new(graph, back);
    let mut paths = Paths {
        graph,
        kinds: back,
        components: &components,
        settled: Table::new(graph.len()),
        reached: Table::new(graph.len()),
        searches: 0,
        effort: LEAST_EFFORT.max(graph.edge_count() * EFFORT_PER_EDGE),
    };
    let mut best: Option<Vec<(usize, Edge)>> = None;
    let mut limit = usize::MAX;
    for (from, edge) in graph.all_edges().filter(|(_, edge)| edge.kind == closing) {
        if paths.effort == 0 || limit <= 1 {
            break;
        }
        if let Some((length, path)) = paths.shortest(edge.to, from, limit) {
            limit = length;
            best = Some([vec![(from, edge)], path].concat());
        }
    }
    best.map(|edges| without_helpers(graph, &edges))
}

/// Joins the edges to and from helper nodes to steps between transactions.
fn without_helpers(graph: &Graph, edges: &[(usize, Edge)]) -> Cycle {
    let mut steps: Vec<Step> = Vec::new();
    for (from, edge) in edges {
        let to = graph.name(edge.to);
        match steps.last_mut() {
            Some(step) if edge.kind == Kind::Exit => step.to = to,
            _ => steps.push(Step { from: graph.name(*from), to, edge: *edge }),
        }
    }
    Cycle(steps)
}

/// Searches for shortest paths, one after the other.
struct Paths<'g> {
    graph: &'g Graph,
    kinds: Kinds,
    components: &'g Components,
    /// In which search a node was last settled, counted from 1.
    settled: Table<usize>,
    /// The node before, and which of its edges leads here.
    reached: Table<(usize, usize)>,
    searches: usize,
    effort: usize,
}

impl Paths<'_> {
    /// The path from one node to another with the fewest steps, if fewer than the limit, with their number.
    ///
    /// Steps count between transactions: an exit from a helper node costs nothing. Therefore nodes at the same distance
    /// go to the front of the queue.
    fn shortest(&mut self, from: usize, to: usize, limit: usize) -> Option<(usize, Vec<(usize, Edge)>)> {
        // Edges lead to components of lower numbers only: most hopeless searches end here, and the others stay narrow.
        let last = self.components.of(to);
        if self.components.of(from) < last {
            return None;
        }
        self.searches += 1;
        let mut queue = VecDeque::from([(0, from, (from, usize::MAX))]);
        while let Some((distance, node, reached)) = queue.pop_front() {
            if self.settled.get(node) == self.searches {
                continue;
            }
            self.settled.set(node, self.searches);
            self.reached.set(node, reached);
            if distance >= limit {
                return None;
            }
            if node == to {
                return Some((distance, self.path(from, to)));
            }
            for (at, edge) in self.graph.edges(node).iter().enumerate() {
                // With no effort left the first path may still be needed: only further searches are given up.
                self.effort = self.effort.saturating_sub(1);
                let is_ahead = self.kinds.contains(edge.kind) && self.components.of(edge.to) >= last;
                if !is_ahead || self.settled.get(edge.to) == self.searches {
                    continue;
                }
                if edge.kind == Kind::Exit {
                    queue.push_front((distance, edge.to, (node, at)));
                } else {
                    queue.push_back((distance + 1, edge.to, (node, at)));
                }
            }
        }
        None
    }

    fn path(&self, from: usize, to: usize) -> Vec<(usize, Edge)> {
        let mut path = Vec::new();
        let mut node = to;
        while node != from {
            let (before, at) = self.reached.get(node);
            let Some(edge) = self.graph.edges(before).get(at) else { break };
            path.push((before, *edge));
            node = before;
        }
        path.reverse();
        path
    }
}
