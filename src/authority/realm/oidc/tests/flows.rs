//! What an honest provider is asked, and what its answers make.

use super::*;

#[tokio::test]
async fn a_code_becomes_a_user_with_the_claims_of_id_token_and_userinfo() {
    let op = Op::start().await;
    let realm = op.realm().await;
    let id_token = op.token(&op.claims());
    op.gives(&id_token);
    let more = json!({"sub": "joe", "groups": ["a", "b"], "name": "Other", "email": "joe@test", "iss": "https://evil"});
    op.show("/me", &more);
    let login = come_back(&realm, "https://rp.test/cb?code=c-1&state=st-1")
        .await
        .unwrap();
    assert_eq!(login.user.username, "joe");
    assert_eq!(login.user.groups, ["a", "b"]);
    assert_eq!(
        login.user.full_name.as_deref(),
        Some("Joe"),
        "the ID token goes before"
    );
    let metadata = login.user.metadata;
    assert_eq!(metadata["oidc(email)"], "joe@test");
    assert_eq!(metadata["oidc(iss)"], json!(op.issuer));
    assert_eq!(metadata["oidc(aud)"], json!(["rp"]));
    assert!(!metadata.contains_key("oidc(exp)"));
    assert_eq!(op.asked("/me")[0].authorization, "Bearer at-1");
    assert_eq!(login.kept[HINT], json!(id_token));
}

#[tokio::test]
async fn the_browser_is_sent_with_state_nonce_and_a_challenge_that_the_exchange_answers() {
    let op = Op::start().await;
    let realm = op.realm().await;
    let url = realm
        .prepare(ATTEMPT, Some("joe@test"), at(NOW))
        .await
        .unwrap();
    let (endpoint, query) = url.split_once('?').unwrap();
    assert_eq!(endpoint, format!("{}/auth", op.issuer));
    let sent: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    for (name, value) in [
        ("scope", "openid groups"),
        ("response_type", "code"),
        ("redirect_uri", "https://rp.test/cb"),
        ("state", "st-1"),
        ("nonce", "no-1"),
        ("client_id", "rp"),
        ("login_hint", "joe@test"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(sent[name], value, "{name}");
    }
    op.gives(&op.token(&op.claims()));
    op.show("/me", &json!({"sub": "joe"}));
    come_back(&realm, "/cb?code=c%2F1&state=st-1")
        .await
        .unwrap();
    let asked = op.asked("/token").remove(0);
    let encoded: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    assert_eq!(asked.authorization, basic_of(&format!("rp:{encoded}")));
    let body: BTreeMap<_, _> = form_urlencoded::parse(asked.body.as_bytes())
        .into_owned()
        .collect();
    assert_eq!(
        (
            body["grant_type"].as_str(),
            body["code"].as_str(),
            body["redirect_uri"].as_str()
        ),
        ("authorization_code", "c/1", "https://rp.test/cb")
    );
    let hash =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body["code_verifier"].as_bytes());
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash);
    assert_eq!(sent["code_challenge"], challenge);
    assert!(!url.contains(body["code_verifier"].as_str()));
}

#[tokio::test]
async fn each_way_to_prove_oneself_sends_what_the_standard_says_and_no_more() {
    let op = Op::start().await;
    op.show("/me", &json!({"sub": "joe"}));
    op.gives(&op.token(&op.claims()));
    for method in [OidcClientAuthMethod::Post, OidcClientAuthMethod::Jwt] {
        let mut settings = op.settings();
        settings.party.client_auth_method = method;
        settings.party.pkce = false;
        let realm = OidcRealm::open("oidc1", &settings).await.unwrap();
        let url = realm.prepare(ATTEMPT, None, at(NOW)).await.unwrap();
        assert!(!url.contains("code_challenge"));
        come_back(&realm, "/cb?code=c-1&state=st-1").await.unwrap();
    }
    let [post, jwt] = op.asked("/token").try_into().unwrap();
    let fields = |asked: &Asked| -> BTreeMap<String, String> {
        form_urlencoded::parse(asked.body.as_bytes())
            .into_owned()
            .collect()
    };
    assert_eq!(
        (
            post.authorization.as_str(),
            fields(&post)["client_secret"].as_str()
        ),
        ("", SECRET)
    );
    let sent = fields(&jwt);
    assert!(!sent.contains_key("client_secret") && jwt.authorization.is_empty());
    let assertion = Secret::from(sent["client_assertion"].as_str());
    let assertion = super::super::super::jwt::token::Jwt::parse(&assertion).unwrap();
    let keys = KeySet::of_secret(Secret::from(SECRET));
    assert!(keys.verifies(&assertion, JwtAlgorithm::HS384));
    assert_eq!(
        assertion.string("aud"),
        Some(format!("{}/token", op.issuer).as_str())
    );
    assert_eq!(
        (assertion.string("iss"), assertion.string("sub")),
        (Some("rp"), Some("rp"))
    );
    assert_eq!(assertion.claims["exp"], json!(NOW + 60));
}

