//! One table, several processes that write and read it, and what it must be.

use std::time::Duration;

use bucketdb::{
    Collection, Commit, Database, Duplicates, Error, Freshness, MemoryDriver, PageCursor, Seq, Snapshot, Transaction,
};
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::StepKind;
use super::checks::{Way, check};
use super::draw::Draw;
use super::model::{Model, Refusal, Write};
use super::question::{Question, index_text};
use super::schema::{Key, Shape};
use crate::support::on;

pub(crate) const TABLE: &str = "things";

pub(crate) struct Case {
    store: MemoryDriver,
    pub(crate) handles: Vec<(Database, Collection)>,
    pub(crate) model: Model,
    held: Option<(Snapshot, Model)>,
    /// What there was at earlier positions.
    past: Vec<(Seq, Model)>,
    paging: Option<Paging>,
}

/// Pages that are read while others write.
struct Paging {
    question: Question,
    size: usize,
    cursor: Option<PageCursor>,
    /// The last document, as it was when its page was read.
    last: Option<(Key, Value)>,
}

async fn open(store: &MemoryDriver) -> (Database, Collection) {
    let db = on(store.clone()).staleness(Duration::ZERO).open().await.unwrap();
    let things = db.collection(TABLE);
    (db, things)
}

impl Case {
    pub(crate) async fn new(seed: u64) -> Self {
        let draw = &mut Draw::new(seed);
        let shape = Shape::draw(draw);
        let store = MemoryDriver::new();
        let mut handles = Vec::new();
        for _ in 0..3 {
            handles.push(open(&store).await);
        }
        let mut model = Model { shape, documents: Default::default(), indexes: Vec::new(), unique: Vec::new() };
        let mut asked = Vec::new();
        for _ in 0..draw.below(4) {
            let is_unique = model.shape.may_have_unique() && draw.one_in(2);
            let index = model.shape.draw_index(is_unique, draw);
            if !model.has_index(&index) {
                asked.push((index_text(&index), is_unique));
                model.indexes.push(index.clone());
                model.unique.extend(is_unique.then_some(index));
            }
        }
        if model.shape.is_declared {
            handles[0].0.create_collection(model.shape.schema(TABLE, &asked)).await.unwrap();
        }
        let mut case = Self { store, handles, model, held: None, past: Vec::new(), paging: None };
        if !case.model.shape.is_declared {
            // The first document decides, and then there is a table for the indexes.
            let first = case.model.shape.draw_document(draw);
            case.handles[0].1.put(&first).await.unwrap();
            case.model.documents.insert(case.model.shape.key_of(&first), first);
            for (fields, is_unique) in asked {
                let things = &case.handles[0].1;
                if is_unique {
                    things.create_unique_index(&fields).await.unwrap();
                } else {
                    things.create_index(&fields).await.unwrap();
                }
            }
            case.handles[0].0.build_indexes().await.unwrap();
        }
        for (_, things) in &case.handles {
            things.schema().await.unwrap();
        }
        for handle in 0..12 {
            let document = case.model.shape.draw_document(draw);
            case.write(handle % 3, &[Write::Put(document)]).await;
        }
        case
    }

