use std::fmt;
use std::marker::PhantomData;

use bucketdb_query::{
    Aggregate, AggregateTerm, Aggregation, Column, Function, Grouping, Groups, Number, Order, Path, Total,
    UnexpectedValue,
};
use serde::de::DeserializeOwned;

use crate::plan::{Explanation, Needs};
use crate::request::{Request, Source};
use crate::rows::Stored;
use crate::{Error, Filter, Query, Result};

/// A query whose documents are put into groups: see [`Query::group_by`].
#[must_use = "nothing is computed until it is asked for"]
pub struct Grouped<T, G> {
    request: Request,
    columns: G,
    documents: PhantomData<fn(&T)>,
}

impl<T: Stored, R: Send + 'static> Query<T, R> {
    /// The sum of a column, 0 of nothing: an `i128` of whole numbers, an `f64` of floats, a `Decimal` of decimal numbers, a
    /// JSON number of JSON, or a text where the table has decimal numbers.
    ///
    /// Values that are missing or null are left out, here and in all that follow. Limit and offset say which documents count,
    /// as for [`count`](Self::count). Sums are exact and rounded once, at the end: they depend neither on the order in which
    /// documents are read nor on whether an index is used.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Aggregate, Database, Document, MemoryDriver};
    /// # #[derive(serde::Serialize, serde::Deserialize, Document)]
    /// # #[document(table = "users")]
    /// # struct User { #[document(key)] id: String, role: String, age: u8 }
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// # let users = db.table::<User>().await?;
    /// # for (id, role, age) in [("a", "admin", 41), ("b", "guest", 17), ("c", "guest", 20)] {
    /// #     users.insert(&User { id: id.into(), role: role.into(), age }).await?;
    /// # }
    /// assert_eq!(users.query().sum(User::AGE).await?, 78);
    /// assert_eq!(users.query().filter(User::ROLE.eq("guest")).max(User::AGE).await?, Some(20));
    /// assert_eq!(users.query().distinct(User::ROLE).await?, ["admin", "guest"]);
    ///
    /// let by_role = users.query().group_by(User::ROLE).aggregate((Aggregate::count(), User::AGE.avg())).await?;
    /// assert_eq!(by_role, [("admin".to_owned(), (1, Some(41.0))), ("guest".to_owned(), (2, Some(18.5)))]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidDocument`] names a document that has no number there, or one with a fraction in a column of whole
    /// numbers; [`Error::UnexpectedValue`] if the sum of decimal numbers is beyond 96 bits, or its digits behind the point
    /// are more than 28. If the store fails.
    pub async fn sum<V: Number>(self, column: Column<T, V>) -> Result<V::Sum> {
        self.aggregate(column.sum()).await
    }

    /// The average of a column; none of nothing.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub async fn avg<V: Number>(self, column: Column<T, V>) -> Result<Option<f64>> {
        self.aggregate(column.avg()).await
    }

    /// The least value of a column; none of nothing. Of a column of an `Option`, `flatten()` gives the value.
    ///
    /// An index that has the column first, or behind columns that the filter gives, is read at its beginning only.
    ///
    /// # Errors
    /// [`Error::UnexpectedValue`] if it has not the type of the column. If the store fails.
    pub async fn min<V: DeserializeOwned>(self, column: Column<T, V>) -> Result<Option<V>> {
        self.aggregate(column.min()).await
    }

    /// The greatest value of a column; none of nothing. Of a column of an `Option`, `flatten()` gives the value.
    ///
    /// An index that has the column first, or behind columns that the filter gives, is read at its end only.
    ///
    /// # Errors
    /// As [`min`](Self::min).
    pub async fn max<V: DeserializeOwned>(self, column: Column<T, V>) -> Result<Option<V>> {
        self.aggregate(column.max()).await
    }

    /// The different values of a column, or of several together, in order. As in SQL, null is one of them if a document has it
    /// or has no value; of the elements of a list (`tags[*]`), only what is there.
    ///
    /// # Errors
    /// [`Error::TooManyGroups`] if they do not fit a quarter of `max_memory`; [`Error::UnexpectedValue`] if one has not the
    /// type of its column. If the store fails.
    pub async fn distinct<G: Grouping<T>>(self, columns: G) -> Result<Vec<G::Output>> {
        let columns = self.group_by(columns);
        let none: Vec<Aggregate<T, u64>> = Vec::new();
        Ok(columns.aggregate(none).await?.into_iter().map(|(values, _)| values).collect())
    }

    /// Several aggregates at once: one [`Aggregate`], a tuple of up to eight, or a `Vec`.
    ///
    /// # Errors
    /// As [`sum`](Self::sum) and [`distinct`](Self::distinct).
    pub async fn aggregate<A: Aggregation<T>>(self, aggregates: A) -> Result<A::Output> {
        let name = self.request.table_name().to_owned();
        let terms = aggregates.terms();
        let request = self.request.pinned().await?;
        let totals = match first_of_index(&request, &terms).await? {
            Some(total) => vec![total],
            None => request.groups(Vec::new(), terms).await?.into_iter().flat_map(|(_, totals)| totals).collect(),
        };
        aggregates.read(&mut totals.into_iter()).map_err(|error| unexpected(name, &error))
    }

    /// Puts the documents into groups with equal values: of one [`Column`], of a tuple of up to four, or of a `Vec` of columns.
    pub fn group_by<G: Grouping<T>>(self, columns: G) -> Grouped<T, G> {
        Grouped { request: self.request, columns, documents: PhantomData }
    }

    /// How aggregates will be computed, and what the other ways would cost; a count, for example:
    /// `explain_aggregate(Aggregate::count())`.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn explain_aggregate<A: Aggregation<T>>(self, aggregates: A) -> Result<Option<Explanation>> {
        let terms = aggregates.terms();
        if let Some(request) = ordered(&self.request, &terms)
            && let Some(explanation) = request.clone().explain(needs(&paths(&[], &terms), &request)).await?
            && explanation.chosen.is_ordered
        {
            return Ok(Some(explanation));
        }
        explain(self.request, &[], &terms).await
    }
}

