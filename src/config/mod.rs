//! What the operator wants: the file as written, the settings as meant, and the way between.
//!
//! `file` is serde's, strict about unknown keys; `settings` is what the rest of the program sees; `check` turns one into the
//! other, reads no network, and reports every fault at once with its key path. Nothing above this module reads YAML.

pub mod settings;
