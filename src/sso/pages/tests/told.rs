//! Reason codes, their texts in every language and their row in the docs; languages and what an operator says instead.

use super::*;

const TROUBLESHOOTING: &str = include_str!("../../../../docs/sso-troubleshooting.md");

#[test]
fn every_code_has_a_text_in_every_language() {
    let english = texts::first();
    for (tag, text) in texts::BUILT_IN {
        let said = texts::read(text.as_bytes()).unwrap();
        let keys: Vec<&String> = said.keys().collect();
        assert_eq!(keys, english.keys().collect::<Vec<_>>(), "{tag}");
        for (key, text) in &said {
            assert!(!text.trim().is_empty(), "{tag}: {key}");
            let names = |text: &str| {
                let mut names: Vec<String> = text
                    .split('{')
                    .skip(1)
                    .filter_map(|rest| rest.split_once('}'))
                    .map(|(name, _)| name.to_owned())
                    .collect();
                names.sort();
                names
            };
            assert_eq!(names(text), names(&english[key]), "{tag}: {key}");
        }
    }
    for reason in Reason::ALL {
        for key in [
            format!("reason.{}", reason.label()),
            format!("class.{}", reason.class().label()),
        ] {
            assert!(english.contains_key(&key), "{key}");
        }
    }
    let told = english
        .keys()
        .filter(|key| key.starts_with("reason."))
        .count();
    assert_eq!(told, Reason::ALL.len(), "no text is left over");
}

#[test]
fn every_way_a_session_ends_is_a_code() {
    for end in EndReason::ALL {
        assert!(Reason::from_label(end.label()).is_some(), "{}", end.label());
    }
}

#[test]
fn the_troubleshooting_page_has_a_row_for_every_code_and_no_other() {
    let rows: Vec<&str> = TROUBLESHOOTING
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(rows, codes);
    for line in TROUBLESHOOTING
        .lines()
        .filter(|line| line.starts_with("| `"))
    {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let reason = Reason::from_label(cells[0].trim_matches('`')).unwrap();
        assert_eq!(cells[1], reason.status().as_str(), "{line}");
        assert!(
            cells.len() == 4 && cells.iter().all(|cell| cell.len() > 2),
            "{line}"
        );
    }
}

#[test]
fn a_browser_gets_the_language_it_likes_best() {
    let pages = pages_of(&settings());
    for (wanted, got) in [
        ("de", "de"),
        ("DE-at", "de"),
        ("nl, fr;q=0.8, de;q=0.9", "de"),
        ("de;q=0, es;q=0.1", "es"),
        ("nl", "en"),
        ("*", "en"),
        ("", "en"),
        ("de;q=x, fr;q=0.5", "fr"),
        (";;,,-,q=1", "en"),
    ] {
        assert_eq!(
            pages.templates.language(&reading(wanted)).tag,
            got,
            "{wanted}"
        );
    }
    let long = reading(&"x,".repeat(2000));
    assert_eq!(pages.templates.language(&long).tag, "en");
}

#[tokio::test]
async fn an_operator_adds_a_language_and_replaces_single_texts() {
    let mut settings = settings();
    let added = r#"{"direction": "rtl", "login.heading": "כניסה"}"#;
    settings.pages.theme.translations = vec![file("he.json", added)];
    settings.pages.texts = [
        ("login.submit".to_owned(), "Go".to_owned()),
        ("de.login.submit".to_owned(), "Los".to_owned()),
    ]
    .into();
    let pages = pages_of(&settings);
    let login = samples::login(None);
    let hebrew = text(pages.login(&reading("he-IL"), &login)).await;
    assert!(
        hebrew.contains("<html lang=\"he\" dir=\"rtl\">"),
        "{hebrew}"
    );
    assert!(
        hebrew.contains("כניסה") && hebrew.contains("User name"),
        "{hebrew}"
    );
    let french = text(pages.login(&reading("fr"), &login)).await;
    assert!(french.contains("class=\"button\">Go<"), "{french}");
    let german = text(pages.login(&reading("de"), &login)).await;
    assert!(german.contains("class=\"button\">Los<"), "{german}");
}

#[test]
fn a_text_that_no_page_has_is_a_fault() {
    let mut settings = settings();
    settings.pages.theme.translations = vec![file("it.json", "{\n  \"login.heding\": \"x\"\n}")];
    settings.pages.texts = [("login.headin".to_owned(), "x".to_owned())].into();
    let told = faults_of(&settings);
    assert!(
        told.contains("/etc/theme/it.json: line 2: no page has a text `login.heding`"),
        "{told}"
    );
    assert!(told.contains("login.headin"), "{told}");
}
