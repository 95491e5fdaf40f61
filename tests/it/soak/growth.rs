//! What the process holds when nobody asks it anything, and how much more of it may be there after a run.

use std::fs;

use crate::harness::plan::Running;

/// Memory may have grown by a quarter and 24 MiB: an allocator keeps what it may need again.
const MEMORY: (u64, u64) = (4, 24 * 1024);
/// File handles, mostly connections kept for another use.
const HANDLES: u64 = 24;
/// Threads: tokio keeps those for file reads for a while.
const THREADS: u64 = 4;

/// At rest.
pub(super) struct Footprint {
    /// Kibibytes.
    memory: u64,
    handles: u64,
    threads: u64,
    idle: String,
}

impl Footprint {
    /// Waits until the last client is gone, and looks.
    pub(super) fn at_rest(gate: &Running) -> Self {
        let main = ["listener=\"main\""];
        gate.wait_for_metric("sidegate_connections_open", &main, |count| count == 0.0);
        for gauge in ["sidegate_requests_in_flight", "sidegate_tunnels_open"] {
            gate.wait_for_metric(gauge, &[], |count| count == 0.0);
        }
        let process = format!("/proc/{}", gate.process.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let field = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let entries = ["identity", "negative", "resolved"].map(|cache| {
            let label = format!("cache=\"{cache}\"");
            format!(
                "{cache} {}",
                gate.metric("sidegate_cache_entries", &[&label])
            )
        });
        Self {
            memory: field("VmRSS:"),
            handles: fs::read_dir(format!("{process}/fd")).unwrap().count() as u64,
            threads: field("Threads:"),
            idle: entries.join(", "),
        }
    }

    /// For people.
    pub(super) fn told(&self, when: &str) -> String {
        format!(
            "{when}: {} KiB, {} file handles, {} threads; cache: {}\n",
            self.memory, self.handles, self.threads, self.idle
        )
    }

    /// Fails when there is more than may be.
    pub(super) fn has_not_outgrown(&self, start: &Self, figures: &str) {
        let memory = start.memory + start.memory / MEMORY.0 + MEMORY.1;
        assert!(self.memory <= memory, "memory\n{figures}");
        assert!(
            self.handles <= start.handles + HANDLES,
            "handles\n{figures}"
        );
        assert!(
            self.threads <= start.threads + THREADS,
            "threads\n{figures}"
        );
    }
}
