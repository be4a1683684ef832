//! Held: of processes that are killed at any moment while they write, load in bulk, compact, remove what is superfluous and
//! sweep, on a database and on its branches, and while others create and drop branches and snapshots with names, each branch
//! that was created, and that nobody began to drop, shows what it began with and what was acknowledged on it; each snapshot is
//! its moment; whatever one of them holds is whole when others are dropped, before or after it; and when all are dropped,
//! nothing of the branches is left but records of their logs.
//!
//! Catches: what a branch shares that is removed by who compacts, sweeps or is dropped; a branch that is not there although it
//! was acknowledged, or that shows what was written elsewhere; what was begun and stands in the way for ever.
//!
//! `BUCKETDB_TEST_KILL_ROUNDS` says how many rounds there are.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use bucketdb::{Database, DatabaseBuilder, Error, Freshness, Key, LogError};
use bucketdb_system_tests::{Act, Entry, Line, Piece};
use tokio::runtime::Runtime;

use crate::family::{Family, Pieces, differences};
use crate::stores::{PREFIX, Store, on_stores};
use crate::support::{let_pass, random_below};
use crate::workers::{Ending, Worker};

const SIGKILL: i32 = 9;

/// There are as many more rounds as it takes for so many branches to be created.
const LEAST_CREATED: u64 = 4;
const MOST_ROUNDS: u64 = 100;

/// So little memory makes those who write make checkpoints often.
const MEMORY: &str = "8388608";

/// One round does no more operations.
const OPERATIONS: u64 = 1_000_000;

/// How a store is put to the test.
#[derive(Clone, Copy)]
struct Plan {
    /// So many rounds there are at least.
    rounds: u64,
    /// A kill comes so much later than the first word of those who write, at most.
    most_delay: Duration,
    /// So short that things are removed while the test runs, and so long that the store, on a machine that has other things
    /// to do, answers within a part of it.
    grace: Duration,
}

impl Plan {
    /// Nothing is removed by who has not been there for a grace, so whoever looks after a database lives longer by this.
    fn care_delay(self) -> Duration {
        self.grace + Duration::from_millis(100)
    }
}

const FAST: Plan = Plan { rounds: 6, most_delay: Duration::from_millis(1_500), grace: Duration::from_millis(400) };
const SLOW: Plan = Plan { rounds: 3, most_delay: Duration::from_millis(3_000), grace: Duration::from_millis(2_000) };

on_stores!(kill_on_files: file);
on_stores!(kill_on_servers: localstack, ceph);

fn kill_on_files(runtime: &Runtime, store: &Store) -> String {
    kill_around_branches(runtime, store, FAST)
}

fn kill_on_servers(runtime: &Runtime, store: &Store) -> String {
    kill_around_branches(runtime, store, SLOW)
}

fn kill_around_branches(runtime: &Runtime, store: &Store, plan: Plan) -> String {
    let first = runtime.block_on(async {
        let db = store.builder().grace(plan.grace).history(Duration::ZERO).open().await.unwrap();
        db.table::<Piece>().await.unwrap();
        db.table::<Entry>().await.unwrap();
        db.close().await.unwrap();
        db.position().0
    });
    let wanted = std::env::var("BUCKETDB_TEST_KILL_ROUNDS").map_or(plan.rounds, |rounds| rounds.parse().unwrap());
    let mut test = Test { store, plan, first, family: Family::new(), checked: 0, held: 0 };
    let mut round = 0;
    while round < wanted || test.family.created < LEAST_CREATED {
        assert!(round < wanted.max(MOST_ROUNDS), "too few branches are created: {}", test.family.created);
        test.run_round(runtime, round);
        runtime.block_on(async {
            test.check().await;
            if round % 2 == 1 {
                test.drop_one_and_one_of_it().await;
            }
        });
        round += 1;
    }
    test.care();
    let left = runtime.block_on(async {
        test.check().await;
        test.drop_all().await
    });
    let Test { family: Family { created, dropped, named, .. }, checked, held, .. } = test;
    assert!(checked > 0, "that shows nothing");
    format!(
        "; {round} rounds, {created} branches were created and {dropped} dropped, {named} snapshots named, {checked} times \
         one was checked, {held} times one whose parent was dropped, and {left} records are left of all branches"
    )
}

