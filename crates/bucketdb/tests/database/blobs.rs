//! Blobs: uploaded, referred to, read, refused.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bucketdb::{
    Blob, Condition, Database, Document, Driver, DriverError, Duplicates, ETag, Error, ErrorKind, Fault, FaultDriver,
    FileDriver, Freshness, Key, MemoryDriver, Object, Operation, Page,
};
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{Skipping, in_memory, metered, on, open, within};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "photos")]
struct Photo {
    #[document(key)]
    id: u64,
    image: Blob,
    preview: Option<Blob>,
    others: Vec<Blob>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "letters")]
struct Letter {
    #[document(key)]
    id: u64,
    scan: Option<Blob>,
}

fn photo(id: u64, image: Blob) -> Photo {
    Photo { id, image, preview: None, others: Vec::new() }
}

fn content(len: usize) -> Bytes {
    (0..len).map(|at| (at * 31 / 7) as u8).collect()
}

async fn blob_objects(driver: &dyn Driver) -> usize {
    driver.list("db/blob/", None).await.unwrap().objects.len()
}

/// Uploads that many bytes in each way, and reads them in each.
async fn round_trip(db: &Database, len: usize, folder: &Path) {
    let (content, file) = (content(len), folder.join("content"));
    std::fs::write(&file, &content).unwrap();
    let pieces: Vec<Result<Bytes, String>> =
        content.chunks(700_001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let blobs = db.blobs();
    let image = blobs.upload(content.clone()).await.unwrap();
    let preview = blobs.upload_file(&file).await.unwrap();
    let other = blobs.upload_stream(stream::iter(pieces)).await.unwrap();
    let photos = db.table::<Photo>().await.unwrap();
    let written = Photo { id: len as u64, image, preview: Some(preview), others: vec![other] };
    photos.put(&written).await.unwrap();
    assert_eq!(photos.get(len as u64).await.unwrap(), Some(written));
    for blob in [image, preview, other] {
        assert_eq!(
            (blob.len(), blob.is_empty(), blob.hash()),
            (len as u64, len == 0, *blake3::hash(&content).as_bytes())
        );
        let reader = blobs.open(&blob).unwrap();
        assert_eq!(reader.bytes().await.unwrap(), content);
        let parts: Vec<Bytes> = reader.stream().try_collect().await.unwrap();
        assert_eq!(parts.concat(), content);
        let middle = len as u64 / 2;
        for range in [0..0, 0..1, middle..middle + 10, 0..u64::MAX, middle..u64::MAX, len as u64 + 5..u64::MAX] {
            let expected = &content[(range.start as usize).min(len)..(range.end.min(len as u64)) as usize];
            assert_eq!(reader.range(range.clone()).await.unwrap(), expected, "{range:?}");
        }
    }
}

#[tokio::test]
async fn blobs_of_any_length_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (in_files, in_memory) = (open(FileDriver::new(folder.path().join("db")).unwrap()).await, in_memory().await);
    for len in [0, 1, 4 << 20, (5 << 20) - 1, 5 << 20, (5 << 20) + 1, (8 << 20) + 1] {
        round_trip(&in_files, len, folder.path()).await;
        round_trip(&in_memory, len, folder.path()).await;
    }
}

/// A store that takes a long stream without a condition only, as those do which ignore one at the end of an upload in parts.
#[derive(Clone, Debug)]
struct UnconditionalStreams(MemoryDriver);

#[async_trait]
impl Driver for UnconditionalStreams {
    async fn get(&self, key: &Key) -> Result<Object, DriverError> {
        self.0.get(key).await
    }
    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag, DriverError> {
        self.0.put(key, body, condition).await
    }
    async fn delete(&self, key: &Key) -> Result<(), DriverError> {
        self.0.delete(key).await
    }
    async fn list(&self, prefix: &str, next: Option<&str>) -> Result<Page, DriverError> {
        self.0.list(prefix, next).await
    }
    async fn put_stream(
        &self,
        key: &Key,
        pieces: BoxStream<'_, Result<Bytes, DriverError>>,
        condition: Condition,
    ) -> Result<ETag, DriverError> {
        if condition == Condition::Always {
            return self.0.put_stream(key, pieces, condition).await;
        }
        Err(DriverError::new(ErrorKind::Unsupported, Operation::Put, key.as_str(), "not of a stream"))
    }
}

