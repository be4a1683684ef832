use std::ops::Bound;

use bucketdb_driver::{MemoryDriver, MeteredDriver, Operation};
use bucketdb_env::TokioEnvironment;
use bucketdb_log::{DatabaseId, Layout, Seq};
use tempfile::TempDir;

use super::*;
use crate::{Cache, RunEntry, RunMeta, RunOptions, RunStore, ScanOptions};

const DATABASE: DatabaseId = DatabaseId([7; 16]);
const ROWS: u64 = 2000;

/// A run of about 400 KB in a store that counts, and a folder.
struct Bench {
    store: MeteredDriver,
    sealer: Option<Arc<dyn FileSealer>>,
    folder: TempDir,
    meta: Arc<RunMeta>,
}

/// Stands for encryption: chunks of 1,000 bytes, each with a sum over key, name, place and content.
#[derive(Debug)]
struct Veil(u8);

const CHUNK: u64 = 1000;
const SEALED_CHUNK: u64 = CHUNK + 8;

impl Veil {
    fn sum(&self, name: &str, number: u64, plain: &[u8]) -> [u8; 8] {
        let content = [name.as_bytes(), &[self.0], &number.to_le_bytes(), plain].concat();
        xxhash_rust::xxh3::xxh3_64(&content).to_le_bytes()
    }
}

impl FileSealer for Veil {
    fn seal(&self, name: &str, bytes: &[u8]) -> Bytes {
        let chunks = bytes.chunks(CHUNK as usize).zip(0..);
        let sealed = chunks.flat_map(|(chunk, number)| {
            self.sum(name, number, chunk).into_iter().chain(chunk.iter().map(|byte| byte ^ self.0))
        });
        sealed.collect()
    }

    fn sealed_bytes(&self, bytes: u64) -> u64 {
        bytes + bytes.div_ceil(CHUNK) * 8
    }

    fn sealed_range(&self, range: &Range<u64>) -> Range<u64> {
        range.start / CHUNK * SEALED_CHUNK..range.end.div_ceil(CHUNK) * SEALED_CHUNK
    }

    fn open(&self, name: &str, sealed: &[u8], range: Range<u64>) -> Option<Bytes> {
        let first = range.start / CHUNK;
        let mut opened = BytesMut::new();
        for (chunk, number) in sealed.chunks(SEALED_CHUNK as usize).zip(first..) {
            let (sum, chunk) = chunk.split_first_chunk::<8>()?;
            let plain: Vec<u8> = chunk.iter().map(|byte| byte ^ self.0).collect();
            if self.sum(name, number, &plain) != *sum {
                return None;
            }
            opened.extend_from_slice(&plain);
        }
        let start = first * CHUNK;
        Some(opened.freeze().slice((range.start - start) as usize..(range.end - start) as usize))
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("key/{number:08}").into_bytes()
}

fn row(number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    (0..200).map(|_| random.u8(..)).collect()
}

impl Bench {
    async fn new() -> Self {
        let store = MeteredDriver::new(MemoryDriver::new(), TokioEnvironment::new());
        let runs = runs(&store);
        let mut writer = runs.writer(Seq(1), RunOptions { block_bytes: 8 << 10 });
        for number in 0..ROWS {
            writer.add(&key(number), Seq(1), Some(&row(number))).await.unwrap();
        }
        let meta = Arc::new(writer.finish().await.unwrap().unwrap());
        Self { store, sealer: None, folder: tempfile::tempdir().unwrap(), meta }
    }

    /// One whose files are in the clear, and one whose files are sealed.
    async fn both() -> [Self; 2] {
        [Self::new().await, Self { sealer: Some(Arc::new(Veil(7))), ..Self::new().await }]
    }

    async fn disk(&self, max_bytes: u64) -> DiskCache {
        DiskCache::open(Arc::new(TokioEnvironment::new()), self.folder.path(), max_bytes, self.sealer.clone()).await
    }

    /// Reads single rows and all of them, with nothing in memory, and checks them. Says how many requests that took.
    async fn read(&self, disk: &DiskCache) -> u64 {
        let before = self.store.usage().requests(Operation::Get);
        let run = runs(&self.store).with_disk_cache(disk.clone()).open(Arc::clone(&self.meta));
        for number in [3, 700, 1999] {
            assert_eq!(run.get(&key(number)).await.unwrap().unwrap().row.unwrap(), row(number));
        }
        let options = ScanOptions { fill_cache: false, read_ahead_bytes: 100 << 10, ..ScanOptions::default() };
        let mut scan = run.scan((Bound::Unbounded, Bound::Unbounded), options);
        for number in 0..ROWS {
            let expected = RunEntry { key: key(number).into(), seq: Seq(1), row: Some(row(number).into()) };
            assert_eq!(scan.next().await.unwrap(), Some(expected));
        }
        assert_eq!(scan.next().await.unwrap(), None);
        disk.flush().await;
        self.store.usage().requests(Operation::Get) - before
    }

