//! What an encrypted database keeps of what was read, in files.

use std::path::{Path, PathBuf};

use bucketdb::{
    Database, DatabaseBuilder, Document, Duplicates, EncryptionKey, EncryptionKeys, Error, Freshness, MemoryDriver,
    Operation, Order, StoreCheck,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::support::metered;

const GEMS: u64 = 3000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "gemstones")]
struct Gem {
    #[document(key)]
    id: String,
    carat_weight: u64,
    #[document(index)]
    origin_of_stone: String,
    /// No two have the same, so that not all of it is compressed away.
    owner_notes: String,
}

/// Names of fields, and what documents and keys begin with.
const WORDS: [&str; 6] =
    ["carat_weight", "origin_of_stone", "owner_notes", "ruby-of-burma", "palladium", "in the vault of Zurich"];

fn gem(number: u64) -> Gem {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Gem {
        id: format!("ruby-of-burma-{number}"),
        carat_weight: number % 100,
        origin_of_stone: format!("palladium {}", number % 7),
        owner_notes: format!("kept in the vault of Zurich {mixed:016x}{:016x}", mixed.rotate_left(23)),
    }
}

fn keys(numbers: &[u8]) -> EncryptionKeys {
    let mut all = numbers.iter().map(|number| EncryptionKey::from_bytes([*number; 32]));
    let current = EncryptionKeys::new(all.next().unwrap());
    all.fold(current, EncryptionKeys::with_earlier)
}

/// A builder with these keys, the current one first; in the clear without any, whatever the other tests use.
fn on(driver: impl bucketdb::Driver, numbers: &[u8]) -> DatabaseBuilder {
    let builder = Database::builder().driver(driver).prefix("db").store_check(StoreCheck { rounds: 2, racers: 3 });
    if numbers.is_empty() { builder } else { builder.encryption(keys(numbers)) }
}

async fn filled(numbers: &[u8]) -> MemoryDriver {
    let store = MemoryDriver::new();
    let db = on(store.clone(), numbers).open().await.unwrap();
    let gems = db.table::<Gem>().await.unwrap();
    let mut load = gems.bulk_load(Duplicates::Fail).await.unwrap();
    for number in 0..GEMS {
        load.add(&gem(number)).await.unwrap();
    }
    load.finish().await.unwrap();
    // Documents that do not declare their fields have their names in their rows.
    let loose = db.collection("loose");
    for number in 0..20 {
        loose.put(&serde_json::to_value(gem(number)).unwrap()).await.unwrap();
    }
    db.build_indexes().await.unwrap();
    db.compact().await.unwrap();
    db.close().await.unwrap();
    store
}

/// Opens the database with a folder, reads all documents, in both orders and some by themselves, checks them, and says how many
/// gets the reading took.
async fn gets_of_reading(store: &MemoryDriver, numbers: &[u8], folder: &Path) -> u64 {
    let meter = metered(store);
    let db = on(meter.clone(), numbers).cache_dir(folder, 100 << 20).open().await.unwrap();
    let gems = db.table::<Gem>().await.unwrap().with_freshness(Freshness::Local);
    let before = meter.usage();
    for number in [17, 1234, 2999] {
        assert_eq!(gems.get(gem(number).id).await.unwrap(), Some(gem(number)));
    }
    let mut found = gems.query().fetch().await.unwrap();
    found.sort_by_key(|gem| gem.id["ruby-of-burma-".len()..].parse::<u64>().unwrap());
    assert!(found == (0..GEMS).map(gem).collect::<Vec<_>>(), "all documents, as they were written");
    let sorted =
        gems.query().order_by("origin_of_stone, id".parse::<Order>().unwrap()).limit(400).fetch().await.unwrap();
    assert!(sorted.len() == 400 && sorted.iter().all(|gem| gem.origin_of_stone == "palladium 0"));
    let loose = db.collection("loose").with_freshness(Freshness::Local).query().fetch().await.unwrap();
    assert_eq!(loose.len(), 20);
    let gets = (meter.usage() - before).requests(Operation::Get);
    db.close().await.unwrap();
    gets
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    (folder, cache)
}

/// All files, with the folders that they are in.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for database in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(database.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found.sort();
    found
}

/// Which words are in the files, their names included.
fn words(folder: &Path) -> Vec<&'static str> {
    let files = files(folder);
    let holds = |word: &str| {
        files.iter().any(|(path, content)| {
            path.to_str().unwrap().contains(word) || content.windows(word.len()).any(|part| part == word.as_bytes())
        })
    };
    WORDS.into_iter().filter(|word| holds(word)).collect()
}

