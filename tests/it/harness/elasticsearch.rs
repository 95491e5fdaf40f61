//! A scripted Elasticsearch: knows a few credentials, counts every question, and misbehaves when told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::client::basic;
use super::server::{Answer, Latch, Recorded, Server};

const AUTHENTICATE: &str = "/_security/_authenticate";
const HAS_PRIVILEGES: &str = "/_security/user/_has_privileges";
const DELEGATE_PKI: &str = "/_security/delegate_pki";
const TOKEN: &str = "/_security/oauth2/token";
const API_KEY: &str = "/_security/api_key";
const GRANT: &str = "/_security/api_key/grant";

/// The credential that tests give Sidegate for its exchanges, as it arrives.
pub(crate) const OWN: &str = "ApiKey b3duOm93bi1jYW5hcnk=";

/// How it behaves.
#[derive(Clone, Default)]
pub(crate) enum Script {
    /// Like Elasticsearch.
    #[default]
    Honest,
    /// Every question gets this status and an error envelope.
    Status(u16),
    /// 200 with this body.
    Body(&'static str),
    /// The right answers, but without the header that says it is Elasticsearch.
    Foreign,
    /// A redirect elsewhere.
    Redirect(String),
    /// Closes without a byte.
    HangUp,
    /// Honest, but only once the latch is open.
    Hold(Latch),
    /// `_has_privileges` alone gets this status.
    PrivilegesStatus(u16),
    /// `_has_privileges` alone gets 200 with this body.
    PrivilegesBody(&'static str),
}

/// Someone it knows.
#[derive(Clone)]
pub(crate) struct Account {
    username: String,
    identity: Value,
    /// `cluster:monitor`, `index:metrics-a:read`, `application:shop:orders_read:space:1`, or `*`.
    granted: BTreeSet<String>,
}

impl Account {
    /// A native user with these roles and privileges.
    pub(crate) fn new(username: &str, roles: &[&str], granted: &[&str]) -> Self {
        let identity = json!({
            "username": username,
            "roles": roles,
            "full_name": null,
            "email": null,
            "metadata": {},
            "enabled": true,
            "authentication_realm": {"name": "native1", "type": "native"},
            "lookup_realm": {"name": "native1", "type": "native"},
            "authentication_type": "realm",
        });
        Self {
            username: username.to_owned(),
            identity,
            granted: granted.iter().map(|&atom| atom.to_owned()).collect(),
        }
    }

    /// With a field of the identity replaced.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.identity[field] = value;
        self
    }

    fn has(&self, atom: &str) -> bool {
        self.granted.contains(atom) || self.granted.contains("*")
    }
}

/// What it makes of a Kerberos ticket.
#[derive(Clone)]
pub(crate) enum Ticket {
    /// Whose it is, and base64 of the token that goes back.
    Of(Account, &'static str),
    /// The same, and a refresh token comes with it.
    Renewable(Account, &'static str),
    /// base64 of the token that the client must answer.
    Unfinished(&'static str),
}

#[derive(Default)]
struct State {
    /// By base64 of the leaf.
    certificates: BTreeMap<String, Account>,
    tickets: BTreeMap<String, Ticket>,
    /// Whom refresh tokens stand for.
    refreshes: BTreeMap<String, Account>,
    tokens: usize,
    keys: usize,
    /// Tokens and ids of keys, in the order they were taken back.
    taken_back: Vec<String>,
    script: Script,
    accounts: BTreeMap<String, Account>,
}

/// The running thing.
pub(crate) struct FakeElasticsearch {
    pub(crate) server: Server,
    state: Arc<Mutex<State>>,
}

impl FakeElasticsearch {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        Self {
            server: Server::start(move |request| answer(request, &shared)),
            state,
        }
    }

    /// Knows `alice` (`orders:read` on everything the tests call shop), `bob` (nothing) and `root` (everything).
    pub(crate) fn with_people() -> Self {
        let fake = Self::start();
        fake.know(
            &basic("alice", "alice-password"),
            Account::new(
                "alice",
                &["shopper"],
                &[
                    "application:shop:orders_read:*",
                    "cluster:monitor",
                    "index:metrics-a:read",
                ],
            ),
        );
        fake.know(
            &basic("bob", "bob-password"),
            Account::new("bob", &["visitor"], &[]),
        );
        fake.know(
            &basic("root", "root-password"),
            Account::new("root", &["superuser"], &["*"]),
        );
        fake
    }

    /// The same with a credential for Sidegate itself; see [`FakeElasticsearch::yaml_with_own`].
    pub(crate) fn with_own() -> Self {
        let fake = Self::with_people();
        fake.know(OWN, Account::new("sidegate", &[], &[]));
        fake
    }

    /// What to write under `authority:` so that Sidegate has its own credential.
    pub(crate) fn yaml_with_own(&self) -> String {
        let key = OWN.strip_prefix("ApiKey ").unwrap();
        format!(
            "elasticsearch: {{ nodes: [\"{}\"], timeout: 20s, credential: {{ api_key: \"{key}\" }} }}",
            self.url()
        )
    }

    /// Its PKI realm knows a certificate.
    pub(crate) fn know_certificate(&self, leaf: &[u8], account: Account) {
        let mut state = self.state.lock().unwrap();
        state.certificates.insert(STANDARD.encode(leaf), account);
    }

    /// Its Kerberos realm knows a ticket, once.
    pub(crate) fn know_ticket(&self, ticket: &str, what: Ticket) {
        let mut state = self.state.lock().unwrap();
        state.tickets.insert(ticket.to_owned(), what);
    }

    /// How often a certificate was exchanged.
    pub(crate) fn delegations(&self) -> usize {
        self.asked(DELEGATE_PKI)
    }

    /// What was taken back so far: tokens, and ids of keys.
    pub(crate) fn taken_back(&self) -> Vec<String> {
        self.state.lock().unwrap().taken_back.clone()
    }

    /// Every token and id of a key that was ever given.
    pub(crate) fn made(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let tokens = (1..=state.tokens).map(|number| format!("token-canary-{number}"));
        let keys = (1..=state.keys).map(|number| format!("key-{number}"));
        tokens.chain(keys).collect()
    }

    /// Waits until a token or key was taken back.
    pub(crate) fn wait_until_taken_back(&self, what: &str) {
        let names = |request: &Recorded| {
            request.method == "DELETE" && String::from_utf8_lossy(&request.body).contains(what)
        };
        self.server
            .wait_until(|requests| requests.iter().any(names));
    }

    /// How often a ticket was exchanged.
    pub(crate) fn negotiations(&self) -> usize {
        let is_one = |request: &&Recorded| {
            path_of(request) == TOKEN
                && String::from_utf8_lossy(&request.body).contains("_kerberos")
        };
        self.server.requests().iter().filter(is_one).count()
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Accepts an `Authorization` value, byte for byte.
    pub(crate) fn know(&self, authorization: &str, account: Account) {
        self.state
            .lock()
            .unwrap()
            .accounts
            .insert(authorization.to_owned(), account);
    }

    pub(crate) fn forget(&self, authorization: &str) {
        self.state.lock().unwrap().accounts.remove(authorization);
    }

    pub(crate) fn behave(&self, script: Script) {
        self.state.lock().unwrap().script = script;
    }

    /// How often `_authenticate` was asked.
    pub(crate) fn authentications(&self) -> usize {
        self.asked(AUTHENTICATE)
    }

    /// How often `_has_privileges` was asked.
    pub(crate) fn privilege_questions(&self) -> usize {
        self.asked(HAS_PRIVILEGES)
    }

    /// Every question about a credential.
    pub(crate) fn questions(&self) -> usize {
        self.authentications() + self.privilege_questions()
    }

    /// Every question asked with this credential.
    pub(crate) fn questions_by(&self, authorization: &str) -> usize {
        let by = |request: &&Recorded| request.header("authorization") == Some(authorization);
        self.server.requests().iter().filter(by).count()
    }

    /// Waits until this many questions about credentials have arrived, answered or not.
    pub(crate) fn wait_for_questions(&self, count: usize) {
        let is_question =
            |request: &&Recorded| [AUTHENTICATE, HAS_PRIVILEGES].contains(&path_of(request));
        self.server
            .wait_until(|requests| requests.iter().filter(is_question).count() >= count);
    }

    fn asked(&self, path: &str) -> usize {
        self.server
            .requests()
            .iter()
            .filter(|request| path_of(request) == path)
            .count()
    }
}

fn path_of(request: &Recorded) -> &str {
    request.target.split('?').next().unwrap_or_default()
}

fn answer(request: &Recorded, state: &Mutex<State>) -> Answer {
    let path = path_of(request);
    if path == "/" || path.starts_with("/_cluster") {
        return reply(
            200,
            json!({
                "name": "fake", "cluster_name": "fake", "cluster_uuid": "fake-uuid-0000000000",
                "version": {"number": "9.0.0", "build_flavor": "default", "minimum_wire_compatibility_version": "8.18.0"},
                "tagline": "You Know, for Search",
            }),
        );
    }
    let script = state.lock().unwrap().script.clone();
    let asks_privileges = path == HAS_PRIVILEGES;
    match script.clone() {
        Script::Status(status) => return envelope(status, "scripted"),
        Script::PrivilegesStatus(status) if asks_privileges => return envelope(status, "scripted"),
        Script::Body(body) => return bare(body),
        Script::PrivilegesBody(body) if asks_privileges => return bare(body),
        Script::Redirect(to) => return Answer::Reply(302, vec![("location", to)], Vec::new()),
        Script::HangUp => return Answer::HangUp,
        Script::Hold(latch) => latch.wait(),
        _ => {}
    }
    let answer = answer_honestly(request, path, asks_privileges, state);
    match (script, answer) {
        (Script::Foreign, Answer::Reply(status, headers, body)) => {
            let kept = headers
                .into_iter()
                .filter(|(name, _)| *name != "x-elastic-product");
            Answer::Reply(status, kept.collect(), body)
        }
        (_, answer) => answer,
    }
}

fn answer_honestly(
    request: &Recorded,
    path: &str,
    asks_privileges: bool,
    state: &Mutex<State>,
) -> Answer {
    let authorization = request.header("authorization").unwrap_or_default();
    let known_by = match request.header("es-security-runas-user") {
        Some(username) => format!("{authorization} as {username}"),
        None => authorization.to_owned(),
    };
    let account = state.lock().unwrap().accounts.get(&known_by).cloned();
    match account {
        Some(_) if path == DELEGATE_PKI => delegate(&request.body, &mut state.lock().unwrap()),
        Some(_) if request.method == "DELETE" && [TOKEN, API_KEY].contains(&path) => {
            take_back(&request.body, &mut state.lock().unwrap())
        }
        Some(_) if path == TOKEN => exchange(&request.body, &mut state.lock().unwrap()),
        Some(_) if path == GRANT => grant(&request.body, &mut state.lock().unwrap()),
        None => envelope(401, "unable to authenticate"),
        Some(account) if path == AUTHENTICATE => reply(200, account.identity),
        Some(account) if asks_privileges => reply(200, judge(&account, &request.body)),
        Some(_) => envelope(404, "no such endpoint here"),
    }
}

fn delegate(body: &[u8], state: &mut State) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let leaf = body["x509_certificate_chain"][0]
        .as_str()
        .unwrap_or_default();
    match state.certificates.get(leaf).cloned() {
        Some(account) => reply(200, issue(account, state)),
        None => envelope(401, "unable to authenticate user for action"),
    }
}

fn exchange(body: &[u8], state: &mut State) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if body["grant_type"] == "password" {
        return match state.accounts.get(&shown(&body)).cloned() {
            Some(account) => {
                let mut answer = issue(account, state);
                answer["refresh_token"] = format!("refresh-canary-{}", state.tokens).into();
                reply(200, answer)
            }
            None => envelope(401, "unable to authenticate"),
        };
    }
    if body["grant_type"] == "refresh_token" {
        let shown = body["refresh_token"].as_str().unwrap_or_default();
        return match state.refreshes.remove(shown) {
            Some(account) => reply(200, issue_pair(account, state)),
            None => reply(
                400,
                json!({"error": "invalid_grant", "error_description": "token is dead"}),
            ),
        };
    }
    assert_eq!(body["grant_type"], "_kerberos");
    let ticket = body["kerberos_ticket"].as_str().unwrap_or_default();
    match state.tickets.remove(ticket) {
        Some(Ticket::Of(account, back)) => {
            let mut answer = issue(account, state);
            answer["kerberos_authentication_response_token"] = back.into();
            reply(200, answer)
        }
        Some(Ticket::Renewable(account, back)) => {
            let mut answer = issue_pair(account, state);
            answer["kerberos_authentication_response_token"] = back.into();
            reply(200, answer)
        }
        Some(Ticket::Unfinished(back)) => reply(
            400,
            json!({"error": "_unauthorized", "error_description": back}),
        ),
        None => envelope(401, "unable to authenticate user for action"),
    }
}

/// The `Authorization` that the body of a grant comes to.
fn shown(body: &Value) -> String {
    match body["grant_type"].as_str() {
        Some("password") => basic(
            body["username"].as_str().unwrap_or_default(),
            body["password"].as_str().unwrap_or_default(),
        ),
        _ => format!(
            "Bearer {}",
            body["access_token"].as_str().unwrap_or_default()
        ),
    }
}

/// A key of whoever is shown, or of whom they act as. A JWT needs the secret of its realm.
fn grant(body: &[u8], state: &mut State) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut known_by = shown(&body);
    let is_jwt = body["access_token"]
        .as_str()
        .is_some_and(|token| token.contains('.'));
    if is_jwt && body["client_authentication"]["value"] != "shared-canary" {
        return envelope(401, "client authentication is missing");
    }
    if let Some(username) = body["run_as"].as_str() {
        known_by = format!("{known_by} as {username}");
    }
    let Some(account) = state.accounts.get(&known_by).cloned() else {
        return envelope(403, "unable to authenticate who the key is for");
    };
    state.keys += 1;
    let id = format!("key-{}", state.keys);
    let encoded = STANDARD.encode(format!("{id}:key-canary-{}", state.keys));
    let key = account
        .with("authentication_type", json!("api_key"))
        .with("api_key", json!({"id": id, "name": "granted"}));
    state.accounts.insert(format!("ApiKey {encoded}"), key);
    reply(
        200,
        json!({"id": id, "name": "granted", "api_key": "x", "encoded": encoded}),
    )
}

fn take_back(body: &[u8], state: &mut State) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let ids = body["ids"].as_array().into_iter().flatten();
    let tokens = [&body["token"], &body["refresh_token"]];
    let named: Vec<String> = ids
        .chain(tokens)
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    for name in &named {
        state.accounts.remove(&format!("Bearer {name}"));
    }
    state.taken_back.extend(named.iter().cloned());
    reply(
        200,
        json!({"invalidated_tokens": 1, "invalidated_api_keys": named, "previously_invalidated_tokens": 0, "previously_invalidated_api_keys": [], "error_count": 0}),
    )
}

