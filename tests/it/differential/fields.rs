//! Odd requests of HTTP/2: what a field may hold there and HTTP/1.1 could not carry.

use super::corpus::{SMUGGLED, STEPS};

/// One request, as fields in their order.
pub(crate) struct Case {
    name: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    data: Option<Vec<u8>>,
    length: Option<usize>,
}

const GOOD: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "localhost"),
    (":path", "/public/a"),
];

impl Case {
    /// The fields, with the one that tells the case.
    pub(crate) fn fields(&self, index: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut fields = self.fields.clone();
        fields.push((b"x-case".to_vec(), index.to_string().into_bytes()));
        fields
    }

    pub(crate) fn data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }

    /// What a fault says about it.
    pub(crate) fn told(&self) -> (String, Option<usize>) {
        (self.name.clone(), self.length)
    }

    fn new(name: String, fields: &[(&str, &[u8])]) -> Self {
        let owned = |(name, value): &(&str, &[u8])| (name.as_bytes().to_vec(), value.to_vec());
        Self {
            name,
            fields: fields.iter().map(owned).collect(),
            data: None,
            length: Some(0),
        }
    }

    /// The good request with one of its fields replaced.
    fn with(pseudo: &str, value: &[u8]) -> Self {
        let fields: Vec<(&str, &[u8])> = GOOD
            .iter()
            .map(|(name, good)| {
                (
                    *name,
                    if *name == pseudo {
                        value
                    } else {
                        good.as_bytes()
                    },
                )
            })
            .collect();
        Self::new(
            format!("{pseudo} {:?}", String::from_utf8_lossy(value)),
            &fields,
        )
    }

    /// The good request and more fields behind.
    fn and(more: &[(&str, &[u8])]) -> Self {
        let mut fields: Vec<(&str, &[u8])> = GOOD
            .iter()
            .map(|(name, good)| (*name, good.as_bytes()))
            .collect();
        fields.extend_from_slice(more);
        let told: Vec<_> = more
            .iter()
            .map(|(name, value)| format!("{name}: {:?}", String::from_utf8_lossy(value)))
            .collect();
        Self::new(told.join(", "), &fields)
    }

    fn data_of(mut self, data: &str, length: Option<usize>) -> Self {
        self.name = format!("{} with {} bytes of data", self.name, data.len());
        self.data = Some(data.as_bytes().to_vec());
        self.length = length;
        self
    }
}

/// All of them.
pub(crate) fn corpus() -> Vec<Case> {
    [paths(), pseudo_fields(), bytes(), fields(), bodies()]
        .into_iter()
        .flatten()
        .collect()
}

fn paths() -> Vec<Case> {
    let mut paths: Vec<String> = Vec::new();
    for step in STEPS {
        paths.push(format!("/public{step}admin"));
        paths.push(format!("/public/x{step}../admin/x"));
        paths.push(format!("{step}admin/x"));
    }
    for path in [
        "",
        "*",
        "public/a",
        "/public/a b",
        "/public/a HTTP/1.1\r\nX: y",
        "/public/a\r\n\r\nGET /smuggled HTTP/1.1",
        "http://localhost/admin/x",
        "//localhost/admin/x",
        "/public/a#/admin",
        "/public/a?x=/admin",
        "/public/%61",
        "?/admin",
        "/public/a\t",
        "\\admin",
        "/public\\..\\admin/x",
    ] {
        paths.push(path.to_owned());
    }
    let mut cases: Vec<Case> = paths
        .iter()
        .map(|path| Case::with(":path", path.as_bytes()))
        .collect();
    cases.push(Case::with(":path", b"/public/\xc3\xa4"));
    cases.push(Case::with(":path", b"/public/\xff"));
    cases
}

