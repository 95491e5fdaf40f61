//! `sidegate dev`: one command, a protected app.

use std::process::Command;

use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest as _};

use crate::harness::client::{Target, basic};
use crate::harness::process::{Dev, FREE_PORTS, Process, end_of, run_to_end, sidegate};
use crate::harness::server::Server;
use crate::harness::tools;

#[test]
fn the_demo_policy_holds() {
    let dev = Dev::start(&[]);
    let status = |path: &str, user: &str| {
        let call = dev.proxy.get(path);
        let call = if user.is_empty() {
            call
        } else {
            call.basic(user, &format!("{user}-password"))
        };
        call.send().status
    };
    assert_eq!([status("/", ""), status("/", "bob")], [200, 200]);
    assert_eq!(
        [
            status("/orders", ""),
            status("/orders", "bob"),
            status("/orders", "alice")
        ],
        [401, 403, 200]
    );
    assert_eq!(
        [
            status("/admin", ""),
            status("/admin", "alice"),
            status("/admin", "carol")
        ],
        [401, 403, 200]
    );
    dev.proxy
        .get("/orders")
        .basic("alice", "wrong")
        .send()
        .expect(401);
    let elastic = dev.proxy.get("/orders").basic("elastic", "changeme").send();
    elastic.expect(200);
}

#[test]
fn the_demo_app_shows_who_it_thinks_you_are() {
    let dev = Dev::start(&[]);
    let orders = dev
        .proxy
        .get("/orders")
        .basic("alice", "alice-password")
        .send()
        .expect(200);
    assert!(orders.text().contains("alice"), "{}", orders.text());
    let spoofed = dev
        .proxy
        .get("/")
        .header("X-Forwarded-User", "mallory")
        .send()
        .expect(200);
    assert!(!spoofed.text().contains("mallory"), "{}", spoofed.text());
}

#[test]
fn the_superusers_password_comes_from_the_environment() {
    let plain = Dev::start(&[]);
    plain
        .authority
        .get("/_security/_authenticate")
        .basic("elastic", "changeme")
        .send()
        .expect(200);

    let told = Dev::start_command(
        sidegate()
            .env("ELASTIC_PASSWORD", "from-env-1")
            .args(["dev", "--json"])
            .args(FREE_PORTS),
    );
    told.authority
        .get("/_security/_authenticate")
        .basic("elastic", "from-env-1")
        .send()
        .expect(200);
    told.authority
        .get("/_security/_authenticate")
        .basic("elastic", "changeme")
        .send()
        .expect(401);
}

#[test]
fn events_and_websockets_of_the_demo_app_pass() {
    let dev = Dev::start(&[]);
    let mut wire = dev.proxy.connect();
    wire.send(
        &dev.proxy
            .get("/events")
            .basic("alice", "alice-password")
            .bytes(),
    )
    .unwrap();
    let head = wire.reply_without_body().unwrap().expect(200);
    assert!(
        head.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    );
    wire.read_until(b"data:").expect("an event");

    let mut request = format!("wss://{}/ws", dev.proxy.host())
        .into_client_request()
        .unwrap();
    request.headers_mut().insert(
        "authorization",
        basic("alice", "alice-password").parse().unwrap(),
    );
    let (mut socket, _) = tungstenite::client(request, dev.proxy.connect()).expect("a tunnel");
    socket.send(Message::text("hello")).unwrap();
    while !socket
        .read()
        .expect("an answer")
        .to_string()
        .contains("hello")
    {}
}

