//! Colours that can be read, and what an operator may put in place of the built-in look.

use std::collections::BTreeMap;

use super::*;

/// The variables of the light and of the dark theme, as they come out.
fn themes() -> [BTreeMap<String, String>; 2] {
    let mut blocks = STYLE.split(":root {").skip(1).map(|block| {
        let block = block.split('}').next().unwrap();
        block
            .lines()
            .filter_map(|line| line.trim().strip_prefix("--")?.split_once(':'))
            .map(|(name, value)| {
                (
                    name.to_owned(),
                    value.trim().trim_end_matches(';').to_owned(),
                )
            })
            .collect::<BTreeMap<String, String>>()
    });
    let light = blocks.next().unwrap();
    let mut dark = light.clone();
    dark.extend(blocks.next().unwrap());
    [light, dark]
}

/// Relative luminance (WCAG 2.2) of `#rrggbb`.
fn luminance(colour: &str) -> f64 {
    let digits = colour
        .strip_prefix('#')
        .unwrap_or_else(|| panic!("{colour}"));
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn every_text_can_be_read_in_both_themes() {
    assert!(contrast("#000000", "#ffffff") > 20.9, "the measure itself");
    for theme in themes() {
        // Text needs 4.5, what must be told apart 3 (WCAG 2.2 §1.4.3, §1.4.11).
        for (front, back, least) in [
            ("text", "surface", 4.5),
            ("text", "soft", 4.5),
            ("text", "danger-soft", 4.5),
            ("muted", "surface", 4.5),
            ("muted", "soft", 4.5),
            ("muted", "ground", 4.5),
            ("accent", "surface", 4.5),
            ("accent-strong", "surface", 4.5),
            ("on-accent", "accent", 4.5),
            ("on-accent", "accent-strong", 4.5),
            ("field-line", "surface", 3.0),
            ("accent", "ground", 3.0),
            ("danger", "danger-soft", 3.0),
        ] {
            let found = contrast(&theme[front], &theme[back]);
            assert!(found >= least, "{front} on {back}: {found:.2}");
        }
    }
}

#[test]
fn every_colour_in_use_is_a_variable() {
    let own = include_str!("../assets/style.css");
    assert!(!own.contains('#'), "colours stand in net/page.css alone");
    let [light, _] = themes();
    for used in own
        .split("var(--")
        .skip(1)
        .chain(STYLE.split("var(--").skip(1))
    {
        let name = used.split(')').next().unwrap();
        assert!(light.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn an_operators_files_take_the_place_of_the_built_in_ones() {
    let mut settings = settings();
    settings.pages.theme.files = vec![
        file(
            "done.html",
            "{% extends 'layout.html' %}{% block main %}<h1>Hi</h1><img src=\"{{ asset('cat.png') }}\" alt=\"\">{% endblock %}",
        ),
        file("theme.css", ":root { --accent: #004411; }"),
        file("cat.png", "\u{89}PNG"),
    ];
    settings.pages.theme.logo = Some(file(
        "brand.svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    ));
    let pages = pages_of(&settings);
    let headers = HeaderMap::new();
    let done = text(pages.done(&headers)).await;
    assert!(done.contains("<h1>Hi</h1>"), "{done}");
    assert!(done.contains("/_sidegate/assets/logo."), "{done}");
    assert!(done.contains("/_sidegate/assets/theme."), "{done}");
    assert!(done.contains("/_sidegate/assets/cat."), "{done}");
    let logo = pages.asset("logo.svg", &headers).unwrap();
    // A picture opened as a page of its own runs nothing.
    assert!(
        logo.headers()[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .contains("sandbox")
    );
}

#[test]
fn a_template_that_asks_for_what_there_is_not_is_a_fault() {
    let mut settings = settings();
    for (content, said) in [
        ("<h1>\n{{ nobody.name }}", "/etc/theme/done.html: line 2"),
        ("{{ t('no.such.text') }}", "there is no text `no.such.text`"),
        ("{{ asset('none.png') }}", "there is no asset `none.png`"),
        ("{% extends 'none.html' %}", "/etc/theme/done.html: line 1"),
    ] {
        settings.pages.theme.files = vec![file("done.html", content)];
        let told = faults_of(&settings);
        assert!(told.contains(said), "{told}");
    }
}

/// Writes every page to `target/pages` as well, to be looked at.
#[test]
fn every_page_has_a_heading_and_a_main_part() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    std::fs::create_dir_all(folder.join("assets")).unwrap();
    let pages = pages_of(&settings());
    for (number, (name, page)) in every_page(&pages).into_iter().enumerate() {
        assert!(page.contains("<h1") && page.contains("<main>"), "{name}");
        let name = name.replace([' ', '.'], "-");
        let page = page.replace("/_sidegate/", "");
        std::fs::write(folder.join(format!("{number}-{name}.html")), page).unwrap();
    }
}
