use http::Request;
use proptest::prelude::*;

use super::*;
use crate::gate::tests::fixture;

fn table(routes: &[(&str, &[&str], &[&str])]) -> RouteTable {
    let routes = routes
        .iter()
        .enumerate()
        .map(|(at, (path, hosts, methods))| {
            let mut route = fixture::route(&format!("r{at}"), path, settings::Access::Everyone);
            route.matches.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            route.matches.methods = methods.iter().map(|method| (*method).to_owned()).collect();
            route
        })
        .collect();
    RouteTable::compile(&fixture::settings(routes)).unwrap()
}

fn paths(paths: &[&str]) -> RouteTable {
    let routes: Vec<_> = paths.iter().map(|path| (*path, &[][..], &[][..])).collect();
    table(&routes)
}

fn found(table: &RouteTable, method: &str, host: &str, path: &str) -> Option<usize> {
    let head = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host)
        .body(())
        .unwrap()
        .into_parts()
        .0;
    let target = Target::parse(&head).ok()?;
    table
        .find("main", &target, &head.method)
        .map(|route| route.index)
}

fn get(table: &RouteTable, path: &str) -> Option<usize> {
    found(table, "GET", "a", path)
}

#[test]
fn the_first_match_in_written_order_wins() {
    let table = paths(&["/a/*", "/a/b", "/**"]);
    assert_eq!(get(&table, "/a/b"), Some(0));
    assert_eq!(get(&table, "/a"), Some(2));
    let table = paths(&["/a/b", "/a/*", "/a/**"]);
    assert_eq!(get(&table, "/a/b"), Some(0));
    assert_eq!(get(&table, "/a/c"), Some(1));
    assert_eq!(get(&table, "/a/c/d"), Some(2));
}

#[test]
fn wildcards_take_one_segment_and_a_rest_takes_any_also_none() {
    let table = paths(&["/one/*/x", "/rest/**"]);
    assert_eq!(get(&table, "/one/a/x"), Some(0));
    assert_eq!(get(&table, "/one/a/b/x"), None);
    assert_eq!(get(&table, "/one//x"), None);
    for path in ["/rest", "/rest/", "/rest/a", "/rest/a/b/c"] {
        assert_eq!(get(&table, path), Some(1), "{path}");
    }
    assert_eq!(get(&table, "/restful"), None);
}

#[test]
fn nothing_matches_by_default() {
    assert_eq!(get(&paths(&[]), "/"), None);
    assert_eq!(get(&paths(&["/a"]), "/"), None);
}

#[test]
fn a_trailing_slash_and_the_query_do_not_choose_another_route() {
    let table = paths(&["/admin", "/public", "/**"]);
    assert_eq!(get(&table, "/admin/"), Some(0));
    assert_eq!(get(&table, "/admin?x=/public"), Some(0));
    assert_eq!(get(&table, "/admin?/public/"), Some(0));
}

#[test]
fn no_escaped_spelling_reaches_a_looser_route() {
    let table = paths(&["/@admin", "/a b", "/**"]);
    assert_eq!(get(&table, "/%40admin"), Some(0));
    assert_eq!(get(&table, "/%40%61dmin"), Some(0));
    assert_eq!(get(&table, "/a%20b"), Some(1));
    assert_eq!(get(&table, "/x/../%40admin"), Some(0));
}

#[test]
fn deep_paths_are_matched_too() {
    let table = paths(&["/a/**"]);
    let deep = format!("/a{}", "/x".repeat(500));
    assert_eq!(get(&table, &deep), Some(0));
    let exact = paths(&[&deep]);
    assert_eq!(get(&exact, &deep), Some(0));
    assert_eq!(get(&exact, &format!("{deep}/x")), None);
}

#[test]
fn hosts_are_exact_below_a_domain_or_any() {
    let table = table(&[
        ("/**", &["a.example.com"], &[]),
        ("/**", &["*.example.com"], &[]),
        ("/x", &[], &[]),
    ]);
    let host = |host: &str| found(&table, "GET", host, "/x");
    assert_eq!(host("A.example.com."), Some(0));
    assert_eq!(host("a.example.com:8443"), Some(0));
    assert_eq!(host("b.example.com"), Some(1));
    assert_eq!(host("c.b.example.com"), Some(1));
    assert_eq!(host("example.com"), Some(2));
    assert_eq!(host("evilexample.com"), Some(2));
}

#[test]
fn unlisted_methods_only_reach_routes_for_any_method() {
    let table = table(&[
        ("/a", &[], &["GET", "PROPFIND"]),
        ("/a", &[], &["POST"]),
        ("/b", &[], &[]),
    ]);
    let method = |method: &str, path: &str| found(&table, method, "a", path);
    assert_eq!(method("GET", "/a"), Some(0));
    assert_eq!(method("PROPFIND", "/a"), Some(0));
    assert_eq!(method("POST", "/a"), Some(1));
    for unknown in ["get", "HEAD", "TRACK", "DELETE"] {
        assert_eq!(method(unknown, "/a"), None, "{unknown}");
        assert_eq!(method(unknown, "/b"), Some(2), "{unknown}");
    }
}

