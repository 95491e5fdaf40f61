//! Faults of the application: before a byte of its answer, in the middle of it, and with another address beside the broken one.

use super::row::{Row, Sees, Trouble, is_logged, rows};
use super::way::Way;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::fault_proxy::Fault;
use crate::harness::plan::{Plan, Running};
use crate::harness::server::{Answer, Server};

const BEFORE: &str = "The application, before its answer begins";
const MIDDLE: &str = "The application, in the middle of its answer";
const ADDRESSES: &str = "One address of the application, with another beside it";

const FAILURES: &str = "sidegate_upstream_failures_total";
const NO_ANSWER: &str = "upstream gave no response";
const HALF: &str = "upstream gave half a response";
const UNREACHABLE: Sees = Sees::Refusal(502, "upstream_connect");
const CLOSED: Sees = Sees::Refusal(502, "upstream_closed");
const NO_HTTP: Sees = Sees::Refusal(502, "upstream_protocol");
const LATE: Sees = Sees::Refusal(504, "upstream_response_timeout");
const REQUESTS: &str = "sidegate_requests_total";
const PASSED: &[&str] = &["route=\"all\"", "method=\"GET\"", "code_class=\"2xx\""];

rows! { play;
    refuses: Refuses in BEFORE => UNREACHABLE, &[NO_ANSWER, "cause=\"connect\""], FAILURES, &["cause=\"connect\""];
    loses_its_name: NameGone in BEFORE => UNREACHABLE, &[NO_ANSWER, "cause=\"connect\""], FAILURES, &["cause=\"connect\""];
    has_a_wrong_certificate: WrongCertificate in BEFORE => Sees::Refusal(502, "upstream_tls"), &[NO_ANSWER, "cause=\"tls\""], FAILURES, &["cause=\"tls\""];
    resets: Resets in BEFORE => CLOSED, &[NO_ANSWER, "cause=\"closed\""], FAILURES, &["cause=\"closed\""];
    closes: Closes in BEFORE => CLOSED, &[NO_ANSWER, "cause=\"closed\""], FAILURES, &["cause=\"closed\""];
    half_closes: HalfCloses in BEFORE => CLOSED, &[NO_ANSWER, "cause=\"closed\""], FAILURES, &["cause=\"closed\""];
    is_reset_in_the_head: ResetInHead in BEFORE => CLOSED, &[NO_ANSWER, "cause=\"closed\""], FAILURES, &["cause=\"closed\""];
    talks_no_http: Garbage in BEFORE => NO_HTTP, &[NO_ANSWER, "cause=\"protocol\""], FAILURES, &["cause=\"protocol\""];
    has_a_long_head: LongHead in BEFORE => NO_HTTP, &[NO_ANSWER, "cause=\"protocol\""], FAILURES, &["cause=\"protocol\""];
    is_silent: Silent in BEFORE => LATE, &[NO_ANSWER, "cause=\"response_timeout\""], FAILURES, &["cause=\"response_timeout\""];
    never_ends_its_head: EndlessHead in BEFORE => LATE, &[NO_ANSWER, "cause=\"response_timeout\""], FAILURES, &["cause=\"response_timeout\""];
    is_late: Late in BEFORE => Sees::Passes, &[], REQUESTS, PASSED;
    is_bytewise: Bytewise in BEFORE => Sees::Passes, &[], REQUESTS, PASSED;

    is_reset_in_the_middle: ThenReset in MIDDLE => Sees::CutOff("upstream_broke_off"), &[HALF, "cause=\"broke_off\""], FAILURES, &["cause=\"broke_off\""];
    is_closed_in_the_middle: ThenClosed in MIDDLE => Sees::CutOff("upstream_broke_off"), &[HALF, "cause=\"broke_off\""], FAILURES, &["cause=\"broke_off\""];
    stands_still_in_the_middle: ThenSilent in MIDDLE => Sees::CutOff("upstream_stood_still"), &[HALF, "cause=\"stood_still\""], FAILURES, &["cause=\"stood_still\""];

    one_address_refuses: Refuses in ADDRESSES => Sees::Passes, &[], REQUESTS, PASSED;
    one_address_resets: Resets in ADDRESSES => Sees::Passes, &[], REQUESTS, PASSED;
    one_address_closes: Closes in ADDRESSES => Sees::Passes, &[], REQUESTS, PASSED;
    one_address_half_closes: HalfCloses in ADDRESSES => Sees::Passes, &[], REQUESTS, PASSED;
    one_address_is_reset_in_the_head: ResetInHead in ADDRESSES => Sees::Passes, &[], REQUESTS, PASSED;
    one_address_loses_its_name: NameGone in ADDRESSES => Sees::Passes, &[], REQUESTS, PASSED;
}

