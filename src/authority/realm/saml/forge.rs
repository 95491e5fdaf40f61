//! An identity provider for tests: it makes responses that are right, and leaves making them wrong to whoever asks.
//!
//! Everything happens at [`NOW`]; ids are `_response` and `_assertion`, the request answered is `_request`.

#![expect(missing_docs, reason = "a fixture of tests")]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::names::{ASSERTION, DSIG, METADATA, POST, PROTOCOL, REDIRECT, XENC};
use super::xmlsec::oracle;
use crate::config::realm_saml::{
    SamlAttribute, SamlAttributes, SamlEncryption, SamlIdp, SamlMetadata, SamlRealm, SamlSigning,
    SamlSp,
};
use crate::config::realm_values::JwksPath;

/// The time of everything, in seconds since the Unix epoch.
pub const NOW: u64 = 1_700_000_000;
pub const IDP: &str = "urn:idp";
pub const SP: &str = "urn:sp";
pub const ACS: &str = "https://app.test/acs";
pub const LOGOUT: &str = "https://app.test/logout";
pub const SSO_URL: &str = "https://idp.test/sso?tenant=1";
pub const SLO_URL: &str = "https://idp.test/slo";

/// A private key with its certificate.
pub struct Party {
    pub key: String,
    pub certificate: String,
    pub der: Vec<u8>,
}

impl Party {
    fn new(name: &str) -> Self {
        let key =
            rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
                .unwrap();
        let parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            key: key.serialize_pem(),
            certificate: certificate.pem(),
            der: certificate.der().to_vec(),
        }
    }
}

/// The identity provider.
pub static PROVIDER: LazyLock<Party> = LazyLock::new(|| Party::new("idp.test"));
/// This side.
pub static CLIENT: LazyLock<Party> = LazyLock::new(|| Party::new("app.test"));
/// Somebody else.
pub static STRANGER: LazyLock<Party> = LazyLock::new(|| Party::new("evil.test"));

/// Files for a realm's settings.
pub struct Files {
    folder: TempDir,
}

impl Files {
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("idp.xml", &metadata(&PROVIDER, ""));
        write("sp.key", &CLIENT.key);
        write("sp.crt", &CLIENT.certificate);
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A realm with everything on.
    pub fn settings(&self) -> SamlRealm {
        let attribute = |name: &str| SamlAttribute {
            name: name.to_owned(),
            pattern: None,
            delimiter: None,
        };
        let (key, certificate) = (self.path("sp.key"), self.path("sp.crt"));
        SamlRealm {
            idp: SamlIdp {
                entity_id: IDP.to_owned(),
                metadata: SamlMetadata {
                    path: JwksPath::File(self.path("idp.xml")),
                    refresh: Duration::from_secs(3_600),
                    ca: None,
                    connect_timeout: Duration::from_secs(5),
                    read_timeout: Duration::from_secs(5),
                },
                use_single_logout: true,
            },
            sp: SamlSp {
                entity_id: SP.to_owned(),
                acs: ACS.to_owned(),
                logout: Some(LOGOUT.to_owned()),
            },
            attributes: SamlAttributes {
                principal: attribute("uid"),
                groups: Some(attribute("groups")),
                name: Some(attribute("displayName")),
                mail: Some(attribute("mail")),
                dn: None,
            },
            nameid_format: None,
            nameid_allow_create: false,
            nameid_sp_qualifier: None,
            force_authn: false,
            authn_contexts: Vec::new(),
            populate_user_metadata: true,
            signing: Some(SamlSigning {
                key: key.clone(),
                certificate: certificate.clone(),
                authn_requests: true,
                logout_requests: true,
                logout_responses: true,
            }),
            encryption: Some(SamlEncryption {
                key,
                certificate,
                former_keys: Vec::new(),
                allow_unsigned_cbc: false,
            }),
            clock_skew: Duration::from_secs(180),
            authorization_realms: Vec::new(),
            exclude_roles: Vec::new(),
        }
    }
}

