use std::sync::Arc;

use bucketdb_documents::{Proposal, put_run_key, row};
use bucketdb_driver::MemoryDriver;
use bucketdb_lsm::{Tier, TierRun, TotalsByGroup};
use bucketdb_runs::RunOptions;
use serde_json::{Value, json};

use super::*;
use crate::StoreCheck;

/// The rows of a run: the places of their tables, and their keys.
type Rows = &'static [(usize, u64)];

/// Loads rows of several tables with one record, as tiers, newest first.
async fn load(db: &Database, tables: &[TableRef], tiers: &[&[Rows]]) -> Seq {
    let (store, log) = (db.inner.runs(), &db.inner.log);
    let ticket = log.begin_ingest(Duration::from_secs(9)).await.unwrap();
    let mut loaded = Vec::new();
    for tier in tiers {
        let mut runs = Vec::new();
        for rows in *tier {
            let mut writer = store.writer(ticket.seq, RunOptions::default());
            let mut totals = TotalsByGroup::default();
            for (table, id) in *rows {
                let (table, mut run_key) = (&tables[*table], Vec::new());
                put_run_key(&mut run_key, table.id, &table.parse_key(&json!(id)).unwrap());
                let row = row::encode(&json!({"id": id}), &table.layouts).unwrap();
                totals.add(&run_key, Some(&row));
                writer.add(&run_key, ticket.seq, Some(&row)).await.unwrap();
            }
            let meta = Arc::new(writer.finish().await.unwrap().unwrap());
            runs.push(TierRun::whole(store.open(meta), totals));
        }
        loaded.push(Tier::new(runs));
    }
    let proposal = Proposal::Ingest { tiers: loaded, reads: None, begun: ticket.seq, written_under: (tables[0].id, 0) };
    log.commit(proposal, Freshness::Local, Duration::from_secs(9)).await.unwrap().seq
}

async fn rest(db: &Database, table: Option<&TableRef>, since: impl Into<Since>) -> Vec<Change<Value>> {
    let mut feed = Feed::open(db.clone(), table.cloned(), since.into()).await.unwrap();
    let mut changes = Vec::new();
    while let Some(change) = feed.try_next().await.unwrap() {
        changes.push(change);
    }
    changes
}

/// A record may bring runs of several tables, though no load of today does.
#[tokio::test]
async fn of_a_load_of_several_tables_each_feed_gives_its_own() {
    const SHAPES: [&[&[Rows]]; 2] = [
        &[&[&[(0, 1), (0, 2)], &[(0, 3), (1, 1)], &[(1, 2), (1, 3), (1, 4)]]],
        &[&[&[(0, 2), (1, 2)]], &[&[(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (1, 4)]]],
    ];
    for shape in SHAPES {
        let check = StoreCheck { rounds: 2, racers: 3 };
        let db = Database::builder().driver(MemoryDriver::new()).store_check(check).open().await.unwrap();
        let mut tables = Vec::new();
        for name in ["a", "b", "c"] {
            db.collection(name).put(&json!({"id": 9})).await.unwrap();
            let find = |documents: &Documents, _| TableRef::find(documents.catalogue(), name).unwrap();
            tables.push(db.inner.log.read(find).unwrap());
        }
        let before = db.position();
        let seq = load(&db, &tables, shape).await;
        let all = rest(&db, None, before).await;
        let seen: Vec<(&str, &Value)> = all
            .iter()
            .map(|change| match &change.kind {
                ChangeKind::Put(document) => (change.table.as_str(), &document["id"]),
                ChangeKind::Delete => unreachable!("nothing was removed"),
            })
            .collect();
        let expected = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3), ("b", 4)];
        assert_eq!(
            seen,
            expected.map(|(table, id)| (table, json!(id))).iter().map(|(t, id)| (*t, id)).collect::<Vec<_>>()
        );
        for place in 0..=all.len() as u64 {
            let cursor = Cursor { generation: 1, seq, place };
            let behind = &all[place as usize..];
            assert_eq!(rest(&db, None, cursor).await, behind, "{cursor}");
            for table in &tables {
                let own: Vec<_> = behind.iter().filter(|change| change.table == table.name()).cloned().collect();
                assert_eq!(rest(&db, Some(table), cursor).await, own, "{cursor} of {}", table.name());
            }
        }
    }
}
