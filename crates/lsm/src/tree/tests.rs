use std::collections::BTreeMap;
use std::sync::Arc;

use bucketdb_driver::{Driver, MemoryDriver};
use bucketdb_env::TokioEnvironment;
use bucketdb_log::{DatabaseId, Layout, Seq};
use bucketdb_runs::{Cache, RunOptions};
use proptest::prelude::*;

use super::*;
use crate::{Built, KEEPS_ALL, Plan, Policy, Work, plan, plan_full, plan_pressing};

const DATABASE: DatabaseId = DatabaseId([7; 16]);

fn store() -> RunStore {
    let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
    let layout = Layout::new("db").unwrap();
    RunStore::new(driver, Arc::new(TokioEnvironment::new()), layout, DATABASE, Cache::new(1 << 20))
}

fn tiny() -> Policy {
    Policy { max_tiers: 4, piece_bytes: 600, run_bytes: 300, least_bytes: 0, ..Policy::default() }
}

fn key(number: u8) -> Bytes {
    Bytes::from(vec![0, 0, 0, number % 3, 0, number])
}

type Rows = BTreeMap<Bytes, (Seq, Option<Bytes>)>;

/// What a tree should say.
#[derive(Default)]
struct Model {
    rows: Rows,
    seq: u64,
}

impl Model {
    /// Takes in changes; gives the entries that a flush of them has.
    fn write(&mut self, changes: &[(u8, Option<u8>)]) -> Vec<RunEntry> {
        let mut new = Rows::new();
        for (number, value) in changes {
            self.seq += 1;
            let row = value.map(|value| Bytes::from(vec![value; 20]));
            new.insert(key(*number), (Seq(self.seq), row));
        }
        self.rows.extend(new.clone());
        new.into_iter().map(|(key, (seq, row))| RunEntry { key, seq, row }).collect()
    }

    fn live(&self) -> Vec<RunEntry> {
        let entries = self.rows.iter().filter(|(_, (_, row))| row.is_some());
        entries.map(|(key, (seq, row))| RunEntry { key: key.clone(), seq: *seq, row: row.clone() }).collect()
    }

    async fn check(&self, tree: &Tree) {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        assert_eq!(scan(tree, &everything).await, self.live(), "a scan gives what is there");
        let keys: Vec<Bytes> = (0..=u8::MAX).map(key).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let many = tree.get_many(&keys).await.unwrap();
        for (key, many) in keys.iter().zip(many) {
            let expected = self.rows.get(key).and_then(|(seq, row)| Some((*seq, row.clone()?)));
            let found = |entry: Option<RunEntry>| entry.and_then(|entry| Some((entry.seq, entry.row?)));
            assert_eq!(found(tree.get(key).await.unwrap()), expected, "key {key:?}");
            assert_eq!(found(many), expected, "key {key:?} among many");
        }
        for (start, end) in [(3, 90), (100, 101), (200, 255), (50, 10)] {
            let range = (Bound::Excluded(key(start)), Bound::Included(key(end)));
            let expected: Vec<RunEntry> =
                self.live().into_iter().filter(|entry| entry.key > key(start) && entry.key <= key(end)).collect();
            assert_eq!(scan(tree, &range).await, expected, "from {start} to {end}");
        }
    }
}

async fn scan(tree: &Tree, range: &(Bound<Bytes>, Bound<Bytes>)) -> Vec<RunEntry> {
    let mut scan = tree.scan(range, ScanOptions::default());
    let mut entries = Vec::new();
    loop {
        let next = match scan.next_ready() {
            Some(entry) => Some(entry),
            None => scan.next().await.unwrap(),
        };
        match next {
            Some(entry) => entries.push(entry),
            None => return entries,
        }
    }
}

async fn work(store: &RunStore, policy: &Policy, tree: &Tree, entries: Vec<RunEntry>, plan: Plan) -> Built {
    let options = RunOptions { block_bytes: 1024 };
    let work = Work { store, policy, options, begun_at: Seq(1), fates: KEEPS_ALL };
    let mut entries = entries.into_iter();
    let built = work.run(tree, &mut entries, plan).await.unwrap();
    assert_eq!(entries.next(), None, "all rows were written");
    built
}

