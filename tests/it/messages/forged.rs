//! HTTP/2 requests that would be two requests, or none, in HTTP/1: their bytes never reach an upstream.

use super::gate;
use crate::differential::frames::is_answered_with_200;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::server::Server;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn request() -> Fields {
    fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/public/x"),
    ])
}

fn fields(lines: &[(&str, &str)]) -> Fields {
    let line = |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    lines.iter().map(line).collect()
}

/// Sends each and sees that neither it is answered with 200 nor the upstream hears of it.
fn never_arrive(requests: impl IntoIterator<Item = (Fields, Option<&'static [u8]>)>) {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let gate = gate(&fake, &app, false);
    for (fields, data) in requests {
        let shown: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                format!(
                    "{:?}: {:?}",
                    name.escape_ascii().to_string(),
                    value.escape_ascii().to_string()
                )
            })
            .collect();
        let answered = is_answered_with_200(&gate.proxy, &fields, data);
        assert!(!answered, "{shown:#?} {data:?}");
        assert!(
            app.requests().is_empty(),
            "{shown:#?} {data:?}\n{}",
            app.bytes()
        );
    }
    assert!(is_answered_with_200(
        &gate.proxy,
        &request(),
        Some(b"hello")
    ));
    assert_eq!(app.only_request().body, b"hello");
}

fn with(lines: &[(&str, &str)]) -> (Fields, Option<&'static [u8]>) {
    let mut all = request();
    all.extend(fields(lines));
    (all, Some(b"hello"))
}

fn changed(name: &str, value: &str) -> (Fields, Option<&'static [u8]>) {
    let mut all = request();
    for (known, old) in &mut all {
        if known == name.as_bytes() {
            *old = value.into();
        }
    }
    (all, Some(b"hello"))
}

/// CVE-2021-33193 (Apache), CVE-2021-21295 (Netty): a value that ends a line ends the request.
#[test]
fn line_ends_and_nul_in_names_and_values_end_the_stream() {
    never_arrive([
        with(&[("x-odd", "a\r\nx-more: b")]),
        with(&[("x-odd", "a\nx-more: b")]),
        with(&[("x-odd", "a\rb")]),
        with(&[("x-odd", "a\0b")]),
        with(&[("x-odd\r\nx-more", "b")]),
        with(&[("x-odd: y\r\nx", "b")]),
        with(&[("x odd", "b")]),
        with(&[("x-odd:", "b")]),
        with(&[("X-Odd", "b")]),
        with(&[("", "b")]),
        changed(
            ":path",
            "/public/x HTTP/1.1\r\nHost: other\r\n\r\nGET /secret",
        ),
        changed(":method", "GET /secret HTTP/1.1\r\nx:"),
        changed(":authority", "localhost\r\nx-more: b"),
    ]);
}

#[test]
fn fields_of_a_connection_end_the_stream() {
    never_arrive([
        with(&[("connection", "close")]),
        with(&[("connection", "x-forwarded-for")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "h2c")]),
        with(&[("keep-alive", "timeout=5")]),
        with(&[("proxy-connection", "close")]),
        with(&[("te", "gzip")]),
        with(&[("te", "trailers, gzip")]),
    ]);
}

#[test]
fn targets_that_are_no_paths_and_repeated_pseudo_fields_are_refused() {
    let without = |name: &str| {
        let mut all = request();
        all.retain(|(known, _)| known != name.as_bytes());
        (all, Some(b"hello".as_slice()))
    };
    let late = {
        let (mut all, data) = with(&[("x-first", "1")]);
        all.swap(3, 4);
        (all, data)
    };
    never_arrive([
        changed(":path", "public/x"),
        changed(":path", ""),
        changed(":path", "*"),
        changed(":path", "/public/x y"),
        changed(":path", "/public/\u{7f}"),
        changed(":path", "http://other/public/x"),
        changed(":authority", "user@localhost"),
        changed(":authority", "local host"),
        changed(":scheme", "http://localhost/public/x?"),
        changed(":method", "GE T"),
        changed(":method", ""),
        with(&[(":path", "/secret")]),
        with(&[(":method", "GET")]),
        with(&[(":authority", "other")]),
        with(&[(":status", "200")]),
        with(&[(":unknown", "1")]),
        with(&[("host", "other")]),
        with(&[("host", "localhost"), ("host", "localhost")]),
        without(":path"),
        without(":method"),
        without(":scheme"),
        without(":authority"),
        late,
    ]);
}

#[test]
fn a_length_that_is_not_that_of_the_data_ends_the_stream() {
    let length = |length, data: &'static [u8]| {
        let (all, _) = with(&[("content-length", length)]);
        (all, Some(data))
    };
    never_arrive([
        length("4", b"hello"),
        length("6", b"hello"),
        length("0", b"hello"),
        length("5", b""),
        length("+5", b"hello"),
        length("-1", b"hello"),
        length("5, 5", b"hello"),
        length("", b"hello"),
        length("99999999999999999999", b"hello"),
        with(&[("content-length", "5"), ("content-length", "6")]),
        {
            let (all, _) = with(&[("content-length", "5")]);
            (all, None)
        },
    ]);
}
