//! The way to what gets broken, and how Sidegate is told of it.

use std::net::SocketAddr;

use tempfile::TempDir;

use super::row::Trouble;
use crate::harness::fault_proxy::{Fault, FaultProxy};
use crate::harness::pki::Authority;
use crate::harness::plan::{Plan, Running};

/// A fault proxy before somebody, as a URL for the configuration.
pub(super) struct Way {
    trouble: Trouble,
    pub(super) proxy: FaultProxy,
    folder: TempDir,
}

impl Way {
    /// To this address, with what the trouble needs.
    pub(super) fn to(target: SocketAddr, trouble: Trouble) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let proxy = if trouble == Trouble::WrongCertificate {
            let ca = Authority::new();
            ca.write_ca(folder.path());
            FaultProxy::to_tls(target, ca.server_config(&[b"http/1.1"]))
        } else {
            FaultProxy::to(target)
        };
        Self {
            trouble,
            proxy,
            folder,
        }
    }

    /// The URL while all is well.
    pub(super) fn good(&self) -> String {
        match self.trouble {
            Trouble::WrongCertificate => {
                format!("https://localhost:{}", self.proxy.address().port())
            }
            _ => self.proxy.url(),
        }
    }

    /// The URL to begin with.
    pub(super) fn url(&self) -> String {
        match self.trouble {
            Trouble::NameGone => "http://gone.invalid:9200".to_owned(),
            _ => self.good(),
        }
    }

    /// Whether nothing works from the start.
    pub(super) fn is_broken_from_the_start(&self) -> bool {
        self.trouble == Trouble::NameGone
    }

    /// Where the CA lies, if TLS is spoken.
    pub(super) fn ca(&self) -> Option<String> {
        let path = self.folder.path().join("ca.pem");
        path.exists().then(|| path.display().to_string())
    }

    /// Breaks it. TLS connections are ended, since the certificate of a new one is what matters.
    pub(super) fn suffer(&self) {
        if self.trouble == Trouble::WrongCertificate {
            self.proxy.suffer(Fault::Refuse);
        }
        self.proxy.suffer(self.trouble.fault());
    }

    /// Mends it; `plan` is the configuration with [`Way::good`].
    pub(super) fn heal(&self, gate: &Running, plan: &Plan) {
        self.proxy.heal();
        if self.is_broken_from_the_start() {
            plan.write_without_keys(gate.folder.path());
            gate.process.signal("HUP");
            gate.wait_for_reload("applied");
        }
    }
}