/// What a checkpoint would bring: the tree as somebody else decodes it.
fn decoded(tree: &Tree, store: &RunStore) -> Tree {
    let mut buffer = Vec::new();
    tree.encode(&mut buffer);
    let mut reader = Reader::new(buffer.clone().into());
    let decoded = Tree::decode(&mut reader, store).unwrap();
    reader.finish().unwrap();
    let mut again = Vec::new();
    decoded.encode(&mut again);
    assert_eq!(buffer, again);
    decoded
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn it_says_what_a_map_would_say(
        rounds in prop::collection::vec(prop::collection::vec((any::<u8>(), any::<Option<u8>>()), 0..60), 1..12),
        compact_every in 2usize..6,
        pressing in any::<u16>(),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let (store, policy) = (store(), tiny());
            let (mut model, mut tree) = (Model::default(), Tree::default());
            for (round, changes) in rounds.iter().enumerate() {
                let entries = model.write(changes);
                let new_bytes = 10 * entries.len() as u64;
                let planned = match round {
                    round if round % compact_every == 0 => plan_full,
                    round if pressing >> round & 1 == 1 => plan_pressing,
                    _ => plan,
                };
                let next = planned(&tree, new_bytes, &policy);
                tree = decoded(&work(&store, &policy, &tree, entries, next).await.tree, &store);
                model.check(&tree).await;
            }
            // Everything ends as one tier without deletions, however it began.
            for _ in 0..1_000 {
                if tree.merging().is_none() && tree.tiers().len() <= 1 && tree.tiers().iter().all(|tier| tier.entries().1 == 0) {
                    break;
                }
                let next = plan_full(&tree, 0, &policy);
                tree = work(&store, &policy, &tree, Vec::new(), next).await.tree;
                model.check(&tree).await;
            }
            prop_assert!(tree.tiers().len() <= 1, "{} tiers are left", tree.tiers().len());
            prop_assert_eq!(tree.tiers().iter().map(|tier| tier.entries().0).sum::<u64>(), model.live().len() as u64);
            Ok(())
        })?;
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _guard = runtime.enter();
        let _ = Tree::decode(&mut Reader::new(bytes.into()), &store());
    }
}

#[tokio::test]
async fn a_merge_whose_output_meets_its_inputs_is_refused() {
    let (store, policy) = (store(), tiny());
    let (mut model, mut tree) = (Model::default(), Tree::default());
    for round in 0..4_u8 {
        let entries = model.write(&(0..=u8::MAX).map(|number| (number, Some(round))).collect::<Vec<_>>());
        tree = work(&store, &policy, &tree, entries, Plan::Merge(0)).await.tree;
    }
    tree = work(&store, &policy, &tree, Vec::new(), plan_full(&tree, 0, &policy)).await.tree;
    let merging = tree.merging().unwrap();
    assert_eq!(merging, Merging { output: 0, inputs: 4 });
    let is_refused = |tiers: &[Tier], merging: Merging| {
        let mut buffer = Vec::new();
        Tree::new(tiers.to_vec(), Some(merging)).encode(&mut buffer);
        Tree::decode(&mut Reader::new(buffer.into()), &store).is_err()
    };
    let tiers = tree.tiers();
    assert!(!is_refused(tiers, merging));
    // Each input in turn as one of which nothing was merged, or of which too little was.
    let done = &tiers[0].runs().last().unwrap().meta().last_key;
    for index in 1..tiers.len() {
        let whole = |run: &crate::TierRun| crate::TierRun::whole(run.run().clone(), run.totals().clone());
        let mut wrong = tiers.to_vec();
        wrong[index] = Tier::new(tiers[index].runs().iter().map(whole).collect());
        assert!(is_refused(&wrong, merging), "tier {index}");
        wrong[index] = wrong[index].clipped(done);
        assert!(is_refused(&wrong, merging), "tier {index} from the last key on that was merged");
    }
    // Tiers that are no inputs may have what they like.
    assert!(is_refused(tiers, Merging { output: 1, inputs: 3 }));
    let mut more = vec![Tier::new(tiers[0].runs().to_vec())];
    more.extend_from_slice(tiers);
    assert!(!is_refused(&more, Merging { output: 1, inputs: 4 }));
}

