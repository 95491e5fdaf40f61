//! What a realm is, what is shown to it, and what it may answer.
//!
//! Always true: a realm answers about one token at a time and decides nothing about roles unless it keeps them itself; what it
//! answers is for the chain, and its reasons are for the log. A new kind of credential is a variant of [`Token`]; a new kind of
//! realm implements [`Realm`].

use std::future::Future;
use std::pin::Pin;

use serde_json::{Map, Value};

use super::account::Account;
use super::jwt::token::Jwt;
use super::login::{Logins, Memory};
use super::pki::certificate::Chain;
use crate::authority::store::Tables;
use crate::model::clock::Now;
use crate::model::secret::Secret;
use crate::wire::principals::RealmRef;

/// What a request shows to the realms.
#[derive(Default)]
pub struct Presented<'a> {
    /// User name and password of `Authorization: Basic`.
    pub basic: Option<(&'a str, &'a Secret)>,
    /// The value of `Authorization: Bearer`.
    pub bearer: Option<&'a Secret>,
    /// The value of `ES-Client-Authentication: SharedSecret`.
    pub client_secret: Option<&'a Secret>,
    /// The client certificate of the connection, as the TLS listener verified it.
    pub certificates: Option<&'a Chain>,
}

/// The one credential that is checked.
pub enum Token {
    /// User name and password.
    Password {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// A JSON Web Token, and what its bearer proves themself with.
    Jwt {
        /// The token, not verified.
        jwt: Box<Jwt>,
        /// The client's secret.
        client_secret: Option<Secret>,
        /// How refusals name it.
        principal: String,
    },
    /// A certificate chain.
    Certificate {
        /// The chain, verified by nobody here yet.
        chain: Box<Chain>,
        /// How refusals name it.
        principal: String,
    },
}

impl Token {
    /// How refusals name whoever presents it.
    pub fn principal(&self) -> &str {
        match self {
            Self::Password { username, .. } => username,
            Self::Jwt { principal, .. } | Self::Certificate { principal, .. } => principal,
        }
    }
}

/// A user whose roles are kept elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// User name.
    pub username: String,
    /// Distinguished name, for role mappings.
    pub dn: Option<String>,
    /// Groups, for role mappings.
    pub groups: Vec<String>,
    /// Full name.
    pub full_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Metadata.
    pub metadata: Map<String, Value>,
}

/// What a realm says about a token.
pub enum Verdict {
    /// It takes no such token.
    NotMine,
    /// No, for this reason; the next realm is asked.
    Refused(String),
    /// Yes; roles come from mappings or from `authorization_realms`.
    Proven(Proven),
}

/// A verdict on its way.
pub type Checking<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// What one leg of a negotiation came to.
pub enum Leg {
    /// Somebody is proven; `reply` (base64) tells them whom they spoke to.
    Proven {
        /// Who.
        proven: Proven,
        /// base64
        reply: Option<String>,
    },
    /// The other side must answer `reply` (base64) first.
    Unfinished {
        /// base64
        reply: String,
    },
    /// No, for this reason; the next realm is asked.
    Refused(String),
}

/// A leg on its way.
pub type Negotiating<'a> = Pin<Box<dyn Future<Output = Leg> + Send + 'a>>;

/// A source of users.
pub trait Realm: Send + Sync {
    /// Its name and type.
    fn reference(&self) -> &RealmRef;

    /// The token it makes of what a request shows; `None`: nothing it could take.
    fn token(&self, presented: &Presented<'_>) -> Option<Token>;

    /// How a refusal would name whoever shows this JSON Web Token; `None`: this realm can't tell.
    fn name_of(&self, _jwt: &Jwt) -> Option<String> {
        None
    }

    /// The memory of proven passwords of a realm whose accounts have one; the chain checks those itself.
    fn passwords(&self) -> Option<&Memory> {
        None
    }

    /// The account of a user; run-as and password checks look here.
    fn look_up(&self, _tables: &Tables, _username: &str) -> Option<Account> {
        None
    }

    /// Whether an unknown user has to cost a password hash here: not when there is nobody to be told from.
    fn holds_users(&self) -> bool {
        false
    }

    /// Whether a wrong password here ends the search.
    fn is_final(&self) -> bool {
        false
    }

    /// Checks any other token.
    fn check<'a>(&'a self, _token: &'a Token, _now: Now) -> Checking<'a> {
        Box::pin(std::future::ready(Verdict::NotMine))
    }

    /// Judges a Kerberos ticket, base64 as sent; `None`: this realm knows nothing of them.
    fn negotiate<'a>(&'a self, _ticket: &'a Secret) -> Option<Negotiating<'a>> {
        None
    }

    /// Roles that mappings never give to its users.
    fn excluded_roles(&self) -> &[String] {
        &[]
    }

    /// Realms that the user is looked up in instead of mapping roles.
    fn authorization_realms(&self) -> &[String] {
        &[]
    }

    /// Forgets what it proved about these users; without any, about all.
    fn forget(&self, usernames: &[String]);
}

/// What the chain needs to ask its realms.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The tables.
    pub tables: &'a Tables,
    /// The password check.
    pub logins: &'a Logins,
    /// Maps users to roles.
    pub mapping: &'a (dyn Fn(&Proven, &RealmRef) -> Vec<String> + Sync),
    /// The time.
    pub now: Now,
}
