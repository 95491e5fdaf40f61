//! Odd requests, made by rules: one axis of oddity each, and the pairs that have hurt other programs.

/// One request, as bytes.
pub(crate) struct Case {
    /// What is odd about it.
    name: String,
    /// The request line, and the headers without the one that says which case it is.
    head: (String, String),
    body: Vec<u8>,
    /// Bytes of the body, where every reading agrees.
    length: Option<usize>,
}

/// What no route takes: whoever sees it has split one request into two.
pub(crate) const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

impl Case {
    /// What a fault says about it.
    pub(crate) fn told(&self) -> (String, Option<usize>) {
        (self.name.clone(), self.length)
    }

    /// The bytes, marked with the case's id right behind the request line.
    fn bytes(&self, id: &str) -> Vec<u8> {
        let (line, headers) = &self.head;
        let mut bytes = format!("{line}X-Case: {id}\r\n{headers}").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn get(name: String, target: &str) -> Self {
        Self::plain(name, &format!("GET {target} HTTP/1.1\r\n"), "")
    }

    /// `headers` are whole lines beside `Host` and `Connection`.
    fn plain(name: String, line: &str, headers: &str) -> Self {
        Self {
            name,
            head: (
                line.to_owned(),
                format!("Host: localhost\r\nConnection: close\r\n{headers}\r\n"),
            ),
            body: Vec::new(),
            length: Some(0),
        }
    }

    fn body(name: String, headers: &str, body: &str, length: Option<usize>) -> Self {
        let case = Self::plain(name, "POST /public/body HTTP/1.1\r\n", headers);
        Self {
            body: body.as_bytes().to_vec(),
            length,
            ..case
        }
    }
}

/// All of them.
pub(crate) fn corpus() -> Vec<Case> {
    [
        targets(),
        bytes_in_paths(),
        methods(),
        hosts(),
        header_lines(),
        header_bytes(),
        line_ends(),
        lengths(),
        encodings(),
        chunks(),
        framed_targets(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Ways to write something between `/public` and `/admin`.
pub(crate) const STEPS: [&str; 34] = [
    "/",
    "//",
    "///",
    "/./",
    "/../",
    "/.../",
    "/%2e/",
    "/%2e%2e/",
    "/.%2e/",
    "/%2E./",
    "%2f",
    "%2F",
    "/..%2f",
    "/..%2F",
    "%5c",
    "/..%5c",
    "/%252e%252e/",
    "/..;/",
    ";/../",
    ";a=b/../",
    "/;/",
    "/%00/",
    "/%20/",
    "/%09/",
    "/%0d%0a/",
    "/%23/",
    "/%3f/",
    "/%3F/",
    "/%26/",
    "/%c0%ae%c0%ae/",
    "/%ef%bc%8f",
    "/%e2%80%a6/",
    "/%u002e/",
    "/%/",
];

fn targets() -> Vec<Case> {
    let mut targets: Vec<String> = Vec::new();
    for step in STEPS {
        targets.push(format!("/public{step}admin"));
        targets.push(format!("/public/x{step}../admin/x"));
        targets.push(format!("/admin{step}public"));
        targets.push(format!("{step}admin/x"));
    }
    for target in [
        "/ADMIN/x",
        "/Admin/x",
        "/admin./x",
        "/admin/x/",
        "/admin%2",
        "/%61dmin/x",
        "/adm%69n/x",
        "/public?/../admin",
        "/public/a?x=/admin",
        "/public/a?",
        "/public/a??",
        "/public/a?x#y",
        "/public#/admin",
        "/public/a#",
        "/public/%61",
        "/public/a%3fx=1",
        "/public/a&b=c",
        "/public/a+b",
        "/public/a b",
        "/public/\"a\"",
        "/public/<a>",
        "/public/{a}",
        "/public/a|b",
        "/public/a^b",
        "/public/a`b",
        "/public/[a]",
        "/public/a:b",
        "/public/a@b",
        "/public/a!b",
        "/public/a$b",
        "/public/a'b",
        "/public/(a)",
        "/public/a*b",
        "/public/a,b",
        "/public/a=b",
        "/public/~a",
        "http://localhost/public/a",
        "http://localhost/admin/x",
        "HTTP://localhost/public/a",
        "http://LOCALHOST/public/a",
        "http://localhost:80/public/a",
        "https://localhost/public/a",
        "http://other/public/a",
        "http://localhost@other/public/a",
        "http:/public/a",
        "http:///public/a",
        "http://localhost",
        "http://localhost?x=/admin",
        "localhost:80",
        "*",
        "public/a",
        "",
        "/",
        "?x",
        "#",
        "//localhost/public/a",
        "///public/a",
        "/\\admin/x",
        "\\public\\a",
        "/public\\..\\admin",
    ] {
        targets.push(target.to_owned());
    }
    targets
        .into_iter()
        .map(|target| Case::get(format!("target {target}"), &target))
        .collect()
}

/// Every byte that isn't a letter or a digit, in the path, raw.
fn bytes_in_paths() -> Vec<Case> {
    (0u8..=255)
        .filter(|byte| !byte.is_ascii_alphanumeric() && *byte != b'\n')
        .map(|byte| {
            let mut case = Case::get(format!("byte {byte:#04x} in the path"), "/public/a");
            let mut line = b"GET /public/a".to_vec();
            line.push(byte);
            line.extend_from_slice(b"b HTTP/1.1\r\n");
            // Raw bytes can't stand in a `String`: the whole request becomes the body's bytes.
            case.body = line;
            case.head.0.clear();
            case
        })
        .map(Case::with_raw_line)
        .collect()
}

impl Case {
    /// For request lines that are no text: they wait in `body`.
    fn with_raw_line(mut self) -> Self {
        let line: String = self.body.iter().map(|byte| char::from(*byte)).collect();
        self.body.clear();
        self.head.0 = line;
        self
    }

    /// The same, each letter up to U+00FF one byte.
    pub(crate) fn raw(&self, id: &str) -> Vec<u8> {
        let text = String::from_utf8_lossy(&self.bytes(id)).into_owned();
        text.chars()
            .map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?'))
            .collect()
    }
}

fn methods() -> Vec<Case> {
    [
        "GET", "get", "Get", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "TRACK",
        "CONNECT", "PRI", "PROPFIND", "M-SEARCH", "G@T", "G ET", " GET", "GET\t", "", "GET,POST",
        "\"GET\"", "GÉT", "QUERY",
    ]
    .into_iter()
    .map(|method| {
        let line = format!("{method} /public/m HTTP/1.1\r\n");
        Case::plain(format!("method {method:?}"), &line, "")
    })
    .chain(
        [
            "HTTP/1.0",
            "HTTP/0.9",
            "HTTP/1.2",
            "HTTP/2.0",
            "HTTP/2",
            "http/1.1",
            "HTTP/1.1 ",
            "HTTP/1.10",
            "HTTP/11",
            "",
        ]
        .into_iter()
        .map(|version| {
            let line = format!("GET /public/v {version}\r\n");
            Case::plain(format!("version {version:?}"), &line, "")
        }),
    )
    .collect()
}

fn hosts() -> Vec<Case> {
    [
        "Host: localhost",
        "Host: LOCALHOST",
        "Host: localhost.",
        "Host: localhost:80",
        "Host: localhost:",
        "Host: localhost:x",
        "Host: localhost:99999",
        "Host: 127.0.0.1",
        "Host: [::1]",
        "Host: [::1",
        "Host: local host",
        "Host: localhost,other",
        "Host: localhost/x",
        "Host: user@localhost",
        "Host: localhost#",
        "Host: localhost?x",
        "Host: ",
        "Host:",
        "Host:localhost",
        "Host : localhost",
        " Host: localhost",
        "Host: localhost\r\nHost: localhost",
        "Host: localhost\r\nHost: other",
        "Host: localhost\r\nhost: other",
        "Host: %6cocalhost",
        "Host: localhost\\x",
        "Host: \u{7f}",
        "Host: löcalhost",
        "X-None: 1",
        "Host: localhost\r\n\tother",
        "Host:\tlocalhost",
        "Host: localhost\t",
        "Host: special.example",
    ]
    .into_iter()
    .map(|host| {
        let mut case = Case::get(format!("{host:?}"), "/public/h");
        case.head.1 = format!("{host}\r\nConnection: close\r\n\r\n");
        case
    })
    .collect()
}

fn header_lines() -> Vec<Case> {
    [
        "X-A: b",
        "X-A:b",
        "X-A:  b  ",
        "X-A:\tb",
        "X-A : b",
        "X-A\t: b",
        " X-A: b",
        "X-A: b\r\n c",
        "X-A: b\r\n\tc",
        "X-A:",
        ": b",
        "X-A",
        "X A: b",
        "X-A: b\rc: d",
        "X-Ä: b",
        "X-A: ä",
        "X_A: b",
        "X.A: b",
        "X(A): b",
        "X-A: b\u{7f}",
        "Connection: X-Other",
        "Connection: close, X-Request-Id",
        "Connection: upgrade",
        "Connection: Host",
        "Connection: Content-Length",
        "Connection: Transfer-Encoding",
        "Keep-Alive: 5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "TE: chunked",
        "Trailer: X-A",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "Upgrade: websocket",
        "Expect: 100-continue",
        "Expect: nonsense",
        "Max-Forwards: 0",
        "X-HTTP-Method-Override: DELETE",
        "X-Original-URL: /admin/x",
        "X-Rewrite-URL: /admin/x",
        "X-Forwarded-Host: other",
        "X-Forwarded-Prefix: /admin",
        "X-Forwarded-Uri: /admin/x",
        "Forwarded: host=other",
        "Range: bytes=0-1",
        "Cookie: a=b; c=d",
        "Content-Encoding: gzip",
    ]
    .into_iter()
    .map(|line| {
        let headers = format!("{line}\r\n");
        Case::plain(
            format!("header {line:?}"),
            "GET /public/x HTTP/1.1\r\n",
            &headers,
        )
    })
    .collect()
}

/// Control bytes within a header's value, raw.
fn header_bytes() -> Vec<Case> {
    (0u8..=32)
        .chain([127, 128, 160, 255])
        .filter(|byte| *byte != b'\n')
        .map(|byte| {
            let headers = format!("X-A: b{}c\r\n", char::from(byte));
            let name = format!("byte {byte:#04x} in a value");
            Case::plain(name, "GET /public/x HTTP/1.1\r\n", &headers)
        })
        .collect()
}

fn line_ends() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, end) in [
        ("lf", "\n"),
        ("cr", "\r"),
        ("crcrlf", "\r\r\n"),
        ("lfcr", "\n\r"),
        ("vt", "\x0b\r\n"),
    ] {
        let line = format!("GET /public/e HTTP/1.1{end}");
        cases.push(Case::plain(
            format!("{name} after the request line"),
            &line,
            "",
        ));
        let headers = format!("X-A: b{end}X-B: c\r\n");
        cases.push(Case::plain(
            format!("{name} between headers"),
            "GET /public/e HTTP/1.1\r\n",
            &headers,
        ));
        let mut last = Case::plain(
            format!("{name} as the last line"),
            "GET /public/e HTTP/1.1\r\n",
            "",
        );
        last.head.1 = format!("Host: localhost\r\nConnection: close\r\n{end}");
        cases.push(last);
        let first = format!("{end}GET /public/e HTTP/1.1\r\n");
        cases.push(Case::plain(
            format!("{name} before the request"),
            &first,
            "",
        ));
    }
    cases
}

fn lengths() -> Vec<Case> {
    let mut cases = vec![
        Case::body("length 5".into(), "Content-Length: 5\r\n", "hello", Some(5)),
        Case::body(
            "length 05".into(),
            "Content-Length: 05\r\n",
            "hello",
            Some(5),
        ),
        Case::body(
            "length twice".into(),
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "hello",
            Some(5),
        ),
        Case::body(
            "length 0 and a request behind".into(),
            "Content-Length: 0\r\n",
            SMUGGLED,
            Some(0),
        ),
        Case::body(
            "no length and a request behind".into(),
            "",
            SMUGGLED,
            Some(0),
        ),
        Case::body(
            "length and a request behind".into(),
            "Content-Length: 5\r\n",
            &format!("hello{SMUGGLED}"),
            Some(5),
        ),
    ];
    for value in [
        "+5",
        "-5",
        "5,5",
        "5, 6",
        "0x5",
        "5 ",
        "5.0",
        "5e0",
        "",
        " ",
        "five",
        "18446744073709551616",
        "99999999999999999999",
        "5\r\nContent-Length: 6",
        "6\r\nContent-Length: 5",
        "\t5",
        "5\t",
        "5;",
        "\u{665}",
        "5 5",
        "0\r\nContent-Length: 5",
    ] {
        let headers = format!("Content-Length: {value}\r\n");
        let body = format!("hello{SMUGGLED}");
        cases.push(Case::body(
            format!("length {value:?}"),
            &headers,
            &body,
            None,
        ));
    }
    for name in [
        "Content-Length ",
        " Content-Length",
        "Content_Length",
        "Content-Length\t",
        "content-length",
        "CONTENT-LENGTH",
    ] {
        let headers = format!("{name}: 5\r\n");
        cases.push(Case::body(format!("{name:?}"), &headers, "hello", None));
    }
    cases
}

fn encodings() -> Vec<Case> {
    let mut cases = Vec::new();
    let chunked = format!("5\r\nhello\r\n0\r\n\r\n{SMUGGLED}");
    for value in [
        "chunked",
        "Chunked",
        "CHUNKED",
        " chunked",
        "chunked ",
        "\tchunked",
        "chunked\t",
        "\x0bchunked",
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "chunked, chunked",
        "identity",
        "gzip",
        "",
        ",",
        ", chunked",
        "chunked,",
        "chunked;q=1",
        "\"chunked\"",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "chun\r\n ked",
        "\r\n chunked",
        "chunked\u{0}",
    ] {
        for length in ["", "Content-Length: 5\r\n", "Content-Length: 40\r\n"] {
            let headers = format!("{length}Transfer-Encoding: {value}\r\n");
            let name = format!("encoding {value:?} with {length:?}");
            cases.push(Case::body(name, &headers, &chunked, None));
        }
    }
    for name in [
        "Transfer-Encoding ",
        " Transfer-Encoding",
        "Transfer_Encoding",
        "Transfer-Encoding\t",
        "transfer-encoding",
        "Transfer Encoding",
    ] {
        for length in ["", "Content-Length: 5\r\n"] {
            let headers = format!("{length}{name}: chunked\r\n");
            cases.push(Case::body(
                format!("{name:?} with {length:?}"),
                &headers,
                &chunked,
                None,
            ));
        }
    }
    cases
}

fn chunks() -> Vec<Case> {
    let good = [
        ("5\r\nhello\r\n0\r\n\r\n", 5),
        ("05\r\nhello\r\n0\r\n\r\n", 5),
        ("0005\r\nhello\r\n000\r\n\r\n", 5),
        ("5;a=b\r\nhello\r\n0\r\n\r\n", 5),
        ("5;a=\"b;c\"\r\nhello\r\n0;x\r\n\r\n", 5),
        ("5\r\nhello\r\n0\r\nX-Trailer: a\r\n\r\n", 5),
        (
            "5\r\nhello\r\n0\r\nContent-Length: 50\r\nHost: other\r\n\r\n",
            5,
        ),
        ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", 20),
        ("0\r\n\r\n", 0),
    ];
    let bad = [
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n",
        "5\r\nhello\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nX-Trailer : a\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "",
        "5\r\nhello\r\n00000000000000000000000000\r\n\r\n",
        "5,5\r\nhello\r\n0\r\n\r\n",
    ];
    let headers = "Transfer-Encoding: chunked\r\n";
    let good = good.into_iter().map(|(body, length)| {
        let whole = format!("{body}{SMUGGLED}");
        Case::body(format!("chunks {body:?}"), headers, &whole, Some(length))
    });
    let bad = bad.into_iter().map(|body| {
        let whole = format!("{body}{SMUGGLED}");
        Case::body(format!("broken chunks {body:?}"), headers, &whole, None)
    });
    good.chain(bad).collect()
}

/// Odd targets with odd framing.
fn framed_targets() -> Vec<Case> {
    let mut cases = Vec::new();
    for target in [
        "/public/a",
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "/public//a",
        "/public/a?b",
        "/admin/x",
    ] {
        for (framing, body) in [
            ("Content-Length: 5\r\n", "hello"),
            ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            (
                "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
                "5\r\nhello\r\n0\r\n\r\n",
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                "5\r\nhello\r\n0\r\n\r\n",
            ),
            ("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
        ] {
            for method in ["POST", "GET", "DELETE"] {
                let line = format!("{method} {target} HTTP/1.1\r\n");
                let case = Case::plain(
                    format!("{method} {target} with {framing:?}"),
                    &line,
                    framing,
                );
                cases.push(Case {
                    body: format!("{body}{SMUGGLED}").into_bytes(),
                    length: Some(5),
                    ..case
                });
            }
        }
    }
    cases
}