#[tokio::test]
async fn long_blobs_need_no_condition_on_a_stream_and_overwrite_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = UnconditionalStreams(MemoryDriver::new());
    let db = open(store.clone()).await;
    round_trip(&db, (8 << 20) + 1, folder.path()).await;
    // Somebody else has the first two names that are drawn, as a copy of this machine would.
    let taken = Arc::new(Mutex::new(Vec::new()));
    let (others, known) = (store.clone(), taken.clone());
    let copied = FaultDriver::new(store.clone(), move |operation, key| {
        let mut known = known.lock().unwrap();
        if operation == Operation::Put && key.starts_with("db/blob/") && known.len() < 2 {
            let key = Key::new(key).unwrap();
            let put = others.put(&key, Bytes::from_static(b"of a copy"), Condition::Always);
            put.now_or_never().unwrap().unwrap();
            known.push(key);
        }
        Fault::None
    });
    let db = open(copied).await;
    let long = content((8 << 20) + 1);
    let blob = db.blobs().upload(long.clone()).await.unwrap();
    assert_eq!(db.blobs().open(&blob).unwrap().bytes().await.unwrap(), long);
    let taken = taken.lock().unwrap().clone();
    assert_eq!(taken.len(), 2);
    for key in taken {
        assert_eq!(store.get(&key).await.unwrap().body, "of a copy");
    }
}

/// How much memory the process has, and had at most, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Takes a gigabyte on the disk, and is about the memory of the whole process: run it alone.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "it takes a gigabyte on the disk, and is to run alone"]
async fn a_large_blob_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(FileDriver::new(folder.path().join("db")).unwrap()).await;
    let piece = content(1 << 20);
    let pieces = stream::iter((0..1024).map(|_| Ok::<_, String>(piece.clone())));
    let image = db.blobs().upload_stream(pieces).await.unwrap();
    db.table::<Photo>().await.unwrap().put(&photo(1, image)).await.unwrap();
    let mut parts = std::pin::pin!(db.blobs().open(&image).unwrap().stream());
    let mut len = 0;
    while let Some(part) = parts.next().await {
        len += part.unwrap().len();
    }
    let peak = peak_memory();
    println!("{len} bytes, {} MiB at most", peak >> 20);
    assert_eq!(len, 1 << 30);
    assert!(peak < 200 << 20, "{peak}");
}

#[tokio::test]
async fn a_blob_belongs_to_one_document() {
    let db = in_memory().await;
    let (photos, letters) = (db.table::<Photo>().await.unwrap(), db.table::<Letter>().await.unwrap());
    let image = db.blobs().upload("one").await.unwrap();
    photos.insert(&photo(1, image)).await.unwrap();
    let taken = |outcome: Result<_, Error>, id: &str, of: &str| match outcome {
        Err(Error::BlobTaken { blob, table, key, holder_table, holder }) => {
            assert_eq!((*blob, table.as_str(), key.as_str()), (image, of, id));
            assert_eq!((holder_table.as_str(), holder.as_str()), ("photos", "1"));
        }
        outcome => unreachable!("{outcome:?}"),
    };
    for _ in 0..2 {
        taken(photos.put(&photo(2, image)).await, "2", "photos");
        taken(letters.insert(&Letter { id: 7, scan: Some(image) }).await, "7", "letters");
        let mut batch = db.batch();
        batch.delete::<Photo>(1).unwrap();
        batch.put(&photo(3, image)).unwrap();
        taken(batch.commit().await, "3", "photos");
        // It may be written again as often as one likes, with the next one beside it.
        let preview = db.blobs().upload("two").await.unwrap();
        photos.put(&Photo { preview: Some(preview), ..photo(1, image) }).await.unwrap();
        photos.update(1, |photo| photo.others = vec![]).await.unwrap();
        db.transact(async |tx| tx.update::<Photo>(1, |photo| photo.preview = None).await).await.unwrap();
        Box::pin(db.checkpoint()).await.unwrap();
    }
    let twice = db.blobs().upload("twice").await.unwrap();
    let mut batch = db.batch();
    batch.put(&photo(4, twice)).unwrap();
    batch.put(&photo(5, twice)).unwrap();
    assert!(matches!(batch.commit().await, Err(Error::BlobTaken { .. })));
    // Of a document that is not left, nothing counts.
    let mut batch = db.batch();
    batch.put(&photo(4, twice)).unwrap();
    batch.delete::<Photo>(4).unwrap();
    batch.put(&photo(5, twice)).unwrap();
    batch.commit().await.unwrap();
}