/// The stored form has few tails however many runs there are, and those of the newest tiers.
#[tokio::test]
async fn tails_take_little_of_what_is_stored() {
    let store = store();
    let mut tiers = Vec::new();
    for _ in 0..2 {
        // Of each run, the tail is some kilobytes.
        let policy = Policy { run_bytes: 70 << 10, ..Policy::default() };
        let work = Work {
            store: &store,
            policy: &policy,
            options: RunOptions { block_bytes: 1024 },
            begun_at: Seq(1),
            fates: KEEPS_ALL,
        };
        let mut noise = 1_u64;
        let mut row = || {
            let bytes = std::iter::repeat_with(|| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 56) as u8
            });
            Some(bytes.take(100).collect())
        };
        let mut rows = (0..20_000_u32).map(|number| {
            let key = [&[0, 0, 0, 1, 0][..], &number.to_be_bytes()].concat();
            RunEntry { key: key.into(), seq: Seq(1), row: row() }
        });
        tiers.push(Tier::new(work.write(&mut rows).await.unwrap().0));
    }
    let tree = Tree::new(tiers, None);
    let tail_bytes = |tree: &Tree| -> Vec<Vec<usize>> {
        let of_run = |run: &crate::TierRun| run.meta().tail.as_ref().map_or(0, Bytes::len);
        tree.tiers().iter().map(|tier| tier.runs().iter().map(of_run).collect()).collect()
    };
    let all = tail_bytes(&tree);
    let first: usize = all[0].iter().sum();
    assert!(first > MAX_TAILS_BYTES / 2 && first < MAX_TAILS_BYTES, "{all:?}");
    let stored = tail_bytes(&decoded(&tree, &store));
    assert_eq!(stored[0], all[0], "the newest tier has all of them");
    let sum: usize = stored.iter().flatten().sum();
    assert!(sum <= MAX_TAILS_BYTES && sum > MAX_TAILS_BYTES - 4096, "{sum} bytes");
}

/// Writes rows again and again, as the plans say. The most tiers that there were, and how many bytes were written of those that
/// came.
async fn written_again_and_again(policy: &Policy, planned: fn(&Tree, u64, &Policy) -> Plan) -> (usize, u64, u64) {
    let store = store();
    let (mut model, mut tree) = (Model::default(), Tree::default());
    let (mut most_tiers, mut written, mut flushed) = (0, 0, 0);
    for round in 0..300u32 {
        let changes: Vec<(u8, Option<u8>)> =
            (0..40u32).map(|number| ((number * 7 + round * 13) as u8, Some(round as u8))).collect();
        let entries = model.write(&changes);
        flushed += entries.iter().map(|entry| (entry.key.len() + 20) as u64).sum::<u64>();
        let next = planned(&tree, 700, policy);
        let built = work(&store, policy, &tree, entries, next).await;
        written += built.written_bytes;
        tree = built.tree;
        most_tiers = most_tiers.max(tree.tiers().len());
    }
    model.check(&tree).await;
    (most_tiers, written, flushed)
}

#[tokio::test]
async fn tiers_stay_few_however_often_rows_are_written() {
    let policy = Policy { piece_bytes: 20_000, run_bytes: 10_000, least_bytes: 0, ..Policy::default() };
    let (most_tiers, written, flushed) = written_again_and_again(&policy, plan).await;
    assert!(most_tiers <= policy.max_tiers + 3, "{most_tiers} tiers");
    assert!(written > flushed / 4, "{written} bytes written of {flushed}");
}

#[tokio::test]
async fn while_writers_wait_there_are_twice_as_many_tiers_and_less_is_written() {
    let policy = Policy { piece_bytes: 20_000, run_bytes: 10_000, least_bytes: 0, ..Policy::default() };
    let (_, usually, _) = written_again_and_again(&policy, plan).await;
    let (most_tiers, written, _) = written_again_and_again(&policy, plan_pressing).await;
    assert!(most_tiers > policy.max_tiers && most_tiers <= 2 * policy.max_tiers, "{most_tiers} tiers");
    assert!(written < usually, "{written} bytes, and {usually} where nobody waits");
}

#[tokio::test]
async fn small_tiers_become_one_whatever_their_rows_were_estimated_at() {
    let (store, policy) = (store(), Policy::default());
    let (mut model, mut tree) = (Model::default(), Tree::default());
    for round in 0..30u8 {
        let entries = model.write(&[(round % 5, Some(round))]);
        // An object holds more than its rows: a tier is larger than what was thought.
        let next = plan(&tree, 1, &policy);
        tree = work(&store, &policy, &tree, entries, next).await.tree;
        assert!(tree.tiers().len() < policy.min_merge, "{} tiers in round {round}", tree.tiers().len());
    }
    model.check(&tree).await;
}
