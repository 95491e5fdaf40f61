//! Somebody with a browser: cookies, tabs, redirects, forms; and the headers that browsers add. No script runs.
//!
//! Every host is this machine; the name of a URL decides about cookies and sites, its port about who is asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use rustls::ClientConfig;
use url::{Url, form_urlencoded};

use super::client::{Reply, Target};
use super::jar::{Jar, Sending};
use super::page::{Form, Page};

/// The most redirects in a row, as in Chromium.
const REDIRECTS: usize = 20;

/// One browser.
#[derive(Clone)]
pub(crate) struct Person {
    tls: Arc<ClientConfig>,
    jar: Arc<Mutex<Jar>>,
    language: String,
}

/// Where a navigation came from.
#[derive(Clone, Debug)]
enum Initiator {
    /// The address bar, or a bookmark.
    Person,
    /// A page: its origin, and whether it keeps that to itself.
    Page { url: Url, silent: bool },
}

/// A navigation that has not been sent yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) method: &'static str,
    pub(crate) url: Url,
    /// The body of a form.
    pub(crate) body: Option<String>,
    initiator: Initiator,
    /// `none`, `same-origin`, `same-site` or `cross-site`: the worst so far.
    relation: Relation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relation {
    None,
    SameOrigin,
    SameSite,
    CrossSite,
}

impl Person {
    /// With a browser that trusts what the configuration trusts.
    pub(crate) fn new(tls: &Arc<ClientConfig>) -> Self {
        Self {
            tls: Arc::clone(tls),
            jar: Arc::default(),
            language: "en".to_owned(),
        }
    }

    /// A new tab of the same browser.
    pub(crate) fn tab(&self) -> Tab {
        Tab {
            person: self.clone(),
            page: None,
            past: Vec::new(),
        }
    }

    pub(crate) fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap()
    }

    /// Another browser with a copy of this one's cookies: who stole them.
    pub(crate) fn twin(&self) -> Self {
        Self {
            tls: Arc::clone(&self.tls),
            jar: Arc::new(Mutex::new(self.jar().clone())),
            language: self.language.clone(),
        }
    }

    /// Names and values of the cookies whose name contains this.
    pub(crate) fn cookies(&self, part: &str) -> Vec<(String, String)> {
        let jar = self.jar();
        let named = jar.all().iter().filter(|cookie| cookie.name.contains(part));
        named
            .map(|cookie| (cookie.name.clone(), cookie.value.clone()))
            .collect()
    }

    /// Sends one request as a browser would and keeps the cookies that come back.
    fn exchange(&self, pending: &Pending, more: &[(&str, &str)], sending: Sending) -> Reply {
        let reply = self.send(&pending.url, pending.method, |mut headers| {
            if let Some(line) = self.jar().line(&pending.url, sending) {
                headers.push(("Cookie".into(), line));
            }
            for (name, value) in more {
                headers.push(((*name).to_owned(), (*value).to_owned()));
            }
            (headers, pending.body.clone())
        });
        for line in reply.headers_named("set-cookie") {
            self.jar().take(&pending.url, line);
        }
        reply
    }

    fn send(
        &self,
        url: &Url,
        method: &str,
        fill: impl FnOnce(Vec<(String, String)>) -> (Vec<(String, String)>, Option<String>),
    ) -> Reply {
        let port = url.port_or_known_default().expect("a port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        let target = if url.scheme() == "https" {
            Target::https(&address, Arc::clone(&self.tls))
        } else {
            Target::http(&address)
        };
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let first = vec![
            ("User-Agent".to_owned(), "Mozilla/5.0 (a person)".to_owned()),
            ("Accept-Language".to_owned(), self.language.clone()),
        ];
        let (headers, body) = fill(first);
        let mut call = target.call(method, path).host(host);
        for (name, value) in &headers {
            call = call.header(name, value);
        }
        if let Some(body) = body {
            call = call.body(body);
        }
        call.send()
    }
}

/// One tab: the page in it, and what can be done from there.
pub(crate) struct Tab {
    person: Person,
    page: Option<Page>,
    /// Pages before this one, oldest first.
    past: Vec<Page>,
}

impl Tab {
    /// Types an address and goes there, over all redirects.
    pub(crate) fn open(&mut self, url: &str) -> Page {
        let pending = self.address(url);
        self.go(pending)
    }

    /// Like [`Self::open`], but stops before a request that `hold` wants for itself.
    pub(crate) fn open_until(&mut self, url: &str, hold: impl Fn(&Pending) -> bool) -> Pending {
        let pending = self.address(url);
        self.go_until(pending, hold)
    }

    /// The navigation that typing an address begins.
    pub(crate) fn address(&self, url: &str) -> Pending {
        Pending {
            method: "GET",
            url: Url::parse(url).unwrap_or_else(|error| panic!("{error}: {url}")),
            body: None,
            initiator: Initiator::Person,
            relation: Relation::None,
        }
    }

    /// The navigation that a link on the page in this tab begins.
    pub(crate) fn link(&self, href: &str) -> Pending {
        self.asked_by_page("GET", href, None)
    }

