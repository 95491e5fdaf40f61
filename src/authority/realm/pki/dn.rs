//! A distinguished name as Java's `X500Principal.toString()` prints it, since patterns and role mappings are written for that.
//!
//! Most specific part first, parts divided by `, `, several values of one part by ` + `; quotes where a value holds what divides.

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Keywords by object identifier.
const KEYWORDS: [(&str, &str); 18] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "T"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.46", "DNQ"),
    ("2.5.4.4", "SURNAME"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATION"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
    ("1.3.6.1.4.1.42.2.11.2.1", "IP"),
];

/// Letters that make a value need quotes.
const DIVIDING: &str = ",+=\n<>#;\\\"";

/// Prints a name.
pub fn render(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let values: Vec<String> = part.iter().map(attribute).collect();
            values.join(" + ")
        })
        .collect();
    parts.reverse();
    parts.join(", ")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let id = attribute.attr_type().to_id_string();
    let keyword = KEYWORDS.iter().find(|(known, _)| *known == id);
    let keyword = keyword.map_or_else(|| format!("OID.{id}"), |(_, word)| (*word).to_owned());
    let any = attribute.attr_value();
    let value = match text(any) {
        Some(text) => quoted(&text),
        None => hexadecimal(any),
    };
    format!("{keyword}={value}")
}

/// The text of a string type; `None`: Java prints the bytes.
fn text(any: &Any<'_>) -> Option<String> {
    let bytes = any.data;
    match any.tag() {
        Tag::Utf8String => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Tag::PrintableString | Tag::Ia5String => {
            let replaced = |byte: &u8| {
                if byte.is_ascii() {
                    char::from(*byte)
                } else {
                    '\u{fffd}'
                }
            };
            Some(bytes.iter().map(replaced).collect())
        }
        // ISO 8859-1, byte for byte.
        Tag::T61String | Tag::GeneralString => {
            Some(bytes.iter().map(|byte| char::from(*byte)).collect())
        }
        Tag::BmpString => {
            let units = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()
        }
        _ => None,
    }
}

fn hexadecimal(any: &Any<'_>) -> String {
    use x509_parser::asn1_rs::ToDer as _;
    let bytes = any.to_der_vec().unwrap_or_default();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("#{digits}")
}

fn quoted(value: &str) -> String {
    let letters: Vec<char> = value.chars().collect();
    let already =
        letters.len() > 1 && letters.first() == Some(&'"') && letters.last() == Some(&'"');
    if already {
        return value.to_owned();
    }
    let blank = |letter: &char| matches!(letter, ' ' | '\n');
    let needs = letters.iter().any(|letter| DIVIDING.contains(*letter))
        || letters.first().is_some_and(blank)
        || letters.last().is_some_and(blank)
        || letters
            .windows(2)
            .any(|pair| blank(&pair[0]) && blank(&pair[1]));
    if !needs {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for letter in letters {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    fn printed(parts: &[(DnType, &str)]) -> String {
        let mut name = DistinguishedName::new();
        for (kind, value) in parts {
            name.push(kind.clone(), DnValue::Utf8String((*value).to_owned()));
        }
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name;
        let certificate = parameters
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        render(parsed.subject())
    }

    #[test]
    fn the_most_specific_part_comes_first_as_java_prints_it() {
        let name = printed(&[
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "acme"),
            (DnType::OrganizationalUnitName, "people"),
            (DnType::CommonName, "Joe"),
        ]);
        assert_eq!(name, "CN=Joe, OU=people, O=acme, C=DE");
    }

    #[test]
    fn values_that_hold_what_divides_are_quoted() {
        for (value, expected) in [
            ("Acme, Inc", "CN=\"Acme, Inc\""),
            (" x", "CN=\" x\""),
            ("x ", "CN=\"x \""),
            ("a  b", "CN=\"a  b\""),
            ("a b", "CN=a b"),
            ("a\"b", "CN=\"a\\\"b\""),
            ("a\\b", "CN=\"a\\\\b\""),
            ("Ä", "CN=Ä"),
            ("joe, O=evil", "CN=\"joe, O=evil\""),
        ] {
            assert_eq!(printed(&[(DnType::CommonName, value)]), expected);
        }
    }

    #[test]
    fn unknown_attributes_are_printed_by_their_number() {
        let name = printed(&[
            (DnType::CustomDnType(vec![1, 2, 3, 4]), "x"),
            (
                DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]),
                "a@b.c",
            ),
        ]);
        assert_eq!(name, "EMAILADDRESS=a@b.c, OID.1.2.3.4=x");
    }
}
