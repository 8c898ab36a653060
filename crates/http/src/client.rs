//! [`Client`]: what callers use, also as a tower service. `send` takes a request from here.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use headless::Balancer;
use http::{Method, Request, Uri};
use http_body::Body;
use tower_service::Service;

use crate::body::ResponseBody;
use crate::connector::Connector;
use crate::error::{BoxError, Error};
use crate::request_body::RequestBody;
use crate::response::Response;
use crate::send::Sender;

/// An HTTP client for one headless Service, which sends each request to a pod that its policy
/// chooses.
///
/// A clone is one reference count and shares connections; there is no lock and no task between
/// clones.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = headless_http::Client::connect("web.shop.svc:http").await?;
/// let reply = client.get("/cart/42").await?;
/// println!("{} from {}", reply.status(), reply.endpoint()); // 200 OK from web-2 (10.1.4.7:8080)
/// let cart = reply.text().await?;
/// # drop(cart);
/// # Ok(())
/// # }
/// ```
///
/// # Where a request goes
/// The connection goes to a pod, while `Host` and `:authority` are the Service's name.
/// [`authority`](crate::ClientBuilder::authority) changes it; a `Host` header of the request stays.
/// So requests name a path: `/cart/42`. An absolute URI is accepted if it names this Service (in
/// full, short, or as `authority` says) over the client's scheme. Otherwise it is an error, because
/// the request would not go where it says.
///
/// With a role-aware policy, requests with a [safe method](http::Method::is_safe) are reads and all
/// others are writes; [`route_by`](crate::ClientBuilder::route_by) changes that. With any other
/// policy, every pod takes every request.
///
/// # Framing
/// The length of a request follows from its body. A caller may give it as well: `Content-Length`
/// must be one number that agrees with the body, or the request is refused before it is sent. A
/// stream whose size is not known beforehand is counted while it is sent ([`RequestBody`]).
/// `Transfer-Encoding` can only be `chunked`, for a stream. `Host` can be given once, as HOST or
/// HOST:PORT.
///
/// Fields that are for one connection only are removed: those named in `Connection`, `Keep-Alive`,
/// `Proxy-Connection`, `Proxy-Authenticate`, `Proxy-Authorization`, `Upgrade`, and all of `TE` but
/// `trailers`. `Connection: close` remains over HTTP/1: the connection is not used again.
///
/// # Retries
/// A request that certainly was not processed is sent again at once, whatever its method.
/// Either it was never sent, or the pod said that it did not process it (HTTP/2: REFUSED_STREAM, or
/// above the last stream of a GOAWAY). A request whose connection failed before the answer may have
/// been processed. It is sent again only if its method is GET, HEAD, OPTIONS or TRACE, or if it is
/// marked as [`Idempotent`](crate::Idempotent). Otherwise [`Error::is_not_sent`] returns `false`,
/// and the decision is the caller's. To be sent again, a request of which a part may have left must
/// have its body in memory ([`RequestBody`]), or be a stream of which no more was sent than
/// [`replay_buffer_bytes`](crate::ClientBuilder::replay_buffer_bytes) keeps; a stream that was
/// never read is sent as it is.
///
/// A request that was never sent has no other limit than the
/// [`request_timeout`](crate::ClientBuilder::request_timeout), as long as connections answer: its
/// connection had ended, for example because the pod closes each after some requests. Every other
/// retry goes to a pod that was not tried yet. When each was tried, one of them is sent the request
/// once more, and that attempt is the last: with two pods that fail, a third attempt goes to one of
/// the two. There are two retries, so that a request that crashes pods crashes three; or one per
/// pod, if the pods say that they did not process it.
/// [`max_retries`](crate::ClientBuilder::max_retries) sets another number. All of them stay within
/// the [`retry_budget`](crate::ClientBuilder::retry_budget).
///
/// A pod that cannot be connected to takes nothing from the budget: nothing was sent, no pod has
/// more to do, and connecting has limits of its own (each pod once, then with pauses).
///
/// A request that was answered is not sent again, whatever the status, unless
/// [`retry_on`](crate::ClientBuilder::retry_on) says otherwise. A layer outside, such as tower's
/// `retry`, can look at the whole answer, and leave the pod that gave it
/// ([`ExcludeEndpoints`](crate::ExcludeEndpoints)).
///
/// # Timeouts
/// | limits | default | when it passes |
/// |---|---|---|
/// | [`acquire_timeout`]: waiting for a connection | 5 s | [`Error::Acquire`] |
/// | [`connect_timeout`]: opening one connection, with TLS and the HTTP/2 preface | 2 s | another pod, or [`Error::Acquire`] |
/// | [`per_try_timeout`]: from a connection that is ready to the head of the answer | none | another pod, or [`Error::Send`] |
/// | [`request_timeout`]: all of it, up to the head of the answer | 30 s | [`Error::Timeout`] |
/// | [`body_idle_timeout`]: a body from which nothing comes | 5 min | [`Error::Body`] |
///
/// A time of 0 is refused, and [`Duration::MAX`](std::time::Duration::MAX) sets no limit. Each of
/// these errors keeps what was waited for, and why. Nothing limits a whole body: put a
/// timeout around the reading.
///
/// A request that is given up while its pod was silent makes the pod's older idle HTTP/1
/// connections suspect, and they are closed: a pod that vanished without a word then costs one
/// request its time, and not one per connection. This holds for these timeouts, and for a future
/// that is dropped after 50 ms or more.
///
/// [`acquire_timeout`]: crate::ClientBuilder::acquire_timeout
/// [`connect_timeout`]: crate::ClientBuilder::connect_timeout
/// [`per_try_timeout`]: crate::ClientBuilder::per_try_timeout
/// [`request_timeout`]: crate::ClientBuilder::request_timeout
/// [`body_idle_timeout`]: crate::ClientBuilder::body_idle_timeout
#[derive(Clone)]
pub struct Client {
    sender: Arc<Sender>,
}

