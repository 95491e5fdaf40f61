//! Targets and hosts with two readings: what was judged is what arrives, or nothing arrives (A-11, A-18…A-22).
//!
//! CVE-2026-33494, CVE-2026-42272…42274, CVE-2025-66490, CVE-2021-29492, CVE-2026-73511: a path that the matcher and the upstream
//! read apart. CVE-2026-88009: an opaque target. CVE-2026-26205: `//admin` taken for an authority.

use super::fixture::{IDENTITY, Scene, of_alice, of_root, request};
use crate::harness::client::basic;

/// A request of nobody's for a target of any bytes.
fn raw(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat()
}

#[test]
fn paths_with_two_readings_are_refused() {
    let scene = Scene::new();
    let paths: [&[u8]; 46] = [
        // Separators in disguise.
        b"/public/..%2fadmin",
        b"/public/..%2Fadmin",
        b"/public%2f..%2fadmin",
        b"/public/..%5cadmin",
        b"/public/..%5Cadmin",
        b"/public/..\\admin",
        b"\\admin",
        b"/\\admin",
        b"/public\\..\\admin",
        // Empty segments: an authority to one, a slash too many to another.
        b"//admin",
        b"//localhost/admin",
        b"///admin",
        b"/public//../admin",
        b"/public//admin",
        b"/public/x//",
        // Path parameters.
        b"/public;/../admin",
        b"/public/..;/admin",
        b"/public/..;x=y/admin",
        b"/admin;jsessionid=1",
        b"/public/x;jsessionid=1",
        b"/public/%3b/x",
        b"/public/..%3B/admin",
        // Above the root.
        b"/../admin",
        b"/public/../../admin",
        b"/%2e%2e/admin",
        // Control characters, raw and escaped.
        b"/public/%00",
        b"/admin%00",
        b"/public/\0",
        b"/public/%0d%0aX-Evil:1",
        b"/public/%0a",
        b"/public/%09",
        b"/public/%7f",
        b"/public/\x7f",
        b"/public/\x0b",
        // Query and fragment in disguise.
        b"/public/%23x",
        b"/public/%3fx",
        b"/public/%3Fx",
        b"/admin%3F/public",
        // What is no UTF-8: overlong, cut off, surrogates, Latin-1.
        b"/public/%C0%AFadmin",
        b"/public/%ff",
        b"/public/%E2%82",
        b"/public/%ED%A0%80",
        b"/public/\xff",
        // What is no escape.
        b"/public/%",
        b"/public/%2",
        b"/public/%zz",
    ];
    for path in paths {
        let shown = String::from_utf8_lossy(path).into_owned();
        scene.refuses(&shown, &[400], &raw(path));
    }
}

#[test]
fn dots_are_resolved_before_anything_is_judged() {
    let scene = Scene::new();
    for path in [
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "/public/%2E%2E/admin/x",
        "/public/.%2e/admin/x",
        "/public/%2e./admin/x",
        "/./admin/x",
        "/%2e/admin/x",
        "/public/./../admin/./x",
        "/public/a/../../admin/x",
        "/admin/y/../x",
        "/%61dmin/x",
        "/admin/%78",
    ] {
        scene.refuses(path, &[401], &request(path, ""));
        let denied = scene.gate.proxy.raw_reply(&of_alice(path, ""));
        assert_eq!(denied.status, 403, "{path}");
        let before = scene.app.requests().len();
        assert_eq!(scene.gate.proxy.raw_reply(&of_root(path)).status, 200);
        let requests = scene.app.requests();
        assert_eq!(requests.len(), before + 1, "{path}");
        assert_eq!(requests[before].target, "/admin/x", "{path}");
    }
}

