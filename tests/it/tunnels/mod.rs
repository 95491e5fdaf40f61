//! What lasts: WebSockets over HTTP/1.1 and HTTP/2, events and other streams, and when they end (A-26, R-07, RFC 8441).

mod ending;
mod http2;
mod streams;

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::harness::DEADLINE;
use crate::harness::client::{Duplex, Target, Wire};
use crate::harness::server::{Answer, Recorded, Server};

/// An application with a WebSocket that echoes, and with events that never end.
pub(crate) struct App {
    pub(crate) server: Server,
    /// The code of each Close that reached the application; 0 where it was cut without one.
    pub(crate) closes: Receiver<u16>,
}

impl App {
    pub(crate) fn start() -> Self {
        Self::with(|_| Answer::text("page"))
    }

    /// The same with pages of its own.
    pub(crate) fn with(page: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        let (told, closes) = mpsc::channel();
        let told = Mutex::new(told);
        let server = Server::start(move |request| {
            if request.header("sec-websocket-key").is_some() {
                let told = told.lock().unwrap().clone();
                return echo(request, told);
            }
            if request.target.starts_with("/events") {
                return events();
            }
            page(request)
        });
        Self { server, closes }
    }
}

/// Accepts a WebSocket and says again what it hears.
fn echo(request: &Recorded, told: Sender<u16>) -> Answer {
    let key = request.header("sec-websocket-key").unwrap_or_default();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    Answer::Take(Box::new(move |stream: &mut dyn Duplex| {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nX-App: yes\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
        let mut code = 0;
        while let Ok(message) = socket.read() {
            match message {
                Message::Text(_) | Message::Binary(_) => drop(socket.send(message)),
                Message::Close(frame) => code = frame.map_or(1005, |frame| frame.code.into()),
                _ => {}
            }
        }
        let _ = told.send(code);
    }))
}

/// One event, and then silence until somebody hangs up.
fn events() -> Answer {
    Answer::Take(Box::new(|stream: &mut dyn Duplex| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(b"d\r\ndata: first\n\n\r\n");
        let _ = stream.flush();
        let mut byte = [0];
        let _ = stream.read(&mut byte);
    }))
}

/// Something open through Sidegate.
pub(crate) enum Open {
    Socket(Box<WebSocket<Wire>>),
    Events(Wire),
}

impl Open {
    /// A WebSocket that works.
    pub(crate) fn socket(target: &Target, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let url = format!("ws://{}{path}", target.host());
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = tungstenite::client(request, target.connect()).expect("a tunnel");
        let mut open = Self::Socket(Box::new(socket));
        open.lives();
        open
    }

    /// A stream of events whose first has come.
    pub(crate) fn events(target: &Target, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut call = target.get(path);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        let mut wire = target.connect();
        wire.send(&call.bytes()).unwrap();
        wire.read_until(b"data: first\n\n\r\n").expect("an event");
        Self::Events(wire)
    }

    /// Fails where it is seen to be over.
    pub(crate) fn lives(&mut self) {
        if let Self::Socket(socket) = self {
            socket.send(Message::text("ping")).unwrap();
            assert_eq!(socket.read().unwrap(), Message::text("ping"));
        }
    }

    /// Waits until it is ended from the other side: a WebSocket with this Close, events as an answer that is incomplete.
    pub(crate) fn ends_with(self, code: u16, app: &App) {
        match self {
            Self::Socket(mut socket) => {
                let told = close_of(&mut socket).expect("a Close");
                assert_eq!(u16::from(told.code), code, "{told:?}");
                let told = app.closes.recv_timeout(DEADLINE).unwrap();
                assert_eq!(told, code, "what the application was told");
            }
            Self::Events(mut wire) => {
                let rest = wire.read_to_close();
                assert_eq!(String::from_utf8_lossy(&rest), "", "no last chunk");
            }
        }
    }
}

/// Reads up to a Close; `None` where the connection ends without one.
fn close_of(socket: &mut WebSocket<Wire>) -> Option<CloseFrame> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => return frame,
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}
