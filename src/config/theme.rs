//! The operator's own files for the login pages, as they were read when the config was checked.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

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