const WHOLE: &str = "the whole answer";

/// Answers at `/chunks` in chunks, elsewhere with a length.
fn app() -> Server {
    Server::start(|request| match request.target.as_str() {
        "/chunks" => Answer::Raw(
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{WHOLE}\r\n0\r\n\r\n",
                WHOLE.len()
            )
            .into_bytes(),
        ),
        _ => Answer::text(WHOLE),
    })
}

fn play(row: &Row) {
    let (fake, app) = (FakeElasticsearch::with_people(), app());
    let way = Way::to(app.address, row.trouble);
    let plan = |url: &str| {
        let second = match row.place {
            ADDRESSES => format!(", \"{}\"", app.url()),
            _ => String::new(),
        };
        let tls = way.ca().map(|ca| format!(", tls: {{ ca: {ca} }}"));
        Plan::with_elasticsearch(&fake)
            .upstream_yaml(
                "app",
                &format!(
                    "urls: [\"{url}\"{second}], connect_timeout: 1s, response_timeout: 2s, idle_timeout: 2s{}",
                    tls.unwrap_or_default()
                ),
            )
            .route("all", "/**", "allow: everyone")
    };
    let gate = plan(&way.url()).start();
    // One connection, so that one worker serves it with its own connections to the application.
    let mut wire = gate.proxy.connect();
    if !way.is_broken_from_the_start() {
        // A connection is kept, and feels it too.
        gate.proxy.get("/x").send_on(&mut wire).expect(200);
    }
    way.suffer();
    match row.place {
        MIDDLE => {
            for path in ["/length", "/chunks"] {
                in_the_middle(row, &gate, &way, path);
                way.suffer();
            }
        }
        ADDRESSES => {
            let before = row.counted(&gate);
            for _ in 0..6 {
                let reply = gate.proxy.get("/x").send();
                row.is_seen(&gate, &reply);
                assert_eq!(reply.text(), WHOLE);
            }
            row.is_told(&gate, before);
        }
        _ => {
            let before = row.counted(&gate);
            row.is_seen(&gate, &gate.proxy.get("/x").send_on(&mut wire));
            row.is_told(&gate, before);
        }
    }
    let connections = way.proxy.connections();
    way.heal(&gate, &plan(&way.good()));
    let reply = gate.proxy.get("/x").send_on(&mut wire).expect(200);
    assert_eq!(reply.text(), WHOLE);
    if row.place == BEFORE && !matches!(row.sees, Sees::Passes) {
        let made = way.proxy.connections() - connections;
        assert_eq!(made, 1, "nothing that was broken is used again");
    }
}

fn in_the_middle(row: &Row, gate: &Running, way: &Way, path: &str) {
    let before = row.counted(gate);
    let mut wire = gate.proxy.connect();
    wire.send(&gate.proxy.get(path).bytes()).unwrap();
    let head = wire.reply_without_body().unwrap();
    assert_eq!(head.status, 200);
    wire.read_until(b"the").expect("the beginning");
    match row.trouble {
        Trouble::ThenReset => way.proxy.suffer(Fault::Reset),
        Trouble::ThenClosed => way.proxy.suffer(Fault::Close),
        _ => {}
    }
    let rest = wire.read_to_close();
    let rest = String::from_utf8_lossy(&rest);
    assert!(
        !rest.contains("answer") && !rest.contains("0\r\n\r\n"),
        "{rest:?}"
    );
    row.is_told(gate, before);
    let Sees::CutOff(reason) = row.sees else {
        panic!("{row:?}");
    };
    is_logged(
        gate,
        head.header("x-request-id").unwrap(),
        200,
        Some(reason),
    );
}
