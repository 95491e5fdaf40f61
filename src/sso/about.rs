//! What a frontend may know of its session: who, and until when. Asking does not keep it alive; `POST` does.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::refusal::{self, Refusal};
use super::visit::{Visit, json as reply, with_lines};
use crate::elastic::authorization::Asker;
use crate::model::credential::Credential;
use crate::net::http::Response;
use crate::session::{Found, Held};

/// `GET session` tells, `POST session` extends and tells.
///
/// # Errors
/// [`Refusal`]: another site's `POST`, or trouble of the store.
pub async fn answer(visit: &Visit<'_>) -> Result<Response, Refusal> {
    visit.check_method(&[Method::GET, Method::POST])?;
    let extends = visit.head.method == Method::POST;
    if extends {
        visit.check_origin()?;
    }
    let held = match visit.site.sessions.open(visit.headers(), visit.now).await? {
        Found::Session(held) => held,
        Found::Ended(reason) => return Ok(nobody(visit, Some(refusal::ended(reason).label()))),
        Found::Nothing => return Ok(nobody(visit, None)),
    };
    if extends {
        visit.site.sessions.notice(&held, visit.now);
    }
    let lines = visit.site.sessions.lines(&held, visit.now);
    let told = told(visit, &held).await;
    Ok(with_lines(reply(StatusCode::OK, &told), lines))
}

fn nobody(visit: &Visit<'_>, reason: Option<&str>) -> Response {
    let told = json!({
        "authenticated": false,
        "reason": reason,
        "login": visit.site.paths.to("login"),
    });
    reply(StatusCode::UNAUTHORIZED, &told)
}

async fn told(visit: &Visit<'_>, held: &Held) -> Value {
    let session = &held.session;
    let now = visit.now.unix;
    let idle_end = held.live.active().saturating_add(session.idle_timeout);
    let (idle, lifespan) = (
        idle_end.saturating_sub(now).as_secs(),
        session.ends().saturating_sub(now).as_secs(),
    );
    let description = visit.site.provider(&session.provider).ok();
    let description = description.and_then(|provider| provider.description.as_deref());
    let mut told = json!({
        "authenticated": true,
        "username": session.username,
        "realm": session.realm,
        "provider": {
            "name": session.provider,
            "kind": session.kind.label(),
            "description": description,
        },
        "expires_in": idle.min(lifespan),
        "idle_expires_in": idle,
        "lifespan_expires_in": lifespan,
        // Activity moves the end only while it is the idle one.
        "can_be_extended": idle_end < session.ends(),
        "agreed": session.agreed,
        "roles": null,
        "full_name": null,
        "email": null,
        "logout": visit.site.paths.to("logout"),
    });
    // An authority that is down takes nothing away but the roles.
    let tokens = session
        .tokens
        .as_ref()
        .filter(|tokens| tokens.expires > now);
    if let Some(tokens) = tokens {
        let asker = Asker::of(&Credential::Bearer(tokens.access.clone()));
        if let Ok(identity) = visit.site.client.authenticate(&asker).await {
            told["roles"] = json!(identity.roles);
            told["full_name"] = json!(identity.full_name);
            told["email"] = json!(identity.email);
        }
    }
    told
}
