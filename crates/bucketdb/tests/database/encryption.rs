//! What whoever can read the bucket learns of an encrypted database, and what its keys do.

use bucketdb::{
    Condition, Database, DatabaseBuilder, Driver, Duplicates, EncryptionKey, EncryptionKeys, Error, Freshness, Key,
    MemoryDriver, RekeyReport,
};
use serde_json::json;

use crate::support::{self, Order, on, open, order};

fn secret(number: u8) -> EncryptionKey {
    EncryptionKey::from_bytes([number; 32])
}

fn only(number: u8) -> EncryptionKeys {
    EncryptionKeys::new(secret(number))
}

fn with(store: &MemoryDriver, keys: EncryptionKeys) -> DatabaseBuilder {
    on(store.clone()).encryption(keys)
}

/// A builder without a key, whatever the other tests use.
fn in_the_clear(store: &MemoryDriver) -> DatabaseBuilder {
    Database::builder().driver(store.clone()).prefix("db")
}

async fn objects(store: &MemoryDriver) -> Vec<(Key, Vec<u8>)> {
    let mut objects = Vec::new();
    for listed in store.list("", None).await.unwrap().objects {
        let body = store.get(&listed.key).await.unwrap().body.to_vec();
        objects.push((listed.key, body));
    }
    objects
}

/// Words that stand in tables, fields, keys, values, indexes and names of snapshots.
const WORDS: [&str; 9] = [
    "gemstones",
    "carat_weight",
    "settings.metal",
    "ruby-of-burma",
    "palladium",
    "fluorescence",
    "before-the-auction",
    "owner_notes",
    "kept in the vault of Zurich",
];

/// Fills a database with them, in records, runs, manifests and `head`.
async fn fill(db: &Database) {
    let gems = db.collection("gemstones");
    for number in 0..50 {
        let gem = json!({
            "id": format!("ruby-of-burma-{number}"),
            "carat_weight": number,
            "settings": {"metal": "palladium"},
            "fluorescence": number % 3 == 0,
            "owner_notes": "kept in the vault of Zurich",
        });
        gems.put(&gem).await.unwrap();
    }
    gems.create_index("settings.metal, carat_weight desc").await.unwrap();
    db.create_snapshot("before-the-auction").await.unwrap();
    db.checkpoint().await.unwrap();
    let mut load = gems.bulk_load(Duplicates::Replace).await.unwrap();
    for number in 40..90 {
        load.add_value(&json!({"id": format!("ruby-of-burma-{number}"), "owner_notes": "palladium"})).await.unwrap();
    }
    load.finish().await.unwrap();
    gems.delete(&json!("ruby-of-burma-3")).await.unwrap();
    db.compact().await.unwrap();
    db.checkpoint().await.unwrap();
    gems.put(&json!({"id": "ruby-of-burma-3", "fluorescence": true})).await.unwrap();
    db.close().await.unwrap();
}

fn found(objects: &[(Key, Vec<u8>)]) -> Vec<&'static str> {
    let holds =
        |word: &str| objects.iter().any(|(_, body)| body.windows(word.len()).any(|part| part == word.as_bytes()));
    WORDS.into_iter().filter(|word| holds(word)).collect()
}

#[tokio::test]
async fn nothing_of_the_documents_is_in_any_object() {
    let (clear, sealed) = (MemoryDriver::new(), MemoryDriver::new());
    fill(&in_the_clear(&clear).open().await.unwrap()).await;
    fill(&with(&sealed, only(1)).open().await.unwrap()).await;
    let (clear, sealed) = (objects(&clear).await, objects(&sealed).await);
    assert_eq!(found(&clear), WORDS, "the search finds what is in the clear");
    for folder in ["db/head", "db/log/", "db/manifest/", "db/run/"] {
        assert!(sealed.iter().any(|(key, _)| key.as_str().starts_with(folder)), "{folder}");
    }
    assert_eq!(found(&sealed), [""; 0]);
    // Neither do bytes of the format show.
    for magic in ["BKDB", "BKHD", "BKMF", "BKRN"] {
        let shows = |objects: &[(Key, Vec<u8>)]| {
            objects
                .iter()
                .filter(|(_, body)| body.starts_with(magic.as_bytes()) || body.ends_with(magic.as_bytes()))
                .count()
        };
        assert_eq!(shows(&sealed), 0, "{magic}");
    }
    assert!(sealed.iter().all(|(_, body)| body.starts_with(b"BKSL")));
}

#[tokio::test]
async fn each_way_to_open_a_database_wrongly_is_an_error_of_its_own_and_changes_nothing() {
    let (clear, sealed) = (MemoryDriver::new(), MemoryDriver::new());
    for (db, has_checkpoint) in [
        (in_the_clear(&clear).open().await.unwrap(), true),
        (with(&sealed, only(1)).open().await.unwrap(), false),
        (with(&sealed, only(1)).open().await.unwrap(), true),
    ] {
        db.collection("a").put(&json!({"id": 1})).await.unwrap();
        if has_checkpoint {
            db.checkpoint().await.unwrap();
        }
        db.close().await.unwrap();
        let before = (objects(&clear).await, objects(&sealed).await);
        if !before.1.is_empty() {
            let without = in_the_clear(&sealed).open().await.unwrap_err();
            assert!(matches!(&without, Error::Encrypted { object } if object.starts_with("db/log/")), "{without}");
            assert!(without.to_string().contains("open the database with its key"), "{without}");
            let wrong = with(&sealed, only(2)).open().await.unwrap_err().to_string();
            let key = secret(1).id().to_string();
            assert!(
                wrong.contains("get of db/log/") && wrong.contains("encrypted with the key") && wrong.contains(&key),
                "{wrong}"
            );
        }
        let needless = with(&clear, only(1)).open().await.unwrap_err().to_string();
        assert!(needless.contains("get of db/log/") && needless.contains("is not encrypted"), "{needless}");
        assert!(needless.contains("without a key"), "{needless}");
        assert_eq!((objects(&clear).await, objects(&sealed).await), before);
    }
}