#[tokio::test]
async fn two_processes_that_claim_a_blob_at_once_do_not_both_get_it() {
    let store = MemoryDriver::new();
    let (one, two) = (open(store.clone()).await, open(store.clone()).await);
    for round in 0..20 {
        let image = one.blobs().upload("raced for").await.unwrap();
        let (mine, yours) = (photo(2 * round, image), photo(2 * round + 1, image));
        let (mine, yours) = tokio::join!(put(&one, &mine), put(&two, &yours));
        assert!(mine.is_ok() != yours.is_ok(), "{mine:?} {yours:?}");
        let refused = mine.and(yours).unwrap_err();
        assert!(matches!(refused, Error::BlobTaken { .. }), "{refused}");
        // Two that write the same are no conflict.
        let image = one.blobs().upload("agreed on").await.unwrap();
        let same = photo(1_000 + round, image);
        let (mine, yours) = tokio::join!(put(&one, &same), put(&two, &same));
        mine.and(yours).unwrap();
    }
}

async fn put(db: &Database, photo: &Photo) -> bucketdb::Result<()> {
    db.table::<Photo>().await?.put(photo).await.map(|_| ())
}

#[tokio::test]
async fn what_was_damaged_is_found() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let bytes = content(9 << 20);
    let image = db.blobs().upload(bytes.clone()).await.unwrap();
    let reader = db.blobs().open(&image).unwrap();
    let key = store.list("db/blob/", None).await.unwrap().objects[0].key.clone();
    let mut other = bytes.to_vec();
    other[8 << 20] ^= 1;
    for (body, reason) in [(other.clone(), "hash"), (other[1..].to_vec(), "length"), (Vec::new(), "length")] {
        within(store.clone()).put(&key, body.into(), Condition::Always).await.unwrap();
        let error = reader.bytes().await.unwrap_err();
        assert!(matches!(&error, Error::BlobDamaged { blob, .. } if *blob == image), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        let parts: Vec<_> = reader.stream().collect().await;
        assert!(parts.iter().any(Result::is_err));
        assert!(parts.iter().flatten().map(Bytes::len).sum::<usize>() < bytes.len(), "the last part is kept back");
    }
    store.delete(&key).await.unwrap();
    assert!(matches!(reader.bytes().await, Err(Error::BlobGone { blob }) if blob == image));
}

#[tokio::test]
async fn verification_reads_every_blob() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let photos = db.table::<Photo>().await.unwrap();
    for id in 0..3 {
        let image = db.blobs().upload(content(1000 + id)).await.unwrap();
        photos.put(&photo(id as u64, image)).await.unwrap();
    }
    let verify = async || db.verify(|_| {}).await.unwrap();
    let found = verify().await;
    assert!(found.is_clean() && (found.blobs, found.blob_bytes) == (3, 3003), "{found:?}");
    let objects = store.list("db/blob/", None).await.unwrap().objects;
    store.delete(&objects[0].key).await.unwrap();
    let other = Bytes::from(vec![0; 1001]);
    within(store.clone()).put(&objects[1].key, other, Condition::Always).await.unwrap();
    let found = verify().await;
    let whats: Vec<&str> = found.findings.iter().map(|finding| finding.what.as_str()).collect();
    assert!(whats.len() == 2 && whats.iter().all(|what| what.starts_with("document ")), "{whats:?}");
    for id in 0..2 {
        photos.delete(&id).await.unwrap();
    }
    assert_eq!(
        (verify().await.findings, verify().await.blobs),
        (Vec::new(), 1),
        "nobody refers to the others any more"
    );
}