struct Test<'a> {
    store: &'a Store,
    plan: Plan,
    /// Where all tables are there; no branch forks before.
    first: u64,
    family: Family,
    /// How often it was looked whether a branch is as it must be, and how often with its parent dropped.
    checked: u64,
    held: u64,
}

/// Somebody who works on the database or a branch.
struct Job {
    path: String,
    role: Role,
    worker: Worker,
    lines: Vec<Line>,
}

impl Job {
    /// Waits for its first word.
    fn listen(&mut self) {
        self.lines.extend(self.worker.line());
    }
}

#[derive(Clone, Copy)]
enum Role {
    Writer { is_bulk: bool },
    Brancher,
    Carer(&'static str),
}

impl Test<'_> {
    /// Any of those that are there.
    fn any_path(&self) -> String {
        let paths: Vec<String> = self.family.members.keys().cloned().collect();
        any(&paths).cloned().unwrap_or_default()
    }

    fn start(&self, path: &str, role: Role, first: u64) -> Job {
        let (first, least) = (first.to_string(), self.first.to_string());
        let mut arguments = vec!["--max-memory", MEMORY];
        if !path.is_empty() {
            arguments.extend(["--branch", path]);
        }
        match role {
            Role::Writer { is_bulk } => {
                arguments.extend(["toil", "--first", &first]);
                arguments.extend(is_bulk.then_some("--bulk"));
            }
            Role::Brancher => arguments.extend(["branch", "--least", &least]),
            Role::Carer(what) => arguments.extend(["care", "--what", what]),
        }
        Job { path: path.to_owned(), role, worker: Worker::start(self.store, &arguments), lines: Vec::new() }
    }

    /// Lets processes work on the database and on one or two branches, and kills all of them.
    fn run_round(&mut self, runtime: &Runtime, round: u64) {
        let (branch, other) = (self.any_path(), self.any_path());
        let mut jobs = Vec::new();
        for path in if branch.is_empty() { vec![""] } else { vec!["", &branch] } {
            let first = (round * 2 + u64::from(!path.is_empty())) * OPERATIONS;
            jobs.push(self.start(path, Role::Writer { is_bulk: random_below(3) == 0 }, first));
            jobs.push(self.start(path, Role::Carer(if random_below(2) == 0 { "compact" } else { "gc" }), 0));
        }
        // Whoever works on a branch has it open before it may be dropped, and another one created under its name.
        jobs.iter_mut().for_each(Job::listen);
        let is_deep = other.matches('/').count() >= 2;
        for path in if other.is_empty() || is_deep { vec![""] } else { vec![&other, ""] } {
            let mut brancher = self.start(path, Role::Brancher, 0);
            brancher.listen();
            jobs.push(brancher);
        }
        let delay = |job: &Job| {
            let least = if matches!(job.role, Role::Carer(_)) { self.plan.care_delay() } else { Duration::ZERO };
            least + Duration::from_micros(random_below(self.plan.most_delay.as_micros() as u64))
        };
        let mut kills: Vec<(Duration, usize)> =
            jobs.iter().enumerate().map(|(number, job)| (delay(job), number)).collect();
        kills.sort_unstable();
        let mut passed = Duration::ZERO;
        for (at, job) in kills {
            let_pass(at - passed);
            passed = at;
            jobs[job].worker.kill();
        }
        let mut branchers = Vec::new();
        for Job { path, role, worker, mut lines } in jobs {
            let Ending { status, lines: said, complaint } = worker.finish();
            assert_eq!(
                status.signal(),
                Some(SIGKILL),
                "round {round}, {path:?}: a worker ended by itself: {complaint}"
            );
            lines.extend(said);
            match role {
                Role::Writer { is_bulk } => self.family.members.get_mut(&path).unwrap().hear(lines, is_bulk),
                Role::Brancher => branchers.push((path, lines)),
                Role::Carer(_) => {}
            }
        }
        let being_dropped = branchers.iter().flat_map(|(path, lines)| dropped(path, lines)).collect();
        runtime.block_on(self.settle(&being_dropped));
        // The one that worked on a branch comes first: that may have been dropped since.
        for (path, lines) in branchers {
            let mut member = self.family.members[&path].clone();
            self.family.hear(&path, &mut member, lines);
            self.family.members.insert(path, member);
        }
    }

