//! Each rule is fed made-up sources that break it: a rule that cannot fail holds nothing.

use super::layers::Package;
use super::repository::{Repository, SourceFile};
use crate::workspace;

/// A repository that keeps every rule.
fn sound() -> Repository {
    let mut repository = Repository::default();
    let edges: [(&str, &[&str]); 12] = [
        ("bucketdb-env", &["tokio"]),
        ("bucketdb-driver", &["bucketdb-env"]),
        ("bucketdb-object-store", &["bucketdb-driver", "object_store"]),
        ("bucketdb-redis", &["bucketdb-driver", "redis"]),
        ("bucketdb-log", &["bucketdb-driver", "bucketdb-env"]),
        ("bucketdb-documents", &["bucketdb-log"]),
        ("bucketdb-query", &["serde_json"]),
        ("bucketdb-derive", &["syn"]),
        ("bucketdb", &["bucketdb-log", "bucketdb-redis", "bucketdb-derive"]),
        ("bucketdb-cli", &["bucketdb", "clap", "indicatif"]),
        ("bucketdb-system-tests", &["bucketdb"]),
        ("xtask", &["clap"]),
    ];
    for (name, dependencies) in edges {
        let dependencies = dependencies.iter().map(ToString::to_string).collect();
        repository.packages.push(Package { name: name.to_owned(), dependencies });
    }
    let readme = "```sh\ncargo run --release -- demo\ncargo xtask test\n```\n```rust\nfn main() {}\n```\n";
    put(&mut repository, "README.md", readme);
    let facade = "//! Docs.\nmod a;\npub use a::A;\n#[doc = include_str!(\"../../../README.md\")]\n#[cfg(doctest)]\npub struct Readme;\n";
    put(&mut repository, "crates/bucketdb/src/lib.rs", facade);
    repository
}

fn put(repository: &mut Repository, path: &str, text: &str) {
    repository.files.retain(|file| file.path != path);
    repository.paths.push(path.to_owned());
    repository.files.push(SourceFile { path: path.to_owned(), text: text.to_owned() });
}

/// The problems of a sound repository in which one file is as given.
fn problems_with(path: &str, text: &str) -> Vec<String> {
    let mut repository = sound();
    put(&mut repository, path, text);
    repository.violations().iter().map(|violation| format!("{}: {}", violation.place, violation.problem)).collect()
}

/// The problems of a sound repository with one more dependency.
fn problems_with_arrow(package: &str, dependency: &str) -> Vec<String> {
    let mut repository = sound();
    match repository.packages.iter_mut().find(|one| one.name == package) {
        Some(package) => package.dependencies.push(dependency.to_owned()),
        None => {
            repository.packages.push(Package { name: package.to_owned(), dependencies: vec![dependency.to_owned()] })
        }
    }
    repository.violations().iter().map(|violation| violation.problem.clone()).collect()
}

#[track_caller]
fn assert_broken(problems: &[String], expected: &str) {
    assert!(matches!(problems, [one] if one.contains(expected)), "expected {expected:?} alone, found {problems:#?}");
}

#[test]
fn this_repository_keeps_its_rules() {
    let violations = Repository::load(&workspace::root()).unwrap().violations();
    let report: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(report.is_empty(), "\n{}\n", report.join("\n"));
}

#[test]
fn a_sound_repository_breaks_no_rule() {
    assert_eq!(sound().violations(), []);
}

#[test]
fn a_message_says_the_rule_and_the_reason() {
    let mut repository = sound();
    put(&mut repository, "crates/documents/src/row.rs", "use bucketdb_driver::Key;\n");
    let message = repository.violations().first().unwrap().to_string();
    for part in ["crates/documents/src/row.rs:1", "rule:", "never a driver", "reason:", "whatever store"] {
        assert!(message.contains(part), "{part:?} is missing in {message}");
    }
}

