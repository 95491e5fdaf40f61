//! The keys that seal what browsers and stores keep for Sidegate.
//!
//! Always true: what is sealed can be neither read nor changed without a key of the ring; what was sealed for one purpose, or
//! beside one context, opens for no other; the first key seals, all of them open, so that keys can be changed without ending
//! anything; every message has a key of its own, derived from 128 random bits, so that no number of messages wears a key out.
//!
//! A sealed message: one byte of version, 4 bytes of key id, 16 bytes of salt, AES-256-GCM ciphertext with its tag. Message keys
//! and nonces come from HKDF-SHA256 (RFC 5869) over the configured key with the purpose and the salt.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::model::clock;
use crate::model::secret::Secret;

const VERSION: u8 = 1;
const ID: usize = 4;
const SALT: usize = 16;
const HEADER: usize = 1 + ID + SALT;
const TAG: usize = 16;
const KEY: usize = 32;
const NONCE: usize = 12;

/// Bytes of a sealed message at most; nothing that Sidegate seals comes near.
pub const MAX_SEALED: usize = 64 * 1024;
/// Bytes by which a sealed message is longer than what it holds.
pub const OVERHEAD: usize = HEADER + TAG;

/// Keys, the sealing one first.
pub struct Keyring {
    keys: Vec<Key>,
}

struct Key {
    id: [u8; ID],
    prk: Prk,
}

/// Nothing could be sealed: the cipher itself failed, which only a message of gigabytes makes it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealing failed")]
pub struct SealError;

impl From<Unspecified> for SealError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

impl Keyring {
    /// A ring of these keys (each at least 32 bytes, which the check of the settings sees to); `spare` where there are none.
    pub fn new(keys: &[Secret], spare: &Secret) -> Self {
        let keys = match keys {
            [] => std::slice::from_ref(spare),
            keys => keys,
        };
        Self {
            keys: keys.iter().map(|key| Key::of(key.expose())).collect(),
        }
    }