#[tokio::test]
async fn what_cannot_be_uploaded_leaves_nothing() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let pieces = stream::iter([Ok(Bytes::from("a")), Err("the tape tore")]);
    let error = db.blobs().upload_stream(pieces).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot upload the blob: the tape tore");
    let pieces = stream::iter([Ok(content((8 << 20) + 1)), Err("the tape tore late")]);
    let error = db.blobs().upload_stream(pieces).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot upload the blob: the tape tore late");
    let error = db.blobs().upload_file("no such file").await.unwrap_err();
    assert!(matches!(&error, Error::BlobSource { reason } if reason.contains("no such file")), "{error}");
    assert_eq!(blob_objects(&store).await, 0);
}

#[tokio::test]
async fn blobs_of_other_databases_are_told_apart() {
    let (db, other) = (in_memory().await, in_memory().await);
    let foreign = other.blobs().upload("elsewhere").await.unwrap();
    assert!(matches!(db.blobs().open(&foreign), Err(Error::ForeignBlob { .. })));
    assert!(matches!(db.blobs().url(&foreign, Duration::from_secs(1)).await, Err(Error::ForeignBlob { .. })));
    // It is a text as any other.
    let things = db.collection("things");
    for id in [1, 2] {
        things.put(&json!({"id": id, "text": foreign})).await.unwrap();
    }
    let own = db.blobs().upload("here").await.unwrap();
    match db.blobs().url(&own, Duration::from_secs(60)).await.unwrap_err() {
        Error::Log(bucketdb::LogError::Driver(error)) => assert_eq!(error.kind(), ErrorKind::Unsupported),
        error => unreachable!("{error}"),
    }
}

#[tokio::test]
async fn a_bulk_load_refuses_them() {
    let db = in_memory().await;
    let image = db.blobs().upload("x").await.unwrap();
    db.collection("things").put(&json!({"id": 3})).await.unwrap();
    let mut load = db.collection("things").bulk_load(Duplicates::Fail).await.unwrap();
    let error = load.add_value(&json!({"id": 1, "deep": [{"file": image}]})).await.unwrap_err();
    assert!(matches!(error, Error::InvalidDocument { .. }), "{error}");
    load.add_value(&json!({"id": 2})).await.unwrap();
    load.finish().await.unwrap();
    assert_eq!(db.collection("things").query().count().await.unwrap(), 2);
}

#[tokio::test]
async fn a_commit_that_fails_after_its_upload_leaves_nothing_behind_a_sweep() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let photos = db.table::<Photo>().await.unwrap();
    let image = db.blobs().upload("first").await.unwrap();
    photos.insert(&photo(1, image)).await.unwrap();
    let late = db.blobs().upload("second").await.unwrap();
    assert!(matches!(photos.insert(&photo(1, late)).await, Err(Error::AlreadyExists { .. })));
    // What is named from the sweep's position on is spared: something has to come behind it.
    photos.put(&photo(2, db.blobs().upload("third").await.unwrap())).await.unwrap();
    assert_eq!(blob_objects(&store).await, 3);
    let report = db.sweep().await.unwrap();
    assert_eq!((report.removed, blob_objects(&store).await), (1, 2));
    assert!(matches!(photos.put(&photo(3, late)).await, Err(Error::BlobExpired { blob }) if blob == late));
    assert_eq!(db.blobs().open(&image).unwrap().bytes().await.unwrap(), "first");
}

