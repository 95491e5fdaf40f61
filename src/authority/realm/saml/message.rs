//! The messages this side writes: requests to sign somebody in or to log somebody out, answers to the latter, and its own
//! metadata. Plain text, because their form never varies; what goes into it is escaped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

use super::login::NameId;
use super::names::{ASSERTION, DSIG, METADATA, POST, PROTOCOL, REDIRECT, SUCCESS};
use super::xml::escaped;
use crate::config::realm_saml::SamlRealm as Settings;
use crate::model::clock::{self, Now};

/// A message with the id it goes by.
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its XML.
    pub text: String,
}

/// An id that nobody guesses and that XML takes for a name.
fn fresh_id() -> String {
    let bytes = clock::random_bytes::<20>();
    bytes.iter().fold("_".to_owned(), |mut id, byte| {
        id.push_str(&format!("{byte:02x}"));
        id
    })
}

/// `2026-01-02T03:04:05.678Z`
fn instant(now: Now) -> String {
    let seconds = i64::try_from(now.unix.as_secs()).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        now.unix.subsec_millis()
    )
}

/// An element `name` of the protocol with what every message has, and `attributes` and `content` of its own.
fn message(
    name: &str,
    destination: &str,
    settings: &Settings,
    attributes: &str,
    content: &str,
    now: Now,
) -> Message {
    let id = fresh_id();
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><saml2p:{name} xmlns:saml2p=\"{PROTOCOL}\"{attributes} Destination=\"{}\" \
         ID=\"{id}\" IssueInstant=\"{}\" Version=\"2.0\"><saml2:Issuer xmlns:saml2=\"{ASSERTION}\">{}</saml2:Issuer>\
         {content}</saml2p:{name}>",
        escaped(destination),
        instant(now),
        escaped(&settings.sp.entity_id),
    );
    Message { id, text }
}

/// The request to sign somebody in (core §3.4.1).
pub fn authn_request(settings: &Settings, destination: &str, now: Now) -> Message {
    let force = if settings.force_authn {
        " ForceAuthn=\"true\""
    } else {
        ""
    };
    let attributes = format!(
        " AssertionConsumerServiceURL=\"{}\"{force} ProtocolBinding=\"{POST}\"",
        escaped(&settings.sp.acs)
    );
    let mut policy = format!(
        "<saml2p:NameIDPolicy AllowCreate=\"{}\"",
        settings.nameid_allow_create
    );
    let optional = [
        ("Format", &settings.nameid_format),
        ("SPNameQualifier", &settings.nameid_sp_qualifier),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            policy.push_str(&format!(" {name}=\"{}\"", escaped(value)));
        }
    }
    policy.push_str("/>");
    if !settings.authn_contexts.is_empty() {
        policy.push_str("<saml2p:RequestedAuthnContext Comparison=\"exact\">");
        for class in &settings.authn_contexts {
            policy.push_str(&format!(
                "<saml2:AuthnContextClassRef xmlns:saml2=\"{ASSERTION}\">{}</saml2:AuthnContextClassRef>",
                escaped(class)
            ));
        }
        policy.push_str("</saml2p:RequestedAuthnContext>");
    }
    message(
        "AuthnRequest",
        destination,
        settings,
        &attributes,
        &policy,
        now,
    )
}

/// The request to log somebody out (core §3.7.1).
pub fn logout_request(
    settings: &Settings,
    destination: &str,
    name: &NameId,
    session: Option<&str>,
    now: Now,
) -> Message {
    let mut content = format!("<saml2:NameID xmlns:saml2=\"{ASSERTION}\"");
    let attributes = [
        ("Format", &name.format),
        ("NameQualifier", &name.name_qualifier),
        ("SPNameQualifier", &name.sp_name_qualifier),
        ("SPProvidedID", &name.sp_provided_id),
    ];
    for (key, value) in attributes {
        if let Some(value) = value {
            content.push_str(&format!(" {key}=\"{}\"", escaped(value)));
        }
    }
    content.push_str(&format!(">{}</saml2:NameID>", escaped(&name.value)));
    if let Some(session) = session {
        content.push_str(&format!(
            "<saml2p:SessionIndex>{}</saml2p:SessionIndex>",
            escaped(session)
        ));
    }
    message("LogoutRequest", destination, settings, "", &content, now)
}

/// The answer that somebody was logged out (core §3.7.2).
pub fn logout_response(
    settings: &Settings,
    destination: &str,
    in_response_to: &str,
    now: Now,
) -> Message {
    let attributes = format!(" InResponseTo=\"{}\"", escaped(in_response_to));
    let content =
        format!("<saml2p:Status><saml2p:StatusCode Value=\"{SUCCESS}\"/></saml2p:Status>");
    message(
        "LogoutResponse",
        destination,
        settings,
        &attributes,
        &content,
        now,
    )
}

/// This side's metadata (metadata §2.4.4), with the certificates (DER) it signs with and is encrypted for.
pub fn sp_metadata(
    settings: &Settings,
    signing: Option<&[u8]>,
    encryption: Option<&[u8]>,
) -> String {
    let key = |usage: &str, certificate: Option<&[u8]>| match certificate {
        None => String::new(),
        Some(der) => format!(
            "<md:KeyDescriptor use=\"{usage}\"><ds:KeyInfo xmlns:ds=\"{DSIG}\"><ds:X509Data><ds:X509Certificate>{}\
             </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>",
            STANDARD.encode(der)
        ),
    };
    let logout = settings.sp.logout.as_ref().map_or(String::new(), |url| {
        format!(
            "<md:SingleLogoutService Binding=\"{REDIRECT}\" Location=\"{}\"/>",
            escaped(url)
        )
    });
    let signs = settings.signing.as_ref();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><md:EntityDescriptor xmlns:md=\"{METADATA}\" entityID=\"{}\">\
         <md:SPSSODescriptor AuthnRequestsSigned=\"{}\" WantAssertionsSigned=\"true\" protocolSupportEnumeration=\"{PROTOCOL}\">\
         {}{}{logout}<md:AssertionConsumerService Binding=\"{POST}\" Location=\"{}\" index=\"1\" isDefault=\"true\"/>\
         </md:SPSSODescriptor></md:EntityDescriptor>",
        escaped(&settings.sp.entity_id),
        signs.is_some_and(|signs| signs.authn_requests),
        key("signing", signing),
        key("encryption", encryption),
        escaped(&settings.sp.acs),
    )
}
