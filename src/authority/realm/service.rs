//! Service accounts: users that programs are, with tokens in place of passwords.
//!
//! The accounts are those of Elasticsearch ([`accounts`]), their tokens are in the store and in the `service_tokens` file,
//! which is asked first. Always true: a well-formed service token is decided here alone; nobody is told whether account,
//! token name or secret was wrong. Tokens never expire.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use moka::sync::Cache;
use serde_json::{Map, Value};

use super::account;
use super::grants::digest_text;
use super::service_file::{FileError, Hashes, ServiceFile};
use crate::authority::builtin::accounts;
use crate::authority::names;
use crate::authority::password::{HashingError, Passwords};
use crate::authority::record::Principal;
use crate::authority::store::Tables;
use crate::authority::subject::{Means, Subject};
use crate::model::clock::Now;
use crate::model::credential::{Fingerprint, FingerprintKey};
use crate::model::secret::Secret;
use crate::wire::principals::TokenRef;

/// Name and type of the realm of service accounts.
pub const REALM: &str = "_service_account";
/// `token.type` of a token kept in the store.
const INDEX: &str = "_service_account_index";
/// `token.type` of a token of the file.
const FILE: &str = "_service_account_file";

/// Magic, token type, reserved, format version.
const PREFIX: [u8; 4] = [0, 1, 0, 1];
/// Shorter secrets are refused unseen.
const MIN_SECRET: usize = 10;

/// Elasticsearch's cache of proven tokens: as long and as many.
const CACHE_TTL: Duration = Duration::from_secs(20 * 60);
const CACHE_ENTRIES: u64 = 100_000;

/// The standard alphabet; Java's encoder leaves the padding out and its decoder takes both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A service token as a client presents it: unproven.
#[derive(Clone, Debug)]
pub struct ServiceCredential {
    /// `namespace/service`.
    pub account: String,
    /// Name of the token.
    pub name: String,
    /// The secret.
    pub secret: Secret,
}

impl ServiceCredential {
    /// Reads the value of a `Bearer` credential; `None`: something else than a service token.
    pub fn parse(bearer: &Secret) -> Option<Self> {
        let decoded = Secret::new(BASE64.decode(bearer.expose()).ok()?);
        let text = std::str::from_utf8(decoded.expose().strip_prefix(&PREFIX)?).ok()?;
        let (qualified, secret) = text.split_once(':')?;
        let (account, name) = qualified.rsplit_once('/')?;
        let (namespace, service) = account.split_once('/')?;
        let whole = !service.contains('/') && !namespace.is_empty() && !service.is_empty();
        (whole && names::check_service_token(name).is_ok()).then(|| Self {
            account: account.to_owned(),
            name: name.to_owned(),
            secret: Secret::from(secret),
        })
    }

    /// The value a client puts behind `Bearer`.
    pub fn bearer(&self) -> Secret {
        let mut bytes = PREFIX.to_vec();
        bytes.extend_from_slice(self.key().as_bytes());
        bytes.push(b':');
        bytes.extend_from_slice(self.secret.expose());
        let bytes = Secret::new(bytes);
        Secret::from(BASE64.encode(bytes.expose()))
    }

    /// `namespace/service/name`, the key in the store and in the file.
    pub fn key(&self) -> String {
        format!("{}/{}", self.account, self.name)
    }
}

/// Why a service token was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceError {
    /// Unknown account or token, or the wrong secret: the sentence Elasticsearch gives.
    Refused(String),
    /// The secret could not be checked now.
    Unchecked(HashingError),
}

/// The check of service tokens with its memory.
pub struct ServiceTokens {
    key: FingerprintKey,
    /// Hashes of the file by the secret that was proven against them.
    proven: Cache<Fingerprint, Arc<str>>,
    file: ServiceFile,
}

impl ServiceTokens {
    /// Reads the file, if one is configured.
    ///
    /// # Errors
    /// The file is unreadable or broken. Blocks on the disk.
    pub fn open(file: Option<PathBuf>) -> Result<Self, FileError> {
        let proven = Cache::builder()
            .max_capacity(CACHE_ENTRIES)
            .time_to_live(CACHE_TTL);
        Ok(Self {
            key: FingerprintKey::random(),
            proven: proven.build(),
            file: ServiceFile::open(file)?,
        })
    }

