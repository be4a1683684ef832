//! How Rust files must look.

use syn::{Attribute, Item};

use crate::rules::repository::SourceFile;
use crate::rules::violation::{Rule, Violation};

const LONGEST_FILE_LINES: usize = 800;

const FRONT_PAGE: Rule = Rule {
    rule: "lib.rs and mod.rs hold documentation, modules and chosen re-exports only",
    reason: "they are a crate's front page: who looks for logic looks in a file named after its noun",
};

const LENGTH: Rule = Rule {
    rule: "no file is longer than 800 lines, tests not counted",
    reason: "a file holds one noun: one that needs more is two",
};

const ATTRIBUTE: Rule = Rule {
    rule: "a lint is expected with a reason, #[expect(lint, reason = \"...\")], never allowed",
    reason: "an expectation that is no longer met is reported, an allowance stays for ever",
};

/// Rules for one Rust file.
pub(super) fn file(file: &SourceFile) -> Vec<Violation> {
    if !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let mut violations = allowances(file);
    if let Some(lines) = Some(lines_without_tests(file)).filter(|lines| *lines > LONGEST_FILE_LINES) {
        violations.push(LENGTH.broken(&file.path, format!("it has {lines} lines")));
    }
    // What test programs share stands in a mod.rs because cargo would take any other file for a test program.
    let is_front_page = file.path.ends_with("/lib.rs") || file.path.ends_with("/mod.rs");
    if is_front_page && !file.path.contains("/tests/") {
        violations.extend(front_page(file));
    }
    violations
}

/// What a macro writes is compiled in its user's crate, where an expectation would be a warning whenever it is not met.
/// The macro's own code is held to the rule by clippy.
const WRITES_CODE_FOR_USERS: &str = "crates/derive/src/";

/// Written in two pieces, so that this file does not break its own rule.
fn allowances(file: &SourceFile) -> Vec<Violation> {
    let forms = [concat!("#[", "allow("), concat!("#![", "allow(")];
    if file.path.starts_with(WRITES_CODE_FOR_USERS) {
        return Vec::new();
    }
    let is_one = |line: &str| forms.iter().any(|form| line.contains(form));
    let lines = (1..).zip(file.text.lines()).filter(|(_, line)| is_one(line));
    lines.map(|(number, line)| ATTRIBUTE.broken(format!("{}:{number}", file.path), line.trim())).collect()
}

fn lines_without_tests(file: &SourceFile) -> usize {
    let is_tests = file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
    let lines: Vec<&str> = file.text.lines().collect();
    let is_test_module = |pair: &[&str]| matches!(pair, ["#[cfg(test)]", module] if module.starts_with("mod tests {"));
    let tests = lines.windows(2).position(is_test_module);
    if is_tests { 0 } else { tests.unwrap_or(lines.len()) }
}

fn front_page(file: &SourceFile) -> Vec<Violation> {
    let parsed = match syn::parse_file(&file.text) {
        Ok(parsed) => parsed,
        Err(error) => return vec![FRONT_PAGE.broken(&file.path, format!("it cannot be read as Rust: {error}"))],
    };
    let strangers = parsed.items.iter().filter(|item| !belongs_on_front_page(item));
    strangers.map(|item| FRONT_PAGE.broken(&file.path, format!("it holds {}", describe(item)))).collect()
}

fn belongs_on_front_page(item: &Item) -> bool {
    match item {
        Item::Use(_) | Item::ExternCrate(_) => true,
        Item::Mod(module) => match &module.content {
            None => true,
            Some((_, items)) => items.is_empty() && module.attrs.iter().any(is_for_doctests),
        },
        // The compiler wants the entry points of a macro crate there.
        Item::Fn(function) => function.attrs.iter().any(is_macro_entry),
        // Documents whose examples are compiled hang on an item that exists for that only.
        Item::Struct(item) => item.attrs.iter().any(is_for_doctests),
        _ => false,
    }
}

fn is_macro_entry(attribute: &Attribute) -> bool {
    let path = attribute.path();
    ["proc_macro", "proc_macro_derive", "proc_macro_attribute"].iter().any(|name| path.is_ident(name))
}

fn is_for_doctests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("doctest"))
}

fn describe(item: &Item) -> String {
    match item {
        Item::Fn(function) => format!("fn {}", function.sig.ident),
        Item::Impl(_) => "an impl".to_owned(),
        Item::Struct(item) => format!("struct {}", item.ident),
        Item::Enum(item) => format!("enum {}", item.ident),
        Item::Trait(item) => format!("trait {}", item.ident),
        Item::Type(item) => format!("type {}", item.ident),
        Item::Const(item) => format!("const {}", item.ident),
        Item::Static(item) => format!("static {}", item.ident),
        Item::Mod(module) => format!("the contents of mod {}", module.ident),
        Item::Macro(_) => "a macro".to_owned(),
        _ => "something else than modules and re-exports".to_owned(),
    }
}
