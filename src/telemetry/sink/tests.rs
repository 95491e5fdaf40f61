//! What becomes of lines when the target is quick, slow, failing, or moved away.

use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::telemetry::metrics::Registry;

/// Takes everything, unless it is told to fail or to block.
#[derive(Clone, Default)]
struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    fails: Arc<AtomicBool>,
    blocked: Arc<(Mutex<bool>, Condvar)>,
}

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }

    fn block(&self, blocked: bool) {
        *self.blocked.0.lock().unwrap() = blocked;
        self.blocked.1.notify_all();
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut blocked = self.blocked.0.lock().unwrap();
        while *blocked {
            blocked = self.blocked.1.wait(blocked).unwrap();
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        // Small pieces, so that a failure can hit the middle of a line.
        let piece = &bytes[..bytes.len().min(3)];
        self.bytes.lock().unwrap().extend_from_slice(piece);
        self.fails.store(piece.starts_with(b"!"), Ordering::SeqCst);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sink(memory: &Memory) -> Sink {
    let dropped = Registry::new()
        .unwrap()
        .counter("dropped_total", "Dropped.");
    Sink::start(Target::Stream(Box::new(memory.clone())), dropped.unwrap()).unwrap()
}

fn line(sink: &Sink, text: &str) {
    sink.append(|bytes, _| {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
    });
}

#[test]
fn a_flush_returns_when_the_lines_of_all_threads_are_written_whole() {
    let memory = Memory::default();
    let sink = sink(&memory);
    thread::scope(|scope| {
        for name in ["aaaa", "bbbb", "cccc"] {
            let sink = &sink;
            scope.spawn(move || (0..500).for_each(|_| line(sink, name)));
        }
    });
    sink.flush();
    let text = memory.text();
    assert_eq!(text.lines().count(), 1_500);
    for name in ["aaaa", "bbbb", "cccc"] {
        assert_eq!(text.lines().filter(|line| *line == name).count(), 500);
    }
    assert_eq!(sink.buffers.dropped.get(), 0);
}

#[test]
fn stopping_writes_the_rest_and_counts_what_comes_later() {
    let memory = Memory::default();
    let sink = sink(&memory);
    line(&sink, "last");
    sink.stop();
    line(&sink, "late");
    assert_eq!(memory.text(), "last\n");
    assert_eq!(sink.buffers.dropped.get(), 1);
}

#[test]
fn a_target_that_stands_still_costs_lines_but_neither_memory_nor_time() {
    let memory = Memory::default();
    memory.block(true);
    let sink = sink(&memory);
    let long = "x".repeat(1_024 * 1_024);
    (0..64).for_each(|_| line(&sink, &long));
    assert!(sink.buffers.dropped.get() > 0);
    let held: usize = sink
        .buffers
        .shards
        .iter()
        .map(|shard| shard.lock().bytes.len())
        .sum();
    assert!(held <= MOST_BYTES + sink.buffers.shards.len() * (long.len() + 1));
    memory.block(false);
}

#[test]
fn a_failure_within_a_line_spoils_that_line_only_and_is_counted() {
    let memory = Memory::default();
    let sink = sink(&memory);
    // The target fails after "!ab", then works again.
    line(&sink, "!abcdef");
    sink.flush();
    assert_eq!(sink.buffers.dropped.get(), 1);
    memory.fails.store(false, Ordering::SeqCst);
    line(&sink, "next");
    sink.flush();
    assert_eq!(memory.text(), "!ab\nnext\n");
}

#[test]
fn a_file_that_was_moved_away_is_reopened_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let moved = directory.path().join("access.log.1");
    let dropped = Registry::new()
        .unwrap()
        .counter("dropped_total", "Dropped.");
    let sink = Sink::start(Target::file(&path).unwrap(), dropped.unwrap()).unwrap();
    line(&sink, "old");
    std::fs::rename(&path, &moved).unwrap();
    sink.reopen().unwrap();
    line(&sink, "new");
    sink.flush();
    assert_eq!(std::fs::read_to_string(&moved).unwrap(), "old\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
    directory.close().unwrap();
    assert!(sink.reopen().is_err());
}
