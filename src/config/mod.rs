//! What the operator wants: the file as written, the settings as meant, and the way between.
//!
//! `file` is serde's, strict about unknown keys; `settings` is what the rest of the program sees; `check` turns one into the
//! other, reads no network, and reports every fault at once with its key path. Nothing above this module reads YAML.
//!
//! In reading order: `tree` (the YAML with its places) → `shape` (fits it to the schema) → `file` → `check` → `settings`; the
//! texts inside are understood by `values`, `references`, `addresses`, `patterns`, `grants` and `headers`; `schema` and `reference` print
//! what is known about every key.

pub mod addresses;
pub mod bounds;
pub mod bounds_values;
pub mod check;
pub mod default;
pub mod fault;
pub mod file;
pub mod file_bounds;
pub mod file_forwards;
pub mod file_oidc;
pub mod file_realm_saml;
pub mod file_realms;
pub mod file_routes;
pub mod file_sso;
pub mod file_sso_pages;
pub mod file_sso_session;
pub mod file_ways;
pub mod forwards;
pub mod grants;
pub mod headers;
pub mod listening;
pub mod nearest;
mod origins;
pub mod patterns;
pub mod realm_saml;
pub mod realm_values;
pub mod realms;
pub mod realms_oidc;
pub mod reference;
pub mod references;
pub mod saml_values;
pub mod schema;
pub mod session_values;
pub mod settings;
pub mod settings_authority;
pub mod shape;
pub mod sso;
pub mod sso_values;
pub mod theme;
pub mod tokens;
pub mod tree;
pub mod values;
pub mod ways;
