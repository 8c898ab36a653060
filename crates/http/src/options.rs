//! What one request asks for: marks that its caller puts into its extensions. They pass through a
//! tower stack, and are not sent.

use std::time::Duration;

use headless::EndpointKey;
use http::Extensions;

/// Sends the request to another pod than these, if any other fits; otherwise to one of these.
///
/// It is for layers outside the client that send a request again because of its *answer*. The pod
/// that answered is an extension of the answer, of type `Arc<Endpoint>`, and an error has
/// [`Error::endpoint`](crate::Error::endpoint). This policy of tower's `retry` asks for each 503
/// again, at most twice, on other pods. It sends copies of the request, so the body must be
/// `Clone`, as `Full<Bytes>`, `Empty<Bytes>` and `String` are, and
/// [`RequestBody`](crate::RequestBody) is not. If the client has
/// [`retry_on`](crate::ClientBuilder::retry_on), that acts first: the policy sees only the answers
/// that are left.
///
/// ```
/// use std::future::{Ready, ready};
/// use std::sync::Arc;
///
/// use headless::Endpoint;
/// use headless_http::{Client, Error, ExcludeEndpoints, ResponseBody};
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Empty;
/// use tower::retry::{Policy, Retry};
///
/// type Answer = Result<Response<ResponseBody>, Error>;
///
/// #[derive(Clone)]
/// struct OnAnotherPod {
///     retries: usize,
/// }
///
/// impl<B: Clone> Policy<Request<B>, Response<ResponseBody>, Error> for OnAnotherPod {
///     type Future = Ready<()>;
///
///     fn retry(&mut self, request: &mut Request<B>, answer: &mut Answer) -> Option<Ready<()>> {
///         let answer = answer.as_ref().ok()?;
///         if answer.status() != StatusCode::SERVICE_UNAVAILABLE || self.retries == 0 {
///             return None;
///         }
///         self.retries -= 1;
///         let pod = answer.extensions().get::<Arc<Endpoint>>()?.key().clone();
///         let excluded = request.extensions_mut().get_or_insert_default::<ExcludeEndpoints>();
///         excluded.0.push(pod);
///         Some(ready(()))
///     }
///
///     fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
///         Some(request.clone())
///     }
/// }
///
/// # fn stack(client: Client) {
/// let client = Retry::new(OnAnotherPod { retries: 2 }, client);
/// # fn is_service<S: tower::Service<Request<Empty<bytes::Bytes>>>>(_: S) {}
/// # is_service(client);
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a mark, which the caller writes out")]
pub struct ExcludeEndpoints(pub Vec<EndpointKey>);

/// Sends the request to this pod only, and to no other when it is sent again.
///
/// If the pod is not in the set, the request fails with
/// [`Error::NoSuchEndpoint`](crate::Error::NoSuchEndpoint) and is not sent. If it leaves the set
/// while the request waits for a connection, the request waits on, as the pod may come back, and
/// fails with [`Error::Acquire`](crate::Error::Acquire) in the end. The client's policy is not
/// asked, and a route for a role must include the pod.
///
/// ```
/// # fn ask(answer: &headless_http::Response) -> Result<(), http::Error> {
/// use headless_http::OnEndpoint;
///
/// // The upload goes on where it began.
/// let pod = OnEndpoint(answer.endpoint().key().clone());
/// let request = http::Request::put("/uploads/7?part=2").extension(pod).body("...")?;
/// # drop(request);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a mark, which the caller writes out")]
pub struct OnEndpoint(pub EndpointKey);

/// Replaces the client's [`body_idle_timeout`](crate::ClientBuilder::body_idle_timeout) for the
/// answer to one request. `None`: no limit, for a stream that may be quiet for long (a watch,
/// server-sent events). With a time of 0, the request fails with
/// [`Error::InvalidRequest`](crate::Error::InvalidRequest) and is not sent.
///
/// ```
/// use headless_http::BodyIdleTimeout;
///
/// let request = http::Request::get("/events").extension(BodyIdleTimeout(None)).body(())?;
/// # drop(request);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a mark, which the caller writes out")]
pub struct BodyIdleTimeout(pub Option<Duration>);

/// The endpoint that the caller insists on, and those that it excludes.
pub(crate) fn chosen_endpoints(extensions: &Extensions) -> (Option<EndpointKey>, Vec<EndpointKey>) {
    let only = extensions.get().map(|OnEndpoint(key)| key.clone());
    let excluded = extensions.get().map(|ExcludeEndpoints(keys)| keys.clone());
    (only, excluded.unwrap_or_default())
}