    /// Lets somebody look after the database and some of the branches for long enough that everything that is superfluous goes.
    fn care(&self) {
        let mut paths = vec![String::new(), self.any_path(), self.any_path()];
        paths.sort();
        paths.dedup();
        let start = |path: &String| ["compact", "gc"].map(|what| self.start(path, Role::Carer(what), 0).worker);
        let mut carers: Vec<Worker> = paths.iter().flat_map(start).collect();
        carers.iter_mut().for_each(|carer| _ = carer.line());
        let_pass(4 * self.plan.grace);
        carers.into_iter().for_each(|carer| _ = carer.succeed());
    }

    /// Finds out what took effect of what was under way, where nobody began to drop it.
    async fn settle(&mut self, being_dropped: &BTreeSet<String>) {
        for (path, member) in &mut self.family.members {
            if being_dropped.contains(path) || !(path.is_empty() || member.is_unsettled()) {
                continue;
            }
            let db = builder(self.store, path).open().await.unwrap();
            // Takes the one position at which a request of a dead process could still put a record.
            let mark = Entry { id: "mark".to_owned(), worker: 0 };
            let mark = db.table::<Entry>().await.unwrap().put(&mark).await.unwrap();
            member.settle(&pieces(&db).await, mark.seq.0, path);
            db.close().await.unwrap();
        }
    }

    /// Whether each shows what it must, and everything that it refers to is there.
    async fn check(&mut self) {
        for path in self.family.members.keys().cloned().collect::<Vec<_>>() {
            self.check_one(&path).await;
        }
    }

    async fn check_one(&mut self, path: &str) {
        let db = builder(self.store, path).read_only(true).open().await;
        let db = db.unwrap_or_else(|error| panic!("{path:?} cannot be opened: {error}"));
        let mut member = self.family.members[path].clone();
        let found = pieces(&db).await;
        member.settle(&found, db.position().0, path);
        for (name, possible) in &mut member.snapshots {
            let moment = db.at(name.as_str()).await.unwrap();
            let found = pieces_of(moment.table::<Piece>().unwrap().query().fetch().await.unwrap());
            assert!(possible.contains(&found), "{path:?}, snapshot {name}: {}", differences(possible, &found));
            *possible = vec![found];
        }
        let verification = db.verify(|_| {}).await.unwrap();
        assert!(verification.is_clean(), "{path:?}: {:#?}", verification.findings);
        for branch in db.branches().await.unwrap() {
            let child = Family::child(path, &branch.name);
            if self.family.begun.contains(&child) && self.is_whole(&child).await {
                self.family.add(path, &member, &branch.name, branch.fork.0);
                Box::pin(self.check_one(&child)).await;
            }
        }
        self.family.members.insert(path.to_owned(), member);
        db.close().await.unwrap();
        self.checked += u64::from(!path.is_empty());
    }

