//! The embedded authority's SAML realm against a real identity provider.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};

use crate::harness::client::{Reply, basic};
use crate::harness::plan::{Plan, Running};
use crate::harness::process::end_of;
use crate::harness::saml_idp::{LogoutBinding, Page, SamlIdp, Visitor};
use crate::harness::server::Server;
use crate::harness::tools;

const ACS: &str = "https://app.test/_sidegate/saml/company/acs";
const LOGOUT: &str = "https://app.test/_sidegate/saml/company/logout";
const ELASTIC: &str = "elastic-password";

/// An identity provider, and an authority with one realm per way of signing and encrypting, each named after it.
struct Bench {
    idp: SamlIdp,
    gate: Running,
    _app: Server,
}

impl Bench {
    fn start(ways: &[&str]) -> Option<Self> {
        Some(Self::around(SamlIdp::start(ACS, LOGOUT)?, ways))
    }

    fn around(idp: SamlIdp, ways: &[&str]) -> Self {
        let app = Server::echoing();
        let (key, certificate) = (idp.sp_key(), idp.sp_certificate());
        let pair = format!(
            "key: {}, certificate: {}",
            key.display(),
            certificate.display()
        );
        let realms: Vec<String> = ways
            .iter()
            .enumerate()
            .map(|(order, way)| {
                format!(
                    "{way}: {{ order: {order}, idp: {{ entity_id: '{}', metadata: {{ path: {} }} }}, \
                     sp: {{ entity_id: 'urn:sp:{way}', acs: '{ACS}', logout: '{LOGOUT}' }}, \
                     attributes: {{ principal: uid, groups: groups, name: cn, mail: mail }}, \
                     signing: {{ {pair} }}, encryption: {{ {pair} }} }}",
                    idp.entity_id(),
                    idp.metadata().display(),
                )
            })
            .collect();
        let gate = Plan::with_authority(&format!(
            "embedded: {{ address: \"127.0.0.1:0\", superuser_password: {ELASTIC}, realms: {{ saml: {{ {} }} }} }}",
            realms.join(", ")
        ))
        .upstream("app", &app)
        .route("all", "/**", "allow: authenticated")
        .start();
        let bench = Self {
            idp,
            gate,
            _app: app,
        };
        let mapping = json!({
            "enabled": true,
            "roles": ["monitoring_user"],
            "rules": {"all": [{"field": {"groups": "admins"}}, {"field": {"metadata.saml(uid)": "alice"}}]},
        });
        let path = "/_security/role_mapping/admins";
        let call = bench.authority().put_json(path, &mapping);
        call.authorization(&basic("elastic", ELASTIC))
            .send()
            .expect(200);
        bench
    }

    fn authority(&self) -> &crate::harness::client::Target {
        self.gate.authority.as_ref().unwrap()
    }

    /// As the superuser.
    fn call(&self, what: &str, body: &Value) -> Reply {
        let call = self
            .authority()
            .post_json(&format!("/_security/saml/{what}"), body);
        call.authorization(&basic("elastic", ELASTIC)).send()
    }

    fn prepare(&self, way: &str) -> (String, String) {
        let prepared = self
            .call("prepare", &json!({"realm": way}))
            .expect(200)
            .json();
        let text = |key: &str| prepared[key].as_str().unwrap().to_owned();
        (text("id"), text("redirect"))
    }

    /// Signs in at the identity provider as it was told; the request's id, and what the browser would bring back.
    fn sign_in(&self, visitor: &Visitor<'_>, way: &str, username: &str) -> (String, String) {
        let (id, redirect) = self.prepare(way);
        let page = visitor.sign_in(&redirect, username, &format!("{username}pass"));
        (id, self.response(&page))
    }

    fn response(&self, page: &Page) -> String {
        let response = page.field("SAMLResponse");
        response.unwrap_or_else(|| panic!("no response in {page:?}\n{}", self.idp.log()))
    }

    fn authenticate(&self, way: &str, ids: &[&str], content: &str) -> Reply {
        let body = json!({"content": content, "ids": ids, "realm": way});
        self.call("authenticate", &body)
    }

