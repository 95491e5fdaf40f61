//! What this binary was built from.

/// The crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit, when the build said so (`SIDEGATE_BUILD_COMMIT`, set by the Dockerfile and `.ci/run`).
pub const COMMIT: &str = match option_env!("SIDEGATE_BUILD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// `release` or `debug`.
pub const PROFILE: &str = if cfg!(debug_assertions) {
    "debug"
} else {
    "release"
};

/// One line for `--version`.
pub fn version() -> String {
    format!(
        "{VERSION} (commit {COMMIT}, {PROFILE}, {}-{})",
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}
