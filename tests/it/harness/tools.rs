//! Programs that tests borrow from the machine. Missing ones are told loudly, and are a failure where `CI` is set.

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Finds a program on the path; `None` after saying that the test is skipped. Panics when `CI` is set.
pub(crate) fn find(program: &str, needed_for: &str) -> Option<PathBuf> {
    let found = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .map(|folder| folder.join(program))
            .find(|file| file.is_file())
    });
    found.or_else(|| skip(&format!("{program} is missing"), needed_for))
}

/// A Python that has the official Elasticsearch client.
pub(crate) fn python_with_elasticsearch() -> Option<PathBuf> {
    python_with("elasticsearch")
}

/// A Python that has this package: the one `tests/setup` made, else the system's if it has it.
pub(crate) fn python_with(package: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let candidates = [
        env::var_os("SIDEGATE_TEST_PYTHON").map(PathBuf::from),
        Some(root.join("target/test-venv/bin/python")),
        Some(PathBuf::from("python3")),
    ];
    let has_it = |python: &PathBuf| {
        Command::new(python)
            .args(["-c", &format!("import {package}")])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    candidates.into_iter().flatten().find(has_it).or_else(|| {
        skip(
            &format!("no Python with the package `{package}`"),
            "clients in Python",
        )
    })
}

/// A Python with Elastic's client of this major version, sync and async, that `tests/setup` made.
pub(crate) fn python_with_client(major: u32) -> Option<PathBuf> {
    let python = target(&format!("test-venv-{major}/bin/python"));
    let code = format!("import aiohttp, elasticsearch as e; assert e.__version__[0] == {major}");
    let ended = Command::new(&python).args(["-c", &code]).output();
    if ended.is_ok_and(|ended| ended.status.success()) {
        return Some(python);
    }
    let what = format!("Elastic's Python client {major} is missing");
    skip(&what, "every method of it")
}

/// Node, and a folder that has Elastic's client of this major version, which `tests/setup` made.
pub(crate) fn node_with_client(major: u32) -> Option<(PathBuf, PathBuf)> {
    let needed_for = "every method of Elastic's JavaScript client";
    let folder = format!("test-node-{major}");
    node_with(&folder, "@elastic/elasticsearch", needed_for)
}

/// Node, and the folder below `target` in which `tests/setup` installed a package.
pub(crate) fn node_with(
    folder: &str,
    package: &str,
    needed_for: &str,
) -> Option<(PathBuf, PathBuf)> {
    let node = find("node", needed_for)?;
    let folder = target(folder);
    if folder.join("node_modules").join(package).is_dir() {
        return Some((node, folder));
    }
    let what = format!("the Node package {package} is missing");
    skip(&what, needed_for).map(|node| (node, folder))
}

/// Where `tests/setup` put something.
fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target")
        .join(name)
}

/// Says that something is missing and a test therefore skipped; panics when `CI` is set. Always `None`.
pub(crate) fn skip(what: &str, needed_for: &str) -> Option<PathBuf> {
    assert!(
        env::var_os("CI").is_none(),
        "{what}, needed for {needed_for}: run tests/setup"
    );
    // Not eprintln!, which the test runner swallows when the test passes.
    let _ = writeln!(
        io::stderr(),
        "SKIPPED: {what}, needed for {needed_for}: run tests/setup"
    );
    None
}