    /// A whole login; what the authority answered.
    fn login(&self, visitor: &Visitor<'_>, way: &str, username: &str) -> Value {
        let (id, content) = self.sign_in(visitor, way, username);
        let answer = self.authenticate(way, &[&id], &content).expect(200).json();
        assert_eq!(answer["in_response_to"], json!(id));
        answer
    }

    /// What `_authenticate` answers to an access token.
    fn who(&self, token: &Value) -> Reply {
        let call = self.authority().get("/_security/_authenticate");
        call.authorization(&format!("Bearer {}", token.as_str().unwrap()))
            .send()
    }

    /// Refused without a token, and the log says why.
    fn expect_refused(&self, reply: &Reply, reason: &str) {
        assert_eq!(reply.status, 401, "{}", reply.text());
        assert!(!reply.text().contains("access_token"));
        let line = self
            .gate
            .process
            .stderr
            .find(|line| line.contains("realm refused") && line.contains(reason));
        assert!(line.is_some(), "{reason}\n{}", self.gate.process.output());
    }
}

#[test]
fn people_of_a_real_identity_provider_sign_in_however_it_signs_and_encrypts() {
    let ways = [
        "plain",
        "response",
        "assertion",
        "encrypted",
        "encrypted-name",
        "sha512",
        "strict",
        "persistent",
    ];
    let Some(bench) = Bench::start(&ways) else {
        return;
    };
    for way in ways {
        let answer = bench.login(&bench.idp.visitor(), way, "alice");
        assert_eq!(answer["username"], "alice", "{way}");
        assert_eq!(answer["realm"], way);
        let who = bench.who(&answer["access_token"]).expect(200).json();
        assert_eq!(who["roles"], json!(["monitoring_user"]), "{way}");
        assert_eq!(who["full_name"], "Alice Ä. & <Co>");
        assert_eq!(who["email"], "alice@example.test");
        assert_eq!(
            who["authentication_realm"],
            json!({"name": way, "type": "saml"})
        );
        assert_eq!(who["metadata"]["saml(groups)"], json!(["admins", "devs"]));
        assert!(who["metadata"]["saml_nameid"].is_string(), "{who}");
    }
    let answer = bench.login(&bench.idp.visitor(), "plain", "bob");
    let who = bench.who(&answer["access_token"]).expect(200).json();
    assert_eq!(
        (&who["username"], &who["roles"]),
        (&json!("bob"), &json!([]))
    );
}

#[test]
fn what_a_real_identity_provider_does_not_sign_or_signs_with_sha1_lets_nobody_in() {
    let ways = ["unsigned", "sha1", "encrypted-unsigned-response"];
    let Some(bench) = Bench::start(&ways) else {
        return;
    };
    for (way, reason) in [
        ("unsigned", "the assertion is not signed"),
        ("sha1", "rsa-sha1"),
        (
            "encrypted-unsigned-response",
            "AES-CBC is only taken inside a signed response",
        ),
    ] {
        let (id, content) = bench.sign_in(&bench.idp.visitor(), way, "alice");
        bench.expect_refused(&bench.authenticate(way, &[&id], &content), reason);
    }
}

#[test]
fn a_real_response_counts_once_and_for_the_request_and_realm_it_was_made_for() {
    let Some(bench) = Bench::start(&["plain", "response"]) else {
        return;
    };
    let visitor = bench.idp.visitor();
    let (id, content) = bench.sign_in(&visitor, "plain", "alice");
    let other = bench.authenticate("response", &[&id], &content);
    bench.expect_refused(&other, "the audience [urn:sp:response]");
    let stranger = bench.authenticate("plain", &["_other"], &content);
    bench.expect_refused(&stranger, "is in response to");
    let told = stranger.json();
    assert_eq!(
        told["error"]["security.saml.unsolicited_in_response_to"],
        json!(id)
    );
    // Whoever names no realm has all asked.
    let body = json!({"content": content, "ids": ["_other", id]});
    let answer = bench.call("authenticate", &body).expect(200).json();
    assert_eq!(answer["realm"], "plain");
    let again = bench.authenticate("plain", &[&id], &content);
    bench.expect_refused(&again, "was used before");
}

