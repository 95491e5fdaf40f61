//! However a path is spelled: what reaches the upstream is of the route that was judged, for every way applications read paths.

use http::Request;
use percent_encoding::percent_decode;
use proptest::prelude::*;

use super::fixture;
use crate::config::settings::Access;
use crate::gate::routes::RouteTable;
use crate::gate::target::Target;

const ROUTES: [&str; 6] = [
    "/admin/keys",
    "/admin/**",
    "/public/{page}/edit",
    "/public/**",
    "/é/*",
    "/**",
];

fn table() -> RouteTable {
    let routes = ROUTES.map(|path| fixture::route(path, path, Access::Everyone));
    RouteTable::compile(&fixture::settings(routes.into())).unwrap()
}

/// The route of decoded segments, told once more and more simply.
fn route_of(segments: &[&str]) -> &'static str {
    match segments {
        ["admin", "keys"] => ROUTES[0],
        ["admin", ..] => ROUTES[1],
        ["public", _, "edit"] => ROUTES[2],
        ["public", ..] => ROUTES[3],
        ["é", _] => ROUTES[4],
        _ => ROUTES[5],
    }
}

/// The canonical target of a request, and the route it was judged by; `None`: refused.
fn judged(table: &RouteTable, target: &str) -> Option<(String, String)> {
    let request = Request::builder().uri(target).header("host", "a");
    let head = request.body(()).ok()?.into_parts().0;
    let target = Target::parse(&head).ok()?;
    let route = table.find("main", &target, &head.method)?;
    Some((target.uri().to_string(), route.name.clone()))
}

fn decode(text: &str) -> String {
    let bytes: Vec<u8> = percent_decode(text.as_bytes()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn resolve(path: &str) -> Vec<String> {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment.to_owned()),
        }
    }
    kept
}

/// The segments that an application makes of a path.
type Reading = fn(&str) -> Vec<String>;

/// How applications read the path they get.
const READINGS: [(&str, Reading); 6] = [
    ("split, then decode", |path| {
        let segments = path.split('/').map(decode);
        segments.filter(|segment| !segment.is_empty()).collect()
    }),
    ("decode, then resolve", |path| resolve(&decode(path))),
    ("resolve, then decode", |path| {
        resolve(path)
            .iter()
            .map(|segment| decode(segment))
            .collect()
    }),
    ("backslashes are slashes", |path| {
        resolve(&decode(path).replace('\\', "/"))
    }),
    ("parameters of segments are cut off", |path| {
        let decoded = decode(path);
        let bare = decoded
            .split('/')
            .map(|segment| segment.split_once(';').map_or(segment, |(bare, _)| bare));
        resolve(&bare.collect::<Vec<_>>().join("/"))
    }),
    ("cut at what ends paths elsewhere", |path| {
        let decoded = decode(path);
        let end = decoded.find(['\0', '?', '#', '\r', '\n']);
        resolve(&decoded[..end.unwrap_or(decoded.len())])
    }),
];

fn spelled(letters: &str, styles: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in letters.bytes().enumerate() {
        match styles.get(at) {
            Some(1) => text.push_str(&format!("%{byte:02x}")),
            Some(2) => text.push_str(&format!("%{byte:02X}")),
            Some(3) => text.push_str(&format!("%25{byte:02x}")),
            _ if byte.is_ascii() => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn segment() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["admin", "keys", "public", "edit", "é", "x"]).prop_map(str::to_owned)
}

const HARMLESS: [&str; 6] = ["/", "/", "/./", "/y/../", "/%2e/", "/y/%2E%2e/"];

const ODD: [&str; 20] = [
    "//",
    "%2f",
    "/%2F",
    "\\",
    "%5c",
    ";p/",
    "/;p/",
    "%3bp/",
    "/..;/",
    "/%00",
    "%23",
    "%3f",
    "/.../",
    "/%c0%ae/",
    "/%ef%bc%8f",
    "/%252e%252e/",
    "/../",
    "/%2e%2e/",
    "%0d%0a",
    "/%25%32%66",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_spelling_reaches_the_upstream_as_a_path_of_another_route(
        parts in prop::collection::vec(
            (prop::sample::select([&HARMLESS[..], &ODD[..]].concat()), segment(), prop::collection::vec(0..4u8, 0..6)),
            0..5,
        ),
        end in prop::sample::select(vec!["", "/", "/.", "/..", "?x=/admin", "%20", "%2f..", ";", "/%2e%2e"]),
    ) {
        let table = table();
        let mut target: String = parts
            .iter()
            .map(|(between, segment, styles)| format!("{between}{}", spelled(segment, styles)))
            .collect();
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        target.push_str(end);
        if let Some((forwarded, route)) = judged(&table, &target) {
            prop_assert_eq!(judged(&table, &forwarded), Some((forwarded.clone(), route.clone())), "{}", target);
            let path = forwarded.split('?').next().unwrap();
            for (how, read) in READINGS {
                let seen = read(path);
                let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
                prop_assert_eq!(route_of(&seen), &route, "{}: {} -> {}", how, target, forwarded);
            }
        }
    }

    #[test]
    fn a_harmless_spelling_is_judged_like_the_plain_path(
        parts in prop::collection::vec(
            (prop::sample::select(&HARMLESS[..]), segment(), prop::collection::vec(0..3u8, 0..6)),
            1..5,
        ),
    ) {
        let table = table();
        let target: String = parts
            .iter()
            .map(|(between, segment, styles)| format!("{between}{}", spelled(segment, styles)))
            .collect();
        let plain: Vec<&str> = parts.iter().map(|(_, segment, _)| segment.as_str()).collect();
        let (_, route) = judged(&table, &target).expect("nothing about it is ambiguous");
        prop_assert_eq!(route, route_of(&plain), "{}", target);
    }
}
