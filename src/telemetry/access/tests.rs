//! What a line of the access log must be, whatever the request was.

use std::sync::Mutex;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn record() -> Record<'static> {
    let unix = Duration::from_millis(1_782_909_296_789);
    Record {
        time: Now { mono: unix, unix },
        duration: Duration::from_nanos(1_234_567),
        request_id: "01J",
        client_ip: IpAddr::from([192, 0, 2, 7]),
        method: "GET",
        host: "app.example",
        path: "/orders",
        status: 200,
        bytes: 512,
        route: "orders",
        username: Some("alice"),
        effective: None,
        realm: Some("default_native"),
        api_key_id: None,
        scheme: Some("basic"),
        cache: "hit",
        refusal: None,
        upstream: Some("shop"),
    }
}

fn json_line(record: &Record<'_>) -> String {
    let mut line = Vec::new();
    json(&mut line, &mut Stamp::default(), record);
    String::from_utf8(line).unwrap()
}

fn text_line(record: &Record<'_>, color: bool) -> String {
    let mut line = Vec::new();
    text(&mut line, &mut Stamp::default(), record, color);
    String::from_utf8(line).unwrap()
}

#[test]
fn a_json_line_names_its_fields_as_ecs_does() {
    let line: Value = serde_json::from_str(&json_line(&record())).unwrap();
    assert_eq!(
        line,
        serde_json::json!({
            "@timestamp": "2026-07-01T12:34:56.789Z",
            "event.duration": 1_234_567,
            "event.action": "permitted",
            "event.outcome": "success",
            "http.request.id": "01J",
            "http.request.method": "GET",
            "url.domain": "app.example",
            "url.path": "/orders",
            "http.response.status_code": 200,
            "http.response.body.bytes": 512,
            "client.ip": "192.0.2.7",
            "sidegate.route": "orders",
            "sidegate.cache": "hit",
            "user.name": "alice",
            "sidegate.realm": "default_native",
            "sidegate.scheme": "basic",
            "sidegate.upstream": "shop",
        })
    );
}

#[test]
fn who_acts_as_another_is_told_apart_from_them() {
    let record = Record {
        effective: Some("bob"),
        ..record()
    };
    let line: Value = serde_json::from_str(&json_line(&record)).unwrap();
    assert_eq!(line["user.name"], "alice");
    assert_eq!(line["user.effective.name"], "bob");
    assert!(text_line(&record, false).contains(" user=alice as=bob "));
}

#[test]
fn a_text_line_reads_from_left_to_right() {
    assert_eq!(
        text_line(&record(), false),
        "2026-07-01T12:34:56.789Z 200 GET /orders 1.234ms 512B user=alice realm=default_native scheme=basic \
         route=orders cache=hit upstream=shop host=app.example client=192.0.2.7 id=01J\n"
    );
    assert!(text_line(&record(), true).contains(" \u{1b}[32m200\u{1b}[0m GET "));
}

#[test]
fn a_refusal_and_trouble_behind_are_failures_but_only_one_was_refused() {
    let refused = Record {
        status: 403,
        refusal: Some("forbidden"),
        ..record()
    };
    let line: Value = serde_json::from_str(&json_line(&refused)).unwrap();
    assert_eq!(line["event.action"], "refused");
    assert_eq!(line["event.outcome"], "failure");
    assert_eq!(line["event.reason"], "forbidden");
    let broken = Record {
        status: 502,
        ..record()
    };
    let line: Value = serde_json::from_str(&json_line(&broken)).unwrap();
    assert_eq!(line["event.action"], "permitted");
    assert_eq!(line["event.outcome"], "failure");
    let cut_short = Record {
        status: 200,
        refusal: Some("upstream_broke_off"),
        ..record()
    };
    let line: Value = serde_json::from_str(&json_line(&cut_short)).unwrap();
    assert_eq!(line["event.action"], "permitted");
    assert_eq!(line["event.outcome"], "failure");
    assert_eq!(line["event.reason"], "upstream_broke_off");
}

