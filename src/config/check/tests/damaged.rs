//! What no config, however damaged, brings about: a panic, or a secret told.

use proptest::prelude::*;

use super::*;

/// A secret at every place that a secret, or something that may hold one, can stand.
#[test]
fn no_secret_is_ever_told() {
    let places = [
        "authority: { elasticsearch: { nodes: ['https://u:hunter2@es'], credential: hunter2 } }",
        "authority: { elasticsearch: { nodes: ['u:hunter2@es'], credential: [hunter2] } }",
        "authority: { elasticsearch: { nodes: [], credential: { api_key: hunter2 } } }",
        "authority: { elasticsearch: { nodes: [], credential: { api_key: 'hunter2${' } } }",
        "authority: { elasticsearch: { nodes: [], credential: { apikey: hunter2, bearer: hunter2 } } }",
        "authority: { elasticsearch: { nodes: [], credential: { bearer: 'hunter2 x' } } }",
        "authority: { elasticsearch: { nodes: [], credential: { basic: hunter2 } } }",
        "authority: { elasticsearch: { nodes: [], credential: { basic: { username: x, passwrd: hunter2 } } } }",
        "authority: { elasticsearch: { nodes: [], credential: { basic: { password: [hunter2] } } } }",
        "authority: { embedded: { superuser_password: { hunter2: x } } }",
        "authority: { embedded: { superuser_password: '${hunter2' } }",
        "authority: { embedded: hunter2 }",
        "authority: { embedded: { superuser_password: !hunter2 } }",
        "authority: { embedded: { superuser_password: *hunter2 } }",
        "authority: { embedded: { superuser_password: &hunter2 } }",
        "authority: { embedded: { superuser_password: \"hunter2 } }",
        "authority: { embedded: { superuser_password: hunter2: x } }",
        "upstreams: { shop: { url: 'http://u:hunter2@shop' } }",
    ];
    for place in places {
        let text = match check(place, &given()) {
            Ok(checked) => format!("{checked:?}"),
            Err(faults) => format!("{faults} {faults:?}"),
        };
        assert!(!text.contains("hunter2"), "{place}:\n{text}");
    }
    let checked =
        taken(&MINIMAL.replace("embedded: {}", "embedded: { superuser_password: hunter2 }"));
    assert!(!format!("{checked:?}").contains("hunter2"));
}

/// Texts that look like a config with something wrong in it.
fn mutated() -> impl Strategy<Value = String> {
    let bases = prop_oneof![
        Just(example("sidegate.yaml")),
        Just(FAULTY.to_owned()),
        Just(example("elasticsearch.yaml"))
    ];
    let pieces = prop_oneof![
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("~: x".to_owned()),
        Just("&a *a".to_owned()),
        Just("\n".to_owned()),
        Just("-1".to_owned()),
        Just("1e999".to_owned()),
        "[ -~]{0,6}",
        ".{0,4}",
    ];
    (bases, any::<prop::sample::Index>(), 0..12usize, pieces).prop_map(|(base, at, cut, piece)| {
        let letters: Vec<char> = base.chars().collect();
        let at = at.index(letters.len());
        let end = (at + cut).min(letters.len());
        letters[..at]
            .iter()
            .copied()
            .chain(piece.chars())
            .chain(letters[end..].iter().copied())
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_checked_without_a_panic(text in "(?s).{0,200}") {
        let _ = check(&text, &given());
    }

    #[test]
    fn a_damaged_config_is_refused_with_reasons_of_its_own(text in mutated()) {
        if let Err(faults) = check(&text, &given()) {
            prop_assert!(!faults.to_string().contains("does not fit its schema"), "{}", faults);
        }
    }
}
