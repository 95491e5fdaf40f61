//! An HTTP/1.1 client that sends exactly what the test says, over TCP or TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use super::DEADLINE;

/// Both ways of a connection.
pub(crate) trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// Somewhere requests can be sent.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// From `http://address:port`, with or without the scheme.
    pub(crate) fn http(url: &str) -> Self {
        Self {
            address: parse_address(url),
            tls: None,
        }
    }

    /// From `https://address:port`, trusting what the configuration trusts.
    pub(crate) fn https(url: &str, tls: Arc<ClientConfig>) -> Self {
        Self {
            address: parse_address(url),
            tls: Some(tls),
        }
    }

    /// `http(s)://address:port`.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// `host:port` as the tests' clients put it in `Host`.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// What it trusts; `None` without TLS.
    pub(crate) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// The TLS configuration with other protocols offered.
    pub(crate) fn tls_with_alpn(&self, alpn: &[&[u8]]) -> Option<Arc<ClientConfig>> {
        let mut config = ClientConfig::clone(self.tls.as_deref()?);
        config.alpn_protocols = alpn.iter().map(|&protocol| protocol.to_vec()).collect();
        Some(Arc::new(config))
    }

    /// A fresh connection.
    pub(crate) fn connect(&self) -> Wire {
        let stream = TcpStream::connect(self.address).expect("connects");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let Some(tls) = &self.tls else {
            return Wire {
                stream: Box::new(stream),
                buffer: Vec::new(),
            };
        };
        let name = "localhost".try_into().expect("a server name");
        let session = ClientConnection::new(Arc::clone(tls), name).expect("a TLS client");
        Wire {
            stream: Box::new(StreamOwned::new(session, Talkative::new(stream))),
            buffer: Vec::new(),
        }
    }

    /// Sends bytes on a fresh connection and reads until the other side closes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut wire = self.connect();
        // A refused request may be answered and closed before it is written whole.
        let _ = wire.send(bytes);
        wire.read_to_close()
    }

    /// Sends bytes on a fresh connection and reads one response.
    pub(crate) fn raw_reply(&self, bytes: &[u8]) -> Reply {
        let mut wire = self.connect();
        let _ = wire.send(bytes);
        wire.reply().expect("a response")
    }

    pub(crate) fn get(&self, path: &str) -> Call<'_> {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Call<'_> {
        self.call("POST", path).body(body)
    }

    pub(crate) fn put_json(&self, path: &str, body: &Value) -> Call<'_> {
        self.call("PUT", path).json(body)
    }

    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Call<'_> {
        self.call("POST", path).json(body)
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        Call {
            target: self,
            method: method.to_owned(),
            path: path.to_owned(),
            host: self.host(),
            headers: Vec::new(),
            body: None,
        }
    }
}

/// A socket that can be read after the other side stopped listening, as curl reads it: below TLS a failed write would hide the
/// answer, because TLS writes what it still has before it reads.
struct Talkative {
    stream: TcpStream,
    /// Nobody listens any more; what is written is dropped.
    unheard: bool,
}

impl Talkative {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            unheard: false,
        }
    }
}

impl Read for Talkative {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.read(into)
    }
}

impl Write for Talkative {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unheard {
            return Ok(bytes.len());
        }
        match self.stream.write(bytes) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                self.unheard = true;
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn parse_address(url: &str) -> SocketAddr {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.trim_end_matches('/')
        .parse()
        .unwrap_or_else(|_| panic!("no address in {url}"))
}

/// `Basic …` for a name and password.
pub(crate) fn basic(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    )
}

/// One well-formed request in the making.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    target: &'a Target,
    method: String,
    path: String,
    host: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    pub(crate) fn basic(self, username: &str, password: &str) -> Self {
        let value = basic(username, password);
        self.header("Authorization", &value)
    }

    pub(crate) fn authorization(self, value: &str) -> Self {
        self.header("Authorization", value)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json")
            .body(body.to_string())
    }

    /// The request as bytes; the connection stays open after it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            self.method, self.path, self.host
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// Sends it on a connection of its own.
    pub(crate) fn send(self) -> Reply {
        let mut wire = self.target.connect();
        self.send_on(&mut wire)
    }

    /// Sends it on a connection that stays open.
    pub(crate) fn send_on(&self, wire: &mut Wire) -> Reply {
        let shown = format!("{} {}", self.method, self.path);
        // A refused request may be answered and closed before it is written whole.
        let sent = wire.send(&self.bytes());
        let reply = if self.method == "HEAD" {
            wire.reply_without_body()
        } else {
            wire.reply()
        };
        reply.unwrap_or_else(|error| panic!("{shown}: {error} ({sent:?})"))
    }
}

/// An open connection.
pub(crate) struct Wire {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads one response whole.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let mut reply = self.reply_without_body()?;
        // An interim response announces another one.
        while (100..200).contains(&reply.status) && reply.status != 101 {
            reply = self.reply_without_body()?;
        }
        let no_body = matches!(reply.status, 101 | 204 | 304);
        if no_body {
            return Ok(reply);
        }
        if reply
            .header("transfer-encoding")
            .is_some_and(|value| value.contains("chunked"))
        {
            reply.body = self.read_chunks()?;
        } else if let Some(length) = reply.header("content-length") {
            let length = length
                .parse()
                .map_err(|_| io::Error::other("bad content-length"))?;
            reply.body = self.read_exactly(length)?;
        } else {
            reply.body = self.read_to_close();
        }
        Ok(reply)
    }

    /// Reads a response's head and leaves its body on the wire.
    pub(crate) fn reply_without_body(&mut self) -> io::Result<Reply> {
        let head = self.read_until(b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&head);
        let mut lines = text.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| io::Error::other(format!("no status in {status_line:?}")))?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Reply {
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// Reads up to and including a marker.
    pub(crate) fn read_until(&mut self, marker: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self
                .buffer
                .windows(marker.len())
                .position(|window| window == marker)
            {
                return Ok(self.buffer.drain(..at + marker.len()).collect());
            }
            self.fill()?;
        }
    }

    pub(crate) fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_until(b"\r\n")?;
            let size = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(size.trim().split(';').next().unwrap_or_default(), 16)
                .map_err(|_| io::Error::other("bad chunk size"))?;
            if size == 0 {
                // Trailers, then the empty line.
                while self.read_until(b"\r\n")? != b"\r\n" {}
                return Ok(body);
            }
            body.extend(self.read_exactly(size)?);
            self.read_exactly(2)?;
        }
    }

    /// Everything until the other side closes. A reset counts as closed; silence until the deadline fails the test.
    pub(crate) fn read_to_close(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("neither bytes nor a close within the deadline")
                }
                Err(_) => return std::mem::take(&mut self.buffer),
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.buffer.extend(&chunk[..read]);
                Ok(())
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            return self.stream.read(into);
        }
        let length = self.buffer.len().min(into.len());
        into[..length].copy_from_slice(&self.buffer[..length]);
        self.buffer.drain(..length);
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// One response.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case, in order of arrival.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Why Sidegate refused; `None` when the answer isn't Sidegate's.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.header("x-sidegate-refusal")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text()))
    }

    /// Fails with the whole response unless the status is this one.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    /// Fails with the whole response unless Sidegate refused it with this status and reason.
    pub(crate) fn expect_refusal(self, status: u16, reason: &str) -> Self {
        let reply = self.expect(status);
        assert_eq!(reply.refusal(), Some(reason), "{:?}", reply.headers);
        reply
    }
}
