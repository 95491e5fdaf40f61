//! Chains made here, against trust made here.

use std::path::PathBuf;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use super::certificate::{Delegator, MAX_CHAIN};
use super::*;
use crate::config::realms::RealmCache;

const NOW: u64 = 1_700_000_000;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn time(seconds: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap()
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, "acme");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = time(NOW - 86_400);
    parameters.not_after = time(NOW + 86_400);
    parameters
}

fn ca_parameters(name: &str) -> CertificateParams {
    let mut parameters = parameters(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn root() -> Issuer {
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::self_signed(ca_parameters("root"), key).unwrap()
}

fn intermediate(root: &Issuer) -> Issuer {
    let key = KeyPair::generate().unwrap();
    CertifiedIssuer::signed_by(ca_parameters("intermediate"), key, root).unwrap()
}

/// A client's certificate with something changed.
fn leaf(issuer: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut parameters = parameters("joe");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut parameters);
    let key = KeyPair::generate().unwrap();
    parameters.signed_by(&key, issuer).unwrap().der().clone()
}

struct Place {
    directory: tempfile::TempDir,
    settings: Settings,
}

fn place(root: &Issuer) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, root.pem()).unwrap();
    let settings = Settings {
        username_pattern: "CN=(.*?)(?:,|$)".to_owned(),
        authorities: vec![file],
        revocation_lists: Vec::new(),
        delegation: false,
        authorization_realms: Vec::new(),
        cache: RealmCache::default(),
    };
    Place {
        directory,
        settings,
    }
}

fn chain(der: &[&CertificateDer<'_>], delegated: bool) -> Chain {
    let delegator = delegated.then(|| Delegator {
        username: "proxy".to_owned(),
        realm: "default_native".to_owned(),
    });
    let der = der
        .iter()
        .map(|certificate| (*certificate).clone().into_owned());
    Chain::parse(der.collect(), delegator).unwrap()
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Duration::from_secs(seconds),
        unix: Duration::from_secs(seconds),
    }
}

fn outcome(realm: &PkiRealm, chain: &Chain, now: u64) -> Result<Proven, String> {
    match realm.verdict(chain, at(now)) {
        Verdict::Proven(user) => Ok(user),
        Verdict::Refused(reason) => Err(reason),
        Verdict::NotMine => Err("not mine".to_owned()),
    }
}

fn outcome_of(settings: &Settings, chain: &Chain, now: u64) -> Result<Proven, String> {
    outcome(&PkiRealm::open("pki1", settings).unwrap(), chain, now)
}

#[tokio::test]
async fn a_chain_is_followed_through_its_intermediates() {
    let root = root();
    let middle = intermediate(&root);
    let joe = leaf(&middle, |_| ());
    let place = place(&root);
    let user = outcome_of(&place.settings, &chain(&[&joe, middle.der()], false), NOW).unwrap();
    assert_eq!(user.username, "joe");
    assert_eq!(user.dn.as_deref(), Some("CN=joe, O=acme"));
    assert_eq!(
        serde_json::Value::Object(user.metadata),
        json!({"pki_dn": "CN=joe, O=acme"})
    );
    let reason = outcome_of(&place.settings, &chain(&[&joe], false), NOW).unwrap_err();
    assert!(
        reason.starts_with("Certificate for CN=joe, O=acme is not trusted"),
        "{reason}"
    );
}