impl<T: Stored, G: Grouping<T>> Grouped<T, G> {
    /// The groups in the order of their values, with the same aggregates of each.
    ///
    /// A value that is missing is as one that is null, so their column must have a type that can be null, such as an `Option`.
    /// Where a column leads to several values (`tags[*]`), a document is in the group of each different one, and in none if it
    /// has none.
    ///
    /// # Errors
    /// [`Error::TooManyGroups`] if the groups do not fit a quarter of `max_memory`; [`Error::InvalidDocument`] names a
    /// document that has no number where one is needed; [`Error::UnexpectedValue`] if a value has not the type of its column.
    /// If the store fails.
    pub async fn aggregate<A: Aggregation<T>>(self, aggregates: A) -> Result<Vec<(G::Output, A::Output)>> {
        let name = self.request.table_name().to_owned();
        let groups = self.request.pinned().await?.groups(self.columns.paths(), aggregates.terms()).await?;
        let read = |(values, totals): (Vec<_>, Vec<Total>)| {
            let values = self.columns.read(&mut values.into_iter())?;
            Ok((values, aggregates.read(&mut totals.into_iter())?))
        };
        groups.into_iter().map(read).collect::<Result<_, _>>().map_err(|error| unexpected(name, &error))
    }

    /// How many documents each group has.
    ///
    /// # Errors
    /// As [`aggregate`](Self::aggregate).
    pub async fn count(self) -> Result<Vec<(G::Output, u64)>> {
        self.aggregate(Aggregate::count()).await
    }

    /// How the groups will be computed, and what the other ways would cost.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn explain<A: Aggregation<T>>(self, aggregates: A) -> Result<Option<Explanation>> {
        let columns = self.columns.paths();
        explain(self.request, &columns, &aggregates.terms()).await
    }
}

impl<T, G> fmt::Debug for Grouped<T, G> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Grouped").field("request", &self.request).finish_non_exhaustive()
    }
}

async fn explain(mut request: Request, columns: &[Path], terms: &[AggregateTerm]) -> Result<Option<Explanation>> {
    let paths = paths(columns, terms);
    if !request.takes_part() {
        request.order = None;
    }
    let needs = needs(&paths, &request);
    request.clone().explain(needs).await
}

fn needs<'a>(paths: &'a [Path], request: &Request) -> Needs<'a> {
    Needs::Paths { paths, is_order_free: !request.takes_part() }
}

fn unexpected(table: String, error: &UnexpectedValue) -> Error {
    Error::UnexpectedValue { table, reason: error.to_string() }
}

/// All values that are needed.
fn paths(columns: &[Path], terms: &[AggregateTerm]) -> Vec<Path> {
    columns.iter().cloned().chain(terms.iter().filter_map(|term| term.path.clone())).collect()
}

impl Request {
    fn table_name(&self) -> &str {
        match &self.table {
            Source::Table(table) => table.name(),
            Source::Name(name, _) => name,
        }
    }

    /// Whether only some of the documents count.
    pub(crate) fn takes_part(&self) -> bool {
        self.limit.is_some() || self.offset > 0
    }

    /// Of a request that is [pinned](Self::pinned).
    async fn groups(
        self,
        columns: Vec<Path>,
        terms: Vec<AggregateTerm>,
    ) -> Result<Vec<(Vec<serde_json::Value>, Vec<Total>)>> {
        let paths = paths(&columns, &terms);
        // It is pinned, so this is what the documents are read at, too.
        let view = self.origin.open().await?;
        let types = self.source(&view)?.map(|table| table.types).unwrap_or_default();
        let mut groups = Groups::typed(columns, terms, types, view.moment.most_held_bytes());
        self.visit(&paths, |table, seen| seen.join(&mut groups, table)).await?;
        Ok(groups.finish().collect())
    }
}

/// The query for the document that has the least value, or the greatest, if that is all that is asked for.
fn ordered(request: &Request, terms: &[AggregateTerm]) -> Option<Request> {
    let [AggregateTerm { function: function @ (Function::Min | Function::Max), path: Some(path) }] = terms else {
        return None;
    };
    if path.is_multiple() || request.takes_part() {
        return None;
    }
    let mut request = request.clone();
    let is_there = Filter::is_null(path.clone()).not();
    request.filter = Some(request.filter.map_or_else(|| is_there.clone(), |filter| filter.and(is_there.clone())));
    request.order = Some(match function {
        Function::Min => Order::ascending(path.clone()),
        _ => Order::descending(path.clone()),
    });
    request.limit = Some(1);
    Some(request)
}

/// The least value, or the greatest, if an index begins with it.
async fn first_of_index(request: &Request, terms: &[AggregateTerm]) -> Result<Option<Total>> {
    let Some(request) = ordered(request, terms) else { return Ok(None) };
    let paths = paths(&[], terms);
    let view = request.origin.open().await?;
    let Some(table) = request.source(&view)? else { return Ok(None) };
    let plan = request.plan(&view, &table, needs(&paths, &request), false).await?;
    if !plan.is_ordered {
        return Ok(None);
    }
    let mut found = None;
    request
        .show(view, &table, plan, &paths, |table, seen| {
            found = paths.first().map(|path| seen.value(path, table)).transpose()?.flatten();
            Ok(())
        })
        .await?;
    Ok(Some(Total::Value(found)))
}