    fn files(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let files = folders.filter(|path| path.is_dir()).flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn total_bytes(&self) -> u64 {
        self.files().iter().map(|file| file.metadata().map_or(0, |metadata| metadata.len())).sum()
    }
}

fn runs(store: &MeteredDriver) -> RunStore {
    let (env, layout) = (Arc::new(TokioEnvironment::new()), Layout::new("db").unwrap());
    RunStore::new(Arc::new(store.clone()), env, layout, DATABASE, Cache::new(0))
}

#[tokio::test]
async fn what_was_read_before_is_read_again_without_a_request() {
    for bench in Bench::both().await {
        assert!(bench.read(&bench.disk(100 << 20).await).await > 4);
        assert!(!bench.files().is_empty());
        assert_eq!(bench.read(&bench.disk(100 << 20).await).await, 0, "opened anew");
    }
}

#[tokio::test]
async fn reads_are_put_together_of_pieces_and_are_parts_of_them() {
    for bench in Bench::both().await {
        reads_of_pieces(&bench).await;
    }
}

async fn reads_of_pieces(bench: &Bench) {
    let disk = bench.disk(100 << 20).await;
    let (run, checksums) = (bench.meta.name, Checksums::new(DATABASE));
    let bytes: Bytes = (0..200_000_u32).map(|number| (number * 7 / 3) as u8).collect();
    for (start, end) in [(0, 70_000), (60_000, 61_000), (70_000, 150_000), (151_000, 200_000)] {
        disk.insert(run, &checksums, start as u64, &bytes.slice(start..end));
    }
    disk.flush().await;
    for (start, end) in [(0, 150_000), (65_535, 65_537), (60_500, 61_500), (69_999, 149_999), (199_999, 200_000)] {
        let read = disk.get(run, &checksums, start as u64..end as u64).await;
        assert_eq!(read.as_deref(), Some(&bytes[start..end]), "{start} {end}");
    }
    for (start, end) in [(0, 150_001), (150_500, 151_500), (199_999, 200_001)] {
        assert_eq!(disk.get(run, &checksums, start..end).await, None, "{start} {end}");
    }
    let other = RunName { id: run.id + 1, ..run };
    assert_eq!(disk.get(other, &checksums, 0..10).await, None);
    assert_eq!(disk.get(run, &Checksums::new(DatabaseId([8; 16])), 0..10).await, None);
    disk.forget(run, &checksums);
    assert_eq!(disk.get(run, &checksums, 0..10).await, None);
    assert!(bench.files().is_empty());
}

#[tokio::test]
async fn damage_of_any_file_is_a_miss() {
    for bench in Bench::both().await {
        damage(&bench).await;
    }
}

async fn damage(bench: &Bench) {
    bench.read(&bench.disk(100 << 20).await).await;
    let files = bench.files();
    let intact: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let mut random = fastrand::Rng::with_seed(5);
    let (mut misses, mut cases) = (0, 0);
    for (index, file) in files.iter().enumerate() {
        let bytes = &intact[index];
        let mut spoilt = vec![Vec::new(), bytes[..bytes.len() - 1].to_vec(), [bytes.as_slice(), b"x"].concat()];
        spoilt.push(intact[(index + 1) % intact.len()].clone());
        spoilt.push(vec![0; bytes.len()]);
        let flips: Vec<usize> =
            [0, 5, 9, 17, 23].into_iter().chain((0..5).map(|_| random.usize(24..bytes.len()))).collect();
        spoilt.extend(flips.into_iter().map(|place| {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << random.u8(..8);
            bytes
        }));
        for (number, spoilt) in spoilt.into_iter().enumerate() {
            // While the folder is in use, or before it is opened.
            let mut disk = bench.disk(100 << 20).await;
            std::fs::write(file, &spoilt).unwrap();
            if number % 2 == 0 {
                disk = bench.disk(100 << 20).await;
            }
            cases += 1;
            misses += u64::from(bench.read(&disk).await > 0);
            for (file, bytes) in files.iter().zip(&intact) {
                std::fs::write(file, bytes).unwrap();
            }
        }
    }
    // Where files overlap, a read may do without the spoilt one.
    assert!(misses > cases / 2, "{misses} of {cases}");
}

#[tokio::test]
async fn a_file_is_of_one_place_of_one_run_of_one_database() {
    const BYTES: u64 = 5000;
    for bench in Bench::both().await {
        let disk = bench.disk(100 << 20).await;
        let (ours, other_run) = (RunName { begun_at: Seq(1), id: 1 }, RunName { begun_at: Seq(1), id: 2 });
        let places =
            [(DATABASE, ours, 0), (DATABASE, ours, BYTES), (DATABASE, other_run, 0), (DatabaseId([8; 16]), ours, 0)];
        let bytes = |place: usize| Bytes::from(vec![place as u8; BYTES as usize]);
        let file = |place: usize| {
            let (database, run, start) = places[place];
            disk.inner.path(PieceName::new(database.0, run.id, start, BYTES))
        };
        for (place, (database, run, start)) in places.into_iter().enumerate() {
            disk.insert(run, &Checksums::new(database), start, &bytes(place));
        }
        disk.flush().await;
        for (place, (database, run, start)) in places.into_iter().enumerate() {
            let checksums = Checksums::new(database);
            for other in (0..places.len()).filter(|other| *other != place) {
                std::fs::copy(file(other), file(place)).unwrap();
                assert_eq!(disk.get(run, &checksums, start..start + BYTES).await, None, "{other} for {place}");
                disk.insert(run, &checksums, start, &bytes(place));
                disk.flush().await;
                assert_eq!(disk.get(run, &checksums, start..start + BYTES).await, Some(bytes(place)));
            }
        }
    }
}

#[tokio::test]
async fn it_stays_within_its_bytes_and_leaves_what_is_not_its_own() {
    let bench = Bench::new().await;
    let foreign = bench.folder.path().join("notes.txt");
    std::fs::write(&foreign, "mine").unwrap();
    for max_bytes in [0, 4096, 1 << 20, 2 << 20] {
        let disk = bench.disk(max_bytes).await;
        let checksums = Checksums::new(DATABASE);
        for number in 0..60 {
            let run = RunName { begun_at: Seq(1), id: number };
            disk.insert(run, &checksums, 0, &vec![1; 100_000].into());
            disk.flush().await;
            assert!(bench.total_bytes() <= max_bytes, "{} of {max_bytes}", bench.total_bytes());
        }
        assert!(max_bytes < 1 << 20 || bench.total_bytes() > max_bytes / 2, "{} of {max_bytes}", bench.total_bytes());
    }
    assert_eq!(std::fs::read_to_string(foreign).unwrap(), "mine");
}

#[tokio::test]
async fn sealed_files_and_others_share_a_folder_and_its_bytes() {
    let mut bench = Bench::new().await;
    let sealers: [Option<Arc<dyn FileSealer>>; 2] = [None, Some(Arc::new(Veil(7)))];
    for sealer in &sealers {
        bench.sealer.clone_from(sealer);
        assert!(bench.read(&bench.disk(100 << 20).await).await > 0);
    }
    let files = bench.files();
    for sealer in &sealers {
        bench.sealer.clone_from(sealer);
        assert_eq!(bench.read(&bench.disk(100 << 20).await).await, 0, "each finds its own");
    }
    assert_eq!(bench.files(), files);
    bench.sealer = Some(Arc::new(Veil(8)));
    assert!(bench.read(&bench.disk(100 << 20).await).await > 0, "another key opens none of them");
    assert_eq!(bench.read(&bench.disk(100 << 20).await).await, 0, "and what it reads takes their places");
    for sealer in &sealers {
        bench.sealer.clone_from(sealer);
        bench.disk(300 << 10).await;
        assert!(bench.total_bytes() <= 300 << 10, "{}", bench.total_bytes());
    }
}

#[tokio::test]
async fn what_was_not_used_for_longest_goes_first() {
    let bench = Bench::new().await;
    let checksums = Checksums::new(DATABASE);
    let run = |id| RunName { begun_at: Seq(1), id };
    let disk = bench.disk(1 << 20).await;
    for id in 0..6 {
        disk.insert(run(id), &checksums, 0, &vec![1; 120_000].into());
    }
    disk.flush().await;
    for (file, hours) in bench.files().iter().zip([6, 5, 4, 3, 2, 1]) {
        let used_at = disk.inner.now() - Duration::from_secs(3600 * hours);
        std::fs::File::options().write(true).open(file).unwrap().set_modified(used_at).unwrap();
    }
    assert!(disk.get(run(0), &checksums, 0..10).await.is_some());
    let disk = bench.disk(4 * (124 << 10)).await;
    let mut left = Vec::new();
    for id in 0..6 {
        left.push(disk.get(run(id), &checksums, 0..10).await.is_some());
    }
    assert_eq!(left, [true, false, false, false, true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_share_a_folder() {
    const MAX_BYTES: u64 = 600 << 10;
    let bench = Arc::new(Bench::new().await);
    let readers = (0..4).map(|_| {
        let bench = Arc::clone(&bench);
        // Threads with a cache each share no more than processes do.
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for _ in 0..10 {
                    let disk = bench.disk(MAX_BYTES).await;
                    bench.read(&disk).await;
                    bench.read(&disk).await;
                }
            });
        })
    });
    for reader in futures::future::join_all(readers).await {
        reader.unwrap();
    }
    assert!(bench.total_bytes() <= MAX_BYTES + 3 * MAX_BYTES / FREE_SHARE, "{}", bench.total_bytes());
    assert!(bench.files().iter().all(|file| file.to_str().unwrap().ends_with(".part")));
}

#[tokio::test]
async fn without_a_folder_it_keeps_nothing() {
    let bench = Bench::new().await;
    let file = bench.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let unusable = DiskCache::open(Arc::new(TokioEnvironment::new()), &file, 100 << 20, None).await;
    assert_eq!(bench.read(&unusable).await, bench.read(&unusable).await);
    let disk = bench.disk(100 << 20).await;
    std::fs::remove_dir_all(bench.folder.path()).unwrap();
    assert!(bench.read(&disk).await > 0);
    assert!(bench.read(&disk).await > 0);
    assert!(disk.inner.is_off.load(Ordering::Relaxed) && !bench.folder.path().exists());
}
