//! The operator's own pages: what is read, and what is wrong with it, with file and line.

use super::*;
use crate::config::sso::Pages;

fn text(pages: &str) -> String {
    format!(
        "{MINIMAL}sso: {{ public_url: 'https://app', providers: [{{ name: a, login: password }}], pages: {pages} }}\n"
    )
}

fn with_files(pages: &str, files: &[(&str, &str)]) -> Result<Pages, Faults> {
    let mut given = given();
    for (name, content) in files {
        given.files.insert(PathBuf::from(name), (*content).into());
    }
    check(&text(pages), &given).map(|checked| checked.settings.sso.unwrap().pages)
}

fn problem(pages: &str, files: &[(&str, &str)]) -> (String, String) {
    let faults = with_files(pages, files).unwrap_err().0;
    assert_eq!(faults.len(), 1, "{faults:?}");
    (faults[0].path.clone(), faults[0].problem.clone())
}

#[test]
fn without_files_the_pages_are_as_built_in() {
    let pages = with_files("{ title: Shop }", &[]).unwrap();
    assert_eq!(
        (pages.title.as_deref(), &*pages.language),
        (Some("Shop"), "en")
    );
    assert!(pages.theme.files.is_empty() && pages.theme.logo.is_none());
}

#[test]
fn files_are_read_when_the_config_is() {
    let pages = with_files(
        "{ logo: /t/brand.svg, templates: /t/pages, translations: /t/words, language: it }",
        &[
            ("/t/brand.svg", "<svg/>"),
            ("/t/pages/login.html", "{{ title }}"),
            ("/t/pages/theme.css", "h1 {}"),
            ("/t/pages/.hidden.html", "{{"),
            ("/t/words/it.json", r#"{"login.heading": "Accesso"}"#),
        ],
    )
    .unwrap_or_else(|faults| panic!("{faults}"));
    let names: Vec<&str> = pages.theme.files.iter().map(|file| &*file.name).collect();
    assert_eq!(names, ["login.html", "theme.css"]);
    assert_eq!(pages.theme.translations[0].name, "it.json");
    assert_eq!(&*pages.theme.logo.unwrap().content, b"<svg/>");
}

#[test]
fn a_fault_names_the_file_and_its_line() {
    for (pages, file, content, said) in [
        (
            "{ templates: /t }",
            "/t/login.html",
            "one\n{% if x %}\n",
            "/t/login.html`, line ",
        ),
        (
            "{ templates: /t }",
            "/t/logn.html",
            "",
            "there is no such page",
        ),
        (
            "{ translations: /t }",
            "/t/it.json",
            "{\n\"a\": 1 }",
            "/t/it.json`, line 2",
        ),
        (
            "{ translations: /t }",
            "/t/it_IT.json",
            "{}",
            "named after no language",
        ),
        (
            "{ templates: /t }",
            "/t/a b.png",
            "",
            "can't be named in an address",
        ),
        ("{ logo: /t/a.txt }", "/t/a.txt", "", "is no picture"),
        ("{ language: xx }", "/t/a", "", "no texts in `xx`"),
    ] {
        let (path, problem) = problem(pages, &[(file, content)]);
        assert!(path.starts_with("sso.pages."), "{path}");
        assert!(problem.contains(said), "{problem}");
    }
    let faults = with_files("{ templates: /t }", &[("/t/logn.html", "")]).unwrap_err();
    assert!(faults.to_string().contains("did you mean `login.html`?"));
    let (path, problem) = problem("{ templates: /nowhere }", &[]);
    assert!(path == "sso.pages.templates" && problem.contains("can't be read"));
}

#[test]
fn what_is_not_used_is_told() {
    let mut given = given();
    given.files.insert("/t/notes.txt".into(), Vec::new());
    let checked = check(&text("{ templates: /t }"), &given).unwrap();
    assert!(checked.warnings[0].problem.contains("notes.txt"));
}
