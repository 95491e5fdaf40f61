//! Unix sockets to listen at: made beside their place and moved there whole, taken away when this process goes.
//!
//! Always true: a file that is no socket is never touched; a socket that somebody still listens at is only replaced when that
//! was asked for; only a file that this process made is taken away. The socket is never reachable with other permissions than
//! its own.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// How often, and after which pause each time, the folder is tried to be locked.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// The file of a socket that this process made. Dropping it takes the file away, if it is still the same one.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Makes a socket at `path` with the permissions `mode` and listens.
///
/// A socket there that nobody listens at is replaced. One that somebody listens at is only replaced when `take_over`; the one
/// before keeps what clients it was given, new ones come here.
///
/// # Errors
/// When somebody listens there, something else lies there, or the folder can't be written.
pub fn bind(
    path: &Path,
    mode: u32,
    take_over: bool,
    backlog: i32,
) -> io::Result<(UnixListener, SocketFile)> {
    // Two processes that both find a stale socket must not both replace it.
    let _lock = lock_folder(path)?;
    if !take_over {
        refuse_what_lives(path)?;
    }
    refuse_what_is_no_socket(path)?;
    let beside = beside(path);
    match fs::remove_file(&beside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix(&beside)?)?;
    // Nobody can connect before `listen`, so nobody ever meets other permissions.
    let moved = fs::set_permissions(&beside, Permissions::from_mode(mode))
        .and_then(|()| socket.listen(backlog))
        .and_then(|()| fs::symlink_metadata(&beside))
        .and_then(|found| fs::rename(&beside, path).map(|()| found));
    let found = moved.inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: (found.dev(), found.ino()),
    };
    Ok((UnixListener::from(socket), file))
}

/// Held while it lives. Nothing is left behind, other than by a lock file.
fn lock_folder(path: &Path) -> io::Result<File> {
    let folder = File::open(path.parent().unwrap_or(Path::new("/")))?;
    for _ in 0..LOCK_TRIES {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "another process keeps the folder locked",
    ))
}

fn refuse_what_lives(path: &Path) -> io::Result<()> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
            ) =>
        {
            Ok(())
        }
        // A full backlog is somebody's, too; and what can't be asked is left alone.
        Ok(()) | Err(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process listens there",
        )),
    }
}

fn refuse_what_is_no_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => Ok(()),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is no socket lies there",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("~");
    PathBuf::from(name)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        (folder, path)
    }

    #[test]
    fn a_stale_socket_is_replaced_and_the_new_one_goes_with_its_process() {
        let (_folder, path) = place();
        // Dropping a listener of the standard library leaves its file behind.
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = bind(&path, 0o600, false, 8).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(UnixStream::connect(&path).is_ok());
        drop(listener);
        drop(file);
        assert!(!path.exists() && !beside(&path).exists());
    }

    #[test]
    fn a_socket_that_somebody_listens_at_is_left_alone() {
        let (_folder, path) = place();
        let (_listener, _file) = bind(&path, 0o660, false, 8).unwrap();
        let error = bind(&path, 0o660, false, 8).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let (_folder, path) = place();
        fs::write(&path, "precious").unwrap();
        for take_over in [false, true] {
            assert!(bind(&path, 0o660, take_over, 8).is_err());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn whoever_was_taken_over_from_takes_nothing_away() {
        let (_folder, path) = place();
        let (old, old_file) = bind(&path, 0o660, false, 8).unwrap();
        let waiting = UnixStream::connect(&path).unwrap();
        let (new, _new_file) = bind(&path, 0o660, true, 8).unwrap();
        // Who came before is still the old one's.
        assert!(old.accept().is_ok());
        drop((old, old_file, waiting));
        let _client = UnixStream::connect(&path).unwrap();
        assert!(new.accept().is_ok());
    }
}
