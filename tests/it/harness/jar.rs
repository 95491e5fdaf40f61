//! The cookies of one browser, by the rules that browsers have (RFC 6265bis): prefixes, `SameSite`, `Secure`, paths, hosts.
//! Ports are no part of it, which is what makes two programs on one host see each other's cookies.

use url::Url;

/// One cookie as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The host that set it; with `tail`, also everything below that name.
    pub(crate) host: String,
    pub(crate) tail: bool,
    pub(crate) path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    pub(crate) partitioned: bool,
    /// Whether it outlives the browser.
    pub(crate) persistent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SameSite {
    Strict,
    Lax,
    None,
}

/// What a request is to the site it goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    /// Whether this site, or the person, began it.
    pub(crate) same_site: bool,
    /// Whether it shows in the address bar.
    pub(crate) navigation: bool,
    /// GET, HEAD and the like.
    pub(crate) safe: bool,
}

/// Everything kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar {
    kept: Vec<Kept>,
    /// `Set-Cookie` lines that a browser would not have believed, and why.
    pub(crate) refused: Vec<(String, &'static str)>,
}

impl Jar {
    /// Takes one `Set-Cookie` line that `from` sent.
    pub(crate) fn take(&mut self, from: &Url, line: &str) {
        match parse(from, line) {
            Err(reason) => self.refused.push((line.to_owned(), reason)),
            Ok((cookie, gone)) => {
                let same = |kept: &Kept| {
                    (&kept.name, &kept.host, kept.tail, &kept.path)
                        == (&cookie.name, &cookie.host, cookie.tail, &cookie.path)
                };
                let place = self.kept.iter().position(same);
                match (place, gone) {
                    (Some(at), true) => drop(self.kept.remove(at)),
                    (Some(at), false) => self.kept[at] = cookie,
                    (None, true) => {}
                    (None, false) => self.kept.push(cookie),
                }
            }
        }
    }

    /// The `Cookie` line for a request; `None` when there is nothing to send.
    pub(crate) fn line(&self, to: &Url, sending: Sending) -> Option<String> {
        let mut fitting: Vec<&Kept> = self
            .kept
            .iter()
            .filter(|cookie| cookie.fits(to, sending))
            .collect();
        // RFC 6265 §5.4: longer paths first, then the older.
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = fitting
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(crate) fn all(&self) -> &[Kept] {
        &self.kept
    }

    /// Changes or drops cookies as the person, or who sits at their machine, likes.
    pub(crate) fn tamper(&mut self, change: impl FnMut(&mut Kept) -> bool) {
        self.kept.retain_mut(change);
    }
}

impl Kept {
    fn fits(&self, to: &Url, sending: Sending) -> bool {
        let host = to.host_str().unwrap_or_default();
        let here = host == self.host
            || (self.tail
                && host
                    .strip_suffix(&self.host)
                    .is_some_and(|rest| rest.ends_with('.')));
        let site = match self.same_site {
            SameSite::None => true,
            SameSite::Lax => sending.same_site || (sending.navigation && sending.safe),
            SameSite::Strict => sending.same_site,
        };
        here && site && path_matches(to.path(), &self.path) && (!self.secure || trustworthy(to))
    }
}

/// RFC 6265 §5.1.4.
fn path_matches(path: &str, cookie: &str) -> bool {
    path == cookie
        || path
            .strip_prefix(cookie)
            .is_some_and(|rest| cookie.ends_with('/') || rest.starts_with('/'))
}

/// Whether `Secure` cookies go there: browsers take plain HTTP to the own machine for safe.
fn trustworthy(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https"
        || host == "localhost"
        || host == "127.0.0.1"
        || host.ends_with(".localhost")
}

fn parse(from: &Url, line: &str) -> Result<(Kept, bool), &'static str> {
    let mut parts = line.split(';').map(str::trim);
    let pair = parts.next().unwrap_or_default();
    let (name, value) = pair.split_once('=').ok_or("no name")?;
    let (name, value) = (name.trim(), value.trim());
    if name.len() + value.len() > 4096 {
        return Err("more than 4096 bytes");
    }
    if line.chars().any(|c| c.is_control()) {
        return Err("control characters");
    }
    let host = from.host_str().unwrap_or_default().to_owned();
    let mut cookie = Kept {
        name: name.to_owned(),
        value: value.to_owned(),
        host: host.clone(),
        tail: false,
        path: default_path(from),
        secure: false,
        http_only: false,
        same_site: SameSite::Lax,
        partitioned: false,
        persistent: false,
    };
    let mut gone = false;
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.to_ascii_lowercase().as_str() {
            "domain" => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                if host != domain && !host.ends_with(&format!(".{domain}")) {
                    return Err("another host's");
                }
                cookie.host = domain;
                cookie.tail = true;
            }
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "httponly" => cookie.http_only = true,
            "partitioned" => cookie.partitioned = true,
            "samesite" => {
                cookie.same_site = match value.to_ascii_lowercase().as_str() {
                    "strict" => SameSite::Strict,
                    "none" => SameSite::None,
                    _ => SameSite::Lax,
                }
            }
            "max-age" => {
                cookie.persistent = true;
                gone |= value.parse::<i64>().is_ok_and(|seconds| seconds <= 0);
            }
            "expires" => {
                cookie.persistent = true;
                gone |= value.contains("1970");
            }
            _ => {}
        }
    }
    admit(from, &cookie)?;
    Ok((cookie, gone))
}

/// The rules that a cookie must keep to be believed.
fn admit(from: &Url, cookie: &Kept) -> Result<(), &'static str> {
    let lower = cookie.name.to_ascii_lowercase();
    if cookie.secure && !trustworthy(from) {
        return Err("Secure from an insecure place");
    }
    if cookie.same_site == SameSite::None && !cookie.secure {
        return Err("SameSite=None without Secure");
    }
    if (lower.starts_with("__host-") || lower.starts_with("__secure-")) && !cookie.secure {
        return Err("the prefix wants Secure");
    }
    if lower.starts_with("__host-") && (cookie.tail || cookie.path != "/") {
        return Err("__Host- wants Path=/ and no Domain");
    }
    Ok(())
}

/// RFC 6265 §5.1.4: the path up to its last slash.
fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(at) => url.path()[..at].to_owned(),
    }
}
