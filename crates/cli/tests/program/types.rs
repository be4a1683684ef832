//! Tables of applications whose fields are moments, UUIDs and decimal numbers, as the program sees them.

use bucketdb::{FieldType, KeyType, Schema};
use serde_json::json;

use crate::sandbox::Sandbox;

const FIRST: &str = "0a000000-0000-0000-0000-000000000001";
const SECOND: &str = "0a000000-0000-0000-0000-000000000002";

fn with_sales() -> Sandbox {
    let sandbox = Sandbox::new();
    let schema = Schema::builder("sales")
        .version(1)
        .field_of_type("id", FieldType::Uuid)
        .field_of_type("at", FieldType::Timestamp)
        .field_of_type("price", FieldType::Decimal)
        .key(&["id"])
        .finish()
        .with_key_types(&[KeyType::Uuid])
        .with_index("at");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let db = sandbox.library().open().await.unwrap();
        db.create_collection(schema).await.unwrap();
        db.close().await.unwrap();
    });
    sandbox
}

#[test]
fn csv_has_them_as_texts_and_an_import_knows_what_is_there() {
    let sandbox = with_sales();
    let upper = SECOND.to_uppercase();
    let rows = format!(
        "id,at,price\n{FIRST},2026-01-01T00:00:00Z,1.50\n{SECOND},soon,7\n{upper},2026-01-01T01:00:00.50+01:00,9.10\n"
    );
    sandbox.write("sales.csv", &rows);
    let report = sandbox.json(&["import", "sales", "sales.csv"]);
    assert_eq!(report["imported"], 2, "{report}");
    let (first, second) = (
        json!({"id": FIRST, "at": "2026-01-01T00:00:00Z", "price": "1.50"}),
        json!({"id": SECOND, "at": "2026-01-01T00:00:00.5Z", "price": "9.10"}),
    );
    assert_eq!(sandbox.documents("sales"), [first, second.clone()]);
    sandbox.write("again.csv", rows.replace(&format!("{SECOND},soon,7\n"), "").as_str());
    let report = sandbox.json(&["import", "sales", "again.csv"]);
    assert_eq!((&report["unchanged"], &report["commits"]), (&json!(2), &json!(0)), "{report}");
    let bulk = sandbox.json(&["import", "sales", "again.csv", "--bulk"]);
    assert_eq!(bulk["unchanged"], 2, "{bulk}");

    assert_eq!(sandbox.json(&["get", "sales", &upper]), second);
    assert_eq!(sandbox.json(&["query", "sales", "--where", "price > 9"]), json!([second]));
    let after = ["query", "sales", "--where", "at > \"2026-01-01\"", "--select", "price"];
    assert_eq!(sandbox.json(&after), json!([{"price": "9.10"}]));
    assert_eq!(sandbox.json(&["query", "sales", "--sum", "price"]), json!({"sum(price)": "10.6"}));
    sandbox.json(&["put", "sales", &json!({"id": "0a000000-0000-0000-0000-000000000003", "price": "10"}).to_string()]);
    let groups = ["query", "sales", "--group-by", "price", "--max", "at", "--order"];
    let by = |order: &str| {
        let rows = sandbox.json(&[&groups[..], &[order]].concat());
        rows.as_array().unwrap().iter().map(|row| row["price"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(by("price"), ["1.5", "9.1", "10"]);
    assert_eq!(by("\"max(at)\""), ["10", "1.5", "9.1"]);
    assert_eq!(sandbox.json(&["verify"])["findings"], json!([]));
}