    pub(crate) async fn step(&mut self, handle: usize, kind: StepKind, seed: u64) {
        let draw = &mut Draw::new(seed);
        let (db, things) = self.handles[handle].clone();
        if draw.one_in(2) {
            // Often a process knows less than there is.
            db.refresh(Freshness::Strict).await.unwrap();
            self.past.push((db.position(), self.model.clone()));
        }
        match kind {
            StepKind::Write => {
                let write = self.draw_write(draw);
                Box::pin(self.write(handle, &[write])).await;
            }
            StepKind::Batch => {
                let writes: Vec<Write> = (0..1 + draw.below(6)).map(|_| self.draw_batched(draw)).collect();
                Box::pin(self.write(handle, &writes)).await;
            }
            StepKind::Transact => Box::pin(self.transact(handle, draw)).await,
            StepKind::WriteByQuery => Box::pin(self.write_by_query(handle, draw)).await,
            StepKind::Load => Box::pin(self.load(handle, draw)).await,
            StepKind::Checkpoint => db.checkpoint().await.unwrap(),
            StepKind::Compact => drop(db.compact().await.unwrap()),
            StepKind::CreateIndex => Box::pin(self.create_index(handle, draw)).await,
            StepKind::DropIndex => {
                if !self.model.indexes.is_empty() {
                    let index = self.model.indexes.remove(draw.below(self.model.indexes.len()));
                    self.model.unique.retain(|unique| index_text(unique) != index_text(&index));
                    things.drop_index(&index_text(&index)).await.unwrap();
                }
            }
            StepKind::Hold => self.held = Some((db.snapshot().await.unwrap(), self.model.clone())),
            StepKind::Past => Box::pin(self.past(handle, draw)).await,
            StepKind::Reopen => self.handles[handle] = open(&self.store).await,
            StepKind::Race => Box::pin(super::race::race(self, draw)).await,
            StepKind::Stream => Box::pin(self.stream(handle, draw)).await,
            StepKind::Page => Box::pin(self.page(handle, draw)).await,
            StepKind::Ask => {
                for _ in 0..4 {
                    let question = self.model.draw_question(draw);
                    Box::pin(check(&|| things.query(), &question, &self.model, draw)).await;
                }
                if let Some((snapshot, model)) = &self.held {
                    let then = snapshot.collection(TABLE);
                    Box::pin(check(&|| then.query(), &model.draw_question(draw), model, draw)).await;
                }
            }
        }
    }

    /// What there was at an earlier position, if it can still be read.
    async fn past(&self, handle: usize, draw: &mut Draw) {
        if self.past.is_empty() {
            return;
        }
        let (seq, model) = draw.one_of(&self.past);
        match self.handles[handle].0.at(seq).await {
            Err(Error::SnapshotExpired { floor }) => assert!(floor > seq),
            then => {
                let then = then.unwrap().collection(TABLE);
                check(&|| then.query(), &model.draw_question(draw), &model, draw).await;
            }
        }
    }

    pub(crate) fn draw_write(&self, draw: &mut Draw) -> Write {
        let document = self.model.shape.draw_document(draw);
        match draw.below(10) {
            0..4 => Write::Put(document),
            4..6 => Write::Insert(document),
            6 => Write::Replace(document),
            7 => Write::Delete(document),
            8 => Write::Remove(document),
            _ => {
                let mut patch = json!({"mark": draw.below(9)});
                if draw.one_in(3) {
                    patch[draw.one_of(&["b", "code", "n"])] = Value::Null;
                }
                for name in ["a", "code", "tags"] {
                    if let Some(value) = document.get(name).filter(|value| !value.is_null() && !value.is_object()) {
                        patch[name] = value.clone();
                    }
                }
                Write::Patch(document, patch)
            }
        }
    }

    /// One that there is in batches.
    pub(crate) fn draw_batched(&self, draw: &mut Draw) -> Write {
        match self.draw_write(draw) {
            write @ (Write::Put(_) | Write::Insert(_) | Write::Remove(_)) => write,
            other => Write::Put(other.document().clone()),
        }
    }

    /// Several writes at once; it must be let in or refused as the model says.
    pub(crate) async fn write(&mut self, handle: usize, writes: &[Write]) {
        let (db, things) = &self.handles[handle];
        let outcome = write(db, things, &self.model.shape, writes).await;
        self.settle(writes, outcome.map(|_| ()));
    }

    fn settle(&mut self, writes: &[Write], outcome: Result<(), Error>) {
        let (documents, refusals) = self.model.after(writes);
        match outcome {
            Ok(()) => {
                assert!(refusals.is_empty(), "{refusals:?} of {writes:?} in {:?}", self.model);
                self.model.documents = documents;
            }
            Err(error) => {
                let refusal = Refusal::of(&error).unwrap_or_else(|| unreachable!("{error}: {writes:?}"));
                assert!(refusals.contains(&refusal), "{error}: {refusals:?} of {writes:?} in {:?}", self.model);
            }
        }
    }

