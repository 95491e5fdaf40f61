//! The SAML realm: this program as a service provider of SAML 2.0 (web browser single sign-on and single logout).
//!
//! Always true: a message is parsed once and what is believed is read from the very element whose signature was verified;
//! an assertion lets somebody in once; whoever brings a message learns nothing of why it was not believed. It never fetches
//! anything that a message names, and looks nobody up.
//!
//! In reading order: [`binding`] (how messages travel) → [`xml`] (bounds, tree) → [`signature`] over [`xmlsec`] → [`response`] →
//! [`assertion`] (with [`encrypted`]) → [`replay`] → [`attributes`]; [`logout`] for messages about logging out, [`message`] for
//! those this side writes, [`source`] and [`idp`] for the identity provider's metadata.

pub mod assertion;
pub mod attributes;
pub mod binding;
pub mod encrypted;
#[cfg(test)]
pub mod forge;
pub mod idp;
pub mod keys;
pub mod login;
pub mod logout;
pub mod message;
pub mod names;
pub mod refusal;
pub mod replay;
pub mod response;
pub mod signature;
pub mod source;
pub mod xml;
pub mod xmlsec;

use std::sync::Arc;

use self::assertion::Rules;
use self::attributes::Mapping;
use self::binding::Parameter;
use self::encrypted::Decryption;
use self::idp::Idp;
use self::keys::{KeyFileError, Signer};
use self::login::Login;
use self::logout::LogoutRequest;
use self::message::Message;
use self::refusal::Refusal;
use self::replay::Replay;
use self::source::Source;
use super::account;
use super::contract::{Presented, Proven, Realm, Token};
use super::pattern::PatternError;
use crate::config::realm_saml::SamlRealm as Settings;
use crate::model::clock::Now;
use crate::net::fetch::FetchError;
use crate::wire::principals::RealmRef;

