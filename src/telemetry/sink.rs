//! From the threads that log to the file they log to, without making any of them wait.
//!
//! Each thread formats into the buffer of its [`shard`]; one writer thread takes the buffers every [`EVERY`], or sooner when one
//! fills up, and writes them in large pieces. A line is written whole or not at all. When the target can't keep up, lines are dropped and counted: memory is bounded by
//! [`MOST_BYTES`] being filled and as much being written. Lines of one thread keep their order; those of several are
//! interleaved within a tenth of a second.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use super::metrics::Counter;
use super::shard;
use super::stamp::Stamp;

/// How long a line waits at most before it is written.
const EVERY: Duration = Duration::from_millis(100);
/// A buffer this full wakes the writer.
const WAKE_BYTES: usize = 256 * 1024;
/// All buffers together.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// A buffer that grew beyond this in a burst is given back.
const KEEP_BYTES: usize = 1024 * 1024;
/// How long the end of the program waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(5);
/// A target that takes nothing for this many pauses of [`PAUSE`] is treated as broken.
const MOST_PAUSES: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(5);

/// Where lines go in, from any thread.
#[derive(Debug)]
pub(super) struct Sink {
    buffers: Arc<Buffers>,
    commands: SyncSender<Command>,
}

#[derive(Debug)]
struct Buffers {
    shards: Box<[Shard]>,
    /// Bytes one buffer may hold.
    capacity: usize,
    dropped: Counter,
}

/// Aligned so that taking one lock does not disturb who takes the next.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    stamp: Stamp,
    closed: bool,
}

#[derive(Debug)]
enum Command {
    Wake,
    Flush(SyncSender<()>),
    Reopen(SyncSender<io::Result<()>>),
    Stop(SyncSender<()>),
}

/// What lines are written to.
pub(super) enum Target {
    /// A file that can be moved away and reopened.
    File {
        /// Its path.
        path: PathBuf,
        /// The file open now.
        file: File,
    },
    /// Anything else.
    Stream(Box<dyn Write + Send>),
}

impl Target {
    /// Appends to the file at `path`, which is made, readable by its owner and group, when it isn't there.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File {
            path: path.to_owned(),
            file: open(path)?,
        })
    }

    /// The old file stays in use when the new one can't be opened.
    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = open(path)?;
        }
        Ok(())
    }

    fn stream(&mut self) -> &mut dyn Write {
        match self {
            Self::File { file, .. } => file,
            Self::Stream(stream) => stream,
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

// === impl Sink ===

impl Sink {
    /// Starts the writer thread; it ends with [`Sink::stop`], or when the sink is dropped. Lines that can't be kept are
    /// counted in `dropped`.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(target: Target, dropped: Counter) -> io::Result<Self> {
        let count = shard::count();
        let buffers = Arc::new(Buffers {
            shards: (0..count).map(|_| Shard::default()).collect(),
            capacity: MOST_BYTES / count,
            dropped,
        });
        let (commands, received) = sync_channel(64);
        let writer = Writer {
            buffers: Arc::clone(&buffers),
            target,
            spare: Vec::new(),
            torn: false,
            failing: false,
        };
        thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(&received))?;
        Ok(Self { buffers, commands })
    }

    /// Lets `format` append one line, its end included, to a buffer; or counts it as dropped when there is no room.
    #[inline]
    pub(super) fn append(&self, format: impl FnOnce(&mut Vec<u8>, &mut Stamp)) {
        let mut lines = self.buffers.any();
        if lines.closed || lines.bytes.len() >= self.buffers.capacity {
            drop(lines);
            self.buffers.dropped.inc();
            return;
        }
        let Lines { bytes, stamp, .. } = &mut *lines;
        let before = bytes.len();
        format(bytes, stamp);
        let filled = before < WAKE_BYTES && bytes.len() >= WAKE_BYTES;
        drop(lines);
        if filled {
            // With the queue full the writer is awake anyway.
            let _ = self.commands.try_send(Command::Wake);
        }
    }

    /// Waits until every line that was appended before is written, or five seconds.
    pub(super) fn flush(&self) {
        self.ask(Command::Flush);
    }

    /// Writes what is there to the old file and opens the path anew. A target that is no file stays as it is.
    ///
    /// # Errors
    /// When the file can't be opened, in which case the old one stays in use, or when the writer doesn't answer.
    pub(super) fn reopen(&self) -> io::Result<()> {
        self.ask(Command::Reopen)
            .unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
    }

    /// Writes what is there and ends the writer; lines appended later are dropped and counted.
    pub(super) fn stop(&self) {
        self.ask(Command::Stop);
    }

    fn ask<T>(&self, command: impl FnOnce(SyncSender<T>) -> Command) -> Option<T> {
        let (sender, answer) = sync_channel(1);
        // `send` would wait without end for a writer that is stuck in its target.
        self.commands.try_send(command(sender)).ok()?;
        answer.recv_timeout(PATIENCE).ok()
    }
}

