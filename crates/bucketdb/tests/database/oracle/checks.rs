//! Everything that a query can be asked for, held against plain code.

use bucketdb::{Aggregate, AnyColumn, Error, PageCursor, Query};
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::draw::Draw;
use super::model::Model;
use super::question::{Question, groups_of, index_text, values_of};
use super::schema::Shape;
use super::values::{Meant, Spot, decimal_text, path_of, selected, shown, spot_text, whole_number};

/// Makes queries of one moment of a table.
pub(crate) type Reader<'a> = &'a (dyn Fn() -> Query<Value> + Send + Sync);

/// By which way the library is to find the documents: as it plans, by key, or by an index.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    Planned,
    Keys,
    Index(String),
    /// What several indexes have in common; that way cannot be named but by one that the library has told.
    Common(bucketdb::Way),
}

impl Way {
    pub(crate) fn apply(&self, query: Query<Value>) -> Query<Value> {
        match self {
            Self::Planned => query,
            Self::Keys => query.without_index(),
            Self::Index(fields) => query.by_index(fields),
            Self::Common(way) => query.by_way(way),
        }
    }

    /// Whether it may be of no use to a query, or not built yet.
    pub(crate) fn may_be_unknown(&self) -> bool {
        matches!(self, Self::Index(_) | Self::Common(_))
    }

    /// What each two indexes have in common.
    async fn common(reader: Reader<'_>, model: &Model) -> Vec<Self> {
        let Some(told) = reader().explain().await.unwrap() else { return Vec::new() };
        let mut names: Vec<String> = model.indexes.iter().map(|index| index_text(index)).collect();
        names.sort();
        let pairs =
            names.iter().enumerate().flat_map(|(at, first)| names[at + 1..].iter().map(move |other| (first, other)));
        pairs
            .map(|(first, other)| {
                let mut way = told.chosen.clone();
                way.what = format!("what indexes on {first} and {other} have in common");
                Self::Common(way)
            })
            .collect()
    }

    /// All that may be taken with a table.
    pub(crate) fn all(model: &Model) -> Vec<Self> {
        let by_index = model.indexes.iter().map(|index| Self::Index(index_text(index)));
        [Self::Planned, Self::Keys].into_iter().chain(by_index).collect()
    }
}

/// Of pairs of long lists and their elements there are more than there may be in a query.
const MOST_MEMBERS: usize = 500;

fn column(spot: Spot) -> AnyColumn {
    path_of(spot).into()
}

/// Asks by every way that there is for the documents and their number, and then for more, drawn by chance.
pub(crate) async fn check(reader: Reader<'_>, question: &Question, model: &Model, draw: &mut Draw) {
    let expected = question.expected(&model.shape, &model.documents);
    let mut ways = Vec::new();
    for way in Way::all(model).into_iter().chain(Way::common(reader, model).await) {
        let ask = || way.apply(question.ask(reader()));
        match ask().fetch().await {
            Err(Error::UnknownIndex { .. }) if way.may_be_unknown() => continue,
            found => assert_eq!(found.unwrap(), expected, "{way:?}: {question:?} of {:?}", model.shape),
        }
        assert_eq!(ask().count().await.unwrap(), expected.len() as u64, "count, {way:?}: {question:?}");
        ways.push(way);
    }
    for _ in 0..2 {
        let way = draw.one_of(&ways);
        let case = Case { reader, question, shape: &model.shape, found: &expected, way };
        match draw.below(7) {
            0 => case.check_values(draw).await,
            1 => case.check_sums(draw).await,
            2 => case.check_different(draw).await,
            3 => case.check_groups(draw).await,
            4 => case.check_parts(draw).await,
            5 => case.check_code(model).await,
            _ => case.check_pages(model, &ways, draw).await,
        }
    }
}

/// One question, by one way.
struct Case<'a> {
    reader: Reader<'a>,
    question: &'a Question,
    shape: &'a Shape,
    found: &'a [Value],
    way: Way,
}