/// Why a SAML realm can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum SamlError {
    /// TLS towards the metadata.
    #[error("idp.metadata: {0}")]
    Metadata(#[from] FetchError),
    /// A pattern.
    #[error("attribute_patterns: {0}")]
    Pattern(#[from] PatternError),
    /// The keys that messages are signed with.
    #[error("signing: {0}")]
    Signing(#[source] KeyFileError),
    /// The keys that assertions are decrypted with.
    #[error("encryption: {0}")]
    Encryption(#[source] KeyFileError),
}

/// Somebody whom a response let in.
#[derive(Debug)]
pub struct Accepted {
    /// Who.
    pub proven: Proven,
    /// What logging out needs.
    pub login: Login,
    /// The request that was answered.
    pub in_response_to: Option<String>,
}

/// A way to the identity provider.
#[derive(Debug)]
pub struct Redirect {
    /// Id of the message it brings.
    pub id: String,
    /// Where the browser is to go.
    pub url: String,
}

/// Users of one identity provider.
pub struct SamlRealm {
    reference: RealmRef,
    settings: Arc<Settings>,
    source: Source,
    mapping: Mapping,
    signer: Option<Signer>,
    decryption: Option<Arc<Decryption>>,
    replay: Replay,
    metadata: String,
}

impl SamlRealm {
    /// Reads keys and metadata. Metadata that can't be read yet doesn't keep it from opening.
    ///
    /// # Errors
    /// See [`SamlError`].
    pub async fn open(name: &str, settings: &Settings) -> Result<Self, SamlError> {
        let signing = settings.signing.as_ref();
        let signer = signing.map(|it| Signer::open(&it.key, &it.certificate));
        let signing = signing.map(|it| keys::certificate(&it.certificate));
        let signing = signing.transpose().map_err(SamlError::Signing)?;
        let encryption = settings.encryption.as_ref();
        let certificate = encryption.map(|it| keys::certificate(&it.certificate));
        let certificate = certificate.transpose().map_err(SamlError::Encryption)?;
        let decryption = encryption.map(|it| {
            let paths = std::iter::once(&it.key).chain(&it.former_keys);
            let keys: Result<Vec<_>, _> = paths.map(|path| keys::unwrapping_key(path)).collect();
            keys.map(|keys| Decryption {
                keys,
                allow_unsigned_cbc: it.allow_unsigned_cbc,
            })
        });
        let decryption = decryption.transpose().map_err(SamlError::Encryption)?;
        Ok(Self {
            reference: account::realm(name, "saml"),
            metadata: message::sp_metadata(settings, signing.as_deref(), certificate.as_deref()),
            source: Source::open(name, &settings.idp).await?,
            mapping: Mapping::new(&settings.attributes, settings.populate_user_metadata)?,
            signer: signer.transpose().map_err(SamlError::Signing)?,
            decryption: decryption.map(Arc::new),
            replay: Replay::default(),
            settings: Arc::new(settings.clone()),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.reference.name
    }

    /// Whether browsers bring its assertions to this address.
    pub fn is_at(&self, acs: &str) -> bool {
        self.settings.sp.acs == acs
    }

    /// The metadata of this side, XML.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Begins a login.
    ///
    /// # Errors
    /// [`Refusal::NoMetadata`], or no endpoint for it there.
    pub fn prepare(&self, relay_state: Option<&str>, now: Now) -> Result<Redirect, Refusal> {
        let idp = self.idp(now)?;
        let there = idp.sign_on.as_deref().ok_or_else(|| {
            Refusal::shape("the identity provider has no SingleSignOnService by redirect")
        })?;
        let signs = self.settings.signing.as_ref();
        let signer = self
            .signer
            .as_ref()
            .filter(|_| signs.is_some_and(|signs| signs.authn_requests));
        if signer.is_none() && idp.wants_signed_requests {
            tracing::warn!(realm = %self.name(), "the identity provider wants signed requests, and `signing` is not configured");
        }
        let message = message::authn_request(&self.settings, there, now);
        sent(there, Parameter::Request, message, relay_state, signer)
    }

    /// Judges a response (base64, as it was posted) to one of the requests `ids`, or to none.
    ///
    /// # Errors
    /// The reason, for the log.
    pub async fn authenticate(
        &self,
        content: &str,
        ids: &[String],
        now: Now,
    ) -> Result<Accepted, Refusal> {
        let idp = self.idp(now)?;
        let text = binding::from_form(content)?;
        let ids = ids.to_vec();
        // Public-key operations and a tree of a quarter of a megabyte: not for a thread that serves requests.
        let assertion = self
            .off_thread(now, move |rules| response::judge(&text, rules, &idp, &ids))
            .await?;
        let proven = self.mapping.user(&assertion)?;
        let seconds = i64::try_from(now.unix.as_secs()).unwrap_or(i64::MAX);
        self.replay
            .use_once(&assertion.id, assertion.until, seconds)?;
        Ok(Accepted {
            proven,
            login: Login {
                realm: self.name().to_owned(),
                name_id: assertion.name_id,
                session: assertion.session,
            },
            in_response_to: assertion.in_response_to,
        })
    }

    /// The way on which a login of this realm is logged out at the identity provider; `None`: there is none.
    ///
    /// # Errors
    /// [`Refusal::NoMetadata`]
    pub fn logout(&self, login: &Login, now: Now) -> Result<Option<Redirect>, Refusal> {
        if !self.settings.idp.use_single_logout {
            return Ok(None);
        }
        let idp = self.idp(now)?;
        let (Some(there), Some(name)) = (idp.logout.as_deref(), &login.name_id) else {
            return Ok(None);
        };
        let session = login.session.as_deref();
        let message = message::logout_request(&self.settings, there, name, session, now);
        let signs = self.settings.signing.as_ref();
        let signs = signs.is_some_and(|signs| signs.logout_requests);
        let signer = self.signer.as_ref().filter(|_| signs);
        sent(there, Parameter::Request, message, None, signer).map(Some)
    }

    /// Reads a request of the identity provider to log somebody out, from the query it came in; with its `RelayState`.
    ///
    /// # Errors
    /// Whatever keeps it from being believed.
    pub async fn logout_request(
        &self,
        query: &str,
        now: Now,
    ) -> Result<(LogoutRequest, Option<String>), Refusal> {
        let idp = self.idp(now)?;
        let came = binding::from_query(query, Parameter::Request, &idp)?;
        let (text, signed) = (came.text, came.signed);
        let request = self
            .off_thread(now, move |rules| {
                logout::request(&text, signed, rules, &idp)
            })
            .await?;
        Ok((request, came.relay_state))
    }

    /// Tells which logins a request to log out means.
    pub fn meant_by(&self, request: &LogoutRequest) -> impl Fn(&Login) -> bool + Send + 'static {
        let (request, settings) = (request.clone(), Arc::clone(&self.settings));
        let name = self.name().to_owned();
        move |login| {
            let (idp, sp) = (&settings.idp.entity_id, &settings.sp.entity_id);
            request.means(login, &name, idp, sp)
        }
    }

    /// The way on which the identity provider learns that its request was done; `None`: it takes no answer by redirect.
    ///
    /// # Errors
    /// [`Refusal::NoMetadata`]
    pub fn logout_answer(
        &self,
        request: &LogoutRequest,
        relay_state: Option<&str>,
        now: Now,
    ) -> Result<Option<Redirect>, Refusal> {
        let idp = self.idp(now)?;
        let Some(there) = idp.logout_answers() else {
            return Ok(None);
        };
        let message = message::logout_response(&self.settings, there, &request.id, now);
        let signs = self.settings.signing.as_ref();
        let signs = signs.is_some_and(|signs| signs.logout_responses);
        let signer = self.signer.as_ref().filter(|_| signs);
        sent(there, Parameter::Response, message, relay_state, signer).map(Some)
    }

    /// Checks the identity provider's answer to one of our requests `ids` to log somebody out.
    ///
    /// # Errors
    /// Whatever keeps it from being believed.
    pub async fn complete_logout(
        &self,
        answer: LogoutAnswer<'_>,
        ids: &[String],
        now: Now,
    ) -> Result<(), Refusal> {
        let idp = self.idp(now)?;
        let (text, signed) = match answer {
            LogoutAnswer::Query(query) => {
                let came = binding::from_query(query, Parameter::Response, &idp)?;
                (came.text, came.signed)
            }
            LogoutAnswer::Form(content) => (binding::from_form(content)?, false),
        };
        let ids = ids.to_vec();
        self.off_thread(now, move |rules| {
            logout::response(&text, signed, rules, &idp, &ids)
        })
        .await
    }

    fn idp(&self, now: Now) -> Result<Arc<Idp>, Refusal> {
        self.source.idp(now).ok_or(Refusal::NoMetadata)
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        now: Now,
        judge: impl FnOnce(&Rules<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let settings = Arc::clone(&self.settings);
        let decryption = self.decryption.clone();
        let judged = tokio::task::spawn_blocking(move || {
            judge(&Rules {
                settings: &settings,
                decryption: decryption.as_deref(),
                now,
            })
        });
        let cut_short = |_| Refusal::shape("the check was cut short");
        judged.await.map_err(cut_short)?
    }
}

/// The identity provider's answer to a request to log out.
#[derive(Clone, Copy, Debug)]
pub enum LogoutAnswer<'a> {
    /// It came by redirect: the query.
    Query(&'a str),
    /// It was posted: base64.
    Form(&'a str),
}

fn sent(
    there: &str,
    parameter: Parameter,
    message: Message,
    relay_state: Option<&str>,
    signer: Option<&Signer>,
) -> Result<Redirect, Refusal> {
    let url = binding::redirect(there, parameter, &message.text, relay_state, signer)
        .ok_or_else(|| Refusal::shape("the message can't be signed"))?;
    Ok(Redirect {
        id: message.id,
        url,
    })
}

impl Realm for Arc<SamlRealm> {
    fn reference(&self) -> &RealmRef {
        &self.reference
    }

    fn token(&self, _presented: &Presented<'_>) -> Option<Token> {
        None
    }

    fn excluded_roles(&self) -> &[String] {
        &self.settings.exclude_roles
    }

    fn authorization_realms(&self) -> &[String] {
        &self.settings.authorization_realms
    }

    fn forget(&self, _usernames: &[String]) {}
}