#[test]
fn arrows_never_point_up_or_sideways() {
    for (package, dependency) in [
        ("bucketdb-env", "bucketdb-driver"),
        ("bucketdb-driver", "bucketdb-log"),
        ("bucketdb-object-store", "bucketdb-redis"),
        ("bucketdb-object-store", "bucketdb-log"),
        ("bucketdb-redis", "bucketdb"),
        ("bucketdb-log", "bucketdb-documents"),
        ("bucketdb-documents", "bucketdb-driver"),
        ("bucketdb-query", "bucketdb-log"),
        ("bucketdb-query", "bucketdb-documents"),
        ("bucketdb-derive", "bucketdb-env"),
        ("bucketdb", "bucketdb-cli"),
        ("bucketdb-cli", "bucketdb-log"),
        ("bucketdb-system-tests", "bucketdb-driver"),
        ("bucketdb-system-tests", "bucketdb-cli"),
        ("bucketdb-sim", "bucketdb-log"),
        ("xtask", "bucketdb"),
    ] {
        assert_broken(&problems_with_arrow(package, dependency), &format!("{package} must not depend on {dependency}"));
    }
}

#[test]
fn a_package_without_a_place_is_found() {
    assert_broken(&problems_with_arrow("bucketdb-server", "bucketdb"), "no place among the layers");
}

#[test]
fn confined_libraries_stay_where_they_are() {
    for (package, dependency) in [
        ("bucketdb-log", "object_store"),
        ("bucketdb", "redis"),
        ("bucketdb-system-tests", "redis"),
        ("bucketdb-query", "clap"),
        ("bucketdb", "indicatif"),
    ] {
        assert_broken(&problems_with_arrow(package, dependency), &format!("{package} must not depend on {dependency}"));
    }
}

