//! The API: one line per endpoint. A line names methods, path, action, query parameters, whether it reads a body, and the handler.
//!
//! Paths and methods follow the REST API reference of Elasticsearch 9.0; actions are Elasticsearch's, since denials print them.

pub mod api_key_body;
pub mod api_key_clone;
pub mod api_key_filter;
pub mod api_key_grant;
pub mod api_key_making;
pub mod api_key_query;
pub mod api_key_update;
pub mod api_key_view;
pub mod api_keys;
pub mod bulk_roles;
pub mod caches;
pub mod certificates;
pub mod cross_cluster_body;
pub mod cross_cluster_keys;
pub mod delegate_pki;
pub mod document_query;
pub mod enroll;
pub mod fields;
pub mod info;
pub mod oidc;
pub mod privileges;
pub mod profile_body;
pub mod profile_privileges;
pub mod profile_suggest;
pub mod profiles;
pub mod role_body;
pub mod role_check;
pub mod role_global;
pub mod role_indices;
pub mod role_mappings;
pub mod role_query;
pub mod roles;
pub mod saml;
pub mod search;
pub mod service_accounts;
pub mod settings;
pub mod sso_token;
pub mod stats;
pub mod token_body;
pub mod token_invalidation;
pub mod tokens;
pub mod user_privileges;
pub mod user_query;
pub mod users;
pub mod who;
pub mod write;

use http::Method;

use super::endpoint::Endpoint;

const GET: Method = Method::GET;
const HEAD: Method = Method::HEAD;
const PUT: Method = Method::PUT;
const POST: Method = Method::POST;
const DELETE: Method = Method::DELETE;

/// A line: methods, path, action, query parameters, `body` or `none`, handler.
macro_rules! line {
    ([$($method:ident)|+], $path:literal, $action:literal, [$($query:literal),*], $body:ident, $handler:path) => {
        Endpoint {
            methods: &[$($method),+],
            path: $path,
            action: concat!("cluster:", $action),
            query: &[$($query),*],
            body: line!(@ $body),
            handler: |state, call| Box::pin($handler(state, call)),
        }
    };
    (@ body) => { true };
    (@ none) => { false };
}

