//! Keys as files hold them: the pair this side signs with, the keys it decrypts with; and signatures over bare bytes, which
//! messages by redirect have (SAML bindings §3.4.4.1).

use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::parse_x509_certificate;

use super::names::{ECDSA_SHA256, ECDSA_SHA384, ECDSA_SHA512, RSA_SHA256, RSA_SHA384, RSA_SHA512};
use super::xmlsec::UnwrappingKey;

/// Why a file gives no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It can't be read, or holds no such PEM.
    #[error("file {path} can't be read as {what}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// It is a key of another kind.
    #[error("file {path} holds a key that can't be used: {reason}")]
    Kind {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// Key and certificate are not a pair.
    #[error("the certificate in {certificate} is not for the key in {key}")]
    Pair {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
}

/// A certificate file's first certificate, DER.
///
/// # Errors
/// [`KeyFileError::Read`]
pub fn certificate(path: &Path) -> Result<CertificateDer<'static>, KeyFileError> {
    CertificateDer::from_pem_file(path).map_err(|error| KeyFileError::Read {
        path: path.to_owned(),
        what: "a certificate",
        reason: error.to_string(),
    })
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, KeyFileError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| KeyFileError::Read {
        path: path.to_owned(),
        what: "a private key",
        reason: error.to_string(),
    })
}

/// What messages are signed with.
pub enum Signer {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rsa(Box<RsaKeyPair>),
    /// ECDSA, with the URI of its algorithm.
    Ec(Box<EcdsaKeyPair>, &'static str),
}

impl Signer {
    /// Reads a private key, which must fit the certificate.
    ///
    /// # Errors
    /// [`KeyFileError`]
    pub fn open(key: &Path, certificate_path: &Path) -> Result<Self, KeyFileError> {
        let signer = Self::of(&private_key(key)?).map_err(|reason| KeyFileError::Kind {
            path: key.to_owned(),
            reason,
        })?;
        let leaf = certificate(certificate_path)?;
        let fits = public_key(&leaf).is_some_and(|public| public == signer.public_key());
        if !fits {
            return Err(KeyFileError::Pair {
                key: key.to_owned(),
                certificate: certificate_path.to_owned(),
            });
        }
        Ok(signer)
    }

    fn of(key: &PrivateKeyDer<'_>) -> Result<Self, &'static str> {
        if let Some(pair) = rsa(key) {
            return Ok(Self::Rsa(Box::new(pair)));
        }
        let curves = [
            (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_SHA256),
            (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_SHA384),
        ];
        for (curve, uri) in curves {
            let pair = match key {
                PrivateKeyDer::Pkcs8(der) => {
                    EcdsaKeyPair::from_pkcs8(curve, der.secret_pkcs8_der())
                }
                PrivateKeyDer::Sec1(der) => {
                    EcdsaKeyPair::from_private_key_der(curve, der.secret_sec1_der())
                }
                _ => continue,
            };
            if let Ok(pair) = pair {
                return Ok(Self::Ec(Box::new(pair), uri));
            }
        }
        Err("neither RSA of 2048 bits or more, nor P-256, nor P-384")
    }

    fn public_key(&self) -> &[u8] {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::Ec(pair, _) => pair.public_key().as_ref(),
        }
    }

    /// URI of its algorithm.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => RSA_SHA256,
            Self::Ec(_, uri) => uri,
        }
    }

    /// Signs; `None` only when the library can't.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                let padding = &signature::RSA_PKCS1_SHA256;
                pair.sign(padding, &random, message, &mut made).ok()?;
                Some(made)
            }
            Self::Ec(pair, _) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
        }
    }
}

fn rsa(key: &PrivateKeyDer<'_>) -> Option<RsaKeyPair> {
    match key {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
        _ => None,
    }
}

/// Reads a private RSA key that unwraps others.
///
/// # Errors
/// [`KeyFileError`]
pub fn unwrapping_key(path: &Path) -> Result<UnwrappingKey, KeyFileError> {
    let kind = |reason| KeyFileError::Kind {
        path: path.to_owned(),
        reason,
    };
    let pair = rsa(&private_key(path)?).ok_or_else(|| kind("it is no RSA key"))?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| kind("it is no RSA key"))?;
    UnwrappingKey::of_pkcs8(der.as_ref()).map_err(|_| kind("it can't be imported"))
}

/// The public key inside a certificate: PKCS #1 for RSA, a point for elliptic curves.
fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let info = &certificate.tbs_certificate.subject_pki;
    Some(info.subject_public_key.data.to_vec())
}

/// Public keys that verify signatures over bare bytes.
#[derive(Clone, Default)]
pub struct QueryKeys(Vec<Vec<u8>>);

impl QueryKeys {
    /// Takes the keys out of certificates (DER); those that can't be read are left out.
    pub fn of_certificates<'c>(certificates: impl IntoIterator<Item = &'c [u8]>) -> Self {
        Self(certificates.into_iter().filter_map(public_key).collect())
    }

    /// Whether one of the keys made this signature, by the algorithm of this URI.
    pub fn verifies(&self, algorithm: &str, message: &[u8], signed: &[u8]) -> bool {
        let Some(algorithm) = verification(algorithm) else {
            return false;
        };
        let fits = |key: &Vec<u8>| {
            let key = UnparsedPublicKey::new(algorithm, key);
            key.verify(message, signed).is_ok()
        };
        self.0.iter().any(fits)
    }
}

/// The algorithm of a URI, of those in [`super::names::SIGNATURES`].
fn verification(uri: &str) -> Option<&'static dyn VerificationAlgorithm> {
    match uri {
        RSA_SHA256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        RSA_SHA384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        RSA_SHA512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        ECDSA_SHA256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        ECDSA_SHA384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        ECDSA_SHA512 => Some(&signature::ECDSA_P521_SHA512_FIXED),
        _ => None,
    }
}
