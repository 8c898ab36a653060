//! [`Response`]: an answer and the pod that gave it.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use headless_core::Endpoint;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use crate::{Error, ResponseBody};

/// An answer: its head has come, its body is still to be read.
///
/// Any status is an answer; a 500 is not an [`Error`].
#[derive(Debug)]
#[must_use = "the connection is held until the body is read or dropped"]
pub struct Response(pub(crate) http::Response<ResponseBody>);

impl Response {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The pod that answered.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.0.body().endpoint()
    }

    /// The whole body, kept in memory however large it is. Trailers are left out.
    ///
    /// # Errors
    /// [`Error::Body`] if the connection fails before the end.
    ///
    /// # Cancel safety
    /// What was read is lost and the request counts as cancelled; see [`ResponseBody`].
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let mut body = self.0.into_body();
        let first = match body.frame().await {
            Some(frame) => frame?.into_data().unwrap_or_default(),
            None => Bytes::new(),
        };
        // WHY: a short answer comes in one piece, which is then handed on as it is.
        if body.is_end_stream() {
            return Ok(first);
        }
        let rest = body.collect().await?.aggregate();
        let length = first.len() + rest.remaining();
        Ok(first.chain(rest).copy_to_bytes(length))
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`Error::NotText`] if it is not UTF-8.
    ///
    /// # Cancel safety
    /// As [`bytes`](Self::bytes).
    pub async fn text(self) -> Result<String, Error> {
        let endpoint = Arc::clone(self.0.body().shared_endpoint());
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|source| Error::NotText { endpoint, source })
    }

    /// The answer in the types of `http`, for streaming it.
    pub fn into_http(self) -> http::Response<ResponseBody> {
        self.0
    }
}

impl From<Response> for http::Response<ResponseBody> {
    fn from(response: Response) -> Self {
        response.0
    }
}
