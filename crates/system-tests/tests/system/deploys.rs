//! Held: while processes of two versions of a program read and write one table, and each is replaced by one of the other
//! version and back, ended or killed, no operation is lost or done twice, no field that one version does not know is lost,
//! and nobody meets an error; once the migration was finished, the first version is refused, and told so.
//!
//! Catches: a write by the first version that drops what the second one added; an index that goes by one version's name of a
//! field only; a row that is translated twice; a finish that passes over rows which the first version writes meanwhile.

use std::collections::BTreeMap;

use bucketdb::{Database, Freshness};
use bucketdb_system_tests::{FirstProfile, Line, PROFILES, Profile, SecondProfile, profile_of};
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::stores::{Store, on_stores};
use crate::support::random_below;
use crate::workers::{Ending, Worker};

/// So many processes run at the same time.
const PLACES: usize = 4;

/// So many operations at least are done between two replacements, by the process that came last: on files, and on a server,
/// where four processes that write to the same rows take ten times as long for one.
const STEPS: [usize; 2] = [12, 3];

/// Deployed, rolled back, and deployed again.
const WAVES: [bool; 3] = [true, false, true];

on_stores!(replace_one_by_one: file, localstack);

/// A process that runs.
struct Running {
    number: u32,
    is_second: bool,
    process: Worker,
    said: Vec<Line>,
}

/// What a process did in all.
struct Life {
    number: u32,
    is_second: bool,
    acknowledged: u64,
    /// The one that may or may not be there.
    undecided: Option<u64>,
}

impl Running {
    fn start(store: &Store, number: u32, is_second: bool) -> Self {
        let number_text = number.to_string();
        let mut arguments = vec!["deploy", "--worker", &number_text];
        arguments.extend(is_second.then_some("--second"));
        Self { number, is_second, process: Worker::start(store, &arguments), said: Vec::new() }
    }

    /// Waits until it has done so many operations more; false if it ended before.
    fn advance(&mut self, operations: usize) -> bool {
        let mut done = 0;
        while done < operations {
            let Some(line) = self.process.line() else { return false };
            done += usize::from(matches!(line, Line::Done(_)));
            self.said.push(line);
        }
        true
    }

    /// Ends it: as a deploy does, or by killing it.
    fn end(self, is_killed: bool) -> Life {
        if is_killed {
            self.process.signal(Signal::KILL);
        }
        let Ending { status, lines, complaint } = self.process.finish();
        assert!(is_killed || status.success(), "process {} failed: {complaint}", self.number);
        assert_eq!(complaint, "", "process {}", self.number);
        let said: Vec<Line> = self.said.into_iter().chain(lines).collect();
        let done = |line: &Line| if let Line::Done(operation) = line { Some(*operation) } else { None };
        let acknowledged = said.iter().filter_map(done).next_back().unwrap_or(0);
        let undecided = matches!(said.last(), Some(Line::Doing(_))).then_some(acknowledged + 1);
        Life { number: self.number, is_second: self.is_second, acknowledged, undecided }
    }

    /// Waits until it is refused, and gives what with.
    fn refused(mut self) -> (Life, String) {
        let reason = loop {
            match self.process.line() {
                Some(Line::Failed { reason, .. }) => break reason,
                Some(line) => self.said.push(line),
                None => panic!("process {} ended", self.number),
            }
        };
        // What is refused never appears.
        let Life { number, is_second, acknowledged, .. } = self.end(false);
        (Life { number, is_second, acknowledged, undecided: None }, reason)
    }
}

