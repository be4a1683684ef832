//! The file driver between processes: races, crashes, a full disk.
//!
//! The other processes are this test program again, told by an environment variable to do one of the parts below.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests fail by panics")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bucketdb_driver::conformance::{check_race, race_worker};
use bucketdb_driver::{Condition, Driver, ErrorKind, FileDriver, Key};
use bucketdb_env::TokioEnvironment;
use bytes::Bytes;
use futures::stream::{self, StreamExt};

const PART: &str = "BUCKETDB_TEST_PART";
const WORKERS: u32 = 4;
const ROUNDS: u32 = 200;
const INCREMENTS: u32 = 50;
const KILLS: u64 = 50;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Starts this program again to do a part in a folder.
fn start(part: &str, folder: &Path) -> Child {
    part_of(Command::new(std::env::current_exe().unwrap()), part, folder).spawn().unwrap()
}

fn part_of(mut command: Command, part: &str, folder: &Path) -> Command {
    command.args(["another_process", "--exact", "--ignored", "--nocapture"]);
    command.env(PART, part).env("BUCKETDB_TEST_FOLDER", folder).stdout(Stdio::piped());
    command
}

/// The lines that a part prints, without what the test harness says around them.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let output = BufReader::new(child.stdout.take().unwrap());
    // The harness may have begun a line of its own, so ours are marked.
    output.lines().map_while(|line| line.ok()).filter_map(|line| Some(line.split_once("> ")?.1.to_owned()))
}

fn say(text: impl std::fmt::Display) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "> {text}").unwrap();
    output.flush().unwrap();
}

#[test]
#[ignore = "the other tests of this file start it in processes of its own"]
fn another_process() {
    let part = std::env::var(PART).expect("run by the other tests of this file only");
    let store = FileDriver::new(std::env::var("BUCKETDB_TEST_FOLDER").unwrap()).unwrap();
    let (part, number) = part.split_once(' ').unwrap();
    runtime().block_on(async {
        match part {
            "race" => take_part_in_race(&store, number.parse().unwrap()).await,
            "count" => count_up(&store, number).await,
            "write" => write_for_ever(&store, number.parse().unwrap()).await,
            "fill" => fill_a_limited_file_size(&store).await,
            _ => panic!("no such part: {part}"),
        }
    });
}

async fn take_part_in_race(store: &FileDriver, worker: u32) {
    for round in race_worker(store, &TokioEnvironment::new(), "r", worker, WORKERS, ROUNDS).await.unwrap() {
        say(round);
    }
}

#[test]
fn of_many_processes_that_create_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let mut children: Vec<_> = (0..WORKERS).map(|worker| start(&format!("race {worker}"), folder.path())).collect();
    let won = children.iter_mut().map(|child| lines(child).map(|round| round.parse().unwrap()).collect());
    let won: Vec<Vec<u32>> = won.collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    let store = FileDriver::new(folder.path()).unwrap();
    runtime().block_on(check_race(&store, "r", ROUNDS, &won)).unwrap();
    assert!(won.iter().filter(|won| !won.is_empty()).count() > 1, "one worker won all rounds: that was no race");
}

/// Adds to one object by read, change and if-match.
async fn count_up(store: &FileDriver, worker: &str) {
    for number in 0..INCREMENTS {
        loop {
            let before = store.get(&key("counter")).await.unwrap();
            let after = [&before.body[..], format!("{worker}:{number}\n").as_bytes()].concat();
            match store.put(&key("counter"), after.into(), Condition::IfMatch(before.etag)).await {
                Ok(_) => break,
                Err(error) => assert!(error.is_precondition_failed(), "{error:?}"),
            }
        }
    }
}

#[test]
fn no_increment_of_many_processes_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileDriver::new(folder.path()).unwrap();
    let runtime = runtime();
    runtime.block_on(store.put(&key("counter"), Bytes::new(), Condition::IfAbsent)).unwrap();
    let children: Vec<_> = (0..WORKERS).map(|worker| start(&format!("count {worker}"), folder.path())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let counted = runtime.block_on(store.get(&key("counter"))).unwrap().body;
    let mut lines: Vec<_> = std::str::from_utf8(&counted).unwrap().lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), (WORKERS * INCREMENTS) as usize);
}

