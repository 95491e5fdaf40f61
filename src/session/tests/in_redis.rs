//! Sessions in a real Redis, where one is installed: two replicas, an outage, what the server may see.
//!
//! Without `redis-server` on the path these tests are skipped, and say so; where `CI` is set they fail.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::fixture::{Bench, sso};
use crate::config::sso::{Redis, SessionStore, Sso};
use crate::model::secret::Secret;
use crate::session::ended::{EndReason, TokenFate};
use crate::session::record::Tokens;
use crate::session::uses::{Use, Uses};
use crate::session::whose::Whose;

/// What `docs/sessions.md` says that the user needs.
const PERMITTED: &str = "+hset +hget +hmget +hdel +hexists +zadd +zrem +zrange +zrangebyscore +zcard +pexpire +pttl +eval +evalsha +script|load +select";

/// A server on a socket of its own, killed at the end.
struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    /// `None` where Redis is not installed.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let port = free_port();
            let spawned = Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--save", "", "--appendonly", "no", "--loglevel", "notice"])
                .args("--user gate on >secret ~sg:*".split(' '))
                .args(PERMITTED.split(' '))
                .args("--user admin on >secret ~* +@all".split(' '))
                .args("--user default off".split(' '))
                .arg("--dir")
                .arg(folder.path())
                .stdout(Stdio::piped())
                .spawn();
            let Ok(mut process) = spawned else {
                let missing =
                    "redis-server is missing, needed for sessions in Redis: run tests/setup";
                assert!(std::env::var_os("CI").is_none(), "{missing}");
                // Not eprintln!, which the test runner swallows when the test passes.
                let _ = writeln!(std::io::stderr(), "SKIPPED: {missing}");
                return None;
            };
            let out = BufReader::new(process.stdout.take().unwrap());
            let ready = out
                .lines()
                .map_while(Result::ok)
                .any(|line| line.contains("Ready to accept connections"));
            if ready {
                return Some(Self {
                    process,
                    port,
                    _folder: folder,
                });
            }
            // Somebody else has taken the port.
            process.wait().unwrap();
        }
        panic!("no port for redis");
    }

    fn sso(&self) -> Sso {
        let mut sso = sso();
        sso.session.store = SessionStore::Redis(Redis {
            address: format!("127.0.0.1:{}", self.port),
            tls: false,
            ca: None,
            username: Some("gate".into()),
            password: Some(Secret::from("secret")),
            database: 0,
            key_prefix: "sg:".into(),
            timeout: Duration::from_secs(2),
        });
        sso
    }

    fn dump(&self) -> String {
        let ask = |args: &[&str]| {
            let out = Command::new("redis-cli")
                .args([
                    "-p",
                    &self.port.to_string(),
                    "--user",
                    "admin",
                    "--pass",
                    "secret",
                    "--no-auth-warning",
                ])
                .args(args)
                .output()
                .unwrap();
            String::from_utf8_lossy(&out.stdout).into_owned()
        };
        let keys = ask(&["keys", "*"]);
        let mut dump = keys.clone();
        for key in keys.lines() {
            dump += &ask(&["hgetall", key]);
            dump += &ask(&["zrange", key, "0", "-1"]);
        }
        dump
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn replicas(server: &Server) -> (Bench, Bench) {
    let one = Bench::new(&server.sso());
    let other = Bench::joining(&server.sso(), &one.clock, &Arc::default());
    (one, other)
}

fn tokens(bench: &Bench, name: &str) -> Tokens {
    Tokens::new(
        name.into(),
        Some(format!("refresh-{name}").into()),
        Duration::from_secs(1_200),
        bench.clock.now(),
    )
}

#[tokio::test]
async fn a_session_begun_at_one_replica_is_known_and_ended_at_the_other() {
    let Some(server) = Server::start() else {
        return;
    };
    let (one, other) = replicas(&server);
    let (held, jar) = one.log_in("alice").await;
    assert_eq!(other.visit(&jar).await, "alice");
    let now = one.clock.now();
    let end = other.sessions.end(
        &held.session,
        EndReason::LoggedOut,
        TokenFate::GiveBack,
        now,
    );
    end.await.unwrap();
    assert_eq!(other.visit(&jar).await, "session_logged_out");
    // The other replica may use what it read for two seconds, and looks before it uses anything older than five.
    one.clock.advance(Duration::from_secs(6));
    assert_eq!(one.visit(&jar).await, "session_logged_out");
    assert_eq!(one.reasons(), ["session_logged_out"]);
    let third = Bench::joining(&server.sso(), &one.clock, &Arc::default());
    assert_eq!(third.visit(&jar).await, "session_logged_out");
}

#[tokio::test]
async fn the_server_sees_no_name_no_token_and_no_id() {
    let Some(server) = Server::start() else {
        return;
    };
    let bench = Bench::new(&server.sso());
    let (held, jar) = bench.log_in("alice").await;
    assert!(jar.0[0].1.len() < 200, "the cookie holds an id");
    let dump = server.dump();
    assert!(dump.contains(&held.session.id.hash()), "{dump}");
    use base64::Engine as _;
    let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(held.session.id.expose());
    for secret in ["alice", "access", "refresh", "native1", &id] {
        assert!(!dump.contains(secret), "{secret}: {dump}");
    }
}

#[tokio::test]
async fn of_two_replicas_that_renew_at_once_one_wins_and_both_have_its_tokens() {
    let Some(server) = Server::start() else {
        return;
    };
    let (one, other) = replicas(&server);
    let (here, jar) = one.log_in("alice").await;
    let there = other.held(&jar).await;
    let (first, second) = (tokens(&one, "first"), tokens(&other, "second"));
    let (a, b) = tokio::join!(
        one.sessions
            .replace_tokens(&here.live, &here.session, first.clone()),
        other
            .sessions
            .replace_tokens(&there.live, &there.session, second.clone()),
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.tokens, b.tokens);
    assert!(a.tokens == Some(first) || a.tokens == Some(second));
    assert_eq!(a.generation, 2);
}

#[tokio::test]
async fn activity_at_one_replica_counts_at_the_other() {
    let Some(server) = Server::start() else {
        return;
    };
    let (one, other) = replicas(&server);
    let (_, jar) = one.log_in("alice").await;
    let _ = other.held(&jar).await;
    for _ in 0..3 {
        one.clock.advance(Duration::from_secs(1_800));
        let held = one.held(&jar).await;
        one.sessions.notice(&held, one.clock.now());
        until(&server, &one).await;
    }
    assert_eq!(other.visit(&jar).await, "alice");
    one.clock.advance(Duration::from_secs(3_600));
    assert_eq!(other.visit(&jar).await, "session_idle");
}

/// Waits until the activity noted last was told, which happens behind the request's back.
async fn until(server: &Server, bench: &Bench) {
    let wanted = bench.clock.now().unix_millis().to_string();
    while !server.dump().contains(&wanted) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_limit_holds_across_replicas() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut settings = server.sso();
    settings.session.max_sessions = Some(1);
    let one = Bench::new(&settings);
    let other = Bench::joining(&settings, &one.clock, &Arc::default());
    let (_, first) = one.log_in("alice").await;
    one.clock.advance(Duration::from_secs(1));
    let (_, second) = other.log_in("alice").await;
    assert_eq!(
        other.reasons(),
        ["session_limit"],
        "its tokens are given back by who ended it"
    );
    one.clock.advance(Duration::from_secs(6));
    assert_eq!(one.visit(&first).await, "session_limit");
    assert_eq!(one.visit(&second).await, "alice");
}

#[tokio::test]
async fn all_sessions_of_a_user_end_wherever_they_began() {
    let Some(server) = Server::start() else {
        return;
    };
    let (one, other) = replicas(&server);
    let (_, first) = one.log_in("alice").await;
    let (_, second) = other.log_in("alice").await;
    let (_, bobs) = other.log_in("bob").await;
    let whose = Whose::of_user("alice");
    let ending = one
        .sessions
        .end_all(&whose, EndReason::Admin, one.clock.now());
    assert_eq!(ending.await, Ok(2));
    one.clock.advance(Duration::from_secs(6));
    assert_eq!(one.visit(&first).await, "session_revoked");
    assert_eq!(other.visit(&second).await, "session_revoked");
    assert_eq!(one.visit(&bobs).await, "bob");
    let whose = Whose::default();
    let all = other
        .sessions
        .end_all(&whose, EndReason::Admin, one.clock.now());
    assert_eq!(all.await, Ok(1));
}

#[tokio::test]
async fn one_replica_sweeps_what_ran_out() {
    let Some(server) = Server::start() else {
        return;
    };
    let (one, other) = replicas(&server);
    let (_, jar) = one.log_in("alice").await;
    one.clock.advance(Duration::from_secs(3_601));
    assert_eq!(other.sessions.sweep(one.clock.now()).await, Ok(1));
    assert_eq!(one.sessions.sweep(one.clock.now()).await, Ok(0));
    assert_eq!(other.reasons(), ["session_idle"]);
    assert_eq!(one.visit(&jar).await, "session_idle");
    assert!(!server.dump().contains("sg:x"), "nothing is left to sweep");
}

#[tokio::test]
async fn an_outage_of_the_store_ends_no_session() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut settings = server.sso();
    if let SessionStore::Redis(redis) = &mut settings.session.store {
        redis.timeout = Duration::from_millis(300);
    }
    let bench = Bench::new(&settings);
    let (_, jar) = bench.log_in("alice").await;
    pause(&server, "-STOP");
    assert_eq!(bench.visit(&jar).await, "alice", "read a moment ago");
    bench.clock.advance(Duration::from_secs(6));
    let told = bench.visit(&jar).await;
    assert!(
        told.starts_with("the session store is in trouble"),
        "{told}"
    );
    let new = super::fixture::login("bob", &bench.clock);
    let begun = bench.begin(new);
    assert!(begun.await.is_err());
    pause(&server, "-CONT");
    while bench.visit(&jar).await != "alice" {
        tokio::task::yield_now().await;
    }
    assert!(bench.reasons().is_empty());
}

