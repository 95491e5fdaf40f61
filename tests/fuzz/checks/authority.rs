//! Every endpoint with any query and any body: the first byte chooses the endpoint, the second method and content type, then come
//! the query string, a line break, and the body. Whatever comes, the answer is JSON, and never a failure of the server.

use std::cell::RefCell;

use sidegate::authority::api::TABLE;
use sidegate::authority::{Authority, Options};
use sidegate::model::clock::Clock;
use sidegate::net::http::Body;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// Requests to one authority before a fresh one takes over, so that memory stays bounded.
const LIFETIME: usize = 5_000;

struct Node {
    runtime: Runtime,
    authority: Authority,
    asked: usize,
}

fn open() -> Node {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let options = Options {
        bcrypt_cost: 4,
        ..Options::default()
    };
    let authority = runtime
        .block_on(Authority::open(options, Clock::system()))
        .expect("an authority");
    Node {
        runtime,
        authority,
        asked: 0,
    }
}

thread_local! {
    static NODE: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// The endpoint's path with something in its captures.
fn path(pattern: &str) -> String {
    let segments = pattern.split('/').map(|segment| match segment {
        "{namespace}" => "elastic",
        "{service}" => "fleet-server",
        "{realms}" => "default_native",
        capture if capture.starts_with('{') => "x",
        literal => literal,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Any bytes.
pub(crate) fn check(data: &[u8]) {
    let [which, how, rest @ ..] = data else {
        return;
    };
    let endpoint = &TABLE[usize::from(*which) % TABLE.len()];
    let (query, body) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(cut) => (&rest[..cut], &rest[cut + 1..]),
        None => (&[][..], rest),
    };
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    NODE.with_borrow_mut(|slot| {
        if slot.as_ref().is_some_and(|node| node.asked >= LIFETIME) {
            *slot = None;
        }
        let node = slot.get_or_insert_with(open);
        node.asked += 1;
        let token = node.authority.own_token().expose_str().expect("text");
        let media = [
            "application/json",
            "application/vnd.elasticsearch+json;compatible-with=9",
        ];
        let request = http::Request::builder()
            .method(&endpoint.methods[usize::from(how & 0x0f) % endpoint.methods.len()])
            .uri(format!("{}?{query}", path(endpoint.path)))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", media[usize::from(how >> 7)])
            .body(Body::full(body.to_vec()));
        // Not every query is one that HTTP can carry.
        let Ok(request) = request else { return };
        let Ok(response) = node
            .runtime
            .block_on(node.authority.clone().oneshot(request));
        let status = response.status().as_u16();
        let body = node
            .runtime
            .block_on(response.into_body().collect_up_to(64 << 20))
            .expect("a body");
        let text = String::from_utf8_lossy(&body);
        // Elasticsearch answers 500 where a single sign-on realm is missing, and so does this.
        let no_realm = endpoint.path.contains("/saml/") || endpoint.path.contains("/oidc/");
        assert!(
            status < 500 || no_realm,
            "{status} {}: {text}",
            endpoint.path
        );
    });
}
