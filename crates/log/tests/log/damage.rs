//! Objects that are not as they were written: opening gives an error that names the object, and never a wrong state.

use bucketdb_driver::{Condition, Driver, Key, MemoryDriver};
use bucketdb_log::{Freshness, LogError, OpenOptions, RecordKind, Seq};
use bytes::Bytes;
use proptest::prelude::*;

use crate::liar::{Lie, liar};
use crate::support::{
    Claims, DEADLINE, Proposal, claim, fresh_state, keys, open, open_with, quick_check, record_key, set,
};

type Objects = Vec<(Key, Bytes)>;

async fn objects_of(store: &MemoryDriver) -> Objects {
    let mut objects = Vec::new();
    for key in keys(store).await {
        let key = Key::new(key).unwrap();
        let body = store.get(&key).await.unwrap().body;
        objects.push((key, body));
    }
    objects
}

async fn store_of(objects: &Objects) -> MemoryDriver {
    let store = MemoryDriver::new();
    for (key, body) in objects {
        store.put(key, body.clone(), Condition::Always).await.unwrap();
    }
    store
}

/// Records of every kind, compressed and not.
async fn sample(lie: Lie) -> (Objects, Claims) {
    let driver = liar(&MemoryDriver::new(), lie);
    let log = open(driver.clone()).await;
    set(&log, "a", "1").await.unwrap();
    log.set_ring_size(if lie == Lie::None { 3 } else { 1 }, quick_check(), DEADLINE).await.unwrap();
    set(&log, "b", &"long ".repeat(200)).await.unwrap();
    let schema = Proposal::Schema("c".to_owned(), "catalogue".to_owned());
    log.commit(schema, Freshness::Strict, DEADLINE).await.unwrap();
    tokio::join!(claim(&log, "d", "2"), claim(&log, "e", "3")).0.unwrap();
    set(&log, "a", "4").await.unwrap();
    log.close(DEADLINE).await.unwrap();
    let state = fresh_state(&driver.store).await;
    (objects_of(&driver.store).await, state)
}

/// Reads every record from its own object: whoever opens a database does not see those that others carry.
async fn open_objects(objects: &Objects) -> Result<Claims, LogError> {
    let verifying = |options: &mut OpenOptions| (options.read_only, options.thorough) = (true, true);
    let log = open_with(store_of(objects).await, verifying).await?;
    log.read(|claims, _| claims.clone())
}

async fn assert_named(objects: &Objects, culprits: &[usize], what: &str) {
    let error = open_objects(objects).await.err().unwrap_or_else(|| panic!("{what} was not found"));
    let text = error.to_string();
    assert!(culprits.iter().any(|culprit| text.contains(objects[*culprit].0.as_str())), "{what}: {text}");
}

