//! The file driver beyond what every driver must do: names on disk, foreign files, a store that goes away.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panics")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bucketdb_driver::{Condition, Driver, DriverError, ErrorKind, FileDriver, Key};
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use proptest::prelude::*;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn put(store: &FileDriver, name: &str, body: &str) {
    store.put(&key(name), body.to_owned().into(), Condition::Always).await.unwrap();
}

async fn all_keys(store: &FileDriver, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut page = store.list(prefix, None).await.unwrap();
    loop {
        assert!(page.objects.len() <= 1000);
        keys.extend(page.objects.into_iter().map(|listed| listed.key.to_string()));
        let Some(next) = page.next else { return keys };
        page = store.list(prefix, Some(&next)).await.unwrap();
    }
}

fn temporary_files(root: &Path) -> usize {
    root.join(".bucketdb/tmp").read_dir().unwrap().count()
}

#[tokio::test]
async fn objects_are_files_with_readable_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    put(&store, "prod/log/00000000000000000001", "hello").await;
    let file = fs::read(folder.path().join("prod/log/00000000000000000001.object")).unwrap();
    assert!(file.starts_with(b"hellobktobj01"), "the body stands first: {file:?}");
    assert_eq!(file.len(), 5 + 32);
}

#[tokio::test]
async fn a_store_survives_reopening_with_its_etags() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    put(&store, "a", "1").await;
    let before = store.get(&key("a")).await.unwrap();
    drop(store);
    let store = FileDriver::new(folder.path()).unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), before);
    store.put(&key("a"), "2".into(), Condition::IfMatch(before.etag)).await.unwrap();
}

#[tokio::test]
async fn a_reader_keeps_the_version_that_it_opened() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    let old = Bytes::from(vec![1; 3 << 20]);
    store.put(&key("a"), old.clone(), Condition::Always).await.unwrap();
    let mut pieces = store.get_stream(&key("a")).await.unwrap();
    let mut read = pieces.next().await.unwrap().unwrap().to_vec();
    put(&store, "a", "new").await;
    store.delete(&key("a")).await.unwrap();
    while let Some(piece) = pieces.next().await {
        read.extend_from_slice(&piece.unwrap());
    }
    assert!(read == old);
}

#[tokio::test]
async fn opening_removes_the_files_of_dead_writers_and_spares_the_living() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    let (mut sender, pieces) = mpsc::channel(0);
    let writer = {
        let store = store.clone();
        async move { store.put_stream(&key("living"), pieces.boxed(), Condition::IfAbsent).await }
    };
    let opener = async move {
        sender.send(Ok(Bytes::from_static(b"half "))).await.unwrap();
        fs::write(folder.path().join(".bucketdb/tmp/1-dead"), "left by a killed process").unwrap();
        assert_eq!(temporary_files(folder.path()), 2);
        FileDriver::new(folder.path()).unwrap();
        assert_eq!(temporary_files(folder.path()), 1, "only the dead writer's is gone");
        sender.send(Ok(Bytes::from_static(b"done"))).await.unwrap();
        folder
    };
    let (written, folder) = futures::join!(writer, opener);
    written.unwrap();
    assert_eq!(temporary_files(folder.path()), 0);
    assert_eq!(store.get(&key("living")).await.unwrap().body, "half done");
}

#[tokio::test]
async fn a_writer_that_goes_away_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    let (mut sender, pieces) = mpsc::channel(0);
    let abandoned = key("a");
    let mut writer = Box::pin(store.put_stream(&abandoned, pieces.boxed(), Condition::Always));
    let half = async {
        sender.send(Ok(Bytes::from_static(b"half"))).await.unwrap();
        sender.send(Ok(Bytes::from_static(b"more"))).await.unwrap();
    };
    futures::future::select(&mut writer, Box::pin(half)).await;
    drop(writer);
    // A blocking thread may still be at the last piece; the file goes with it.
    let turns = (0..1_000_000).find(|_| temporary_files(folder.path()) == 0);
    assert!(turns.is_some(), "the temporary file stays");
    assert!(store.get(&abandoned).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn foreign_files_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    put(&store, "a", "1").await;
    put(&store, "b/c", "2").await;
    fs::write(folder.path().join("README"), "mine").unwrap();
    fs::write(folder.path().join("Upper.object"), "mine").unwrap();
    fs::write(folder.path().join("b%2fd.object"), "would be b/d").unwrap();
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("up")).unwrap();
    // A link leads back up: the same objects once more below each `up`, but only as far as keys go.
    let keys = all_keys(&store, "").await;
    assert_eq!(keys[..2], ["a", "b/c"]);
    assert!(keys[2..].iter().all(|key| key.starts_with("up/")));
    fs::remove_file(folder.path().join("up")).unwrap();
    assert_eq!(all_keys(&store, "").await, ["a", "b/c"]);
    assert!(store.get(&key("b/d")).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_damaged_file_is_an_error_that_names_the_object() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    put(&store, "a", "a body of some length").await;
    let path = folder.path().join("a.object");
    let whole = fs::read(&path).unwrap();
    for damaged in [&whole[..whole.len() - 1], &whole[1..], &whole[..10], b"", b"hello, not an object at all, but long"]
    {
        fs::write(&path, damaged).unwrap();
        let got = store.get(&key("a")).await.unwrap_err();
        assert_eq!(got.kind(), ErrorKind::Permanent, "{got}");
        assert!(got.to_string().starts_with("get of a failed: its file is damaged"), "{got}");
        let ranged = store.get_range(&key("a"), 0..3).await.unwrap_err();
        assert_eq!(ranged.kind(), ErrorKind::Permanent, "{ranged}");
        assert!(store.get_stream(&key("a")).await.is_err());
    }
    put(&store, "a", "repaired").await;
    assert_eq!(store.get(&key("a")).await.unwrap().body, "repaired");
}

