//! Queries of random tables against plain code that knows nothing of the library: random schemas, documents, indexes and
//! questions, asked by every way that there is, while several processes write.
//!
//! What a value is, how values compare, what a condition means, which documents an order puts first, what a unique index
//! refuses: all of it is written here once more, as the documentation says it. Nothing of the library is used to find out
//! what is right.

mod asking;
mod case;
mod checks;
mod condition;
mod documents;
mod draw;
mod model;
mod question;
mod race;
mod schema;
mod values;

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use self::case::Case;
use crate::support;

/// How many queries were asked whose answer is known.
static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);

fn count_execution() {
    EXECUTIONS.fetch_add(1, Ordering::Relaxed);
}

/// What happens next; everything else is drawn from a number.
#[derive(Clone, Copy, Debug)]
enum StepKind {
    Write,
    Batch,
    Transact,
    WriteByQuery,
    Load,
    Checkpoint,
    Compact,
    CreateIndex,
    DropIndex,
    Hold,
    Past,
    Reopen,
    Race,
    Stream,
    Page,
    Ask,
}

fn step_kind() -> BoxedStrategy<StepKind> {
    prop_oneof![
        6 => Just(StepKind::Write),
        2 => Just(StepKind::Batch),
        1 => Just(StepKind::Transact),
        2 => Just(StepKind::WriteByQuery),
        1 => Just(StepKind::Load),
        2 => Just(StepKind::Checkpoint),
        1 => Just(StepKind::Compact),
        2 => Just(StepKind::CreateIndex),
        1 => Just(StepKind::DropIndex),
        1 => Just(StepKind::Hold),
        2 => Just(StepKind::Past),
        1 => Just(StepKind::Reopen),
        2 => Just(StepKind::Race),
        2 => Just(StepKind::Stream),
        6 => Just(StepKind::Page),
        12 => Just(StepKind::Ask),
    ]
    .boxed()
}

#[test]
fn random_tables_answer_as_plain_code_does() {
    let config = ProptestConfig { failure_persistence: None, ..support::cases(64) };
    let cases = config.cases as usize;
    let before = EXECUTIONS.load(Ordering::Relaxed);
    let steps = prop::collection::vec((0..3_usize, step_kind(), any::<u64>()), 1..40);
    let ran = TestRunner::new(config).run(&(any::<u64>(), steps), |(seed, steps)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut case = Box::pin(Case::new(seed)).await;
            for (handle, kind, seed) in steps {
                Box::pin(case.step(handle, kind, seed)).await;
            }
            Box::pin(case.finish()).await;
        });
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    let count = EXECUTIONS.load(Ordering::Relaxed) - before;
    println!("{cases} random tables, {count} query executions: no difference");
    assert!(count > 100 * cases, "{count} queries show nothing");
}
