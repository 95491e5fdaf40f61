//! The operator's own files for the login pages, as they were read when the config was checked.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The pages' templates, any of which a file of the same name replaces.
pub const TEMPLATES: &[&str] = &[
    "layout.html",
    "parts.html",
    "login.html",
    "failed.html",
    "logged-out.html",
    "agreement.html",
    "overwritten.html",
    "bounce.html",
    "capture.html",
    "implicit.html",
    "confirm.html",
    "done.html",
];

/// Endings of files that are served as they are.
pub const SERVED: &[&str] = &[
    "css", "gif", "ico", "jpg", "js", "png", "svg", "webp", "woff2",
];

/// Languages whose texts are built in.
pub const LANGUAGES: &[&str] = &["de", "en", "es", "fr", "ja", "pt"];

/// Whether a file's name can stand in an address as it is.
pub fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.bytes().all(plain)
}

/// Everything that replaces or adds to what the pages come with.
#[derive(Clone, Debug, Default)]
pub struct Theme {
    /// The logo.
    pub logo: Option<ThemeFile>,
    /// Templates, styles, scripts and pictures.
    pub files: Vec<ThemeFile>,
    /// Texts, one file per language.
    pub translations: Vec<ThemeFile>,
}

/// One of them.
#[derive(Clone)]
pub struct ThemeFile {
    /// Where it was read.
    pub path: PathBuf,
    /// Its name in the folder.
    pub name: String,
    /// What it holds.
    pub content: Arc<[u8]>,
}

impl fmt::Debug for ThemeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path.display(), self.content.len())
    }
}
