//! Names the commit that was built: what is checked out when it runs may be another one.

use std::process::Command;

fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).output().ok();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn main() {
    // The last change of what is measured, which rebasing changes of this benchmark does not rename.
    let commit = git(&["log", "-1", "--format=%h", "--", "../../crates"]);
    let is_changed = !git(&["status", "--porcelain", "--", "../../crates"]).is_empty();
    println!("cargo::rustc-env=ENGINE_COMMIT={commit}{}", if is_changed { " with changes" } else { "" });
    println!("cargo::rerun-if-changed=../../crates");
    println!("cargo::rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"]));
}
