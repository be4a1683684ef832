//! Random questions to a table, and what it is indexed by.

use std::ops::Bound;

use bucketdb::{FieldType, KeyType};
use serde_json::{Value, json};

use super::condition::{Condition, Operator};
use super::documents::scalar;
use super::draw::Draw;
use super::model::Model;
use super::question::{Question, Term};
use super::schema::{KEY_SPOTS, SPOTS, Shape};
use super::values::Step::Field;
use super::values::{Spot, first_field, is_multiple, values_at};

const OPERATORS: [Operator; 6] = [
    Operator::Equal,
    Operator::NotEqual,
    Operator::Less,
    Operator::LessOrEqual,
    Operator::Greater,
    Operator::GreaterOrEqual,
];

impl Shape {
    pub(crate) fn draw_spot(&self, draw: &mut Draw) -> Spot {
        match draw.below(10) {
            0..3 => {
                let name = draw.one_of(&self.key).0;
                KEY_SPOTS.into_iter().find(|spot| first_field(spot) == name).unwrap()
            }
            3..6 => SPOTS[draw.below(5)],
            6..8 => draw.one_of(&[SPOTS[6], SPOTS[9], SPOTS[10]]),
            _ => draw.one_of(&SPOTS),
        }
    }

    /// Where there are more often numbers.
    pub(crate) fn draw_number_spot(&self, draw: &mut Draw) -> Spot {
        let is_number = |spot: &Spot| {
            let is_key =
                self.key.iter().any(|(name, key_type)| *name == first_field(spot) && *key_type == KeyType::Integer);
            is_key
                || matches!(
                    self.type_of(spot),
                    Some(FieldType::Decimal | FieldType::I16 | FieldType::F64 | FieldType::U64)
                )
        };
        let all: Vec<Spot> = SPOTS.into_iter().chain(KEY_SPOTS).filter(is_number).collect();
        if all.is_empty() { SPOTS[0] } else { draw.one_of(&all) }
    }

    /// Up to three terms of an index, over the elements of one list at most.
    pub(crate) fn draw_index(&self, is_unique: bool, draw: &mut Draw) -> Vec<Term> {
        let mut terms: Vec<Term> = Vec::new();
        if is_unique && draw.one_in(2) {
            terms.push(Term { spot: &[Field("code")], is_descending: draw.one_in(3) });
        }
        for _ in 0..=draw.below(3) {
            let term = Term { spot: self.draw_spot(draw), is_descending: draw.one_in(3) };
            let is_second = is_multiple(term.spot) && terms.iter().any(|term| is_multiple(term.spot));
            if !is_second && terms.iter().all(|other| other.spot != term.spot) {
                terms.push(term);
            }
        }
        terms
    }
}

impl Model {
    pub(crate) fn draw_question(&self, draw: &mut Draw) -> Question {
        let shape = &self.shape;
        let order = match draw.below(4) {
            0 => Vec::new(),
            1 if !self.indexes.is_empty() => draw.one_of(&self.indexes),
            _ => (0..=draw.below(3))
                .map(|_| Term { spot: shape.draw_spot(draw), is_descending: draw.one_in(2) })
                .collect(),
        };
        let [low, high] = [0; 2].map(|_| shape.key_value(&shape.draw_key(draw)));
        let keys = match draw.below(8) {
            0 => (Bound::Included(low), Bound::Unbounded),
            1 => (Bound::Excluded(low), Bound::Included(high)),
            2 => (Bound::Unbounded, Bound::Excluded(high)),
            _ => (Bound::Unbounded, Bound::Unbounded),
        };
        let offset = if draw.one_in(3) { draw.below(4) } else { 0 };
        let limit = draw.one_in(2).then(|| draw.below(7));
        let condition = match draw.below(8) {
            0 | 1 => self.draw_places(draw),
            2 | 3 => self.draw_of_one_spot(draw),
            _ => self.draw_condition(2, draw),
        };
        Question { condition, order, keys, offset, limit, style: draw.number() }
    }

