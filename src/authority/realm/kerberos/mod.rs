//! The Kerberos realm: tickets for a service whose key is in a keytab.
//!
//! Always true: the system's GSSAPI library judges every ticket, its replay cache included; who is anonymous to Kerberos is
//! nobody here; nothing is remembered, because a ticket is good once. A negotiation is judged leg by leg and keeps no state in
//! between, like Elasticsearch's: one that needs the state of a former leg fails.

pub mod gss;

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, json};

use self::gss::{AcceptError, Accepted, Gss, LibraryError};
use super::account;
use super::contract::{Leg, Negotiating, Presented, Proven, Realm, Token};
use crate::config::realms;
use crate::model::secret::Secret;
use crate::wire::principals::RealmRef;

/// Why a Kerberos realm can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum KerberosError {
    /// The system has no GSSAPI library.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The keytab can't be read.
    #[error("keytab {path} can't be read: {source}")]
    Keytab {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path that no C library can be told.
    #[error("keytab {path} is no path for Kerberos")]
    Path {
        /// The file.
        path: PathBuf,
    },
}

/// Tickets for one service.
pub struct KerberosRealm {
    reference: RealmRef,
    gss: Arc<Gss>,
    /// `FILE:/path`
    keytab: Arc<CString>,
    remove_realm_name: bool,
    authorization_realms: Vec<String>,
}

impl KerberosRealm {
    /// Loads the library and looks at the keytab.
    ///
    /// # Errors
    /// See [`KerberosError`].
    pub fn open(name: &str, settings: &realms::KerberosRealm) -> Result<Self, KerberosError> {
        let path = &settings.keytab;
        std::fs::File::open(path).map_err(|source| KerberosError::Keytab {
            path: path.clone(),
            source,
        })?;
        let keytab = path
            .to_str()
            .and_then(|path| CString::new(format!("FILE:{path}")).ok())
            .ok_or_else(|| KerberosError::Path { path: path.clone() })?;
        Ok(Self {
            reference: account::realm(name, "kerberos"),
            gss: Arc::new(Gss::load()?),
            keytab: Arc::new(keytab),
            remove_realm_name: settings.remove_realm_name,
            authorization_realms: settings.authorization_realms.clone(),
        })
    }

    async fn judge(&self, ticket: &Secret) -> Leg {
        let Ok(bytes) = STANDARD.decode(ticket.expose()) else {
            return Leg::Refused("the ticket is no base64".to_owned());
        };
        let (gss, keytab, bytes) = (
            Arc::clone(&self.gss),
            Arc::clone(&self.keytab),
            Secret::new(bytes),
        );
        // The library reads the keytab and writes its replay cache: not for a thread that serves requests.
        let judged = tokio::task::spawn_blocking(move || gss.accept(&keytab, bytes.expose())).await;
        match judged {
            Ok(Ok(accepted)) => self.leg(accepted),
            Ok(Err(AcceptError::Refused(why) | AcceptError::Keytab(why))) => Leg::Refused(why),
            Err(_) => Leg::Refused("the check was cut short".to_owned()),
        }
    }

    fn leg(&self, accepted: Accepted) -> Leg {
        let reply = (!accepted.reply.is_empty()).then(|| STANDARD.encode(&accepted.reply));
        let Some(upn) = accepted.name else {
            return match reply {
                Some(reply) => Leg::Unfinished { reply },
                None => Leg::Refused("gss context negotiation not complete".to_owned()),
            };
        };
        match self.proven(&upn) {
            Some(proven) => Leg::Proven { proven, reply },
            None => Leg::Refused(format!("{upn} is no name of a user")),
        }
    }

    fn proven(&self, upn: &str) -> Option<Proven> {
        let (user, realm) = upn.rsplit_once('@')?;
        if user.is_empty() || realm.is_empty() || upn.contains(char::is_control) {
            return None;
        }
        let mut metadata = Map::new();
        metadata.insert("kerberos_realm".to_owned(), json!(realm));
        metadata.insert("kerberos_user_principal_name".to_owned(), json!(upn));
        Some(Proven {
            username: if self.remove_realm_name { user } else { upn }.to_owned(),
            dn: None,
            groups: Vec::new(),
            full_name: None,
            email: None,
            metadata,
        })
    }
}

impl Realm for KerberosRealm {
    fn reference(&self) -> &RealmRef {
        &self.reference
    }

    fn token(&self, _presented: &Presented<'_>) -> Option<Token> {
        None
    }

    fn negotiate<'a>(&'a self, ticket: &'a Secret) -> Option<Negotiating<'a>> {
        Some(Box::pin(self.judge(ticket)))
    }

    fn authorization_realms(&self) -> &[String] {
        &self.authorization_realms
    }

    fn forget(&self, _usernames: &[String]) {}
}