/// With a looser rule for everything else, a near miss of `/admin` is what it is: another path, and it arrives as that.
#[test]
fn near_misses_of_a_path_are_other_paths_and_arrive_unchanged() {
    let scene =
        Scene::with(|plan| plan.route("rest", "/**", &format!("allow: authenticated, {IDENTITY}")));
    for (path, arrives) in [
        ("/ADMIN/x", "/ADMIN/x"),
        ("/Admin", "/Admin"),
        ("/admin.", "/admin."),
        ("/admin./x", "/admin./x"),
        ("/admin%20/x", "/admin%20/x"),
        ("/adminx", "/adminx"),
        ("/public/%252e%252e/admin", "/public/%252e%252e/admin"),
        ("/public/%252fadmin", "/public/%252fadmin"),
        ("/public/%255cadmin", "/public/%255cadmin"),
        ("/%2561dmin", "/%2561dmin"),
        // FULLWIDTH SOLIDUS, FULLWIDTH FULL STOP twice, dotless i, KELVIN SIGN: letters, compared by their bytes.
        ("/public/..%EF%BC%8Fadmin", "/public/..%EF%BC%8Fadmin"),
        (
            "/public/%EF%BC%8E%EF%BC%8E/admin",
            "/public/%EF%BC%8E%EF%BC%8E/admin",
        ),
        ("/adm%C4%B1n/x", "/adm%C4%B1n/x"),
        ("/public/%E2%84%AA", "/public/%E2%84%AA"),
        ("/public/%e2%84%aa", "/public/%E2%84%AA"),
        ("/public/a/../b", "/public/b"),
        ("/public/%61", "/public/a"),
        (
            "/public/a?x=/../admin&y=%2f%00",
            "/public/a?x=/../admin&y=%2f%00",
        ),
    ] {
        let before = scene.app.requests().len();
        let reply = scene.gate.proxy.raw_reply(&of_alice(path, ""));
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(scene.app.requests()[before].target, arrives, "{path}");
    }
    // A slash at the end is not another rule, because to many applications it is no other resource.
    for path in ["/admin", "/admin/", "/admin/x/", "/public/../admin/"] {
        let denied = scene.gate.proxy.raw_reply(&of_alice(path, ""));
        assert_eq!(denied.status, 403, "{path}");
    }
}

/// CVE-2026-41059, CVE-2021-32779: a fragment hid a part of the path from the matcher. The HTTP library cuts it off before anything
/// sees it, so what is judged is what is left, and what is left is what arrives.
#[test]
fn a_fragment_is_gone_before_anything_is_judged() {
    let scene = Scene::new();
    for (target, arrives) in [
        ("/public/#/../../admin", "/public/"),
        ("/public/x#", "/public/x"),
        ("/public/x?y#/../admin", "/public/x?y"),
    ] {
        let before = scene.app.requests().len();
        assert_eq!(scene.gate.proxy.raw_reply(&request(target, "")).status, 200);
        assert_eq!(scene.app.requests()[before].target, arrives, "{target}");
    }
    for target in [
        "/admin#/public",
        "/admin/x#/../../public/x",
        "/admin/?#/public/",
    ] {
        scene.refuses(target, &[401], &request(target, ""));
        let denied = scene.gate.proxy.raw_reply(&of_alice(target, ""));
        assert_eq!(denied.status, 403, "{target}");
    }
}

/// GHSA-7rh7-c77v-6434, CVE-2026-32811: the query was matched as a part of the path.
#[test]
fn the_query_takes_no_part_in_the_match() {
    let scene = Scene::new();
    for path in [
        "/admin/x?x=/public",
        "/admin?/public/",
        "/admin/?/../public/",
        "/admin/?/../../public/",
        "/admin?/public/%2e%2e",
        "/admin/x??/public",
        "/admin/x?%2fpublic",
        "/admin/x?%00%0d%0a",
    ] {
        scene.refuses(path, &[401], &request(path, ""));
        let denied = scene.gate.proxy.raw_reply(&of_alice(path, ""));
        assert_eq!(denied.status, 403, "{path}");
    }
    for path in ["/?/public/", "/?", "/x?/public/x"] {
        scene.refuses(path, &[404], &request(path, ""));
    }
    for path in ["/%3F/public/", "/admin%3F/public"] {
        scene.refuses(path, &[400], &request(path, ""));
    }
}

