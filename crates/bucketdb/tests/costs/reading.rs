//! Reading.

use bucketdb::{Freshness, Table};

use crate::person::{NEIGHBOURS, PEOPLE, Person};
use crate::world::{Row, World, row};

/// A document in the middle.
const MIDDLE: u64 = PEOPLE;

async fn get(people: &Table<Person>, id: u64) {
    let expected = id.is_multiple_of(2).then(|| Person::new(id));
    assert_eq!(people.get(id).await.unwrap(), expected);
}

async fn scan(people: &Table<Person>, rows: u64) {
    let found = people.query().keys(MIDDLE / 2..).limit(rows as usize).fetch().await.unwrap();
    assert_eq!(found.len() as u64, rows);
    assert_eq!(found.last().unwrap().id, MIDDLE / 2 + 2 * (rows - 1));
}

pub(crate) fn rows(base: &World) -> Vec<Row> {
    let mut rows = points(base);
    rows.extend(scans(base));
    rows.extend(queries(base));
    rows
}

fn points(base: &World) -> Vec<Row> {
    base.run(async |process| {
        let (db, people) = process.people().await;
        let ((), cold) = process.cost(get(&people, MIDDLE)).await;
        let ((), warm) = process.cost(get(&people, MIDDLE)).await;
        // In another block, of which index and filter came with the first one.
        let ((), known) = process.cost(get(&people, MIDDLE + 4_000)).await;
        let ((), absent) = process.cost(get(&people, MIDDLE + 4_001)).await;
        let strict = people.clone().with_freshness(Freshness::Strict);
        let ((), confirmed) = process.cost(get(&strict, MIDDLE)).await;
        let read = async {
            let found = db.transact(async |tx| tx.get::<Person>(MIDDLE).await).await.unwrap();
            assert_eq!(found, Some(Person::new(MIDDLE)));
        };
        let ((), transaction) = process.cost(read).await;
        vec![
            row("first document of a process that has just opened, cold", cold),
            row("a document whose index and filter are in memory, its block not", known),
            row("a document, warm", warm),
            row("a key that does not exist, the filter in memory", absent),
            row("a strict read of a document, warm, nothing new", confirmed),
            row("a transaction that only reads, warm", transaction),
        ]
    })
}

fn scans(base: &World) -> Vec<Row> {
    let of = |what, count| {
        base.run(async |process| {
            let (_, people) = process.people().await;
            row(what, process.cost(scan(&people, count)).await.1)
        })
    };
    vec![of("a scan of 100 documents, cold", 100), of("a scan of 20,000 documents, cold", 20_000)]
}

fn queries(base: &World) -> Vec<Row> {
    let asked = |question: Question| {
        base.run(async |process| {
            let (_, people) = process.people().await;
            let (found, cost) = process.cost(question.ask(&people)).await;
            assert_eq!(found, question.expected, "{}", question.what);
            row(question.what, cost)
        })
    };
    QUESTIONS.into_iter().map(asked).collect()
}

/// How many documents match a condition.
struct Question {
    what: &'static str,
    condition: Option<&'static str>,
    by_index: bool,
    /// Whether they are only counted.
    is_count: bool,
    expected: u64,
}

const POSTCODE: Option<&str> = Some("postcode = 1711");

const QUESTIONS: [Question; 5] = [
    Question {
        what: "a query for 10 documents far from each other, cold; reading all of the table takes the fewest requests",
        condition: POSTCODE,
        by_index: false,
        is_count: false,
        expected: NEIGHBOURS,
    },
    Question {
        what: "the same, told to go by the index",
        condition: POSTCODE,
        by_index: true,
        is_count: false,
        expected: NEIGHBOURS,
    },
    Question {
        what: "counting them, which the index alone answers, cold",
        condition: POSTCODE,
        by_index: false,
        is_count: true,
        expected: NEIGHBOURS,
    },
    Question { what: "counting all documents", condition: None, by_index: false, is_count: true, expected: PEOPLE },
    Question {
        what: "counting with a condition on a field without an index, cold",
        condition: Some("balance_cents < 17000"),
        by_index: false,
        is_count: true,
        expected: 500,
    },
];

impl Question {
    async fn ask(&self, people: &Table<Person>) -> u64 {
        let mut query = people.query();
        if let Some(condition) = self.condition {
            query = query.filter_text(condition).unwrap();
        }
        if self.by_index {
            query = query.by_index("postcode");
        }
        if self.is_count { query.count().await.unwrap() } else { query.fetch().await.unwrap().len() as u64 }
    }
}
