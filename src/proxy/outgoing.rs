//! A request on its way to an upstream, and what is left of it when it got no response.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Uri, Version};

use super::failure::Failure;
use super::trailers::Passing;
use super::upload::Upload;
use crate::net::http::{Body, Head};
use crate::net::steady::Half;

const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");

/// A judged request: its head, with a target in origin form, and its body. Kept in a box from door to upstream, because every
/// async function on the way would otherwise hold, and copy, a few hundred bytes of it.
#[derive(Debug)]
pub struct Incoming {
    /// Head.
    pub head: Head,
    /// Body.
    pub body: Body,
    /// Its trailers, if any are to pass.
    pub trailers: Option<Passing>,
    /// How long after its head arrived the client gives up, if it said so; takes the place of the upstream's own limit.
    pub deadline: Option<Duration>,
}

/// What is sent, and what is needed to send it again.
pub struct Outgoing {
    /// The request, in the form of the protocol it is sent in.
    pub request: http::Request<Body>,
    /// What a streaming body tells.
    upload: Option<Arc<Half>>,
    /// The client's own deadline.
    pub deadline: Option<Duration>,
    /// The target in origin form.
    target: Uri,
    /// The `Host` it came with.
    host: Option<HeaderValue>,
    /// HTTP/1.1 must be told that there is a body: hyper sends none with `GET` and `HEAD` that don't say so, and it would be lost.
    says_chunked: bool,
}

/// A request that got no response.
pub struct Lost {
    /// Why.
    pub failure: Failure,
    /// It was lost because a kept-alive connection turned out to be closed.
    pub reused: bool,
    /// The request, when not a byte of it was sent.
    pub unsent: Option<Box<Outgoing>>,
}

// === impl Outgoing ===

impl Outgoing {
    /// From a judged head whose target is in origin form.
    pub fn new(incoming: Incoming) -> Box<Self> {
        let Incoming {
            mut head,
            body,
            trailers,
            deadline,
        } = incoming;
        head.version = Version::HTTP_11;
        let target = head.uri.clone();
        let host = head.headers.get(HOST).cloned();
        let (body, upload) = match body {
            Body::Empty | Body::Full(_) => (body, None),
            Body::Incoming(_) | Body::Boxed(_) => {
                let (upload, half) = Upload::new(body, trailers);
                (Body::stream(upload), Some(half))
            }
        };
        let says_chunked = upload.is_some()
            && matches!(head.method, Method::GET | Method::HEAD)
            && !head.headers.contains_key(CONTENT_LENGTH);
        if says_chunked {
            head.headers.insert(TRANSFER_ENCODING, CHUNKED);
        }
        Box::new(Self {
            request: http::Request::from_parts(head, body),
            upload,
            deadline,
            target,
            host,
            says_chunked,
        })
    }

    /// A copy, when sending it twice can't change anything twice (RFC 9110 §9.2.2): idempotent and without body.
    pub fn spare(&self) -> Option<Box<Self>> {
        let again = matches!(
            *self.request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
        ) && matches!(self.request.body(), Body::Empty);
        again.then(|| {
            let mut request = http::Request::new(Body::Empty);
            request.method_mut().clone_from(self.request.method());
            request.uri_mut().clone_from(&self.target);
            request.headers_mut().clone_from(self.request.headers());
            Box::new(Self {
                request,
                upload: None,
                deadline: self.deadline,
                target: self.target.clone(),
                host: self.host.clone(),
                says_chunked: false,
            })
        })
    }

    /// What a streaming body tells.
    pub fn upload(&self) -> Option<&Arc<Half>> {
        self.upload.as_ref()
    }

    /// Takes the request out, to be sent.
    pub fn take(&mut self) -> http::Request<Body> {
        std::mem::take(&mut self.request)
    }

    /// Puts a request back that wasn't sent after all, in origin form.
    pub fn put_back(mut self: Box<Self>, mut request: http::Request<Body>) -> Box<Self> {
        request.uri_mut().clone_from(&self.target);
        *request.version_mut() = Version::HTTP_11;
        if let Some(host) = &self.host {
            request.headers_mut().insert(HOST, host.clone());
        }
        if self.says_chunked {
            request.headers_mut().insert(TRANSFER_ENCODING, CHUNKED);
        }
        self.request = request;
        self
    }

    /// Puts scheme and authority into the target, where HTTP/2 has them (RFC 9113 §8.3.1), in place of `Host`.
    ///
    /// The authority is `own` if given, else the client's, else `fallback`.
    pub fn make_http2(
        &mut self,
        scheme: &Scheme,
        own: Option<&HeaderValue>,
        fallback: &HeaderValue,
    ) {
        let authority = [own.or(self.host.as_ref()), Some(fallback)]
            .into_iter()
            .flatten()
            .find_map(|value| Authority::try_from(value.as_bytes()).ok());
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme.clone());
        parts.authority = authority;
        parts.path_and_query = self.target.path_and_query().cloned();
        if let Ok(uri) = Uri::from_parts(parts) {
            *self.request.uri_mut() = uri;
        }
        *self.request.version_mut() = Version::HTTP_2;
        self.request.headers_mut().remove(HOST);
        self.request.headers_mut().remove(TRANSFER_ENCODING);
    }
}

// === impl Lost ===

impl Lost {
    /// Lost before there was a connection to send it on.
    pub fn before(failure: Failure, outgoing: Box<Outgoing>) -> Box<Self> {
        Box::new(Self {
            failure,
            reused: false,
            unsent: Some(outgoing),
        })
    }
}
