//! Every page in every language with the worst that can be in it, the assets, and what an operator may replace.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::{ACCEPT_LANGUAGE, CONTENT_SECURITY_POLICY, IF_NONE_MATCH};
use minijinja::Value;

use super::templates::BUILT_IN;
use super::*;
use crate::config::sso::{PublicUrl, SessionSettings, SessionStore};
use crate::config::theme::{LANGUAGES, SERVED, TEMPLATES, ThemeFile};
use crate::net::page::STYLE;
use crate::session::ended::EndReason;

mod look;
mod told;

/// A name that tries everything: markup, quotes of both kinds, a template, and an override of the writing direction.
const HOSTILE: &str = "</p><script>alert(1)</script>\"'{{ title }}\u{202e}gpj";

fn settings() -> Sso {
    Sso {
        public_url: PublicUrl {
            secure: true,
            authority: "app.example.com".to_owned(),
        },
        prefix: "/_sidegate/".to_owned(),
        providers: Vec::new(),
        session: SessionSettings {
            store: SessionStore::Cookie,
            keys: Vec::new(),
            cookie_name: None,
            persistent: false,
            partitioned: false,
            idle_timeout: Duration::from_secs(3600),
            lifespan: Duration::from_secs(86_400),
            max_sessions: None,
            background: Default::default(),
            end_on_drain: false,
        },
        pages: Default::default(),
        files: Default::default(),
    }
}