fn replace_one_by_one(runtime: &Runtime, store: &Store) -> String {
    let db = runtime.block_on(async {
        let db = store.open().await;
        let profiles = db.table::<FirstProfile>().await.unwrap();
        for id in 0..PROFILES / 2 {
            profiles.insert(&FirstProfile::empty(id)).await.unwrap();
        }
        db
    });
    let step = STEPS[usize::from(!store.url.starts_with("file:"))];
    let care = Worker::start(store, &["care", "--what", "compact"]);
    let mut lives = Vec::new();
    let mut running: Vec<Running> = (0..PLACES as u32).map(|number| Running::start(store, number, false)).collect();
    let mut started = PLACES as u32;
    for process in &mut running {
        assert!(process.advance(step));
    }
    for (wave, is_second) in WAVES.into_iter().enumerate() {
        // The last wave leaves one process of the first version.
        let replaced = if wave + 1 == WAVES.len() { 1..PLACES } else { 0..PLACES };
        for place in replaced {
            let next = Running::start(store, started, is_second);
            started += 1;
            let before = std::mem::replace(&mut running[place], next);
            lives.push(before.end(random_below(2) == 0));
            assert!(running[place].advance(step));
            runtime.block_on(check_while_it_runs(&db));
        }
    }
    let second = runtime.block_on(db.table::<SecondProfile>()).unwrap();
    let done = runtime.block_on(second.finish_migration(|_| ())).unwrap();
    assert_eq!(done.documents, u64::from(PROFILES));

    let late = Running::start(store, started, false);
    for outdated in [running.remove(0), late] {
        let (life, reason) = outdated.refused();
        for part in ["profiles", "version 1", "version 2", "out of date"] {
            assert!(reason.contains(part), "{reason}");
        }
        lives.push(life);
    }
    for mut process in running {
        assert!(process.advance(step));
        lives.push(process.end(false));
    }
    drop(care);

    let table = second.with_freshness(Freshness::Strict);
    let found: Vec<SecondProfile> = runtime.block_on(table.query().fetch()).unwrap();
    let operations = check(&found, &lives);
    assert!(runtime.block_on(table.migration()).unwrap().is_finished());
    runtime.block_on(db.checkpoint()).unwrap();
    let verification = runtime.block_on(db.verify(|_| {})).unwrap();
    assert!(verification.is_clean(), "{:?}", verification.findings);
    format!("; {} processes of two versions, {operations} operations, {} rows finished", lives.len(), done.rewritten)
}

/// What holds of every profile at every moment, whoever reads it.
async fn check_while_it_runs(db: &Database) {
    let first: Vec<FirstProfile> = db.table().await.unwrap().query().fetch().await.unwrap();
    let second: Vec<SecondProfile> = db.table().await.unwrap().query().fetch().await.unwrap();
    let counts = first.iter().map(|profile| (u64::from(profile.operations), &profile.last));
    for (operations, last) in counts.chain(second.iter().map(|profile| (profile.operations, &profile.last))) {
        assert_eq!(operations == 0, last.is_empty());
    }
    for SecondProfile { last, last_of_second, .. } in &second {
        for (worker, operation) in last_of_second.iter().flatten() {
            assert_eq!(last.get(worker), Some(operation));
        }
    }
}

/// Whether all that was acknowledged is there once. Gives how many operations there are.
fn check(found: &[SecondProfile], lives: &[Life]) -> u64 {
    let ids: Vec<u32> = found.iter().map(|profile| profile.id).collect();
    assert_eq!(ids, (0..PROFILES).collect::<Vec<_>>());
    let mut all = 0;
    for profile in found {
        let mut operations = 0;
        let mut last_of_second = BTreeMap::new();
        let mut names = vec![String::new()];
        for life in lives {
            let about_it = |operation: &u64| profile_of(life.number, *operation) == profile.id;
            let acknowledged = (1..=life.acknowledged).rev().find(about_it).unwrap_or(0);
            let last = profile.last_of(life.number);
            let is_undecided = life.undecided.filter(about_it) == Some(last);
            assert!(
                last == acknowledged || is_undecided,
                "{profile:?} and not {acknowledged} of process {}, second: {}",
                life.number,
                life.is_second
            );
            operations += (1..=last).filter(about_it).count() as u64;
            if last > 0 {
                names.push(format!("{}/{last}", life.number));
                if life.is_second {
                    last_of_second.insert(life.number, last);
                }
            }
        }
        assert_eq!(profile.operations, operations, "{profile:?}");
        let has = profile.last_of_second.clone().unwrap_or_default();
        assert_eq!(has, last_of_second, "{profile:?}");
        assert!(names.contains(&profile.full_name), "{profile:?}");
        assert_eq!(profile.mark == "never", last_of_second.is_empty(), "{profile:?}");
        all += operations;
    }
    all
}
