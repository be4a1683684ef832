use std::io::{self, Write};

use bucketdb::{Direction, Order, Segment};
use serde_json::{Map, Value};

use super::Dialect;
use super::dialect::{ColumnType, identifier};
use super::names::Names;
use super::profile::Profiles;

/// One statement inserts so many rows at most, or so many bytes and one row.
const STATEMENT_ROWS: usize = 500;
const STATEMENT_BYTES: usize = 256 << 10;

/// What an entry of an index may take in PostgreSQL, with some room for what surrounds the values: 2,704 bytes is the bound.
const MOST_INDEXED_BYTES: usize = 2600;

/// Writes the script: all tables in one transaction, so that a script that was cut off leaves nothing.
#[derive(Debug)]
pub(crate) struct Script<W> {
    dialect: Dialect,
    out: W,
    names: Names,
    rows: u64,
}

/// How one table is written.
#[derive(Debug)]
pub(crate) struct TablePlan {
    name: String,
    columns: Vec<Column>,
    indexes: Vec<String>,
    /// What begins every statement that inserts.
    insert: String,
    waiting: String,
    waiting_rows: usize,
}

#[derive(Debug)]
struct Column {
    field: String,
    name: String,
    column_type: ColumnType,
    longest_bytes: usize,
}

/// An index as the database has it.
#[derive(Debug)]
pub(crate) struct WantedIndex {
    pub(crate) order: Order,
    pub(crate) is_unique: bool,
}

impl<W: Write> Script<W> {
    /// Begins the script. `about` says what it is, in a line.
    pub(crate) fn new(dialect: Dialect, mut out: W, about: &str) -> io::Result<Self> {
        writeln!(out, "-- {about}")?;
        if dialect == Dialect::Postgresql {
            writeln!(out, "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;")?;
        }
        writeln!(out, "BEGIN;")?;
        Ok(Self { dialect, out, names: Names::of_tables(dialect), rows: 0 })
    }

    /// The name that is wanted, or one like it, that none of these tables is going to have.
    pub(crate) fn free_name(&self, wanted: &str, tables: &[&str]) -> String {
        let mut names = Names::of_tables(self.dialect);
        for table in tables {
            names.take(table);
        }
        names.take(wanted)
    }

    /// Creates a table for documents with these fields.
    ///
    /// # Errors
    /// In the inner result, why no such table can be.
    pub(crate) fn table(
        &mut self,
        table: &str,
        profiles: &Profiles,
        key: &[String],
        indexes: &[WantedIndex],
    ) -> io::Result<Result<TablePlan, String>> {
        let name = self.names.take(table);
        let mut names = Names::of_columns(self.dialect);
        let columns: Vec<Column> = profiles
            .iter()
            .map(|(field, profile)| Column {
                field: field.clone(),
                name: names.take(field),
                column_type: profile.column_type(self.dialect),
                longest_bytes: profile.longest_bytes(),
            })
            .collect();
        let most = self.dialect.most_columns();
        if columns.len() > most {
            let dialect = self.dialect.name();
            return Ok(Err(format!(
                "table {table} has {} different fields, and a table of {dialect} at most {most} columns",
                columns.len()
            )));
        }
        let mut plan = TablePlan {
            insert: insert_into(&name, &columns),
            name,
            columns,
            indexes: Vec::new(),
            waiting: String::new(),
            waiting_rows: 0,
        };
        let create = self.create_table(&plan, key);
        self.out.write_all(create.as_bytes())?;
        plan.indexes = indexes.iter().map(|index| self.create_index(&plan, index)).collect();
        Ok(Ok(plan))
    }

    fn create_table(&self, plan: &TablePlan, key: &[String]) -> String {
        let mut sql = "\nCREATE TABLE ".to_owned();
        identifier(&mut sql, &plan.name);
        sql.push_str(" (");
        let mut separator = "\n    ";
        for column in &plan.columns {
            sql.push_str(separator);
            identifier(&mut sql, &column.name);
            let type_name = self.dialect.type_name(column.column_type);
            if !type_name.is_empty() {
                sql.push(' ');
                sql.push_str(type_name);
            }
            if key.contains(&column.field) {
                sql.push_str(" NOT NULL");
            }
            separator = ",\n    ";
        }
        let keys: Vec<&Column> = key.iter().filter_map(|field| plan.column(field)).collect();
        let is_short = self.is_short(&keys);
        if is_short {
            sql.push_str(separator);
            sql.push_str("PRIMARY KEY (");
            push_list(&mut sql, keys.iter().map(|column| column.name.as_str()));
            sql.push(')');
        }
        sql.push_str("\n);\n");
        if !is_short {
            sql.push_str("-- There is no primary key: keys are longer than PostgreSQL indexes.\n");
        }
        sql
    }

