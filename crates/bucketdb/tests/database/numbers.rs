//! Numbers that JSON has no type for, asked for by their types and as JSON, with an index and without.

use bucketdb::{Database, Document, Filter, TypedFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::in_memory;

const BEYOND: u128 = u64::MAX as u128 + 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "measures", version = 1, index(height), index(total), index(balance), index(deep.height))]
struct Measure {
    #[document(key)]
    id: u32,
    height: f32,
    total: u128,
    balance: Option<i128>,
    heights: Vec<f32>,
    deep: Deep,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Deep {
    height: f32,
    totals: Vec<u128>,
}

/// The same without indexes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "plain", version = 1)]
struct Plain {
    #[document(key)]
    id: u32,
    height: f32,
    total: u128,
    balance: Option<i128>,
    heights: Vec<f32>,
    deep: Deep,
}

const HEIGHTS: [f32; 6] = [1.1, 0.1, -2.5, 16_777_218.0, 1e-7, 3.3];
const TOTALS: [u128; 6] = [5, 0, BEYOND - 1, BEYOND, u128::MAX, 1 << 127];
const BALANCES: [Option<i128>; 6] =
    [Some(-5), Some(i128::MIN), Some(i64::MIN as i128 - 1), Some(BEYOND as i128), Some(i128::MAX), None];

fn measure(index: usize) -> Measure {
    let (height, total) = (HEIGHTS[index], TOTALS[index]);
    let deep = Deep { height, totals: vec![total, 7] };
    Measure { id: index as u32, height, total, balance: BALANCES[index], heights: vec![height, 9.9], deep }
}

async fn filled() -> Database {
    let db = in_memory().await;
    let (measures, plain) = (db.table::<Measure>().await.unwrap(), db.table::<Plain>().await.unwrap());
    for index in 0..HEIGHTS.len() {
        let Measure { id, height, total, balance, heights, deep } = measure(index);
        measures.insert(&measure(index)).await.unwrap();
        plain.insert(&Plain { id, height, total, balance, heights, deep }).await.unwrap();
    }
    db
}

/// Asks both tables, before the rows are in runs and after.
async fn assert_found(db: &Database, filter: TypedFilter<Measure>, expected: &[u32]) {
    let untyped: Filter = filter.into_untyped();
    let measures = db.table::<Measure>().await.unwrap();
    let query = || measures.query().filter(untyped.clone());
    let ways = query().explain().await.unwrap().unwrap();
    for way in std::iter::once(&ways.chosen).chain(&ways.alternatives) {
        let found = query().by_way(way).fetch().await.unwrap();
        let ids: Vec<_> = found.iter().map(|measure| measure.id).collect();
        assert_eq!(ids, expected, "by {}: {untyped}", way.what);
    }
    let plain: Vec<_> = db.table::<Plain>().await.unwrap().query().filter(untyped.clone()).fetch().await.unwrap();
    let ids: Vec<_> = plain.iter().map(|plain| plain.id).collect();
    assert_eq!(ids, expected, "without: {untyped}");
}

fn ids(holds: impl Fn(usize) -> bool) -> Vec<u32> {
    (0..HEIGHTS.len()).filter(|index| holds(*index)).map(|index| index as u32).collect()
}

#[tokio::test]
async fn numbers_of_single_precision_are_found_by_what_they_show() {
    let db = filled().await;
    for _ in 0..2 {
        for height in HEIGHTS {
            assert_found(&db, Measure::HEIGHT.eq(height), &ids(|index| HEIGHTS[index] == height)).await;
            assert_found(&db, Measure::HEIGHT.lt(height), &ids(|index| HEIGHTS[index] < height)).await;
            assert_found(&db, Measure::HEIGHT.le(height), &ids(|index| HEIGHTS[index] <= height)).await;
            assert_found(&db, Measure::HEIGHT.gt(height), &ids(|index| HEIGHTS[index] > height)).await;
            assert_found(&db, Measure::HEIGHT.ge(height), &ids(|index| HEIGHTS[index] >= height)).await;
            assert_found(&db, Measure::HEIGHTS.contains(height), &ids(|index| HEIGHTS[index] == height)).await;
        }
        assert_found(&db, Measure::HEIGHT.is_in([1.1, 3.3]), &[0, 5]).await;
        let measures = db.table::<Measure>().await.unwrap();
        for (filter, index) in [
            (Measure::HEIGHT.eq(1.1), "height"),
            (Measure::TOTAL.eq(5_u128), "total"),
            (Measure::BALANCE.between(-5_i128, 0_i128), "balance"),
            ("deep.height = 1.1".parse::<Filter>().unwrap().into(), "deep.height"),
        ] {
            let found = measures.query().filter(filter).by_index(index).fetch().await.unwrap();
            assert_eq!(found, [measure(0)], "{index}");
        }
        assert_found(&db, Measure::HEIGHT.between(0.1, 1.1), &[0, 1]).await;
        for (text, expected) in [
            ("height = 1.1", vec![0]),
            ("height in [1.1, 0.1, 1e-7]", vec![0, 1, 4]),
            ("height >= 1.1 and height <= 3.3", vec![0, 5]),
            ("height > 1.1 and height < 3.3", vec![]),
            ("height between 1.1 and 3.3", vec![0, 5]),
            ("height = 16777218", vec![3]),
            ("deep.height = 1.1", vec![0]),
            ("heights[*] = 3.3", vec![5]),
            ("heights contains 9.9", vec![0, 1, 2, 3, 4, 5]),
            ("deep.totals contains 5", vec![0]),
            ("total = 5 or total = 18446744073709551615", vec![0, 2]),
        ] {
            assert_found(&db, text.parse::<Filter>().unwrap().into(), &expected).await;
        }
        db.checkpoint().await.unwrap();
    }
    let heights = db.table::<Measure>().await.unwrap().query().order_by(Measure::HEIGHT.asc()).fetch().await.unwrap();
    assert!(heights.is_sorted_by_key(|measure| measure.height), "{heights:?}");
    assert_eq!(heights.len(), HEIGHTS.len());
}

#[tokio::test]
async fn whole_numbers_of_128_bits_compare_as_numbers() {
    let db = filled().await;
    for _ in 0..2 {
        for total in TOTALS {
            assert_found(&db, Measure::TOTAL.eq(total), &ids(|index| TOTALS[index] == total)).await;
            assert_found(&db, Measure::TOTAL.ne(total), &ids(|index| TOTALS[index] != total)).await;
            assert_found(&db, Measure::TOTAL.lt(total), &ids(|index| TOTALS[index] < total)).await;
            assert_found(&db, Measure::TOTAL.le(total), &ids(|index| TOTALS[index] <= total)).await;
            assert_found(&db, Measure::TOTAL.gt(total), &ids(|index| TOTALS[index] > total)).await;
            assert_found(&db, Measure::TOTAL.ge(total), &ids(|index| TOTALS[index] >= total)).await;
            assert_found(&db, Measure::TOTAL.is_in([total, 0]), &ids(|index| [total, 0].contains(&TOTALS[index])))
                .await;
        }
        for balance in BALANCES.into_iter().flatten() {
            let holds = |index: usize, holds: fn(&i128, &i128) -> bool| {
                BALANCES[index].is_some_and(|number| holds(&number, &balance))
            };
            assert_found(&db, Measure::BALANCE.eq(balance), &ids(|index| holds(index, i128::eq))).await;
            assert_found(&db, Measure::BALANCE.lt(balance), &ids(|index| holds(index, i128::lt))).await;
            assert_found(&db, Measure::BALANCE.le(balance), &ids(|index| holds(index, i128::le))).await;
            assert_found(&db, Measure::BALANCE.gt(balance), &ids(|index| holds(index, i128::gt))).await;
            assert_found(&db, Measure::BALANCE.ge(balance), &ids(|index| holds(index, i128::ge))).await;
        }
        assert_found(&db, Measure::TOTAL.between(5_u128, BEYOND), &[0, 2, 3]).await;
        assert_found(&db, Measure::BALANCE.between(-5_i128, BEYOND as i128), &[0, 3]).await;
        db.checkpoint().await.unwrap();
    }
    let totals = db.table::<Measure>().await.unwrap().query().order_by(Measure::TOTAL.asc()).fetch().await.unwrap();
    assert!(totals.is_sorted_by_key(|measure| measure.total), "{totals:?}");
}

#[tokio::test]
async fn they_read_as_they_were_written() {
    let db = filled().await;
    for _ in 0..2 {
        let measures = db.table::<Measure>().await.unwrap();
        for index in 0..HEIGHTS.len() {
            assert_eq!(measures.get(index as u32).await.unwrap(), Some(measure(index)));
        }
        let json = db.collection("measures").get(&json!(0)).await.unwrap().unwrap();
        let shown = json!({
            "id": 0, "height": 1.1, "total": 5, "balance": -5, "heights": [1.1, 9.9],
            "deep": {"height": 1.1, "totals": [5, 7]},
        });
        assert_eq!(json, shown);
        db.checkpoint().await.unwrap();
    }
}
