//! A credential made ready to be asked about, detached from the request it came with.

use std::sync::Arc;

use crate::elastic::authorization::Asker;
use crate::model::certificate::CertificateChain;
use crate::model::credential::{Credential, Fingerprint, Scheme};

/// What somebody claims to be, and by what.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// How it was presented.
    pub(super) scheme: Scheme,
    /// What backs it.
    pub(super) proof: Proof,
    /// The user to act as.
    pub(super) run_as: Option<String>,
}

/// What backs a claim.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// Something the authority can be shown as it is.
    Direct(Credential),
    /// A verified certificate, to be exchanged for a token that is kept under `held`.
    Certificate {
        chain: Arc<CertificateChain>,
        held: Fingerprint,
    },
    /// A token that is kept under `held` since a ticket was exchanged for it.
    Exchanged { held: Fingerprint },
    /// Nothing.
    Nobody,
}

impl Claim {
    /// The user name, where the credential itself names one.
    pub(super) fn username(&self) -> Option<&str> {
        match &self.proof {
            Proof::Direct(Credential::Basic { username, .. })
                if self.scheme != Scheme::Anonymous =>
            {
                Some(username)
            }
            Proof::Direct(_)
            | Proof::Certificate { .. }
            | Proof::Exchanged { .. }
            | Proof::Nobody => None,
        }
    }

    /// As whom is asked: the credential's owner, or whom they act as.
    pub(super) fn acting(&self, asker: Asker) -> Asker {
        match &self.run_as {
            Some(username) => asker.running_as(username),
            None => asker,
        }
    }

    /// Whether a refusal says something about whoever sent the request. A route's own credential
    /// says nothing about them, and a session was a login before.
    pub(super) fn is_a_login(&self) -> bool {
        !matches!(self.scheme, Scheme::Anonymous | Scheme::Session)
    }
}
