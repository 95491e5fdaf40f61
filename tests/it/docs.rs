//! What README and docs show is run: every config is checked, every command executed, every named test exists.
//!
//! A fenced block says by its tag what becomes of it here:
//!
//! - `yaml config`: a whole config, given to `sidegate check`
//! - `sh dev`: commands for a running `sidegate dev`; `# 403` after one is the status it must give
//! - `sh run`: commands that run as they are, in a folder of their own
//! - `sh shown`: too heavy to run here; every line must be one of `SHOWN`
//! - `python verifier`, `js verifier`: run by `ways_out.rs`
//! - `python mover`: run by `clients.rs`
//! - `text`, `json`, `mermaid`, `promql`: not run

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::process::{Dev, end_of, run_to_end, sidegate};
use crate::harness::tools;

/// Commands that are shown but run elsewhere: by CI, or by hand.
const SHOWN: &[&str] = &[
    "tests/run --long --test it soak",
    "cargo build --release",
    "cargo run --release -- dev",
    "cargo run --release -- dev --sso",
    "cargo run --release -- dev --upstream http://127.0.0.1:3000",
    "tests/run",
    "docker build -t sidegate .",
    "docker run --rm -p 8443:8443 -v /etc/sidegate:/etc/sidegate:ro sidegate",
    "sidegate run --config sidegate.yaml",
    "kill -HUP $(pidof sidegate)",
    "sidegate authority --data /var/lib/sidegate --listen 127.0.0.1:9200",
    "RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz authority -- -max_total_time=600",
    "sidegate authority backup /backup/authority.redb --data /var/lib/sidegate",
    "sidegate authority restore /backup/authority.redb --data /var/lib/sidegate-new",
];

