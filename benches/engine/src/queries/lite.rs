//! SQLite, with a column for each field, or with one of JSONB.

use std::path::Path;

use anyhow::Result;
use rusqlite::{Connection, Params, Row};

use super::sale::Sale;
use super::{Answer, Question};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Columns,
    Json,
}

pub struct Lite {
    connection: Connection,
    form: Form,
}

impl Lite {
    pub fn load(path: &Path, form: Form, documents: u64, memory_bytes: u64) -> Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.pragma_update(None, "cache_size", -(memory_bytes as i64 / 1024))?;
        connection.pragma_update(None, "mmap_size", memory_bytes as i64)?;
        // What is asked for stands in front, since SQLite goes over the fields before the one that it wants.
        connection.execute_batch(match form {
            Form::Columns => {
                "create table sales (id integer primary key, amount_cents integer not null, warehouse integer not null,
                    article integer not null, status text not null, weight_kg real not null, is_paid integer not null,
                    customer text not null, note text not null)"
            }
            Form::Json => "create table sales (id integer primary key, sale blob not null)",
        })?;
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare(match form {
                Form::Columns => "insert into sales values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                Form::Json => "insert into sales values (?, jsonb(?))",
            })?;
            for id in 0..documents {
                let sale = Sale::new(id);
                match form {
                    Form::Columns => insert.execute((
                        id as i64,
                        sale.amount_cents,
                        sale.warehouse,
                        sale.article,
                        &sale.status,
                        sale.weight_kg,
                        sale.is_paid,
                        &sale.customer,
                        &sale.note,
                    ))?,
                    Form::Json => insert.execute((id as i64, serde_json::to_string(&sale)?))?,
                };
            }
        }
        transaction.commit()?;
        connection.execute_batch("pragma wal_checkpoint(truncate); analyze")?;
        Ok(Self { connection, form })
    }

    /// Adds an index.
    pub(super) fn index(&self, number: usize, fields: &[&str]) -> Result<()> {
        let fields: Vec<String> = fields.iter().map(|field| format!("({})", self.field(field))).collect();
        self.connection.execute_batch(&format!("create index index_{number} on sales ({})", fields.join(", ")))?;
        Ok(())
    }

    /// Once indexes are there: what is known of them decides which one is used.
    pub(super) fn analyze(&self) -> Result<()> {
        Ok(self.connection.execute_batch("pragma wal_checkpoint(truncate); analyze")?)
    }

    /// The field in an expression.
    pub(super) fn field(&self, name: &str) -> String {
        match self.form {
            Form::Columns => name.to_owned(),
            Form::Json => format!("sale ->> '{name}'"),
        }
    }

    pub fn answer(&self, question: Question) -> Result<Answer> {
        let (amount, status) = (self.field("amount_cents"), self.field("status"));
        let group = |field: &str| {
            let field = self.field(field);
            format!("select {field}, sum({amount}) from sales group by {field} order by {field}")
        };
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(match question {
            // A count alone is answered from the numbers of cells in pages; this has to look at each.
            Question::CountAll => self.number("select count(case when id >= 0 then 1 end) from sales", [])?,
            Question::CountBelow(below) => {
                self.number(&format!("select count(*) from sales where {amount} < ?"), [below])?
            }
            Question::CountStatus(wanted) => {
                self.number(&format!("select count(*) from sales where {status} = ?"), [wanted])?
            }
            Question::FetchBelow(below) => {
                let mut ids = Vec::new();
                self.documents(&format!("{amount} < ? order by id"), [below], |sale| ids.push(sale.id))?;
                Answer::Keys(ids)
            }
            Question::StreamAll => {
                let mut digest = 0;
                self.documents("1 order by id", [], |sale| digest += sale.digest())?;
                Answer::Number(digest)
            }
            Question::SumByWarehouse => Answer::Groups(self.rows(&group("warehouse"), [], pair)?),
            Question::SumByArticle => Answer::Groups(self.rows(&group("article"), [], pair)?),
            Question::SumByStatus => {
                Answer::Named(self.rows(&group("status"), [], |row| Ok((row.get(0)?, row.get(1)?)))?)
            }
            Question::SumByWarehouseBelow(below) => {
                let field = self.field("warehouse");
                let sql = format!(
                    "select {field}, sum({amount}) from sales where {amount} < ? group by {field} order by {field}"
                );
                Answer::Groups(self.rows(&sql, [below], pair)?)
            }
            Question::Sum => self.number(&format!("select sum({amount}) from sales"), [])?,
            Question::Least => self.number(&format!("select min({amount}) from sales"), [])?,
            Question::Greatest => self.number(&format!("select max({amount}) from sales"), [])?,
            Question::First(limit) => {
                let sql = format!("select id from sales order by {amount}, id limit ?");
                Answer::Keys(self.rows(&sql, [limit as i64], |row| Ok(row.get::<_, i64>(0)? as u64))?)
            }
        })
    }

    /// Those of which `wanted` is true, in the order that it says.
    pub(super) fn documents(&self, wanted: &str, parameters: impl Params, mut visit: impl FnMut(Sale)) -> Result<()> {
        let fields = match self.form {
            Form::Columns => "id, customer, status, warehouse, article, amount_cents, weight_kg, is_paid, note",
            Form::Json => "json(sale)",
        };
        let mut statement = self.connection.prepare_cached(&format!("select {fields} from sales where {wanted}"))?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            visit(match self.form {
                Form::Columns => Sale {
                    id: row.get::<_, i64>(0)? as u64,
                    customer: row.get(1)?,
                    status: row.get(2)?,
                    warehouse: row.get(3)?,
                    article: row.get(4)?,
                    amount_cents: row.get(5)?,
                    weight_kg: row.get(6)?,
                    is_paid: row.get(7)?,
                    note: row.get(8)?,
                },
                Form::Json => serde_json::from_str(row.get_ref(0)?.as_str()?)?,
            });
        }
        Ok(())
    }

    fn number(&self, sql: &str, parameters: impl Params) -> Result<Answer> {
        Ok(Answer::Number(self.one(sql, parameters)?))
    }

    pub(super) fn one(&self, sql: &str, parameters: impl Params) -> Result<i64> {
        Ok(self.connection.prepare_cached(sql)?.query_row(parameters, |row| row.get(0))?)
    }

    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_map(parameters, read)?.collect::<rusqlite::Result<_>>()?)
    }
}