    /// The navigation that a form of some other site begins: cross-site, whatever is in this tab.
    pub(crate) fn forged(url: &str, fields: &[(&str, &str)]) -> Pending {
        let evil = Url::parse("https://evil.example/").unwrap();
        let url = Url::parse(url).unwrap();
        Pending {
            method: "POST",
            body: Some(encode(fields.iter().copied())),
            relation: relation(&evil, &url),
            url,
            initiator: Initiator::Page {
                url: evil,
                silent: false,
            },
        }
    }

    /// The navigation that a link on some other site begins.
    pub(crate) fn lure(url: &str) -> Pending {
        Pending {
            method: "GET",
            body: None,
            ..Self::forged(url, &[])
        }
    }

    fn asked_by_page(&self, method: &'static str, target: &str, body: Option<String>) -> Pending {
        let page = self.page();
        let url = page
            .url
            .join(target)
            .unwrap_or_else(|error| panic!("{error}: {target}"));
        let silent = page
            .reply
            .header("referrer-policy")
            .is_some_and(|policy| policy.contains("no-referrer"));
        Pending {
            method,
            body,
            relation: relation(&page.url, &url),
            url,
            initiator: Initiator::Page {
                url: page.url.clone(),
                silent,
            },
        }
    }

    /// Clicks the link or the button with this text.
    pub(crate) fn click(&mut self, label: &str) -> Page {
        let pending = self.clicking(label);
        self.go(pending)
    }

    /// The navigation that clicking a link or button begins.
    pub(crate) fn clicking(&self, label: &str) -> Pending {
        let page = self.page();
        let links = page.links();
        if let Some((href, _)) = links.iter().find(|(_, text)| text.contains(label)) {
            return self.link(href);
        }
        let forms = page.forms();
        for form in &forms {
            if let Some((name, value, _)) =
                form.buttons.iter().find(|(.., text)| text.contains(label))
            {
                return self.form(form, &[], Some((name.as_str(), value.as_str())));
            }
        }
        panic!("no {label:?} to click on\n{}", page.story());
    }

    /// Fills the form that has all these fields, and sends it with its first button.
    pub(crate) fn submit(&mut self, fields: &[(&str, &str)]) -> Page {
        let pending = self.submitting(fields);
        self.go(pending)
    }

    /// The navigation that sending a form begins.
    pub(crate) fn submitting(&self, fields: &[(&str, &str)]) -> Pending {
        let page = self.page();
        let forms = page.forms();
        let form = forms
            .iter()
            .find(|form| fields.iter().all(|(name, _)| form.has(name)))
            .unwrap_or_else(|| panic!("no form with {fields:?} on\n{}", page.story()));
        let button = form.buttons.first();
        let button = button.map(|(name, value, _)| (name.as_str(), value.as_str()));
        self.form(form, fields, button)
    }

    fn form(&self, form: &Form, typed: &[(&str, &str)], button: Option<(&str, &str)>) -> Pending {
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &form.fields {
            let value = typed
                .iter()
                .find(|(known, _)| known == name)
                .map_or(value.as_str(), |(_, value)| *value);
            fields.push((name, value));
        }
        fields.extend(button.filter(|(name, _)| !name.is_empty()));
        let body = encode(fields.into_iter());
        if form.post {
            return self.asked_by_page("POST", &form.action, Some(body));
        }
        let mut pending = self.asked_by_page("GET", &form.action, None);
        pending.url.set_query(Some(&body));
        pending
    }

    /// Sends a navigation and everything that it redirects to, up to a page.
    pub(crate) fn go(&mut self, pending: Pending) -> Page {
        match self.follow(pending, |_| false) {
            Ok(page) => page,
            Err(held) => panic!("nothing was to be held: {held:?}"),
        }
    }

    /// Like [`Self::go`], but stops before a request that `hold` wants for itself.
    pub(crate) fn go_until(
        &mut self,
        pending: Pending,
        hold: impl Fn(&Pending) -> bool,
    ) -> Pending {
        match self.follow(pending, hold) {
            Ok(page) => panic!("it ended before\n{}", page.story()),
            Err(held) => *held,
        }
    }

    fn follow(
        &mut self,
        mut pending: Pending,
        hold: impl Fn(&Pending) -> bool,
    ) -> Result<Page, Box<Pending>> {
        let mut trail = Vec::new();
        for _ in 0..=REDIRECTS {
            if hold(&pending) {
                return Err(Box::new(pending));
            }
            let reply = self.navigate(&pending);
            trail.push((pending.url.clone(), reply.clone()));
            if let Some(next) = pending.redirected(&reply) {
                pending = next;
                continue;
            }
            let page = Page {
                url: pending.url,
                reply,
                trail: trail.clone(),
            };
            self.past.extend(self.page.replace(page.clone()));
            // What a page does for who has no script.
            let Some(next) = page.refresh() else {
                return Ok(page);
            };
            pending = self.link(&next);
        }
        let way: Vec<&str> = trail.iter().map(|(url, _)| url.as_str()).collect();
        panic!("redirected in circles: {way:#?}");
    }