#[tokio::test(start_paused = true)]
async fn the_sample_has_every_kind_of_record() {
    for lie in [Lie::None, Lie::IgnoresCreateOnly] {
        let (objects, state) = sample(lie).await;
        assert_eq!(open_objects(&objects).await.unwrap(), state);
        let log = open_with(store_of(&objects).await, |options| options.read_only = true).await.unwrap();
        let mut kinds = Vec::new();
        for seq in 1..=7 {
            kinds.push(log.record(Seq(seq)).await.unwrap().unwrap().kind);
        }
        use RecordKind::{Genesis, Options, Schema, Transactions};
        assert_eq!(kinds, [Genesis, Transactions, Options, Transactions, Schema, Transactions, Transactions]);
        assert!(objects[3].1.len() < 500, "compressed");
        assert!(log.record(Seq(0)).await.unwrap().is_none() && log.record(Seq(8)).await.unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn every_flipped_byte_and_every_cut_names_its_object() {
    for lie in [Lie::None, Lie::IgnoresCreateOnly] {
        let (objects, _) = sample(lie).await;
        for (index, (key, body)) in objects.iter().enumerate() {
            for at in 0..body.len() {
                let mut flipped = body.to_vec();
                flipped[at] ^= 1 << (at % 8);
                for (spoilt, what) in [(Bytes::from(flipped), "flipped"), (body.slice(..at), "cut")] {
                    let mut objects = objects.clone();
                    objects[index].1 = spoilt;
                    assert_named(&objects, &[index], &format!("{key} {what} at {at}")).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn swapped_copied_and_foreign_records_are_named() {
    for lie in [Lie::None, Lie::IgnoresCreateOnly] {
        let (objects, _) = sample(lie).await;
        let (foreign, _) = sample(lie).await;
        for first in 0..objects.len() {
            for second in 0..objects.len() {
                if first == second {
                    continue;
                }
                let mut copied = objects.clone();
                copied[first].1 = objects[second].1.clone();
                assert_named(&copied, &[first], "a copy").await;
                copied[second].1 = objects[first].1.clone();
                assert_named(&copied, &[first, second], "a swap").await;
            }
            if first > 0 {
                let mut mixed = objects.clone();
                mixed[first].1 = foreign[first].1.clone();
                assert_named(&mixed, &[first], "another database's record").await;
            }
        }
        // Another database's first record: then the second is the one that does not fit.
        let mut mixed = objects.clone();
        mixed[0].1 = foreign[0].1.clone();
        assert_named(&mixed, &[0, 1], "another database's first record").await;
    }
}

#[tokio::test(start_paused = true)]
async fn deleted_records_are_named_and_only_the_newest_can_vanish_unseen() {
    let (objects, _) = sample(Lie::None).await;
    let last = objects.len() - 1;
    for index in 0..last {
        let mut holed = objects.clone();
        let (key, _) = holed.remove(index);
        let error = open_objects(&holed).await.unwrap_err();
        assert!(error.to_string().contains(key.as_str()), "{error}");
    }
    let mut cut = objects.clone();
    cut.pop();
    assert!(open_objects(&cut).await.is_ok(), "a fresh opener cannot know of it");
    // Nor is the state of one that knew it wrong: it goes on behind the hole, which the next opener names.
    let store = store_of(&objects).await;
    let log = open(store.clone()).await;
    let newest = record_key(log.position().0);
    store.delete(&newest).await.unwrap();
    set(&log, "z", "1").await.unwrap();
    let error = open_with(store, |_| {}).await.unwrap_err();
    assert!(matches!(&error, LogError::Missing { object, .. } if object == newest.as_str()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_copy_under_another_position_or_session_is_no_record() {
    let (objects, _) = sample(Lie::None).await;
    let mut longer = objects.clone();
    longer.push((record_key(8), objects[6].1.clone()));
    assert_named(&longer, &[7], "a copy behind the end").await;

    let (mut objects, _) = sample(Lie::IgnoresCreateOnly).await;
    let twin = Key::new(format!("db/log/{:020}-{:032x}", 4, 7)).unwrap();
    objects.push((twin, objects[3].1.clone()));
    let error = open_objects(&objects).await.unwrap_err();
    assert!(matches!(error, LogError::Forked { seq: Seq(4), .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_open_handle_says_what_is_damaged_and_goes_on_once_it_is_repaired() {
    let store = MemoryDriver::new();
    let reader = open(store.clone()).await;
    let writer = open(store.clone()).await;
    set(&writer, "a", "1").await.unwrap();
    let good = store.get(&record_key(2)).await.unwrap().body;
    store.put(&record_key(2), Bytes::new(), Condition::Always).await.unwrap();
    let read = reader.refresh(Freshness::Strict).await.unwrap_err().to_string();
    let written = set(&reader, "b", "1").await.unwrap_err();
    assert!(read.contains(record_key(2).as_str()), "{read}");
    assert!(matches!(written, bucketdb_log::CommitError::OutcomeUnknown { slot: Seq(2), .. }), "{written:?}");
    store.put(&record_key(2), good, Condition::Always).await.unwrap();
    assert_eq!(set(&reader, "b", "1").await.unwrap().seq, Seq(3));
    assert_eq!(fresh_state(&store).await.0.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_damage_gives_a_wrong_state(
        lie in prop::sample::select(vec![Lie::None, Lie::IgnoresCreateOnly]),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (mut objects, state) = sample(lie).await;
            let whole = objects.clone();
            for (which, place, wound) in wounds {
                let index = which.index(objects.len());
                let mut bytes = objects[index].1.to_vec();
                let at = place.index(bytes.len().max(1));
                match wound % 4 {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, wound),
                    2 => bytes.extend_from_slice(&[wound; 3]),
                    _ => bytes.iter_mut().skip(at).take(5).for_each(|byte| *byte ^= wound | 1),
                }
                objects[index].1 = bytes.into();
            }
            match open_objects(&objects).await {
                Ok(found) => {
                    prop_assert_eq!(found, state);
                    prop_assert_eq!(objects, whole, "damage went unseen");
                }
                Err(error) => prop_assert!(error.to_string().contains("db/log/"), "{}", error),
            }
            Ok(())
        })?;
    }
}