    /// A transaction that asks what it has written itself.
    async fn transact(&mut self, handle: usize, draw: &mut Draw) {
        let (db, things) = self.handles[handle].clone();
        let shape = &self.model.shape;
        let is_put = |write: &Write| matches!(write, Write::Put(_) | Write::Delete(_));
        let writes: Vec<Write> = (0..5).map(|_| self.draw_write(draw)).filter(is_put).collect();
        let question = self.model.draw_question(draw);
        let (documents, _) = self.model.after(&writes);
        let within = Model { documents, ..self.model.clone() };
        // Or the first attempt might see less, and be followed by another one.
        db.refresh(Freshness::Strict).await.unwrap();
        let outcome = db
            .transact(async |tx: Transaction| {
                let mut draw = draw.clone();
                check(&|| tx.query_values(&things), &question, &self.model, &mut draw).await;
                for write in &writes {
                    match write {
                        Write::Delete(document) => tx.delete_value(&things, &shape.key_value(document))?,
                        other => tx.put_value(&things, other.document())?,
                    }
                }
                check(&|| tx.query_values(&things), &question, &within, &mut draw).await;
                Ok::<_, Error>(())
            })
            .await;
        self.settle(&writes, outcome);
    }

    /// Changes or removes what a query finds.
    async fn write_by_query(&mut self, handle: usize, draw: &mut Draw) {
        let mut question = self.model.draw_question(draw);
        question.limit = Some(1 + draw.below(3));
        let found = question.expected(&self.model.shape, &self.model.documents);
        let query = question.ask(self.handles[handle].1.query());
        let patch = json!({"mark": draw.below(9), "a": draw.below(5), "tags": ["x", draw.below(3)]});
        let is_removal = draw.one_in(3);
        let outcome = if is_removal { query.delete().await } else { query.patch(&patch).await };
        let write = |document: &Value| match is_removal {
            true => Write::Remove(document.clone()),
            false => Write::Patch(document.clone(), patch.clone()),
        };
        let writes: Vec<Write> = found.iter().map(write).collect();
        self.settle(&writes, outcome.map(|count| assert_eq!(count, writes.len() as u64, "{question:?}")));
    }

    /// Documents that come by a bulk load, which looks at no index.
    async fn load(&mut self, handle: usize, draw: &mut Draw) {
        let things = &self.handles[handle].1;
        let mut load = things.bulk_load(Duplicates::Replace).await.unwrap();
        for _ in 0..1 + draw.below(5) {
            let document = self.model.shape.draw_document(draw);
            load.add_value(&document).await.unwrap();
            self.model.documents.insert(self.model.shape.key_of(&document), self.model.shape.stored(document));
        }
        load.finish().await.unwrap();
        self.build(handle).await;
    }

    /// Builds all indexes; it is told whether documents have the same in one that is unique.
    async fn build(&self, handle: usize) {
        let db = &self.handles[handle].0;
        // What was mended meanwhile is known once it was looked at.
        db.checkpoint().await.unwrap();
        let built = db.build_indexes().await;
        let is_refused = match &built {
            Ok(()) => false,
            Err(Error::UniqueViolation { .. }) => true,
            Err(error) => unreachable!("{error}"),
        };
        let has_duplicates = self.model.unique.iter().any(|index| self.model.has_duplicates(index));
        assert_eq!(is_refused, has_duplicates, "{built:?}: {:?}", self.model);
    }

    async fn create_index(&mut self, handle: usize, draw: &mut Draw) {
        let things = &self.handles[handle].1;
        let is_unique = self.model.shape.may_have_unique() && draw.one_in(3);
        let index = self.model.shape.draw_index(is_unique, draw);
        if self.model.has_index(&index) || self.model.indexes.len() > 5 {
            return;
        }
        self.model.indexes.push(index.clone());
        if is_unique {
            things.create_unique_index(&index_text(&index)).await.unwrap();
            self.model.unique.push(index);
            self.build(handle).await;
        } else {
            things.create_index(&index_text(&index)).await.unwrap();
            if draw.one_in(2) {
                self.build(handle).await;
            }
        }
    }