    /// Whether an index can hold the values of these columns.
    fn is_short(&self, columns: &[&Column]) -> bool {
        let sum: usize = columns.iter().map(|column| column.longest_bytes).sum();
        self.dialect == Dialect::Sqlite || sum <= MOST_INDEXED_BYTES
    }

    /// The statement that creates an index, or a remark why there is none.
    fn create_index(&mut self, plan: &TablePlan, index: &WantedIndex) -> String {
        let fields = index.order.to_string().replace(['\n', '\r'], " ");
        let remark = |reason: &str| format!("-- The index on {fields} is left out: {reason}.\n");
        let mut terms = Vec::new();
        for term in index.order.terms() {
            let [Segment::Field(field)] = term.path.segments() else {
                return remark("it is over what is nested in a field");
            };
            match plan.column(field) {
                Some(column) if column.column_type != ColumnType::Json => terms.push((column, term.direction)),
                Some(_) => return remark("a column has values of several kinds, or nested ones"),
                None => return remark("no document has all of its fields"),
            }
        }
        let columns: Vec<&Column> = terms.iter().map(|(column, _)| *column).collect();
        if !self.is_short(&columns) {
            return remark("its values are longer than PostgreSQL indexes");
        }
        let parts: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let name = self.names.take(&format!("{}_{}_idx", plan.name, parts.join("_")));
        let mut sql = if index.is_unique { "CREATE UNIQUE INDEX " } else { "CREATE INDEX " }.to_owned();
        identifier(&mut sql, &name);
        sql.push_str(" ON ");
        identifier(&mut sql, &plan.name);
        let mut separator = " (";
        for (column, direction) in terms {
            sql.push_str(separator);
            identifier(&mut sql, &column.name);
            if direction == Direction::Descending {
                sql.push_str(" DESC");
            }
            separator = ", ";
        }
        sql.push_str(");\n");
        sql
    }

    /// Writes a document.
    pub(crate) fn row(&mut self, plan: &mut TablePlan, document: &Map<String, Value>) -> io::Result<()> {
        let sql = &mut plan.waiting;
        sql.push_str(if plan.waiting_rows == 0 { &plan.insert } else { ",\n" });
        let mut separator = "(";
        for column in &plan.columns {
            sql.push_str(separator);
            let value = document.get(&column.field).unwrap_or(&Value::Null);
            self.dialect.write(sql, value, column.column_type);
            separator = ",";
        }
        sql.push(')');
        plan.waiting_rows += 1;
        self.rows += 1;
        if plan.waiting_rows >= STATEMENT_ROWS || plan.waiting.len() >= STATEMENT_BYTES {
            self.write_waiting(plan)?;
        }
        Ok(())
    }

    fn write_waiting(&mut self, plan: &mut TablePlan) -> io::Result<()> {
        if plan.waiting_rows > 0 {
            self.out.write_all(plan.waiting.as_bytes())?;
            self.out.write_all(b";\n")?;
            plan.waiting.clear();
            plan.waiting_rows = 0;
        }
        Ok(())
    }

    /// Ends a table: its indexes are made when all rows are there.
    pub(crate) fn end_table(&mut self, mut plan: TablePlan) -> io::Result<()> {
        self.write_waiting(&mut plan)?;
        plan.indexes.iter().try_for_each(|index| self.out.write_all(index.as_bytes()))
    }

    /// Ends the script; tells how many rows it has, and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<(u64, W)> {
        writeln!(self.out, "\nCOMMIT;")?;
        self.out.flush()?;
        Ok((self.rows, self.out))
    }
}

impl TablePlan {
    fn column(&self, field: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.field == field)
    }
}

fn insert_into(name: &str, columns: &[Column]) -> String {
    let mut sql = "INSERT INTO ".to_owned();
    identifier(&mut sql, name);
    sql.push_str(" (");
    push_list(&mut sql, columns.iter().map(|column| column.name.as_str()));
    sql.push_str(") VALUES\n");
    sql
}

fn push_list<'a>(sql: &mut String, names: impl Iterator<Item = &'a str>) {
    for (index, name) in names.enumerate() {
        if index > 0 {
            sql.push_str(", ");
        }
        identifier(sql, name);
    }
}