#[test]
fn a_query_never_reaches_the_log() {
    for path in ["/login?token=hunter2", "/login#hunter2", "?hunter2"] {
        let record = Record { path, ..record() };
        assert!(!json_line(&record).contains("hunter2"));
        assert!(!text_line(&record, false).contains("hunter2"));
    }
}

#[test]
fn a_user_name_can_not_forge_a_field_of_a_text_line() {
    let record = Record {
        username: Some("eve route=admin\n2026"),
        ..record()
    };
    assert!(text_line(&record, false).contains(r#" user="eve route=admin\n2026" "#));
}

/// Hands out what was written to it.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_running_log_writes_what_was_recorded_and_counts_what_it_dropped() {
    let memory = Memory::default();
    let log = AccessLog::into_stream(AccessLogFormat::Json, Box::new(memory.clone())).unwrap();
    let registry = Registry::new().unwrap();
    log.register(&registry).unwrap();
    log.record(&record());
    log.clone().record(&record());
    log.stop();
    log.record(&record());
    let written = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
    assert_eq!(written, json_line(&record()).repeat(2));
    assert!(
        registry
            .render()
            .contains("\nsidegate_access_log_dropped_total 1\n")
    );
}

#[test]
fn a_log_that_is_off_keeps_nothing_and_touches_no_file() {
    let log = AccessLog::start(&Settings {
        format: AccessLogFormat::Off,
        target: AccessLogTarget::File("/nonexistent/access.log".into()),
    })
    .unwrap();
    log.record(&record());
    log.flush();
    log.reopen().unwrap();
    log.stop();
    assert_eq!(log.dropped(), 0);
}

#[test]
fn a_file_that_can_not_be_opened_is_named() {
    let error = AccessLog::start(&Settings {
        format: AccessLogFormat::Json,
        target: AccessLogTarget::File("/nonexistent/access.log".into()),
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "access log /nonexistent/access.log can't be opened"
    );
}

/// Any text, and more often than chance would have it the text that hurts.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::collection::vec(any::<char>(), 0..300).prop_map(String::from_iter),
        Just("\u{1b}é".repeat(1_000)),
        proptest::collection::vec(any::<u8>(), 0..300)
            .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        proptest::collection::vec(
            prop_oneof![
                Just('\n'),
                Just('\r'),
                Just('"'),
                Just('\\'),
                Just('\0'),
                Just('\u{1b}'),
                Just('\u{7f}'),
                Just('\u{85}'),
                Just('\u{9b}'),
                Just('\u{2028}'),
                Just('\u{202e}'),
                Just('='),
                Just(' '),
                Just('é'),
                Just('𝄞')
            ],
            0..300
        )
        .prop_map(String::from_iter),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_line_is_one_line_of_bounded_valid_json_whatever_the_client_sent(
        path in hostile(),
        host in hostile(),
        method in hostile(),
        username in hostile(),
        status in any::<u16>(),
        bytes in any::<u64>(),
        nanos in any::<u64>(),
        address in any::<u128>(),
    ) {
        let record = Record {
            path: &path,
            host: &host,
            method: &method,
            request_id: &host,
            route: &path,
            username: Some(&username),
            effective: Some(&path),
            realm: Some(&path),
            api_key_id: Some(&host),
            upstream: Some(&username),
            status,
            bytes,
            duration: Duration::from_nanos(nanos),
            client_ip: IpAddr::from(address.to_be_bytes()),
            ..record()
        };
        for line in [json_line(&record), text_line(&record, false)] {
            let body = line.strip_suffix('\n').unwrap();
            let breaks = |character: char| {
                character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202e}')
            };
            prop_assert!(!body.contains(breaks));
            prop_assert!(line.len() < 24 * 1_024, "{} bytes", line.len());
        }
        let value: Value = serde_json::from_str(&json_line(&record)).unwrap();
        if username.len() <= TEXT {
            prop_assert_eq!(value["user.name"].as_str(), Some(username.as_str()));
        }
        prop_assert_eq!(value["http.response.body.bytes"].as_u64(), Some(bytes));
    }
}
