//! [`Response`]: an answer, and the pod that gave it.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use headless::{Endpoint, Lease};
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use crate::body::ResponseBody;
use crate::classify::outcome;
use crate::connector::Connector;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::request_body::BodyFailure;

/// An answer whose head was received, and whose body is still to be read.
///
/// Any status is an answer; a 500 is not an [`Error`].
#[derive(Debug)]
#[must_use = "the connection is held until the body is read or dropped"]
pub struct Response {
    answer: http::Response<ResponseBody>,
    endpoint: Arc<Endpoint>,
}

impl Response {
    /// Hands the lease to the body, which ends it.
    pub(crate) fn new(
        answer: http::Response<Incoming>,
        lease: Lease<Connector>,
        body_failure: Option<BodyFailure>,
    ) -> Self {
        let outcome = outcome(answer.status());
        let endpoint = Arc::clone(lease.endpoint());
        Self {
            answer: answer.map(|incoming| ResponseBody::new(incoming, lease, outcome, body_failure)),
            endpoint,
        }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// Returns the pod that answered.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the whole body, kept in memory however large it is. Trailers are left out.
    ///
    /// # Errors
    /// [`Error::Body`] if the connection fails before the end, and [`Error::RequestBody`] if the
    /// request's own body does.
    ///
    /// # Cancel safety
    /// Dropping the future loses what was read, and the request counts as cancelled; see
    /// [`ResponseBody`].
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let mut body = self.answer.into_body();
        let first = match body.frame().await {
            Some(frame) => frame?.into_data().unwrap_or_default(),
            None => Bytes::new(),
        };
        // WHY: a short answer comes in one piece, which is handed on as it is.
        if body.is_end_stream() {
            return Ok(first);
        }
        let rest = body.collect().await?.aggregate();
        let length = first.len() + rest.remaining();
        Ok(first.chain(rest).copy_to_bytes(length))
    }

    /// Returns the whole body as text.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`Error::NotText`] if it is not UTF-8.
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub async fn text(self) -> Result<String, Error> {
        let endpoint = Arc::clone(&self.endpoint);
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|source| Error::NotText { endpoint, source })
    }

    /// Returns the answer in the types of `http`, for streaming its body. The pod that answered is
    /// an extension of it, of type `Arc<Endpoint>`.
    pub fn into_http(self) -> http::Response<ResponseBody> {
        // WHY here: the extension is allocated, and `endpoint()` tells the same without it.
        let mut answer = self.answer;
        answer.extensions_mut().insert(self.endpoint);
        answer
    }
}

impl From<Response> for http::Response<ResponseBody> {
    fn from(response: Response) -> Self {
        response.into_http()
    }
}
