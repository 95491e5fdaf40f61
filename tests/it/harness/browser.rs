//! Real Chromium, driven by the scenarios in `tests/browser/scenarios` through playwright-core. One process for all tests.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use serde_json::{Value, json};

use super::DEADLINE;
use super::tools;

/// Who waits for which answer.
type Waiting = Arc<Mutex<HashMap<u64, Sender<Value>>>>;

/// The running Chromium. Ends with the test binary, when its input is closed.
pub(crate) struct Browser {
    input: Mutex<ChildStdin>,
    waiting: Waiting,
    next: AtomicU64,
}

impl Browser {
    /// The one that all tests share. `None` after saying that the test is skipped.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Browser>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    fn start() -> Option<Self> {
        let needed_for = "logins in a real browser";
        let (node, modules) = tools::node_with("test-browser", "playwright-core", needed_for)?;
        let chromium = tools::find("chromium", needed_for)?;
        let mut child = Command::new(node)
            .arg(folder().join("server.mjs"))
            .arg(modules)
            .arg(chromium)
            .arg(shots())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next().and_then(Result::ok).unwrap_or_default();
        assert!(ready.contains("ready"), "Chromium does not start: {ready}");
        let waiting = Waiting::default();
        let told = Arc::clone(&waiting);
        let input = Mutex::new(child.stdin.take().unwrap());
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let answer: Value = serde_json::from_str(&line).expect("a line of JSON");
                let id = answer["id"].as_u64().expect("an id");
                if let Some(waiting) = told.lock().unwrap().remove(&id) {
                    let _ = waiting.send(answer);
                }
            }
            // Whoever still waits is told by the end of the channel.
            told.lock().unwrap().clear();
            let _ = child.wait();
        });
        Some(Self {
            input,
            waiting,
            next: AtomicU64::new(1),
        })
    }

    /// Plays `tests/browser/scenarios/{scenario}.mjs`; fails with what it says, else hands back what it returns.
    pub(crate) fn play(&self, scenario: &str, args: &Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let (tell, told) = channel();
        self.waiting.lock().unwrap().insert(id, tell);
        let line = json!({"id": id, "scenario": scenario, "args": args});
        writeln!(self.input.lock().unwrap(), "{line}").expect("Chromium's driver listens");
        let answer = told
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|error| panic!("{scenario}: no answer from Chromium: {error}"));
        if let Some(error) = answer["error"].as_str() {
            panic!("{scenario}: {error}");
        }
        answer["result"].clone()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Where screenshots end up.
pub(crate) fn shots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots")
}