#[test]
fn routes_that_never_match_are_found() {
    let shadows = |table: &RouteTable| {
        let shadowed = table.shadowed();
        shadowed
            .into_iter()
            .map(|shadowed| (shadowed.route, shadowed.by))
            .collect::<Vec<_>>()
    };
    let pair = |route: &str, by: &str| (route.to_owned(), by.to_owned());
    assert_eq!(
        shadows(&paths(&["/a/**", "/a/b", "/b"])),
        [pair("r1", "r0")]
    );
    assert_eq!(
        shadows(&paths(&["/a/*", "/a/b", "/a/**"])),
        [pair("r1", "r0")]
    );
    assert_eq!(shadows(&paths(&["/{x}", "/{y}"])), [pair("r1", "r0")]);
    assert_eq!(shadows(&paths(&["/a", "/*", "/**"])), []);
    let hosts = table(&[
        ("/**", &["*.b"], &[]),
        ("/**", &["a.b"], &[]),
        ("/**", &["a.b", "c"], &[]),
        ("/**", &["*.x.b"], &[]),
    ]);
    assert_eq!(shadows(&hosts), [pair("r1", "r0"), pair("r3", "r0")]);
    let methods = table(&[
        ("/a", &[], &["GET"]),
        ("/a", &[], &["POST"]),
        ("/a", &[], &["GET", "POST"]),
        ("/a", &[], &[]),
        ("/a", &[], &["PUT"]),
    ]);
    assert_eq!(shadows(&methods), [pair("r2", "r0"), pair("r4", "r3")]);
}

#[test]
fn faults_are_told_all_at_once() {
    let mut bad = fixture::route("bad", "nope", settings::Access::Everyone);
    let mut lost = fixture::route("lost", "/", settings::Access::Everyone);
    lost.upstream = "nowhere".into();
    bad.forward = Forward::None;
    let faults = RouteTable::compile(&fixture::settings(vec![bad, lost])).unwrap_err();
    assert_eq!(faults.len(), 2);
    assert_eq!(
        faults[1].to_string(),
        "route lost: there is no upstream nowhere"
    );
}

#[test]
fn distinct_forwardings_have_their_own_slot() {
    let mut routes = vec![fixture::route("a", "/a", settings::Access::Everyone); 3];
    routes[1].forward = Forward::Passthrough;
    let table = RouteTable::compile(&fixture::settings(routes)).unwrap();
    let slots: Vec<_> = table
        .routes()
        .iter()
        .map(|route| route.forward_slot)
        .collect();
    assert_eq!(slots, [0, 1, 0]);
    assert_eq!(table.forwardings().len(), 2);
}

/// The definition of matching, without a trie.
fn plainly(patterns: &[String], path: &str) -> Option<usize> {
    let segments: Vec<_> = path
        .trim_matches('/')
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    patterns.iter().position(|pattern| {
        let pattern = PathPattern::parse(pattern).unwrap();
        let fits = segments.len() == pattern.segments.len()
            || (pattern.rest && segments.len() > pattern.segments.len());
        fits && pattern
            .segments
            .iter()
            .zip(&segments)
            .all(|(wanted, segment)| match wanted {
                Segment::Literal(text) => text == segment,
                Segment::One(_) => true,
            })
    })
}

proptest! {
    #[test]
    fn the_trie_agrees_with_trying_one_after_the_other(
        patterns in prop::collection::vec("(/(a|b|\\*|\\{x\\})){0,3}(/\\*\\*)?", 1..12),
        path in "(/[abc]){0,4}",
    ) {
        let patterns: Vec<String> = patterns
            .into_iter()
            .map(|pattern| if pattern.is_empty() { "/".to_owned() } else { pattern })
            .filter(|pattern| PathPattern::parse(pattern).is_ok())
            .collect();
        let table = paths(&patterns.iter().map(String::as_str).collect::<Vec<_>>());
        let path = if path.is_empty() { "/" } else { &path };
        prop_assert_eq!(get(&table, path), plainly(&patterns, path));
    }

    #[test]
    fn a_shadowed_route_is_never_found(
        patterns in prop::collection::vec("(/(a|b|\\*)){0,3}(/\\*\\*)?", 1..8),
        path in "(/[abc]){0,4}",
    ) {
        let patterns: Vec<String> = patterns.into_iter().map(|pattern| if pattern.is_empty() { "/".to_owned() } else { pattern }).collect();
        let table = paths(&patterns.iter().map(String::as_str).collect::<Vec<_>>());
        let path = if path.is_empty() { "/" } else { &path };
        if let Some(at) = get(&table, path) {
            let name = format!("r{at}");
            prop_assert!(table.shadowed().iter().all(|shadowed| shadowed.route != name));
        }
    }
}

#[test]
fn a_route_is_only_there_on_the_listeners_it_names() {
    let on = |at: usize, path: &str, listeners: &[&str]| {
        let mut route = fixture::route(&format!("r{at}"), path, settings::Access::Everyone);
        route.listeners = listeners.iter().map(|name| (*name).to_owned()).collect();
        route
    };
    let routes = vec![
        on(0, "/a", &["inside"]),
        on(1, "/a", &["outside", "third"]),
        on(2, "/b", &[]),
        on(3, "/**", &["inside"]),
        on(4, "/c", &["inside", "outside"]),
        on(5, "/a", &["inside", "third"]),
    ];
    let table = RouteTable::compile(&fixture::settings(routes)).unwrap();
    let found = |listener: &str, path: &str| {
        let head = Request::get(path).header("host", "a").body(()).unwrap();
        let head = head.into_parts().0;
        let target = Target::parse(&head).unwrap();
        let route = table.find(listener, &target, &head.method);
        route.map(|route| route.index)
    };
    assert_eq!(found("inside", "/a"), Some(0));
    assert_eq!(found("outside", "/a"), Some(1));
    assert_eq!(found("elsewhere", "/a"), None);
    for listener in ["inside", "outside", "third", "elsewhere"] {
        assert_eq!(found(listener, "/b"), Some(2), "{listener}");
    }
    assert_eq!(found("inside", "/c"), Some(3));
    assert_eq!(found("outside", "/c"), Some(4));
    // The fifth is taken on one of its listeners only; the last on both of its own.
    let shadowed = table.shadowed();
    let names: Vec<_> = shadowed.iter().map(|found| found.route.as_str()).collect();
    assert_eq!(names, ["r5"]);
}
