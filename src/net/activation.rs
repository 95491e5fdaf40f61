//! What the service manager passes: sockets that are bound already (sd_listen_fds(3)), and the way to tell it how things stand
//! (sd_notify(3)).
//!
//! Always true: without a service manager nothing happens. The borrowed crates hold the unsafe part: `listenfd` makes a file
//! descriptor a socket after asking the kernel whether it is one. It knows no names; those are read here, first, because it
//! takes the variables away.

use std::env;
use std::fmt;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tracing::warn;

/// What systemd calls a socket whose unit names none.
const UNNAMED: &str = "unknown";

/// A socket that was passed.
#[derive(Debug)]
pub enum Passed {
    /// It listens on TCP.
    Tcp(TcpListener),
    /// It is a Unix socket.
    Unix(UnixListener),
}

/// The sockets that were passed and not taken yet.
#[derive(Default)]
pub struct Activation {
    names: Vec<String>,
    sockets: Option<ListenFd>,
}

/// Why a passed socket can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// None has this name.
    #[error(
        "the service manager passed no socket named {wanted} (FileDescriptorName=); passed: {passed}"
    )]
    Missing {
        /// The name.
        wanted: String,
        /// The names that there are.
        passed: String,
    },
    /// It is neither a TCP nor a Unix stream socket.
    #[error("the socket {0} that the service manager passed is no stream socket")]
    NotAStream(String),
}

impl Activation {
    /// No service manager.
    pub fn none() -> Self {
        Self::default()
    }

    /// Takes what was passed to this process, and the variables that tell of it, so that no child believes them. To be called
    /// before any other thread runs: the environment is shared.
    pub fn from_environment() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let sockets = ListenFd::from_env();
        let named = |name: &str| if name.is_empty() { UNNAMED } else { name }.to_owned();
        let mut names: Vec<String> = names.split(':').map(named).collect();
        names.resize(sockets.len(), UNNAMED.to_owned());
        Self {
            names,
            sockets: Some(sockets),
        }
    }

    /// Takes every socket of this name: a socket unit with several `ListenStream=` gives them all the same.
    ///
    /// # Errors
    /// [`ActivationError`] when there is none, or it isn't one to accept from.
    pub fn take(&mut self, name: &str) -> Result<Vec<Passed>, ActivationError> {
        let mut taken = Vec::new();
        let known = self.names.iter().enumerate();
        let places: Vec<usize> = known
            .filter(|(_, known)| *known == name)
            .map(|(at, _)| at)
            .collect();
        for at in places {
            let Some(sockets) = &mut self.sockets else {
                break;
            };
            // Asking for one kind leaves a socket of another where it is.
            let passed = match sockets.take_tcp_listener(at) {
                Ok(socket) => socket.map(Passed::Tcp),
                Err(_not_tcp) => sockets
                    .take_unix_listener(at)
                    .map_err(|_| ActivationError::NotAStream(name.to_owned()))?
                    .map(Passed::Unix),
            };
            taken.extend(passed);
        }
        if taken.is_empty() {
            let passed = match self.names.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            let wanted = name.to_owned();
            return Err(ActivationError::Missing { wanted, passed });
        }
        Ok(taken)
    }

    /// Says in the log which passed sockets no listener takes: their clients would wait for ever.
    pub fn warn_of_unused(&self, used: &[&str]) {
        for name in &self.names {
            if !used.contains(&name.as_str()) {
                warn!(%name, "no listener takes a socket that the service manager passed");
            }
        }
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Activation")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// How things stand, for the service manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything listens.
    Ready,
    /// The configuration is being read again; [`Standing::Ready`] follows.
    Reloading,
    /// A drain has begun.
    Stopping,
}

/// Tells the service manager, if there is one that wants to know (`Type=notify` or `notify-reload`).
pub fn tell(standing: Standing) {
    let told = match standing {
        Standing::Ready => sd_notify::notify(&[NotifyState::Ready]),
        Standing::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        Standing::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
    };
    if let Err(error) = told {
        warn!(%error, ?standing, "the service manager could not be told");
    }
}