/// Metadata of the identity provider with this party's key; `more` are further attributes.
pub fn metadata(party: &Party, more: &str) -> String {
    format!(
        "<md:EntityDescriptor xmlns:md='{METADATA}' entityID='{IDP}'{more}><md:IDPSSODescriptor \
         protocolSupportEnumeration='{PROTOCOL}'><md:KeyDescriptor use='signing'><ds:KeyInfo xmlns:ds='{DSIG}'><ds:X509Data>\
         <ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>\
         <md:SingleLogoutService Binding='{POST}' Location='https://idp.test/post'/>\
         <md:SingleLogoutService Binding='{REDIRECT}' Location='{SLO_URL}' ResponseLocation='{SLO_URL}/done'/>\
         <md:SingleSignOnService Binding='{REDIRECT}' Location='{SSO_URL}'/></md:IDPSSODescriptor></md:EntityDescriptor>",
        STANDARD.encode(&party.der)
    )
}

/// The subject's name.
pub const NAME_ID: &str = "<saml:NameID Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">name-1</saml:NameID>";

/// An assertion about `alice`, without a signature.
pub fn assertion() -> String {
    format!(
        "<saml:Assertion xmlns:saml=\"{ASSERTION}\" ID=\"_assertion\" Version=\"2.0\" IssueInstant=\"2023-11-14T22:13:20Z\">\
         <saml:Issuer>{IDP}</saml:Issuer><saml:Subject>{NAME_ID}\
         <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"><saml:SubjectConfirmationData \
         NotOnOrAfter=\"2023-11-14T22:18:20Z\" Recipient=\"{ACS}\" InResponseTo=\"_request\"/></saml:SubjectConfirmation>\
         </saml:Subject><saml:Conditions NotBefore=\"2023-11-14T22:13:00Z\" NotOnOrAfter=\"2023-11-14T22:18:20Z\">\
         <saml:AudienceRestriction><saml:Audience>{SP}</saml:Audience></saml:AudienceRestriction></saml:Conditions>\
         <saml:AuthnStatement AuthnInstant=\"2023-11-14T22:13:20Z\" SessionNotOnOrAfter=\"2023-11-15T06:13:20Z\" \
         SessionIndex=\"session-1\"><saml:AuthnContext><saml:AuthnContextClassRef>urn:password</saml:AuthnContextClassRef>\
         </saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>{}{}{}</saml:AttributeStatement></saml:Assertion>",
        attribute("uid", &["alice"]),
        attribute("groups", &["admins", "devs"]),
        attribute("mail", &["alice@example.test"]),
    )
}

/// An attribute.
pub fn attribute(name: &str, values: &[&str]) -> String {
    let values: String = values
        .iter()
        .map(|value| format!("<saml:AttributeValue>{value}</saml:AttributeValue>"))
        .collect();
    format!("<saml:Attribute Name=\"{name}\">{values}</saml:Attribute>")
}

/// A response around it, without a signature.
pub fn response(inner: &str) -> String {
    format!(
        "<samlp:Response xmlns:samlp=\"{PROTOCOL}\" ID=\"_response\" Version=\"2.0\" IssueInstant=\"2023-11-14T22:13:20Z\" \
         Destination=\"{ACS}\" InResponseTo=\"_request\"><saml:Issuer xmlns:saml=\"{ASSERTION}\">{IDP}</saml:Issuer>\
         <samlp:Status><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></samlp:Status>{inner}\
         </samlp:Response>"
    )
}

/// How something is signed.
#[derive(Clone, Copy)]
pub struct Signing {
    pub method: &'static str,
    pub digest: &'static str,
    pub transforms: &'static str,
    /// What stands before the id in the reference.
    pub reference: &'static str,
}

pub const EXCLUSIVE: &str = "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
     <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";

impl Default for Signing {
    fn default() -> Self {
        Self {
            method: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            digest: "http://www.w3.org/2001/04/xmlenc#sha256",
            transforms: EXCLUSIVE,
            reference: "#",
        }
    }
}

