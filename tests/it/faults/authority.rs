//! Faults of the authority: with nothing in the cache, with a permit in it, with an old one that may still serve, and with a
//! second node beside the broken one.

use super::row::{Row, Sees, rows};
use super::way::Way;
use crate::harness::client::{Call, basic};
use crate::harness::elasticsearch::{Account, FakeElasticsearch, OWN};
use crate::harness::eventually;
use crate::harness::fault_proxy::{Fault, FaultProxy};
use crate::harness::plan::{Plan, Running};
use crate::harness::server::Server;

const MISS: &str = "The authority, and nothing is cached";
const HIT: &str = "The authority, while the answer is cached";
const STALE: &str = "The authority, and the cached answer is old (`max_stale`)";
const NODES: &str = "One node of the authority, with another beside it";

const ASKS: &str = "sidegate_es_requests_total";
const CACHE: &str = "sidegate_cache_requests_total";
const UNAVAILABLE: Sees = Sees::Refusal(503, "authority_unavailable");
const NOT_ASKED: &str = "authority could not be asked";
const RESTS: &str = "node rests after a failure";
const HITS: &[&str] = &["cache=\"identity\"", "result=\"hit\""];
const STALES: &[&str] = &["cache=\"identity\"", "result=\"stale\""];

rows! { play;
    refuses_on_a_miss: Refuses in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    resets_on_a_miss: Resets in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    closes_on_a_miss: Closes in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    half_closes_on_a_miss: HalfCloses in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    is_silent_on_a_miss: Silent in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"timeout\""], ASKS, &["code=\"timeout\""];
    never_ends_its_head_on_a_miss: EndlessHead in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"timeout\""], ASKS, &["code=\"timeout\""];
    is_reset_in_the_head_on_a_miss: ResetInHead in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    is_reset_in_the_body_on_a_miss: ResetInBody in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    talks_no_http_on_a_miss: Garbage in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    cuts_its_length_on_a_miss: LengthCut in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    cuts_its_chunks_on_a_miss: ChunksCut in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    has_a_long_head_on_a_miss: LongHead in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    has_a_long_body_on_a_miss: LongBody in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"garbage\""], ASKS, &["code=\"garbage\""];
    answers_503_on_a_miss: Status503 in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"status\""], ASKS, &["code=\"5xx\""];
    is_somebody_else_on_a_miss: Foreign200 in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"not_elasticsearch\""], ASKS, &["code=\"not_elasticsearch\""];
    is_refused_by_somebody_else_on_a_miss: Foreign401 in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"not_elasticsearch\""], ASKS, &["code=\"not_elasticsearch\""];
    loses_its_name_on_a_miss: NameGone in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    has_a_wrong_certificate_on_a_miss: WrongCertificate in MISS => UNAVAILABLE, &[NOT_ASKED, "cause=\"connect\""], ASKS, &["code=\"connect\""];
    is_late_on_a_miss: Late in MISS => Sees::Passes, &[], ASKS, &["code=\"200\""];
    is_bytewise_on_a_miss: Bytewise in MISS => Sees::Passes, &[], ASKS, &["code=\"200\""];

    refuses_on_a_hit: Refuses in HIT => Sees::Passes, &[], CACHE, HITS;
    resets_on_a_hit: Resets in HIT => Sees::Passes, &[], CACHE, HITS;
    is_silent_on_a_hit: Silent in HIT => Sees::Passes, &[], CACHE, HITS;
    talks_no_http_on_a_hit: Garbage in HIT => Sees::Passes, &[], CACHE, HITS;
    is_refused_by_somebody_else_on_a_hit: Foreign401 in HIT => Sees::Passes, &[], CACHE, HITS;

    refuses_on_an_old_hit: Refuses in STALE => Sees::Passes, &[NOT_ASKED, "cause=\"connect\""], CACHE, STALES;
    resets_on_an_old_hit: Resets in STALE => Sees::Passes, &[NOT_ASKED, "cause=\"connect\""], CACHE, STALES;
    is_silent_on_an_old_hit: Silent in STALE => Sees::Passes, &[NOT_ASKED, "cause=\"timeout\""], CACHE, STALES;
    talks_no_http_on_an_old_hit: Garbage in STALE => Sees::Passes, &[NOT_ASKED, "cause=\"connect\""], CACHE, STALES;
    cuts_its_length_on_an_old_hit: LengthCut in STALE => Sees::Passes, &[NOT_ASKED, "cause=\"connect\""], CACHE, STALES;
    answers_503_on_an_old_hit: Status503 in STALE => Sees::Passes, &[NOT_ASKED, "cause=\"status\""], CACHE, STALES;
    has_a_long_body_on_an_old_hit: LongBody in STALE => UNAVAILABLE, &[NOT_ASKED, "cause=\"garbage\""], ASKS, &["code=\"garbage\""];
    is_somebody_else_on_an_old_hit: Foreign200 in STALE => UNAVAILABLE, &[NOT_ASKED, "cause=\"not_elasticsearch\""], ASKS, &["code=\"not_elasticsearch\""];
    is_refused_by_somebody_else_on_an_old_hit: Foreign401 in STALE => UNAVAILABLE, &[NOT_ASKED, "cause=\"not_elasticsearch\""], ASKS, &["code=\"not_elasticsearch\""];

    one_node_refuses: Refuses in NODES => Sees::Passes, &[RESTS], ASKS, &["code=\"200\""];
    one_node_resets: Resets in NODES => Sees::Passes, &[RESTS], ASKS, &["code=\"200\""];
    one_node_is_silent: Silent in NODES => Sees::Passes, &[RESTS], ASKS, &["code=\"200\""];
    one_node_talks_no_http: Garbage in NODES => Sees::Passes, &[RESTS], ASKS, &["code=\"200\""];
    one_node_cuts_its_length: LengthCut in NODES => Sees::Passes, &[RESTS], ASKS, &["code=\"200\""];
    one_node_answers_503: Status503 in NODES => Sees::Passes, &[RESTS], ASKS, &["code=\"200\""];
    one_node_loses_its_name: NameGone in NODES => Sees::Passes, &[RESTS], ASKS, &["code=\"200\""];
}

