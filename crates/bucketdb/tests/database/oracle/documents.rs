//! Random documents of a table.

use bucketdb::FieldType;
use serde_json::{Value, json};

use super::draw::Draw;
use super::schema::{SPOTS, Shape};
use super::values::{MOMENTS, Spot, Step::Field, first_field};

impl Shape {
    pub(crate) fn draw_document(&self, draw: &mut Draw) -> Value {
        let mut document = self.draw_key(draw);
        for spot in [SPOTS[0], SPOTS[1], SPOTS[2], SPOTS[12], SPOTS[13]] {
            if !draw.one_in(5) {
                document[first_field(spot)] = self.draw_value(spot, draw);
            }
        }
        if !draw.one_in(4) {
            document["code"] = draw_code(draw);
        }
        if !draw.one_in(4) {
            document["n"] = json!({"x": self.scalar_at(SPOTS[4], draw)});
            if draw.one_in(2) {
                document["n"]["y"] = json!({"z": self.scalar_at(SPOTS[5], draw)});
            }
        }
        if !draw.one_in(4) {
            document["tags"] = self.draw_list(draw);
        }
        if !draw.one_in(3) {
            let row = |draw: &mut Draw| match draw.below(4) {
                0 => json!({"k": self.scalar_at(SPOTS[9], draw)}),
                1 => json!({"v": self.elements_at(SPOTS[10], 3, draw)}),
                2 => scalar(draw),
                _ => json!({"k": draw.below(4), "v": self.elements_at(SPOTS[10], 2, draw)}),
            };
            document["rows"] = (0..draw.below(4)).map(|_| row(draw)).collect();
        }
        document
    }

    fn draw_list(&self, draw: &mut Draw) -> Value {
        match draw.below(16) {
            0 => json!("xyz"),
            1 => Value::Null,
            // More than an index over its elements holds.
            2 if self.may_be_large => (0..1_002).map(Value::from).collect(),
            3 if self.may_be_large => (2..40).map(Value::from).collect(),
            _ => self.elements_at(SPOTS[6], 4, draw),
        }
    }

    fn elements_at(&self, spot: Spot, most: usize, draw: &mut Draw) -> Value {
        (0..draw.below(most + 1)).map(|_| self.scalar_at(spot, draw)).collect()
    }

    /// What may be at a spot within a field, mostly of its type.
    fn scalar_at(&self, spot: Spot, draw: &mut Draw) -> Value {
        match self.type_of(spot) {
            Some(of) if !draw.one_in(6) => of_type(of, draw),
            _ => scalar(draw),
        }
    }

    /// A value that may be at a spot, mostly of its type.
    pub(crate) fn draw_value(&self, spot: Spot, draw: &mut Draw) -> Value {
        match (self.type_of(spot), draw.below(10)) {
            (_, 0) => Value::Null,
            (None, _) | (_, 1) => match (spot, draw.below(12)) {
                ([Field("code")], 3..) => draw_code(draw),
                (_, 0) if self.may_be_large => json!("x".repeat(1_020 + draw.below(9))),
                (_, 0) => draw_elements(2, draw),
                (_, 1) => json!({"b": draw.below(2), "a": scalar(draw)}),
                _ => scalar(draw),
            },
            (Some(field), _) => of_type(field, draw),
        }
    }
}

/// One of many, so that a unique index over them lets most documents in.
fn draw_code(draw: &mut Draw) -> Value {
    match draw.below(8) {
        0 => Value::Null,
        1 => json!(draw.below(20) as f64),
        2 => json!(draw.below(20).to_string()),
        _ => json!(draw.below(60)),
    }
}

fn draw_elements(most: usize, draw: &mut Draw) -> Value {
    (0..draw.below(most + 1)).map(|_| scalar(draw)).collect()
}

pub(crate) fn scalar(draw: &mut Draw) -> Value {
    match draw.below(20) {
        0 => Value::Null,
        1 => json!(draw.one_in(2)),
        2 => json!(draw.one_of(&[0.25, 1.5, -0.5, 2.0, -0.0, 3.0])),
        3 => json!(u64::MAX),
        4 => draw.one_of(&[json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0)]),
        5 => draw.one_of(&[json!(1e300), json!(i64::MIN), json!(18_446_744_073_709_551_616.0), json!(5e-324)]),
        6..10 => json!(draw.one_of(&["", "x", "xy", "xyz", "y", "é", "X", "\u{0}", "x\u{1}", "\u{1f600}", "\u{fb00}"])),
        _ => json!(draw.below(6) as i64 - 1),
    }
}

fn of_type(field: FieldType, draw: &mut Draw) -> Value {
    let small = draw.below(5) as i64;
    let whole = |least: i64, most: u64, draw: &mut Draw| match draw.below(6) {
        0 => json!(least),
        1 => json!(most),
        _ => json!(small + least.max(-2)),
    };
    match field {
        FieldType::Bool => json!(draw.one_in(2)),
        FieldType::I8 => whole(i8::MIN.into(), i8::MAX as u64, draw),
        FieldType::I16 => whole(i16::MIN.into(), i16::MAX as u64, draw),
        FieldType::I32 => whole(i32::MIN.into(), i32::MAX as u64, draw),
        FieldType::I64 => whole(i64::MIN, i64::MAX as u64, draw),
        FieldType::U8 => whole(0, u8::MAX.into(), draw),
        FieldType::U16 => whole(0, u16::MAX.into(), draw),
        FieldType::U32 => whole(0, u32::MAX.into(), draw),
        FieldType::U64 => whole(0, u64::MAX, draw),
        FieldType::F32 => json!(draw.one_of(&[0.5, 1.0, 2.0, -0.25, 16_777_216.0])),
        FieldType::F64 => json!(draw.one_of(&[0.5, 1.0, 2.0, -0.25, -0.0, 9_007_199_254_740_992.0])),
        FieldType::Text => json!(draw.one_of(&["", "x", "xy", "xyz", "y", "é", "2026-01-31"])),
        FieldType::Bytes => draw.one_of(&[json!([1, 2]), json!([]), json!([255])]),
        FieldType::Uuid => {
            let text = format!(
                "{0}{0}{0}{0}-{0}{0}-{0}{0}-{0}{0}-{0}{0}{0}{0}{0}{0}",
                ["0a", "ff", "7b", "80"][small as usize % 4]
            );
            json!(match draw.below(5) {
                0 => format!("{{{text}}}"),
                1 => text.to_uppercase(),
                2 => text.replace('-', ""),
                _ => text,
            })
        }
        FieldType::Timestamp => json!(draw.one_of(&MOMENTS).0),
        FieldType::Date => json!(draw.one_of(&["2026-01-31", "2026-02-01", "0044-03-15", "-000044-03-15"])),
        FieldType::Decimal => match draw.below(8) {
            0 => json!(draw.below(3)),
            1 => json!(1.5),
            _ => json!(draw.one_of(&["1.10", "1.1", "-0.5", "10", "9", "0.00", "1.5", "2"])),
        },
        _ => scalar(draw),
    }
}