    /// A query that has begun shows what there was when it did, whatever is written before it is read.
    async fn stream(&mut self, handle: usize, draw: &mut Draw) {
        let question = self.model.draw_question(draw);
        let way = draw.one_of(&Way::all(&self.model));
        let expected = question.expected(&self.model.shape, &self.model.documents);
        let things = self.handles[handle].1.clone();
        let stream = way.apply(question.ask(things.query())).stream().await;
        for other in 0..2 {
            let write = self.draw_write(draw);
            self.write((handle + other) % 3, &[write]).await;
        }
        if draw.one_in(3) {
            self.handles[(handle + 1) % 3].0.checkpoint().await.unwrap();
        }
        match stream {
            Err(Error::UnknownIndex { .. }) if way.may_be_unknown() => {}
            stream => {
                let found: Vec<Value> = stream.unwrap().try_collect().await.unwrap();
                assert_eq!(found, expected, "{way:?}: {question:?} of {:?}", self.model.shape);
            }
        }
    }

    /// The next page, by another process and another way than the one before.
    async fn page(&mut self, handle: usize, draw: &mut Draw) {
        let paging = self.paging.take().unwrap_or_else(|| Paging {
            question: self.model.draw_question(draw),
            size: 1 + draw.below(4),
            cursor: None,
            last: None,
        });
        let Paging { question, size, cursor, last } = &paging;
        let shape = &self.model.shape;
        let mut left = question.all(shape, &self.model.documents);
        match last {
            Some((key, document)) => left.retain(|found| question.is_behind(shape, (key, document), *found)),
            None => left = left.into_iter().skip(question.offset).collect(),
        }
        let way = draw.one_of(&Way::all(&self.model));
        let ask = |way: Way| {
            let query = way.apply(question.unlimited(self.handles[handle].1.query()));
            query.offset(question.offset).limit(*size).page(cursor.clone())
        };
        let page = match ask(way.clone()).await {
            Err(Error::UnknownIndex { .. }) if way.may_be_unknown() => ask(Way::Planned).await.unwrap(),
            page => page.unwrap(),
        };
        let expected: Vec<&Value> = left.iter().take(*size).map(|(_, document)| *document).collect();
        assert_eq!(page.documents.iter().collect::<Vec<_>>(), expected, "{way:?}: {question:?} behind {last:?}");
        assert_eq!(page.next.is_some(), left.len() > *size, "{way:?}: {question:?} behind {last:?}");
        if let (Some(next), Some(document)) = (page.next, page.documents.last()) {
            let cursor = Some(next.to_string().parse().unwrap());
            let last = Some((shape.key_of(document), document.clone()));
            self.paging = Some(Paging { cursor, last, ..paging });
        }
    }

    /// At the end, every process sees the same, and the database finds no fault with itself.
    pub(crate) async fn finish(self) {
        for (_, things) in &self.handles {
            let found = things.query().fetch().await.unwrap();
            assert_eq!(found.iter().collect::<Vec<_>>(), self.model.documents.values().collect::<Vec<_>>());
        }
        let verification = self.handles[0].0.verify(|_| {}).await.unwrap();
        assert!(verification.is_clean(), "{:?}", verification.findings);
    }
}

/// Writes to the library: one change by the call for it, several in a batch.
pub(crate) async fn write(
    db: &Database,
    things: &Collection,
    shape: &Shape,
    writes: &[Write],
) -> Result<Option<Commit>, Error> {
    if let [write] = writes {
        let key = shape.key_value(write.document());
        return match write {
            Write::Put(document) => things.put(document).await.map(Some),
            Write::Insert(document) => things.insert(document).await.map(Some),
            Write::Replace(document) => things.replace(document).await.map(Some),
            Write::Delete(_) => things.delete(&key).await.map(Some),
            Write::Remove(document) => things.delete_by_text(&shape.key_text(document)).await.map(Some),
            Write::Patch(_, patch) => things.patch(&key, patch).await.map(|_| None),
        };
    }
    let mut batch = db.batch();
    for write in writes {
        match write {
            Write::Insert(document) => batch.insert_into(things, document)?,
            Write::Remove(document) => batch.delete_from_by_text(things, &shape.key_text(document))?,
            other => batch.put_into(things, other.document())?,
        }
    }
    if batch.is_empty() { Ok(None) } else { batch.commit().await.map(Some) }
}
