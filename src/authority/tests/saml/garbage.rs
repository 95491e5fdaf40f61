//! Whatever comes, nothing falls over and nobody gets in.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::authority::realm::saml::assertion::Rules;
use crate::authority::realm::saml::binding::{Parameter, from_form, from_query};
use crate::authority::realm::saml::forge::*;
use crate::authority::realm::saml::idp::Idp;
use crate::authority::realm::saml::{logout, response, xml};
use crate::model::clock::Now;

static FILES: LazyLock<Files> = LazyLock::new(Files::make);
static PROVIDER_METADATA: LazyLock<Idp> =
    LazyLock::new(|| Idp::parse(&metadata(&PROVIDER, ""), IDP).unwrap());
static GOOD: LazyLock<Vec<String>> = LazyLock::new(|| {
    let inner = signed(&assertion(), "_assertion");
    vec![
        usual(&assertion()),
        signed(&response(&inner), "_response"),
        response(&encrypted("EncryptedAssertion", &inner, &CLIENT, GCM)),
        logout_request(&["session-1"]),
        metadata(&PROVIDER, ""),
    ]
});

/// Reads a text as every message there is; true when it lets somebody in.
fn lets_in(text: &str) -> bool {
    let settings = FILES.settings();
    let unix = Duration::from_secs(NOW);
    let rules = Rules {
        settings: &settings,
        decryption: None,
        now: Now {
            mono: Duration::ZERO,
            unix,
        },
    };
    let ids = ["_request".to_owned()];
    let _ = xml::parse(text);
    let _ = Idp::parse(text, IDP);
    let _ = from_form(text);
    let _ = from_query(text, Parameter::Request, &PROVIDER_METADATA);
    let _ = logout::request(text, true, &rules, &PROVIDER_METADATA);
    let _ = logout::response(text, true, &rules, &PROVIDER_METADATA, &ids);
    let judged = response::judge(text, &rules, &PROVIDER_METADATA, &ids);
    judged.is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_refused(text in any::<String>()) {
        prop_assert!(!lets_in(&text));
    }

    #[test]
    fn anything_like_xml_is_refused(text in "(<[/!?]?[a-z:-]{0,5}( [a-z]=['\"][a-z&;#]{0,3}['\"])?/?>?|&[a-z]{0,3};|\\]\\]>|-->|x){0,40}") {
        prop_assert!(!lets_in(&text));
    }

    #[test]
    fn a_good_message_with_a_piece_taken_out_repeated_or_replaced_says_the_same_or_nothing(
        which in 0_usize..5,
        from in any::<prop::sample::Index>(),
        length in 0_usize..400,
        with in prop_oneof![Just(String::new()), Just("<!-- -->".to_owned()), Just("<x/>".to_owned()), any::<String>()],
        doubled in any::<bool>(),
    ) {
        let good = &GOOD[which];
        let start = good.floor_char_boundary(from.index(good.len()));
        let end = good.floor_char_boundary((start + length).min(good.len()));
        let piece = if doubled { good[start..end].repeat(2) } else { with };
        let changed = format!("{}{piece}{}", &good[..start], &good[end..]);
        if lets_in(&changed) {
            // What is not covered by the signature may change; what is said about the user may not.
            prop_assert!(changed.contains("alice"));
            prop_assert!(!changed.contains("admin<") );
        }
    }
}
