//! One gate with an open, a closed and a closely guarded door, and what must hold of it whoever attacks.

use crate::harness::client::{Reply, basic};
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

/// What the upstream is told of who is let in.
pub(super) const IDENTITY: &str = "forward: { identity_headers: { username: x-auth-user, roles: x-auth-roles, email: x-auth-email } }";

/// `/public` for everyone, `/app` for the authenticated, `/admin` for superusers, `/ws` for WebSockets, nothing else.
pub(super) struct Scene {
    pub(super) fake: FakeElasticsearch,
    pub(super) app: Server,
    pub(super) gate: Running,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(|plan| plan)
    }

    /// With something added to the plan.
    pub(super) fn with(change: impl FnOnce(Plan) -> Plan) -> Self {
        Self::before(Server::echoing(), change)
    }

    /// In front of this upstream.
    pub(super) fn before(app: Server, change: impl FnOnce(Plan) -> Plan) -> Self {
        let fake = FakeElasticsearch::with_people();
        let plan = Plan::with_elasticsearch(&fake)
            .upstream("app", &app)
            .route("public", "/public/**", "allow: everyone")
            .route(
                "app",
                "/app/**",
                &format!("allow: authenticated, {IDENTITY}"),
            )
            .route(
                "admin",
                "/admin/**",
                &format!("require: {{ roles: [superuser] }}, {IDENTITY}"),
            )
            .route("socket", "/ws/**", "allow: authenticated, websocket: true")
            .and("login_limit: { per_address: 100000, per_username: 100000 }");
        let gate = change(plan).start();
        let scene = Self { fake, app, gate };
        scene.serves_another();
        scene
    }

    /// Somebody else, on a connection of their own, is served as if nothing happened.
    pub(super) fn serves_another(&self) {
        let bystander = self.gate.proxy.get("/app/bystander");
        bystander.basic("root", "root-password").send().expect(200);
    }

    /// These bytes, on a connection of their own, are answered with one of these statuses; neither the upstream nor the authority
    /// hears of it, and others are served.
    pub(super) fn refuses(&self, what: &str, statuses: &[u16], bytes: &[u8]) -> Reply {
        let before = self.heard();
        let reply = self.gate.proxy.raw_reply(bytes);
        assert!(
            statuses.contains(&reply.status),
            "{what}: {} {:?}",
            reply.status,
            reply.refusal()
        );
        assert_eq!(self.heard(), before, "{what}: (bytes upstream, questions)");
        self.is_still_unheard(what);
        reply
    }

    /// The same, and the connection is closed after the answer, whatever else was sent on it.
    pub(super) fn refuses_and_closes(&self, what: &str, statuses: &[u16], bytes: &[u8]) {
        let before = self.heard();
        let answer = self.gate.proxy.raw(bytes);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
        assert!(
            status.is_some_and(|status| statuses.contains(&status)),
            "{what}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer}");
        assert_eq!(self.heard(), before, "{what}: (bytes upstream, questions)");
        self.is_still_unheard(what);
    }

    /// How many bytes reached the upstream, and how many questions the authority.
    pub(super) fn heard(&self) -> (usize, usize) {
        (self.app.bytes().len(), self.fake.questions())
    }

    /// Serves somebody else, after whom nothing that came before can still be under way on a connection of the upstream.
    fn is_still_unheard(&self, what: &str) {
        let before = self.app.requests().len();
        self.serves_another();
        let requests = self.app.requests();
        assert_eq!(requests.len(), before + 1, "{what}: {requests:#?}");
    }
}

/// A request of alice's, who may enter `/app` and not `/admin`, with more header lines.
pub(super) fn of_alice(target: &str, headers: &str) -> Vec<u8> {
    let alice = basic("alice", "alice-password");
    request(target, &format!("Authorization: {alice}\r\n{headers}"))
}

/// A request of a superuser.
pub(super) fn of_root(target: &str) -> Vec<u8> {
    let root = basic("root", "root-password");
    request(target, &format!("Authorization: {root}\r\n"))
}

/// A request of nobody's, with these header lines.
pub(super) fn request(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}
