use bucketdb::{
    Aggregate, AggregateTerm, AnyColumn, Function, Order, OrderTerm, Path, Query as DatabaseQuery, Schema, Segment,
    Selection,
};
use serde_json::{Map, Value, json};

use crate::arguments::{Query, QueryFormat};
use crate::failure::Failure;
use crate::output::{DocumentFormat, DocumentWriter, Output, document_table};

/// What is computed of documents, and how the rows of the result are shown.
pub(super) struct Computation {
    /// The fields by which documents are put into groups; `None`: all are one.
    groups: Option<Vec<Path>>,
    aggregates: Vec<Aggregate<Value, Value>>,
    /// Of the groups, by the names of their columns.
    order: Option<Order>,
    offset: usize,
    limit: usize,
}

impl Computation {
    /// What the options ask for; `None` if that is documents, or only their number.
    pub(super) fn of(options: &Query, order: Option<&Order>) -> Result<Option<Self>, Failure> {
        let asked = &options.computed;
        let mut aggregates = Vec::new();
        if options.count {
            aggregates.push(Aggregate::count().into_untyped());
        }
        for (option, fields, aggregate) in [
            ("--sum", &asked.sum, AnyColumn::sum as fn(&AnyColumn) -> _),
            ("--avg", &asked.avg, |column| column.avg().into_untyped()),
            ("--min", &asked.min, |column| column.min().into_untyped()),
            ("--max", &asked.max, |column| column.max().into_untyped()),
        ] {
            for field in fields {
                aggregates.push(aggregate(&field.parse().map_err(|error| Failure::parse(option, &error))?));
            }
        }
        let of_option = |option, fields: &String| {
            let selection: Result<Selection, _> = fields.parse();
            selection.map(|selection| selection.paths().to_vec()).map_err(|error| Failure::parse(option, &error))
        };
        let groups = match (&asked.group_by, &asked.distinct) {
            (Some(fields), _) => Some(of_option("--group-by", fields)?),
            (None, Some(fields)) => Some(of_option("--distinct", fields)?),
            (None, None) => None,
        };
        let is_count = options.count && aggregates.len() == 1;
        if groups.is_none() && (aggregates.is_empty() || is_count && !options.explain) {
            return Ok(None);
        }
        let (offset, limit) = (options.offset, options.limit.unwrap_or(usize::MAX));
        let mut computation = Self { groups, aggregates, order: None, offset, limit };
        let mut names = computation.names();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[name, next]| name == next) {
            return Err(Failure::usage(format!(
                "the result would have two columns {name}, and its rows have one of each name"
            )));
        }
        if computation.has_groups() {
            computation.order = order.map(|order| computation.order_of_rows(order)).transpose()?;
        }
        Ok(Some(computation))
    }

    pub(super) fn has_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// An order by columns of the result, whose names are single fields of its rows.
    fn order_of_rows(&self, order: &Order) -> Result<Order, Failure> {
        let names = self.names();
        let term = |term: &OrderTerm| {
            let name = match term.path.segments() {
                // Such as "sum(age)"; other names are shown in quotes where they need them.
                [Segment::Field(name)] if names.contains(name) => name.clone(),
                _ => term.path.to_string(),
            };
            if !names.contains(&name) {
                let known = names.join(", ");
                return Err(Failure::usage(format!("--order: the result has no column {name}; it has {known}")));
            }
            Ok(OrderTerm { path: Path::field(name), direction: term.direction })
        };
        order.terms().iter().map(term).collect()
    }

    /// The names of the columns of the result.
    fn names(&self) -> Vec<String> {
        let groups = self.groups.iter().flatten().map(Path::to_string);
        groups.chain(self.aggregates.iter().map(ToString::to_string)).collect()
    }

    /// A row of the result by which an order compares it: values of fields whose texts stand for something compare as that.
    fn ordered_part(&self, row: &Value, schema: &Schema) -> Value {
        let type_of = |path: &Path| match path.segments() {
            [Segment::Field(name)] => {
                let declared = schema.fields().iter().find(|field| field.name == *name);
                let in_key = schema.key().iter().find(|field| field.name == *name);
                let of_key = in_key.and_then(|field| field.key_type.text_type());
                of_key.or_else(|| declared?.field_type.text_type())
            }
            _ => None,
        };
        let groups = self.groups.iter().flatten().map(type_of);
        let totals = self.aggregates.iter().map(|aggregate| match aggregate.term() {
            AggregateTerm { function: Function::Sum { .. } | Function::Min | Function::Max, path: Some(path) } => {
                type_of(path)
            }
            _ => None,
        });
        let mut part = row.clone();
        for (name, text_type) in self.names().iter().zip(groups.chain(totals)) {
            if let (Some(text_type), Some(value)) = (text_type, part.get_mut(name)) {
                *value = text_type.comparable(value.take());
            }
        }
        part
    }

    /// The result, row by row, of a table with that schema.
    pub(super) async fn rows(&self, query: DatabaseQuery<Value>, schema: &Schema) -> Result<Vec<Value>, Failure> {
        let names = self.names();
        let row = |values: Vec<Value>| Value::Object(names.iter().cloned().zip(values).collect::<Map<_, _>>());
        let Some(groups) = &self.groups else {
            return Ok(vec![row(query.aggregate(self.aggregates.clone()).await?)]);
        };
        let columns: Vec<AnyColumn> = groups.iter().cloned().map(AnyColumn::from).collect();
        let found = query.group_by(columns).aggregate(self.aggregates.clone()).await?;
        let mut rows: Vec<Value> = found.into_iter().map(|(group, totals)| row([group, totals].concat())).collect();
        if let Some(order) = &self.order {
            let with_part = |row: Value| (self.ordered_part(&row, schema), row);
            let mut with_parts: Vec<(Value, Value)> = rows.into_iter().map(with_part).collect();
            with_parts.sort_by(|(first, _), (second, _)| order.compare(first, second));
            rows = with_parts.into_iter().map(|(_, row)| row).collect();
        }
        Ok(rows.into_iter().skip(self.offset).take(self.limit).collect())
    }

    pub(super) fn show(&self, rows: &[Value], format: Option<QueryFormat>, output: &mut Output) -> Result<(), Failure> {
        let names = self.names();
        let format = match format {
            // One row is not a list.
            None if output.is_json() && !self.has_groups() => {
                return Ok(output.value(rows.first().unwrap_or(&json!({})))?);
            }
            None if output.is_json() => DocumentFormat::Json,
            None | Some(QueryFormat::Table) if rows.is_empty() => return Ok(output.line("no groups")?),
            None | Some(QueryFormat::Table) => {
                return Ok(output.line(document_table(rows, &names, output.width()))?);
            }
            Some(QueryFormat::Json) => DocumentFormat::Json,
            Some(QueryFormat::Ndjson) => DocumentFormat::Ndjson,
            Some(QueryFormat::Csv) => DocumentFormat::Csv { columns: names },
        };
        let mut writer = DocumentWriter::new(format, output)?;
        for row in rows {
            writer.write(row)?;
        }
        writer.finish()?;
        Ok(())
    }
}
