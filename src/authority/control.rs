//! The control socket: how a command of the same user talks to the running process, without a credential.
//!
//! `authority.sock` in the data directory, readable and writable by its owner alone: whoever can open it could read the store
//! as well, so nothing is gained by asking for a password. One line asks, one line answers; connections are served one after
//! another and each has a deadline, so a client that stalls holds up other commands and nothing else. The next command is an
//! arm in `serve`.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::backup::Snapshots;

/// Name of the socket in the data directory.
pub const SOCKET: &str = "authority.sock";

/// How long one read or write of a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest line of the protocol.
const LINE: u64 = 1_024;

/// Why a command was not done by the running process.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens there.
    #[error("no running authority answers at {path}")]
    Absent {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or the file can't be written.
    #[error("the running authority's answer can't be taken")]
    Broken(#[from] io::Error),
    /// The process refused.
    #[error("the running authority refused: {0}")]
    Refused(String),
}

/// The listening side. Dropping it ends the thread and removes the socket.
pub struct Control {
    path: PathBuf,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Listens in `directory`, whose store must be open here: a socket that is there already is then a dead one's.
    ///
    /// # Errors
    /// When the socket can't be bound, as when the path is longer than the system allows.
    pub fn listen(directory: &Path, snapshots: Snapshots) -> io::Result<Self> {
        let path = directory.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let ends = Arc::new(AtomicBool::new(false));
        let for_thread = Arc::clone(&ends);
        let folder = directory.to_owned();
        let thread = std::thread::Builder::new()
            .name("authority-control".to_owned())
            .spawn(move || accept(&listener, &folder, &snapshots, &for_thread))?;
        Ok(Self {
            path,
            ends,
            thread: Some(thread),
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Wakes the thread; it looks at the flag first.
        let woken = UnixStream::connect(&self.path).is_ok();
        if let (true, Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, folder: &Path, snapshots: &Snapshots, ends: &AtomicBool) {
    for stream in listener.incoming() {
        if ends.load(Ordering::SeqCst) {
            return;
        }
        let served = stream.and_then(|stream| serve(&stream, folder, snapshots));
        if let Err(error) = served {
            tracing::debug!(%error, "a command on the control socket broke off");
        }
    }
}

fn serve(stream: &UnixStream, folder: &Path, snapshots: &Snapshots) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE)).read_line(&mut line)?;
    let mut answer = stream;
    if line.trim_end() != "backup" {
        return answer.write_all(b"error unknown command\n");
    }
    let copy = folder.join("authority.backup");
    let sent = match snapshots.copy_to(&copy) {
        Ok(()) => send_file(answer, &copy),
        Err(error) => {
            tracing::error!(%error, "backup failed");
            answer.write_all(format!("error {error}\n").as_bytes())
        }
    };
    let _ = std::fs::remove_file(&copy);
    sent
}

fn send_file(mut stream: &UnixStream, path: &Path) -> io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    stream.write_all(format!("ok {length}\n").as_bytes())?;
    io::copy(&mut file, &mut stream)?;
    tracing::info!(bytes = length, "backup written");
    Ok(())
}

/// Asks the process that serves `directory` for a copy of its store and writes it to `target`: fsynced, then renamed into
/// place. Returns its size in bytes.
///
/// # Errors
/// See [`ControlError`]; a file that was at `target` is then untouched.
pub fn request_backup(directory: &Path, target: &Path) -> Result<u64, ControlError> {
    let path = directory.join(SOCKET);
    let stream =
        UnixStream::connect(&path).map_err(|source| ControlError::Absent { path, source })?;
    // Making the copy is one silence; each piece of it after that is not.
    stream.set_read_timeout(Some(PATIENCE * 60))?;
    (&stream).write_all(b"backup\n")?;
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.by_ref().take(LINE).read_line(&mut line)?;
    let line = line.trim_end();
    let Some(length) = line
        .strip_prefix("ok ")
        .and_then(|length| length.parse().ok())
    else {
        let why = line.strip_prefix("error ").unwrap_or("it made no sense");
        return Err(ControlError::Refused(why.to_owned()));
    };
    let draft = super::backup::beside(target, "partial");
    let received = receive(reader, length, &draft).and_then(|()| std::fs::rename(&draft, target));
    if received.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    received?;
    Ok(length)
}

fn receive(reader: impl Read, length: u64, draft: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    if io::copy(&mut reader.take(length), &mut file)? != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.sync_all()
}