/// The body of an object that the crash test writes: its length and every byte follow from the number.
fn body(number: u64) -> Bytes {
    let length = (number.wrapping_mul(0x9e37_79b9) % 200_000) as usize;
    (0..length as u64).map(|at| (number.wrapping_mul(31).wrapping_add(at * 7)) as u8).collect()
}

/// Writes in every way there is, and says what was acknowledged.
async fn write_for_ever(store: &FileDriver, from: u64) {
    let head = key("head");
    for number in from.. {
        let name = key(&format!("log/{number:020}"));
        let body = body(number);
        if number.is_multiple_of(2) {
            store.put(&name, body, Condition::IfAbsent).await.unwrap();
        } else {
            let pieces: Vec<_> = body.chunks(50_000).map(|piece| Ok(body.slice_ref(piece))).collect();
            store.put_stream(&name, stream::iter(pieces).boxed(), Condition::IfAbsent).await.unwrap();
        }
        let condition = match store.get(&head).await {
            Ok(object) => Condition::IfMatch(object.etag),
            Err(_) => Condition::Always,
        };
        store.put(&head, number.to_string().into(), condition).await.unwrap();
        say(number);
    }
}

#[test]
fn a_killed_writer_loses_nothing_acknowledged_and_leaves_nothing_torn() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let mut next = 0;
    let mut acknowledged: Vec<u64> = Vec::new();
    let mut killed_with_leftovers = 0;
    for kill in 0..KILLS {
        let mut writer = start(&format!("write {next}"), folder.path());
        let mut lines = lines(&mut writer);
        let enough = 1 + (kill * 7919) % 13;
        acknowledged.extend(lines.by_ref().take(enough as usize).map(|line| line.parse::<u64>().unwrap()));
        // Any moment will do; these are spread over one turn of the writer.
        std::thread::park_timeout(Duration::from_micros((kill * 104_729) % 3000));
        writer.kill().unwrap();
        writer.wait().unwrap();
        acknowledged.extend(lines.map(|line| line.parse::<u64>().unwrap()));

        let temporary = folder.path().join(".bucketdb/tmp");
        killed_with_leftovers += usize::from(temporary.read_dir().unwrap().count() > 0);
        let store = FileDriver::new(folder.path()).unwrap();
        assert_eq!(temporary.read_dir().unwrap().count(), 0, "opening removes what the dead writer left");
        let last = *acknowledged.last().unwrap();
        let head = runtime.block_on(store.get(&key("head"))).unwrap().body;
        let head: u64 = std::str::from_utf8(&head).unwrap().parse().unwrap();
        assert!((last..=last + 1).contains(&head), "head is {head}, but {last} was acknowledged");

        let listed = runtime.block_on(store.list("log/", None)).unwrap().objects;
        let numbers: Vec<u64> = listed.iter().map(|listed| listed.key.as_str()[4..].parse().unwrap()).collect();
        assert!(acknowledged.iter().all(|number| numbers.binary_search(number).is_ok()), "an acknowledged key is gone");
        for (listed, number) in listed.iter().zip(&numbers) {
            let object = runtime.block_on(store.get(&listed.key)).unwrap();
            assert!(object.body == body(*number), "{} is torn", listed.key);
            assert_eq!(listed.size_bytes, Some(object.body.len() as u64));
        }
        next = numbers.last().unwrap() + 1;
        // A page is enough to look at, and keeps the test short.
        let old = numbers.iter().rev().skip(30).map(|number| key(&format!("log/{number:020}"))).collect::<Vec<_>>();
        runtime.block_on(store.delete_many(&old)).unwrap();
        acknowledged.retain(|number| !old.contains(&key(&format!("log/{number:020}"))));
    }
    assert!(killed_with_leftovers > 0, "no kill hit a writer in the middle of a file");
}

/// Runs where no file may become larger than 32 KiB.
async fn fill_a_limited_file_size(store: &FileDriver) {
    for condition in [Condition::Always, Condition::IfAbsent] {
        let error = store.put(&key("large"), vec![1; 100_000].into(), condition).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
    }
    store.put(&key("small"), vec![1; 20_000].into(), Condition::Always).await.unwrap();
    let error = store.put(&key("small"), vec![2; 100_000].into(), Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
}

#[test]
fn a_file_that_may_not_grow_is_no_space_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    // The shell ignores the signal that would kill the program, and counts in blocks of 512 bytes.
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#]).arg(std::env::current_exe().unwrap());
    let mut child = part_of(command, "fill 0", folder.path()).spawn().unwrap();
    let output: Vec<_> = lines(&mut child).collect();
    assert!(child.wait().unwrap().success(), "{output:?}");
    let store = FileDriver::new(folder.path()).unwrap();
    assert_eq!(folder.path().join(".bucketdb/tmp").read_dir().unwrap().count(), 0);
    runtime().block_on(async {
        assert!(store.get(&key("large")).await.unwrap_err().is_not_found());
        assert_eq!(store.get(&key("small")).await.unwrap().body, vec![1; 20_000]);
    });
}