fn pages_of(settings: &Sso) -> Pages {
    Pages::new(settings).unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults_of(settings: &Sso) -> String {
    match Pages::new(settings) {
        Ok(_) => panic!("was taken"),
        Err(faults) => faults.to_string(),
    }
}

fn file(name: &str, content: &str) -> ThemeFile {
    ThemeFile {
        path: Path::new("/etc/theme").join(name),
        name: name.to_owned(),
        content: content.as_bytes().into(),
    }
}

fn reading(language: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_LANGUAGE, language.parse().unwrap());
    headers
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect_up_to(1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Every sample with each of its texts made hostile, codes and kinds left alone.
fn hostile(value: &Value) -> serde_json::Value {
    fn spoil(value: &mut serde_json::Value, key: &str) {
        match value {
            serde_json::Value::String(text) if !matches!(key, "reason" | "kind") => {
                *text = HOSTILE.to_owned();
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, key)),
            serde_json::Value::Object(fields) => {
                fields.iter_mut().for_each(|(key, field)| spoil(field, key));
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(value).unwrap();
    spoil(&mut value, "");
    value
}

/// Every page: all samples, in all languages, with what they hold and with the worst they could hold.
fn every_page(pages: &Pages) -> Vec<(String, String)> {
    let mut made = Vec::new();
    for tag in LANGUAGES {
        let headers = reading(tag);
        let language = pages.templates.language(&headers);
        assert_eq!(language.tag, *tag);
        for sample in samples::all() {
            for page in [
                sample.page.clone(),
                Value::from(Serde(hostile(&sample.page))),
            ] {
                let more = sample.more.clone();
                let text = pages
                    .templates
                    .render(sample.template, language, &page, more)
                    .unwrap_or_else(|error| panic!("{} in {tag}: {error:?}", sample.template));
                made.push((format!("{} in {tag}", sample.template), text));
            }
        }
    }
    made
}

#[test]
fn no_page_lets_what_it_is_given_become_markup() {
    let mut settings = settings();
    settings.pages.title = Some(HOSTILE.to_owned());
    settings.pages.message = Some(HOSTILE.to_owned());
    settings.pages.help = Some(HOSTILE.to_owned());
    let made = every_page(&pages_of(&settings));
    assert!(made.len() > 200, "{}", made.len());
    for (name, page) in made {
        assert_eq!(page.matches("<script").count(), 1, "{name}\n{page}");
        assert!(!page.contains("<script>"), "{name}\n{page}");
        assert!(page.contains("&lt;script&gt;"), "{name}\n{page}");
        // Nothing filled in was read as a template.
        assert!(page.contains("{{ title }}"), "{name}\n{page}");
        for quoted in page.split("=\"").skip(1) {
            let value = quoted.split('"').next().unwrap();
            assert!(
                !value.contains('<') && !value.contains('\''),
                "{name}: {value}"
            );
        }
    }
}

#[test]
fn names_cant_turn_the_sentence_around_them() {
    let pages = pages_of(&settings());
    let page = context::Agreement {
        user: Some(context::User {
            username: "\u{202e}eve",
            realm: "r",
        }),
        ..samples::agreement()
    };
    let headers = HeaderMap::new();
    let language = pages.templates.language(&headers);
    let more = given! { paragraphs => Vec::<String>::new() };
    let made = pages
        .templates
        .render("agreement.html", language, &page, more);
    assert!(made.unwrap().contains("\u{2068}\u{202e}eve\u{2069}"));
}

#[test]
fn no_page_holds_inline_code_or_anything_foreign() {
    for (name, page) in every_page(&pages_of(&settings())) {
        for banned in [
            "<style",
            " style=",
            " onclick",
            " onload",
            " onsubmit",
            "javascript:",
        ] {
            assert!(!page.contains(banned), "{name}: {banned}");
        }
        assert!(!page.contains("://"), "{name} names another origin");
        for reference in page.split("src=\"").skip(1) {
            assert!(
                reference.starts_with("/_sidegate/assets/"),
                "{name}: {reference:.60}"
            );
        }
        assert!(page.starts_with("<!doctype html>"), "{name}");
        assert!(page.contains("name=\"viewport\""), "{name}");
        assert_eq!(page.matches("<h1").count(), 1, "{name}");
        assert_eq!(page.matches("<main").count(), 1, "{name}");
    }
}

#[test]
fn every_field_that_is_seen_has_a_label_and_every_form_can_be_sent_by_hand() {
    for (name, page) in every_page(&pages_of(&settings())) {
        for input in page.split("<input").skip(1) {
            let input = input.split('>').next().unwrap();
            if input.contains("type=\"hidden\"") {
                continue;
            }
            let id = input
                .split("id=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap();
            assert!(
                page.contains(&format!("<label for=\"{id}\">")),
                "{name}: {id}"
            );
        }
        for form in page.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            // Only the implicit flow needs JavaScript, by its nature; it says so.
            let by_hand =
                form.contains("type=\"submit\"") || page.contains("<noscript><p role=\"alert\"");
            assert!(by_hand, "{name}");
        }
    }
}

#[tokio::test]
async fn every_page_is_guarded_and_has_the_status_of_its_reason() {
    let pages = pages_of(&settings());
    let headers = HeaderMap::new();
    let mut responses = vec![
        (200, pages.login(&headers, &samples::login(None))),
        (
            401,
            pages.login(&headers, &samples::login(Some(Reason::PasswordWrong))),
        ),
        (
            200,
            pages.login(&headers, &samples::login(Some(Reason::SessionIdle))),
        ),
        (200, pages.logged_out(&headers, &samples::logged_out())),
        (200, pages.agreement(&headers, &samples::agreement())),
        (200, pages.overwritten(&headers, &samples::overwritten())),
        (200, pages.bounce(&headers, &samples::bounce())),
        (200, pages.capture(&headers, &samples::capture())),
        (200, pages.implicit(&headers, &samples::implicit())),
        (200, pages.confirm(&headers, &samples::confirm())),
        (200, pages.done(&headers)),
    ];
    for reason in Reason::ALL {
        let failed = pages.failed(&headers, &samples::failed(*reason));
        responses.push((reason.status().as_u16(), failed));
    }
    for (status, response) in responses {
        assert_eq!(response.status(), status);
        let about = response.headers().clone();
        let policy = about[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for part in [
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(about["cache-control"], "no-store");
        assert_eq!(about["x-content-type-options"], "nosniff");
        assert_eq!(about["x-frame-options"], "DENY");
        assert_eq!(about["referrer-policy"], "same-origin");
        let page = text(response).await;
        assert!(page.contains("</html>"), "{page}");
    }
    let throttled = pages.failed(&headers, &samples::failed(Reason::TooManyFailures));
    assert_eq!(throttled.headers()["retry-after"], "180");
}

#[tokio::test]
async fn every_asset_a_page_names_is_served_for_good_and_says_nothing_foreign() {
    let pages = pages_of(&settings());
    let headers = HeaderMap::new();
    let page = text(pages.login(&headers, &samples::login(None))).await;
    let mut seen = 0;
    for reference in page.split("/_sidegate/assets/").skip(1) {
        let name = reference.split('"').next().unwrap();
        let asset = pages
            .asset(name, &headers)
            .unwrap_or_else(|| panic!("{name}"));
        let keep = asset.headers()["cache-control"].to_str().unwrap();
        assert!(keep.contains("immutable"), "{name}: {keep}");
        seen += 1;
    }
    assert_eq!(seen, 3, "icon, style, script");
    for name in ["style.css", "page.js", "session.js", "icon.svg"] {
        let asset = pages.asset(name, &headers).unwrap();
        assert_eq!(asset.headers()["cache-control"], "public, max-age=300");
        let mut again = HeaderMap::new();
        again.insert(IF_NONE_MATCH, asset.headers()["etag"].clone());
        assert_eq!(pages.asset(name, &again).unwrap().status(), 304);
        let content = text(asset).await.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !content.contains("://") && !content.contains("@import"),
            "{name}"
        );
        assert!(content.len() < 24 * 1024, "{name}: {} bytes", content.len());
    }
    for name in [
        "",
        "style",
        "../style.css",
        "layout.html",
        "style.0000000000000000.css",
    ] {
        assert!(pages.asset(name, &headers).is_none(), "{name}");
    }
}

#[tokio::test]
async fn the_frontends_script_speaks_every_language() {
    let pages = pages_of(&settings());
    let script = text(pages.asset("session.js", &HeaderMap::new()).unwrap()).await;
    let spoken = script
        .split("const texts = ")
        .nth(1)
        .unwrap()
        .split(";\n")
        .next()
        .unwrap();
    let spoken: serde_json::Value = serde_json::from_str(spoken).unwrap();
    for tag in LANGUAGES {
        assert!(
            spoken[tag]["expiring"]
                .as_str()
                .unwrap()
                .contains("{minutes}"),
            "{tag}"
        );
    }
}

#[test]
fn what_the_config_checks_is_what_the_pages_know() {
    let templates: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(templates, TEMPLATES);
    let languages: Vec<&str> = texts::BUILT_IN.iter().map(|(tag, _)| *tag).collect();
    assert_eq!(languages, LANGUAGES);
    let served: Vec<&str> = assets::KINDS.iter().map(|(ending, _)| *ending).collect();
    assert_eq!(served, SERVED);
}