async fn every_call(store: &FileDriver) -> Vec<DriverError> {
    vec![
        store.get(&key("a")).await.unwrap_err(),
        store.get(&key("missing")).await.unwrap_err(),
        store.get_range(&key("a"), 0..1).await.unwrap_err(),
        store.get_stream(&key("a")).await.map(drop).unwrap_err(),
        store.put(&key("b"), "2".into(), Condition::Always).await.unwrap_err(),
        store.put(&key("b"), "2".into(), Condition::IfAbsent).await.unwrap_err(),
        store.delete(&key("a")).await.unwrap_err(),
        store.delete_many(&[key("a"), key("b")]).await.unwrap_err(),
        store.list("", None).await.unwrap_err(),
        store.list("no/such", None).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn a_store_that_is_gone_is_not_an_empty_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = FileDriver::new(&path).unwrap();
    put(&store, "a", "1").await;
    fs::remove_dir_all(&path).unwrap();
    let gone = |error: DriverError| {
        assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
        assert!(error.to_string().contains("store was moved, removed or unmounted"), "{error}");
    };
    every_call(&store).await.into_iter().for_each(gone);
    // Another store in its place, as when a volume is not mounted, is not this one.
    FileDriver::new(&path).unwrap();
    every_call(&store).await.into_iter().for_each(gone);
}

#[tokio::test]
async fn a_folder_that_something_else_removed_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    put(&store, "log/deep/1", "1").await;
    for own in ["log", ".bucketdb"] {
        fs::remove_dir_all(folder.path().join(own)).unwrap();
        for condition in [Condition::Always, Condition::IfAbsent] {
            store.delete(&key("log/deep/2")).await.unwrap();
            store.put(&key("log/deep/2"), "2".into(), condition).await.unwrap();
        }
        assert_eq!(store.get(&key("log/deep/2")).await.unwrap().body, "2");
    }
}

#[tokio::test]
async fn fingerprints_tell_stores_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one");
    let one = FileDriver::new(&path).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(one.fingerprint(), FileDriver::new(&link).unwrap().fingerprint(), "one place, two names");
    assert_ne!(one.fingerprint(), FileDriver::new(folder.path().join("two")).unwrap().fingerprint());
    fs::rename(&path, folder.path().join("moved")).unwrap();
    assert_ne!(one.fingerprint(), FileDriver::new(folder.path().join("moved")).unwrap().fingerprint());
    assert_ne!(one.fingerprint(), FileDriver::new(&path).unwrap().fingerprint(), "another folder of that name");
}

#[tokio::test]
async fn what_is_no_folder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = FileDriver::new(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use the folder {} as a store", path.display()));
        let chained = error.get_ref().and_then(|error| error.source()).map(ToString::to_string);
        assert!(chained.is_some(), "the reason is chained");
    }
}

#[tokio::test]
async fn listings_pass_over_thousands_of_empty_folders() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    for number in 0..2100 {
        fs::create_dir_all(folder.path().join(format!("f/{number:04}"))).unwrap();
    }
    put(&store, "f/0000/x", "1").await;
    put(&store, "f/1500/x", "2").await;
    put(&store, "f/2099/x", "3").await;
    put(&store, "g", "4").await;
    assert_eq!(all_keys(&store, "").await, ["f/0000/x", "f/1500/x", "f/2099/x", "g"]);
    assert_eq!(all_keys(&store, "f/15").await, ["f/1500/x"]);
}

#[tokio::test]
async fn one_folder_of_many_objects_and_folders_lists_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    put(&store, "seed", "x").await;
    let seed = folder.path().join("seed.object");
    let mut expected = Vec::new();
    // Links are as good as files for this, and need no sync.
    for number in 0..1300 {
        let inner = folder.path().join(format!("many/{number:04}"));
        fs::create_dir_all(&inner).unwrap();
        fs::hard_link(&seed, folder.path().join(format!("many/{number:04}.object"))).unwrap();
        fs::hard_link(&seed, inner.join("a.object")).unwrap();
        fs::hard_link(&seed, folder.path().join(format!("many/{number:04}-.object"))).unwrap();
        expected.extend(["", "-", "/a"].map(|end| format!("many/{number:04}{end}")));
    }
    expected.sort();
    assert_eq!(all_keys(&store, "many/").await, expected);
    let page = store.list_after("many/", &key("many/1299-")).await.unwrap();
    assert_eq!(page.objects.len(), 1);
    assert_eq!(page.next, None);
}

