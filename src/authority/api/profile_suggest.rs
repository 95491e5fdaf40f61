//! Suggesting profiles by what somebody types (`/_security/profile/_suggest`).

use super::profile_body::{self, Search};
use super::profiles::data_keys;
use crate::authority::authorize;
use crate::authority::call::{Call, Reply};
use crate::authority::failure::Failure;
use crate::authority::profile::document::{show_data, show_user};
use crate::authority::profile::suggest::rank;
use crate::authority::state::State;
use crate::wire::profiles::{Suggestion, Suggestions, Total};

/// Matches that are counted, and the most one answer may hold, as Elasticsearch's.
const WINDOW: usize = 10_000;

/// `GET|POST /_security/profile/_suggest`
pub async fn suggest(state: &State, call: Call) -> Result<Reply, Failure> {
    let search = if call.body.is_empty() {
        Search::default()
    } else {
        profile_body::parse_search(&call.object(profile_body::SUGGEST)?)?
    };
    let Search {
        question,
        size,
        data,
    } = search;
    let keys = match (call.query.text("data"), data) {
        (Some(_), Some(_)) => {
            return Err(Failure::illegal_argument(
                "The [data] parameter must be specified in either request body or as query parameter, but not both",
            ));
        }
        (Some(keys), None) => data_keys(keys)?,
        (None, keys) => data_keys(&keys.unwrap_or_default())?,
    };
    let granted = authorize::by_cluster_privilege(state, &call).await?;
    if size > WINDOW {
        return Err(Failure::illegal_argument(format!(
            "Result window is too large, from + size must be less than or equal to: [{WINDOW}] but was [{size}]. See the \
             scroll api for a more efficient way to request large data sets. This limit can be set by changing the \
             [index.max_result_window] index level setting."
        )));
    }
    let rows = state.tables().profiles.select(|_, row| row.enabled);
    // Comparing words of thousands of profiles takes milliseconds, so it happens off the runtime's threads.
    let ranked = tokio::task::spawn_blocking(move || rank(rows, &question))
        .await
        .map_err(|_| Failure::server("the search was interrupted"))?;
    let profiles = ranked.iter().take(size).map(|(uid, row)| Suggestion {
        uid: uid.clone(),
        user: show_user(&row.user),
        labels: row.labels.clone(),
        data: show_data(row, &keys),
    });
    let took = state.clock.now().mono.saturating_sub(call.now.mono);
    let relation = if ranked.len() > WINDOW { "gte" } else { "eq" };
    granted.reply(&Suggestions {
        took: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        total: Total {
            value: ranked.len().min(WINDOW),
            relation: relation.to_owned(),
        },
        profiles: profiles.collect(),
    })
}