/// A fenced block.
struct Block {
    /// File and line, for messages.
    place: String,
    tag: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs")).expect("docs").flatten() {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "md")
        {
            pages.push(entry.path());
        }
    }
    pages.sort();
    pages
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(tag), None) => {
                    let place = format!("{}:{}", page.display(), number + 1);
                    open = Some(Block {
                        place,
                        tag: tag.trim().to_owned(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", page.display());
    }
    blocks
}

fn tagged(tag: &str) -> impl Iterator<Item = Block> {
    blocks().into_iter().filter(move |block| block.tag == tag)
}

#[test]
fn every_block_says_what_becomes_of_it() {
    let written_elsewhere = ["configuration.md", "metrics.md", "performance.md"];
    for block in blocks() {
        if written_elsewhere
            .iter()
            .any(|page| block.place.contains(page))
        {
            continue;
        }
        let known = [
            "yaml config",
            "sh dev",
            "sh run",
            "sh shown",
            "text",
            "json",
            "mermaid",
            "promql",
            "python verifier",
            "python mover",
            "js verifier",
        ];
        assert!(
            known.contains(&block.tag.as_str()),
            "{}: {:?}",
            block.place,
            block.tag
        );
    }
    for block in tagged("sh shown") {
        for line in block.text.lines() {
            let command = line.split("  #").next().unwrap_or_default().trim();
            assert!(
                command.is_empty() || SHOWN.contains(&command),
                "{}: {command}",
                block.place
            );
        }
    }
}

#[test]
fn every_config_shown_is_valid() {
    let mut count = 0;
    for block in tagged("yaml config") {
        let folder = tempfile::tempdir().unwrap();
        let path = write_config(folder.path(), &block.text);
        let mut command = sidegate();
        for name in referenced_variables(&block.text) {
            command.env(name, "a2V5OnNlY3JldA==");
        }
        let ended = end_of(command.arg("check").arg("--config").arg(path));
        assert_eq!(ended.code, 0, "{}\n{}", block.place, ended.stderr);
        count += 1;
    }
    assert!(count >= 4, "{count} configs found");
}

/// Writes a config with the files it names made and moved below the folder.
fn write_config(folder: &Path, text: &str) -> PathBuf {
    let ca = crate::harness::pki::Authority::new();
    let signed = ca.write_leaf(folder, "tls", &["localhost"]);
    let pem = fs::read_to_string(ca.write_ca(folder)).unwrap();
    for rest in text.split("/etc/sidegate/").skip(1) {
        let end = rest.find([' ', '\n', '"', ',']).unwrap_or(rest.len());
        if rest[..end].ends_with("ca.pem") {
            fs::write(folder.join(&rest[..end]), &pem).unwrap();
        }
    }
    assert!(signed.certificate.ends_with("tls.crt"));
    for other in ["client", "saml", "shop"] {
        for kind in ["crt", "key"] {
            let copy = folder.join(format!("{other}.{kind}"));
            fs::copy(folder.join(format!("tls.{kind}")), copy).unwrap();
        }
    }
    for name in ["api-key", "elastic-password"] {
        fs::write(folder.join(name), "a2V5OnNlY3JldA==\n").unwrap();
    }
    for name in ["session-key", "redis-password"] {
        fs::write(
            folder.join(name),
            "c2Vzc2lvbnMtYXJlLXNlYWxlZC1ieS10aGlzLWtleS4=\n",
        )
        .unwrap();
    }
    fs::write(folder.join("client-crl.pem"), ca.revocation_list(&[])).unwrap();
    fs::write(folder.join("jwks.json"), "{\"keys\": []}").unwrap();
    // What `config/dev.yaml` tells its reader to make.
    fs::create_dir_all(folder.join("dev")).unwrap();
    fs::copy(folder.join("tls.crt"), folder.join("dev/localhost.crt")).unwrap();
    fs::copy(folder.join("tls.key"), folder.join("dev/localhost.key")).unwrap();
    let path = folder.join("sidegate.yaml");
    fs::write(
        &path,
        text.replace("/etc/sidegate/", &format!("{}/", folder.display()))
            .replace("/run/secrets/", &format!("{}/", folder.display())),
    )
    .unwrap();
    path
}

/// Names inside `${...}`.
fn referenced_variables(text: &str) -> BTreeSet<&str> {
    text.split("${")
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .collect()
}

#[test]
fn every_command_shown_for_dev_does_what_it_says() {
    if tools::find("curl", "the commands in the docs").is_none() {
        return;
    }
    let mut count = 0;
    for block in tagged("sh dev") {
        let dev = Dev::start(&[]);
        let folder = tempfile::tempdir().unwrap();
        let mut script = String::from("set -eu\n");
        let mut expected = Vec::new();
        for line in block.text.lines() {
            match line
                .rsplit_once('#')
                .map(|(command, status)| (command, status.trim().parse::<u16>()))
            {
                Some((command, Ok(status))) => {
                    script.push_str(&format!(
                        "{} -s -o /dev/null -w '\\n%{{http_code}}\\n'\n",
                        command.trim()
                    ));
                    expected.push(status.to_string());
                }
                _ => script.push_str(&format!("{line}\n")),
            }
        }
        let addresses = [
            ("https://127.0.0.1:8443", dev.proxy.url()),
            ("http://127.0.0.1:9200", dev.authority.url()),
            ("http://127.0.0.1:9901", dev.admin.url()),
        ];
        for (shown, real) in addresses {
            script = script.replace(shown, &real);
        }
        let ended = end_of(in_folder(folder.path()).env("CA", dev.ca()).arg(&script));
        assert_eq!(ended.code, 0, "{}\n{script}\n{ended:?}", block.place);
        let statuses: Vec<&str> = ended
            .stdout
            .lines()
            .filter(|line| line.len() == 3 && line.parse::<u16>().is_ok())
            .collect();
        if !expected.is_empty() {
            assert_eq!(
                statuses, expected,
                "{}\n{script}\n{}",
                block.place, ended.stderr
            );
        }
        count += 1;
    }
    assert!(count >= 2, "{count} blocks found");
}

#[test]
fn every_command_shown_alone_runs() {
    for block in tagged("sh run") {
        let folder = tempfile::tempdir().unwrap();
        let mut command = in_folder(folder.path());
        if let Some(config) = tagged("yaml config").find(|config| same_page(config, &block)) {
            write_config(folder.path(), &config.text);
            for name in referenced_variables(&config.text) {
                command.env(name, "a2V5OnNlY3JldA==");
            }
        }
        let ended = end_of(command.arg(format!("set -eu\n{}", block.text)));
        assert_eq!(ended.code, 0, "{}\n{ended:?}", block.place);
    }
}

fn same_page(one: &Block, other: &Block) -> bool {
    let page = |block: &Block| {
        block
            .place
            .rsplit_once(':')
            .map(|(page, _)| page.to_owned())
    };
    page(one) == page(other)
}

/// `sh -c` in a folder, with the binary on the path under its own name.
fn in_folder(folder: &Path) -> Command {
    let bin = folder.join(".bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_sidegate"), bin.join("sidegate")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", bin.display()))
        .arg("-c");
    command
}

#[test]
fn every_requirement_of_the_security_model_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/security-model.md")).unwrap();
    let mut told = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| R-")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        told.insert(cells[0].to_owned());
        if cells[2].starts_with("not yet: ") {
            continue;
        }
        let names: Vec<&str> = cells[2]
            .split(',')
            .map(|name| name.trim().trim_matches('`'))
            .collect();
        assert!(!names.is_empty(), "{line}");
        for name in names {
            let exists = match name.rsplit_once("::") {
                Some((module, test)) => test_exists(module, test),
                None => root().join(name).is_file(),
            };
            assert!(exists, "{}: there is no test {name}", cells[0]);
        }
    }
    for number in 1..=28 {
        assert!(
            told.contains(&format!("R-{number:02}")),
            "R-{number:02} is not in the table"
        );
    }
}

