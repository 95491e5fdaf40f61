//! Opening a browser's session whose cookie was seen before: find it among others, know its record, look at the rules of time.
//! Aim: about 1 µs, and flat. A cookie that was not seen before is measured beside it: it has to be unsealed.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use sidegate::config::sso::{
    Background, Pages, Provider, ProviderKind, PublicUrl, SessionSettings, SessionStore, Sso,
};
use sidegate::model::clock::Clock;
use sidegate::model::secret::Secret;
use sidegate::session::memory::Memory;
use sidegate::session::metrics::SessionMetrics;
use sidegate::session::record::{Kind, NewSession, Tokens};
use sidegate::session::{Found, Look, Sessions};
use sidegate::telemetry::metrics::Registry;

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As long as Elasticsearch's.
const TOKEN: usize = 180;

fn sso() -> Sso {
    let hour = Duration::from_secs(3_600);
    Sso {
        public_url: PublicUrl {
            secure: true,
            authority: "app.example".into(),
        },
        prefix: "/_sidegate/".into(),
        providers: vec![Provider {
            name: "form".into(),
            kind: ProviderKind::Password,
            description: None,
            hint: None,
            icon: None,
            hosts: Vec::new(),
            in_selector: true,
            idle_timeout: None,
            lifespan: None,
            access_agreement: None,
        }],
        session: SessionSettings {
            store: SessionStore::Cookie,
            keys: vec![Secret::from("a key of thirty-two bytes or more")],
            cookie_name: None,
            persistent: false,
            partitioned: false,
            idle_timeout: 8 * hour,
            lifespan: 24 * hour,
            max_sessions: None,
            background: Background::default(),
            end_on_drain: false,
        },
        pages: Pages::default(),
        files: std::collections::BTreeSet::new(),
    }
}

fn sessions() -> Result<Arc<Sessions>, Box<dyn std::error::Error>> {
    let metrics = SessionMetrics::register(&Registry::new()?)?;
    let sessions = Sessions::new(&sso(), &Arc::new(Memory::default()), metrics)?;
    Ok(sessions)
}

/// Logs somebody in; the headers of their next request.
fn log_in(sessions: &Sessions, user: usize, clock: &Clock) -> Result<HeaderMap, String> {
    let token = |kind: &str| Secret::from(format!("{kind}-{user:0>TOKEN$}"));
    let now = clock.now();
    let life = Duration::from_secs(1_200);
    let tokens = Tokens::new(token("access"), Some(token("refresh")), life, now);
    let new = NewSession {
        provider: "form".into(),
        kind: Kind::Password,
        username: format!("user-{user}"),
        realm: "native1".into(),
        tokens: Some(tokens),
        idle_timeout: None,
        lifespan: None,
        oidc: None,
        certificate: None,
        agreed: true,
    };
    let empty = HeaderMap::new();
    let begun = sessions.begin(new, &empty, now).now_or_never();
    let (_, lines) = begun
        .ok_or("nobody is waited for")?
        .map_err(|error| error.to_string())?;
    let pairs: Vec<&str> = lines
        .iter()
        .filter(|(name, _)| *name == SET_COOKIE)
        .filter_map(|(_, line)| line.to_str().ok()?.split(';').next())
        .collect();
    let line = format!("theme=dark; {}; lang=en", pairs.join("; "));
    let mut headers = HeaderMap::new();
    let line = HeaderValue::from_str(&line).map_err(|error| error.to_string())?;
    headers.insert(COOKIE, line);
    Ok(headers)
}

fn opens(sessions: &Sessions, headers: &HeaderMap, clock: &Clock) -> bool {
    let look = sessions.look(black_box(headers), clock.now());
    matches!(black_box(look), Look::Known(Found::Session(_)))
}

#[expect(
    clippy::panic,
    reason = "a benchmark without its sessions has nothing to measure"
)]
fn session(criterion: &mut Criterion) {
    let clock = Clock::system();
    let mut group = criterion.benchmark_group("session");
    for users in [1, 1_000, 50_000] {
        let name = BenchmarkId::new("known cookie", users);
        group.bench_function(name, |bencher| {
            let begun = || -> Result<_, Box<dyn std::error::Error>> {
                let sessions = sessions()?;
                let people = (0..users).map(|user| log_in(&sessions, user, &clock));
                let people = people.collect::<Result<Vec<_>, _>>()?;
                Ok((sessions, people))
            };
            let (sessions, people) = match begun() {
                Ok(begun) => begun,
                Err(error) => panic!("nobody could log in: {error}"),
            };
            for headers in &people {
                assert!(opens(&sessions, headers, &clock), "a session of its own");
            }
            let mut turn = people.iter().cycle();
            bencher.iter(|| turn.next().map(|headers| opens(&sessions, headers, &clock)));
        });
    }
    group.bench_function("new cookie", |bencher| {
        // Another process with the same keys sees every cookie for the first time.
        let (Ok(here), Ok(elsewhere)) = (sessions(), sessions()) else {
            panic!("no sessions");
        };
        let mut user = 0;
        let next = || {
            user += 1;
            log_in(&elsewhere, user, &clock).unwrap_or_default()
        };
        bencher.iter_batched(
            next,
            |headers| opens(&here, &headers, &clock),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, session);
criterion_main!(benches);
