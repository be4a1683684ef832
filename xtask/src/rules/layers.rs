//! Which part may know which.
//!
//! ```text
//! env ← driver ← object-store, redis, encryption, log      log ← runs ← lsm ← documents
//! query: nobody      derive: query, in tests
//! bucketdb: all of these      history: nobody      cli, bench: bucketdb only      system-tests, sim: history too
//! xtask: nobody
//! ```

use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::rules::repository::SourceFile;
use crate::rules::violation::{Rule, Violation};

/// A package of the workspace and what its manifest names, for builds and for tests.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) dependencies: Vec<String>,
}

/// A part of the system: where it stands, what it may know, and why no more.
struct Layer {
    package: &'static str,
    folder: &'static str,
    may_use: &'static [&'static str],
    rule: Rule,
}

const fn layer(
    package: &'static str,
    folder: &'static str,
    may_use: &'static [&'static str],
    rule: &'static str,
    reason: &'static str,
) -> Layer {
    Layer { package, folder, may_use, rule: Rule { rule, reason } }
}

const LEAF_RULE: &str = "programs and tests of the whole use the crate bucketdb only, and nobody uses them";
const LEAF_REASON: &str = "what they need and bucketdb does not offer, users are missing as well";
const STORE_RULE: &str = "a kind of store knows the driver contract and the environment only";
const STORE_REASON: &str = "a store that knew what is kept in it could not be swapped for another";

const LAYERS: [Layer; 18] = [
    layer(
        "bucketdb-env",
        "crates/env/",
        &[],
        "the environment knows no other part",
        "it stands below everything, so that all parts can be simulated",
    ),
    layer(
        "bucketdb-driver",
        "crates/driver/",
        &["bucketdb-env"],
        "the driver contract knows the environment only",
        "who writes a driver must not have to understand a database",
    ),
    layer(
        "bucketdb-object-store",
        "crates/object-store/",
        &["bucketdb-env", "bucketdb-driver"],
        STORE_RULE,
        STORE_REASON,
    ),
    layer("bucketdb-redis", "crates/redis/", &["bucketdb-env", "bucketdb-driver"], STORE_RULE, STORE_REASON),
    layer(
        "bucketdb-encryption",
        "crates/encryption/",
        &["bucketdb-env", "bucketdb-driver"],
        "encryption knows the driver contract and the environment only",
        "it must seal whatever it is given, without looking at what it is",
    ),
    layer(
        "bucketdb-log",
        "crates/log/",
        &["bucketdb-env", "bucketdb-driver"],
        "the log knows drivers and the environment only",
        "its safety argument holds for any bytes, and must not depend on what documents are",
    ),
    layer(
        "bucketdb-documents",
        "crates/documents/",
        &["bucketdb-log", "bucketdb-runs", "bucketdb-lsm", "bucketdb-query"],
        "documents know the log, the runs and the order of values, and never a driver",
        "the state that a log adds up to must be the same whatever store the log came from",
    ),
    layer(
        "bucketdb-runs",
        "crates/runs/",
        &["bucketdb-env", "bucketdb-driver", "bucketdb-log"],
        "runs know the log's codecs, drivers and the environment only",
        "a run is keys and bytes in order: what they mean, and which runs make a database, is known above",
    ),
    layer(
        "bucketdb-lsm",
        "crates/lsm/",
        // Only its tests name a driver and an environment.
        &["bucketdb-env", "bucketdb-driver", "bucketdb-log", "bucketdb-runs"],
        "the tree knows runs and the log's codecs only",
        "how runs are put together and merged does not depend on what documents are",
    ),
    layer(
        "bucketdb-query",
        "crates/query/",
        &[],
        "queries know values of JSON only, neither the log nor a driver",
        "a query means the same on a row in memory, in a run or in a test",
    ),
    layer(
        "bucketdb-derive",
        "crates/derive/",
        // Only its tests do: the columns that it writes are checked against the real ones.
        &["bucketdb-query"],
        "the derive macro knows no other part, but that its tests use columns",
        "it writes code for the public interface, and a macro's dependencies are built before everything else",
    ),
    layer(
        "bucketdb",
        "crates/bucketdb/",
        &[
            "bucketdb-env",
            "bucketdb-driver",
            "bucketdb-object-store",
            "bucketdb-redis",
            "bucketdb-encryption",
            "bucketdb-log",
            "bucketdb-runs",
            "bucketdb-lsm",
            "bucketdb-documents",
            "bucketdb-query",
            "bucketdb-derive",
        ],
        "bucketdb knows the parts that it is made of, and none of its users",
        "it is what others build on",
    ),
    layer("bucketdb-cli", "crates/cli/", &["bucketdb"], LEAF_RULE, LEAF_REASON),
    layer(
        "bucketdb-history",
        "crates/history/",
        &[],
        "the checker of histories knows no part of the database",
        "it judges what clients saw, and must not believe what the database says of itself",
    ),
    layer("bucketdb-system-tests", "crates/system-tests/", &["bucketdb", "bucketdb-history"], LEAF_RULE, LEAF_REASON),
    layer("bucketdb-sim", "crates/sim/", &["bucketdb", "bucketdb-history"], LEAF_RULE, LEAF_REASON),
    layer("bucketdb-bench", "crates/bench/", &["bucketdb"], LEAF_RULE, LEAF_REASON),
    layer(
        "xtask",
        "xtask/",
        &[],
        "xtask knows no part of the database",
        "it must compile in seconds, and still run when the database does not compile",
    ),
];

