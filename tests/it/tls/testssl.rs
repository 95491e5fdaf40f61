//! What testssl.sh finds at a listener with every version on.

use std::fs;
use std::process::Command;

use serde_json::Value;
use sidegate::model::clock::Clock;

use super::Site;
use crate::harness::tools;

/// Severities that a finding may have. `WARN` is about the scanner's own machine, such as an OpenSSL without old ciphers.
const HARMLESS: [&str; 5] = ["OK", "INFO", "LOW", "WARN", "DEBUG"];

/// Findings about the tests' CA, which nobody can ask about revoked certificates.
const OF_THE_CA: [&str; 1] = ["cert_revocation"];

/// What must have been looked at, lest an unfinished scan pass for a clean one.
const LOOKED_AT: [&str; 14] = [
    "SSLv3",
    "TLS1_2",
    "TLS1_3",
    "cipher_order",
    "cert_keySize",
    "cert_chain_of_trust",
    "heartbleed",
    "ROBOT",
    "secure_client_renego",
    "CRIME_TLS",
    "SWEET32",
    "LOGJAM",
    "BEAST",
    "LUCKY13",
];

#[test]
fn testssl_finds_nothing() {
    let Some(program) = tools::find("testssl", "scanning a TLS listener") else {
        return;
    };
    let site = Site::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let names = &["localhost", "127.0.0.1"];
    let leaf = site
        .ca
        .write_leaf_with(site.path(), "leaf", names, &key, |params| {
            // As a public CA makes them: for ninety days.
            let now = i64::try_from(Clock::system().now().unix.as_secs()).unwrap();
            let at = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            (params.not_before, params.not_after) = (at(now - 3_600), at(now + 90 * 86_400));
            params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        });
    let gate = site.plan(&[&leaf], "").start();
    let found = site.path().join("found.json");
    let scan = Command::new(program)
        .args([
            "--quiet",
            "--color",
            "0",
            "--fast",
            "--warnings",
            "off",
            "--nodns",
            "none",
        ])
        // Protocols, preferences, server defaults, vulnerabilities.
        .args(["-p", "-P", "-S", "-U", "--ip", "127.0.0.1"])
        .arg("--add-ca")
        .arg(site.path().join("ca.pem"))
        .arg("--jsonfile")
        .arg(&found)
        .arg(format!("localhost:{}", gate.proxy.address.port()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&scan.stdout);
    let text = fs::read_to_string(&found).unwrap_or_else(|error| panic!("{error}: {told}"));
    let found: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {told}"));
    let of = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    for wanted in LOOKED_AT {
        assert!(
            found.iter().any(|finding| of(finding, "id") == wanted),
            "{wanted} was not looked at: {told}"
        );
    }
    let bad: Vec<String> = found
        .iter()
        .filter(|finding| !HARMLESS.contains(&of(finding, "severity").as_str()))
        .filter(|finding| !OF_THE_CA.contains(&of(finding, "id").as_str()))
        .map(ToString::to_string)
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}
