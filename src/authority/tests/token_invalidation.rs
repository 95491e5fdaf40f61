//! Taking OAuth2 tokens back.

use std::time::Duration;

use serde_json::{Value, json};

use super::Node;
use super::tokens::{PATH, bearer, log_in, refresh};

#[tokio::test]
async fn tokens_are_taken_back_one_by_one_or_by_owner() {
    let node = Node::fresh().await;
    let pair = log_in(&node).await;
    let counts = |now: u64, before: u64| json!({"invalidated_tokens": now, "previously_invalidated_tokens": before, "error_count": 0});
    let by_token = json!({"token": pair["access_token"]});
    assert_eq!(
        node.done("DELETE", PATH, by_token.clone()).await,
        counts(1, 0)
    );
    assert_eq!(node.done("DELETE", PATH, by_token).await, counts(0, 1));
    assert_eq!(
        node.with(&bearer(&pair), "GET", "/", &Value::Null)
            .await
            .reason(),
        "token expired"
    );
    let by_refresh = json!({"refresh_token": pair["refresh_token"]});
    assert_eq!(node.done("DELETE", PATH, by_refresh).await, counts(1, 0));
    let refused = refresh(&node, &pair).await;
    assert_eq!(
        refused.json()["error_description"],
        "token has been invalidated"
    );

    log_in(&node).await;
    assert_eq!(
        node.done(
            "DELETE",
            PATH,
            json!({"username": "joe", "realm_name": "default_native"})
        )
        .await,
        counts(2, 0)
    );
    assert_eq!(
        node.done("DELETE", PATH, json!({"username": "nobody"}))
            .await,
        counts(0, 0)
    );
    let answer = node.elastic("DELETE", PATH, json!({"token": "nope"})).await;
    assert_eq!((answer.status, answer.json()), (404, counts(0, 0)));
}

#[tokio::test]
async fn bad_invalidations_are_refused_with_their_words() {
    let node = Node::fresh().await;
    for (body, text) in [
        (
            json!({}),
            "Validation Failed: 1: token string must be provided when not specifying a realm name or a username;",
        ),
        (
            json!({"token": "x", "username": "y"}),
            "Validation Failed: 1: token string must not be provided when realm name or username is specified;2: token type must not be provided when realm name or username is specified;",
        ),
        (
            json!({"token": "x", "refresh_token": "y"}),
            "Failed to build [invalidate_token] after last required field arrived",
        ),
        (
            json!({"nope": "x"}),
            "[1:2] [invalidate_token] unknown field [nope]",
        ),
    ] {
        let answer = node.elastic("DELETE", PATH, body.clone()).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, text),
            "{body}"
        );
    }
}

#[tokio::test]
async fn taking_back_by_owner_counts_both_tokens_of_every_pair_that_is_not_over() {
    let node = Node::fresh().await;
    let counts = |now: u64, before: u64| json!({"invalidated_tokens": now, "previously_invalidated_tokens": before, "error_count": 0});
    let of_joe = json!({"username": "joe"});

    let pair = log_in(&node).await;
    node.done("DELETE", PATH, json!({"token": pair["access_token"]}))
        .await;
    assert_eq!(
        node.done("DELETE", PATH, of_joe.clone()).await,
        counts(1, 1),
        "the access token was invalid before"
    );
    assert_eq!(
        node.done("DELETE", PATH, of_joe.clone()).await,
        counts(0, 0),
        "nothing of the pair can be used"
    );

    log_in(&node).await;
    node.clock.advance(Duration::from_secs(3_600));
    assert_eq!(
        node.done("DELETE", PATH, of_joe.clone()).await,
        counts(2, 0),
        "the refresh token still could, so the expired access token counts"
    );

    log_in(&node).await;
    node.clock.advance(Duration::from_secs(25 * 3_600));
    assert_eq!(
        node.done("DELETE", PATH, of_joe).await,
        counts(0, 0),
        "both are over"
    );

    node.done("POST", PATH, json!({"grant_type": "client_credentials"}))
        .await;
    let of_realm = json!({"realm_name": "reserved"});
    assert_eq!(node.done("DELETE", PATH, of_realm).await, counts(1, 0));
    let elsewhere = json!({"username": "joe", "realm_name": "reserved"});
    log_in(&node).await;
    assert_eq!(node.done("DELETE", PATH, elsewhere).await, counts(0, 0));
}
