//! Automata against a matcher that is too simple to be wrong, and against brute force.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::charset::symbol;
use super::super::pattern::{Expr, parse};
use super::*;

/// Where a match that starts at `from` may end.
fn ends(expr: &Expr, text: &[char], from: usize) -> BTreeSet<usize> {
    match expr {
        Expr::Never => BTreeSet::new(),
        Expr::Anything => (from..=text.len()).collect(),
        Expr::Chars(set) => text
            .get(from)
            .filter(|c| {
                set.ranges()
                    .iter()
                    .any(|(lo, hi)| (*lo..=*hi).contains(&symbol(**c)))
            })
            .map(|_| from + 1)
            .into_iter()
            .collect(),
        Expr::Text(literal) => {
            let literal: Vec<char> = literal.chars().collect();
            let end = from + literal.len();
            let is_there = text.get(from..end).is_some_and(|found| found == literal);
            is_there.then_some(end).into_iter().collect()
        }
        Expr::Sequence(parts) => parts.iter().fold(BTreeSet::from([from]), |at, part| {
            at.into_iter()
                .flat_map(|from| ends(part, text, from))
                .collect()
        }),
        Expr::Either(options) => options
            .iter()
            .flat_map(|option| ends(option, text, from))
            .collect(),
        Expr::All(parts) => parts
            .iter()
            .map(|part| ends(part, text, from))
            .reduce(|left, right| left.intersection(&right).copied().collect())
            .unwrap_or_default(),
        Expr::Not(inner) => {
            let not = ends(inner, text, from);
            (from..=text.len())
                .filter(|end| !not.contains(end))
                .collect()
        }
        Expr::Repeat { of, min, max } => {
            let mut at = BTreeSet::from([from]);
            let mut found = BTreeSet::new();
            for round in 0..=max.unwrap_or(min + text.len() as u32 + 1) {
                if round >= *min {
                    found.extend(&at);
                }
                at = at
                    .into_iter()
                    .flat_map(|from| ends(of, text, from))
                    .collect();
            }
            found
        }
    }
}

fn naive(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    ends(&parse(pattern, &Budget::for_roles()).unwrap(), &text, 0).contains(&text.len())
}

fn wildcard() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["a", "b", "*", "?", "\\*", "é"]),
        0..6,
    )
    .prop_map(|parts| parts.concat())
}

fn regex() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a", "b", ".", "@", "#", "[ab]", "[^a]", "\"ab\"", "()", "<1-12>", "\\*", "\\d", "1",
    ])
    .prop_map(str::to_owned);
    let expr = leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("({l}|{r})")),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("({l}&{r})")),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("{l}{r}")),
            inner.clone().prop_map(|e| format!("~({e})")),
            (
                inner,
                prop::sample::select(vec!["?", "*", "+", "{2}", "{1,}", "{0,2}"])
            )
                .prop_map(|(e, op)| format!("({e}){op}")),
        ]
    });
    expr.prop_map(|e| format!("/{e}/"))
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![wildcard(), regex()]
}

/// All strings up to a length over two letters that patterns name and one they don't.
fn words(longest: usize) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut from = 0;
    for _ in 0..longest {
        let until = words.len();
        for at in from..until {
            for letter in ["a", "b", "z"] {
                words.push(words[at].clone() + letter);
            }
        }
        from = until;
    }
    words
}