impl Client {
    pub(crate) fn new(sender: Sender) -> Self {
        Self {
            sender: Arc::new(sender),
        }
    }

    /// Sends a GET. `path` begins with `/` and may have a query.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    ///
    /// # Cancel safety
    /// As [`request`](Self::request).
    pub async fn get(&self, path: &str) -> Result<Response, Error> {
        let mut request = Request::new(().into());
        *request.uri_mut() = self.uri(path)?;
        self.sender.send(&mut request).await
    }

    /// Sends a POST. `path` begins with `/` and may have a query.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    ///
    /// # Cancel safety
    /// As [`request`](Self::request).
    pub async fn post(&self, path: &str, body: impl Into<RequestBody>) -> Result<Response, Error> {
        let mut request = Request::new(body.into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri(path)?;
        self.sender.send(&mut request).await
    }

    /// Sends any request, and waits for the head of its answer.
    ///
    /// The body is anything that a [`RequestBody`] can be made from, such as bytes or text. Any
    /// other [`Body`](http_body::Body), such as a stream, is wrapped first ([`RequestBody::new`]);
    /// the tower service takes it as it is.
    ///
    /// ```no_run
    /// # async fn run(client: headless_http::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let request = http::Request::put("/cart/42")
    ///     .header("content-type", "application/json")
    ///     .body(r#"{"qty":2}"#)?;
    /// let reply = client.request(request).await?;
    /// # drop(reply);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error`]. Any status is an answer and no error. [`Error::is_not_sent`] says whether the
    /// request may be sent again.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request: it leaves every queue, and its HTTP/1 connection is
    /// closed or its HTTP/2 stream reset. The pod may have acted on it already.
    pub async fn request(&self, request: Request<impl Into<RequestBody>>) -> Result<Response, Error> {
        self.sender.send(&mut request.map(Into::into)).await
    }

    fn uri(&self, path: &str) -> Result<Uri, Error> {
        Uri::try_from(path).map_err(|error| {
            let problem =
                format!("`{path}` is not a path ({error}); it begins with `/`, and special characters are %-encoded");
            Error::invalid(self.service(), problem)
        })
    }

    fn service(&self) -> &str {
        self.balancer().discovery().service()
    }

    /// Returns the balancer below: its statistics, its roles, its discovery, its shutdown.
    #[must_use]
    pub fn balancer(&self) -> &Balancer<Connector> {
        &self.sender.balancer
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.service())
            .field("protocol", &self.sender.origin.protocol())
            .finish_non_exhaustive()
    }
}

/// The client in a tower stack.
///
/// It is always ready, because the pod is chosen when the request is known. Waiting happens in the
/// call, bounded by [`acquire_timeout`](crate::ClientBuilder::acquire_timeout). Clones are cheap,
/// so no `Buffer` is needed. The pod that answered is an extension of the answer, which stays
/// within reach behind layers that wrap the body.
///
/// ```no_run
/// # async fn run(client: headless_http::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
///
/// use headless::Endpoint;
/// use tower::ServiceExt;
///
/// let request = http::Request::get("/cart/42").body(http_body_util::Empty::new())?;
/// let answer = client.oneshot(request).await?;
/// let pod = answer.extensions().get::<Arc<Endpoint>>();
/// println!("{} from {}", answer.status(), pod.ok_or("no pod")?);
/// # Ok(())
/// # }
/// ```
impl<B> Service<Request<B>> for Client
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        ResponseFuture::new(self.clone(), request.map(RequestBody::new))
    }
}

impl<B> Service<Request<B>> for &Client
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        ResponseFuture::new(Client::clone(self), request.map(RequestBody::new))
    }
}

/// The answer of a [`Client`] as a tower service, once it comes.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Result<http::Response<ResponseBody>, Error>> + Send>>);

impl ResponseFuture {
    fn new(client: Client, mut request: Request<RequestBody>) -> Self {
        Self(Box::pin(async move {
            client.sender.send(&mut request).await.map(Response::into_http)
        }))
    }
}

impl Future for ResponseFuture {
    type Output = Result<http::Response<ResponseBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
