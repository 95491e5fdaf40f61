//! Why a message is not believed. For the log; whoever brought the message learns only that it was not.

/// Why a message is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not XML as this realm reads it.
    #[error("the message is malformed: {0}")]
    Malformed(&'static str),
    /// It is XML, but not this message.
    #[error("the message is no {0}")]
    NotA(&'static str),
    /// What it must hold is missing or there twice.
    #[error("{0}")]
    Shape(String),
    /// There is no metadata of the identity provider to check it with.
    #[error("there is no valid metadata of the identity provider")]
    NoMetadata,
    /// A signature that is not of the SAML profile.
    #[error("a signature is not acceptable: {0}")]
    SignatureProfile(String),
    /// A signature that no key of the identity provider made over this content.
    #[error("a signature is not valid: {0}")]
    SignatureInvalid(String),
    /// Nothing vouches for what it says.
    #[error("{0} is not signed")]
    NotSigned(&'static str),
    /// It can't be decrypted. One reason for all, or it would tell about the plain text.
    #[error("what is encrypted can't be decrypted")]
    Undecryptable,
    /// CBC without a signature around.
    #[error("AES-CBC is only taken inside a signed response")]
    UnsignedCbc,
    /// The identity provider says no.
    #[error("the identity provider answered with the status {0}")]
    Status(String),
    /// Somebody else made it.
    #[error("the issuer [{found}] is not [{expected}]")]
    Issuer {
        /// Who it says made it.
        found: String,
        /// Who should have.
        expected: String,
    },
    /// It was made for another address.
    #[error("the {what} [{found}] is not [{expected}]")]
    Address {
        /// Destination or recipient.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// It was made for somebody else.
    #[error("the audience [{expected}] is not among [{found}]")]
    Audience {
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// Too early or too late.
    #[error("{what} [{limit}]")]
    Time {
        /// What is the matter.
        what: &'static str,
        /// The limit as it stands in the message.
        limit: String,
    },
    /// It answers a request that is not under way.
    #[error("it is in response to [{in_response_to}], which is not expected")]
    Unsolicited {
        /// The request it names.
        in_response_to: String,
    },
    /// Response and assertion answer different requests.
    #[error("the response is in response to [{response}], its assertion to [{assertion}]")]
    MixedResponse {
        /// What the response says.
        response: String,
        /// What the assertion says.
        assertion: String,
    },
    /// People proved themselves in another way than was asked for.
    #[error("the way of authentication [{0}] is not one that was requested")]
    AuthnContext(String),
    /// It was used before.
    #[error("the assertion [{0}] was used before")]
    Replayed(String),
    /// Too many assertions are remembered.
    #[error("too many assertions are remembered to tell whether this one was used before")]
    ReplayMemoryFull,
    /// No user can be made of it.
    #[error("{0}")]
    NoUser(String),
}

impl Refusal {
    /// A missing or doubled part.
    pub fn shape(text: impl Into<String>) -> Self {
        Self::Shape(text.into())
    }
}

/// A text of a message's as it may stand in a log line or a sentence: bounded, without control characters.
pub fn shown(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(256)];
    cut.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}
