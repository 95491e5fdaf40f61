//! Libraries never go back behind what they were mended of.
//!
//! `cargo deny` checks licences, bans and sources in CI, but the advisories themselves can't be had offline. So the ones that
//! matter to a proxy stand here: whoever lowers a version below the one that has the cure, breaks this test.

use std::fs;
use std::path::Path;

/// Name of a crate, its first good version, and why.
const FLOORS: [(&str, [u64; 3], &str); 12] = [
    (
        "hyper",
        [1, 11, 0],
        "hyper #4123: a length was kept beside chunks; RUSTSEC-2021-0078, -0079",
    ),
    (
        "h2",
        [0, 4, 16],
        "RUSTSEC-2026-0258, RUSTSEC-2024-0332, RUSTSEC-2024-0003: floods",
    ),
    (
        "rustls",
        [0, 23, 18],
        "RUSTSEC-2024-0399, RUSTSEC-2024-0336: a panic and an endless loop",
    ),
    (
        "rustls-webpki",
        [0, 103, 13],
        "RUSTSEC-2026-0049, -0098, -0099, -0104: lists of the revoked, name constraints",
    ),
    (
        "moka",
        [0, 12, 14],
        "use after free with an expiry, and a race of computations",
    ),
    ("bcrypt", [0, 19, 2], "RUSTSEC-2026-0199: a panic"),
    (
        "tokio",
        [1, 44, 2],
        "RUSTSEC-2025-0023: a broadcast clones without a lock",
    ),
    (
        "bytes",
        [1, 11, 1],
        "RUSTSEC-2026-0007: an overflow in reserve",
    ),
    (
        "time",
        [0, 3, 47],
        "RUSTSEC-2026-0009: a stack exhausted by a date",
    ),
    (
        "tracing-subscriber",
        [0, 3, 20],
        "RUSTSEC-2025-0055: escape sequences in logs",
    ),
    (
        "crossbeam-channel",
        [0, 5, 15],
        "RUSTSEC-2025-0024: a double free",
    ),
    (
        "idna",
        [1, 0, 0],
        "RUSTSEC-2024-0421: names that are not what they seem",
    ),
];

/// Every name and version in `Cargo.lock`.
fn locked() -> Vec<(String, [u64; 3])> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap();
    let value = |line: &str, key: &str| {
        let rest = line.strip_prefix(key)?;
        Some(rest.trim_end_matches('"').to_owned())
    };
    let mut packages = Vec::new();
    let mut name = String::new();
    for line in lock.lines() {
        if let Some(found) = value(line, "name = \"") {
            name = found;
        } else if let Some(version) = value(line, "version = \"") {
            let bare = version.split(['-', '+']).next().unwrap_or_default();
            let mut numbers = bare.split('.').map(|part| part.parse().unwrap());
            let version = [0; 3].map(|_: u64| numbers.next().unwrap());
            packages.push((name.clone(), version));
        }
    }
    packages
}

#[test]
fn no_dependency_is_older_than_the_cure_for_what_it_had() {
    let locked = locked();
    assert!(locked.len() > 100, "{} packages", locked.len());
    for (name, floor, why) in FLOORS {
        let mut versions = locked.iter().filter(|(known, _)| known == name).peekable();
        assert!(
            versions.peek().is_some(),
            "{name} is not in Cargo.lock: take its floor away"
        );
        for (_, version) in versions {
            assert!(
                *version >= floor,
                "{name} {version:?} is below {floor:?}: {why}"
            );
        }
    }
}
