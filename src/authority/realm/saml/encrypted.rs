//! Encrypted parts of a message: taken apart here, strictly, so that the library only ever sees bytes.
//!
//! Always true: RSA-OAEP unwraps the key, AES the content; nothing else does. Every failure is the one
//! [`Refusal::Undecryptable`], and AES-CBC, which proves nothing about its content, is taken only where a signature around it
//! was verified or the operator wants it. What comes out is a text of its own and never goes back into a document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uppsala::{Document, NodeId};

use super::names::{DSIG, XENC, XENC11};
use super::refusal::Refusal;
use super::xml::{self, MAX_MESSAGE};
use super::xmlsec::{Oaep, UnwrappingKey, decrypt};

/// Ciphers that authenticate what they encrypt.
const GCM: [&str; 3] = [
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2009/xmlenc11#aes192-gcm",
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
];
/// Ciphers that don't.
const CBC: [&str; 3] = [
    "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes192-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
];
/// RSA-OAEP; PKCS #1 v1.5 is not taken (Bleichenbacher).
const OAEP: [&str; 2] = [
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
    "http://www.w3.org/2009/xmlenc11#rsa-oaep",
];
/// Wrapped keys that are tried at most: one per recipient.
const MAX_WRAPPED: usize = 4;

/// The private keys of this side.
pub struct Decryption {
    /// The keys, in the order they are tried.
    pub keys: Vec<UnwrappingKey>,
    /// Whether CBC is taken without a signature around it.
    pub allow_unsigned_cbc: bool,
}

impl Decryption {
    /// Decrypts `EncryptedAssertion`, `EncryptedID` or `EncryptedAttribute`. `signed` tells whether a verified signature covers it.
    ///
    /// # Errors
    /// [`Refusal::Undecryptable`], [`Refusal::UnsignedCbc`]
    pub fn open(
        &self,
        document: &Document<'_>,
        wrapper: NodeId,
        signed: bool,
    ) -> Result<String, Refusal> {
        let data = child(document, wrapper, "EncryptedData")?;
        let method = child(document, data, "EncryptionMethod")?;
        let cipher = xml::attribute(document, method, "Algorithm").unwrap_or_default();
        if CBC.contains(&cipher) && !signed && !self.allow_unsigned_cbc {
            return Err(Refusal::UnsignedCbc);
        }
        if !GCM.contains(&cipher) && !CBC.contains(&cipher) {
            return Err(Refusal::Undecryptable);
        }
        let sealed = cipher_value(document, data)?;
        let plain = wrapped_keys(document, wrapper, data)
            .into_iter()
            .filter_map(|wrapped| Wrapped::read(document, wrapped))
            .flat_map(|wrapped| self.keys.iter().filter_map(move |key| wrapped.open(key)))
            .find_map(|key| decrypt(cipher, &key, &sealed));
        plain
            .filter(|plain| plain.len() <= MAX_MESSAGE)
            .and_then(|plain| String::from_utf8(plain).ok())
            .ok_or(Refusal::Undecryptable)
    }
}

fn child(document: &Document<'_>, parent: NodeId, name: &str) -> Result<NodeId, Refusal> {
    xml::one(document, parent, XENC, name).map_err(|_| Refusal::Undecryptable)
}

fn cipher_value(document: &Document<'_>, parent: NodeId) -> Result<Vec<u8>, Refusal> {
    let data = child(document, parent, "CipherData")?;
    let value = child(document, data, "CipherValue")?;
    let text = xml::text(document, value).map_err(|_| Refusal::Undecryptable)?;
    decoded(&text).ok_or(Refusal::Undecryptable)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).ok()
}

/// Wrapped keys stand inside the encrypted data, or beside it.
fn wrapped_keys(document: &Document<'_>, wrapper: NodeId, data: NodeId) -> Vec<NodeId> {
    let inside = xml::children(document, data, DSIG, "KeyInfo")
        .into_iter()
        .flat_map(|info| xml::children(document, info, XENC, "EncryptedKey"));
    let beside = xml::children(document, wrapper, XENC, "EncryptedKey");
    inside.chain(beside).take(MAX_WRAPPED).collect()
}

/// A wrapped key.
struct Wrapped {
    algorithm: String,
    oaep: Oaep,
    bytes: Vec<u8>,
}

impl Wrapped {
    fn read(document: &Document<'_>, node: NodeId) -> Option<Self> {
        let method = child(document, node, "EncryptionMethod").ok()?;
        let algorithm = xml::attribute(document, method, "Algorithm")?;
        if !OAEP.contains(&algorithm) {
            return None;
        }
        let named = |namespace, name| {
            let node = xml::optional(document, method, namespace, name).ok()??;
            xml::attribute(document, node, "Algorithm").map(str::to_owned)
        };
        let label = xml::optional(document, method, XENC, "OAEPparams").ok()?;
        let label = match label {
            Some(node) => Some(decoded(&xml::text(document, node).ok()?)?),
            None => None,
        };
        Some(Self {
            algorithm: algorithm.to_owned(),
            oaep: Oaep {
                digest: named(DSIG, "DigestMethod"),
                mask: named(XENC11, "MGF"),
                label,
            },
            bytes: cipher_value(document, node).ok()?,
        })
    }

    fn open(&self, key: &UnwrappingKey) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        key.unwrap(&self.algorithm, &self.oaep, &self.bytes)
    }
}
