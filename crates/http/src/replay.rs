//! [`Recording`]: the begin of a stream as it was sent, so that the stream can be sent again.
//!
//! What is sent is not delayed: a frame is recorded when it is passed on. A further attempt sends
//! what was recorded, and goes on with the stream where the attempt before had stopped.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::error::BoxError;
use crate::request_body::BoxedStream;
use crate::sync::lock;

/// The record of a stream. Dropping it ends the recording.
pub(crate) struct Recording(Arc<Mutex<Record>>);

/// A stream that is recorded, from its begin, for one attempt.
pub(crate) struct Recorded {
    record: Arc<Mutex<Record>>,
    attempt: u64,
    /// Frames of the record that this attempt has sent.
    sent: usize,
}

struct Record {
    stream: BoxedStream,
    /// The stream has ended, or failed.
    has_ended: bool,
    has_failed: bool,
    /// `None`: there was more than is kept.
    frames: Option<Vec<Kept>>,
    /// Frames that the stream has given.
    given: usize,
    /// How many bytes of data are still kept.
    left: usize,
    /// Attempts there were.
    attempts: u64,
    /// The one that sends. Those before get nothing: their connections may outlive them.
    current: u64,
}

/// A frame that was passed on.
enum Kept {
    Data(Bytes),
    Trailers(HeaderMap),
}

#[derive(Debug, thiserror::Error)]
#[error("the body is sent again in another attempt")]
struct Superseded;

#[derive(Debug, thiserror::Error)]
#[error("more of the body was sent before than is kept")]
struct NotKept;

impl Recording {
    /// Records `stream`, as long as it has no more than `limit` bytes of data.
    pub(crate) fn of(stream: BoxedStream, limit: usize) -> (Self, Recorded) {
        let record = Arc::new(Mutex::new(Record {
            has_ended: stream.is_end_stream(),
            stream,
            has_failed: false,
            frames: Some(Vec::new()),
            given: 0,
            left: limit,
            attempts: 0,
            current: 0,
        }));
        let recorded = Recorded {
            record: Arc::clone(&record),
            attempt: 0,
            sent: 0,
        };
        (Self(record), recorded)
    }

    /// Returns the stream from its begin, for another attempt; the one before goes on until this
    /// one sends. `None` if it cannot be had.
    pub(crate) fn again(&self) -> Option<Recorded> {
        let mut record = lock(&self.0);
        if record.frames.is_none() || record.has_failed {
            return None;
        }
        record.attempts += 1;
        Some(Recorded {
            record: Arc::clone(&self.0),
            attempt: record.attempts,
            sent: 0,
        })
    }
}

