//! Whole simulations: that they replay, that the library passes, and that bugs planted on purpose are found.

use bucketdb::simulation::PlantedBug;
use bucketdb_sim::{Config, RunOptions, run};

#[test]
fn a_seed_replays_event_for_event() {
    for seed in 0..25 {
        let options = RunOptions { keep_trace: true, ..RunOptions::default() };
        let (one, two) = (run(seed, &options), run(seed, &options));
        let differs = one.trace.iter().zip(&two.trace).find(|(one, two)| one != two);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!((one.digest, one.events, one.polls), (two.digest, two.events, two.polls), "seed {seed}");
        // Keeping the text changes nothing.
        let other_thread = std::thread::spawn(move || run(seed, &RunOptions::default())).join().unwrap();
        assert_eq!(other_thread.digest, run(seed, &options).digest, "seed {seed}");
    }
}

#[test]
fn no_promise_is_broken() {
    let threads: Vec<_> = (0..2)
        .map(|half| {
            std::thread::spawn(move || {
                let mut work = 0;
                for seed in (half..100).step_by(2) {
                    let report = run(seed, &RunOptions::default());
                    assert!(report.violations.is_empty(), "{report}");
                    work += report.commits;
                }
                work
            })
        })
        .collect();
    let commits: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(commits > 2_500, "a run that does nothing finds nothing: {commits} commits");
}

/// The first of these seeds that finds a bug, and what it says.
fn find(bug: PlantedBug, mut seeds: std::ops::Range<u64>) -> Option<(u64, &'static str)> {
    seeds.find_map(|seed| {
        let report = run(seed, &RunOptions { bug: Some(bug), ..RunOptions::default() });
        report.violations.first().map(|violation| (seed, violation.rule))
    })
}

#[test]
fn planted_bugs_are_found() {
    let bugs = [
        PlantedBug::AnswerBeforePut,
        PlantedBug::SkipValidation,
        PlantedBug::NextSlotWhileOpen,
        PlantedBug::TakenIsFailure,
        PlantedBug::MissRangeRead,
        PlantedBug::MoveAbandoned,
        PlantedBug::DeleteAtOnce,
        PlantedBug::AcceptStaleCheckpoint,
    ];
    for bug in bugs {
        assert!(find(bug, 0..200).is_some(), "{bug:?} was not found");
    }
    // Few seeds find these: the search begins near one of them. Any change of the code moves them.
    let rare = [
        (PlantedBug::ApplyTwice, 20),
        (PlantedBug::DropAtOnce, 40),
        (PlantedBug::ListingWithoutRun, 1995),
        (PlantedBug::BranchForgotten, 590),
        (PlantedBug::DropForgotten, 2400),
    ];
    for (bug, near) in rare {
        assert!(find(bug, near..near + 100).is_some(), "{bug:?} was not found");
    }
}

#[test]
fn runs_differ() {
    let configs: Vec<Config> = (0..200).map(Config::of_seed).collect();
    let count = |is: fn(&Config) -> bool| configs.iter().filter(|config| is(config)).count();
    for (what, with) in [
        ("a short grace", count(|config| config.storage.grace.is_some())),
        ("keepers", count(|config| config.storage.keeper.is_some())),
        ("a short tail", count(|config| config.storage.tail_limits.hard_records < 100)),
        ("followers", count(|config| config.follow)),
        ("harms", count(|config| !config.harms.is_empty())),
        ("one process", count(|config| config.machines.len() == 1)),
        ("duplicates", count(|config| config.faults.duplicate > 0.0)),
        ("lagging lists", count(|config| !config.faults.list_lag.is_zero())),
    ] {
        assert!((10..190).contains(&with), "{with} of 200 have {what}");
    }
}