#[test]
fn a_login_that_the_identity_provider_began_is_in_response_to_nothing() {
    let Some(bench) = Bench::start(&["plain"]) else {
        return;
    };
    let visitor = bench.idp.visitor();
    let start = bench.idp.unsolicited("plain", "deep");
    let page = visitor.sign_in(&start, "alice", "alicepass");
    assert_eq!(page.field("RelayState").as_deref(), Some("deep"));
    let content = bench.response(&page);
    // Whatever else is under way, as in Elasticsearch.
    let answer = bench
        .authenticate("plain", &["_under_way"], &content)
        .expect(200)
        .json();
    assert_eq!(answer["username"], "alice");
    assert_eq!(answer.get("in_response_to"), None);
}

#[test]
fn logging_out_here_logs_out_there_and_the_answer_is_verified() {
    let Some(bench) = Bench::start(&["strict"]) else {
        return;
    };
    let visitor = bench.idp.visitor();
    let answer = bench.login(&visitor, "strict", "alice");
    let body = json!({"token": answer["access_token"], "refresh_token": answer["refresh_token"]});
    let logout = bench.call("logout", &body).expect(200).json();
    bench.who(&answer["access_token"]).expect(401);
    let id = logout["id"].as_str().unwrap();
    let page = visitor.get(logout["redirect"].as_str().unwrap());
    let back = page
        .location
        .as_deref()
        .unwrap_or_else(|| panic!("{page:?}\n{}", bench.idp.log()));
    let query = back.strip_prefix(&format!("{LOGOUT}?")).expect(back);
    assert!(
        query.contains("SigAlg=") && query.contains("SAMLResponse="),
        "{query}"
    );
    let complete = |ids: &[&str], query: &str| {
        let body = json!({"realm": "strict", "ids": ids, "query_string": query});
        bench.call("complete_logout", &body)
    };
    assert_eq!(complete(&[id], query).expect(200).json(), json!({}));
    complete(&["_other"], query).expect(500);
    let (unsigned, _) = query.split_once("&SigAlg=").unwrap();
    complete(&[id], unsigned).expect(500);
    complete(&[id], &query.replace("Signature=", "Signature=AAAA")).expect(500);
    // The identity provider has forgotten them: it asks for the password again.
    let (_, redirect) = bench.prepare("strict");
    assert!(visitor.get(&redirect).field("AuthState").is_some());
}

/// What the identity provider sends to the service provider's logout address: the query of a redirect.
fn logout_query(bench: &Bench, visitor: &Visitor<'_>) -> String {
    let page = visitor.get(&bench.idp.logout_url());
    let mut candidates = page.location.iter().cloned().collect::<Vec<_>>();
    candidates.extend(page.body.split('"').map(|part| part.replace("&amp;", "&")));
    let start = format!("{LOGOUT}?");
    let found = candidates.iter().find_map(|text| text.strip_prefix(&start));
    found
        .unwrap_or_else(|| panic!("{page:?}\n{}", bench.idp.log()))
        .to_owned()
}

#[test]
fn logging_out_there_takes_the_tokens_of_that_session_and_no_other() {
    let Some(bench) = Bench::start(&["strict"]) else {
        return;
    };
    let (one, other) = (bench.idp.visitor(), bench.idp.visitor());
    let mine = bench.login(&one, "strict", "alice");
    let theirs = bench.login(&other, "strict", "alice");
    let query = logout_query(&bench, &one);
    let forged = query.replace("Signature=", "Signature=AAAA");
    let body = |query: &str| json!({"realm": "strict", "query_string": query});
    bench.call("invalidate", &body(&forged)).expect(500);
    bench.who(&mine["access_token"]).expect(200);
    let answer = bench.call("invalidate", &body(&query)).expect(200).json();
    assert_eq!(
        (&answer["invalidated"], &answer["realm"]),
        (&json!(2), &json!("strict"))
    );
    bench.who(&mine["access_token"]).expect(401);
    bench.who(&theirs["access_token"]).expect(200);
    let redirect = answer["redirect"].as_str().unwrap();
    assert!(
        redirect.contains("SAMLResponse=") && redirect.contains("Signature="),
        "{redirect}"
    );
    let page = one.get(redirect);
    assert!(
        page.status < 400 && !page.body.contains("UNHANDLED"),
        "{page:?}\n{}",
        bench.idp.log()
    );
    // By its consumer's address instead of its name, and a second time.
    let body = json!({"acs": ACS, "query_string": query});
    let again = bench.call("invalidate", &body).expect(200).json();
    assert_eq!(again["invalidated"], 0);
}