#[tokio::test]
async fn the_next_process_reads_without_a_request_what_nobody_else_can_read() {
    let (clear, sealed) = (filled(&[]).await, filled(&[1]).await);
    let ((_clear, clear_folder), (_sealed, sealed_folder)) = (folder(), folder());
    for (store, numbers, folder) in [(&clear, &[][..], &clear_folder), (&sealed, &[1], &sealed_folder)] {
        assert!(gets_of_reading(store, numbers, folder).await > 2);
        assert_eq!(gets_of_reading(store, numbers, folder).await, 0);
    }
    assert_eq!(words(&clear_folder), WORDS, "the search finds what is in the clear");
    assert_eq!(words(&sealed_folder), [""; 0]);
    let sealed = files(&sealed_folder);
    assert!(sealed.len() > 2 && sealed.iter().all(|(_, content)| content.starts_with(b"BKSL")));
}

#[tokio::test]
async fn whatever_becomes_of_the_files_the_answers_are_right() {
    let store = filled(&[1]).await;
    let (_folder, cache) = folder();
    gets_of_reading(&store, &[1], &cache).await;
    let whole = files(&cache);
    let mut misses = 0;
    for (turn, bit) in [(0, 0), (1, 3), (2, 7)] {
        // One bit of every chunk: of its header, its content and its tag by turns.
        for (path, content) in &whole {
            let mut content = content.clone();
            let chunks = content.chunks_mut(16_448);
            chunks.for_each(|chunk| {
                let places = [11, chunk.len() / 2, chunk.len() - 1];
                chunk[places[turn]] ^= 1 << bit;
            });
            std::fs::write(path, content).unwrap();
        }
        misses += u64::from(gets_of_reading(&store, &[1], &cache).await > 2);
        assert_eq!(gets_of_reading(&store, &[1], &cache).await, 0, "what was damaged was replaced");
    }
    assert_eq!(misses, 3);
    // Each under the name of another one, of the same length or not; cut off at a chunk; in the clear.
    let names: Vec<&PathBuf> = whole.iter().map(|(path, _)| path).collect();
    for (index, (_, content)) in whole.iter().enumerate() {
        std::fs::write(names[(index + 1) % names.len()], content).unwrap();
    }
    assert!(gets_of_reading(&store, &[1], &cache).await > 2);
    for (path, content) in &whole {
        std::fs::write(path, &content[..content.len() / 2 / 16_448 * 16_448]).unwrap();
    }
    assert!(gets_of_reading(&store, &[1], &cache).await > 2);
    for (path, content) in &whole {
        std::fs::write(path, vec![b'x'; content.len()]).unwrap();
    }
    assert!(gets_of_reading(&store, &[1], &cache).await > 2);
    assert_eq!(gets_of_reading(&store, &[1], &cache).await, 0);
}

#[tokio::test]
async fn files_are_read_as_long_as_their_key_is_known() {
    let store = filled(&[1]).await;
    let (_folder, cache) = folder();
    gets_of_reading(&store, &[1], &cache).await;
    let db = on(store.clone(), &[2, 1]).open().await.unwrap();
    assert!(db.rekey(|_| ()).await.unwrap().rewritten > 0);
    db.close().await.unwrap();
    assert_eq!(gets_of_reading(&store, &[2, 1], &cache).await, 0, "the old key is given as well");
    // Whoever has another key gets nothing, and takes nothing away.
    let before = files(&cache);
    let wrong = on(store.clone(), &[3]).cache_dir(&cache, 100 << 20).open().await.unwrap_err().to_string();
    assert!(wrong.contains("encrypted with the key"), "{wrong}");
    let without = on(store.clone(), &[]).cache_dir(&cache, 100 << 20).open().await.unwrap_err();
    assert!(matches!(without, Error::Encrypted { .. }), "{without}");
    assert!(files(&cache) == before);
    assert!(gets_of_reading(&store, &[2], &cache).await > 2, "without the old key, its files are of no use");
    assert_eq!(gets_of_reading(&store, &[2], &cache).await, 0);
}

#[tokio::test]
async fn databases_with_keys_of_their_own_and_without_share_a_folder() {
    let stores = [(filled(&[1]).await, &[1][..]), (filled(&[2]).await, &[2]), (filled(&[]).await, &[])];
    let (_folder, cache) = folder();
    for (store, numbers) in &stores {
        assert!(gets_of_reading(store, numbers, &cache).await > 2);
    }
    for (store, numbers) in stores.iter().rev() {
        assert_eq!(gets_of_reading(store, numbers, &cache).await, 0);
    }
    // Files of one database in the folder of another.
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert_eq!(folders.len(), 3);
    let aside = cache.join("aside");
    std::fs::rename(&folders[0], &aside).unwrap();
    std::fs::rename(&folders[1], &folders[0]).unwrap();
    std::fs::rename(&folders[2], &folders[1]).unwrap();
    std::fs::rename(&aside, &folders[2]).unwrap();
    for (store, numbers) in &stores {
        assert!(gets_of_reading(store, numbers, &cache).await > 2);
    }
}
