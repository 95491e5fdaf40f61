//! Every page, every language, and what an operator may replace.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::config::sso::{PublicUrl, SessionSettings, SessionStore};
use crate::config::theme::ThemeFile;

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
    }
}

fn file(name: &str, content: &str) -> ThemeFile {
    ThemeFile {
        path: PathBuf::from("/etc/theme").join(name),
        name: name.to_owned(),
        content: content.as_bytes().into(),
    }
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect_up_to(1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn every_page_is_made_from_what_is_built_in() {
    let pages = Pages::new(&settings()).unwrap_or_else(|faults| panic!("{faults}"));
    let page = text(pages.login(&HeaderMap::new(), &samples::login(None))).await;
    assert!(page.contains("Company account"), "{page}");
}
