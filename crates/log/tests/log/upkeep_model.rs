//! Random interleavings of commits, checkpoints, deletions, sweeps, stand-stills and reopenings on several nodes: whoever
//! opens the database always finds what was acknowledged, and nothing that is needed is ever gone.

use std::collections::BTreeMap;
use std::time::Duration;

use bucketdb_driver::{Condition, Driver, Key, MemoryDriver};
use bucketdb_log::{
    Captured, CheckpointContent, CheckpointError, CommitError, Freshness, Log, LogError, ObjectKind, Seq, Stretch,
};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{
    Claims, DEADLINE, Proposal, SeededEnvironment, fresh_state, keys, open_in, record_key, set, sleep,
};

const GRACE: Duration = Duration::from_secs(3600);
const NODES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Commit(usize),
    /// Captures a state, to be made a checkpoint of later.
    Capture(usize),
    /// Makes the checkpoint; whether the previous run and everything below the position may go.
    Checkpoint(usize, bool),
    Collect(usize),
    Sweep(usize),
    Ingest(usize),
    /// From now on, the newest record is needed.
    Need(usize),
    /// From now on, it is not.
    NeedNoMore,
    Reopen(usize),
    LoseHead,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = 0..NODES;
    let step = prop_oneof![
        6 => node.clone().prop_map(Step::Commit),
        2 => node.clone().prop_map(Step::Capture),
        3 => (node.clone(), any::<bool>()).prop_map(|(node, cuts)| Step::Checkpoint(node, cuts)),
        3 => node.clone().prop_map(Step::Collect),
        2 => node.clone().prop_map(Step::Sweep),
        1 => node.clone().prop_map(Step::Ingest),
        2 => node.clone().prop_map(Step::Need),
        1 => Just(Step::NeedNoMore),
        2 => node.prop_map(Step::Reopen),
        1 => Just(Step::LoseHead),
        3 => (1u64..5000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

/// A node: the object that its checkpoint in the making brings is written when the state is captured.
struct Node {
    log: Log<Claims>,
    captured: Option<(Captured<Bytes>, String)>,
}

struct World {
    store: MemoryDriver,
    nodes: Vec<Node>,
    opened: u64,
    /// What was acknowledged.
    expected: BTreeMap<String, String>,
    written: u64,
    /// Records that are needed, whatever the floor is.
    needed: Vec<Seq>,
}

/// The run that the newest checkpoint refers to stands in the key of this name, those of ingests in others.
const RUN: &str = "run";

impl World {
    async fn open(store: &MemoryDriver, seed: u64) -> Log<Claims> {
        open_in(SeededEnvironment::new(seed), store.clone(), |options| options.grace = Some(GRACE)).await.unwrap()
    }

    async fn new() -> Self {
        let store = MemoryDriver::new();
        let mut nodes = Vec::new();
        for seed in 1..=NODES as u64 {
            nodes.push(Node { log: Self::open(&store, seed).await, captured: None });
        }
        Self { store, nodes, opened: NODES as u64, expected: BTreeMap::new(), written: 0, needed: Vec::new() }
    }

    async fn object(&self, node: usize) -> String {
        let name = self.nodes[node].log.new_name(ObjectKind::Run);
        self.store.put(&key(&name), "content".into(), Condition::Always).await.unwrap();
        name
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Commit(node) => {
                self.written += 1;
                let (key, value) = (format!("key {}", self.written % 5), self.written.to_string());
                set(&self.nodes[node].log, &key, &value).await.unwrap();
                self.expected.insert(key, value);
            }
            Step::Capture(node) => {
                let run = self.object(node).await;
                let captured = self.nodes[node].log.capture(|claims, _| claims.save()).unwrap();
                self.nodes[node].captured = Some((captured, run));
            }
            Step::Checkpoint(node, cuts) => {
                if self.nodes[node].captured.is_none() {
                    Box::pin(self.step(Step::Capture(node))).await;
                }
                let (captured, run) = self.nodes[node].captured.take().unwrap();
                self.checkpoint(node, captured, run, cuts).await;
            }
            Step::Collect(node) => {
                self.nodes[node].log.collect_garbage().await.unwrap();
            }
            Step::Sweep(node) => {
                let needs = |claims: &Claims, name: &str| claims.0.values().any(|value| value == name);
                self.nodes[node].log.sweep(needs, DEADLINE).await.unwrap();
            }
            Step::Ingest(node) => {
                let run = self.object(node).await;
                let proposal = Proposal::Ingest(run.clone(), vec![run.clone()], None);
                match self.nodes[node].log.commit(proposal, Freshness::Strict, DEADLINE).await {
                    Ok(_) => _ = self.expected.insert(run.clone(), run),
                    Err(CommitError::Log(LogError::Swept { .. })) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            Step::Need(node) => {
                let log = &self.nodes[node].log;
                log.refresh(Freshness::Strict).await.unwrap();
                self.needed.push(log.position());
            }
            Step::NeedNoMore => {
                self.needed.pop();
            }
            Step::Reopen(node) => {
                self.opened += 1;
                self.nodes[node] = Node { log: Self::open(&self.store, self.opened).await, captured: None };
            }
            Step::LoseHead => self.store.delete(&key("head")).await.unwrap(),
            Step::Wait(seconds) => sleep(Duration::from_secs(seconds)).await,
        }
    }

    async fn checkpoint(&mut self, node: usize, captured: Captured<Bytes>, run: String, cuts: bool) {
        let log = self.nodes[node].log.clone();
        let mut obsolete = Vec::new();
        if cuts {
            obsolete.extend(self.expected.get(RUN).cloned());
            obsolete.extend(captured.last_checkpoint().map(|checkpoint| checkpoint.manifest.clone()));
        }
        let covers = captured.seq();
        let content = CheckpointContent {
            saved: captured.value.clone(),
            base: Bytes::new(),
            floor: if cuts { Seq(u64::MAX) } else { Seq(0) },
            // Whoever captured the state behind one knows of it.
            spared: self
                .needed
                .iter()
                .filter(|seq| **seq <= covers)
                .map(|seq| Stretch { first: *seq, last: *seq })
                .collect(),
            brings: vec![run.clone()],
            obsolete,
        };
        match log.checkpoint(captured, content, DEADLINE).await {
            Ok(_) => {
                // The state learns which run it is in now, as a machine does from the record.
                set(&log, RUN, &run).await.unwrap();
                self.expected.insert(RUN.to_owned(), run);
            }
            Err(CheckpointError::Superseded { .. } | CheckpointError::Swept { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Whoever opens now finds what was acknowledged, and every object that it refers to.
    async fn check(&self) {
        let found = fresh_state(&self.store).await;
        assert_eq!(found.0, self.expected);
        let keys = keys(&self.store).await;
        for needed in found.0.values().filter(|value| value.starts_with("run/")) {
            assert!(keys.contains(&format!("db/{needed}")), "{needed} is gone");
        }
        for needed in &self.needed {
            assert!(keys.contains(&record_key(needed.0).to_string()), "record {needed} is gone");
        }
    }
}

fn key(name: &str) -> Key {
    Key::new(format!("db/{name}")).unwrap()
}

async fn run(steps: Vec<Step>) {
    let mut world = World::new().await;
    for step in steps {
        world.step(step).await;
        world.check().await;
    }
    // All nodes come to the same state, also those that slept through all of it.
    let expected = fresh_state(&world.store).await;
    for node in &world.nodes {
        node.log.refresh(Freshness::Strict).await.unwrap();
        assert_eq!(node.log.read(|claims, _| claims.clone()).unwrap(), expected);
    }
}

#[test]
pub(crate) fn whatever_is_done_for_upkeep_the_state_stays() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(steps));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
