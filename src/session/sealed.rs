//! The value of a session's cookie: sealed, opened, and remembered once it was opened.
//!
//! Always true: what this instance didn't seal for this public URL doesn't open; a value is opened once and then found by a
//! keyed hash of it, so no value is kept.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use zeroize::Zeroizing;

use super::cookie::Pieces;
use super::keyring::Keyring;
use super::record::{Session, SessionId};
use crate::config::sso::{SessionStore, Sso};
use crate::model::credential::{Fingerprint, FingerprintKey};

/// Cookie values that are remembered.
const MAX_OPENED: u64 = 200_000;
/// How long an unused one is.
const UNUSED: Duration = Duration::from_secs(900);
/// What the keys seal whole sessions for.
const RECORD: &str = "session";
/// What they seal mere ids for.
const ID: &str = "session id";
/// Bytes of a time stamp.
const STAMP: usize = 8;

/// Seals and opens cookie values.
pub(super) struct Seals {
    keyring: Arc<Keyring>,
    /// What a value belongs to; not in it.
    context: Vec<u8>,
    key: FingerprintKey,
    opened: Cache<Fingerprint, Arc<Opened>>,
    /// Whether a value is a mere id, and the rest is in a store.
    ids: bool,
}

/// An opened value.
#[derive(Debug)]
pub(super) struct Opened {
    /// The id in it.
    pub(super) id: SessionId,
    /// The rest, where it isn't in a store.
    pub(super) record: Option<Record>,
    /// Whether an older key sealed it.
    pub(super) aged: bool,
}

/// A session as a cookie has it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) session: Arc<Session>,
    /// Unix milliseconds of its last activity.
    pub(super) active: u64,
}

impl Seals {
    pub(super) fn new(sso: &Sso, keyring: &Arc<Keyring>) -> Self {
        Self {
            keyring: Arc::clone(keyring),
            context: format!("{} {}", sso.public_url.origin(), sso.prefix).into_bytes(),
            key: FingerprintKey::random(),
            opened: Cache::builder()
                .max_capacity(MAX_OPENED)
                .time_to_idle(UNUSED)
                .build(),
            ids: matches!(sso.session.store, SessionStore::Redis(_)),
        }
    }

    /// Opens a value; `None` when it is none of ours.
    pub(super) fn open(&self, pieces: &Pieces<'_>) -> Option<Arc<Opened>> {
        let fingerprint = self.key.fingerprint(pieces.parts());
        if let Some(opened) = self.opened.get(&fingerprint) {
            return Some(opened);
        }
        let value = pieces.joined();
        let (id, record) = if self.ids {
            (self.id(&value)?, None)
        } else {
            let record = self.record(&value)?;
            (record.session.id, Some(record))
        };
        let opened = Arc::new(Opened {
            id,
            record,
            aged: self.keyring.is_aged(&value),
        });
        self.opened.insert(fingerprint, Arc::clone(&opened));
        Some(opened)
    }

    fn id(&self, value: &[u8]) -> Option<SessionId> {
        let bytes = self.keyring.open_text(ID, value, &self.context)?;
        bytes.as_slice().try_into().ok().map(SessionId::from_bytes)
    }

    fn record(&self, value: &[u8]) -> Option<Record> {
        let bytes = self.keyring.open_text(RECORD, value, &self.context)?;
        let (stamp, record) = bytes.split_first_chunk::<STAMP>()?;
        Some(Record {
            session: Arc::new(Session::decode(record)?),
            active: u64::from_be_bytes(*stamp),
        })
    }

    /// Seals a session, or its id; `None` when the cipher fails.
    pub(super) fn seal(&self, session: &Session, active: u64) -> Option<String> {
        if self.ids {
            let id = session.id.expose();
            return self.keyring.seal_text(ID, id, &self.context).ok();
        }
        let record = session.encode();
        let mut bytes = Zeroizing::new(Vec::with_capacity(STAMP + record.len()));
        bytes.extend_from_slice(&active.to_be_bytes());
        bytes.extend_from_slice(&record);
        self.keyring.seal_text(RECORD, &bytes, &self.context).ok()
    }
}
