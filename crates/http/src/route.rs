//! [`RequestHead`]: what the role-aware routing of a client sees of a request.

use std::fmt;
use std::sync::Arc;

use headless::Route;
use http::{Extensions, HeaderMap, Method, Request, Uri, Version};

use crate::classify::is_safe;
use crate::request_body::RequestBody;

/// The function given to [`ClientBuilder::route_by`](crate::ClientBuilder::route_by).
pub(crate) type RouteBy = Arc<dyn Fn(RequestHead<'_>) -> Route + Send + Sync>;

/// The head of a request, borrowed: all but the body.
///
/// It has the form in which the request is sent: over HTTP/2, [`uri`](Self::uri) has the scheme and
/// the authority too.
#[derive(Clone, Copy)]
pub struct RequestHead<'a>(&'a Request<RequestBody>);

impl<'a> RequestHead<'a> {
    pub(crate) const fn of(request: &'a Request<RequestBody>) -> Self {
        Self(request)
    }

    /// Returns the method.
    #[must_use]
    pub fn method(self) -> &'a Method {
        self.0.method()
    }

    /// Returns the URI.
    #[must_use]
    pub fn uri(self) -> &'a Uri {
        self.0.uri()
    }

    /// Returns the version.
    #[must_use]
    pub fn version(self) -> Version {
        self.0.version()
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(self) -> &'a HeaderMap {
        self.0.headers()
    }

    /// Returns the extensions, which are not sent.
    #[must_use]
    pub fn extensions(self) -> &'a Extensions {
        self.0.extensions()
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", self.0.method())
            .field("uri", self.0.uri())
            .finish_non_exhaustive()
    }
}

/// Safe methods are reads, all others writes.
pub(crate) fn by_method(head: RequestHead<'_>) -> Route {
    match is_safe(head.method()) {
        true => Route::read(),
        false => Route::write(),
    }
}