impl Case<'_> {
    fn ask(&self) -> Query<Value> {
        self.way.apply(self.question.ask((self.reader)()))
    }

    fn told(&self, what: &str, spot: Spot) -> String {
        format!("{what}({}), {:?}: {:?} of {:?}", spot_text(spot), self.way, self.question, self.shape)
    }

    /// Counts, the least and the greatest.
    async fn check_values(&self, draw: &mut Draw) {
        let spot = self.shape.draw_spot(draw);
        let values = values_of(self.shape, self.found, spot);
        let mut different = values.clone();
        different.dedup_by(|left, right| self.shape.order(spot, left, right).is_eq());
        let of_end = |value: Option<&&Value>| value.map(|value| self.shape.shown(spot, value));
        let (least, greatest) = (of_end(values.first()), of_end(values.last()));
        let of = || column(spot);
        let asked = (Aggregate::count(), of().count(), of().count_distinct(), of().min(), of().max());
        let together = self.ask().aggregate(asked).await.unwrap();
        let (count, there) = (self.found.len() as u64, values.len() as u64);
        let expected = (count, there, different.len() as u64, least.clone(), greatest.clone());
        assert_eq!(together, expected, "{}", self.told("values", spot));
        assert_eq!(self.ask().min(of()).await.unwrap(), least, "{}", self.told("min", spot));
        assert_eq!(self.ask().max(of()).await.unwrap(), greatest, "{}", self.told("max", spot));
    }

    async fn check_sums(&self, draw: &mut Draw) {
        let spot = if draw.one_in(3) { self.shape.draw_spot(draw) } else { self.shape.draw_number_spot(draw) };
        let values = values_of(self.shape, self.found, spot);
        let (sum, average) = (self.ask().sum(column(spot)).await, self.ask().avg(column(spot)).await);
        let field = self.shape.type_of(spot);
        let is_decimal = field == Some(bucketdb::FieldType::Decimal);
        // In thousandths where numbers are decimal, in quarters elsewhere.
        let (mut total, mut has_fraction) = (Some(0), false);
        for value in &values {
            let number = match (is_decimal, Meant::of(value, field)) {
                (true, Meant::Rank(thousandths)) => Some(thousandths),
                (false, Meant::Number(number)) => number.quarters(),
                _ => {
                    for error in [sum.unwrap_err(), average.unwrap_err()] {
                        assert!(matches!(error, Error::InvalidDocument { .. }), "{error}: {}", self.told("sum", spot));
                    }
                    return;
                }
            };
            // What JSON has no whole number for is one, too.
            let is_whole = |number: i128| number % 4 == 0 && !whole_number(number / 4).is_f64();
            has_fraction |= number.is_some_and(|number| !is_whole(number));
            total = total.zip(number).map(|(total, number)| total + number);
        }
        // A sum with numbers of other sizes is not known here.
        let (sum, average) = (sum.unwrap(), average.unwrap());
        let Some(total) = total else { return };
        let (parts, expected) = match is_decimal {
            true => (1_000.0, json!(decimal_text(total))),
            false if !has_fraction => (4.0, whole_number(total / 4)),
            // One of them is enough for a float.
            false => (4.0, shown(&json!(total as f64 / 4.0), None)),
        };
        assert_eq!(sum, expected, "{}", self.told("sum", spot));
        let expected = (!values.is_empty()).then(|| total as f64 / parts / values.len() as f64);
        let is_near = |(found, expected): (f64, f64)| (found - expected).abs() <= expected.abs() * 1e-14;
        assert!(average.zip(expected).map_or(average == expected, is_near), "{average:?}: {}", self.told("avg", spot));
    }

    async fn check_different(&self, draw: &mut Draw) {
        let spot = self.shape.draw_spot(draw);
        let mut all: Vec<Value> =
            self.found.iter().flat_map(|document| groups_of(self.shape, document, spot)).collect();
        all.sort_by(|left, right| self.shape.order(spot, left, right));
        all.dedup();
        assert_eq!(self.ask().distinct(column(spot)).await.unwrap(), all, "{}", self.told("distinct", spot));
    }

    async fn check_groups(&self, draw: &mut Draw) {
        let (first, second, of) = (self.shape.draw_spot(draw), self.shape.draw_spot(draw), self.shape.draw_spot(draw));
        let mut members: Vec<(Value, Value, &Value)> = Vec::new();
        for document in self.found {
            let seconds = groups_of(self.shape, document, second);
            for left in groups_of(self.shape, document, first) {
                members.extend(seconds.iter().map(|right| (left.clone(), right.clone(), document)));
            }
            if members.len() > MOST_MEMBERS {
                return;
            }
        }
        let order = |left: &(Value, Value, _), right: &(Value, Value, _)| {
            self.shape.order(first, &left.0, &right.0).then_with(|| self.shape.order(second, &left.1, &right.1))
        };
        members.sort_by(order);
        let summed = |members: &[(Value, Value, &Value)]| {
            let documents: Vec<Value> = members.iter().map(|(.., document)| (*document).clone()).collect();
            let values = values_of(self.shape, &documents, of);
            let greatest = values.last().map(|value| self.shape.shown(of, value));
            let group = (members[0].0.clone(), members[0].1.clone());
            (group, (documents.len() as u64, values.len() as u64, greatest))
        };
        let expected: Vec<_> = members.chunk_by(|left, right| order(left, right).is_eq()).map(summed).collect();
        let columns = (column(first), column(second));
        let asked = (Aggregate::count(), column(of).count(), column(of).max());
        let groups = self.ask().group_by(columns).aggregate(asked).await.unwrap();
        assert_eq!(groups, expected, "{} and {}, {}", spot_text(first), spot_text(second), self.told("groups", of));
    }

    /// Some fields only, written as they are in the document.
    async fn check_parts(&self, draw: &mut Draw) {
        let spots: Vec<Spot> = (0..=draw.below(3)).map(|_| self.shape.draw_spot(draw)).collect();
        let expected: Vec<String> = self.found.iter().map(|document| selected(document, &spots).to_string()).collect();
        let texts: Vec<String> = spots.iter().map(|spot| spot_text(spot)).collect();
        let names: Vec<&str> = texts.iter().map(String::as_str).collect();
        let found = self.ask().select_fields(names).unwrap().fetch().await.unwrap();
        let found: Vec<String> = found.iter().map(Value::to_string).collect();
        assert_eq!(found, expected, "parts {texts:?}: {}", self.told("parts", spots[0]));
    }

    /// A condition that only code knows, and documents one after the other.
    async fn check_code(&self, model: &Model) {
        let has_code = |document: &Value| document.get("code").is_some();
        let mut documents = model.documents.clone();
        documents.retain(|_, document| has_code(document));
        let expected = self.question.expected(self.shape, &documents);
        let found: Vec<Value> = self.ask().filter_by(has_code).stream().await.unwrap().try_collect().await.unwrap();
        assert_eq!(found, expected, "by code: {:?} of {:?}", self.question, self.shape);
        assert_eq!(self.ask().first().await.unwrap().as_ref(), self.found.first());
    }

    /// All pages of one moment, each by another way.
    async fn check_pages(&self, model: &Model, ways: &[Way], draw: &mut Draw) {
        let all = self.question.all(self.shape, &model.documents);
        let expected: Vec<&Value> = all.into_iter().skip(self.question.offset).map(|(_, document)| document).collect();
        let size = 1 + draw.below(6);
        let (mut found, mut cursor, mut pages) = (Vec::new(), None::<PageCursor>, 0);
        loop {
            let query = draw.one_of(ways).apply(self.question.unlimited((self.reader)()));
            let page = query.offset(self.question.offset).limit(size).page(cursor).await.unwrap();
            pages += 1;
            assert!(page.documents.len() == size || page.next.is_none(), "{:?}", self.question);
            found.extend(page.documents);
            let Some(next) = page.next else { break };
            cursor = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "pages of {size}: {:?}", self.question);
        assert_eq!(pages, expected.len().div_ceil(size).max(1), "the last page says that it is: {:?}", self.question);
    }
}
