//! Passwords: slow hashes on a bounded pool of blocking threads.
//!
//! Always true: at most `cores - 1` hashes are computed at once, so a flood of logins can't starve the requests that need
//! none; an unknown user costs one hash like a known one. Stores no password. A new hash format is an arm in `check`.

use std::sync::Arc;

use aws_lc_rs::{digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;

use crate::model::secret::Secret;

/// Hashes that may wait or work at once, as many as Elasticsearch's queue holds.
const WAITING: usize = 1_000;
/// Marks a bcrypt hash over the SHA-384 of a password that bcrypt alone would cut off (it reads 72 bytes).
const LONG: &str = "{SHA384}";
/// Longest password bcrypt tells from every other: it reads 72 bytes, the closing NUL among them.
const BCRYPT_BYTES: usize = 71;
/// Hashes that would take longer than this are refused when they are set, or one login could hold a thread for hours.
/// These are Elasticsearch's highest.
const MAX_BCRYPT_COST: u32 = 14;
const MAX_PBKDF2_COST: u32 = 1_000_000;
/// Rounds of PBKDF2 that take about as long as bcrypt of cost 10, whose time doubles with each step.
const PBKDF2_LIKE_BCRYPT_10: u64 = 50_000;
/// Bytes of a password that bcrypt reads.
const BCRYPT_READS: usize = 72;
/// Longest salt and key, in bytes; the key takes its whole cost for every 64 of them.
const MAX_PBKDF2_BYTES: usize = 1_024;
const PBKDF2_BLOCK: usize = 64;

/// The hashing pool.
#[derive(Clone, Debug)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    /// Bounds those that wait or work.
    places: Arc<Semaphore>,
    cost: u32,
    /// Checked in place of an unknown user's hash.
    dummy: Arc<str>,
}

/// Why nothing was hashed. Neither says anything about the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// Too many hashes are waiting.
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// The process is shutting down.
    #[error("password hashing is shutting down")]
    Closed,
}

impl Passwords {
    /// A pool that makes bcrypt hashes of `cost` (4 to 14; 10 is Elasticsearch's default). Computes one hash, so it blocks shortly.
    pub fn new(cost: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cost = cost.clamp(4, MAX_BCRYPT_COST);
        Self {
            permits: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))),
            places: Arc::new(Semaphore::new(WAITING)),
            cost,
            dummy: digest_password(&Secret::from("no user has this password"), cost).into(),
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`HashingError`] when the runtime shuts down.
    pub async fn hash(&self, password: Secret) -> Result<String, HashingError> {
        let cost = self.cost;
        self.run(move || digest_password(&password, cost)).await
    }

    /// Whether checking this hash takes no longer than checking one of this pool's own making.
    pub fn is_cheap(&self, hash: &str) -> bool {
        if let Some(parts) = Pbkdf2::parse(hash) {
            // A low cost is for tests; what Elasticsearch makes by default is fine with any.
            let rounds = PBKDF2_LIKE_BCRYPT_10 << self.cost.saturating_sub(10);
            return parts.rounds() <= rounds;
        }
        let parts = hash.parse::<bcrypt::HashParts>();
        parts.is_ok_and(|parts| parts.get_cost() <= self.cost)
    }

    /// The same on the calling thread, for start-up.
    pub fn hash_blocking(&self, password: &Secret) -> String {
        digest_password(password, self.cost)
    }

    /// Whether `password` has `hash`; without a hash the answer is no, after the same time.
    ///
    /// # Errors
    /// [`HashingError`] when the runtime shuts down.
    pub async fn verify(
        &self,
        password: Secret,
        hash: Option<Arc<str>>,
    ) -> Result<bool, HashingError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| Arc::clone(&self.dummy));
        self.run(move || check(&password, &hash) && known).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let _place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| HashingError::Busy)?;
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| HashingError::Closed)?;
        // The permit travels with the work: a caller that hangs up must not free it while the thread is still busy.
        tokio::task::spawn_blocking(move || {
            let answer = work();
            drop(permit);
            answer
        })
        .await
        .map_err(|_| HashingError::Closed)
    }
}

/// How much of a password counts under this hash: bcrypt reads 72 bytes, so that of hashes made elsewhere whatever follows
/// makes no difference. Who remembers a password must not take it for another then, or each costs a hash anew.
pub fn counting<'a>(password: &'a [u8], hash: &str) -> &'a [u8] {
    let reads_all = hash.starts_with(LONG) || !hash.starts_with('$');
    if reads_all || password.contains(&0) {
        return password;
    }
    &password[..password.len().min(BCRYPT_READS)]
}