#[tokio::test]
async fn the_key_is_changed_while_others_write() {
    let store = MemoryDriver::new();
    let old = with(&store, only(1).with_earlier(secret(2))).open().await.unwrap();
    fill_orders(&old, 0..40).await;
    old.checkpoint().await.unwrap();
    fill_orders(&old, 40..60).await;
    let new = with(&store, only(2).with_earlier(secret(1))).open().await.unwrap();
    // A writer with the old key, one with the new key, checkpoints and the change of keys, all at once.
    let rekeying = async { new.rekey(|_| ()).await.unwrap() };
    let writing = async {
        fill_orders(&old, 60..90).await;
        old.checkpoint().await.unwrap();
    };
    let (during, (), ()) = tokio::join!(rekeying, writing, fill_orders(&new, 90..120));
    assert!(during.rewritten > 0, "{during:?}");
    old.close().await.unwrap();
    drop(old);
    let rest = new.rekey(|_| ()).await.unwrap();
    assert!(rest.objects >= 120, "{rest:?}");
    let nothing_left = new.rekey(|_| ()).await.unwrap();
    assert_eq!((nothing_left.rewritten, nothing_left.removed), (0, 0));
    assert_eq!(orders_of(&new).await, 120);
    new.close().await.unwrap();

    let after = with(&store, only(2)).open().await.unwrap();
    assert_eq!(orders_of(&after).await, 120);
    let verification = after.verify(|_| ()).await.unwrap();
    assert!(verification.is_clean(), "{:?}", verification.findings);
    assert!(with(&store, only(1)).open().await.is_err());
}

async fn fill_orders(db: &Database, numbers: std::ops::Range<u64>) {
    let orders = db.table::<Order>().await.unwrap();
    for number in numbers {
        orders.put(&order("shop", number, 1)).await.unwrap();
    }
}

async fn orders_of(db: &Database) -> u64 {
    let orders = db.table::<Order>().await.unwrap().with_freshness(Freshness::Strict);
    orders.query().count().await.unwrap()
}

#[tokio::test]
async fn a_key_is_changed_only_where_there_is_one_and_who_may_write() {
    let store = MemoryDriver::new();
    in_the_clear(&store).open().await.unwrap();
    let clear = in_the_clear(&store).open().await.unwrap();
    assert!(matches!(clear.rekey(|_| ()).await, Err(Error::NotEncrypted)));
    let store = MemoryDriver::new();
    with(&store, only(1)).open().await.unwrap();
    let reader = with(&store, only(2).with_earlier(secret(1))).read_only(true).open().await.unwrap();
    assert!(reader.rekey(|_| ()).await.unwrap_err().to_string().contains("read-only"));
    let writer = with(&store, only(1)).open().await.unwrap();
    let report = writer.rekey(|_| ()).await.unwrap();
    assert_eq!(report, RekeyReport { objects: report.objects, rewritten: 0, removed: 0 });
}

#[tokio::test]
async fn blobs_are_encrypted_and_change_their_key_too() {
    let store = MemoryDriver::new();
    let db = with(&store, only(2).with_earlier(secret(1))).open().await.unwrap();
    let old = with(&store, only(1)).open().await;
    assert!(old.is_err(), "the database was created with the other key");
    let content: Vec<u8> = (0..200_000_u32).flat_map(|number| format!("{number},").into_bytes()).collect();
    let blob = db.blobs().upload(content.clone()).await.unwrap();
    let sealed = objects(&store).await;
    let (key, body) = sealed.iter().find(|(key, _)| key.as_str().starts_with("db/blob/")).unwrap();
    assert!(body.starts_with(b"BKSL") && !body.windows(12).any(|part| part == b"12345,12346,"));
    let next = with(&store, only(3).with_earlier(secret(2))).open().await.unwrap();
    assert!(next.rekey(|_| ()).await.unwrap().rewritten >= 2);
    let after = with(&store, only(3)).open().await.unwrap();
    assert_eq!(after.blobs().open(&blob).unwrap().bytes().await.unwrap(), content);

    let mut changed = store.get(key).await.unwrap().body.to_vec();
    changed[700_000] ^= 1;
    store.put(key, changed.into(), Condition::Always).await.unwrap();
    let error = after.blobs().open(&blob).unwrap().bytes().await.unwrap_err();
    assert!(matches!(&error, Error::BlobDamaged { reason, .. } if reason.contains("chunk 42")), "{error}");
}

#[tokio::test]
async fn a_copy_elsewhere_opens_with_the_same_key() {
    let store = MemoryDriver::new();
    fill(&with(&store, only(1)).open().await.unwrap()).await;
    for (key, body) in objects(&store).await {
        let copy = Key::new(key.as_str().replacen("db/", "copies/monday/", 1)).unwrap();
        store.put(&copy, body.into(), Condition::IfAbsent).await.unwrap();
    }
    let copy = with(&store, only(1)).prefix("copies/monday").open().await.unwrap();
    assert_eq!(copy.collection("gemstones").query().count().await.unwrap(), 90);
}

/// Without this, a second run of all tests could be the first one again.
#[tokio::test]
async fn the_second_run_of_the_tests_is_encrypted() {
    let store = MemoryDriver::new();
    open(store.clone()).await.collection("a").put(&json!({"id": 1})).await.unwrap();
    let is_sealed = objects(&store).await.iter().all(|(_, body)| body.starts_with(b"BKSL"));
    assert_eq!(is_sealed, support::keys().is_some());
}