#[tokio::test]
async fn a_long_upload_is_spared_by_a_sweep_that_comes_in_between() {
    let store = MemoryDriver::new();
    let (db, other) = (open(store.clone()).await, open(store.clone()).await);
    let photos = db.table::<Photo>().await.unwrap();
    photos.put(&photo(1, db.blobs().upload("first").await.unwrap())).await.unwrap();
    let piece = content(3 << 20);
    let pieces = stream::iter(0..6).then(|at| {
        let (other, piece) = (other.clone(), piece.clone());
        async move {
            if at == 4 {
                other.refresh(Freshness::Strict).await.unwrap();
                other.sweep().await.unwrap();
            }
            Ok::<_, String>(piece)
        }
    });
    let image = db.blobs().upload_stream(pieces).await.unwrap();
    photos.put(&photo(2, image)).await.unwrap();
    assert_eq!(db.blobs().open(&image).unwrap().bytes().await.unwrap().len(), 18 << 20);
    // It spares nothing any more, nor does one that was given up.
    let failing = stream::iter((0..6).map(|at| if at < 5 { Ok(piece.clone()) } else { Err("torn") }));
    db.blobs().upload_stream(failing).await.unwrap_err();
    db.blobs().upload("an orphan").await.unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    db.sweep().await.unwrap();
    assert_eq!(blob_objects(&store).await, 2);
}

#[tokio::test]
async fn a_blob_goes_with_the_document_that_ended() {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let builder = on(store.clone()).environment(clock.clone()).staleness(Duration::ZERO);
    let db = builder.grace(Duration::from_secs(1_800)).open().await.unwrap();
    let things = db.collection("things");
    things.put(&json!({"id": 0})).await.unwrap();
    things.set_ttl(Some("ends")).await.unwrap();
    let now_s = bucketdb::Environment::wall_clock(&clock).0 / 1_000;
    let (short, long) = (db.blobs().upload("short").await.unwrap(), db.blobs().upload("long").await.unwrap());
    things.put(&json!({"id": 1, "ends": now_s + 60, "file": short})).await.unwrap();
    things.put(&json!({"id": 2, "ends": now_s + 900_000, "file": long})).await.unwrap();
    clock.skip(120);
    db.sweep().await.unwrap();
    Box::pin(db.checkpoint()).await.unwrap();
    // It is not seen any more, but could be by another field.
    assert_eq!(db.blobs().open(&short).unwrap().bytes().await.unwrap(), "short");
    for _ in 0..4 {
        clock.skip(4_000);
        things.put(&json!({"id": 3})).await.unwrap();
        Box::pin(db.compact()).await.unwrap();
        db.sweep().await.unwrap();
        db.refresh(Freshness::Strict).await.unwrap();
        db.collect_garbage().await.unwrap();
    }
    assert!(matches!(db.blobs().open(&short).unwrap().bytes().await, Err(Error::BlobGone { .. })));
    assert_eq!(db.blobs().open(&long).unwrap().bytes().await.unwrap(), "long");
}

#[tokio::test]
async fn a_document_with_a_blob_takes_one_put_more() {
    let store = MemoryDriver::new();
    let meter = metered(&store);
    let db = open(meter.clone()).await;
    let photos = db.table::<Photo>().await.unwrap();
    let mut before = meter.usage();
    let image = db.blobs().upload("a").await.unwrap();
    photos.put(&photo(1, image)).await.unwrap();
    let used = meter.usage() - before;
    assert_eq!((used.requests(Operation::Put), used.total_requests()), (2, 2));
    before = meter.usage();
    photos.put(&photo(1, image)).await.unwrap();
    let used = meter.usage() - before;
    assert_eq!(used.total_requests(), 1);
    // Nobody sees where it stands whom blobs belong to.
    assert_eq!(db.stats().unwrap().tables.len(), 1);
    let mut feed = db.watch(bucketdb::Since::Beginning).await.unwrap();
    let mut changes = 0;
    while let Some(change) = feed.try_next().await.unwrap() {
        assert_eq!(change.table, "photos");
        changes += 1;
    }
    assert_eq!(changes, 2);
}
