//! Any text as every SAML message there is, and as metadata: nothing falls over, and nobody gets in, for there is no key.

use std::time::Duration;

use sidegate::authority::realm::saml::assertion::Rules;
use sidegate::authority::realm::saml::binding::{self, Parameter};
use sidegate::authority::realm::saml::idp::Idp;
use sidegate::authority::realm::saml::keys::QueryKeys;
use sidegate::authority::realm::saml::xmlsec::VerifyingKeys;
use sidegate::authority::realm::saml::{logout, response};
use sidegate::config::realm_saml::{
    SamlAttribute, SamlAttributes, SamlIdp, SamlMetadata, SamlRealm, SamlSp,
};
use sidegate::config::realm_values::JwksPath;
use sidegate::model::clock::Now;

fn settings() -> SamlRealm {
    SamlRealm {
        idp: SamlIdp {
            entity_id: "urn:idp".to_owned(),
            metadata: SamlMetadata {
                path: JwksPath::File("/nowhere".into()),
                refresh: Duration::from_secs(3_600),
                ca: None,
                connect_timeout: Duration::from_secs(5),
                read_timeout: Duration::from_secs(5),
            },
            use_single_logout: true,
        },
        sp: SamlSp {
            entity_id: "urn:sp".to_owned(),
            acs: "https://app.test/acs".to_owned(),
            logout: Some("https://app.test/logout".to_owned()),
        },
        attributes: SamlAttributes {
            principal: SamlAttribute {
                name: "uid".to_owned(),
                pattern: None,
                delimiter: None,
            },
            groups: None,
            name: None,
            mail: None,
            dn: None,
        },
        nameid_format: None,
        nameid_allow_create: false,
        nameid_sp_qualifier: None,
        force_authn: false,
        authn_contexts: Vec::new(),
        populate_user_metadata: true,
        signing: None,
        encryption: None,
        clock_skew: Duration::from_secs(180),
        authorization_realms: Vec::new(),
        exclude_roles: Vec::new(),
    }
}

/// Any bytes that are text.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let idp = Idp {
        keys: VerifyingKeys::of_certificates([]),
        query_keys: QueryKeys::default(),
        sign_on: None,
        logout: None,
        logout_response: None,
        wants_signed_requests: false,
        valid_until: None,
    };
    let settings = settings();
    let rules = Rules {
        settings: &settings,
        decryption: None,
        now: Now {
            mono: Duration::ZERO,
            unix: Duration::from_secs(1_700_000_000),
        },
    };
    let ids = ["_request".to_owned()];
    let _ = Idp::parse(text, "urn:idp");
    let _ = binding::from_form(text);
    let _ = logout::request(text, true, &rules, &idp);
    let _ = logout::response(text, true, &rules, &idp, &ids);
    assert!(response::judge(text, &rules, &idp, &ids).is_err());
    if let Ok(came) = binding::from_query(text, Parameter::Request, &idp) {
        assert!(!came.signed);
    }
}
