//! What every Elasticsearch brings along: named privileges, reserved roles and users, service accounts, restricted
//! index names.
//!
//! Tables only, read once from the JSON files beside this one; nothing here decides anything. A new reserved role, user
//! or service account is an entry in its file.

pub mod accounts;
pub mod privileges;
pub mod restricted;
pub mod roles;
