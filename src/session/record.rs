//! One browser session: who logged in, how, with which tokens, and for how long.
//!
//! Always true: a record is immutable; what changes it makes another of the next generation, so that two who change it at the
//! same time can tell. Only the sealed form of it leaves the process.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::sso::ProviderKind;
use crate::model::clock::{self, Now};
use crate::model::secret::Secret;

/// How somebody logged in, as a closed set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// SAML.
    Saml,
    /// OpenID Connect.
    Oidc,
    /// User name and password.
    Password,
    /// A Kerberos ticket.
    Kerberos,
    /// A client certificate.
    Pki,
    /// Nothing at all.
    Anonymous,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Saml,
        Self::Oidc,
        Self::Password,
        Self::Kerberos,
        Self::Pki,
        Self::Anonymous,
    ];

    /// The label in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Saml => "saml",
            Self::Oidc => "oidc",
            Self::Password => "password",
            Self::Kerberos => "kerberos",
            Self::Pki => "pki",
            Self::Anonymous => "anonymous",
        }
    }

    /// Of a provider.
    pub const fn of(kind: &ProviderKind) -> Self {
        match kind {
            ProviderKind::Saml { .. } => Self::Saml,
            ProviderKind::Oidc { .. } => Self::Oidc,
            ProviderKind::Password => Self::Password,
            ProviderKind::Kerberos => Self::Kerberos,
            ProviderKind::Pki => Self::Pki,
            ProviderKind::Anonymous(_) => Self::Anonymous,
        }
    }
}

/// The random name of a session: 256 bits that nobody can guess. Whoever knows it, and has the key, has the session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// A new one.
    pub fn random() -> Self {
        Self(clock::random_bytes())
    }

    /// The one with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes; secret.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What may be shown of it, and what it is found by in a store: a hash, base64url.
    pub fn hash(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.0);
        URL_SAFE_NO_PAD.encode(hash)
    }
}

impl fmt::Debug for SessionId {
    /// Enough of its hash to follow a session through a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash();
        write!(f, "session:{}", hash.get(..10).unwrap_or_default())
    }
}

/// Tokens of the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// What requests are judged by.
    pub access: Secret,
    /// What a new pair is made of, once; `None` where another login is the only way.
    pub refresh: Option<Secret>,
    /// When the access token was asked for. Time since the Unix epoch.
    pub granted: Duration,
    /// When it ends. Time since the Unix epoch.
    pub expires: Duration,
}

impl Tokens {
    /// Tokens that live `life` from `now` on.
    pub fn new(access: Secret, refresh: Option<Secret>, life: Duration, now: Now) -> Self {
        Self {
            access,
            refresh,
            granted: now.unix,
            expires: now.unix.saturating_add(life),
        }
    }
}

/// What an OpenID provider calls the session, for logouts that it tells of behind the browser's back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcNames {
    /// `sub`.
    #[serde(rename = "u")]
    pub subject: String,
    /// `sid`, if it has one.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// What a login comes to, before it is a session.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Name of the provider.
    pub provider: String,
    /// Its kind.
    pub kind: Kind,
    /// Who logged in, as the authority says.
    pub username: String,
    /// The realm that says so.
    pub realm: String,
    /// The tokens; `None` for an anonymous provider, whose credential is in the settings.
    pub tokens: Option<Tokens>,
    /// Longest time without activity; `None`: the provider's, else the sessions' own.
    pub idle_timeout: Option<Duration>,
    /// Longest life; `None`: the provider's, else the sessions' own.
    pub lifespan: Option<Duration>,
    /// What the OpenID provider calls it.
    pub oidc: Option<OidcNames>,
    /// SHA-256 of the certificate it was made with; its requests must show the same one.
    pub certificate: Option<[u8; 32]>,
    /// Whether there is nothing (more) that the user must agree to. Until then no request passes with it.
    pub agreed: bool,
}

/// A session.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Which of its records this is; each change counts one up.
    pub generation: u64,
    /// Name of the provider.
    pub provider: String,
    /// Its kind.
    pub kind: Kind,
    /// Who it belongs to.
    pub username: String,
    /// The realm that says so.
    pub realm: String,
    /// The tokens; `None` for an anonymous provider.
    pub tokens: Option<Tokens>,
    /// When it began. Time since the Unix epoch.
    pub created: Duration,
    /// Longest time without activity.
    pub idle_timeout: Duration,
    /// Longest life.
    pub lifespan: Duration,
    /// What the OpenID provider calls it.
    pub oidc: Option<OidcNames>,
    /// SHA-256 of the certificate it was made with.
    pub certificate: Option<[u8; 32]>,
    /// Whether there is nothing that the user must agree to.
    pub agreed: bool,
}

impl Session {
    /// The first record of a session that begins now, under a new id.
    pub(super) fn begin(
        new: NewSession,
        idle_timeout: Duration,
        lifespan: Duration,
        now: Now,
    ) -> Self {
        Self {
            id: SessionId::random(),
            generation: 1,
            provider: new.provider,
            kind: new.kind,
            username: new.username,
            realm: new.realm,
            tokens: new.tokens,
            created: Duration::from_millis(now.unix_millis()),
            idle_timeout,
            lifespan,
            oidc: new.oidc,
            certificate: new.certificate,
            agreed: new.agreed,
        }
    }

    /// When its lifespan ends. Time since the Unix epoch.
    pub fn ends(&self) -> Duration {
        self.created.saturating_add(self.lifespan)
    }