/// What the property test does to the store and to a map.
#[derive(Clone, Debug)]
enum Step {
    Put(usize, u8),
    Create(usize, u8),
    Replace(usize, usize, u8),
    Delete(usize),
    DeleteMany(Vec<usize>),
    List(usize, usize),
    ListAfter(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..1000usize;
    prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(key, body)| Step::Put(key, body)),
        2 => (at.clone(), any::<u8>()).prop_map(|(key, body)| Step::Create(key, body)),
        2 => (at.clone(), at.clone(), any::<u8>()).prop_map(|(key, of, body)| Step::Replace(key, of, body)),
        2 => at.clone().prop_map(Step::Delete),
        1 => prop::collection::vec(at.clone(), 0..5).prop_map(Step::DeleteMany),
        2 => (at.clone(), at.clone()).prop_map(|(key, cut)| Step::List(key, cut)),
        1 => (at.clone(), at).prop_map(|(key, after)| Step::ListAfter(key, after)),
    ]
}

/// Keys that share beginnings, so that they meet in folders.
fn keys() -> impl Strategy<Value = Vec<Key>> {
    let segment = prop_oneof![
        3 => "[ab.A-]{1,3}",
        1 => Just("x".repeat(120)),
        1 => "x{119,121}[!/~]?[ab]".prop_map(|text| text.replace('/', "")),
        1 => "[é日 %+]{1,2}",
        1 => Just("a.object".to_owned()),
    ];
    let key = prop::collection::vec(segment, 1..4).prop_filter_map("valid", |s| Key::new(s.join("/")).ok());
    prop::collection::vec(key, 1..25)
}

async fn run_steps(keys: Vec<Key>, steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    let mut model: BTreeMap<Key, Bytes> = BTreeMap::new();
    let pick = |number: usize| keys[number % keys.len()].clone();
    for step in steps {
        match step {
            Step::Put(at, body) => {
                store.put(&pick(at), vec![body].into(), Condition::Always).await.unwrap();
                model.insert(pick(at), vec![body].into());
            }
            Step::Create(at, body) => {
                let created = store.put(&pick(at), vec![body].into(), Condition::IfAbsent).await;
                assert_eq!(created.is_ok(), !model.contains_key(&pick(at)));
                model.entry(pick(at)).or_insert_with(|| vec![body].into());
            }
            Step::Replace(at, of, body) => {
                let Ok(other) = store.get(&pick(of)).await else { continue };
                let replaced = store.put(&pick(at), vec![body].into(), Condition::IfMatch(other.etag)).await;
                // Objects with the same bytes have the same ETag.
                assert_eq!(replaced.is_ok(), model.get(&pick(at)) == Some(&other.body));
                if replaced.is_ok() {
                    model.insert(pick(at), vec![body].into());
                }
            }
            Step::Delete(at) => {
                store.delete(&pick(at)).await.unwrap();
                model.remove(&pick(at));
            }
            Step::DeleteMany(all) => {
                let doomed: Vec<_> = all.into_iter().map(pick).collect();
                store.delete_many(&doomed).await.unwrap();
                model.retain(|key, _| !doomed.contains(key));
            }
            Step::List(at, cut) => {
                let text = pick(at).to_string();
                let ends: Vec<_> = text.char_indices().map(|(end, _)| end).chain([text.len()]).collect();
                let prefix = &text[..ends[cut % ends.len()]];
                let expected: Vec<_> = model.keys().map(Key::to_string).filter(|key| key.starts_with(prefix)).collect();
                assert_eq!(all_keys(&store, prefix).await, expected, "with the prefix {prefix:?}");
            }
            Step::ListAfter(at, after) => {
                let prefix = pick(at).as_str().split('/').next().unwrap().to_owned();
                let page = store.list_after(&prefix, &pick(after)).await.unwrap();
                let listed: Vec<_> = page.objects.into_iter().map(|listed| listed.key).collect();
                let wanted = |key: &&Key| key.as_str().starts_with(&prefix) && **key > pick(after);
                assert_eq!(listed, model.keys().filter(wanted).cloned().collect::<Vec<_>>());
            }
        }
    }
    for key in &keys {
        assert_eq!(store.get(key).await.ok().map(|object| object.body), model.get(key).cloned());
    }
    assert_eq!(all_keys(&store, "").await, model.keys().map(Key::to_string).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn does_what_an_ordered_map_does(keys in keys(), steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run_steps(keys, steps));
    }
}