/// Every endpoint.
#[rustfmt::skip]
pub static TABLE: &[Endpoint] = &[
    line!([GET | HEAD], "/", "monitor/main", [], none, info::root),
    line!([GET], "/_cluster/health", "monitor/health", ["level", "local", "timeout", "master_timeout", "wait_for_status"], none, info::health),

    line!([GET], "/_security/_authenticate", "admin/xpack/security/user/authenticate", [], none, who::authenticate),
    line!([GET | POST], "/_security/user/_has_privileges", "admin/xpack/security/user/has_privileges", [], body, who::has_privileges),
    line!([GET | POST], "/_security/user/{username}/_has_privileges", "admin/xpack/security/user/has_privileges", [], body, who::has_privileges),

    line!([GET], "/_security/user/_privileges", "admin/xpack/security/user/list_privileges", ["application", "priviledge", "username"], none, user_privileges::list),
    line!([GET], "/_security/user", "admin/xpack/security/user/get", ["with_profile_uid"], none, users::find),
    line!([GET], "/_security/user/{username}", "admin/xpack/security/user/get", ["with_profile_uid"], none, users::find),
    line!([PUT | POST], "/_security/user/{username}", "admin/xpack/security/user/put", ["refresh"], body, users::put),
    line!([DELETE], "/_security/user/{username}", "admin/xpack/security/user/delete", ["refresh"], none, users::delete),
    line!([PUT | POST], "/_security/user/{username}/_enable", "admin/xpack/security/user/set_enabled", ["refresh"], none, users::enable),
    line!([PUT | POST], "/_security/user/{username}/_disable", "admin/xpack/security/user/set_enabled", ["refresh"], none, users::disable),
    line!([PUT | POST], "/_security/user/_password", "admin/xpack/security/user/change_password", ["refresh"], body, users::change_password),
    line!([PUT | POST], "/_security/user/{username}/_password", "admin/xpack/security/user/change_password", ["refresh"], body, users::change_password),

    line!([GET], "/_security/role", "admin/xpack/security/role/get", ["include_implicit"], none, roles::find),
    line!([GET], "/_security/role/{name}", "admin/xpack/security/role/get", ["include_implicit"], none, roles::find),
    line!([POST], "/_security/role", "admin/xpack/security/role/bulk_put", ["refresh"], body, bulk_roles::put),
    line!([DELETE], "/_security/role", "admin/xpack/security/role/bulk_delete", ["refresh"], body, bulk_roles::delete),
    line!([PUT | POST], "/_security/role/{name}", "admin/xpack/security/role/put", ["refresh"], body, roles::put),
    line!([DELETE], "/_security/role/{name}", "admin/xpack/security/role/delete", ["refresh"], none, roles::delete),

    line!([GET], "/_security/role_mapping", "admin/xpack/security/role_mapping/get", [], none, role_mappings::find),
    line!([GET], "/_security/role_mapping/{name}", "admin/xpack/security/role_mapping/get", [], none, role_mappings::find),
    line!([PUT | POST], "/_security/role_mapping/{name}", "admin/xpack/security/role_mapping/put", ["refresh"], body, role_mappings::put),
    line!([DELETE], "/_security/role_mapping/{name}", "admin/xpack/security/role_mapping/delete", ["refresh"], none, role_mappings::delete),

    line!([GET], "/_security/privilege/_builtin", "admin/xpack/security/privilege/builtin/get", [], none, privileges::builtin),
    line!([GET], "/_security/privilege", "admin/xpack/security/privilege/get", [], none, privileges::find),
    line!([GET], "/_security/privilege/{application}", "admin/xpack/security/privilege/get", [], none, privileges::find),
    line!([GET], "/_security/privilege/{application}/{name}", "admin/xpack/security/privilege/get", [], none, privileges::find),
    line!([PUT | POST], "/_security/privilege", "admin/xpack/security/privilege/put", ["refresh"], body, privileges::put),
    line!([DELETE], "/_security/privilege/{application}/{name}", "admin/xpack/security/privilege/delete", ["refresh"], none, privileges::delete),

    line!([PUT | POST], "/_security/api_key", "admin/xpack/security/api_key/create", ["refresh"], body, api_keys::create),
    line!([GET], "/_security/api_key", "admin/xpack/security/api_key/get", ["id", "name", "username", "realm_name", "owner", "with_limited_by", "active_only", "with_profile_uid"], none, api_keys::find),
    line!([DELETE], "/_security/api_key", "admin/xpack/security/api_key/invalidate", [], body, api_keys::invalidate),
    line!([PUT | POST], "/_security/api_key/grant", "admin/xpack/security/api_key/grant", ["refresh"], body, api_key_grant::grant),
    line!([PUT | POST], "/_security/api_key/clone", "admin/xpack/security/api_key/clone", ["refresh"], body, api_key_clone::clone),
    line!([POST], "/_security/api_key/_bulk_update", "admin/xpack/security/api_key/bulk_update", [], body, api_key_update::bulk_update),
    line!([PUT], "/_security/api_key/{id}", "admin/xpack/security/api_key/update", [], body, api_key_update::update),
    line!([POST], "/_security/cross_cluster/api_key", "admin/xpack/security/cross_cluster/api_key/create", [], body, cross_cluster_keys::create),
    line!([PUT], "/_security/cross_cluster/api_key/{id}", "admin/xpack/security/cross_cluster/api_key/update", [], body, api_key_update::update_cross_cluster),

    line!([GET | POST], "/_security/_query/api_key", "admin/xpack/security/api_key/query", ["with_limited_by", "with_profile_uid", "typed_keys"], body, api_key_query::query),
    line!([GET | POST], "/_security/_query/user", "admin/xpack/security/user/query", ["with_profile_uid"], body, user_query::query),
    line!([GET | POST], "/_security/_query/role", "admin/xpack/security/role/query", [], body, role_query::query),

    line!([POST], "/_security/oauth2/token", "admin/xpack/security/token/create", [], body, tokens::create),
    line!([DELETE], "/_security/oauth2/token", "admin/xpack/security/token/invalidate", [], body, token_invalidation::invalidate),

    line!([GET], "/_security/service", "admin/xpack/security/service_account/get", [], none, service_accounts::find),
    line!([GET], "/_security/service/{namespace}", "admin/xpack/security/service_account/get", [], none, service_accounts::find),
    line!([GET], "/_security/service/{namespace}/{service}", "admin/xpack/security/service_account/get", [], none, service_accounts::find),
    line!([GET], "/_security/service/{namespace}/{service}/credential", "admin/xpack/security/service_account/credential/get", [], none, service_accounts::credentials),
    line!([POST], "/_security/service/{namespace}/{service}/credential/token", "admin/xpack/security/service_account/token/create", ["refresh"], none, service_accounts::create_token),
    line!([PUT | POST], "/_security/service/{namespace}/{service}/credential/token/{name}", "admin/xpack/security/service_account/token/create", ["refresh"], none, service_accounts::create_token),
    line!([DELETE], "/_security/service/{namespace}/{service}/credential/token/{name}", "admin/xpack/security/service_account/token/delete", ["refresh"], none, service_accounts::delete_token),
    line!([POST], "/_security/service/{namespace}/{service}/credential/token/{name}/_clear_cache", "admin/xpack/security/cache/clear", [], none, service_accounts::clear_cache),

    line!([POST], "/_security/profile/_activate", "admin/xpack/security/profile/activate", [], body, profiles::activate),
    line!([GET], "/_security/profile/{uid}", "admin/xpack/security/profile/get", ["data"], none, profiles::find),
    line!([GET | POST], "/_security/profile/_suggest", "admin/xpack/security/profile/suggest", ["data"], body, profile_suggest::suggest),
    line!([PUT | POST], "/_security/profile/{uid}/_data", "admin/xpack/security/profile/put/data", ["if_seq_no", "if_primary_term", "refresh"], body, profiles::update_data),
    line!([PUT | POST], "/_security/profile/{uid}/_enable", "admin/xpack/security/profile/set_enabled", ["refresh"], none, profiles::enable),
    line!([PUT | POST], "/_security/profile/{uid}/_disable", "admin/xpack/security/profile/set_enabled", ["refresh"], none, profiles::disable),
    line!([GET | POST], "/_security/profile/_has_privileges", "admin/xpack/security/profile/has_privileges", [], body, profile_privileges::has_privileges),

    line!([POST], "/_security/delegate_pki", "admin/xpack/security/delegate_pki", [], body, delegate_pki::delegate),

    line!([POST], "/_security/realm/{realms}/_clear_cache", "admin/xpack/security/realm/cache/clear", ["usernames"], none, caches::realms),
    line!([POST], "/_security/role/{name}/_clear_cache", "admin/xpack/security/roles/cache/clear", [], none, caches::compiled),
    line!([POST], "/_security/privilege/{application}/_clear_cache", "admin/xpack/security/cache/clear", [], none, caches::compiled),
    line!([POST], "/_security/api_key/{ids}/_clear_cache", "admin/xpack/security/cache/clear", [], none, caches::compiled),

    line!([GET], "/_security/settings", "admin/xpack/security/settings/get", ["master_timeout"], none, settings::find),
    line!([PUT], "/_security/settings", "admin/xpack/security/settings/update", ["master_timeout", "timeout"], body, settings::update),
    line!([GET], "/_security/stats", "monitor/xpack/security/stats", [], none, stats::find),
    line!([GET], "/_security/enroll/kibana", "admin/xpack/security/enroll/kibana", [], none, enroll::refuse),
    line!([GET], "/_security/enroll/node", "admin/xpack/security/enroll/node", [], none, enroll::refuse),
    line!([GET], "/_ssl/certificates", "monitor/xpack/ssl/certificates/get", [], none, certificates::find),

    line!([POST], "/_security/saml/prepare", "admin/xpack/security/saml/prepare", [], body, saml::prepare),
    line!([POST], "/_security/saml/authenticate", "admin/xpack/security/saml/authenticate", [], body, saml::authenticate),
    line!([POST], "/_security/saml/logout", "admin/xpack/security/saml/logout", [], body, saml::logout),
    line!([POST], "/_security/saml/invalidate", "admin/xpack/security/saml/invalidate", [], body, saml::invalidate),
    line!([POST], "/_security/saml/complete_logout", "admin/xpack/security/saml/complete_logout", [], body, saml::complete_logout),
    line!([GET], "/_security/saml/metadata/{realm_name}", "admin/xpack/security/saml/metadata", [], none, saml::metadata),

    line!([POST], "/_security/oidc/prepare", "admin/xpack/security/oidc/prepare", [], body, oidc::prepare),
    line!([POST], "/_security/oidc/authenticate", "admin/xpack/security/oidc/authenticate", [], body, oidc::authenticate),
    line!([POST], "/_security/oidc/logout", "admin/xpack/security/oidc/logout", [], body, oidc::logout),
];