#[test]
fn what_it_prints_for_people_can_be_pasted() {
    let Some(curl) = tools::find("curl", "the printed commands") else {
        return;
    };
    drop(curl);
    let process = Process::spawn(sidegate().arg("dev").args(FREE_PORTS));
    for label in ["proxy ", "admin ", "authority ", "CA "] {
        let line = process
            .stdout
            .find(|line| line.trim_start().starts_with(label));
        assert!(line.is_some(), "{label}: {}", process.output());
    }
    process
        .stdout
        .find(|line| line.contains("alice-password"))
        .expect("who can log in");
    // The three lines come last, so once the last is there, all are.
    let commands = |text: &str| -> Vec<String> {
        text.lines()
            .map(str::trim)
            .filter(|line| line.starts_with("curl "))
            .map(str::to_owned)
            .collect()
    };
    process
        .stdout
        .find(|line| line.contains("curl ") && line.contains("bob"))
        .expect("curl lines");
    let mut statuses: Vec<String> = commands(&process.stdout.text())
        .into_iter()
        .map(|line| {
            // A comment after the command tells what it gives.
            let line = line.split(" #").next().unwrap_or_default().to_owned();
            let ended = end_of(
                Command::new("sh")
                    .arg("-c")
                    .arg(format!("{line} -s -o /dev/null -w '%{{http_code}}'")),
            );
            assert_eq!(ended.code, 0, "{line}: {ended:?}");
            ended.stdout.lines().last().unwrap_or_default().to_owned()
        })
        .collect();
    statuses.sort();
    statuses.dedup();
    assert_eq!(statuses, ["200", "401", "403"], "{}", process.output());
}

#[test]
fn your_own_app_stands_behind_it() {
    let app = Server::echoing();
    let dev = Dev::start(&["--upstream", &app.url()]);
    assert_eq!(dev.proxy.get("/").send().expect(200).text(), "upstream");
    dev.proxy
        .get("/orders")
        .basic("bob", "bob-password")
        .send()
        .expect(403);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn it_listens_on_loopback_only() {
    for flag in ["--proxy-address", "--admin-address", "--authority-address"] {
        let ended = run_to_end(&["dev", flag, "0.0.0.0:0"]);
        assert_ne!(ended.code, 0, "{flag}");
        assert!(
            ended.stderr.contains("loopback"),
            "{flag}: {}",
            ended.stderr
        );
    }
}

#[test]
fn interrupt_and_terminate_drain_and_exit_0() {
    for signal in ["INT", "TERM"] {
        let mut dev = Dev::start(&[]);
        dev.proxy.get("/").send().expect(200);
        dev.process.signal(signal);
        assert_eq!(dev.process.wait().code(), Some(0), "{signal}");
    }
}

#[test]
fn the_ca_file_lies_where_it_was_asked_to_and_its_key_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("here.pem");
    let dev = Dev::start(&["--ca-file", ca.to_str().unwrap()]);
    assert_eq!(dev.ca(), ca.to_str().unwrap());
    let text = std::fs::read_to_string(&ca).unwrap();
    assert!(
        text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE"),
        "{text}"
    );
}

#[test]
fn data_outlives_the_process_when_given_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["--data", data.to_str().unwrap()];
    let user = serde_json::json!({"password": "dora-password", "roles": []});
    {
        let mut dev = Dev::start(&args);
        let call = dev
            .authority
            .put_json("/_security/user/dora", &user)
            .basic("elastic", "changeme");
        call.send().expect(200);
        dev.process.signal("TERM");
        assert_eq!(dev.process.wait().code(), Some(0));
    }
    let dev = Dev::start(&args);
    let dora = |target: &Target| {
        target
            .get("/_security/_authenticate")
            .basic("dora", "dora-password")
            .send()
    };
    dora(&dev.authority).expect(200);
}

#[test]
fn requests_are_logged_as_they_come() {
    let dev = Dev::start(&[]);
    dev.proxy
        .get("/orders")
        .basic("bob", "bob-password")
        .send()
        .expect(403);
    let said = |line: &str| line.contains("/orders") && line.contains("403");
    let found = dev.process.stdout.find(said);
    assert!(found.is_some(), "{}", dev.process.output());
}

/// A browser without scripts: curl with a jar for its cookies.
struct Curl {
    program: std::path::PathBuf,
    folder: tempfile::TempDir,
    ca: String,
}

/// Where a browser ended up.
struct Landed {
    status: String,
    url: String,
    html: String,
}

