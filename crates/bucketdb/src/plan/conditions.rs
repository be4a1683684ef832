use std::mem::discriminant;
use std::ops::Bound;

use bucketdb_documents::IndexCondition;
use bucketdb_query::{Comparison, Expression, Filter, Path};
use serde_json::Value;

/// What a filter asks of single values, all of which must hold: what an index, or the primary key, can be asked for.
///
/// Whoever uses them looks at the whole filter again: nothing here need be all that it says.
pub(crate) struct Conditions<'a> {
    all: Vec<&'a Expression>,
}

/// What is asked of one value.
#[derive(Debug)]
pub(crate) struct OfPath {
    /// What it may equal, where that is known; `None` in the list: it may be missing.
    equals: Vec<Option<Value>>,
    pub(crate) low: Bound<Value>,
    pub(crate) high: Bound<Value>,
    prefix: Option<String>,
    is_null: bool,
    is_not_null: bool,
    /// How many conditions are about it.
    count: usize,
}

impl<'a> Conditions<'a> {
    pub(crate) fn of(filter: &'a Filter) -> Self {
        let all = match filter.expression() {
            Expression::And(filters) => filters.iter().map(Filter::expression).collect(),
            one => vec![one],
        };
        Self { all }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// What is asked of a field at the top of the document.
    pub(crate) fn of_field(&self, name: &str) -> OfPath {
        self.of_path(&Path::field(name))
    }

    pub(crate) fn of_path(&self, path: &Path) -> OfPath {
        let (low, high) = (Bound::Unbounded, Bound::Unbounded);
        let mut of_path =
            OfPath { equals: Vec::new(), low, high, prefix: None, is_null: false, is_not_null: false, count: 0 };
        for expression in &self.all {
            // Where there are several values, each condition may be true of another one.
            if path.is_multiple() && !of_path.is_empty() {
                break;
            }
            of_path.add(path, expression);
        }
        of_path
    }
}

impl OfPath {
    fn is_empty(&self) -> bool {
        let has_bound = |bound: &Bound<Value>| !matches!(bound, Bound::Unbounded);
        self.equals.is_empty()
            && !has_bound(&self.low)
            && !has_bound(&self.high)
            && self.prefix.is_none()
            && !self.is_null
            && !self.is_not_null
    }

    /// How many conditions are about it.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    fn add(&mut self, path: &Path, expression: &Expression) {
        self.count += 1;
        match expression {
            Expression::Compare { path: at, comparison, value } if at == path => {
                let value = value.clone();
                match comparison {
                    Comparison::Equal if self.equals.is_empty() => self.equals = vec![Some(value)],
                    Comparison::Equal => {}
                    Comparison::Less => set_once(&mut self.high, Bound::Excluded(value)),
                    Comparison::LessOrEqual => set_once(&mut self.high, Bound::Included(value)),
                    Comparison::Greater => set_once(&mut self.low, Bound::Excluded(value)),
                    Comparison::GreaterOrEqual => set_once(&mut self.low, Bound::Included(value)),
                }
            }
            Expression::In { path: at, values } if at == path && self.equals.is_empty() => {
                self.equals = values.iter().cloned().map(Some).collect();
            }
            Expression::Between { path: at, low, high } if at == path => {
                set_once(&mut self.low, Bound::Included(low.clone()));
                set_once(&mut self.high, Bound::Included(high.clone()));
            }
            Expression::StartsWith { path: at, prefix } if at == path => self.prefix = Some(prefix.clone()),
            // Where there are several values, it is asked that none of them is there.
            Expression::IsNull { path: at } if at == path && !path.is_multiple() => self.is_null = true,
            Expression::Not(filter) if !path.is_multiple() => {
                if let Expression::IsNull { path: at } = filter.expression()
                    && at == path
                {
                    self.is_not_null = true;
                }
            }
            // One text among several may have it inside, beside lists that have elements.
            Expression::Contains { path: at, value }
                if at.clone().then_any_element() == *path && !(at.is_multiple() && value.is_string()) =>
            {
                self.equals = vec![Some(value.clone())];
                if value.is_string() {
                    // A text that has it inside has no elements.
                    self.equals.push(None);
                }
            }
            _ => self.count -= 1,
        }
    }

    /// The only value that it may have.
    pub(crate) fn equal(&self) -> Option<&Value> {
        match self.equals.as_slice() {
            [Some(only)] => Some(only),
            _ => None,
        }
    }

    /// All values that it may have; empty if that is not known.
    pub(crate) fn alternatives(&self) -> &[Option<Value>] {
        &self.equals
    }

    /// What else is asked of it, in one condition.
    pub(crate) fn range(&self) -> Option<IndexCondition> {
        if let Some(prefix) = &self.prefix {
            return Some(IndexCondition::StartsWith(prefix.clone()));
        }
        if self.is_null {
            return Some(IndexCondition::Null);
        }
        let (low, high) = (self.low.clone(), self.high.clone());
        let is_bounded = !matches!((&low, &high), (Bound::Unbounded, Bound::Unbounded));
        if is_bounded && bounds_agree(&low, &high) {
            return Some(IndexCondition::Between { low, high });
        }
        self.is_not_null.then_some(IndexCondition::NotNull)
    }
}

fn set_once(bound: &mut Bound<Value>, value: Bound<Value>) {
    if matches!(bound, Bound::Unbounded) {
        *bound = value;
    }
}

/// Whether a filter may compare the two by order.
fn same_type(first: &Value, second: &Value) -> bool {
    discriminant(first) == discriminant(second)
}

/// Whether two bounds can hold together.
fn bounds_agree(low: &Bound<Value>, high: &Bound<Value>) -> bool {
    match (low, high) {
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
            same_type(low, high)
        }
        _ => true,
    }
}
