//! Everything that can be said about the code without running it.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::Tool;
use crate::{interrupt, report, rules, workspace};

const DEADLINE: Duration = Duration::from_secs(45 * 60);

/// Runs every check, even after one has failed, and names those that did.
pub(crate) fn check() -> Result<()> {
    let cargo = workspace::cargo;
    let everything = ["--workspace", "--all-features"];
    let fuzz_targets = ["--manifest-path", "fuzz/Cargo.toml", "--locked"];
    let checks: [(&str, Tool); 4] = [
        ("format", cargo().args(["fmt", "--all", "--check"])),
        ("lints", cargo().arg("clippy").args(everything).args(["--all-targets", "--quiet", "--", "-D", "warnings"])),
        (
            "documentation",
            cargo().arg("doc").args(everything).args(["--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"),
        ),
        // A workspace of its own, which nothing else builds. Nothing is linked: any file does for the fuzzer itself, which would
        // take two minutes of C++.
        (
            "fuzz targets",
            cargo()
                .arg("clippy")
                .args(fuzz_targets)
                .args(["--quiet", "--", "-D", "warnings"])
                .env("CARGO_TARGET_DIR", workspace::target())
                .env("CUSTOM_LIBFUZZER_PATH", workspace::root().join("fuzz/Cargo.toml")),
        ),
    ];
    let mut failed = Vec::new();
    for (name, tool) in checks {
        if report::step(name, "checked", || succeed(&tool)).is_err() {
            interrupt::check()?;
            failed.push(name);
        }
    }
    if report::step("rules", "checked", rules_hold).is_err() {
        failed.push("rules");
    }
    if failed.is_empty() {
        report::line("check", "all is well");
        return Ok(());
    }
    bail!("these checks failed: {}", failed.join(", "));
}

fn succeed(tool: &Tool) -> Result<()> {
    let status = tool.run_in_view(DEADLINE)?;
    if status.success() { Ok(()) } else { bail!("it failed: {status}") }
}

fn rules_hold() -> Result<()> {
    let violations = rules::violations(&workspace::root())?;
    for violation in &violations {
        report::line("rules", violation.to_string());
    }
    if violations.is_empty() { Ok(()) } else { bail!("{} rules are broken", violations.len()) }
}