    /// Whether a branch is there whose creation was begun and not acknowledged.
    async fn is_whole(&self, path: &str) -> bool {
        match builder(self.store, path).read_only(true).open().await {
            Ok(_) => true,
            Err(Error::Log(LogError::NoDatabase { .. } | LogError::UnfinishedBranch { .. })) => false,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// Drops a branch, and one that comes of it, in either order.
    async fn drop_one_and_one_of_it(&mut self) {
        let lines = self.family.members.keys().filter(|path| !path.is_empty());
        let lines: Vec<(String, String)> =
            lines.flat_map(|path| self.family.below(path).into_iter().map(|below| (path.clone(), below))).collect();
        let Some((above, below)) = any(&lines).cloned() else { return };
        let order = if random_below(2) == 0 { [above, below] } else { [below, above] };
        for path in order {
            self.drop_one(&path).await;
        }
    }

    async fn drop_one(&mut self, path: &str) {
        self.family.lose(path);
        let name = builder(self.store, path).database_name().await.unwrap();
        let report = builder(self.store, path).drop_database(&name, false).await;
        let report = report.unwrap_or_else(|error| panic!("{path:?} cannot be dropped: {error}"));
        let below =
            if path.is_empty() { self.family.members.keys().cloned().collect() } else { self.family.below(path) };
        assert!(below.is_empty() || !report.held_by.is_empty(), "{path:?} is not held by {below:?}");
        for path in &below {
            self.check_one(path).await;
        }
        self.held += below.len() as u64;
    }

    /// Drops all, the one that they come of first or last, and looks at what is left.
    async fn drop_all(&mut self) -> usize {
        let is_last = random_below(2) == 0;
        if !is_last {
            self.drop_one("").await;
        }
        let mut turns = 0;
        while let Some(path) = any(&self.places().await) {
            assert!(turns < 1_000, "{path} cannot be dropped");
            self.drop_one(path).await;
            turns += 1;
        }
        if is_last {
            let db = builder(self.store, "").open().await.unwrap();
            // Those that nobody could open.
            for branch in db.branches().await.unwrap() {
                db.drop_branch(&branch.name).await.unwrap();
            }
            // Whoever compacted a branch and had not heard of its drop may have written a run or a manifest since.
            db.sweep().await.unwrap();
            let_pass(2 * self.plan.grace);
            assert_eq!(db.sweep().await.unwrap().next_due, None);
            self.check_only_records_are_left(&format!("{PREFIX}/branch/")).await;
            db.close().await.unwrap();
            self.check_one("").await;
            self.drop_one("").await;
        }
        // Who drops it once more, and waits, removes what is left of the branches too.
        let name = builder(self.store, "").database_name().await.unwrap();
        let report = builder(self.store, "").drop_database(&name, true).await.unwrap();
        assert_eq!((report.records_left, report.held_by), (0, Vec::new()));
        self.check_only_records_are_left(&format!("{PREFIX}/")).await
    }

    /// Whether nothing is left below a folder but records of logs, and what says that branches are gone. How much is of
    /// these.
    async fn check_only_records_are_left(&self, folder: &str) -> usize {
        let left = self.keys(folder).await;
        let others: Vec<&String> =
            left.iter().filter(|key| !(key.contains("/log/") || key.ends_with("/origin"))).collect();
        assert!(others.is_empty(), "left behind: {others:#?}");
        left.iter().filter(|key| key.contains("/branch/")).count()
    }

    /// The paths of all branches that are there, also of those that are half created or dropped.
    async fn places(&self) -> Vec<String> {
        let keys = self.keys(&format!("{PREFIX}/branch/")).await;
        let mut places = Vec::new();
        for key in keys {
            let Some(place) = key.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix("/origin")) else { continue };
            let origin = self.store.driver.get(&Key::new(&key).unwrap()).await.unwrap().body;
            // It stays, and says whether the branch is gone.
            if origin[6..8] == [0, 0] {
                places.push(place.trim_start_matches("/branch/").replace("/branch/", "/"));
            }
        }
        places
    }

    async fn keys(&self, folder: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut start: Option<String> = None;
        loop {
            let page = self.store.driver.list(folder, start.as_deref()).await.unwrap();
            keys.extend(page.objects.into_iter().map(|object| object.key.as_str().to_owned()));
            match page.next {
                Some(next) => start = Some(next),
                None => return keys,
            }
        }
    }
}

fn builder(store: &Store, path: &str) -> DatabaseBuilder {
    let builder = store.builder().create(false);
    if path.is_empty() { builder } else { builder.branch(path) }
}

fn any<T>(all: &[T]) -> Option<&T> {
    if all.is_empty() { None } else { all.get(random_below(all.len() as u64) as usize) }
}

/// The branches that somebody began to drop.
fn dropped<'a>(path: &'a str, lines: &'a [Line]) -> impl Iterator<Item = String> + 'a {
    lines.iter().filter_map(move |line| match line {
        Line::Naming { act: Act::DropBranch, name } => Some(Family::child(path, name)),
        _ => None,
    })
}

async fn pieces(db: &Database) -> Pieces {
    let table = db.table::<Piece>().await.unwrap().with_freshness(Freshness::Strict);
    pieces_of(table.query().fetch().await.unwrap())
}

fn pieces_of(found: Vec<Piece>) -> Pieces {
    for piece in &found {
        assert_eq!(*piece, Piece::new(piece.id, piece.operation));
    }
    found.into_iter().map(|piece| (piece.id, piece.operation)).collect()
}