proptest! {
    #[test]
    fn automata_agree_with_backtracking(pattern in pattern(), text in "[ab1é*z]{0,7}") {
        let automaton = Automaton::of_pattern(&pattern).unwrap();
        prop_assert_eq!(automaton.matches(&text), naive(&pattern, &text), "{} on {:?}", pattern, text);
    }

    #[test]
    fn the_algebra_agrees_with_booleans(left in pattern(), right in pattern(), text in "[ab1é*z]{0,6}") {
        let (l, r) = (Automaton::of_pattern(&left).unwrap(), Automaton::of_pattern(&right).unwrap());
        let (in_left, in_right) = (l.matches(&text), r.matches(&text));
        prop_assert_eq!(l.union(&r).unwrap().matches(&text), in_left || in_right);
        prop_assert_eq!(l.intersection(&r).unwrap().matches(&text), in_left && in_right);
        prop_assert_eq!(l.minus(&r).unwrap().matches(&text), in_left && !in_right);
        prop_assert_eq!(l.complement().unwrap().matches(&text), !in_left);
        prop_assert_eq!(Automaton::of_patterns([left.as_str(), right.as_str()]).unwrap().matches(&text), in_left || in_right);
    }

    #[test]
    fn subset_is_an_empty_difference(left in pattern(), right in pattern()) {
        let (l, r) = (Automaton::of_pattern(&left).unwrap(), Automaton::of_pattern(&right).unwrap());
        prop_assert_eq!(l.is_subset_of(&r), l.minus(&r).unwrap().is_empty());
        prop_assert!(l.is_subset_of(&l.union(&r).unwrap()) && l.intersection(&r).unwrap().is_subset_of(&r));
        prop_assert!(l.union(&l.complement().unwrap()).unwrap().is_total());
        prop_assert!(l.intersection(&l.complement().unwrap()).unwrap().is_empty());
    }

    #[test]
    fn minimising_finds_the_same_automaton_however_it_is_written(left in pattern(), right in pattern()) {
        let (l, r) = (Automaton::of_pattern(&left).unwrap(), Automaton::of_pattern(&right).unwrap());
        let direct = l.union(&r).unwrap();
        let de_morgan = l.complement().unwrap().intersection(&r.complement().unwrap()).unwrap().complement().unwrap();
        prop_assert_eq!(direct.states(), de_morgan.states());
        prop_assert_eq!(direct.is_total(), de_morgan.is_total());
    }

    #[test]
    fn subset_is_right_by_brute_force(
        left in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "?"]), 0..4),
        right in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "?"]), 0..4),
    ) {
        let (left, right) = (left.concat(), right.concat());
        let (l, r) = (Automaton::of_pattern(&left).unwrap(), Automaton::of_pattern(&right).unwrap());
        let brute = words(6).iter().all(|word| !naive(&left, word) || naive(&right, word));
        prop_assert_eq!(l.is_subset_of(&r), brute, "{} in {}", left, right);
    }
}

#[test]
fn operators_mean_what_lucene_says() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("logs-*", &["logs-", "logs-a"], &["log", "xlogs-"]),
        ("a\\*", &["a*"], &["ab", "a\\*"]),
        ("a\\", &["a\\"], &["a"]),
        ("/a|bc/", &["a", "bc"], &["ac", "abc"]),
        ("/a.?/", &["a", "ab"], &["abc"]),
        ("/(ab){2,3}/", &["abab", "ababab"], &["ab", "abababab"]),
        ("/[^a-c]/", &["d", "€"], &["a", "", "dd"]),
        ("/[\\d.]+/", &["1.2"], &["a"]),
        ("/<7-11>/", &["7", "08", "0011"], &["6", "12", ""]),
        ("/<07-11>/", &["07", "10"], &["7", "007", "12"]),
        (
            "/<995-1003>/",
            &["995", "1000", "01003"],
            &["994", "1004", "99"],
        ),
        ("/<0-10>/", &["0", "00", "10"], &["", "11"]),
        ("/~(ab*)/", &["", "b", "aab"], &["a", "abb"]),
        ("/~a*/", &["", "bb", "ab"], &[]),
        ("/@b/", &["b", "aab"], &["a"]),
        ("/#|a/", &["a"], &["", "#"]),
        ("/\"a.*\"/", &["a.*"], &["abc"]),
        ("/\\w\\W\\s?/", &["a-", "_! "], &["--"]),
        ("//", &[""], &["a"]),
        ("/a{0}b/", &["b"], &["ab"]),
        (
            "/~(([.]|ilm-history-).*)/",
            &["logs", "ilm-histor"],
            &[".kibana", "ilm-history-1"],
        ),
        (
            "/metrics-.*&~(metrics-endpoint\\.metadata_current_default.*)/",
            &["metrics-a"],
            &["metrics-endpoint.metadata_current_default1", "logs-a"],
        ),
    ];
    for (pattern, inside, outside) in cases {
        let automaton = Automaton::of_pattern(pattern).unwrap();
        for text in *inside {
            assert!(automaton.matches(text), "{pattern} should match {text:?}");
        }
        for text in *outside {
            assert!(
                !automaton.matches(text),
                "{pattern} should not match {text:?}"
            );
        }
    }
}

#[test]
fn too_many_states_is_an_error_and_not_a_wait() {
    for pattern in [
        format!("*a{}", "?".repeat(40)),
        "/(.*a.{30}){3}/".to_owned(),
        "/((a{900}){900}){900}/".to_owned(),
        "/~(.*a.{40})&.*b.{40}/".to_owned(),
    ] {
        assert!(
            matches!(
                Automaton::of_pattern(&pattern),
                Err(PatternError::TooComplex(_))
            ),
            "{pattern}"
        );
    }
}

