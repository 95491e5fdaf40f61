//! A server that records every byte it is sent and answers what the test says, over TCP, TLS or a Unix socket.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::DEADLINE;
use super::client::Duplex;

/// One request as it came off the wire.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    pub(crate) target: String,
    /// In order of arrival, names as sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let same = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(same)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What a test does with a connection of its own.
type Conversation = dyn FnOnce(&mut dyn Duplex) + Send;

/// What to do about a request.
pub(crate) enum Answer {
    /// A whole response with a length; the connection stays open.
    Reply(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes; the connection stays open.
    Raw(Vec<u8>),
    /// These bytes, then a close.
    RawAndClose(Vec<u8>),
    /// A close without a byte.
    HangUp,
    /// The test takes the connection over.
    Take(Box<Conversation>),
}

impl Answer {
    /// 200 with a plain text body.
    pub(crate) fn text(body: &str) -> Self {
        Self::Reply(
            200,
            vec![("content-type", "text/plain".to_owned())],
            body.into(),
        )
    }

    fn write(self, stream: &mut dyn Duplex) -> io::Result<Next> {
        match self {
            Self::Reply(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
                let mut bytes = head.into_bytes();
                bytes.extend(body);
                stream.write_all(&bytes)?;
            }
            Self::Raw(bytes) => stream.write_all(&bytes)?,
            Self::RawAndClose(bytes) => {
                stream.write_all(&bytes)?;
                stream.flush()?;
                return Ok(Next::Close);
            }
            Self::HangUp => return Ok(Next::Close),
            Self::Take(take) => {
                take(stream);
                return Ok(Next::Close);
            }
        }
        stream.flush()?;
        Ok(Next::KeepOpen)
    }
}

enum Next {
    KeepOpen,
    Close,
}

/// Decides the answer to each request. Runs on the connection's own thread, so it may wait.
type Handler = dyn Fn(&Recorded) -> Answer + Send + Sync;

/// A running server. When it is dropped it accepts nothing more, and hangs up on who still asks.
pub(crate) struct Server {
    /// Where it listens; meaningless for a Unix socket.
    pub(crate) address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Recorded>>,
    arrived: Condvar,
    connections: AtomicUsize,
    bytes: Mutex<Vec<u8>>,
    stopped: AtomicBool,
}

impl Server {
    /// Answers every request with 200 and `upstream`.
    pub(crate) fn echoing() -> Self {
        Self::start(|_| Answer::text("upstream"))
    }

    /// Plain HTTP on a free port.
    pub(crate) fn start(handler: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_tcp(None, handler)
    }

    /// HTTPS on a free port.
    pub(crate) fn start_tls(
        tls: Arc<ServerConfig>,
        handler: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start_tcp(Some(tls), handler)
    }

    fn start_tcp(
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accept = move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.set_nodelay(true)?;
            Ok(match &tls {
                None => Box::new(stream) as Box<dyn Duplex>,
                Some(tls) => {
                    let session =
                        ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
                    Box::new(StreamOwned::new(session, stream))
                }
            })
        };
        Self {
            address,
            log: serve(accept, Arc::new(handler)),
        }
    }

    /// Plain HTTP on a Unix socket.
    pub(crate) fn start_unix(
        path: &Path,
        handler: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let accept = move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(DEADLINE))?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        };
        Self {
            address: ([127, 0, 0, 1], 0).into(),
            log: serve(accept, Arc::new(handler)),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything recorded so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.log.requests.lock().unwrap().clone()
    }

    /// The one request recorded; fails when there are more or fewer.
    pub(crate) fn only_request(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.into_iter().next().unwrap()
    }

    /// Waits until this many requests were recorded.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        self.wait_until(|requests| requests.len() >= count);
    }

    /// Waits until what was recorded is enough.
    pub(crate) fn wait_until(&self, enough: impl Fn(&[Recorded]) -> bool) {
        let guard = self.log.requests.lock().unwrap();
        let (guard, timeout) = self
            .log
            .arrived
            .wait_timeout_while(guard, DEADLINE, |requests| !enough(requests))
            .unwrap();
        assert!(!timeout.timed_out(), "never enough: {guard:#?}");
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    /// Every byte that ever arrived, decrypted, over all connections.
    pub(crate) fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.log.bytes.lock().unwrap()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.log.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    accept: impl Fn() -> io::Result<Box<dyn Duplex>> + Send + 'static,
    handler: Arc<Handler>,
) -> Arc<Log> {
    let log = Arc::new(Log::default());
    let shared = Arc::clone(&log);
    thread::spawn(move || {
        while let Ok(mut stream) = accept() {
            if shared.stopped.load(Ordering::SeqCst) {
                return;
            }
            shared.connections.fetch_add(1, Ordering::SeqCst);
            let (log, handler) = (Arc::clone(&shared), Arc::clone(&handler));
            thread::spawn(move || {
                let _ = converse(&mut *stream, &log, &*handler);
            });
        }
    });
    log
}

/// Reads requests off one connection and answers them until somebody closes.
fn converse(stream: &mut dyn Duplex, log: &Log, handler: &Handler) -> io::Result<()> {
    let mut reader = Reader {
        stream,
        buffer: Vec::new(),
        log,
    };
    loop {
        let request = reader.request()?;
        if log.stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut requests = log.requests.lock().unwrap();
        requests.push(request.clone());
        log.arrived.notify_all();
        drop(requests);
        match handler(&request).write(&mut *reader.stream)? {
            Next::KeepOpen => {}
            Next::Close => return Ok(()),
        }
    }
}

struct Reader<'a> {
    stream: &'a mut dyn Duplex,
    buffer: Vec<u8>,
    log: &'a Log,
}

impl Reader<'_> {
    fn request(&mut self) -> io::Result<Recorded> {
        let head = self.until(b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let mut first = lines
            .next()
            .unwrap_or_default()
            .split(' ')
            .map(str::to_owned);
        let mut request = Recorded {
            method: first.next().unwrap_or_default(),
            target: first.next().unwrap_or_default(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
        };
        if request.header("transfer-encoding").is_some() {
            request.body = self.chunks()?;
        } else if let Some(length) = request.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            request.body = self.exactly(length)?;
        }
        Ok(request)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n")?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            if size == 0 {
                while self.until(b"\r\n")? != b"\r\n" {}
                return Ok(body);
            }
            body.extend(self.exactly(size)?);
            self.exactly(2)?;
        }
    }

    fn until(&mut self, marker: &[u8]) -> io::Result<Vec<u8>> {
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

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        let read = self.stream.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.log.bytes.lock().unwrap().extend(&chunk[..read]);
        self.buffer.extend(&chunk[..read]);
        Ok(())
    }
}

/// Holds whoever waits until the test opens it.
#[derive(Clone, Default)]
pub(crate) struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn wait(&self) {
        let guard = self.0.0.lock().unwrap();
        let _guard = self
            .0
            .1
            .wait_timeout_while(guard, DEADLINE, |open| !*open)
            .unwrap();
    }
}
