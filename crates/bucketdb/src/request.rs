use std::task::{Context, Poll, ready};

use bucketdb_documents::{EncodedKey, KeyRange, ScanRow};
use bucketdb_query::{Filter, Order, Path};
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};

use crate::common_rows::CommonRows;
use crate::entry_rows::{EntryRows, is_plain};
use crate::index_scan::IndexRows;
use crate::key_bounds::KeyBounds;
use crate::origin::{Origin, View};
use crate::page_cursor::After;
use crate::plan::{Access, Asked, Explained, Explanation, Hint, Needs, Plan, Telling};
use crate::row_reader::RowReader;
use crate::row_scan::RowScan;
use crate::rows::{Reading, TableRef};
use crate::seen::{Found, Seen, Sight};
use crate::sieve::{Predicate, Sieve};
use crate::sorting::Sorting;
use crate::stretch::{self, Stretch};
use crate::{Error, Result};

/// What is asked of a table, whatever its documents are read as.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) origin: Origin,
    pub(crate) table: Source,
    pub(crate) keys: Option<KeyBounds>,
    pub(crate) filter: Option<Filter>,
    /// Code that looks at whole documents.
    pub(crate) predicates: Vec<Predicate>,
    pub(crate) order: Option<Order>,
    pub(crate) offset: usize,
    pub(crate) limit: Option<usize>,
    pub(crate) hint: Option<Hint>,
    /// Only documents behind this place in the order.
    pub(crate) after: Option<After>,
    /// Whether a write may happen in several commits.
    pub(crate) in_pieces: bool,
    /// Who wants to know how it is answered.
    pub(crate) explained: Option<Explained>,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    Table(TableRef),
    /// Looked up when the query runs, and read so.
    Name(String, Reading),
}

/// A document that passed the filter.
pub(crate) struct Match {
    pub(crate) key: EncodedKey,
    pub(crate) row: Bytes,
}

impl Request {
    pub(crate) fn of(origin: Origin, table: Source) -> Self {
        Self {
            origin,
            table,
            keys: None,
            filter: None,
            predicates: Vec::new(),
            order: None,
            offset: 0,
            limit: None,
            hint: None,
            after: None,
            in_pieces: false,
            explained: None,
        }
    }

    /// The same, at one moment, for what takes more than one look: the store is asked for news once.
    pub(crate) async fn pinned(mut self) -> Result<Self> {
        self.origin = self.origin.open().await?.origin();
        Ok(self)
    }

    pub(crate) fn source(&self, view: &View) -> Result<Option<TableRef>> {
        let table = match &self.table {
            Source::Table(table) => table.clone(),
            Source::Name(name, reading) => match view.find(name)? {
                Some(table) => table.reading(*reading),
                None => return Ok(None),
            },
        };
        // Its indexes go by what the newest version of its schema says, and so must who asks.
        let types = view.moment.read(|documents, _| Some(documents.catalogue().table(table.id)?.types().clone()))?;
        Ok(Some(TableRef { types: types.unwrap_or_default(), ..table }))
    }

    /// Chooses a way; one that only `looks` does so at all ways, to tell what they would cost.
    pub(crate) async fn plan(&self, view: &View, table: &TableRef, needs: Needs<'_>, looks: bool) -> Result<Plan> {
        let asked = Asked {
            filter: self.filter.as_ref(),
            order: self.order.as_ref(),
            limit: self.limit.map(|limit| limit.saturating_add(self.offset)),
            keys: KeyBounds::range(self.keys.as_ref(), table)?,
            has_key_range: self.keys.is_some(),
            hint: self.hint.as_ref(),
            after: self.after.as_ref(),
            // Code looks at whole documents.
            needs: if self.predicates.is_empty() { needs } else { Needs::Rows },
            has_predicates: !self.predicates.is_empty(),
            telling: match &self.explained {
                _ if looks => Telling::Looked,
                Some(_) => Telling::Known,
                None => Telling::Nothing,
            },
        };
        let plan = Plan::choose(view, table, &asked).await?;
        if let Some(explained) = self.explained.as_ref().filter(|_| !looks) {
            explained.learn(&plan.ways);
        }
        Ok(plan)
    }

    /// The table and its rows that match, in order; `None` if there is no such table.
    pub(crate) async fn run(self) -> Result<Option<(TableRef, impl Stream<Item = Result<Match>> + Send)>> {
        let view = self.origin.open().await?;
        let Some(table) = self.source(&view)? else { return Ok(None) };
        let plan = self.plan(&view, &table, Needs::Rows, false).await?;
        let matches = self.matches(view, &table, plan, |table, found| found.into_match(table)).await?;
        Ok(Some((table, matches)))
    }

