//! The architecture as a test: who may import whom, and what no file may hold.
//!
//! Reads `src/**/*.rs` as text, after blanking comments, strings and test items. The checkers are plain functions from text
//! to faults, and are themselves shown to fail on bad snippets at the end of this file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of `src/`, from the ground up. Folders on one line don't see each other.
const FLOORS: &[&[&str]] = &[
    &["model"],
    &["wire", "config"],
    &["telemetry"],
    &["net"],
    &["elastic", "session", "authority"],
    &["gate"],
    &["forwarding"],
    &["proxy", "sso", "admin"],
    &["app"],
    &["cli"],
];

/// The one file that reads the clock.
const CLOCK: &str = "model/clock.rs";

/// The longest a file may be.
const MAX_LINES: usize = 500;

/// Data tables, which may be longer: each with its reason.
const LONG_TABLES: &[(&str, &str)] = &[];

/// Names that say nothing about what is inside.
const DRAWERS: &[&str] = &["utils", "util", "common", "helpers", "manager", "misc"];

/// The one module that speaks to a C library.
const UNSAFE: &str = "authority/realm/kerberos/gss.rs";

/// What no file may say outside its tests, and what to do instead.
const BANNED: &[(&str, &str)] = &[
    (
        ".unwrap()",
        "return an error, or expect() with the invariant",
    ),
    (".unwrap_err()", "return an error"),
    ("panic!(", "return an error"),
    ("todo!(", "finish it"),
    ("unimplemented!(", "finish it"),
    ("unreachable!(", "make the state impossible"),
    ("dbg!(", "remove it"),
    (
        "unsafe {",
        "only the module that speaks to the system's Kerberos library has unsafe code",
    ),
    ("#[allow(", "#[expect(lint, reason = ..)]"),
];

#[test]
fn every_import_goes_down() {
    report(&all_sources(), import_faults);
}

#[test]
fn no_file_panics_on_purpose() {
    report(&all_sources(), |source, _| banned_faults(source));
}

#[test]
fn only_the_clock_reads_the_clock() {
    report(&all_sources(), |source, _| clock_faults(source));
}

#[test]
fn no_file_is_long_and_none_is_a_drawer() {
    report(&all_sources(), |source, _| shape_faults(source));
}

#[test]
fn every_folder_stands_on_a_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(root).expect("src is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = name == "lib.rs" || name == "main.rs" || floor_of(&name).is_some();
        assert!(
            known,
            "src/{name} stands on no floor: add it to FLOORS, or move it"
        );
    }
}

/// One file of the crate.
struct Source {
    /// Path below `src/`, with `/`.
    path: String,
    /// As written.
    text: String,
    /// With comments, strings and test items blanked; line breaks kept.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code = blank_tests(&blank_prose(text));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    /// The module this file is: `gate/cache.rs` → `[gate, cache]`, `gate/mod.rs` → `[gate]`, `lib.rs` → `[]`.
    fn module(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.path.trim_end_matches(".rs").split('/').collect();
        if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
            parts.pop();
        }
        parts
    }

    /// The folder on a floor that this file belongs to, if any.
    fn folder(&self) -> Option<&str> {
        self.path.split_once('/').map(|(folder, _)| folder)
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
            || self.path.contains("/tests/")
    }
}

fn all_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    files
        .iter()
        .map(|file| {
            let path = file
                .strip_prefix(&root)
                .expect("below src")
                .to_string_lossy()
                .into_owned();
            Source::new(&path, &fs::read_to_string(file).expect("readable source"))
        })
        .collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    into.sort();
}

fn report(sources: &[Source], check: impl Fn(&Source, &BTreeSet<String>) -> Vec<String>) {
    let modules = module_set(sources);
    let only_for_tests = test_modules(sources);
    let faults: Vec<String> = sources
        .iter()
        .filter(|source| !source.is_test() && !only_for_tests.contains(&source.module().join("::")))
        .flat_map(|source| {
            check(source, &modules)
                .into_iter()
                .map(move |fault| format!("src/{}: {fault}", source.path))
        })
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Every module of the crate, as `a::b`.
fn module_set(sources: &[Source]) -> BTreeSet<String> {
    sources
        .iter()
        .map(|source| source.module().join("::"))
        .collect()
}

/// Modules declared by `#[cfg(test)] mod name;`, as `a::b`.
fn test_modules(sources: &[Source]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources {
        let prose_free = blank_prose(&source.text);
        for (_, item) in prose_free
            .match_indices("#[cfg(test)]")
            .map(|(at, mark)| prose_free[at..].split_at(mark.len()))
        {
            let declaration = item.split(['{', ';']).next().unwrap_or_default();
            let is_file = item[declaration.len()..].starts_with(';');
            if let (true, Some((_, name))) = (is_file, declaration.split_once("mod ")) {
                let mut path = source.module();
                path.push(name.trim());
                found.insert(path.join("::"));
            }
        }
    }
    found
}

fn floor_of(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&folder))
}