const UNKNOWN_PART: Rule = Rule {
    rule: "every package has its place in the table of layers, xtask/src/rules/layers.rs",
    reason: "a part without a place may come to know everything",
};

/// A dependency from outside that only some packages may have.
struct Confined {
    dependency: &'static str,
    packages: &'static [&'static str],
    rule: Rule,
}

const PROGRAM_RULE: Rule = Rule {
    rule: "only programs talk to a terminal: clap and indicatif belong to crates/cli, the simulator, the bench, the system tests' workers and xtask",
    reason: "a library that prints or parses arguments cannot be embedded, and makes everybody's build longer",
};

const CONFINED: [Confined; 4] = [
    Confined {
        dependency: "object_store",
        packages: &["bucketdb-object-store"],
        rule: Rule {
            rule: "only crates/object-store uses the object_store library",
            reason: "its types in other parts would tie all of them to its releases",
        },
    },
    Confined {
        dependency: "redis",
        packages: &["bucketdb-redis"],
        rule: Rule {
            rule: "only crates/redis uses the redis library",
            reason: "its types in other parts would tie all of them to its releases",
        },
    },
    Confined {
        dependency: "clap",
        packages: &["bucketdb-bench", "bucketdb-cli", "bucketdb-sim", "bucketdb-system-tests", "xtask"],
        rule: PROGRAM_RULE,
    },
    Confined { dependency: "indicatif", packages: &["bucketdb-cli", "xtask"], rule: PROGRAM_RULE },
];

const LOG_TYPES: Rule = Rule {
    rule: "no type of the log is called after documents or tables",
    reason: "the log orders records of bytes: what they mean is known one layer up",
};

/// The packages of the workspace as cargo sees them.
pub(super) fn packages(root: &Path) -> Result<Vec<Package>> {
    let mut command = MetadataCommand::new();
    let metadata = command.current_dir(root).no_deps().exec().context("cargo does not describe the workspace")?;
    let package = |package: cargo_metadata::Package| Package {
        name: package.name.to_string(),
        dependencies: package.dependencies.into_iter().map(|dependency| dependency.name).collect(),
    };
    Ok(metadata.packages.into_iter().map(package).collect())
}

/// Arrows between packages, and dependencies from outside in the wrong place.
pub(super) fn dependencies(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some(layer) = LAYERS.iter().find(|layer| layer.package == package.name) else {
            violations.push(UNKNOWN_PART.broken(&package.name, "this package has no place among the layers"));
            continue;
        };
        let place = format!("{}Cargo.toml", layer.folder);
        // A package may name itself, for the features that its tests need.
        for dependency in package.dependencies.iter().filter(|dependency| **dependency != package.name) {
            let problem = format!("{} must not depend on {dependency}", package.name);
            let is_ours = packages.iter().any(|other| other.name == *dependency);
            if is_ours && !layer.may_use.contains(&dependency.as_str()) {
                violations.push(layer.rule.broken(&place, &problem));
            }
            for confined in CONFINED.iter().filter(|confined| confined.dependency == dependency) {
                if !confined.packages.contains(&package.name.as_str()) {
                    violations.push(confined.rule.broken(&place, &problem));
                }
            }
        }
    }
    violations
}

/// What a source file says about parts that it must not know, in code or in words: a link in a comment is knowledge too.
/// A string is not: a filter for log lines may list the parts that write them.
pub(super) fn names(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    let Some(layer) = LAYERS.iter().find(|layer| file.path.starts_with(layer.folder)) else { return violations };
    // This package states the rules, so it names everything.
    if !file.path.ends_with(".rs") || layer.package == "xtask" {
        return violations;
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        let place = || format!("{}:{number}", file.path);
        for word in outside_strings(line).flat_map(identifiers) {
            // The facade's name is the public interface, which the macro writes and every part may speak of; xtask is a
            // command that documents tell people to run, and no library.
            let is_everybodys = ["bucketdb", "xtask"].contains(&word);
            let known = !is_everybodys && LAYERS.iter().any(|layer| word == layer.package.replace('-', "_"));
            let may_name = layer.may_use.iter().chain([&layer.package]).any(|own| word == own.replace('-', "_"));
            if known && !may_name {
                violations.push(layer.rule.broken(place(), format!("{} must not name {word}", layer.package)));
            }
            let is_code = !line.trim_start().starts_with("//");
            if layer.package == "bucketdb-log" && is_code && is_document_type(word) {
                violations.push(LOG_TYPES.broken(place(), format!("the log has a type {word}")));
            }
        }
    }
    violations
}

/// The pieces of the line between its strings; a string of several lines counts as code from its second line on.
fn outside_strings(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').step_by(2)
}

fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

/// Whether the name of a type has the word Document or Table in it, as in `TableId` but not in `Immutable`.
fn is_document_type(word: &str) -> bool {
    ["Document", "Table"].iter().any(|noun| {
        word.match_indices(noun).any(|(at, _)| {
            let rest = word.get(at + noun.len()..).unwrap_or_default();
            let rest = rest.strip_prefix('s').unwrap_or(rest);
            !rest.starts_with(|letter: char| letter.is_lowercase())
        })
    })
}