#[test]
fn a_thousand_names_and_prefixes_compile_to_about_their_own_length() {
    let patterns: Vec<String> = (0..1000)
        .map(|i| {
            if i % 2 == 0 {
                format!("logs-app{i}-*")
            } else {
                format!("metrics-{i}.prod")
            }
        })
        .collect();
    let automaton = Automaton::of_patterns(patterns.iter().map(String::as_str)).unwrap();
    assert!(automaton.states() < 4000, "{}", automaton.states());
    assert!(
        automaton.matches("logs-app500-x")
            && automaton.matches("metrics-501.prod")
            && !automaton.matches("logs-app501-x")
    );
}

#[test]
fn total_and_empty_are_recognised_however_they_are_written() {
    for pattern in ["*", "**", "/@/", "/.*/", "/~#/", "/(a|~a)/", "/.*|a/"] {
        assert!(
            Automaton::of_pattern(pattern).unwrap().is_total(),
            "{pattern}"
        );
    }
    for pattern in ["/#/", "/a&b/", "/a#/", "/~@/"] {
        assert!(
            Automaton::of_pattern(pattern).unwrap().is_empty(),
            "{pattern}"
        );
    }
}

/// A regular expression with big character classes and counts, as somebody would write who wants to hurt.
fn heavy() -> impl Strategy<Value = String> {
    let class = (1_usize..300).prop_map(|ranges| {
        let characters = (0..ranges).filter_map(|at| char::from_u32(0x4E00 + 2 * at as u32));
        format!("[{}]", characters.collect::<String>())
    });
    let part = (
        prop_oneof![class, Just("a".to_owned()), Just(".".to_owned())],
        0_u32..400,
    );
    let parts = prop::collection::vec(part, 1..4);
    (parts, prop::sample::select(vec!["*", "{0,50}", "?", ""])).prop_map(|(parts, operator)| {
        let inner = parts
            .iter()
            .map(|(part, times)| format!("{part}{{{times}}}"));
        format!("/(.*{}){operator}/", inner.collect::<String>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_built_was_paid_for_and_never_more_than_there_was(patterns in prop::collection::vec(heavy(), 1..4)) {
        let budget = Budget::for_questions();
        for pattern in &patterns {
            let before = budget.spent();
            if let Ok(automaton) = Automaton::of_patterns_within([pattern.as_str()], &budget) {
                prop_assert!(budget.spent() - before >= automaton.states());
            } else {
                // Nothing that comes after is free, either.
                prop_assert!(Automaton::of_patterns_within(["*b"], &budget).is_err() || budget.spent() < 1_000_000);
            }
        }
        prop_assert!(budget.spent() <= 1_000_000);
    }
}

#[test]
fn a_long_loop_is_minimised_in_little_more_than_linear_work() {
    let steps = |length: usize| {
        let budget = Budget::for_roles();
        let pattern = format!("/(a{{{length}}})*/");
        let automaton = Automaton::of_patterns_within([pattern.as_str()], &budget).unwrap();
        assert_eq!(automaton.states(), length);
        assert!(automaton.matches(&"a".repeat(2 * length)) && !automaton.matches("a"));
        budget.spent()
    };
    let (short, long) = (steps(1_000), steps(8_000));
    assert!(long < 12 * short, "{short} and {long} steps");
}

#[test]
fn ranges_of_a_class_are_paid_for_each_time_they_are_copied() {
    let class: String = (0..4_000)
        .filter_map(|at| char::from_u32(0x4E00 + 2 * at))
        .collect();
    let budget = Budget::for_questions();
    let pattern = format!("/([{class}]{{1000}}){{1000}}/");
    let built = Automaton::of_patterns_within([pattern.as_str()], &budget);
    assert!(matches!(built, Err(PatternError::TooComplex(_))));
}

#[test]
fn a_state_with_thousands_of_ways_on_is_no_square() {
    let names: Vec<String> = (0..8_000)
        .filter_map(|at| char::from_u32(0x4E00 + at).map(|first| format!("{first}-{at}")))
        .collect();
    let budget = Budget::for_roles();
    let automaton = Automaton::of_patterns_within(names.iter().map(String::as_str), &budget);
    assert!(automaton.is_ok_and(|automaton| automaton.matches(&names[777])));
}
