//! A real SAML identity provider (SimpleSAMLphp), and a person without a window who signs in there.
//!
//! People: `alice:alicepass` (groups `admins`, `devs`) and `bob:bobpass` (`devs`); attributes `uid`, `mail`, `cn`, `groups`.
//! It knows one service provider per way of signing and encrypting (`sp.php`), entity id `urn:sp:WAY`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::process::end_of;
use super::tools;
use crate::harness::eventually;

const ROOT: &str = "/usr/share/simplesamlphp/www";

/// The identity provider, running. Ended when dropped, with its workers.
pub(crate) struct SamlIdp {
    folder: TempDir,
    child: Child,
    /// Where it is, with a slash at the end.
    pub(crate) url: String,
}

/// How messages about logging out reach the service provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogoutBinding {
    Redirect,
    Post,
}

impl SamlIdp {
    /// Starts one whose service providers are at these addresses; `None` after saying that the test is skipped.
    pub(crate) fn start(acs: &str, logout: &str) -> Option<Self> {
        Self::start_with(acs, logout, LogoutBinding::Redirect)
    }

    /// The same with another way for messages about logging out.
    pub(crate) fn start_with(acs: &str, logout: &str, binding: LogoutBinding) -> Option<Self> {
        let needed_for = "a real SAML identity provider";
        let php = tools::find("php", needed_for)?;
        for program in ["curl", "openssl"] {
            tools::find(program, needed_for)?;
        }
        if !Path::new(ROOT).is_dir() {
            tools::skip("simplesamlphp is missing", needed_for);
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path());
        for name in ["idp", "sp"] {
            make_pair(folder.path(), name);
        }
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let url = format!("http://127.0.0.1:{port}/");
        let log = fs::File::create(folder.path().join("php.log")).unwrap();
        let child = Command::new(php)
            .args([
                "-d",
                &format!("session.save_path={}", folder.path().display()),
            ])
            .args(["-S", &format!("127.0.0.1:{port}"), "-t", ROOT])
            .arg(folder.path().join("router.php"))
            .env("IDP_FOLDER", folder.path())
            .env("IDP_URL", &url)
            .env("IDP_SP_ACS", acs)
            .env("IDP_SP_LOGOUT", logout)
            .env("IDP_SP_LOGOUT_BINDING", binding.name())
            .env("SIMPLESAMLPHP_CONFIG_DIR", folder.path().join("config"))
            // A browser keeps connections open that it does not use.
            .env("PHP_CLI_SERVER_WORKERS", "4")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let idp = Self { folder, child, url };
        assert!(
            eventually(|| TcpStream::connect(("127.0.0.1", port)).is_ok()),
            "the identity provider does not listen"
        );
        idp.save_metadata();
        Some(idp)
    }

    /// Its entity id.
    pub(crate) fn entity_id(&self) -> String {
        format!("{}idp", self.url)
    }

    /// Its metadata, in a file.
    pub(crate) fn metadata(&self) -> PathBuf {
        self.folder.path().join("idp.xml")
    }

    /// The private key that the service providers' certificate is for; of signing and encryption alike.
    pub(crate) fn sp_key(&self) -> PathBuf {
        self.folder.path().join("sp.key")
    }

    /// The service providers' certificate.
    pub(crate) fn sp_certificate(&self) -> PathBuf {
        self.folder.path().join("sp.crt")
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("idp.crt")
    }

    /// Where somebody begins a login there, without a request, and is brought to the service provider of this way.
    pub(crate) fn unsolicited(&self, way: &str, relay_state: &str) -> String {
        format!(
            "{}saml2/idp/SSOService.php?spentityid=urn:sp:{way}&RelayState={relay_state}",
            self.url
        )
    }

    /// Where somebody logs out there.
    pub(crate) fn logout_url(&self) -> String {
        format!("{}saml2/idp/initSLO.php?RelayState=/done", self.url)
    }

    /// Somebody who has never been here, and has no window.
    pub(crate) fn visitor(&self) -> Visitor<'_> {
        static VISITORS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("jar-{}", VISITORS.fetch_add(1, Ordering::SeqCst));
        Visitor {
            idp: self,
            jar: self.folder.path().join(name),
        }
    }

    fn save_metadata(&self) {
        let page = self
            .visitor()
            .get(&format!("{}saml2/idp/metadata.php", self.url));
        assert!(
            page.body.contains("EntityDescriptor"),
            "{}\n{}",
            page.body,
            self.log()
        );
        fs::write(self.metadata(), &page.body).unwrap();
    }

    /// What it wrote, for the message of a failed test.
    pub(crate) fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("--- php\n{}\n--- idp\n{}", read("php.log"), read("idp.log"))
    }
}