/// Whether `hash` is in a format this program can check (`password_hash` of `PUT /_security/user`).
pub fn is_supported(hash: &str) -> bool {
    if let Some(parts) = Pbkdf2::parse(hash) {
        return parts.is_affordable() && parts.salt.len() >= 8;
    }
    // LONG is our own mark and never accepted from outside.
    hash.starts_with("$2")
        && hash.is_ascii()
        && hash
            .parse::<bcrypt::HashParts>()
            .is_ok_and(|parts| (4..=MAX_BCRYPT_COST).contains(&parts.get_cost()))
}

fn digest_password(password: &Secret, cost: u32) -> String {
    let (mark, bytes) = fit(password);
    let hash = bcrypt::hash_bytes(bytes.expose(), cost);
    // The cost is in range and the input fits, so this is unreachable; an unusable hash refuses every login.
    let hash = hash.map_or_else(
        |_| "!".to_owned(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    );
    format!("{mark}{hash}")
}

/// What goes into bcrypt, and the mark that says how it got there.
fn fit(password: &Secret) -> (&'static str, Secret) {
    if password.expose().len() <= BCRYPT_BYTES && !password.expose().contains(&0) {
        return ("", password.clone());
    }
    let digest = digest::digest(&digest::SHA384, password.expose());
    (LONG, Secret::from(STANDARD.encode(digest)))
}

fn check(password: &Secret, hash: &str) -> bool {
    if let Some(parts) = Pbkdf2::parse(hash) {
        return parts.verify(password);
    }
    match hash.strip_prefix(LONG) {
        Some(hash) => {
            let (_, fitted) = fit(password);
            fitted != *password && bcrypt::verify(fitted.expose(), hash).unwrap_or(false)
        }
        // A NUL would let `secret\0anything` pass for `secret`. Hashes from elsewhere were made over the first 72 bytes, as
        // Elasticsearch's bcrypt does; ours of longer passwords carry the mark.
        None if password.expose().contains(&0) => false,
        None => bcrypt::verify(password.expose(), hash).unwrap_or(false),
    }
}

/// `{PBKDF2}COST$SALT$KEY` (HMAC-SHA512), or `{PBKDF2_STRETCH}` over the hexadecimal SHA-512 of the password.
struct Pbkdf2 {
    stretch: bool,
    cost: std::num::NonZeroU32,
    salt: Vec<u8>,
    key: Vec<u8>,
}

impl Pbkdf2 {
    fn parse(hash: &str) -> Option<Self> {
        let (stretch, rest) = match hash.strip_prefix("{PBKDF2}") {
            Some(rest) => (false, rest),
            None => (true, hash.strip_prefix("{PBKDF2_STRETCH}")?),
        };
        let mut parts = rest.splitn(3, '$');
        Some(Self {
            stretch,
            cost: parts.next()?.parse().ok()?,
            salt: STANDARD.decode(parts.next()?).ok()?,
            key: STANDARD
                .decode(parts.next()?)
                .ok()
                .filter(|key| !key.is_empty())?,
        })
    }

    /// Rounds for all of the key.
    fn rounds(&self) -> u64 {
        let blocks = self.key.len().div_ceil(PBKDF2_BLOCK) as u64;
        u64::from(self.cost.get()).saturating_mul(blocks)
    }

    fn is_affordable(&self) -> bool {
        self.rounds() <= u64::from(MAX_PBKDF2_COST)
            && self.salt.len() <= MAX_PBKDF2_BYTES
            && self.key.len() <= MAX_PBKDF2_BYTES
    }

    fn verify(&self, password: &Secret) -> bool {
        let stretched = self.stretch.then(|| {
            let digest = digest::digest(&digest::SHA512, password.expose());
            let hex: String = digest
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            Secret::from(hex)
        });
        let input = stretched.as_ref().unwrap_or(password);
        pbkdf2::verify(
            pbkdf2::PBKDF2_HMAC_SHA512,
            self.cost,
            &self.salt,
            input.expose(),
            &self.key,
        )
        .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_password_passes_and_others_do_not() {
        for length in [6, 71, 72, 73, 200] {
            let password = Secret::from("p".repeat(length));
            let hash = digest_password(&password, 4);
            assert!(check(&password, &hash), "{length}");
            assert!(
                !check(&Secret::from("p".repeat(length + 1)), &hash),
                "{length}"
            );
            assert!(
                !check(&Secret::from("p".repeat(length - 1)), &hash),
                "{length}"
            );
        }
        let hash = digest_password(&Secret::from("secret"), 4);
        assert!(!check(&Secret::from("secret\0secret"), &hash));
        let hash = digest_password(&Secret::from("sec\0ret"), 4);
        assert!(check(&Secret::from("sec\0ret"), &hash));
    }

    #[test]
    fn a_pbkdf2_hash_is_checked() {
        let mut key = [0u8; 32];
        let salt = b"0123456789abcdef";
        let cost = std::num::NonZeroU32::new(1000).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, cost, salt, b"secret1", &mut key);
        let hash = format!(
            "{{PBKDF2}}1000${}${}",
            STANDARD.encode(salt),
            STANDARD.encode(key)
        );
        assert!(is_supported(&hash));
        assert!(check(&Secret::from("secret1"), &hash));
        assert!(!check(&Secret::from("secret2"), &hash));
    }

    /// Made with Python's hashlib: HMAC-SHA512, and for the stretched one over the hexadecimal SHA-512.
    #[test]
    fn hashes_made_elsewhere_are_checked_in_every_format() {
        for hash in [
            "$2a$04$abcdefghijklmnopqrstuuO6llZ6AeyOHktE9bjgVmwDEDoLfJF6m",
            "$2b$04$abcdefghijklmnopqrstuuO6llZ6AeyOHktE9bjgVmwDEDoLfJF6m",
            "$2y$04$abcdefghijklmnopqrstuuO6llZ6AeyOHktE9bjgVmwDEDoLfJF6m",
            "{PBKDF2}1000$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=$TiPwtdyREXrNB3QquRABuYCJyGOa4v8e1VdKaeS3XrQ=",
            "{PBKDF2_STRETCH}1000$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=$uJaPhRrU50DgiUqGXtaqmzMlswPpoLx21HO5C0rf8Evs3tcV191tbIyvLiCe23syPzxcwqnDDU1/5hjA2mncmg==",
        ] {
            assert!(is_supported(hash), "{hash}");
            assert!(check(&Secret::from("s3krit-password"), hash), "{hash}");
            assert!(!check(&Secret::from("s3krit-passwore"), hash), "{hash}");
        }
    }

    #[test]
    fn whatever_bcrypt_does_not_read_makes_no_other_password() {
        let foreign = "$2b$04$abcdefghijklmnopqrstuuO6llZ6AeyOHktE9bjgVmwDEDoLfJF6m";
        let (long, longer) = ("p".repeat(72), "p".repeat(72) + "tail");
        assert_eq!(counting(longer.as_bytes(), foreign), long.as_bytes());
        assert_ne!(counting(&longer.as_bytes()[1..], foreign), long.as_bytes());
        let own = digest_password(&Secret::from(longer.as_str()), 4);
        assert_eq!(counting(longer.as_bytes(), &own), longer.as_bytes());
        assert_eq!(
            counting(longer.as_bytes(), "{PBKDF2}1$a$b"),
            longer.as_bytes()
        );
    }

    #[test]
    fn hashes_that_cost_more_than_elasticsearchs_are_refused() {
        let of = |cost: u32| {
            format!("$2b${cost:02}$abcdefghijklmnopqrstuuO6llZ6AeyOHktE9bjgVmwDEDoLfJF6m")
        };
        assert!(is_supported(&of(14)));
        assert!(!is_supported(&of(15)) && !is_supported(&of(18)));
        let pool = Passwords::new(5);
        assert!(pool.is_cheap(&of(5)) && !pool.is_cheap(&of(6)));
        let salt = STANDARD.encode(b"0123456789abcdef");
        let stretched = |rounds: u32| format!("{{PBKDF2}}{rounds}${salt}${salt}");
        assert!(pool.is_cheap(&stretched(10_000)) && !pool.is_cheap(&stretched(500_000)));
        assert!(!is_supported(&stretched(1_000_001)));
    }

    #[test]
    fn what_is_not_a_hash_is_refused() {
        let good = digest_password(&Secret::from("abcdef"), 4);
        assert!(is_supported(&good));
        for bad in [
            "",
            "abc",
            "$2a$",
            "$2y$99$abc",
            "{PBKDF2}0$YQ==$YQ==",
            "{PBKDF2}1000$YQ==$MDEyMzQ1Njc4OWFiY2RlZg==",
            "{PBKDF2}9000000$MDEyMzQ1Njc4OWFiY2RlZg==$MDEyMzQ1Njc4OWFiY2RlZg==",
            "{PBKDF2}1000$MDEyMzQ1Njc4OWFiY2RlZg==$",
            "{SHA384}$2b$04$x",
            "$2a$10$ü",
        ] {
            assert!(!is_supported(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn an_unknown_user_is_hashed_and_refused() {
        let pool = Passwords::new(4);
        let dummy = Secret::from("no user has this password");
        assert!(!pool.verify(dummy, None).await.unwrap());
    }
}