fn pause(server: &Server, signal: &str) {
    let id = server.process.id().to_string();
    let status = Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn wrong_credentials_for_the_store_are_trouble() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut settings = server.sso();
    if let SessionStore::Redis(redis) = &mut settings.session.store {
        redis.password = Some(Secret::from("wrong"));
    }
    let bench = Bench::new(&settings);
    let new = super::fixture::login("alice", &bench.clock);
    let begun = bench.begin(new);
    assert!(begun.await.is_err());
}

#[tokio::test]
async fn what_may_be_used_once_is_used_once_whichever_replica_it_comes_to() {
    let Some(server) = Server::start() else {
        return;
    };
    let sso = server.sso();
    let replica = || {
        let bench = Bench::new(&sso);
        let uses = Uses::new(
            &sso.session,
            bench.sessions.keyring(),
            bench.sessions.metrics(),
        );
        uses.unwrap()
    };
    let (one, two) = (replica(), replica());
    let life = Duration::from_secs(60);
    let begins = (0..10).map(|at| if at % 2 == 0 { &one } else { &two }.begin("attempt", life));
    let begun = futures_util::future::join_all(begins).await;
    let first = begun.iter().filter(|begun| **begun == Ok(None)).count();
    let others = Ok(Some(Use::Running));
    let rest = begun.iter().filter(|begun| **begun == others).count();
    assert_eq!((first, rest), (1, 9), "{begun:?}");
    assert_eq!(two.look("attempt").await, Ok(Some(Use::Running)));
    assert_eq!(two.look("other").await, Ok(None));
    one.end("attempt", Some(Use::Succeeded)).await.unwrap();
    assert_eq!(two.begin("attempt", life).await, Ok(Some(Use::Succeeded)));
    // One that nobody could be asked about may be tried again, at whichever replica.
    one.begin("undone", life).await.unwrap();
    one.end("undone", None).await.unwrap();
    assert_eq!(two.begin("undone", life).await, Ok(None));
    // What ends without having begun leaves nothing behind.
    one.end("never", Some(Use::Failed)).await.unwrap();
    assert_eq!(two.look("never").await, Ok(None));
    assert!(!server.dump().contains("attempt"), "names are hashed");
}