/// Puts a template of a signature over the element of this id behind its issuer.
pub fn with_template(xml: &str, id: &str, signing: Signing) -> String {
    let Signing {
        method,
        digest,
        transforms,
        reference,
    } = signing;
    let template = format!(
        "<ds:Signature xmlns:ds=\"{DSIG}\"><ds:SignedInfo>\
         <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/><ds:SignatureMethod \
         Algorithm=\"{method}\"/><ds:Reference URI=\"{reference}{id}\"><ds:Transforms>{transforms}</ds:Transforms>\
         <ds:DigestMethod Algorithm=\"{digest}\"/><ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo>\
         <ds:SignatureValue></ds:SignatureValue></ds:Signature>"
    );
    let element = xml.find(&format!("ID=\"{id}\"")).expect("the id is there");
    let mark = "</saml:Issuer>";
    let at = element + xml[element..].find(mark).expect("it has an issuer") + mark.len();
    format!("{}{template}{}", &xml[..at], &xml[at..])
}

/// Signs the element of this id, as usual.
pub fn signed(xml: &str, id: &str) -> String {
    signed_by(xml, id, &PROVIDER, Signing::default())
}

/// Signs the element of this id in any way.
pub fn signed_by(xml: &str, id: &str, party: &Party, signing: Signing) -> String {
    oracle::sign(&with_template(xml, id, signing), party.key.as_bytes())
}

/// An assertion, signed, in a response that is not.
pub fn usual(assertion: &str) -> String {
    response(&signed(assertion, "_assertion"))
}

/// Encrypts an element for a party: `EncryptedAssertion`, `EncryptedID`, `EncryptedAttribute`.
pub fn encrypted(wrapper: &str, plain: &str, party: &Party, cipher: &str) -> String {
    let oaep = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
    encrypted_by(wrapper, plain, party, cipher, oaep)
}

/// The same with any way of wrapping the key.
pub fn encrypted_by(
    wrapper: &str,
    plain: &str,
    party: &Party,
    cipher: &str,
    transport: &str,
) -> String {
    let length = if cipher.contains("aes128") { 16 } else { 32 };
    let key = vec![7; length];
    let sealed = STANDARD.encode(oracle::encrypt(cipher, &key, plain.as_bytes()));
    let oaep = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
    let wrapped = STANDARD.encode(oracle::wrap(oaep, &party.der, &key));
    format!(
        "<saml:{wrapper} xmlns:saml=\"{ASSERTION}\"><xenc:EncryptedData xmlns:xenc=\"{XENC}\" \
         Type=\"http://www.w3.org/2001/04/xmlenc#Element\"><xenc:EncryptionMethod Algorithm=\"{cipher}\"/>\
         <ds:KeyInfo xmlns:ds=\"{DSIG}\"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm=\"{transport}\"/>\
         <xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo>\
         <xenc:CipherData><xenc:CipherValue>{sealed}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:{wrapper}>"
    )
}

pub const GCM: &str = "http://www.w3.org/2009/xmlenc11#aes256-gcm";
pub const CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes128-cbc";

/// A request of the identity provider to log `name-1` out, without a signature.
pub fn logout_request(sessions: &[&str]) -> String {
    let sessions: String = sessions
        .iter()
        .map(|session| format!("<samlp:SessionIndex>{session}</samlp:SessionIndex>"))
        .collect();
    format!(
        "<samlp:LogoutRequest xmlns:samlp=\"{PROTOCOL}\" xmlns:saml=\"{ASSERTION}\" ID=\"_logout\" Version=\"2.0\" \
         IssueInstant=\"2023-11-14T22:13:20Z\" Destination=\"{LOGOUT}\" NotOnOrAfter=\"2023-11-14T22:18:20Z\">\
         <saml:Issuer>{IDP}</saml:Issuer>{NAME_ID}{sessions}</samlp:LogoutRequest>"
    )
}

/// The identity provider's answer to the request `id`, without a signature.
pub fn logout_response(id: &str) -> String {
    format!(
        "<samlp:LogoutResponse xmlns:samlp=\"{PROTOCOL}\" xmlns:saml=\"{ASSERTION}\" ID=\"_answer\" Version=\"2.0\" \
         IssueInstant=\"2023-11-14T22:13:20Z\" Destination=\"{LOGOUT}\" InResponseTo=\"{id}\"><saml:Issuer>{IDP}</saml:Issuer>\
         <samlp:Status><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></samlp:Status>\
         </samlp:LogoutResponse>"
    )
}