fn pseudo_fields() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in [
        "get",
        "GET POST",
        "GET\r\nX: y",
        "",
        "CONNECT",
        "TRACE",
        "HEAD",
        "DELETE",
        "PRI",
        "G\u{0}ET",
        " GET",
    ] {
        cases.push(Case::with(":method", method.as_bytes()));
    }
    for scheme in ["https", "HTTP", "file", "", "http://x/", "javascript"] {
        cases.push(Case::with(":scheme", scheme.as_bytes()));
    }
    for authority in [
        "LOCALHOST",
        "localhost.",
        "localhost:80",
        "user@localhost",
        "localhost/x",
        "local host",
        "localhost\r\nX: y",
        "",
        "[::1]",
        "a,b",
        "localhost#",
        "localhost?x",
    ] {
        cases.push(Case::with(":authority", authority.as_bytes()));
    }
    for missing in [":method", ":scheme", ":authority", ":path"] {
        let fields: Vec<(&str, &[u8])> = GOOD
            .iter()
            .filter(|(name, _)| *name != missing)
            .map(|(name, good)| (*name, good.as_bytes()))
            .collect();
        cases.push(Case::new(format!("no {missing}"), &fields));
    }
    for (name, value) in GOOD {
        cases.push(Case::and(&[(name, value.as_bytes())]));
    }
    for (name, value) in [
        (":status", "200"),
        (":protocol", "websocket"),
        (":foo", "bar"),
        (":", "x"),
        (":PATH", "/admin/x"),
    ] {
        cases.push(Case::and(&[(name, value.as_bytes())]));
    }
    cases.push(Case::and(&[("x-before", b"1"), (":path", b"/admin/x")]));
    cases
}

/// Every control byte in a value and in a name.
fn bytes() -> Vec<Case> {
    (0u8..32)
        .chain([
            32, b'"', b'(', b',', b'/', b':', b';', b'@', b'{', 127, 128, 255,
        ])
        .flat_map(|byte| {
            let value = [b'a', byte, b'b'];
            let mut name = Case::and(&[]);
            name.name = format!("byte {byte:#04x} in a name");
            name.fields.push((vec![b'x', byte, b'y'], b"v".to_vec()));
            [Case::and(&[("x-a", &value)]), name]
        })
        .collect()
}

fn fields() -> Vec<Case> {
    [
        ("connection", "close"),
        ("connection", "x-case"),
        ("keep-alive", "5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "trailers"),
        ("te", "chunked"),
        ("host", "other"),
        ("host", "localhost"),
        ("X-Upper", "a"),
        ("x-a", " padded "),
        ("x-a", "b\r\nx-b: c"),
        ("x-a", "b\nx-b: c"),
        ("content-length", "5"),
        ("content-length", "0"),
        ("content-length", "+0"),
        ("content-length", "abc"),
        ("", "empty"),
        ("x-forwarded-host", "other"),
        ("x-original-url", "/admin/x"),
        ("expect", "100-continue"),
        ("trailer", "x-a"),
        ("cookie", "a=b"),
        ("x_under", "score"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
    ]
    .into_iter()
    .map(|(name, value)| Case::and(&[(name, value.as_bytes())]))
    .collect()
}

fn bodies() -> Vec<Case> {
    let post = || Case::with(":method", b"POST");
    let with_length = |length: &str| {
        let mut case = post();
        case.name = format!("POST of length {length}");
        case.fields
            .push((b"content-length".to_vec(), length.as_bytes().to_vec()));
        case
    };
    let chunks = format!("0\r\n\r\n{SMUGGLED}");
    let encoded = || {
        let mut case = post();
        case.name = "POST with transfer-encoding".to_owned();
        case.fields
            .push((b"transfer-encoding".to_vec(), b"chunked".to_vec()));
        case
    };
    vec![
        post().data_of("hello", Some(5)),
        post().data_of("", Some(0)),
        post().data_of(&chunks, Some(chunks.len())),
        post().data_of(SMUGGLED, Some(SMUGGLED.len())),
        with_length("5").data_of("hello", Some(5)),
        with_length("4").data_of("hello", None),
        with_length("6").data_of("hello", None),
        with_length("0").data_of(SMUGGLED, None),
        with_length("05").data_of("hello", None),
        with_length("5,5").data_of("hello", None),
        encoded().data_of(&chunks, None),
        Case::with(":method", b"GET").data_of("hello", Some(5)),
        Case::with(":method", b"DELETE").data_of("hello", Some(5)),
        Case::with(":method", b"HEAD").data_of("hello", Some(5)),
    ]
}