impl Record {
    /// The frames that were recorded after the first `sent`.
    fn recorded(&self, sent: usize) -> &[Kept] {
        self.frames
            .as_ref()
            .and_then(|frames| frames.get(sent..))
            .unwrap_or(&[])
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(frames) = &mut self.frames else { return };
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(left) = self.left.checked_sub(length) else {
            self.frames = None;
            return;
        };
        self.left = left;
        let kept = frame.data_ref().cloned().map(Kept::Data);
        frames.extend(kept.or_else(|| frame.trailers_ref().cloned().map(Kept::Trailers)));
    }
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { record, attempt, sent } = &mut *self;
        // Nothing else is left that could send it again.
        let is_last = Arc::strong_count(record) == 1;
        let mut record = lock(record);
        let record = &mut *record;
        if *attempt < record.current {
            return Poll::Ready(Some(Err(Superseded.into())));
        }
        record.current = *attempt;
        if let Some(kept) = record.recorded(*sent).first() {
            *sent += 1;
            return Poll::Ready(Some(Ok(match kept {
                Kept::Data(data) => Frame::data(data.clone()),
                Kept::Trailers(trailers) => Frame::trailers(trailers.clone()),
            })));
        }
        if *sent != record.given {
            return Poll::Ready(Some(Err(NotKept.into())));
        }
        if is_last {
            drop(mem::take(&mut record.frames));
        }
        if record.has_ended {
            return Poll::Ready(None);
        }
        let next = ready!(record.stream.as_mut().poll_frame(cx));
        match &next {
            Some(Ok(frame)) => {
                record.keep(frame);
                record.given += 1;
                *sent = record.given;
            }
            Some(Err(_)) => (record.has_ended, record.has_failed) = (true, true),
            None => record.has_ended = true,
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        let record = lock(&self.record);
        record.recorded(self.sent).is_empty() && (record.has_ended || record.stream.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let record = lock(&self.record);
        let recorded = record.recorded(self.sent).iter().map(|kept| match kept {
            Kept::Data(data) => data.len() as u64,
            Kept::Trailers(_) => 0,
        });
        let recorded: u64 = recorded.sum();
        let rest = match record.has_ended {
            true => SizeHint::with_exact(0),
            false => record.stream.size_hint(),
        };
        let mut size = SizeHint::new();
        size.set_lower(recorded.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(recorded)) {
            size.set_upper(upper);
        }
        size
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn stream(words: &'static [&'static str], trailers: bool) -> BoxedStream {
        let data = words
            .iter()
            .map(|word| Frame::data(Bytes::from_static(word.as_bytes())));
        let trailers = trailers.then(|| Frame::trailers(HeaderMap::new()));
        Box::pin(StreamBody::new(stream::iter(data.chain(trailers).map(Ok))))
    }

    async fn text(body: Recorded) -> String {
        String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap()
    }

    #[tokio::test]
    async fn it_is_the_same_from_its_begin_however_much_was_sent() {
        for read in 0..=4 {
            let (recording, mut first) = Recording::of(stream(&["a", "bc", "d"], true), 4);
            for _ in 0..read {
                first.frame().await.unwrap().unwrap();
            }
            for _ in 0..3 {
                let again = recording.again().unwrap();
                let size = again.size_hint();
                assert!(size.lower() <= 4 && size.upper().is_none_or(|upper| upper >= 4));
                let all = again.collect().await.unwrap();
                assert!(all.trailers().is_some(), "{read} frames were sent");
                assert_eq!(all.to_bytes(), "abcd");
            }
        }
    }

    #[tokio::test]
    async fn more_than_the_limit_is_sent_once() {
        let (recording, mut first) = Recording::of(stream(&["a", "bc", "d"], false), 3);
        for _ in 0..2 {
            first.frame().await.unwrap().unwrap();
        }
        assert!(recording.again().is_some(), "not yet");
        let mut second = recording.again().unwrap();
        assert_eq!(second.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        assert_eq!(text(second).await, "bcd");
        assert!(recording.again().is_none());
    }

    #[tokio::test]
    async fn an_attempt_never_begins_in_the_middle() {
        let (recording, mut first) = Recording::of(stream(&["a", "bc", "d"], false), 2);
        first.frame().await.unwrap().unwrap();
        let mut second = recording.again().unwrap();
        // The answer has begun, and the first attempt goes on.
        first.frame().await.unwrap().unwrap();
        assert!(second.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn an_attempt_that_was_given_up_gets_nothing() {
        let (recording, mut first) = Recording::of(stream(&["a", "b"], false), 10);
        first.frame().await.unwrap().unwrap();
        let mut second = recording.again().unwrap();
        assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "b");
        second.frame().await.unwrap().unwrap();
        assert!(first.frame().await.unwrap().is_err());
        assert_eq!(text(second).await, "b");
    }

    #[tokio::test]
    async fn nothing_is_kept_when_nothing_can_be_sent_again() {
        let (recording, mut first) = Recording::of(stream(&["a", "b"], false), 10);
        drop(recording);
        first.frame().await.unwrap().unwrap();
        assert!(lock(&first.record).frames.is_none());
        assert_eq!(text(first).await, "b");
    }

    #[tokio::test]
    async fn a_stream_that_failed_is_not_sent_again() {
        let failing = StreamBody::new(stream::iter([
            Ok(Frame::data(Bytes::from("a"))),
            Err(BoxError::from("disk")),
        ]));
        let (recording, mut first) = Recording::of(Box::pin(failing), 10);
        first.frame().await.unwrap().unwrap();
        assert!(first.frame().await.unwrap().is_err());
        assert!(recording.again().is_none());
    }
}