impl Curl {
    /// Goes to a URL as a person does who types it, or sends a form, over all redirects.
    fn go(&self, url: &str, form: Option<&str>) -> Landed {
        let jar = self.folder.path().join("cookies");
        let mut command = Command::new(&self.program);
        command
            .args(["-sS", "-L", "--max-redirs", "20", "--max-time", "60"])
            .args(["-H", "Accept: text/html", "-H", "Sec-Fetch-Mode: navigate"])
            .args([
                "-H",
                "Sec-Fetch-Site: none",
                "-w",
                "\n%{http_code} %{url_effective}",
            ])
            .args(["--cacert", &self.ca])
            .arg("-b")
            .arg(&jar)
            .arg("-c")
            .arg(&jar);
        if let Some(form) = form {
            command.args(["--data", form]);
        }
        let ended = end_of(command.arg(url));
        assert_eq!(ended.code, 0, "{url}: {}", ended.stderr);
        let (html, last) = ended.stdout.rsplit_once('\n').unwrap();
        let (status, url) = last.split_once(' ').unwrap();
        Landed {
            status: status.to_owned(),
            url: url.to_owned(),
            html: html.to_owned(),
        }
    }
}

#[test]
fn one_command_shows_a_whole_login_with_a_browser_and_the_logout() {
    let Some(program) = tools::find("curl", "a login with a browser") else {
        return;
    };
    let dev = Dev::start(&["--sso"]);
    let browser = Curl {
        program,
        folder: tempfile::tempdir().unwrap(),
        ca: dev.ca().to_owned(),
    };
    let proxy = dev.told["proxy"].as_str().unwrap();
    let provider = dev.told["identity_provider"].as_str().unwrap();
    let orders = format!("{proxy}/orders");
    let asked = browser.go(&orders, None);
    assert!(
        asked.url.starts_with(&format!("{proxy}/_sidegate/login?")),
        "{}",
        asked.url
    );
    assert!(
        asked.html.contains("Demo identity provider"),
        "{}",
        asked.html
    );
    let log_in = |name: &str| {
        let begun = browser.go(
            &format!("{proxy}/_sidegate/login/demo?next=%2Forders"),
            None,
        );
        assert!(begun.url.starts_with(provider), "{}", begun.url);
        let (_, rest) = begun.html.split_once("action=\"").expect("a form");
        let action = rest.split('"').next().unwrap().replace("&amp;", "&");
        browser.go(
            &format!("{provider}{action}"),
            Some(&format!("person={name}")),
        )
    };
    let alice = log_in("alice");
    assert_eq!(
        (alice.status.as_str(), &alice.url),
        ("200", &orders),
        "{}",
        alice.html
    );
    assert!(alice.html.contains("alice") && alice.html.contains("alice@example.com"));
    assert_eq!(
        browser.go(&orders, None).status,
        "200",
        "without being asked again"
    );
    let admin = browser.go(&format!("{proxy}/admin"), None);
    assert_eq!(admin.status, "403");
    let out = browser.go(&format!("{proxy}/_sidegate/logout"), None);
    assert_eq!(out.status, "200", "{}", out.html);
    assert!(
        out.url
            .starts_with(&format!("{proxy}/_sidegate/logged-out")),
        "{}",
        out.url
    );
    assert!(browser.go(&orders, None).url.contains("/_sidegate/login?"));
    let carol = log_in("carol");
    assert_eq!(carol.status, "403", "carol may not read orders");
    assert_eq!(browser.go(&format!("{proxy}/admin"), None).status, "200");
    let cancelled = Curl {
        program: browser.program.clone(),
        folder: tempfile::tempdir().unwrap(),
        ca: browser.ca.clone(),
    };
    let begun = cancelled.go(&format!("{proxy}/_sidegate/login/demo"), None);
    let (_, rest) = begun.html.split_once("action=\"").expect("a form");
    let action = rest.split('"').next().unwrap().replace("&amp;", "&");
    let denied = cancelled.go(&format!("{provider}{action}"), Some("person="));
    assert!(
        denied.status.starts_with('4'),
        "{} {}",
        denied.status,
        denied.url
    );
    assert!(
        cancelled
            .go(&orders, None)
            .url
            .contains("/_sidegate/login?")
    );
}