#[tokio::test]
async fn the_implicit_flow_brings_the_tokens_through_the_browser() {
    let op = Op::start().await;
    op.show("/me", &json!({"sub": "joe", "groups": ["b"]}));
    let mut settings = op.settings();
    settings.party.response_type = OidcResponseType::IdTokenToken;
    let realm = OidcRealm::open("oidc1", &settings).await.unwrap();
    let url = realm.prepare(ATTEMPT, None, at(NOW)).await.unwrap();
    assert!(url.contains("response_type=id_token+token") && !url.contains("code_challenge"));
    let hash = id_token::half_hash(&Secret::from("at-1"), JwtAlgorithm::ES256);
    let token = op.token(&with(op.claims(), &json!({"at_hash": hash})));
    let uri = format!(
        "https://rp.test/cb#id_token={token}&access_token=at-1&token_type=Bearer&state=st-1"
    );
    let login = come_back(&realm, &uri).await.unwrap();
    assert_eq!(login.user.groups, ["a", "b"]);
    assert!(op.asked("/token").is_empty());
}

#[tokio::test]
async fn an_id_token_signed_with_the_client_secret_counts_where_that_was_configured() {
    let op = Op::start().await;
    op.show("/me", &json!({"sub": "joe"}));
    let mut settings = op.settings();
    settings.party.signature_algorithm = JwtAlgorithm::HS256;
    let realm = OidcRealm::open("oidc1", &settings).await.unwrap();
    op.gives(&abuse::hs256(SECRET.as_bytes(), &op.claims()));
    assert!(come_back(&realm, "/cb?code=c-1&state=st-1").await.is_ok());
    op.gives(&op.token(&op.claims()));
    assert!(come_back(&realm, "/cb?code=c-2&state=st-1").await.is_err());
}

#[tokio::test]
async fn new_keys_and_new_endpoints_of_the_provider_are_found() {
    let op = Op::start().await;
    op.show("/me", &json!({"sub": "joe"}));
    let realm = op.realm().await;
    op.gives(&op.token(&op.claims()));
    come_back(&realm, "/cb?code=c-1&state=st-1").await.unwrap();
    let rotated = ec_issuer("k2", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING);
    op.show("/jwks", &json!({"keys": [rotated.jwk]}));
    let header = json!({"alg": "ES256", "kid": "k2"});
    op.gives(&text(&rotated.token(&header, &op.claims())));
    come_back(&realm, "/cb?code=c-2&state=st-1").await.unwrap();
    assert_eq!(op.asked(DISCOVERY).len(), 1);
    // An hour later the document is read again; one that can't be read leaves the former endpoints.
    op.answer(DISCOVERY, 500, String::new());
    let later = at(NOW + 3_601);
    assert!(realm.prepare(ATTEMPT, None, later).await.is_ok());
    assert!(realm.prepare(ATTEMPT, None, later).await.is_ok());
    assert_eq!(op.asked(DISCOVERY).len(), 2, "not again at once");
    let moved = with(
        op.document(),
        &json!({"authorization_endpoint": "https://op.test/new"}),
    );
    op.show(DISCOVERY, &moved);
    let url = realm.prepare(ATTEMPT, None, at(NOW + 3_611)).await.unwrap();
    assert!(url.starts_with("https://op.test/new?"), "{url}");
}

#[tokio::test]
async fn the_logout_goes_to_the_provider_with_the_id_token_as_hint() {
    let op = Op::start().await;
    let realm = op.realm().await;
    let kept = kept(&Secret::from("ey.ey.x"));
    let url = realm.logout_url(&kept, "s", at(NOW)).await.unwrap();
    let end =
        "end?id_token_hint=ey.ey.x&post_logout_redirect_uri=https%3A%2F%2Frp.test%2Fbye&state=s";
    assert_eq!(url, format!("{}/{end}", op.issuer));
    let bare = realm.logout_url(&Map::new(), "s", at(NOW)).await.unwrap();
    assert!(bare.contains("end?client_id=rp&post_logout"), "{bare}");
    let endless = with(op.document(), &json!({"end_session_endpoint": null}));
    op.show(DISCOVERY, &endless);
    assert_eq!(op.realm().await.logout_url(&kept, "s", at(NOW)).await, None);
}

#[tokio::test]
async fn userinfo_may_be_signed_like_the_id_token() {
    let op = Op::start().await;
    op.gives(&op.token(&op.claims()));
    let signed = |claims: &Value| Page {
        status: 200,
        headers: vec![("content-type", "application/jwt; charset=utf-8".to_owned())],
        body: op.token(claims).into_bytes(),
        stalls: false,
    };
    op.page(
        "/me",
        signed(&json!({"sub": "joe", "aud": ["rp"], "iss": op.issuer, "groups": ["b"]})),
    );
    let realm = op.realm().await;
    let login = come_back(&realm, "/cb?code=c-1&state=st-1").await.unwrap();
    assert_eq!(login.user.groups, ["a", "b"]);
    for claims in [
        json!({"sub": "joe", "aud": ["other"]}),
        json!({"sub": "joe", "iss": "https://evil"}),
        json!({"sub": "eve"}),
    ] {
        op.page("/me", signed(&claims));
        let realm = op.realm().await;
        let refused = come_back(&realm, "/cb?code=c-1&state=st-1").await;
        assert!(matches!(refused, Err(LoginError::UserInfo(_))), "{claims}");
    }
}
