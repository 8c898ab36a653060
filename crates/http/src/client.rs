//! [`Client`]: the face of the crate, also as a tower service. How a request travels is `send`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use headless::{Balancer, Discovery};
use headless_core::{RetryBudget, Route, Timestamp};
use http::{Method, Request, Uri};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::builder::RouteBy;
use crate::connect::Connector;
use crate::error::BoxError;
use crate::head::Name;
use crate::request_body::take;
use crate::{ClientBuilder, Error, Protocol, RequestBody, Response, ResponseBody, send};

/// An HTTP client for one headless Service: every request goes to a pod of its own choice.
///
/// A clone is one reference count and shares connections; there is no lock and no task between clones.
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
/// The connection goes to a pod; `Host` and `:authority` are the Service's name
/// ([`authority`](ClientBuilder::authority) changes it; a `Host` header of your own stays). So write paths: `/cart/42`. An absolute
/// URI is taken if it names this Service (in full, short, or as `authority` says) over `http`, and is an error otherwise, because
/// it would not go where it says.
///
/// With a role-aware policy, requests that only ask ([safe methods](http::Method::is_safe)) are reads and all others writes; see
/// [`route_by`](ClientBuilder::route_by). With any other policy, every pod takes every request.
///
/// # Retries
/// A request that certainly was not processed is sent to another pod at once, whatever its method: it never left, or the pod said that
/// it did not look at it (HTTP/2: REFUSED_STREAM, or above the last stream of a GOAWAY). A request whose connection failed before the
/// answer may have been processed: it is sent again only if its method is GET, HEAD, OPTIONS or TRACE, or if you marked it
/// [`Idempotent`](crate::Idempotent). Otherwise [`Error::is_not_sent`] says `false`, and the decision is yours. What has left must have
/// its body in memory ([`RequestBody`]) to be sent again; a stream that never left is sent as it is.
///
/// Each time on a pod not tried yet; when there is none, once more on one of them, with which the retries are as many as the pods, or
/// fewer by [`max_retries`](ClientBuilder::max_retries). All within the [`request_timeout`](ClientBuilder::request_timeout) and the
/// [`retry_budget`](ClientBuilder::retry_budget). A pod that cannot be connected to takes nothing from the budget: nothing was sent, no
/// pod has more to do, and dials have limits of their own (each pod once, then with pauses). An answer, whatever its status, is never a
/// reason to send again.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) balancer: Balancer<Connector>,
    pub(crate) name: Name,
    pub(crate) protocol: Protocol,
    pub(crate) request_timeout: Option<Duration>,
    /// `None`: as many as there are pods.
    pub(crate) max_retries: Option<usize>,
    pub(crate) retry_budget: RetryBudget,
    /// The zero of the budget's clock.
    pub(crate) start: Instant,
    /// `None`: the policy knows no roles.
    pub(crate) route_by: Option<RouteBy>,
}

impl Inner {
    pub(crate) fn service(&self) -> &str {
        self.balancer.discovery().service()
    }

    /// Brings a request into the form in which it is sent.
    pub(crate) fn prepare(&self, request: &mut Request<RequestBody>) -> Result<(), Error> {
        self.name.prepare(request, self.protocol, self.service())
    }

    pub(crate) fn route(&self, request: &mut Request<RequestBody>) -> Route {
        let Some(route_by) = &self.route_by else {
            return Route::any();
        };
        let (head, body) = take(request).into_parts();
        let route = route_by(&head);
        *request = Request::from_parts(head, body);
        route
    }

    /// Whether the budget has a retry left, which is then taken.
    pub(crate) fn take_retry(&self) -> bool {
        self.retry_budget
            .withdraw(Timestamp::from_elapsed(self.start.elapsed()))
    }
}

impl Client {
    /// Discovers the Service `target` and makes a client with the default settings: HTTP/1.1, power of two choices.
    ///
    /// `target` is a name and a port: `web:http`, `web.shop.svc:http`, `web.shop.svc.cluster.local:8080`. A number is the
    /// *container's* port. Connections are opened when requests come.
    ///
    /// # Errors
    /// [`Error::Start`] if the name cannot be read, DNS fails, or the Service has no ready pod.
    ///
    /// # Cancel safety
    /// Safe: nothing runs before it returns.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(target: &str) -> Result<Self, Error> {
        Self::builder(Discovery::start(target).await?).build()
    }

    /// A client with settings, over a Service that is discovered already.
    pub fn builder(discovery: Discovery) -> ClientBuilder {
        ClientBuilder::new(discovery)
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
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
        send::send(&self.inner, &mut request).await
    }

    /// Sends a POST.
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
        send::send(&self.inner, &mut request).await
    }

    /// Sends any request, and waits for the head of its answer.
    ///
    /// ```no_run
    /// # async fn run(client: headless_http::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let request = http::Request::put("/cart/42").header("content-type", "application/json").body(r#"{"qty":2}"#)?;
    /// let reply = client.request(request).await?;
    /// # drop(reply);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error`]. Any status is an answer and no error. [`Error::is_not_sent`] says whether it may be sent again.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request: it leaves every queue, its HTTP/1 connection is closed or its HTTP/2 stream reset. The
    /// pod may have acted on it already.
    pub async fn request(&self, request: Request<impl Into<RequestBody>>) -> Result<Response, Error> {
        send::send(&self.inner, &mut request.map(Into::into)).await
    }

    fn uri(&self, path: &str) -> Result<Uri, Error> {
        Uri::try_from(path).map_err(|error| {
            let problem =
                format!("`{path}` is not a path ({error}); it begins with `/`, and special characters are %-encoded");
            Error::invalid(self.inner.service(), problem)
        })
    }

    /// The balancer below: its statistics, its roles, its discovery, its shutdown.
    #[must_use]
    pub fn balancer(&self) -> &Balancer<Connector> {
        &self.inner.balancer
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.inner.service())
            .field("protocol", &self.inner.protocol)
            .finish_non_exhaustive()
    }
}

/// The client in a tower stack.
///
/// Always ready, because the pod is chosen when the request is known; waiting happens in the call, bounded by
/// [`acquire_timeout`](ClientBuilder::acquire_timeout). Clones are cheap, so no `Buffer` is needed.
///
/// ```no_run
/// # async fn run(client: headless_http::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use tower::ServiceExt;
///
/// let request = http::Request::get("/cart/42").body(http_body_util::Empty::new())?;
/// let answer = client.oneshot(request).await?;
/// println!("{} from {}", answer.status(), answer.body().endpoint());
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

/// The answer to be of [`Client`] as a tower service.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Result<http::Response<ResponseBody>, Error>> + Send>>);

impl ResponseFuture {
    fn new(client: Client, mut request: Request<RequestBody>) -> Self {
        Self(Box::pin(async move {
            send::send(&client.inner, &mut request).await.map(Response::into_http)
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
