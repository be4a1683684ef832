//! Writers, maintainers and openers at the same time, on a store that takes its time, with stand-stills in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{Condition, Driver, Key, MemoryDriver};
use bucketdb_env::Random;
use bucketdb_log::{CheckpointContent, CheckpointError, CommitError, Freshness, Log, LogError, ObjectKind, Seq};
use parking_lot::Mutex;

use crate::support::{
    Claims, DEADLINE, Jitter, SeededEnvironment, Strange, fresh_state, keys, open_in, set, sleep, spawn,
};

const GRACE: Duration = Duration::from_secs(60);
const STEPS: u64 = 60;

type Written = Arc<Mutex<BTreeMap<String, u64>>>;

fn key(name: &str) -> Key {
    Key::new(format!("db/{name}")).unwrap()
}

async fn open(store: &MemoryDriver, seed: u64) -> Log<Claims> {
    let env = SeededEnvironment::new(seed);
    let slow = Strange::new(store, Jitter { env: env.clone(), most: Duration::from_millis(200) });
    open_in(env, slow, |options| options.grace = Some(GRACE)).await.unwrap()
}

/// Writes a run, then a checkpoint that refers to it and gives up all that was before.
async fn maintain(store: &MemoryDriver, env: &SeededEnvironment, log: &Log<Claims>) {
    let run = log.new_name(ObjectKind::Run);
    store.put(&key(&run), "content".into(), Condition::Always).await.unwrap();
    let captured = log.capture(|claims, _| claims.save()).unwrap();
    let obsolete = captured.last_checkpoint().map(|checkpoint| checkpoint.manifest.clone());
    sleep(Duration::from_millis(env.random_below(20_000))).await;
    let content = CheckpointContent {
        saved: captured.value.clone(),
        base: run.clone().into(),
        floor: Seq(u64::MAX),
        spared: Vec::new(),
        brings: vec![run],
        obsolete: obsolete.into_iter().collect(),
    };
    match log.checkpoint(captured, content, DEADLINE).await {
        Ok(_)
        | Err(CheckpointError::Superseded { .. } | CheckpointError::Replaced { .. } | CheckpointError::Swept { .. }) => {
        }
        // It stood still for too long: nothing of it was said to be there.
        Err(CheckpointError::OutcomeUnknown { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn act(store: MemoryDriver, seed: u64, written: Written) {
    let env = SeededEnvironment::new(seed * 1_000);
    let mut log = open(&store, seed).await;
    for step in 0..STEPS {
        match env.random_below(20) {
            0..8 => {
                let key = format!("node {seed}");
                match set(&log, &key, &step.to_string()).await {
                    Ok(_) => _ = written.lock().insert(key, step),
                    Err(CommitError::OutcomeUnknown { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            8..11 => maintain(&store, &env, &log).await,
            11..14 => _ = log.collect_garbage().await.unwrap(),
            14 => _ = log.sweep(|_, _| false, DEADLINE).await.unwrap(),
            15..17 => log = open(&store, seed * 100 + step).await,
            17 => log.refresh(Freshness::Strict).await.unwrap(),
            // Longer than the window, and longer than the grace at times.
            _ => sleep(Duration::from_millis(env.random_below(100_000))).await,
        }
    }
}

#[test]
pub(crate) fn upkeep_beside_writers_loses_nothing() {
    for seed in 0..12 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (store, written) = (MemoryDriver::new(), Written::default());
            let actors: Vec<_> =
                (1..=4).map(|node| spawn(act(store.clone(), seed * 10 + node, written.clone()))).collect();
            for actor in actors {
                actor.await.unwrap();
            }
            let found = fresh_state(&store).await;
            for (key, least) in written.lock().iter() {
                let value: u64 = found.0.get(key).unwrap_or_else(|| panic!("{key} is lost")).parse().unwrap();
                assert!(value >= *least, "{key}: {value} instead of {least}");
            }
            // `head` is only a hint.
            let left = keys(&store).await.len();
            store.delete(&key("head")).await.unwrap();
            assert_eq!(fresh_state(&store).await, found);
            // It stays small, whatever was written.
            let log = open(&store, 9_999).await;
            log.collect_garbage().await.unwrap();
            sleep(GRACE * 2).await;
            log.collect_garbage().await.unwrap();
            let last = log.last_checkpoint().unwrap();
            let tail = log.position().0 - last.covers.0;
            assert_eq!(log.sweep(|_, _| false, DEADLINE).await.map(|_| ()).map_err(|error| error.to_string()), Ok(()));
            assert!((keys(&store).await.len() as u64) < tail + 10, "{left} objects before, a tail of {tail}");
            assert!(matches!(log.record(Seq(1)).await, Err(LogError::BelowFloor { .. })));
            assert_eq!(fresh_state(&store).await, found);
        });
    }
}
