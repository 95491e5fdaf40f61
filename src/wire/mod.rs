//! The JSON of Elasticsearch's `_security` API, once, for both sides: [`crate::elastic`] reads what [`crate::authority`] writes.
//!
//! Shapes follow the REST API documentation of Elasticsearch 9.0. Only this module and [`crate::config`] derive serde's
//! traits for the outside; add a shape here when an endpoint is added to either side.

pub mod error;
pub mod grants;
pub mod principals;
pub mod privileges;
pub mod profiles;
pub mod roles;
pub mod sso;