/// `routes::x` is in `tests/it/routes.rs`; `src/gate/cache.rs::x` and `tests/floors.rs::x` where they say.
fn test_exists(module: &str, test: &str) -> bool {
    let file = if module.ends_with(".rs") {
        root().join(module)
    } else {
        root().join("tests/it").join(format!("{module}.rs"))
    };
    fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {test}(")))
}

#[test]
fn every_link_inside_the_repository_leads_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(file);
            assert!(path.exists(), "{}: {target}", page.display());
        }
    }
}

#[test]
fn every_example_config_is_valid() {
    for entry in fs::read_dir(root().join("config"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry.path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        if path.extension().is_none_or(|extension| extension != "yaml")
            || !text.contains("\nlisteners:")
        {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let written = write_config(folder.path(), &text);
        let mut command = sidegate();
        command.current_dir(folder.path());
        for name in referenced_variables(&text) {
            command.env(name, "a2V5OnNlY3JldA==");
        }
        let ended = end_of(command.arg("check").arg("--config").arg(written));
        assert_eq!(ended.code, 0, "{}\n{}", path.display(), ended.stderr);
    }
}

#[test]
fn the_image_is_built_and_run_with_commands_that_exist() {
    let text = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let text = text.replace("\\\n", " ");
    let line = |word: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix(word))
            .next_back()
            .unwrap_or_else(|| panic!("{word}"))
            .trim()
            .to_owned()
    };
    let words = |text: &str| -> Vec<String> { serde_json::from_str(text).expect("exec form") };

    let build = text
        .lines()
        .find(|line| line.contains("cargo build"))
        .expect("a build line");
    assert!(
        build.contains("--release") && build.contains("--locked"),
        "{build}"
    );
    assert!(
        text.contains("/target/release/sidegate"),
        "the binary is copied from where it is built"
    );
    assert!(!line("USER ").is_empty(), "not root");

    // The entry point, on a config that is really there.
    let entrypoint = words(&line("ENTRYPOINT "));
    assert_eq!(entrypoint[0], "/sidegate");
    assert_eq!(entrypoint[1], "run");
    let folder = tempfile::tempdir().unwrap();
    let config = tagged("yaml config").next().expect("a config in the docs");
    let config = write_config(folder.path(), &config.text);
    let args: Vec<String> = entrypoint[1..]
        .iter()
        .map(|word| word.replace("/etc/sidegate/sidegate.yaml", config.to_str().unwrap()))
        .map(|word| {
            if word == "run" {
                "check".to_owned()
            } else {
                word
            }
        })
        .collect();
    let mut command = sidegate();
    for name in referenced_variables(&fs::read_to_string(&config).unwrap()) {
        command.env(name, "a2V5OnNlY3JldA==");
    }
    let ended = end_of(command.args(&args));
    assert_eq!(ended.code, 0, "{args:?}: {ended:?}");

    // The health check.
    let health = line("HEALTHCHECK ");
    let health = words(health.split("CMD").nth(1).expect("CMD").trim());
    assert_eq!(health[0], "/sidegate");
    let help = run_to_end(&[health[1].as_str(), "--help"]);
    assert_eq!(help.code, 0, "{help:?}");
}