    /// Seals `plaintext` for `purpose`; `context` must be given again to open it, and is not in the message.
    ///
    /// # Errors
    /// [`SealError`] when the cipher fails.
    pub fn seal(
        &self,
        purpose: &'static str,
        plaintext: &[u8],
        context: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let key = self.keys.first().ok_or(SealError)?;
        let salt = clock::random_bytes::<SALT>();
        let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&salt);
        // Encrypted where it will not be copied again: no clear text stays behind in a buffer that grew.
        let mut body = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG));
        body.extend_from_slice(plaintext);
        let (cipher, nonce) = key.cipher(purpose, &salt)?;
        cipher.seal_in_place_append_tag(nonce, Aad::from(context), &mut *body)?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what was sealed for `purpose` beside `context`; `None` for anything else, whatever is wrong with it.
    pub fn open(
        &self,
        purpose: &'static str,
        sealed: &[u8],
        context: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.len() < OVERHEAD || sealed.len() > MAX_SEALED {
            return None;
        }
        let (header, body) = sealed.split_at_checked(HEADER)?;
        let (version, rest) = header.split_first()?;
        let (id, salt) = rest.split_at_checked(ID)?;
        if *version != VERSION {
            return None;
        }
        // Two keys may share an id by chance, so every one that has it is tried.
        self.keys
            .iter()
            .filter(|key| key.id == id)
            .find_map(|key| key.open(purpose, salt, body, context))
    }

    /// The same as [`Keyring::seal`], as text for cookies and URLs (base64url without padding).
    ///
    /// # Errors
    /// [`SealError`] when the cipher fails.
    pub fn seal_text(
        &self,
        purpose: &'static str,
        plaintext: &[u8],
        context: &[u8],
    ) -> Result<String, SealError> {
        let sealed = self.seal(purpose, plaintext, context)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens such a text.
    pub fn open_text(
        &self,
        purpose: &'static str,
        text: &[u8],
        context: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        if text.len() > MAX_SEALED.div_ceil(3) * 4 {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        self.open(purpose, &sealed, context)
    }

    /// Whether a sealed text names another key than the first: it is worth sealing anew.
    pub fn is_aged(&self, text: &[u8]) -> bool {
        // The id lies in the first 8 bytes of base64: 6 bytes of message.
        let head = text
            .get(..8)
            .and_then(|head| URL_SAFE_NO_PAD.decode(head).ok());
        let id = head.as_deref().and_then(|head| head.get(1..1 + ID));
        match (id, self.keys.first()) {
            (Some(id), Some(first)) => first.id != id,
            _ => false,
        }
    }
}

impl Key {
    fn of(key: &[u8]) -> Self {
        let prk = Salt::new(HKDF_SHA256, b"sidegate keyring").extract(key);
        let mut id = [0; ID];
        // HKDF fails for outputs beyond 255 blocks only; an id of zeros would still be an id.
        if expand(&prk, &[b"key id"], &mut id).is_err() {
            id = [0; ID];
        }
        Self { id, prk }
    }

    fn cipher(
        &self,
        purpose: &'static str,
        salt: &[u8],
    ) -> Result<(LessSafeKey, Nonce), Unspecified> {
        let mut derived = Zeroizing::new([0; KEY + NONCE]);
        expand(
            &self.prk,
            &[b"message", &[0], purpose.as_bytes(), &[0], salt],
            &mut *derived,
        )?;
        let (key, nonce) = derived.split_at(KEY);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
        Ok((key, Nonce::try_assume_unique_for_key(nonce)?))
    }

    fn open(
        &self,
        purpose: &'static str,
        salt: &[u8],
        body: &[u8],
        context: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (cipher, nonce) = self.cipher(purpose, salt).ok()?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = cipher
            .open_in_place(nonce, Aad::from(context), &mut body)
            .ok()?
            .len();
        body.truncate(length);
        Some(body)
    }
}

/// A number of bytes to derive.
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) -> Result<(), Unspecified> {
    prk.expand(info, Bytes(out.len()))?.fill(out)
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("keys", &self.keys.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(keys: &[&str]) -> Keyring {
        let keys: Vec<Secret> = keys.iter().map(|key| Secret::from(*key)).collect();
        Keyring::new(&keys, &Secret::from("spare"))
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_context_alone() {
        let ring = ring(&["one"]);
        let sealed = ring.seal("session", b"secret", b"here").unwrap();
        let open = |purpose, context: &[u8]| ring.open(purpose, &sealed, context);
        assert_eq!(open("session", b"here").unwrap().as_slice(), b"secret");
        assert!(open("attempt", b"here").is_none());
        assert!(open("session", b"there").is_none());
    }

    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let (old, both, new) = (ring(&["old"]), ring(&["new", "old"]), ring(&["new"]));
        let by_old = old.seal_text("x", b"1", b"").unwrap();
        assert!(both.open_text("x", by_old.as_bytes(), b"").is_some());
        assert!(both.is_aged(by_old.as_bytes()) && !old.is_aged(by_old.as_bytes()));
        assert!(new.open_text("x", by_old.as_bytes(), b"").is_none());
        let by_both = both.seal_text("x", b"1", b"").unwrap();
        assert!(new.open_text("x", by_both.as_bytes(), b"").is_some());
        assert!(!both.is_aged(by_both.as_bytes()));
    }

    #[test]
    fn without_keys_the_spare_one_seals() {
        let one = ring(&[]);
        let sealed = one.seal("x", b"1", b"").unwrap();
        assert!(ring(&["spare"]).open("x", &sealed, b"").is_some());
        let other = Keyring::new(&[], &Secret::from("another"));
        assert!(other.open("x", &sealed, b"").is_none());
    }

    #[test]
    fn equal_messages_look_different() {
        let ring = ring(&["one"]);
        assert_ne!(ring.seal("x", b"1", b""), ring.seal("x", b"1", b""));
    }

    #[test]
    fn a_message_is_longer_than_its_content_by_the_overhead() {
        let sealed = ring(&["one"]).seal("x", &[7; 100], b"").unwrap();
        assert_eq!(sealed.len(), 100 + OVERHEAD);
    }

    proptest! {
        #[test]
        fn anything_changed_or_cut_does_not_open(at in 0_usize..200, bit in 0_u8..8, cut in 0_usize..200) {
            let ring = ring(&["one", "two"]);
            let sealed = ring.seal("x", &[3; 100], b"c").unwrap();
            let mut changed = sealed.clone();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1 << bit;
                prop_assert!(ring.open("x", &changed, b"c").is_none());
            }
            if cut < sealed.len() {
                prop_assert!(ring.open("x", &sealed[..cut], b"c").is_none());
            }
        }

        #[test]
        fn garbage_does_not_open(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
            let ring = ring(&["one"]);
            prop_assert!(ring.open("x", &bytes, b"").is_none());
            prop_assert!(ring.open_text("x", text.as_bytes(), b"").is_none());
            // Looks only, and must not panic whatever it looks at.
            let _aged = ring.is_aged(text.as_bytes());
        }
    }
}