    /// Sends one navigation and follows nothing.
    pub(crate) fn navigate(&self, pending: &Pending) -> Reply {
        let site = match pending.relation {
            Relation::None => "none",
            Relation::SameOrigin => "same-origin",
            Relation::SameSite => "same-site",
            Relation::CrossSite => "cross-site",
        };
        let mut more = vec![
            ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
            ("Upgrade-Insecure-Requests", "1"),
            ("Sec-Fetch-Site", site),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
            ("Sec-Fetch-User", "?1"),
        ];
        let origin = pending.origin();
        if pending.method == "POST" {
            more.push(("Origin", &origin));
            more.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        let sending = Sending {
            same_site: pending.relation != Relation::CrossSite,
            navigation: true,
            safe: pending.method == "GET",
        };
        self.person.exchange(pending, &more, sending)
    }

    /// What a script of the page in this tab, or of the site at `url` if the tab is empty, fetches.
    pub(crate) fn fetch(&self, method: &'static str, url: &str, headers: &[(&str, &str)]) -> Reply {
        self.fetch_with(method, url, headers, None)
    }

    /// The same with a body.
    pub(crate) fn fetch_with(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Reply {
        let base = self.page.as_ref().map(|page| page.url.clone());
        let url = match &base {
            Some(base) => base.join(url).unwrap(),
            None => Url::parse(url).unwrap(),
        };
        let from = base.unwrap_or_else(|| url.clone());
        let relation = relation(&from, &url);
        let site = match relation {
            Relation::SameSite => "same-site",
            Relation::CrossSite => "cross-site",
            Relation::SameOrigin | Relation::None => "same-origin",
        };
        let origin = from.origin().ascii_serialization();
        let mut more = vec![
            ("Accept", "*/*"),
            ("Sec-Fetch-Site", site),
            ("Sec-Fetch-Mode", "cors"),
            ("Sec-Fetch-Dest", "empty"),
        ];
        if method != "GET" {
            more.push(("Origin", &origin));
        }
        more.extend(headers);
        let pending = Pending {
            method,
            url,
            body: body.map(str::to_owned),
            initiator: Initiator::Person,
            relation,
        };
        let sending = Sending {
            same_site: relation != Relation::CrossSite,
            navigation: false,
            safe: method == "GET",
        };
        self.person.exchange(&pending, &more, sending)
    }

    /// The page in this tab.
    pub(crate) fn page(&self) -> &Page {
        self.page.as_ref().expect("a page in the tab")
    }
}

impl Pending {
    /// What a redirect makes of it; `None` when the response is none.
    fn redirected(&self, reply: &Reply) -> Option<Self> {
        if !matches!(reply.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = reply.header("location")?;
        let mut url = self
            .url
            .join(location)
            .unwrap_or_else(|error| panic!("{error}: {location}"));
        // A target without a fragment takes the one that is there (RFC 9110 §10.2.2).
        if url.fragment().is_none() {
            url.set_fragment(self.url.fragment());
        }
        let keeps = matches!(reply.status, 307 | 308);
        let hop = match &self.initiator {
            Initiator::Person => Relation::None,
            Initiator::Page { url: from, .. } => {
                relation(from, &url).max(relation(&self.url, &url))
            }
        };
        Some(Self {
            method: if keeps { self.method } else { "GET" },
            body: if keeps { self.body.clone() } else { None },
            url,
            initiator: self.initiator.clone(),
            relation: self.relation.max(hop),
        })
    }

    /// The header `Origin` of a POST.
    fn origin(&self) -> String {
        match &self.initiator {
            Initiator::Page { url, silent: false } => url.origin().ascii_serialization(),
            _ => "null".to_owned(),
        }
    }

    /// A parameter of the query or, for a form, of the body.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let text = self.body.as_deref().or(self.url.query())?;
        let mut pairs = form_urlencoded::parse(text.as_bytes());
        let (_, value) = pairs.find(|(known, _)| known == name)?;
        Some(value.into_owned())
    }

    /// With a parameter of the query or body replaced, or added.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let text = self
            .body
            .as_deref()
            .or(self.url.query())
            .unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes())
            .map(|(known, value)| (known.into_owned(), value.into_owned()))
            .filter(|(known, _)| known != name)
            .chain([(name.to_owned(), value.to_owned())])
            .collect();
        let text = encode(
            pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        if self.body.is_some() {
            self.body = Some(text);
        } else {
            self.url.set_query(Some(&text));
        }
        self
    }
}

/// `a=b&c=d`.
pub(crate) fn encode<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

fn relation(from: &Url, to: &Url) -> Relation {
    if from.origin() == to.origin() {
        Relation::SameOrigin
    } else if site(from) == site(to) {
        Relation::SameSite
    } else {
        Relation::CrossSite
    }
}

/// Scheme and registrable domain: the last two labels, which is enough for the names that tests use.
fn site(url: &Url) -> (String, String) {
    let host = url.host_str().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let numeric = host.parse::<std::net::IpAddr>().is_ok();
    let domain = if numeric || labels.len() < 3 {
        host.to_owned()
    } else {
        labels[labels.len() - 2..].join(".")
    };
    (url.scheme().to_owned(), domain)
}