// === checks ===

/// Imports that go up or sideways, and children that reach for their roof.
fn import_faults(source: &Source, modules: &BTreeSet<String>) -> Vec<String> {
    let Some(own) = source.folder() else {
        return Vec::new(); // lib.rs and main.rs stand above all floors
    };
    let Some(own_floor) = floor_of(own) else {
        return vec![format!("folder {own} stands on no floor")];
    };
    let mut faults = Vec::new();
    for (line, path) in crate_paths(source) {
        let shown = path.join("::");
        let Some(target) = path.first().filter(|first| floor_of(first).is_some()) else {
            faults.push(format!(
                "{line}: crate::{shown}: the crate root holds folders only"
            ));
            continue;
        };
        if target != own && floor_of(target) >= Some(own_floor) {
            faults.push(format!(
                "{line}: crate::{shown}: {own} may not see {target}"
            ));
        }
        if let Some(roof) = roof_reached(source, &path, modules) {
            faults.push(format!(
                "{line}: crate::{shown}: a child reaches for its roof {roof}/mod.rs"
            ));
        }
    }
    faults
}

/// The ancestor folder whose `mod.rs` the path takes something from.
fn roof_reached(source: &Source, path: &[String], modules: &BTreeSet<String>) -> Option<String> {
    let module = source.module();
    // The longest leading part of the path that is a module is where the item lives.
    let home = (1..=path.len())
        .rev()
        .find(|&n| modules.contains(&path[..n].join("::")))?;
    let is_ancestor = home < module.len()
        && path[..home]
            .iter()
            .map(String::as_str)
            .eq(module[..home].iter().copied());
    is_ancestor.then(|| path[..home].join("/"))
}

/// Every path into the crate with its line, `super::` and `use` groups resolved.
fn crate_paths(source: &Source) -> Vec<(usize, Vec<String>)> {
    let module = source.module();
    let mut found = Vec::new();
    for keyword in ["crate::", "super::"] {
        for (at, _) in source.code.match_indices(keyword) {
            let before = source.code[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || before == '_' || before == '$' {
                continue;
            }
            // `pub(in crate::x)` says who may look, not what is imported; inner links of a chain belong to its first.
            if before == ':' || source.code[..at].ends_with("pub(in ") {
                continue;
            }
            let line = source.code[..at].matches('\n').count() + 1;
            let mut rest = &source.code[at..];
            let mut base: Vec<String> = Vec::new();
            if keyword == "crate::" {
                rest = &rest["crate::".len()..];
            } else {
                let mut up = 0;
                while let Some(shorter) = rest.strip_prefix("super::") {
                    up += 1;
                    rest = shorter;
                }
                let keep = module.len().saturating_sub(up);
                base.extend(module[..keep].iter().map(|part| (*part).to_owned()));
            }
            for tail in expand(rest) {
                found.push((line, base.iter().cloned().chain(tail).collect()));
            }
        }
    }
    found
}

/// `a::{b, c::d}` → `[a b] [a c d]`; stops at whatever can't belong to a path.
fn expand(text: &str) -> Vec<Vec<String>> {
    let mut base = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        if end > 0 && &rest[..end] != "self" {
            base.push(rest[..end].to_owned());
        }
        rest = rest[end..].trim_start();
        if end == 0 {
            if let Some(group) = rest.strip_prefix('{') {
                return split_group(group)
                    .into_iter()
                    .flat_map(expand)
                    .map(|tail| base.iter().cloned().chain(tail).collect())
                    .collect();
            }
            if rest.starts_with('*') {
                base.push("*".to_owned());
            }
            return vec![base];
        }
        match rest.strip_prefix("::") {
            Some(next) => rest = next.trim_start(),
            None => return vec![base],
        }
    }
}

