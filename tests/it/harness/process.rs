//! The program under test as a child process.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::Value;

use super::DEADLINE;
use super::client::Target;
use super::pki::trust;

/// A fresh command for the binary, with an environment that holds nothing of the developer's.
pub(crate) fn sidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidegate"));
    command
        .env_remove("ELASTIC_PASSWORD")
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; -1 after a signal.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary to its end.
pub(crate) fn run_to_end<S: AsRef<OsStr>>(args: &[S]) -> Ended {
    end_of(sidegate().args(args))
}

/// Runs any command to its end.
pub(crate) fn end_of(command: &mut Command) -> Ended {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The lines a process has written to one pipe so far.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<(Mutex<Written>, Condvar)>);

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    closed: bool,
}

impl Lines {
    fn follow(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let sink = lines.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                sink.0.0.lock().unwrap().lines.push(text);
                sink.0.1.notify_all();
                line.clear();
            }
            sink.0.0.lock().unwrap().closed = true;
            sink.0.1.notify_all();
        });
        lines
    }

    /// Waits for a line, already written or to come; `None` when the pipe closes or the deadline passes without one.
    pub(crate) fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let found = |written: &Written| written.lines.iter().find(|line| wanted(line)).cloned();
        let guard = self.0.0.lock().unwrap();
        let (guard, _) = self
            .0
            .1
            .wait_timeout_while(guard, DEADLINE, |written| {
                !written.closed && found(written).is_none()
            })
            .unwrap();
        found(&guard)
    }

    /// Everything written so far.
    pub(crate) fn text(&self) -> String {
        self.0.0.lock().unwrap().lines.join("\n")
    }

    /// Whether the process has closed the pipe.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.0.lock().unwrap().closed
    }

    fn wait_closed(&self) -> bool {
        let guard = self.0.0.lock().unwrap();
        let (guard, _) = self
            .0
            .1
            .wait_timeout_while(guard, DEADLINE, |written| !written.closed)
            .unwrap();
        guard.closed
    }
}

/// The binary, running. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Lines::follow(child.stdout.take().unwrap());
        let stderr = Lines::follow(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name (`TERM`, `INT`, `HUP`, `KILL`).
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.id().to_string()])
            .status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        assert!(
            self.stdout.wait_closed(),
            "still running\n{}",
            self.output()
        );
        self.child.wait().unwrap()
    }

    /// Both pipes, for the message of a failed test.
    pub(crate) fn output(&self) -> String {
        format!(
            "--- stdout\n{}\n--- stderr\n{}",
            self.stdout.text(),
            self.stderr.text()
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{}", self.output());
        }
    }
}

/// `sidegate dev --json` on port 0.
pub(crate) struct Dev {
    pub(crate) process: Process,
    pub(crate) proxy: Target,
    pub(crate) admin: Target,
    pub(crate) authority: Target,
    /// The one JSON line it printed.
    pub(crate) told: Value,
}

/// The addresses that make `dev` take free ports.
pub(crate) const FREE_PORTS: [&str; 6] = [
    "--proxy-address",
    "127.0.0.1:0",
    "--admin-address",
    "127.0.0.1:0",
    "--authority-address",
    "127.0.0.1:0",
];

impl Dev {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_command(
            sidegate()
                .arg("dev")
                .arg("--json")
                .args(FREE_PORTS)
                .args(args),
        )
    }

    pub(crate) fn start_command(command: &mut Command) -> Self {
        let process = Process::spawn(command);
        let Some(line) = process.stdout.find(|line| line.starts_with('{')) else {
            panic!("dev printed no JSON line");
        };
        let told: Value = serde_json::from_str(&line).expect("dev prints one JSON line");
        let url = |key: &str| {
            told[key]
                .as_str()
                .unwrap_or_else(|| panic!("{key} in {told}"))
                .to_owned()
        };
        let ca = Path::new(told["ca"].as_str().expect("ca")).to_owned();
        Self {
            proxy: Target::https(&url("proxy"), trust(&ca)),
            admin: Target::http(&url("admin")),
            authority: Target::http(&url("authority")),
            process,
            told,
        }
    }

    /// Where the throwaway CA lies.
    pub(crate) fn ca(&self) -> &str {
        self.told["ca"].as_str().expect("ca")
    }
}