impl LogoutBinding {
    const fn name(self) -> &'static str {
        match self {
            Self::Redirect => "HTTP-Redirect",
            Self::Post => "HTTP-POST",
        }
    }
}

impl Drop for SamlIdp {
    fn drop(&mut self) {
        // The workers are children of their own: the whole group has to go.
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.child.id())])
            .status();
        let _ = self.child.wait();
    }
}

fn write_files(folder: &Path) {
    for (path, text) in [
        ("config/config.php", include_str!("config.php")),
        ("config/authsources.php", include_str!("authsources.php")),
        ("metadata/saml20-idp-hosted.php", include_str!("idp.php")),
        ("metadata/saml20-sp-remote.php", include_str!("sp.php")),
        ("router.php", include_str!("router.php")),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(folder.join("tmp")).unwrap();
}

/// A private key and its certificate, `NAME.key` and `NAME.crt`.
pub(crate) fn make_pair(folder: &Path, name: &str) {
    let ended = end_of(
        Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
            ])
            .args(["-subj", &format!("/CN={name}.test"), "-keyout"])
            .arg(folder.join(format!("{name}.key")))
            .arg("-out")
            .arg(folder.join(format!("{name}.crt"))),
    );
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// A page that somebody got.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// Where it sends the browser.
    pub(crate) location: Option<String>,
    pub(crate) body: String,
    /// Its address.
    pub(crate) url: String,
}

impl Page {
    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let input = self
            .body
            .split("<input")
            .find(|input| input.contains(&format!("name=\"{name}\"")))?;
        let value = input.split("value=\"").nth(1)?.split('"').next()?;
        let plain = [
            ("&quot;", "\""),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&#039;", "'"),
            ("&amp;", "&"),
        ];
        Some(
            plain
                .iter()
                .fold(value.to_owned(), |text, (quoted, plain)| {
                    text.replace(quoted, plain)
                }),
        )
    }
}

/// Somebody with a cookie jar. Goes wherever the identity provider sends them inside of it, and no further.
pub(crate) struct Visitor<'i> {
    idp: &'i SamlIdp,
    jar: PathBuf,
}

impl Visitor<'_> {
    /// Goes to a page, following the identity provider.
    pub(crate) fn get(&self, url: &str) -> Page {
        self.follow(url, &[])
    }

    /// Posts a form, following the identity provider.
    pub(crate) fn post(&self, url: &str, form: &[(&str, &str)]) -> Page {
        self.follow(url, form)
    }

    /// Goes to `url` and gives name and password where they are asked for; the page that comes then.
    pub(crate) fn sign_in(&self, url: &str, username: &str, password: &str) -> Page {
        let page = self.get(url);
        let Some(state) = page.field("AuthState") else {
            return page;
        };
        let form = [
            ("username", username),
            ("password", password),
            ("AuthState", &state),
        ];
        self.post(&page.url, &form)
    }

    fn follow(&self, url: &str, form: &[(&str, &str)]) -> Page {
        let mut page = self.fetch(url, form);
        for _ in 0..10 {
            match &page.location {
                Some(there) if there.starts_with(&self.idp.url) => {
                    page = self.fetch(&there.clone(), &[])
                }
                _ => return page,
            }
        }
        panic!("the identity provider goes in circles at {}", page.url);
    }

    fn fetch(&self, url: &str, form: &[(&str, &str)]) -> Page {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--max-time", "30", "-D", "-", "-b"])
            .arg(&self.jar)
            .arg("-c")
            .arg(&self.jar);
        for (name, value) in form {
            command.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let ended = end_of(command.arg(url));
        assert_eq!(ended.code, 0, "{ended:?}\n{}", self.idp.log());
        let (head, body) = ended
            .stdout
            .split_once("\r\n\r\n")
            .expect("a head and a body");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let location = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("location")
                .then(|| value.trim().to_owned())
        });
        Page {
            status: status.expect("a status"),
            location,
            body: body.to_owned(),
            url: url.to_owned(),
        }
    }
}
