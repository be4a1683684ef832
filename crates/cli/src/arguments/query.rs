use std::num::NonZeroUsize;

use bucketdb::{PageCursor, Point};
use clap::{Args, ValueEnum};

use super::parse_point;

#[derive(Debug, Args)]
pub(crate) struct Query {
    pub(crate) table: String,
    /// Only documents of which this is true, such as 'age >= 18 and role = "admin"'; several must all be true
    #[arg(long = "where", value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// The order, such as 'elevation desc, name'; by key otherwise. With --group-by or --distinct, that of the groups
    #[arg(long, value_name = "FIELDS")]
    pub(crate) order: Option<String>,
    /// At most so many documents, or groups
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<usize>,
    /// Without the first so many
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) offset: usize,
    /// Only these fields, such as 'name, address.city'
    #[arg(long, value_name = "FIELDS")]
    pub(crate) select: Option<String>,
    /// Print only how many there are, in each group with --group-by
    #[arg(long, conflicts_with_all = ["select"])]
    pub(crate) count: bool,
    #[command(flatten)]
    pub(crate) computed: Computed,
    /// Print so many documents, and the cursor that --after takes to go on behind them
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["limit", "count", "explain", "Computed"])]
    pub(crate) page_size: Option<NonZeroUsize>,
    /// Go on behind the page that ended with this cursor, of the same query
    #[arg(long, value_name = "CURSOR", requires = "page_size")]
    pub(crate) after: Option<PageCursor>,
    /// Print how the query is answered, what other ways would cost, and what it took, instead of documents
    #[arg(long, conflicts_with = "format")]
    pub(crate) explain: bool,
    /// Ask the store for what others have committed up to now
    #[arg(long)]
    pub(crate) strict: bool,
    /// As it was at that position of the log, at that time, such as 2026-01-31T12:00:00Z, or when the snapshot of that name
    /// was created
    #[arg(long, value_name = "SEQ|TIME|NAME", value_parser = parse_point, conflicts_with = "strict")]
    pub(crate) at: Option<Point>,
    #[arg(long, value_enum)]
    pub(crate) format: Option<QueryFormat>,
}

/// What is computed of documents instead of showing them.
#[derive(Debug, Args)]
#[group(multiple = true, conflicts_with = "select")]
pub(crate) struct Computed {
    /// The sum of a field; several times for several
    #[arg(long, value_name = "FIELD")]
    pub(crate) sum: Vec<String>,
    /// The average of a field
    #[arg(long, value_name = "FIELD")]
    pub(crate) avg: Vec<String>,
    /// The least value of a field
    #[arg(long, value_name = "FIELD")]
    pub(crate) min: Vec<String>,
    /// The greatest value of a field
    #[arg(long, value_name = "FIELD")]
    pub(crate) max: Vec<String>,
    /// For each group of documents with the same values of these fields, such as 'role, address.city'
    #[arg(long, value_name = "FIELDS", conflicts_with = "distinct")]
    pub(crate) group_by: Option<String>,
    /// The different values of these fields
    #[arg(long, value_name = "FIELDS", conflicts_with_all = ["sum", "avg", "min", "max", "count"])]
    pub(crate) distinct: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueryFormat {
    Table,
    Json,
    Ndjson,
    Csv,
}