/// RFC 9112 §3.2. CVE-2026-42273, CVE-2026-48794: the case of a host chose another rule.
#[test]
fn targets_and_hosts_that_disagree_are_refused() {
    let scene = Scene::new();
    for (target, host) in [
        ("http://other/public/a", "localhost"),
        ("http://localhost/public/a", "other"),
        ("http://localhost:81/public/a", "localhost"),
        ("https://localhost/public/a", "localhost:80"),
        ("http://localhost@other/public/a", "localhost"),
        ("http://user@localhost/public/a", "localhost"),
        ("ftp://localhost/public/a", "localhost"),
        ("http:http://localhost/public/a", "localhost"),
        ("http:http://x/admin", "localhost"),
        ("http:/public/a", "localhost"),
        ("http:///public/a", "localhost"),
        ("localhost:80", "localhost"),
        ("localhost", "localhost"),
        ("*", "localhost"),
        ("public/a", "localhost"),
        ("?public", "localhost"),
        ("/public/a", ""),
        ("/public/a", "user@localhost"),
        ("/public/a", "user:password@localhost"),
        ("/public/a", "local host"),
        ("/public/a", "localhost/x"),
        ("/public/a", "localhost,other"),
        ("/public/a", "localhost:port"),
        ("/public/a", "localhost:80:80"),
        ("/public/a", "localhost:"),
        ("/public/a", "localhost:99999"),
        ("/public/a", "localhost.."),
        ("/public/a", ".localhost"),
        ("/public/a", "[::1"),
        ("/public/a", "[x]"),
        ("/public/a", "l\u{f6}calhost"),
        ("/public/a", "localhost#"),
        ("/public/a", "localhost?x"),
        ("/public/a", "localhost%00"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        scene.refuses(&head, &[400], head.as_bytes());
    }
    for hosts in [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nHost: other\r\n",
        "Host: other\r\nX-Between: 1\r\nhost: localhost\r\n",
        "Host: localhost\r\nHost:\r\n",
    ] {
        let head = format!("GET /public/a HTTP/1.1\r\n{hosts}\r\n");
        scene.refuses(hosts, &[400], head.as_bytes());
    }
    let options = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n";
    scene.refuses("OPTIONS *", &[400], options);
}

#[test]
fn one_host_in_several_spellings_meets_the_same_rule() {
    let scene = Scene::with(|plan| {
        plan.route_yaml(
            "{ name: api, match: { path: \"/hosted\", hosts: [\"api.example.com\"] }, upstream: app, require: { roles: [superuser] } }",
        )
        .route("rest", "/hosted", "allow: everyone")
    });
    let ask = |target: &str, host: &str, credential: &str| {
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {credential}\r\n\r\n");
        scene.gate.proxy.raw_reply(head.as_bytes()).status
    };
    let (alice, root) = (
        basic("alice", "alice-password"),
        basic("root", "root-password"),
    );
    for host in [
        "api.example.com",
        "API.EXAMPLE.COM",
        "Api.Example.Com",
        "api.example.com.",
        "API.example.com.",
        "api.example.com:80",
        "api.example.com:8443",
        "API.EXAMPLE.COM.:8443",
    ] {
        assert_eq!(ask("/hosted", host, &alice), 403, "{host}");
        assert_eq!(ask("/hosted", host, &root), 200, "{host}");
    }
    for target in [
        "http://api.example.com/hosted",
        "http://API.example.com/hosted",
        "http://api.example.com:80/hosted",
        "http://api.example.com/x/../hosted",
    ] {
        assert_eq!(ask(target, "api.example.com", &alice), 403, "{target}");
        let before = scene.app.requests().len();
        assert_eq!(ask(target, "api.example.com", &root), 200, "{target}");
        assert_eq!(scene.app.requests()[before].target, "/hosted", "{target}");
    }
    for host in ["xapi.example.com", "api.example.com.evil", "example.com"] {
        assert_eq!(ask("/hosted", host, &alice), 200, "{host}: another host");
    }
}