/// An application for holders of `cluster:monitor`, and an authority behind a fault proxy.
struct Stage {
    fake: FakeElasticsearch,
    app: Server,
    way: Way,
    /// A node that stays well.
    other: Option<FaultProxy>,
    gate: Running,
    mended: Plan,
}

impl Stage {
    fn set(row: &Row) -> Self {
        let (fake, app) = (FakeElasticsearch::with_own(), Server::echoing());
        let way = Way::to(fake.server.address, row.trouble);
        let other = (row.place == NODES).then(|| FaultProxy::to(fake.server.address));
        let cache = match row.place {
            STALE => "{ ttl: 1ms, refresh_ahead: 1.0, max_stale: 600s }",
            _ => "{ ttl: 600s, refresh_ahead: 1.0, negative_ttl: 600s }",
        };
        let plan = |url: &str| {
            let second = other.as_ref().map(|other| format!(", \"{}\"", other.url()));
            let ca = way.ca().map(|ca| format!(", ca: {ca}"));
            let timeout = if second.is_some() { "4s" } else { "2s" };
            let key = OWN.strip_prefix("ApiKey ").unwrap();
            Plan::with_authority(&format!(
                "elasticsearch: {{ nodes: [\"{url}\"{}], timeout: {timeout}, connect_timeout: 1s, credential: {{ api_key: \"{key}\" }}{} }}",
                second.unwrap_or_default(),
                ca.unwrap_or_default(),
            ))
            .upstream("app", &app)
            .route("monitor", "/**", "require: { cluster: [monitor] }")
            .and(&format!("cache: {cache}"))
            .and("login_limit: { per_address: 10000, per_username: 10000 }")
        };
        let (gate, mended) = (plan(&way.url()).start(), plan(&way.good()));
        Self {
            fake,
            app,
            way,
            other,
            gate,
            mended,
        }
    }

    fn alice(&self) -> Call<'_> {
        self.gate.proxy.get("/x").basic("alice", "alice-password")
    }

    /// Everything is as if nothing had been.
    fn is_well(&self) {
        let get = |user: &str, password: &str| {
            let call = self.gate.proxy.get("/x").basic(user, password);
            call.send().status
        };
        assert_eq!(get("alice", "alice-password"), 200);
        assert_eq!(get("bob", "bob-password"), 403);
        assert_eq!(get("alice", "wrong"), 401);
    }
}

fn play(row: &Row) {
    let stage = Stage::set(row);
    match row.place {
        HIT => on_a_hit(row, &stage),
        STALE => on_an_old_hit(row, &stage),
        NODES => beside_another(row, &stage),
        _ => on_a_miss(row, &stage),
    }
}

fn on_a_miss(row: &Row, stage: &Stage) {
    stage.way.suffer();
    let before = row.counted(&stage.gate);
    let reply = stage.alice().send();
    row.is_seen(&stage.gate, &reply);
    row.is_told(&stage.gate, before);
    let refused = matches!(row.sees, Sees::Refusal(..));
    assert_eq!(stage.app.requests().is_empty(), refused);
    // Nothing was remembered: not for her, and nobody counts her as a failed login.
    stage.way.heal(&stage.gate, &stage.mended);
    stage.is_well();
}

fn on_a_hit(row: &Row, stage: &Stage) {
    stage.alice().send().expect(200);
    let asked = stage.fake.questions();
    stage.way.suffer();
    let before = row.counted(&stage.gate);
    row.is_seen(&stage.gate, &stage.alice().send());
    row.is_told(&stage.gate, before);
    stage.way.heal(&stage.gate, &stage.mended);
    stage.alice().send().expect(200);
    assert_eq!(stage.fake.questions(), asked, "nobody had to be asked");
    stage.is_well();
}

fn on_an_old_hit(row: &Row, stage: &Stage) {
    stage.alice().send().expect(200);
    stage.way.suffer();
    let before = row.counted(&stage.gate);
    row.is_seen(&stage.gate, &stage.alice().send());
    row.is_told(&stage.gate, before);
    // Only who was let in before is let in now.
    let bob = stage.gate.proxy.get("/x").basic("bob", "bob-password");
    bob.send().expect_refusal(503, "authority_unavailable");
    stage.way.heal(&stage.gate, &stage.mended);
    // A second later at most it is asked again, and what it says then counts.
    stage.fake.forget(&basic("alice", "alice-password"));
    let refused = eventually(|| stage.alice().send().status == 401);
    assert!(refused, "still served");
}

fn beside_another(row: &Row, stage: &Stage) {
    stage.way.suffer();
    let before = row.counted(&stage.gate);
    // Whoever's turn it is: both nodes have been first after so many.
    for number in 0..4 {
        let name = format!("user-{number}");
        let granted = ["cluster:monitor"];
        let account = Account::new(&name, &[], &granted);
        stage.fake.know(&basic(&name, "password"), account);
        let reply = stage.gate.proxy.get("/x").basic(&name, "password").send();
        row.is_seen(&stage.gate, &reply);
    }
    row.is_told(&stage.gate, before);
    stage.way.heal(&stage.gate, &stage.mended);
    // Now the other one falls silent, and the first is used although it had been resting.
    if let Some(other) = &stage.other {
        other.suffer(Fault::BlackHole);
    }
    stage.is_well();
}
