//! The section `sso.pages` of the config file as written; the same rules hold as in `file`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::default;
use super::realm_values::Text;
use super::sso_values::{LanguageTag, Prose};
use super::values::Written;

/// What the login pages look like and say.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// Title on every page. Without it, the host of `public_url`.
    pub title: Option<Written<Text>>,
    /// File of a logo above the title: SVG, PNG, JPEG or WebP.
    pub logo: Option<Written<PathBuf>>,
    /// A text above the ways to log in.
    pub message: Option<Written<Prose>>,
    /// A text behind "Need help?".
    pub help: Option<Written<Prose>>,
    /// Folder of files that replace built-in templates and styles, or add to them. `theme.css` comes after the built-in style.
    pub templates: Option<Written<PathBuf>>,
    /// Folder of translations: one JSON file per language, such as `it.json`. What one lacks is said in English.
    pub translations: Option<Written<PathBuf>>,
    /// Language for browsers that want none of those there are.
    #[schemars(extend("default" = default::SSO_PAGES_LANGUAGE))]
    pub language: Option<Written<LanguageTag>>,
    /// Texts that replace single ones, by their key in every language (`login.heading`) or in one (`de.login.heading`).
    pub texts: Option<BTreeMap<String, Written<Prose>>>,
}