    /// What a document has in some indexes, all of it: what is read there is in one place.
    fn draw_places(&self, draw: &mut Draw) -> Condition {
        let mut parts = Vec::new();
        if let Some(document) = self.draw_present(draw)
            && !self.indexes.is_empty()
        {
            for _ in 0..1 + draw.below(3) {
                for term in draw.one_of(&self.indexes) {
                    let values = values_at(document, term.spot);
                    if !values.is_empty() {
                        parts.push(Condition::Compare(term.spot, Operator::Equal, draw.one_of(&values).clone()));
                    }
                }
            }
        }
        if draw.one_in(2) {
            parts.push(self.draw_condition(1, draw));
        }
        Condition::And(parts)
    }

    /// Several conditions of one value, or of several in the same list; often with those that one document has there.
    fn draw_of_one_spot(&self, draw: &mut Draw) -> Condition {
        let spot = self.draw_spot(draw);
        let present = self.draw_present(draw).map(|document| values_at(document, spot));
        let present = present.filter(|values| !values.is_empty());
        let part = |draw: &mut Draw| match (draw.below(4), &present) {
            (0, _) => self.draw_condition_of(spot, draw),
            (1, _) | (_, None) => Condition::Compare(spot, draw.one_of(&OPERATORS), self.draw_operand(spot, draw)),
            (_, Some(values)) => Condition::Compare(spot, draw.one_of(&OPERATORS), draw.one_of(values).clone()),
        };
        Condition::And((0..2 + draw.below(2)).map(|_| part(draw)).collect())
    }

    fn draw_present(&self, draw: &mut Draw) -> Option<&Value> {
        (!self.documents.is_empty())
            .then(|| draw.below(self.documents.len()))
            .and_then(|at| self.documents.values().nth(at))
    }

    fn draw_condition(&self, depth: usize, draw: &mut Draw) -> Condition {
        if depth > 0 && draw.one_in(2) {
            let several =
                |draw: &mut Draw| (0..1 + draw.below(3)).map(|_| self.draw_condition(depth - 1, draw)).collect();
            return match draw.below(5) {
                0 => Condition::Or(several(draw)),
                1 => Condition::Not(Box::new(self.draw_condition(depth - 1, draw))),
                2 => self.draw_of_one_spot(draw),
                _ => Condition::And(several(draw)),
            };
        }
        self.draw_condition_of(self.draw_spot(draw), draw)
    }

    /// Often one that an index begins with.
    fn draw_spot(&self, draw: &mut Draw) -> Spot {
        if self.indexes.is_empty() || draw.one_in(2) {
            return self.shape.draw_spot(draw);
        }
        draw.one_of(&self.indexes)[0].spot
    }

    fn draw_condition_of(&self, spot: Spot, draw: &mut Draw) -> Condition {
        let value = |draw: &mut Draw| self.draw_operand(spot, draw);
        match draw.below(16) {
            0 => Condition::Always,
            1 => Condition::Never,
            2 => Condition::Exists(spot),
            3 => Condition::IsNull(spot),
            4 => Condition::Not(Box::new(Condition::IsNull(spot))),
            5 => Condition::In(spot, (0..draw.below(4)).map(|_| value(draw)).collect()),
            6 | 7 => Condition::Between(spot, value(draw), value(draw)),
            8 => Condition::StartsWith(spot, draw.one_of(&["", "x", "xy", "é", "2026-01", "a", "0"]).to_owned()),
            9 => Condition::Contains(spot, if draw.one_in(2) { scalar(draw) } else { value(draw) }),
            10..13 => Condition::Compare(spot, Operator::Equal, value(draw)),
            _ => Condition::Compare(spot, draw.one_of(&OPERATORS), value(draw)),
        }
    }

    /// What the values at a spot are compared with: often one of them.
    fn draw_operand(&self, spot: Spot, draw: &mut Draw) -> Value {
        if draw.one_in(3)
            && let Some(document) = self.draw_present(draw)
            && let Some(value) = values_at(document, spot).first()
        {
            return (*value).clone();
        }
        match draw.below(12) {
            0 => scalar(draw),
            1 if self.shape.type_of(spot) == Some(FieldType::Timestamp) => json!("2026-01-02"),
            _ if KEY_SPOTS.contains(&spot) => self.shape.draw_key(draw)[first_field(spot)].clone(),
            _ => self.shape.draw_value(spot, draw),
        }
    }
}
