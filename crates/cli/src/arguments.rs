mod query;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bucketdb::{Cursor, Point, Seq, Since, WallTime};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::query::{Query, QueryFormat};
use crate::output::parse_timestamp;
use crate::quantities::{parse_duration, parse_size};
use crate::sql::Dialect;

/// A document database whose only server is an object-storage bucket.
#[derive(Debug, Parser)]
#[command(name = "bucketdb", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the database is: file:PATH or a path, s3://BUCKET/PREFIX, gs://…, az://…, redis://HOST:PORT/…, memory:
    #[arg(long, value_name = "URL", env = "BUCKETDB_URL", hide_env_values = true, global = true)]
    pub(crate) db: Option<String>,
    /// The prefix of the database in the store, for URLs that cannot say it, such as file:PATH
    #[arg(long, global = true)]
    pub(crate) prefix: Option<String>,
    /// A branch of the database instead of itself; one/another is the branch another of the branch one
    #[arg(long, value_name = "NAME", env = "BUCKETDB_BRANCH", hide_env_values = true, global = true)]
    pub(crate) branch: Option<String>,
    /// Print for machines: JSON on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Which node of the ring this process is, from 0
    #[arg(long, value_name = "NUMBER", default_value_t = 0, global = true)]
    pub(crate) node_id: u64,
    /// How many nodes share the database, 1 to 256; a new database keeps it
    #[arg(long, value_name = "NUMBER", global = true)]
    pub(crate) ring_size: Option<u64>,
    /// How much memory the database may use, such as 64MiB; 100 MiB by default
    #[arg(long, value_name = "SIZE", value_parser = parse_size, global = true)]
    pub(crate) max_memory: Option<u64>,
    /// A folder in which what was read is kept for the next command, in up to --cache-size
    #[arg(long, value_name = "FOLDER", env = "BUCKETDB_CACHE_DIR", hide_env_values = true, global = true)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// How much that folder may take, such as 512MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "1GiB", global = true)]
    pub(crate) cache_size: u64,
    /// A file with the key of an encrypted database, and below it earlier ones; BUCKETDB_KEY holds the keys themselves
    #[arg(long, value_name = "FILE", env = "BUCKETDB_KEY_FILE", hide_env_values = true, global = true)]
    pub(crate) key_file: Option<PathBuf>,
    /// How far back the past can be read, such as 7d; a new database keeps it, by default as long as the grace, 1h.
    /// Without a time, behind `schema TABLE`: every version of the schema
    #[arg(long, value_name = "TIME", value_parser = parse_duration, global = true)]
    pub(crate) history: Option<Option<Duration>>,
    /// A price list to use instead of the built-in one
    #[arg(long, value_name = "FILE", env = "BUCKETDB_PRICES", hide_env_values = true, global = true)]
    pub(crate) prices: Option<PathBuf>,
    /// Log to standard error; twice for more. RUST_LOG says it in detail
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import a real data set, query it, change it, watch it, and see what it costs
    Demo,
    /// Import a file of documents, JSON, NDJSON or CSV, or a whole database; also compressed with gzip
    Import(Import),
    /// Write all documents of a table, or the whole database, to a file or to standard output
    Export(Export),
    /// Print one document
    Get {
        table: String,
        /// Bare text if the key is text, otherwise JSON; a JSON list if the key has several fields
        key: String,
        /// As it was at that position of the log, at that time, or when the snapshot of that name was created
        #[arg(long, value_name = "SEQ|TIME|NAME", value_parser = parse_point)]
        at: Option<Point>,
    },
    /// Write one document
    Put(Put),
    /// Remove documents, by their keys or by what is in them
    Delete(Delete),
    /// Change all documents of which something is true
    Update(Update),
    /// Change some fields of one document
    Patch {
        table: String,
        /// As for get
        key: String,
        /// A JSON merge patch: the fields that change, with null for those to remove
        patch: String,
    },
    /// Ask for documents by what is in them
    Query(Box<Query>),
    /// List the databases of a store, at and below a prefix
    Databases,
    /// Remove a whole database; its name is asked for
    Drop(Drop),
    /// List the tables
    Tables,
    /// Show the key, the fields and the indexes of a table
    Schema(Schema),
    /// Add an index to a table, or drop one
    #[command(subcommand)]
    Index(Index),
    /// Give the present a name under which it can be read later, list these names, or drop one
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Create a writable copy of the database that shares what is there, list these branches, compare, or delete one
    #[command(subcommand)]
    Branch(Branch),
    /// Put a file of any length into a field of a document, get it back, or get a URL for it
    #[command(subcommand)]
    Blob(Blob),
    /// Say which field of a table's documents holds when they end, in seconds since 1970
    Ttl {
        table: String,
        /// Such as 'expires_at' or 'session.ends'
        #[arg(required_unless_present = "off")]
        field: Option<String>,
        /// Documents do not end any more
        #[arg(long, conflicts_with = "field")]
        off: bool,
    },
    /// Show what the database holds, what this command has used, and what that costs
    Stats,
    /// Merge everything into as few sorted runs as possible, in pieces, while others read and write
    Compact,
    /// Remove what nobody needs any more
    Gc(Gc),
    /// Encrypt everything that was encrypted with an earlier key anew, with the first key of --key-file
    Rekey,
    /// Read everything and check it against its checksums and the log
    Verify,
    /// Copy the database, as it is now, to another store or folder, while others read and write; what is there already stays
    Backup(Backup),
    /// Make a database of a backup, where there must be nothing yet
    Restore(Restore),
    /// Try the store: is it reachable, fast, and what may it be used for
    Doctor(Doctor),
    /// Print the changes of a table, or of all, in the order of their commits
    Watch(Watch),
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where backups go, as --db names databases
    #[arg(value_name = "URL")]
    pub(crate) to: String,
    /// Show what can be restored from there, and copy nothing
    #[arg(long, conflicts_with = "verify")]
    pub(crate) list: bool,
    /// Read everything that is there and see whether it is as it was copied, and copy nothing
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Where the backups are; --db says where the database is to be
    #[arg(value_name = "URL")]
    pub(crate) from: String,
    /// The backup of that position, or the last one not later than that time, instead of the newest; `backup --list` shows them
    #[arg(long, value_name = "SEQ|TIME", value_parser = parse_point)]
    pub(crate) at: Option<Point>,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    pub(crate) table: String,
    /// Show every version of the schema, and how many documents there are of each: all are read. So does --history
    #[arg(long, conflicts_with = "finish")]
    pub(crate) versions: bool,
    /// Make all documents ones of the newest version, and refuse programs of earlier versions from then on
    #[arg(long)]
    pub(crate) finish: bool,
    /// Look at some documents, and show which fields a schema should declare, with their types
    #[arg(long, conflicts_with_all = ["finish", "versions"])]
    pub(crate) infer: bool,
    /// How many documents are looked at, the first ones by primary key
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, requires = "infer")]
    pub(crate) sample: usize,
    /// Register the schema that is inferred
    #[arg(long, requires = "infer")]
    pub(crate) apply: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Index {
    /// Add an index, and wait until it has all documents
    Create {
        table: String,
        /// Such as 'role', 'address.city, age desc' or 'tags[*]'
        fields: String,
        /// Let no two documents have the same values
        #[arg(long)]
        unique: bool,
    },
    /// Drop an index
    Drop {
        table: String,
        /// As it was created, and as `schema` shows it
        fields: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Keep what the database holds now readable, with `--at NAME`, until the name is dropped; nothing is copied
    Create {
        #[arg(value_parser = parse_name)]
        name: String,
    },
    /// List the snapshots
    List,
    /// Drop a snapshot: what only it needs is removed by and by
    Drop { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Branch {
    /// Create a branch: it begins as the database is now, goes its own way from there, and copies nothing
    Create {
        /// Letters, digits, '-', '_' and '.'
        name: String,
        /// As the database was at that position of the log, at that time, or when the snapshot of that name was created
        #[arg(long, value_name = "SEQ|TIME|NAME", value_parser = parse_point)]
        at: Option<Point>,
    },
    /// List the branches
    List,
    /// Delete a branch, with what is its own
    Delete {
        name: String,
        /// Wait until nobody can write to it any more, and remove its newest log records too
        #[arg(long)]
        wait: bool,
    },
    /// Show the documents that are different in a branch from how it began
    Diff {
        name: String,
        /// From what the database shows now, instead of from how the branch began
        #[arg(long)]
        from_parent: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Blob {
    /// Upload a file, and let a field of a document refer to it; what the field had before is removed by and by
    Put {
        #[command(flatten)]
        field: BlobField,
        /// The file; - is standard input
        file: PathBuf,
    },
    /// Write what a field refers to to standard output, or to a file
    Get {
        #[command(flatten)]
        field: BlobField,
        /// The file to write, which gets its name when it is complete
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// As it was at that position, time or snapshot; as for get
        #[arg(long, value_name = "SEQ|TIME|NAME", value_parser = parse_point)]
        at: Option<Point>,
    },
    /// Print a URL with which anyone can read what a field refers to, where the store has such URLs
    Url {
        #[command(flatten)]
        field: BlobField,
        /// For how long, such as 15m; 7d at most on most stores
        #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1h")]
        expires: Duration,
    },
}

/// A field of a document.
#[derive(Debug, Args)]
pub(crate) struct BlobField {
    pub(crate) table: String,
    /// As for get
    pub(crate) key: String,
    /// Such as photo, or profile.photo
    pub(crate) field: String,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    #[arg(required_unless_present = "database")]
    pub(crate) table: Option<String>,
    /// The file; - is standard input
    #[arg(required_unless_present = "database")]
    pub(crate) file: Option<PathBuf>,
    /// A file with a whole database, as `export` without a table writes it, for a new one; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["table", "file", "resume", "batch_size", "bulk"])]
    pub(crate) database: Option<PathBuf>,
    /// The folder that `export --blobs` wrote
    #[arg(long, value_name = "FOLDER")]
    pub(crate) blobs: Option<PathBuf>,
    /// The field that is the key, or several; by default what the table has, or id
    #[arg(long, value_name = "FIELD[,FIELD]", value_delimiter = ',')]
    pub(crate) key: Option<Vec<String>>,
    /// An index that the table is to have, such as 'address.city, age desc'; several times for several
    #[arg(long = "index", value_name = "FIELDS")]
    pub(crate) indexes: Vec<String>,
    /// What the file holds; by default its name tells
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) input_format: Option<InputFormat>,
    /// Whether a document may replace another
    #[arg(long, value_enum, default_value_t = Mode::Put)]
    pub(crate) mode: Mode,
    /// Let all documents appear at once or not at all; from 10,000 documents or 16 MiB on that is the default
    #[arg(long, conflicts_with = "batch_size")]
    pub(crate) bulk: bool,
    /// Import in commits of so many documents at most, however many they are
    #[arg(long, value_name = "DOCUMENTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: Option<u32>,
    /// Go on with an import that was cut off, or let this one be gone on with, by this name; the input must be the same. By
    /// default, a file that was not changed since is known again
    #[arg(long, value_name = "NAME", conflicts_with = "batch_size")]
    pub(crate) resume: Option<String>,
    /// Whether the columns of a CSV file become numbers and booleans where all their cells are
    #[arg(long, value_enum, default_value_t = CsvTypes::Infer)]
    pub(crate) csv_types: CsvTypes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// A list of objects, or one object after the other
    Json,
    /// One object on every line
    Ndjson,
    /// Comma-separated values below a line of column names
    Csv,
    /// Tab-separated values below a line of column names
    Tsv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Replace what has the same key
    Put,
    /// Stop at a key that exists
    Insert,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CsvTypes {
    /// Numbers, booleans or text, column by column
    Infer,
    /// Text only
    Text,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// One table; without one, the whole database, in NDJSON or SQL; in SQL any number
    #[arg(value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// By default what the name of the output says, or ndjson
    #[arg(long, value_enum)]
    pub(crate) format: Option<ExportFormat>,
    /// Whose SQL to write
    #[arg(long, value_enum)]
    pub(crate) dialect: Option<Dialect>,
    /// The file to write, which gets its name when it is complete; .gz at the end of the name compresses
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The folder for what blobs hold, each content in a file that has its hash as the name; what is there already is not
    /// written again. With a whole database, or SQL
    #[arg(long, value_name = "FOLDER")]
    pub(crate) blobs: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Json,
    Ndjson,
    Csv,
    /// A script that creates the tables and fills them; needs --dialect
    Sql,
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    pub(crate) table: String,
    /// The document; without it, or with -, from standard input
    pub(crate) document: Option<String>,
    /// Refuse to replace a document
    #[arg(long)]
    pub(crate) insert: bool,
    /// The field that is the key of a new table, or several; id by default
    #[arg(long, value_name = "FIELD[,FIELD]", value_delimiter = ',')]
    pub(crate) key: Option<Vec<String>>,
}

/// Which documents are to be written to.
#[derive(Debug, Args)]
pub(crate) struct Found {
    /// The documents of which this is true, such as 'age >= 18 and role = "admin"'; several must all be true. 'true' is
    /// for all documents
    #[arg(long = "where", value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// In which order a limit counts, such as 'elevation desc, name'; by key otherwise
    #[arg(long, value_name = "FIELDS", requires = "limit")]
    pub(crate) order: Option<String>,
    /// At most so many documents
    #[arg(long, value_name = "NUMBER", requires = "filters")]
    pub(crate) limit: Option<usize>,
    /// In several commits if need be: without it, all happens at once, and what one commit does not hold is refused
    #[arg(long, requires = "filters")]
    pub(crate) in_pieces: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    pub(crate) table: String,
    /// As for get
    #[arg(value_name = "KEY", conflicts_with = "filters")]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) found: Found,
}

#[derive(Debug, Args)]
#[command(mut_arg("filters", |filters| filters.required(true)))]
pub(crate) struct Update {
    pub(crate) table: String,
    #[command(flatten)]
    pub(crate) found: Found,
    /// A field and its new value in JSON, such as 'age=42' or 'address.city="Bern"'; null removes it
    #[arg(long, value_name = "FIELD=JSON", required_unless_present = "patch")]
    pub(crate) set: Vec<String>,
    /// A JSON merge patch: the fields that change, with null for those to remove
    #[arg(long, value_name = "JSON")]
    pub(crate) patch: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// As few trials as the creation of a database does
    #[arg(long, conflicts_with = "rounds")]
    pub(crate) quick: bool,
    /// How many races are run for each condition; 250 by default
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) rounds: Option<u16>,
    /// How many writers take part in a race; 8 by default
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(2..=1_000))]
    pub(crate) racers: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct Drop {
    /// The name of the database, for where nobody can be asked: its prefix, or its bucket or folder if it has none
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Wait until nothing of it has to stay: for the grace, 1 h by default
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Wait until what is not needed now may be removed: for up to the grace, 1 h by default
    #[arg(long)]
    pub(crate) wait: bool,
    /// Also remove objects that belong to nothing, such as those of an import that was interrupted
    #[arg(long)]
    pub(crate) sweep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// All tables without it
    pub(crate) table: Option<String>,
    /// Where to begin: a cursor that was printed before, a position in the log, beginning or now
    #[arg(long, value_name = "PLACE", default_value = "beginning", value_parser = parse_since)]
    pub(crate) since: Since,
    /// Wait for further changes until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
}

fn parse_since(text: &str) -> Result<Since, String> {
    match text {
        "beginning" => return Ok(Since::Beginning),
        "now" => return Ok(Since::Now),
        _ => {}
    }
    if let Ok(seq) = text.parse() {
        return Ok(Since::Seq(Seq(seq)));
    }
    let cursor: Result<Cursor, _> = text.parse();
    cursor.map(Since::Cursor).map_err(|_| "it is neither a cursor, a position, `beginning` nor `now`".to_owned())
}

fn parse_point(text: &str) -> Result<Point, String> {
    if let Ok(seq) = text.parse() {
        return Ok(Seq(seq).into());
    }
    Ok(parse_timestamp(text).map_or_else(|| text.into(), |unix_ms| WallTime(unix_ms).into()))
}

/// A name that `--at` takes for one.
fn parse_name(text: &str) -> Result<String, String> {
    match parse_point(text)? {
        Point::Name(name) => Ok(name),
        _ => Err("`--at` would take it for a position in the log or for a time: choose another name".to_owned()),
    }
}

/// Whether errors are to be JSON, asked when the arguments themselves are wrong.
pub(crate) fn is_json_wanted(arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_arguments_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_place_to_watch_from_has_four_forms() {
        assert_eq!(parse_since("beginning"), Ok(Since::Beginning));
        assert_eq!(parse_since("now"), Ok(Since::Now));
        assert_eq!(parse_since("17"), Ok(Since::Seq(Seq(17))));
        assert!(matches!(parse_since("1.17.2"), Ok(Since::Cursor(_))));
        assert!(parse_since("yesterday").is_err());
    }

    #[test]
    fn a_point_is_a_position_a_time_or_a_name_that_is_neither() {
        assert_eq!(parse_point("17"), Ok(Point::Seq(Seq(17))));
        assert_eq!(parse_point("1970-01-01T00:00:01Z"), Ok(WallTime(1000).into()));
        assert_eq!(parse_point("yesterday"), Ok("yesterday".into()));
        assert_eq!(parse_name("yesterday").as_deref(), Ok("yesterday"));
        assert!(parse_name("17").is_err() && parse_name("1970-01-01").is_err());
    }
}