    /// What is made of the documents that match, in order, where the values at some paths may be enough; `None` if there is no
    /// such table.
    pub(crate) async fn run_parts<R: Send + 'static>(
        self,
        paths: Option<Vec<Path>>,
        make: impl Make<R>,
    ) -> Result<Option<impl Stream<Item = Result<R>> + Send>> {
        let view = self.origin.open().await?;
        let Some(table) = self.source(&view)? else { return Ok(None) };
        let plan = self.plan(&view, &table, needs_of(paths.as_deref(), &table), false).await?;
        if let Access::Index { index, stretches, covers: true, .. } = plan.access {
            let entries = EntryRows::new(view, table.clone(), index, stretches)?.plain(paths.unwrap_or_default());
            let asked = self.asked_for();
            let entries = matching(Visited::Entries(Box::new(entries)), self.sieve(&table), table, asked, make);
            return Ok(Some(entries.left_stream()));
        }
        Ok(Some(self.matches(view, &table, plan, make).await?.right_stream()))
    }

    /// How many documents are passed over, and how many are given then.
    fn asked_for(&self) -> (usize, usize) {
        (self.offset, self.limit.unwrap_or(usize::MAX))
    }

    /// The rows that match, by a plan for rows. What would be cheapest to put in order, and is too much for that, is read by an
    /// index that gives the order, if there is one.
    async fn matches<R: Send + 'static, M: Make<R>>(
        self,
        view: View,
        table: &TableRef,
        plan: Plan,
        make: M,
    ) -> Result<impl Stream<Item = Result<R>> + Send + use<R, M>> {
        let ordered = plan.ways.iter().find(|way| way.is_ordered && self.hint.is_none() && !plan.is_ordered);
        let other = ordered.map(|way| (Self { hint: Some(Hint::Way(way.what.clone())), ..self.clone() }, view.clone()));
        match (self.matches_by(view, table, plan, make.clone()).await, other) {
            (Err(Error::OrderTooLarge { .. }), Some((other, view))) => {
                let plan = other.plan(&view, table, Needs::Rows, false).await?;
                other.matches_by(view, table, plan, make).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn matches_by<R: Send + 'static, M: Make<R>>(
        self,
        view: View,
        table: &TableRef,
        plan: Plan,
        make: M,
    ) -> Result<impl Stream<Item = Result<R>> + Send + use<R, M>> {
        let most_bytes = view.moment.most_held_bytes();
        let mut rows = self.rows(view, table, plan.access)?;
        let (offset, limit) = self.asked_for();
        let order = self.order.clone().filter(|order| !order.is_empty() && !plan.is_ordered);
        let sieve = self.sieve(table);
        let Some(order) = order else {
            let matches = matching(Visited::Rows(rows), sieve, table.clone(), (offset, limit), make);
            return Ok(matches.left_stream());
        };
        let ordered_by = order.terms().iter().map(|term| &term.path);
        let mut reader = RowReader::new(table, sieve.filter.as_ref(), ordered_by);
        let mut sorting = Sorting::new(table, order.clone(), offset.saturating_add(limit), most_bytes);
        while let Some(stretch) = rows.next_stretch().await? {
            match stretch {
                Stretch::One(row) => {
                    if sieve.accepts(table, &row.key, &row.row)? {
                        sorting.add(row)?;
                    }
                }
                Stretch::Many(mut rows) => {
                    reader.iter_mut().for_each(|reader| reader.select(&mut rows));
                    while let Some(row) = rows.next() {
                        if sieve.accepts_stored(table, row, reader.as_mut())?
                            && !sorting.passes_over(row, reader.as_mut())?
                        {
                            sorting.add(row.to_row())?;
                        }
                    }
                }
            }
        }
        let table = table.clone();
        let matches = sorting.finish().skip(offset).map(move |Match { key, row }| {
            let found = Found::Seen(Seen::Row(ScanRow { key, row }));
            make(&table, found)
        });
        Ok(stream::iter(matches).right_stream())
    }

    pub(crate) fn sieve(self, table: &TableRef) -> Sieve {
        let filter = self.filter.map(|filter| filter.comparable(&table.types));
        Sieve { filter, predicates: self.predicates, after: self.after }
    }

    /// Shows every document that matches, of which no more is needed than the values at some paths. In no order, unless
    /// there is a limit or an offset.
    pub(crate) async fn visit(
        mut self,
        paths: &[Path],
        mut visit: impl FnMut(&TableRef, Sight<'_>) -> Result<()> + Send,
    ) -> Result<()> {
        if self.takes_part() && self.order.as_ref().is_some_and(|order| !order.is_empty()) {
            let Some((table, matches)) = self.run().await? else { return Ok(()) };
            let mut matches = std::pin::pin!(matches);
            while let Some(found) = matches.next().await {
                let Match { key, row } = found?;
                visit(&table, Sight::Seen(&Seen::Row(ScanRow { key, row })))?;
            }
            return Ok(());
        }
        self.order = None;
        let view = self.origin.open().await?;
        let Some(table) = self.source(&view)? else { return Ok(()) };
        let is_order_free = !self.takes_part() || paths.is_empty();
        let plan = self.plan(&view, &table, Needs::Paths { paths, is_order_free }, false).await?;
        self.show(view, &table, plan, paths, visit).await
    }

    /// Shows what a plan gives, in its order; of each document, no more is needed than the values at some paths.
    pub(crate) async fn show(
        self,
        view: View,
        table: &TableRef,
        plan: Plan,
        paths: &[Path],
        mut visit: impl FnMut(&TableRef, Sight<'_>) -> Result<()> + Send,
    ) -> Result<()> {
        let (mut offset, mut left) = (self.offset, self.limit.unwrap_or(usize::MAX));
        let mut all = match plan.access {
            Access::Index { index, stretches, covers: true, .. } => {
                Visited::Entries(Box::new(EntryRows::new(view, table.clone(), index, stretches)?))
            }
            access => Visited::Rows(self.rows(view, table, access)?),
        };
        let sieve = self.sieve(table);
        let mut reader = RowReader::new(table, sieve.filter.as_ref(), paths);
        let mut counts = || {
            if offset > 0 {
                offset -= 1;
                return false;
            }
            true
        };
        while left > 0 {
            match all.next_stretch().await? {
                None => break,
                Some(Sights::One(seen)) => {
                    if sieve.accepts_seen(table, &seen)? && counts() {
                        left -= 1;
                        visit(table, Sight::Seen(&seen))?;
                    }
                }
                Some(Sights::Many(mut rows)) => {
                    reader.iter_mut().for_each(|reader| reader.select(&mut rows));
                    while left > 0
                        && let Some(row) = rows.next()
                    {
                        if sieve.accepts_stored(table, row, reader.as_mut())? && counts() {
                            left -= 1;
                            match &mut reader {
                                Some(reader) => visit(table, Sight::Stored(row, reader))?,
                                None => visit(table, Sight::Seen(&Seen::Row(row.to_row())))?,
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows of a way to them.
    fn rows(&self, view: View, table: &TableRef, access: Access) -> Result<Rows> {
        Ok(match access {
            Access::Keys(range) => Rows::Scan(Box::new(RowScan::live(view, range)?)),
            Access::Common { places } => {
                Rows::Common(Box::new(CommonRows::new(&view, table, places)?.expecting(self.limit)))
            }
            Access::Index { index, stretches, row_order, is_filtered, .. } => {
                let rows = IndexRows::new(view, table.clone(), index, stretches, row_order)?;
                let after = self.after.as_ref().filter(|after| after.is_by_key());
                let expected = self.limit.map(|limit| limit.saturating_add(self.offset));
                let rows = rows.behind(after.map(|after| after.key().clone()));
                Rows::Index(Box::new(rows.expecting(expected, is_filtered)))
            }
        })
    }

    /// How it would be answered.
    pub(crate) async fn explain(self, needs: Needs<'_>) -> Result<Option<Explanation>> {
        let view = self.origin.open().await?;
        let Some(table) = self.source(&view)? else { return Ok(None) };
        let mut ways = self.plan(&view, &table, needs, true).await?.ways.into_iter();
        let chosen = ways.next();
        Ok(chosen.map(|chosen| Explanation { chosen, alternatives: ways.collect(), taken: None }))
    }

    /// How it would be answered where the values at some paths are enough.
    pub(crate) async fn explain_parts(self, paths: Option<&[Path]>) -> Result<Option<Explanation>> {
        let request = self.pinned().await?;
        let view = request.origin.open().await?;
        let Some(table) = request.source(&view)? else { return Ok(None) };
        request.explain(needs_of(paths, &table)).await
    }

    /// How many documents there are, if that is known without a look at any.
    pub(crate) async fn known_count(&self) -> Result<Option<u64>> {
        let is_filtered = self.filter.as_ref().is_some_and(|filter| *filter != Filter::all());
        let asks_for_some = is_filtered || self.keys.is_some() || self.after.is_some();
        if asks_for_some || !self.predicates.is_empty() || self.hint.is_some() {
            return Ok(None);
        }
        let view = self.origin.open().await?;
        let Some(table) = self.source(&view)? else { return Ok(Some(0)) };
        let all = KeyRange::all(table.id);
        if let Some(transaction) = &view.transaction
            && !transaction.own_writes(&all)?.is_empty()
        {
            return Ok(None);
        }
        if view.moment.expiry(table.id)?.is_some() {
            // Those that have ended are counted there.
            return Ok(None);
        }
        let stats = view.moment.present(|documents| documents.stats(table.id))?;
        let Some(stats) = stats.filter(|stats| stats.is_exact) else { return Ok(None) };
        if let Some(transaction) = &view.transaction {
            transaction.note_range(None, all)?;
        }
        Ok(Some(stats.documents))
    }
}

/// What is needed to show the values at some paths as they are stored, or all.
fn needs_of<'a>(paths: Option<&'a [Path]>, table: &TableRef) -> Needs<'a> {
    match paths {
        Some(paths) if paths.iter().all(|path| is_plain(table, path)) => Needs::Paths { paths, is_order_free: false },
        _ => Needs::Rows,
    }
}

/// Where the rows of a query come from.
enum Rows {
    Scan(Box<RowScan>),
    Index(Box<IndexRows>),
    Common(Box<CommonRows>),
}

impl Rows {
    async fn next_stretch(&mut self) -> Result<Option<Stretch>> {
        Ok(match self {
            Self::Scan(rows) => rows.next_stretch().await?,
            Self::Index(rows) => rows.next().await?.map(Stretch::One),
            Self::Common(rows) => rows.next().await?.map(Stretch::One),
        })
    }
}

/// Where documents come from of which only some values are needed.
enum Visited {
    Rows(Rows),
    Entries(Box<EntryRows>),
}

/// What comes next of those.
enum Sights {
    One(Seen),
    Many(stretch::Rows),
}

impl Visited {
    async fn next_stretch(&mut self) -> Result<Option<Sights>> {
        Ok(match self {
            Self::Rows(rows) => rows.next_stretch().await?.map(|stretch| match stretch {
                Stretch::One(row) => Sights::One(Seen::Row(row)),
                Stretch::Many(rows) => Sights::Many(rows),
            }),
            Self::Entries(entries) => entries.next().await?.map(Sights::One),
        })
    }
}

/// What is made of a document that was found.
pub(crate) trait Make<R>: Fn(&TableRef, Found<'_>) -> Result<R> + Clone + Send + Unpin + 'static {}

impl<R, M: Fn(&TableRef, Found<'_>) -> Result<R> + Clone + Send + Unpin + 'static> Make<R> for M {}

/// What is made of the documents that match: one after the other, since that is how memory is taken and given back at the least
/// cost, and with as little as can be between two of them.
struct Matching<M> {
    sights: BoxStream<'static, Result<Sights>>,
    sieve: Sieve,
    table: TableRef,
    reader: Option<RowReader>,
    /// Those of a block that were not looked at yet.
    rows: Option<stretch::Rows>,
    /// How many are passed over still.
    offset: usize,
    /// How many are wanted still.
    left: usize,
    make: M,
}

/// What is made of the documents that match, but for the first ones, and of so many.
fn matching<R, M: Make<R>>(
    all: Visited,
    sieve: Sieve,
    table: TableRef,
    (offset, left): (usize, usize),
    make: M,
) -> impl Stream<Item = Result<R>> + Send + use<R, M> {
    let reader = RowReader::new(&table, sieve.filter.as_ref(), []);
    let sights = stream::try_unfold(Box::new(all), |mut all| async move {
        Ok(all.next_stretch().await?.map(|sights| (sights, all)))
    });
    let mut matching = Matching { sights: sights.boxed(), sieve, table, reader, rows: None, offset, left, make };
    stream::poll_fn(move |context| matching.poll_next(context))
}

impl<M> Matching<M> {
    fn poll_next<R>(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<R>>>
    where
        M: Make<R>,
    {
        let Self { sights, sieve, table, reader, rows, offset, left, make } = self;
        let mut is_wanted = || {
            let is_wanted = *offset == 0;
            *offset = offset.saturating_sub(1);
            is_wanted
        };
        while *left > 0 {
            while let Some(row) = rows.as_mut().and_then(stretch::Rows::next) {
                match sieve.accepts_stored(table, row, reader.as_mut()) {
                    Ok(true) if is_wanted() => {
                        *left -= 1;
                        return Poll::Ready(Some(make(table, Found::Stored(row))));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        *left = 0;
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
            *rows = None;
            match ready!(sights.poll_next_unpin(context)) {
                None => *left = 0,
                Some(Err(error)) => {
                    *left = 0;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(Sights::One(seen))) => match sieve.accepts_seen(table, &seen) {
                    Ok(true) if is_wanted() => {
                        *left -= 1;
                        return Poll::Ready(Some(make(table, Found::Seen(seen))));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        *left = 0;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                Some(Ok(Sights::Many(mut next))) => {
                    reader.iter_mut().for_each(|reader| reader.select(&mut next));
                    *rows = Some(next);
                }
            }
        }
        Poll::Ready(None)
    }
}
