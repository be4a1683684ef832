//! Held: of processes that are killed at any moment while they write, load in bulk, compact and remove what is superfluous,
//! nothing acknowledged is lost, everything that was not acknowledged took effect as a whole or not at all, and every
//! object is as it was written and says what the log says.
//!
//! Catches: a run, manifest or record that is removed while somebody needs it; a checkpoint that leaves out or doubles what
//! was written meanwhile; a bulk load of which a part appears; an acknowledgement before the runs are in the store.
//!
//! `BUCKETDB_TEST_KILL_ROUNDS` says how many rounds there are; without it, as many as fit into half a minute.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use bucketdb::{Database, Freshness};
use bucketdb_system_tests::{Entry, Line, Piece, Toil};
use tokio::runtime::Runtime;

use crate::stores::{Store, on_stores};
use crate::support::{let_pass, now, random_below};
use crate::workers::{Ending, Worker};

/// Its number on every Unix.
const SIGKILL: i32 = 9;

/// So many rounds there are at least, and for so long there are more unless their number was given.
const LEAST_ROUNDS: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(25);

/// So little memory makes those who write make checkpoints often.
const MEMORY: &str = "8388608";

/// One in so many rounds kills processes while they open the database.
const EARLY_KILLS: u64 = 8;

/// How a store is put to the test.
struct Plan {
    /// So short that things are removed while the test runs.
    grace: Duration,
    /// A kill comes so much later than the first word of who writes, at most.
    most_delay: Duration,
}

const FAST: Plan = Plan { grace: Duration::from_millis(400), most_delay: Duration::from_millis(1_200) };
const SLOW: Plan = Plan { grace: Duration::from_millis(1_500), most_delay: Duration::from_millis(3_000) };

/// What there has to be, and what came of it.
#[derive(Default)]
struct Account {
    /// The operations that wrote the pieces that are there, by their keys.
    pieces: BTreeMap<u64, u64>,
    next_operation: u64,
    acknowledged: u64,
    /// Operations that took effect whose process died before it could tell.
    unacknowledged: u64,
    removed: u64,
    checkpoints: u64,
    compared_rows: u64,
}

on_stores!(kill_on_files: file);
on_stores!(kill_on_servers: localstack, ceph);

fn kill_on_files(runtime: &Runtime, store: &Store) -> String {
    toil_and_kill(runtime, store, &FAST)
}

fn kill_on_servers(runtime: &Runtime, store: &Store) -> String {
    toil_and_kill(runtime, store, &SLOW)
}

fn toil_and_kill(runtime: &Runtime, store: &Store, plan: &Plan) -> String {
    runtime.block_on(async {
        let db = store.builder().grace(plan.grace).open().await.unwrap();
        db.table::<Piece>().await.unwrap();
        db.table::<Entry>().await.unwrap();
        db.close().await.unwrap();
    });
    let wanted: Option<u64> = std::env::var("BUCKETDB_TEST_KILL_ROUNDS").ok().map(|rounds| rounds.parse().unwrap());
    let begun = now(runtime);
    let mut account = Account::default();
    let mut round = 0;
    while wanted.map_or(round < LEAST_ROUNDS || now(runtime) - begun < PATIENCE, |wanted| round < wanted) {
        let undecided = run_round(store, plan, round, &mut account);
        // Takes the one position at which a request of a dead process could still put a record.
        mark(store, round);
        runtime.block_on(check(store, round, undecided, &mut account));
        round += 1;
    }
    runtime.block_on(clean_up(store, plan, round, &mut account));
    let Account { acknowledged, unacknowledged, removed, checkpoints, compared_rows, .. } = account;
    assert!(acknowledged > round && checkpoints > 0 && compared_rows > 0, "that shows nothing");
    assert!(removed > 0, "nothing was removed: that shows nothing");
    format!(
        "; {round} rounds, {acknowledged} operations were acknowledged, {unacknowledged} took effect whose process died \
         before it could tell, {removed} objects were removed, and {compared_rows} rows of {checkpoints} checkpoints are \
         what the log says"
    )
}