    /// Checks a token.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn check(
        &self,
        tables: &Tables,
        passwords: &Passwords,
        credential: &ServiceCredential,
        now: Now,
    ) -> Result<Subject, ServiceError> {
        let refused = || {
            ServiceError::Refused(format!(
                "failed to authenticate service account [{}] with token name [{}]",
                credential.account, credential.name
            ))
        };
        let known = accounts::service_account(&credential.account).is_some();
        if !known || credential.secret.expose().len() < MIN_SECRET {
            return Err(refused());
        }
        let source = if self.is_in_file(passwords, credential, now).await? {
            FILE
        } else if is_in_store(tables, credential) {
            INDEX
        } else {
            return Err(refused());
        };
        Ok(Subject {
            service_token: Some(Arc::new(TokenRef {
                name: credential.name.clone(),
                kind: Some(source.to_owned()),
            })),
            means: Means::Token,
            ..Subject::user(principal(&credential.account))
        })
    }

    async fn is_in_file(
        &self,
        passwords: &Passwords,
        credential: &ServiceCredential,
        now: Now,
    ) -> Result<bool, ServiceError> {
        let key = credential.key();
        let Some(hash) = self.file.hashes(now).get(&key).cloned() else {
            return Ok(false);
        };
        let fingerprint = self
            .key
            .fingerprint(&[key.as_bytes(), credential.secret.expose()]);
        if self.proven.get(&fingerprint).as_ref() == Some(&hash) {
            return Ok(true);
        }
        let right = passwords
            .verify(credential.secret.clone(), Some(Arc::clone(&hash)))
            .await
            .map_err(ServiceError::Unchecked)?;
        if right {
            self.proven.insert(fingerprint, hash);
        }
        Ok(right)
    }

    /// The tokens of the file, for `GET .../credential`.
    pub fn of_file(&self, now: Now) -> Arc<Hashes> {
        self.file.hashes(now)
    }

    /// Forgets every proven token (`_clear_cache`).
    pub fn clear(&self) {
        self.proven.invalidate_all();
    }
}

fn is_in_store(tables: &Tables, credential: &ServiceCredential) -> bool {
    let row = tables.service_tokens.find(&credential.key());
    let given = Secret::from(digest_text(credential.secret.expose()));
    row.is_some_and(|row| given == Secret::from(row.secret.as_str()))
}

/// The user a service account is.
fn principal(account: &str) -> Principal {
    let mut metadata = Map::new();
    metadata.insert("_elastic_service_account".to_owned(), Value::Bool(true));
    Principal {
        username: account.to_owned(),
        roles: Vec::new(),
        full_name: Some(format!("Service account - {account}")),
        email: None,
        metadata,
        realm: account::realm(REALM, REALM),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUE: &str = "AAEAAWVsYXN0aWMvZmxlZXQtc2VydmVyL3Rva2VuMTowMTIzNDU2Nzg5YWJjZGVmZ2hpamts";

    #[test]
    fn tokens_are_written_and_read_as_elasticsearch_does() {
        let credential = ServiceCredential::parse(&Secret::from(VALUE)).unwrap();
        assert_eq!(credential.account, "elastic/fleet-server");
        assert_eq!(credential.name, "token1");
        assert_eq!(credential.secret, Secret::from("0123456789abcdefghijkl"));
        assert_eq!(credential.bearer(), Secret::from(VALUE));
    }

    #[test]
    fn padding_may_be_there_or_not() {
        let credential = ServiceCredential {
            account: "elastic/kibana".to_owned(),
            name: "t".to_owned(),
            secret: Secret::from("0123456789abcd"),
        };
        let bare = credential.bearer();
        let bare = bare.expose_str().unwrap();
        assert_eq!(bare.len() % 4, 3);
        for value in [bare.to_owned(), format!("{bare}=")] {
            assert!(ServiceCredential::parse(&Secret::from(value)).is_some());
        }
    }

    #[test]
    fn anything_else_is_no_service_token() {
        for text in [
            "a/b:secret",
            "a/b/c/d:secret",
            "a/b/_c:secret",
            "a//c:s",
            "/b/c:s",
            "a/b/c",
            "",
        ] {
            let mut bytes = PREFIX.to_vec();
            bytes.extend_from_slice(text.as_bytes());
            let value = Secret::from(BASE64.encode(bytes));
            assert!(ServiceCredential::parse(&value).is_none(), "{text}");
        }
        for value in ["", "x", "AAEAAQ", "!!!", "eyJhbGciOiJub25lIn0.e30."] {
            assert!(
                ServiceCredential::parse(&Secret::from(value)).is_none(),
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(name in "[a-zA-Z0-9-][a-zA-Z0-9_-]{0,40}", secret in "[ -~]{0,40}") {
            let written = ServiceCredential { account: "elastic/kibana".to_owned(), name, secret: Secret::from(secret) };
            let read = ServiceCredential::parse(&written.bearer()).unwrap();
            prop_assert_eq!(read.key(), written.key());
            prop_assert_eq!(read.secret, written.secret);
        }

        #[test]
        fn no_bearer_value_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            ServiceCredential::parse(&Secret::new(bytes.clone()));
            ServiceCredential::parse(&Secret::from(BASE64.encode([&PREFIX[..], &bytes].concat())));
        }
    }
}