impl Buffers {
    /// The running thread's buffer, or the next free one: the writer and threads that share a shard hold a lock for less than
    /// a microsecond, but may be descheduled meanwhile.
    #[inline]
    fn any(&self) -> MutexGuard<'_, Lines> {
        let mine = shard::index();
        let mask = self.shards.len() - 1;
        for step in 0..self.shards.len() {
            match self.shards[(mine + step) & mask].0.try_lock() {
                Ok(lines) => return lines,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.shards[mine & mask].lock()
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Writer ===

struct Writer {
    buffers: Arc<Buffers>,
    target: Target,
    /// Changes places with the buffer that is written.
    spare: Vec<u8>,
    /// The last write broke off within a line.
    torn: bool,
    /// The last write failed; said once.
    failing: bool,
}

impl Writer {
    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let command = commands.recv_timeout(EVERY);
            // Whoever asked may be gone, so answers are sent without looking back.
            match command {
                Ok(Command::Wake) | Err(RecvTimeoutError::Timeout) => self.drain(false),
                Ok(Command::Flush(done)) => {
                    self.drain(false);
                    let _ = done.send(());
                }
                Ok(Command::Reopen(done)) => {
                    self.drain(false);
                    let _ = done.send(self.target.reopen());
                }
                Ok(Command::Stop(done)) => {
                    self.drain(true);
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return self.drain(true),
            }
        }
    }

    /// Takes every buffer and writes it.
    fn drain(&mut self, close: bool) {
        for position in 0..self.buffers.shards.len() {
            let mut lines = self.buffers.shards[position].lock();
            std::mem::swap(&mut lines.bytes, &mut self.spare);
            lines.closed |= close;
            drop(lines);
            if self.spare.is_empty() {
                continue;
            }
            let bytes = std::mem::take(&mut self.spare);
            self.write(&bytes);
            self.spare = bytes;
            self.spare.clear();
            self.spare.shrink_to(KEEP_BYTES);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        let result = self
            .mend()
            .and_then(|()| write_all(self.target.stream(), &mut rest));
        if let Err(error) = &result {
            let written = &bytes[..bytes.len() - rest.len()];
            if !written.is_empty() {
                self.torn = !written.ends_with(b"\n");
            }
            let lost = rest.iter().filter(|&&byte| byte == b'\n').count();
            self.buffers.dropped.inc_by(lost as u64);
            if !self.failing {
                tracing::error!(%error, "a log can't be written");
            }
        }
        self.failing = result.is_err();
    }

    /// Ends a line that an earlier failure cut, so that it spoils no other.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            write_all(self.target.stream(), &mut &b"\n"[..])?;
            self.torn = false;
        }
        Ok(())
    }
}

/// Writes all of `rest`, shortening it by what was written. Unlike [`Write::write_all`] it bears with a target that another
/// process made non-blocking, as a shared terminal or pipe may be.
fn write_all(stream: &mut dyn Write, rest: &mut &[u8]) -> io::Result<()> {
    let mut pauses = 0;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                *rest = rest.get(written..).unwrap_or_default();
                pauses = 0;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && pauses < MOST_PAUSES => {
                pauses += 1;
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    stream.flush()
}

#[cfg(test)]
mod tests;