/// A file system in memory, mounted for a test; only root can.
struct Mounted {
    folder: tempfile::TempDir,
}

impl Mounted {
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", options, "tmpfs"], folder.path());
        if !mounted {
            eprintln!("skipped: mounting a tmpfs needs root on Linux");
        }
        mounted.then_some(Self { folder })
    }
}

fn mount(arguments: &[&str], folder: &Path) -> bool {
    let mount = Command::new("mount").args(arguments).arg(folder).stderr(Stdio::null()).status();
    mount.is_ok_and(|status| status.success())
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_no_space_and_everything_acknowledged_stays() {
    let Some(mounted) = Mounted::new("size=1m") else { return };
    let store = FileDriver::new(mounted.folder.path()).unwrap();
    let mut written = 0;
    let error = loop {
        match store.put(&key(&format!("log/{written}")), vec![7; 100_000].into(), Condition::IfAbsent).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
    assert!(written >= 5, "only {written} of 100 kB fit into 1 MB");
    assert_eq!(mounted.folder.path().join(".bucketdb/tmp").read_dir().unwrap().count(), 0);
    assert_eq!(store.list("log/", None).await.unwrap().objects.len(), written);
    let replaced = store.put(&key("log/0"), vec![8; 300_000].into(), Condition::Always).await.unwrap_err();
    assert_eq!(replaced.kind(), ErrorKind::NoSpace, "{replaced:?}");
    for number in 0..written {
        assert_eq!(store.get(&key(&format!("log/{number}"))).await.unwrap().body, vec![7; 100_000]);
    }
    store.delete(&key("log/0")).await.unwrap();
    store.put(&key("log/new"), vec![7; 90_000].into(), Condition::IfAbsent).await.unwrap();
}

#[tokio::test]
async fn a_disk_without_free_inodes_is_no_space() {
    let Some(mounted) = Mounted::new("size=8m,nr_inodes=60") else { return };
    let store = FileDriver::new(mounted.folder.path()).unwrap();
    let error = loop {
        let name = key(&format!("folder-{}/x", mounted.folder.path().read_dir().unwrap().count()));
        if let Err(error) = store.put(&name, "x".into(), Condition::IfAbsent).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
}

#[tokio::test]
async fn a_read_only_store_can_be_read() {
    let Some(mounted) = Mounted::new("size=8m") else { return };
    let path = mounted.folder.path();
    FileDriver::new(path).unwrap().put(&key("a/b"), "1".into(), Condition::Always).await.unwrap();
    assert!(mount(&["-o", "remount,ro"], path));
    let store = FileDriver::new(path).unwrap();
    assert_eq!(store.get(&key("a/b")).await.unwrap().body, "1");
    assert_eq!(store.list("a/", None).await.unwrap().objects.len(), 1);
    assert!(store.get(&key("c")).await.unwrap_err().is_not_found());
    for condition in [Condition::Always, Condition::IfAbsent] {
        let error = store.put(&key("c"), "2".into(), condition).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(error.to_string().starts_with("put of c failed: cannot "), "{error}");
    }
    assert_eq!(store.delete(&key("a/b")).await.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_store_that_was_unmounted_is_gone_rather_than_empty() {
    let Some(mounted) = Mounted::new("size=8m") else { return };
    let path = mounted.folder.path();
    let store = FileDriver::new(path).unwrap();
    store.put(&key("a"), "1".into(), Condition::Always).await.unwrap();
    assert!(Command::new("umount").arg("-l").arg(path).status().unwrap().success());
    assert_eq!(store.get(&key("missing")).await.unwrap_err().kind(), ErrorKind::Permanent);
    assert_eq!(store.list("", None).await.unwrap_err().kind(), ErrorKind::Permanent);
}