#[tokio::test]
async fn certificates_that_must_not_count_do_not() {
    let root = root();
    let place = place(&root);
    let settings = &place.settings;
    let good = leaf(&root, |_| ());
    assert!(outcome_of(settings, &chain(&[&good], false), NOW).is_ok());
    assert!(
        outcome_of(settings, &chain(&[&good], false), NOW + 86_401).is_err(),
        "expired"
    );
    assert!(
        outcome_of(settings, &chain(&[&good], false), NOW - 86_401).is_err(),
        "not yet"
    );
    let server = leaf(&root, |parameters| {
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert!(
        outcome_of(settings, &chain(&[&server], false), NOW).is_err(),
        "wrong usage"
    );
    // Its own CA bears the same name as the trusted one.
    let forged = leaf(&self::root(), |_| ());
    assert!(
        outcome_of(settings, &chain(&[&forged], false), NOW).is_err(),
        "another root"
    );
    // A leaf that is no CA signs nobody.
    let key = KeyPair::generate().unwrap();
    let no_ca = CertifiedIssuer::signed_by(parameters("joe"), key, &root).unwrap();
    let below = leaf(&no_ca, |_| ());
    assert!(
        outcome_of(settings, &chain(&[&below, no_ca.der()], false), NOW).is_err(),
        "no ca"
    );
}

#[tokio::test]
async fn the_user_name_is_what_the_pattern_takes() {
    let root = root();
    let place = place(&root);
    let mail = |pattern: &str| Settings {
        username_pattern: pattern.to_owned(),
        ..place.settings.clone()
    };
    let joe = chain(&[&leaf(&root, |_| ())], false);
    assert_eq!(
        outcome_of(&mail("O=([a-z]+)$"), &joe, NOW)
            .unwrap()
            .username,
        "acme"
    );
    let reason = outcome_of(&mail("EMAILADDRESS=(.+)"), &joe, NOW).unwrap_err();
    assert_eq!(
        reason,
        "Could not parse principal from Subject DN CN=joe, O=acme"
    );
    // A name that contains a separator can't smuggle another user in.
    let evil = leaf(&root, |parameters| {
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters
            .distinguished_name
            .push(DnType::OrganizationName, "x, CN=admin");
        parameters
            .distinguished_name
            .push(DnType::CommonName, "eve");
    });
    assert_eq!(
        outcome_of(&mail("CN=(.*?)(?:,|$)"), &chain(&[&evil], false), NOW)
            .unwrap()
            .username,
        "eve"
    );
}

#[tokio::test]
async fn a_chain_handed_in_needs_delegation_and_says_who_brought_it() {
    let root = root();
    let place = place(&root);
    let handed = chain(&[&leaf(&root, |_| ())], true);
    let reason = outcome_of(&place.settings, &handed, NOW).unwrap_err();
    assert_eq!(
        reason,
        "Realm does not permit delegation for CN=joe, O=acme"
    );
    let open = Settings {
        delegation: true,
        ..place.settings.clone()
    };
    let user = outcome_of(&open, &handed, NOW).unwrap();
    let expected = json!({
        "pki_dn": "CN=joe, O=acme", "pki_delegated_by_user": "proxy", "pki_delegated_by_realm": "default_native",
    });
    assert_eq!(serde_json::Value::Object(user.metadata), expected);
    // Without CAs of its own the realm takes what the listener verified, and nothing else.
    let trusting = Settings {
        authorities: Vec::new(),
        ..open
    };
    assert!(outcome_of(&trusting, &handed, NOW).is_err());
    assert!(outcome_of(&trusting, &chain(&[&leaf(&root, |_| ())], false), NOW).is_ok());
}

fn list(issuer: &Issuer, revoked: &[u64], next: u64) -> String {
    let revoked = revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: time(NOW - 100),
        reason_code: None,
        invalidity_date: None,
    });
    let parameters = CertificateRevocationListParams {
        this_update: time(NOW - 1_000),
        next_update: time(next),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    parameters.signed_by(issuer).unwrap().pem().unwrap()
}

#[tokio::test]
async fn revocation_lists_are_asked_and_must_be_current() {
    let root = root();
    let mut place = place(&root);
    let file: PathBuf = place.directory.path().join("crl.pem");
    place.settings.revocation_lists = vec![file.clone()];
    let numbered = |serial: u64| {
        let der = leaf(&root, |parameters| {
            parameters.serial_number = Some(SerialNumber::from(serial))
        });
        chain(&[&der], false)
    };
    let (good, revoked) = (numbered(7), numbered(8));
    std::fs::write(&file, list(&root, &[8], NOW + 1_000)).unwrap();
    assert!(outcome_of(&place.settings, &good, NOW).is_ok());
    let reason = outcome_of(&place.settings, &revoked, NOW).unwrap_err();
    assert!(reason.contains("Revoked"), "{reason}");
    assert!(
        outcome_of(&place.settings, &good, NOW + 1_001).is_err(),
        "the list is out of date"
    );
    // A list of another CA says nothing about this one.
    std::fs::write(&file, list(&self::root(), &[], NOW + 1_000)).unwrap();
    assert!(outcome_of(&place.settings, &good, NOW).is_err());
    std::fs::write(&file, "nothing").unwrap();
    assert!(matches!(
        PkiRealm::open("pki1", &place.settings).err(),
        Some(PkiError::Trust(TrustError::NoList(_)))
    ));
}

#[tokio::test]
async fn what_is_remembered_ends_with_the_certificate_and_with_the_trust() {
    let root = root();
    let mut place = place(&root);
    let file = place.directory.path().join("crl.pem");
    std::fs::write(&file, list(&root, &[], NOW + 80_000)).unwrap();
    place.settings.revocation_lists = vec![file.clone()];
    let short = leaf(&root, |parameters| {
        parameters.not_after = time(NOW + 100);
        parameters.serial_number = Some(SerialNumber::from(9));
    });
    let short = chain(&[&short], false);
    let realm = PkiRealm::open("pki1", &place.settings).unwrap();
    assert!(outcome(&realm, &short, NOW).is_ok());
    assert!(outcome(&realm, &short, NOW + 101).is_err());
    assert!(outcome(&realm, &short, NOW).is_ok());
    std::fs::write(&file, list(&root, &[9], NOW + 80_000)).unwrap();
    let waiting = async {
        while outcome(&realm, &short, NOW).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap();
}

#[test]
fn what_is_no_chain_is_refused() {
    let root = root();
    let joe = leaf(&root, |_| ());
    assert!(Chain::parse(Vec::new(), None).is_none());
    assert!(Chain::parse(vec![joe.clone(); MAX_CHAIN + 1], None).is_none());
    assert!(Chain::parse(vec![CertificateDer::from(vec![1, 2, 3])], None).is_none());
    let mut longer = joe.to_vec();
    longer.push(0);
    assert!(Chain::parse(vec![CertificateDer::from(longer)], None).is_none());
    assert!(chain(&[&joe, root.der()], false).is_ordered());
    assert!(!chain(&[root.der(), &joe], false).is_ordered());
}
