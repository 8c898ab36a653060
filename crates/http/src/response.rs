//! [`Response`]: an answer, and the pod that gave it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use headless::{Endpoint, Lease};
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use crate::body::{BodyRules, ResponseBody};
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
    #[inline(always)]
    pub(crate) fn new(
        answer: http::Response<Incoming>,
        lease: Lease<Connector>,
        rules: BodyRules,
        body_failure: Option<BodyFailure>,
    ) -> Self {
        let endpoint = Arc::clone(lease.endpoint());
        Self {
            answer: answer.map(|incoming| ResponseBody::new(incoming, lease, rules, body_failure)),
            endpoint,
        }
    }

    /// Ends the exchange here: another attempt takes its place.
    pub(crate) fn discard(self) {
        self.answer.into_body().discard();
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

    /// Returns the pod that answered. The methods that read the body consume the answer: to know
    /// the pod afterwards, clone it before.
    ///
    /// ```no_run
    /// # async fn run(client: headless_http::Client) -> Result<(), headless_http::Error> {
    /// let reply = client.get("/cart/42").await?;
    /// let pod = reply.endpoint().clone();
    /// println!("{}, said {pod}", reply.text().await?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the whole body, kept in memory however large it is. Trailers are left out.
    ///
    /// Where the pods are not trusted to be brief, [`bytes_limited`](Self::bytes_limited) has a
    /// bound.
    ///
    /// # Errors
    /// [`Error::Body`] if the connection fails before the end or the body stalls, and
    /// [`Error::RequestBody`] if the request's own body fails.
    ///
    /// # Cancel safety
    /// Dropping the future loses what was read, and the request counts as cancelled; see
    /// [`ResponseBody`].
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        self.read(usize::MAX).await
    }

    /// As [`bytes`](Self::bytes), but at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`] as soon as the body is known to be larger: before anything of it is
    /// read if it has a `Content-Length`. The exchange then ends as if the body was dropped. Others
    /// as [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub async fn bytes_limited(mut self, limit: usize) -> Result<Bytes, Error> {
        self.read(limit).await
    }

    /// WHY by reference: each `async fn` would move it twice, and it is large.
    async fn read(&mut self, limit: usize) -> Result<Bytes, Error> {
        let (endpoint, body) = (&self.endpoint, self.answer.body_mut());
        let too_large = |declared| Error::BodyTooLarge {
            endpoint: Arc::clone(endpoint),
            limit,
            declared,
        };
        let declared = body.size_hint().lower();
        if declared > limit as u64 {
            return Err(too_large(Some(declared)));
        }
        let (mut first, mut rest, mut length) = (Bytes::new(), Vec::new(), 0);
        while !body.is_end_stream()
            && let Some(frame) = body.frame().await
        {
            let Ok(data) = frame?.into_data() else { continue };
            length += data.len();
            if length > limit {
                return Err(too_large(None));
            }
            match first.is_empty() {
                true => first = data,
                false => rest.push(data),
            }
        }
        // WHY: a short answer comes in one piece, which is handed on as it is.
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(length);
        for piece in std::iter::once(first).chain(rest) {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Returns the whole body as text.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`Error::NotText`] if it is not UTF-8.
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub async fn text(self) -> Result<String, Error> {
        self.text_limited(usize::MAX).await
    }

    /// As [`text`](Self::text), but at most `limit` bytes.
    ///
    /// # Errors
    /// As [`bytes_limited`](Self::bytes_limited), and [`Error::NotText`] if it is not UTF-8.
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub async fn text_limited(mut self, limit: usize) -> Result<String, Error> {
        let bytes = self.read(limit).await?;
        String::from_utf8(bytes.into()).map_err(|source| Error::NotText {
            endpoint: self.endpoint,
            source,
        })
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
