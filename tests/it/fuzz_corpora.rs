//! What the fuzz targets were given to begin with, and everything they ever found, through the same functions.
//!
//! A new target needs a check in `tests/fuzz/checks`, a binary in `tests/fuzz/fuzz_targets`, a folder in `tests/fuzz/corpus`, and
//! a line here.

use std::fs;
use std::path::Path;

/// One test for each target: every file of its folder is put through its check.
macro_rules! targets {
    ($($name:ident at $path:literal),+ $(,)?) => {
        $(
            #[path = $path]
            mod $name;
        )+

        const TARGETS: &[&str] = &[$(stringify!($name)),+];

        mod replayed {
            $(
                #[test]
                fn $name() {
                    super::replay(stringify!($name), super::$name::check);
                }
            )+
        }
    };
}

targets! {
    authority at "../fuzz/checks/authority.rs",
    certificate_header at "../fuzz/checks/certificate_header.rs",
    config at "../fuzz/checks/config.rs",
    cookies at "../fuzz/checks/cookies.rs",
    credential at "../fuzz/checks/credential.rs",
    filter_path at "../fuzz/checks/filter_path.rs",
    front at "../fuzz/checks/front.rs",
    jwt at "../fuzz/checks/jwt.rs",
    path at "../fuzz/checks/path.rs",
    pattern at "../fuzz/checks/pattern.rs",
    privileges at "../fuzz/checks/privileges.rs",
    proxy_protocol at "../fuzz/checks/proxy_protocol.rs",
    query at "../fuzz/checks/query.rs",
    saml at "../fuzz/checks/saml.rs",
    template at "../fuzz/checks/template.rs",
}

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let input = fs::read(&file).unwrap();
        if std::panic::catch_unwind(|| check(&input)).is_err() {
            panic!("{} is not as it should be", file.display());
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let mut found: Vec<String> = fs::read_dir("tests/fuzz/fuzz_targets")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    found.sort();
    assert_eq!(found, TARGETS);
}
