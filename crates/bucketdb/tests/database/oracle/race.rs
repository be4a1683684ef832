//! Several processes that write and read at the same time: each sees what the commits up to its position have left.

use bucketdb::{Commit, Error, Seq, Snapshot};
use futures::future::{join, join_all};
use serde_json::Value;

use super::case::{Case, TABLE, write};
use super::checks::{Way, check};
use super::draw::Draw;
use super::model::{Model, Refusal, Write};
use super::question::Question;
use super::schema::Documents;

/// What a reader has seen.
struct Seen {
    snapshot: Snapshot,
    question: Question,
    found: Vec<Value>,
    /// What it saw in a query of its own, somewhen behind the snapshot.
    present: Vec<Value>,
}

pub(crate) async fn race(case: &mut Case, draw: &mut Draw) {
    let start = case.handles[0].0.position();
    let before = &case.model;
    let mut attempts = Vec::new();
    let mut readers = Vec::new();
    for (db, things) in &case.handles {
        let mut plan: Vec<(usize, Vec<Write>)> = Vec::new();
        for _ in 0..1 + draw.below(3) {
            let writes = (0..1 + draw.below(2)).map(|_| case.draw_batched(draw)).collect();
            plan.push((draw.below(4), writes));
        }
        attempts.push(async move {
            let mut outcomes = Vec::new();
            for (pause, writes) in plan {
                yield_often(pause).await;
                let outcome = write(db, things, &before.shape, &writes).await;
                outcomes.push((writes, outcome));
            }
            outcomes
        });
        let plan: Vec<(usize, Question)> = (0..2).map(|_| (draw.below(6), before.draw_question(draw))).collect();
        let mut draw = draw.split();
        readers.push(async move {
            let mut seen = Vec::new();
            for (pause, question) in plan {
                yield_often(pause).await;
                let snapshot = db.snapshot().await.unwrap();
                yield_often(pause).await;
                let way = draw.one_of(&[Way::Planned, Way::Keys]);
                let then = snapshot.collection(TABLE);
                let found = way.apply(question.ask(then.query())).fetch().await.unwrap();
                let present = way.apply(question.ask(things.query())).fetch().await.unwrap();
                seen.push(Seen { snapshot, question, found, present });
            }
            seen
        });
    }
    let (outcomes, seen) = join(join_all(attempts), join_all(readers)).await;
    let (states, refused) = states(before, outcomes.into_iter().flatten().collect());
    for (writes, refusal) in refused {
        let is_just = |(_, model): &(Seq, Model)| model.after(&writes).1.contains(&refusal);
        assert!(states.iter().any(is_just), "{refusal:?} of {writes:?} in {before:?}");
    }
    for Seen { snapshot, question, found, present } in seen.into_iter().flatten() {
        let position = snapshot.position();
        assert!(position >= start);
        let model = states.iter().rev().find(|(seq, _)| *seq <= position).map(|(_, model)| model).unwrap();
        assert_eq!(found, question.expected(&model.shape, &model.documents), "{question:?}");
        let then = snapshot.collection(TABLE);
        check(&|| then.query(), &question, model, draw).await;
        let mut later = states.iter().filter(|(seq, _)| *seq >= position).map(|(_, model)| model).chain([model]);
        let is_it = |model: &Model| question.expected(&model.shape, &model.documents) == present;
        assert!(later.any(is_it), "{question:?} gave {present:?}");
    }
    case.model.documents = states.last().map(|(_, model)| model.documents.clone()).unwrap();
}

type Outcome = (Vec<Write>, Result<Option<Commit>, Error>);

type States = Vec<(Seq, Model)>;

/// What there was behind each commit, in their order, and what was refused.
fn states(before: &Model, outcomes: Vec<Outcome>) -> (States, Vec<(Vec<Write>, Refusal)>) {
    let (mut commits, mut refused) = (Vec::new(), Vec::new());
    for (writes, outcome) in outcomes {
        match outcome {
            Ok(commit) => commits.extend(commit.map(|commit| (commit, writes))),
            Err(error) => {
                let refusal = Refusal::of(&error).unwrap_or_else(|| unreachable!("{error}: {writes:?}"));
                refused.push((writes, refusal));
            }
        }
    }
    commits.sort_by_key(|(commit, _)| (commit.seq, commit.id.counter));
    let mut states = vec![(Seq(0), before.clone())];
    for (commit, writes) in commits {
        let model = states.last().map_or(before, |(_, model)| model);
        let (documents, refusals): (Documents, _) = model.after(&writes);
        assert!(refusals.is_empty(), "{refusals:?} of {writes:?} in {model:?}");
        states.push((commit.seq, Model { documents, ..model.clone() }));
    }
    (states, refused)
}

async fn yield_often(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}