/// Lets one process write and another one look after the database, and kills both. Gives the operation that was under
/// way.
fn run_round(store: &Store, plan: &Plan, round: u64, account: &mut Account) -> Option<Toil> {
    let is_bulk = round % 2 == 1;
    let care = if (round / 2).is_multiple_of(2) { "compact" } else { "gc" };
    let first = account.next_operation.to_string();
    let mut arguments = vec!["--max-memory", MEMORY, "toil", "--first", &first];
    arguments.extend(is_bulk.then_some("--bulk"));
    let mut writer = Worker::start(store, &arguments);
    let mut carer = Worker::start(store, &["--max-memory", MEMORY, "care", "--what", care]);
    let mut lines = Vec::new();
    if random_below(EARLY_KILLS) > 0 {
        lines.extend(writer.line());
    }
    let most_us = plan.most_delay.as_micros() as u64;
    let delays = [random_below(most_us), random_below(most_us)].map(Duration::from_micros);
    let (sooner, later) = (delays[0].min(delays[1]), delays[0].max(delays[1]));
    let is_writer_first = delays[0] <= delays[1];
    let_pass(sooner);
    if is_writer_first {
        writer.kill()
    } else {
        carer.kill()
    }
    let_pass(later - sooner);
    if is_writer_first {
        carer.kill()
    } else {
        writer.kill()
    }
    let cared = ended(carer, round);
    account.removed +=
        cared.iter().map(|line| if let Line::Removed(objects) = line { *objects } else { 0 }).sum::<u64>();
    lines.extend(ended(writer, round));
    let mut under_way = None;
    for line in lines {
        match line {
            Line::Doing(number) => {
                account.next_operation = number + 1;
                under_way = Some(Toil { number, is_bulk });
            }
            Line::Written { operation: number, .. } => {
                let done = under_way.take().filter(|toil: &Toil| toil.number == number);
                done.expect("what is done was begun").apply(&mut account.pieces);
                account.acknowledged += 1;
            }
            unexpected => panic!("{unexpected:?}"),
        }
    }
    under_way
}

/// What a process had said when it was killed.
fn ended(worker: Worker, round: u64) -> Vec<Line> {
    let Ending { status, lines, complaint } = worker.finish();
    assert_eq!(status.signal(), Some(SIGKILL), "round {round}: a worker ended by itself: {complaint}");
    lines
}

fn mark(store: &Store, round: u64) {
    let mut worker = Worker::start(store, &["insert", "--worker", "0"]);
    worker.order("begin");
    worker.order(&round_id(round));
    let lines = worker.succeed();
    assert!(matches!(lines.as_slice(), [Line::Opened(_), Line::Inserted { .. }]), "round {round}: {lines:?}");
}

fn round_id(round: u64) -> String {
    format!("{round:06}")
}

async fn check(store: &Store, round: u64, undecided: Option<Toil>, account: &mut Account) {
    let db = store.builder().read_only(true).open().await.unwrap();
    check_documents(&db, round, undecided, account).await;
    let verification = db.verify(|_| {}).await.unwrap();
    assert!(verification.is_clean(), "round {round}: {:#?}", verification.findings);
    account.checkpoints += verification.checkpoints;
    account.compared_rows += verification.compared_rows;
}

async fn check_documents(db: &Database, round: u64, undecided: Option<Toil>, account: &mut Account) {
    let pieces = db.table::<Piece>().await.unwrap().with_freshness(Freshness::Strict);
    let found: Vec<Piece> = pieces.query().fetch().await.unwrap();
    for piece in &found {
        assert_eq!(*piece, Piece::new(piece.id, piece.operation), "round {round}");
    }
    let found: BTreeMap<u64, u64> = found.iter().map(|piece| (piece.id, piece.operation)).collect();
    if found != account.pieces {
        let mut with_undecided = account.pieces.clone();
        if let Some(toil) = undecided {
            toil.apply(&mut with_undecided);
        }
        let differing: Vec<String> = found
            .keys()
            .chain(with_undecided.keys())
            .filter(|id| found.get(id) != with_undecided.get(id))
            .map(|id| format!("{id}: {:?} and not {:?}", found.get(id), account.pieces.get(id)))
            .collect();
        assert!(differing.is_empty(), "round {round}, {undecided:?} undecided: {}", differing.join(", "));
        account.unacknowledged += 1;
        account.pieces = with_undecided;
    }
    for (id, operation) in found.iter().step_by(37) {
        let piece = pieces.get(id).await.unwrap();
        assert_eq!(piece, Some(Piece::new(*id, *operation)), "round {round}: by its key");
    }
    let marks = db.table::<Entry>().await.unwrap().query().fetch().await.unwrap();
    let marks: Vec<String> = marks.into_iter().map(|mark| mark.id).collect();
    assert!(marks.iter().cloned().eq((0..=round).map(round_id).take(marks.len())), "round {round}: {marks:?}");
    assert!(marks.len() as u64 >= round, "round {round}: only {} marks", marks.len());
}

/// Removes everything that can be, twice, as what is removed may be what the first compaction gave up.
async fn clean_up(store: &Store, plan: &Plan, rounds: u64, account: &mut Account) {
    for _ in 0..2 {
        let db = store.open().await;
        db.compact().await.unwrap();
        let mut waited = Duration::ZERO;
        while let Some(left) = db
            .collect_garbage()
            .await
            .map(|report| {
                account.removed += report.objects + report.records;
                report.next_due
            })
            .unwrap()
        {
            assert!(waited <= 20 * plan.grace, "it is never due");
            waited += left;
            tokio::task::spawn_blocking(move || let_pass(left)).await.unwrap();
        }
        account.removed += db.sweep().await.unwrap().removed;
        db.close().await.unwrap();
    }
    check(store, rounds, None, account).await;
}