/// The items of a `use` group, given the text after its opening brace.
fn split_group(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&text[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

fn banned_faults(source: &Source) -> Vec<String> {
    let banned: Vec<_> = BANNED
        .iter()
        .filter(|(pattern, _)| source.path != UNSAFE || *pattern != "unsafe {")
        .copied()
        .collect();
    found_lines(source, &banned)
}

fn clock_faults(source: &Source) -> Vec<String> {
    if source.path == CLOCK {
        return Vec::new();
    }
    let instead = "take `now: Now` as an argument";
    found_lines(
        source,
        &[
            ("SystemTime::now", instead),
            ("Instant::now", instead),
            ("now_utc()", instead),
        ],
    )
}

fn found_lines(source: &Source, patterns: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in source.code.lines().enumerate() {
        for (pattern, instead) in patterns {
            let hit = line.match_indices(pattern).any(|(at, _)| {
                let before = line[..at].chars().next_back().unwrap_or(' ');
                pattern.starts_with('.')
                    || pattern.starts_with('#')
                    || !(before.is_alphanumeric() || before == '_')
            });
            if hit {
                faults.push(format!("{}: {pattern}: {instead}", number + 1));
            }
        }
    }
    faults
}

fn shape_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_LINES && !LONG_TABLES.iter().any(|(path, _)| *path == source.path) {
        faults.push(format!(
            "{lines} lines, more than {MAX_LINES}: split it along a noun"
        ));
    }
    for part in source.path.trim_end_matches(".rs").split('/') {
        if DRAWERS.contains(&part) {
            faults.push(format!("`{part}` is a drawer: name what is inside"));
        }
    }
    faults
}

// === reading Rust as text ===

/// Blanks comments and the insides of strings and characters, keeping every line break.
fn blank_prose(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = prose_end(&chars, at);
        if end > at {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment, string or character literal that starts at `at` ends; `at` itself when none starts there.
fn prose_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let before = if at == 0 { ' ' } else { chars[at - 1] };
    let starts_word = !(before.is_alphanumeric() || before == '_');
    match (chars[at], next) {
        ('/', Some('/')) => (at..chars.len())
            .find(|&i| chars[i] == '\n')
            .unwrap_or(chars.len()),
        ('/', Some('*')) => (at + 2..chars.len())
            .find(|&i| chars[i] == '/' && chars[i - 1] == '*' && i > at + 2)
            .map_or(chars.len(), |i| i + 1),
        ('r' | 'b', _) if starts_word => raw_string_end(chars, at),
        ('"', _) => quoted_end(chars, at, '"'),
        // A lifetime has no closing quote right after its first character.
        ('\'', Some('\\')) => quoted_end(chars, at, '\''),
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let mut i = at;
    while matches!(chars.get(i), Some('r' | 'b')) && i - at < 2 {
        i += 1;
    }
    let is_raw = chars[at..i].contains(&'r');
    let hashes = if is_raw {
        chars[i..].iter().take_while(|&&c| c == '#').count()
    } else {
        0
    };
    if chars.get(i + hashes) != Some(&'"') {
        return at;
    }
    if !is_raw {
        return quoted_end(chars, i, '"');
    }
    let closes = |j: usize| chars[j] == '"' && (1..=hashes).all(|k| chars.get(j + k) == Some(&'#'));
    (i + hashes + 1..chars.len())
        .find(|&j| closes(j))
        .map_or(chars.len(), |j| j + 1 + hashes)
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// Blanks every item under `#[cfg(test)]`. Expects text without prose, so that braces can be counted.
fn blank_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let end = item_end(&out[start..]) + start;
        let blank: String = out[start..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// Where the item that starts here ends: its semicolon outside brackets, or its closing brace.
fn item_end(text: &str) -> usize {
    let mut depth = 0i32;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth -= 1;
                if depth == 0 && c == '}' {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

// === the checkers are seen failing ===

fn faults_of(path: &str, text: &str) -> Vec<String> {
    let others = [
        "gate/mod.rs",
        "gate/cache.rs",
        "gate/authorize.rs",
        "net/mod.rs",
        "net/http.rs",
        "model/mod.rs",
        "model/clock.rs",
    ];
    let mut sources: Vec<Source> = others.iter().map(|other| Source::new(other, "")).collect();
    sources.push(Source::new(path, text));
    let modules = module_set(&sources);
    let source = sources.last().expect("just pushed");
    let mut faults = import_faults(source, &modules);
    faults.extend(banned_faults(source));
    faults.extend(clock_faults(source));
    faults.extend(shape_faults(source));
    faults
}

#[test]
fn an_upward_import_is_seen_in_every_spelling() {
    for bad in [
        "use crate::gate::cache::Entry;",
        "use crate::{model::clock::Now, gate::cache};",
        "use crate::{\n    model::clock,\n    gate::{cache::Entry},\n};",
        "use super::super::gate::cache::Entry;",
        "fn f(entry: &crate::gate::cache::Entry) {}",
    ] {
        let faults = faults_of("net/serve.rs", bad);
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains("net may not see gate")),
            "{bad}: {faults:?}"
        );
    }
    assert_eq!(
        faults_of("net/serve.rs", "use crate::{model::clock::Now, net::http};"),
        [""; 0]
    );
}

#[test]
fn neighbours_on_one_floor_are_refused() {
    assert!(!faults_of("elastic/client.rs", "use crate::authority::store;").is_empty());
    assert!(!faults_of("proxy/mod.rs", "use crate::admin::Admin;").is_empty());
}

#[test]
fn a_child_that_reaches_for_its_roof_is_seen() {
    for bad in [
        "use super::Gate;",
        "use super::*;",
        "use crate::gate::Gate;",
        "use super::{cache::Entry, Verdict};",
    ] {
        let faults = faults_of("gate/decide.rs", bad);
        assert!(
            faults.iter().any(|fault| fault.contains("roof")),
            "{bad}: {faults:?}"
        );
    }
    assert_eq!(
        faults_of(
            "gate/decide.rs",
            "use super::cache::Entry;\nuse crate::net::http::Head;"
        ),
        [""; 0]
    );
    assert_eq!(
        faults_of(
            "gate/mod.rs",
            "use authorize::Permit;\nuse crate::gate::cache::Entry;"
        ),
        [""; 0]
    );
}

#[test]
fn a_panic_is_seen_outside_tests_only() {
    for bad in [
        "fn f() { x.unwrap(); }",
        "fn f() { panic!(\"no\"); }",
        "fn f() { todo!() }",
        "#[allow(dead_code)]\nfn f() {}",
    ] {
        assert!(!faults_of("net/serve.rs", bad).is_empty(), "{bad}");
    }
    for good in [
        "// x.unwrap() would be wrong\n/* panic!() */ fn f() -> &'static str { \"todo!()\" }",
        "#[cfg(test)]\nmod tests { fn f() { x.unwrap(); panic!(\"}\") } }",
        "#[cfg(test)]\nmod tests;\nfn f() {}",
        "fn f() { let s = r#\"x.unwrap() \" panic!(\"#; let c = '\"'; x.unwrap_or_default() }",
        "fn f<'a>(x: &'a str) { core_panic!(x) }",
    ] {
        assert_eq!(faults_of("net/serve.rs", good), [""; 0], "{good}");
    }
    let after = "#[cfg(test)]\nmod tests { fn f() {} }\nfn g() { x.unwrap() }";
    assert_eq!(
        faults_of("net/serve.rs", after).len(),
        1,
        "code after the tests still counts"
    );
}

#[test]
fn files_declared_for_tests_alone_are_left_alone() {
    let roof = "#[cfg(test)]\npub(crate) mod fixture;\nmod real;\n#[cfg(test)]\nmod inline { mod deeper; }";
    let found = test_modules(&[Source::new("gate/mod.rs", roof)]);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["gate::fixture"]);
}

#[test]
fn the_wall_clock_is_seen_outside_the_clock() {
    assert_eq!(
        faults_of("net/serve.rs", "fn f() { std::time::Instant::now(); }").len(),
        1
    );
    assert_eq!(
        faults_of(
            "model/clock.rs",
            "fn f() { Instant::now(); SystemTime::now(); }"
        ),
        [""; 0]
    );
}

#[test]
fn long_files_and_drawers_are_seen() {
    assert_eq!(
        faults_of("net/serve.rs", &"\n".repeat(MAX_LINES + 1)).len(),
        1
    );
    assert_eq!(faults_of("net/utils.rs", "").len(), 1);
    assert_eq!(faults_of("net/helpers/x.rs", "").len(), 1);
}