    /// Whether `other` is of the same user at the same provider.
    pub fn is_of_same_user(&self, other: &Self) -> bool {
        self.provider == other.provider
            && self.username == other.username
            && self.realm == other.realm
    }

    /// The bytes that are sealed.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let text = |secret: &Secret| secret.expose_str().unwrap_or_default().to_owned();
        let wire = Wire {
            id: URL_SAFE_NO_PAD.encode(self.id.expose()),
            generation: self.generation,
            provider: self.provider.clone(),
            kind: self.kind,
            username: self.username.clone(),
            realm: self.realm.clone(),
            tokens: self.tokens.as_ref().map(|tokens| WireTokens {
                access: Zeroizing::new(text(&tokens.access)),
                refresh: tokens.refresh.as_ref().map(|it| Zeroizing::new(text(it))),
                granted: millis(tokens.granted),
                expires: millis(tokens.expires),
            }),
            created: millis(self.created),
            idle_timeout: millis(self.idle_timeout),
            lifespan: millis(self.lifespan),
            oidc: self.oidc.clone(),
            certificate: self.certificate.map(|hash| URL_SAFE_NO_PAD.encode(hash)),
            agreed: self.agreed,
        };
        // Sized so that the buffer never grows and leaves a copy behind; strings can't fail to serialize.
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        drop(serde_json::to_writer(&mut *bytes, &wire));
        bytes
    }

    /// Reads such bytes; `None` when another version of the program wrote them in a way that this one doesn't know.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(bytes).ok()?;
        let tokens = wire.tokens.map(|tokens| Tokens {
            access: Secret::new(tokens.access.as_bytes()),
            refresh: tokens.refresh.map(|it| Secret::new(it.as_bytes())),
            granted: Duration::from_millis(tokens.granted),
            expires: Duration::from_millis(tokens.expires),
        });
        Some(Self {
            id: SessionId(hash(&wire.id)?),
            generation: wire.generation,
            provider: wire.provider,
            kind: wire.kind,
            username: wire.username,
            realm: wire.realm,
            tokens,
            created: Duration::from_millis(wire.created),
            idle_timeout: Duration::from_millis(wire.idle_timeout),
            lifespan: Duration::from_millis(wire.lifespan),
            oidc: wire.oidc,
            certificate: match wire.certificate {
                Some(text) => Some(hash(&text)?),
                None => None,
            },
            agreed: wire.agreed,
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("generation", &self.generation)
            .field("provider", &self.provider)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Short names: every byte travels with every request.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(rename = "i")]
    id: String,
    #[serde(rename = "g")]
    generation: u64,
    #[serde(rename = "p")]
    provider: String,
    #[serde(rename = "k")]
    kind: Kind,
    #[serde(rename = "u")]
    username: String,
    #[serde(rename = "r")]
    realm: String,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    tokens: Option<WireTokens>,
    #[serde(rename = "c")]
    created: u64,
    #[serde(rename = "d")]
    idle_timeout: u64,
    #[serde(rename = "l")]
    lifespan: u64,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    oidc: Option<OidcNames>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(rename = "y")]
    agreed: bool,
}

#[derive(Serialize, Deserialize)]
struct WireTokens {
    #[serde(rename = "a", with = "plain")]
    access: Zeroizing<String>,
    #[serde(rename = "r", with = "plain_option", default)]
    refresh: Option<Zeroizing<String>>,
    #[serde(rename = "g")]
    granted: u64,
    #[serde(rename = "e")]
    expires: u64,
}

/// A wiped string in JSON.
mod plain {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        text: &Zeroizing<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}

/// The same where there may be none.
mod plain_option {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        text: &Option<Zeroizing<String>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match text {
            Some(text) => serializer.serialize_some(text.as_str()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<Option<Zeroizing<String>>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Zeroizing::new))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hash(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            id: SessionId::random(),
            generation: 3,
            provider: "corp".into(),
            kind: Kind::Oidc,
            username: "zoë".into(),
            realm: "oidc1".into(),
            tokens: Some(Tokens {
                access: Secret::from("access-token"),
                refresh: Some(Secret::from("refresh-token")),
                granted: Duration::from_millis(1_000_001),
                expires: Duration::from_millis(2_000_002),
            }),
            created: Duration::from_secs(1_000),
            idle_timeout: Duration::from_secs(60),
            lifespan: Duration::from_secs(600),
            oidc: Some(OidcNames {
                subject: "s".into(),
                session: None,
            }),
            certificate: Some([7; 32]),
            agreed: true,
        }
    }

    #[test]
    fn a_session_reads_as_it_was_written() {
        let one = session();
        assert_eq!(Session::decode(&one.encode()), Some(one));
        let bare = Session {
            tokens: None,
            oidc: None,
            certificate: None,
            agreed: false,
            ..session()
        };
        assert_eq!(Session::decode(&bare.encode()), Some(bare));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let one = session();
        let printed = format!("{one:?}");
        assert!(!printed.contains("token"), "{printed}");
        assert!(!printed.contains(&URL_SAFE_NO_PAD.encode(one.id.expose())));
    }

    #[test]
    fn what_is_no_session_is_none() {
        for bytes in [&b""[..], b"{}", b"[]", b"{\"i\":\"AA\"}"] {
            assert_eq!(Session::decode(bytes), None);
        }
    }
}