#[test]
fn a_posted_request_to_log_out_is_taken_in_the_form_of_a_query() {
    let Some(idp) = SamlIdp::start_with(ACS, LOGOUT, LogoutBinding::Post) else {
        return;
    };
    let bench = Bench::around(idp, &["strict"]);
    let visitor = bench.idp.visitor();
    let tokens = bench.login(&visitor, "strict", "alice");
    let page = visitor.get(&bench.idp.logout_url());
    let posted = page.field("SAMLRequest");
    let posted = posted.unwrap_or_else(|| panic!("{page:?}\n{}", bench.idp.log()));
    let xml = STANDARD.decode(posted).unwrap();
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(&xml).unwrap();
    let message = STANDARD.encode(deflate.finish().unwrap());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("SAMLRequest", &message);
    let body = json!({"realm": "strict", "query_string": query.finish()});
    let answer = bench.call("invalidate", &body).expect(200).json();
    assert_eq!(answer["invalidated"], 2);
    bench.who(&tokens["access_token"]).expect(401);
}

#[test]
fn the_metadata_of_this_side_holds_its_addresses_and_certificates() {
    let Some(bench) = Bench::start(&["strict"]) else {
        return;
    };
    let call = bench.authority().get("/_security/saml/metadata/strict");
    let answer = call
        .authorization(&basic("elastic", ELASTIC))
        .send()
        .expect(200)
        .json();
    let xml = answer["metadata"].as_str().unwrap();
    let pem = fs::read_to_string(bench.idp.sp_certificate()).unwrap();
    let body: String = pem
        .lines()
        .filter(|line| !line.starts_with("---"))
        .collect();
    assert_eq!(xml.matches(&body).count(), 2);
    for part in [
        "entityID=\"urn:sp:strict\"",
        ACS,
        LOGOUT,
        "AuthnRequestsSigned=\"true\"",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
}

#[test]
fn what_xmlsec1_signs_is_believed_and_what_it_would_not_verify_is_not() {
    let Some(xmlsec) = tools::find("xmlsec1", "a second opinion on signatures") else {
        return;
    };
    let Some(bench) = Bench::start(&["unsigned"]) else {
        return;
    };
    let (id, content) = bench.sign_in(&bench.idp.visitor(), "unsigned", "alice");
    let plain = String::from_utf8(STANDARD.decode(content).unwrap()).unwrap();
    let (_, after) = plain.split_once("<saml:Assertion").unwrap();
    let (_, after) = after.split_once(" ID=\"").unwrap();
    let (assertion, _) = after.split_once('"').unwrap();
    let template = TEMPLATE.replace("ASSERTION", assertion);
    let end = "</saml:Issuer>";
    let at = plain.rfind(end).unwrap() + end.len();
    let folder = tempfile::tempdir().unwrap();
    let (unsigned, signed) = (folder.path().join("in.xml"), folder.path().join("out.xml"));
    fs::write(
        &unsigned,
        format!("{}{template}{}", &plain[..at], &plain[at..]),
    )
    .unwrap();
    let ended = end_of(
        Command::new(xmlsec)
            .args([
                "--sign",
                "--id-attr:ID",
                "urn:oasis:names:tc:SAML:2.0:assertion:Assertion",
            ])
            .arg("--privkey-pem")
            .arg(bench.idp.certificate().with_extension("key"))
            .arg("--output")
            .arg(&signed)
            .arg(&unsigned),
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    let signed = fs::read_to_string(signed).unwrap();
    let forged = signed.replace(">alice<", ">admin<");
    let refused = bench.authenticate("unsigned", &[&id], &STANDARD.encode(forged));
    bench.expect_refused(&refused, "a signature is not valid");
    let answer = bench.authenticate("unsigned", &[&id], &STANDARD.encode(signed));
    assert_eq!(answer.expect(200).json()["username"], "alice");
}

const TEMPLATE: &str = "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
     <ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>\
     <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384\"/><ds:Reference URI=\"#ASSERTION\">\
     <ds:Transforms><ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>\
     <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>\
     <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#sha384\"/><ds:DigestValue/></ds:Reference>\
     </ds:SignedInfo><ds:SignatureValue/></ds:Signature>";