/// A new token, and one that another can be had for.
fn issue_pair(account: Account, state: &mut State) -> Value {
    let mut answer = issue(account.clone(), state);
    let refresh = format!("refresh-canary-{}", state.tokens);
    answer["refresh_token"] = refresh.clone().into();
    state.refreshes.insert(refresh, account);
    answer
}

/// A new token that stands for somebody from now on.
fn issue(account: Account, state: &mut State) -> Value {
    state.tokens += 1;
    let token = format!("token-canary-{}", state.tokens);
    let account = account.with("authentication_type", json!("token"));
    let answer = json!({
        "access_token": token, "type": "Bearer", "expires_in": 1_200,
        "authentication": account.identity,
    });
    state.accounts.insert(format!("Bearer {token}"), account);
    answer
}

/// Answers `_has_privileges` in the shape Elasticsearch gives it.
fn judge(account: &Account, body: &[u8]) -> Value {
    let question: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut all = true;
    let mut check = |atom: String| {
        let has = account.has(&atom);
        all &= has;
        Value::Bool(has)
    };
    let strings = |value: &Value| -> Vec<String> {
        let list = value.as_array().cloned().unwrap_or_default();
        list.iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    };
    let mut cluster = Map::new();
    for privilege in strings(&question["cluster"]) {
        cluster.insert(privilege.clone(), check(format!("cluster:{privilege}")));
    }
    let mut index = Map::new();
    for entry in question["index"].as_array().into_iter().flatten() {
        for name in strings(&entry["names"]) {
            for privilege in strings(&entry["privileges"]) {
                let has = check(format!("index:{name}:{privilege}"));
                index.entry(&name).or_insert_with(|| json!({}))[&privilege] = has;
            }
        }
    }
    let mut application = Map::new();
    for entry in question["application"].as_array().into_iter().flatten() {
        let name = entry["application"].as_str().unwrap_or_default();
        let resources = application.entry(name).or_insert_with(|| json!({}));
        for resource in strings(&entry["resources"]) {
            if resources.get(&resource).is_none() {
                resources[&resource] = json!({});
            }
            for privilege in strings(&entry["privileges"]) {
                resources[&resource][&privilege] =
                    check(format!("application:{name}:{privilege}:{resource}"));
            }
        }
    }
    json!({
        "username": account.username,
        "has_all_requested": all,
        "cluster": cluster,
        "index": index,
        "application": application,
    })
}

fn reply(status: u16, body: Value) -> Answer {
    Answer::Reply(status, headers(), body.to_string().into_bytes())
}

fn bare(body: &str) -> Answer {
    Answer::Reply(200, headers(), body.as_bytes().to_vec())
}

fn headers() -> Vec<(&'static str, String)> {
    vec![
        ("x-elastic-product", "Elasticsearch".to_owned()),
        ("content-type", "application/json".to_owned()),
    ]
}

fn envelope(status: u16, reason: &str) -> Answer {
    let cause = json!({"type": "security_exception", "reason": reason});
    reply(
        status,
        json!({
            "error": {"root_cause": [cause.clone()], "type": "security_exception", "reason": reason},
            "status": status,
        }),
    )
}
