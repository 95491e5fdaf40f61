//! XML signatures and encryption: the one file that knows the library which does them.
//!
//! What it is asked has been looked at before: [`super::signature`] lets through signatures of the SAML profile only, and
//! [`super::encrypted`] takes encrypted data apart. So nothing here ever resolves a reference outside of the message, believes a
//! key the message brought, or runs a transform that is not canonicalisation. A library in its place implements this file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bergshamra::crypto::{cipher, keytransport};
use bergshamra::dsig::verify::verify_all_document;
use bergshamra::keys::loader;
use bergshamra::{DsigContext, Key, KeyData, KeyUsage, KeysManager, VerifyResult};
use uppsala::{Document, NodeId};
use zeroize::Zeroizing;

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the key can't be used: {0}")]
pub struct KeyError(String);

/// The public keys of an identity provider.
#[derive(Clone)]
pub struct VerifyingKeys(Vec<Key>);

impl VerifyingKeys {
    /// Takes the keys out of certificates (DER); those that can't be used are left out.
    pub fn of_certificates<'c>(certificates: impl IntoIterator<Item = &'c [u8]>) -> Self {
        let keys = certificates.into_iter().filter_map(|certificate| {
            let key = loader::load_x509_cert_der(certificate).ok()?;
            // A certificate is but the wrapping of a key here: the operator trusts the metadata, not a CA.
            Some(Key::new(key.data, KeyUsage::Verify))
        });
        Self(keys.collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies every signature of a document: for each, the element it signs.
    ///
    /// # Errors
    /// The reason, when any of them is not valid.
    pub fn verify(&self, document: &Document<'_>) -> Result<Vec<NodeId>, String> {
        let mut manager = KeysManager::new();
        manager.add_keys(self.0.iter().cloned());
        let context = DsigContext::new(manager)
            .with_trusted_keys_only(true)
            .with_strict_verification(true)
            .with_require_reference_digests(true);
        let results = verify_all_document(&context, document).map_err(|error| error.to_string())?;
        let signed = results.into_iter().map(|result| match result {
            VerifyResult::Invalid { reason } => Err(reason),
            VerifyResult::Valid { references, .. } => match references.as_slice() {
                [one] if one.digest_verified => {
                    let node = one.resolved_node;
                    node.ok_or_else(|| "it signs nothing of this document".to_owned())
                }
                _ => Err("it signs something else than one element".to_owned()),
            },
        });
        signed.collect()
    }
}

/// A private RSA key that unwraps keys.
pub struct UnwrappingKey(KeyData);

impl UnwrappingKey {
    /// Takes a key in PKCS #8.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn of_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        // The library's one way in that is open to us reads PEM, in lines of 64 letters.
        let body = Zeroizing::new(STANDARD.encode(der));
        let mut pem = Zeroizing::new("-----BEGIN PRIVATE KEY-----\n".to_owned());
        for (count, letter) in body.chars().enumerate() {
            if count > 0 && count % 64 == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem.push_str("\n-----END PRIVATE KEY-----\n");
        let key = loader::load_rsa_private_pem(pem.as_bytes());
        Ok(Self(key.map_err(|error| KeyError(error.to_string()))?.data))
    }

    /// Unwraps a key by RSA-OAEP, whose parameters are URIs as written; `None`: for whatever reason it can't be.
    pub fn unwrap(
        &self,
        algorithm: &str,
        oaep: &Oaep,
        wrapped: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let parameters = keytransport::OaepParams {
            digest_uri: oaep.digest.clone(),
            mgf_uri: oaep.mask.clone(),
            oaep_params: oaep.label.clone(),
        };
        let transport = keytransport::from_uri_with_params(algorithm, parameters).ok()?;
        let key = self.0.software_key().ok()??;
        transport.decrypt(&key, wrapped).ok().map(Zeroizing::new)
    }
}

/// The parameters of RSA-OAEP.
#[derive(Clone, Debug, Default)]
pub struct Oaep {
    /// URI of the digest; `None`: SHA-1, the standard's default.
    pub digest: Option<String>,
    /// URI of the mask generation function; `None`: the default of the algorithm.
    pub mask: Option<String>,
    /// The label.
    pub label: Option<Vec<u8>>,
}

/// Decrypts by a cipher, given as its URI; `None`: for whatever reason it can't be.
pub fn decrypt(algorithm: &str, key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let cipher = cipher::from_uri(algorithm).ok()?;
    if cipher.key_size() != key.len() {
        return None;
    }
    cipher.decrypt(key, sealed).ok()
}

#[cfg(test)]
pub mod oracle {
    //! What the other side does: tests alone sign and encrypt.

    use bergshamra::dsig::sign;

    use super::*;

    /// Fills in the first signature template of a document.
    pub fn sign(xml: &str, key_pem: &[u8]) -> String {
        let key = loader::load_pem_auto(key_pem, None).expect("a key");
        let mut manager = KeysManager::new();
        manager.add_key(key);
        sign::sign(&DsigContext::new_permissive(manager), xml).expect("a template")
    }

    /// Fills in a signature template with a secret key.
    pub fn sign_by_secret(xml: &str, secret: &[u8]) -> String {
        let mut manager = KeysManager::new();
        manager.add_key(loader::load_hmac_key(secret).expect("a key"));
        sign::sign(&DsigContext::new_permissive(manager), xml).expect("a template")
    }

    /// Wraps a key for whoever has the private key of a certificate.
    pub fn wrap(algorithm: &str, certificate: &[u8], key: &[u8]) -> Vec<u8> {
        let public = loader::load_x509_cert_der(certificate).expect("a certificate");
        let public = public.software_key().expect("a key").expect("of software");
        let transport = keytransport::from_uri(algorithm).expect("an algorithm");
        transport.encrypt(&public, key).expect("a wrapped key")
    }

    /// Encrypts by a cipher.
    pub fn encrypt(algorithm: &str, key: &[u8], plain: &[u8]) -> Vec<u8> {
        let cipher = cipher::from_uri(algorithm).expect("an algorithm");
        cipher.encrypt(key, plain).expect("a sealed text")
    }
}