#[test]
fn sources_name_no_part_that_they_must_not_know() {
    assert_broken(
        &problems_with("crates/log/src/a.rs", "use bucketdb_documents::Row;"),
        "must not name bucketdb_documents",
    );
    assert_broken(
        &problems_with("crates/documents/tests/a.rs", "use bucketdb_driver::Key;"),
        "must not name bucketdb_driver",
    );
    assert_broken(&problems_with("crates/driver/src/a.rs", "/// See [`bucketdb_log`]."), "must not name bucketdb_log");
    assert_broken(&problems_with("crates/cli/src/a.rs", "use bucketdb_log::Seq;"), "must not name bucketdb_log");
    assert_eq!(
        problems_with("crates/log/src/a.rs", "use bucketdb_driver::Key; use bucketdb_env::Environment;"),
        [""; 0]
    );
    assert_eq!(problems_with("crates/derive/src/a.rs", "quote!(::bucketdb::Document)"), [""; 0]);
    assert_eq!(problems_with("crates/cli/src/a.rs", "let bucketdb_logs = 1;"), [""; 0]);
    assert_eq!(problems_with("crates/cli/src/a.rs", r#"filter("bucketdb_log=debug")"#), [""; 0]);
    assert_broken(
        &problems_with("crates/cli/src/a.rs", r#"f("a", bucketdb_log::B, "c")"#),
        "must not name bucketdb_log",
    );
    assert_eq!(problems_with("crates/redis/tests/a.rs", "//! Run by `cargo xtask test`."), [""; 0]);
}

#[test]
fn the_log_has_no_types_of_documents() {
    for name in ["TableId", "Document", "DropTables", "OldDocument"] {
        assert_broken(&problems_with("crates/log/src/a.rs", &format!("struct {name};")), &format!("type {name}"));
    }
    for harmless in ["struct Immutable;", "// a Document is one layer up", "let table = 1;", "struct Tableau;"] {
        assert_eq!(problems_with("crates/log/src/a.rs", harmless), [""; 0]);
    }
}

#[test]
fn front_pages_hold_no_logic() {
    for (code, found) in [
        ("pub fn open() {}", "fn open"),
        ("impl A {}", "an impl"),
        ("struct A;", "struct A"),
        ("#[cfg(test)] struct A;", "struct A"),
        ("const A: u8 = 1;", "const A"),
        ("mod a { }", "the contents of mod a"),
        ("#[cfg(doctest)] mod a { fn b() {} }", "the contents of mod a"),
        ("macro_rules! a { () => {} }", "a macro"),
        ("fn (", "cannot be read as Rust"),
    ] {
        assert_broken(&problems_with("crates/log/src/lib.rs", code), found);
        assert_broken(&problems_with("crates/log/src/a/mod.rs", code), found);
        assert_eq!(problems_with("crates/log/src/a.rs", code), [""; 0]);
        assert_eq!(problems_with("crates/log/tests/support/mod.rs", code), [""; 0]);
    }
    let entry = "//! Docs.\n#![warn(missing_docs)]\nmod a;\n#[proc_macro_derive(Document)]\npub fn derive() {}\n";
    assert_eq!(problems_with("crates/derive/src/lib.rs", entry), [""; 0]);
    assert_eq!(problems_with("crates/log/src/lib.rs", "#[cfg(doctest)]\nmod readme {}"), [""; 0]);
}

#[test]
fn files_stay_short() {
    let code = "// code\n".repeat(801);
    assert_broken(&problems_with("crates/log/src/a.rs", &code), "it has 801 lines");
    assert_eq!(problems_with("crates/log/src/a/tests.rs", &code), [""; 0]);
    assert_eq!(problems_with("crates/log/tests/a.rs", &code), [""; 0]);
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{code}}}\n", "// code\n".repeat(800));
    assert_eq!(problems_with("crates/log/src/a.rs", &tested), [""; 0]);
}

#[test]
fn lints_are_expected_not_allowed() {
    let allowance = concat!("#[", "allow(dead_code)]");
    assert_broken(&problems_with("crates/log/src/a.rs", allowance), "allow(dead_code)");
    assert_broken(&problems_with("crates/log/src/a.rs", &allowance.replace("#[", "#![")), "allow(dead_code)");
    assert_broken(&problems_with("crates/derive/tests/a.rs", allowance), "allow(dead_code)");
    assert_eq!(problems_with("crates/derive/src/a.rs", allowance), [""; 0]);
    assert_eq!(problems_with("crates/log/src/a.rs", "#[expect(dead_code, reason = \"x\")]"), [""; 0]);
}

#[test]
fn nothing_is_left_for_later() {
    for note in [concat!("TO", "DO"), concat!("FIX", "ME")] {
        assert_broken(&problems_with("crates/log/src/a.rs", &format!("// {note}: later")), note);
        assert_broken(&problems_with("docs/a.md", &format!("{note} later")), note);
        assert_eq!(problems_with("docs/a.md", &format!("MAS{note}N")), [""; 0]);
    }
}

#[test]
fn no_machine_is_named_by_its_paths() {
    for folder in [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/")] {
        assert_broken(&problems_with("docs/a.md", &format!("see {folder}x")), folder);
        assert_broken(&problems_with("crates/log/src/a.rs", &format!("\"{folder}x\"")), folder);
        assert_eq!(problems_with("docs/a.md", &format!("see some{folder}x")), [""; 0]);
    }
}

#[test]
fn links_lead_somewhere() {
    assert_broken(&problems_with("docs/a.md", "see [it](b.md)"), "the link to b.md leads nowhere");
    assert_broken(&problems_with("docs/a.md", "see [it](../../x)"), "the link to ../../x leads nowhere");
    assert_broken(&problems_with("docs/a.md", "[it]: b.md#part"), "the link to b.md#part leads nowhere");
    for fine in [
        "[a](../README.md) [b](a.md#part \"title\") [c](#here) [d](https://example.com/x) [e](..) [f](../crates/bucketdb)",
        "```rust\nmap[key](argument)\n```",
        "so `map[key](argument)` is code",
    ] {
        assert_eq!(problems_with("docs/a.md", fine), [""; 0]);
    }
}

#[test]
fn the_readme_keeps_its_promises() {
    let good = sound().file("README.md").unwrap().text.clone();
    assert_broken(&problems_with("README.md", &good.replace("cargo xtask test\n", "")), "cargo xtask test");
    assert_broken(&problems_with("README.md", &good.replace("-- demo", "-- show")), "cargo run --release -- demo");
    let in_a_table = good.replace("cargo xtask test\n", "") + "| `cargo xtask test` | tests |\n";
    assert_eq!(problems_with("README.md", &in_a_table), [""; 0]);
    assert_broken(&problems_with("README.md", &in_a_table.replace("xtask test`", "xtask tests`")), "cargo xtask test");
    assert_broken(&problems_with("README.md", &good.replace("```rust", "```rust,ignore")), "nobody compiles it");
    assert_broken(&problems_with("README.md", &good.replace("```rust", "```")), "no Rust example");
    assert_broken(&problems_with("crates/bucketdb/src/lib.rs", "mod a;"), "does not include README.md");

    let mut bare = sound();
    bare.files.retain(|file| file.path != "README.md");
    let problems: Vec<String> = bare.violations().iter().map(|violation| violation.problem.clone()).collect();
    assert_broken(&problems, "there is none");
}
