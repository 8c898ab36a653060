//! A watch as a stream of changes: [`Changes`], and [`Discover`] for tower's own balancers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::tower::discover::Change;
use futures_core::Stream;
use headless_core::{BoxFuture, Diff, Endpoint, EndpointKey, Snapshot};

use crate::discovery::Discovery;
use crate::error::Closed;

/// The endpoints of a Service as they come and go: first all that are there, then every change.
///
/// A change of the set arrives as inserts before removes: a consumer that follows the stream never
/// has fewer endpoints than the old and the new set have in common, and is never empty because all
/// addresses changed. Changes that happen faster than the stream is read are merged; an endpoint
/// that comes and goes unread is not seen. The key is the identity of the endpoint (pod name,
/// address, port), so an insert never replaces: a pod with a new address has another key.
///
/// Keeps the watch alive. Ends when the watch does, which takes a panic or the end of the runtime.
///
/// # tonic
///
/// tonic's `Channel::balance_channel` takes changes of tonic's own type from an mpsc channel. This
/// crate does not depend on tonic; a task translates:
///
/// ```
/// # mod tonic {
/// #     #[derive(Debug)] pub enum Change<K, V> { Insert(K, V), Remove(K) }
/// #     #[derive(Debug)] pub struct Endpoint(String);
/// #     impl Endpoint {
/// #         pub fn from_shared(uri: String) -> Result<Self, std::convert::Infallible> {
/// #             Ok(Self(uri))
/// #         }
/// #     }
/// # }
/// # use tokio::sync::mpsc::Sender;
/// use headless::{EndpointKey, tower::{Change, Changes}};
///
/// // In a program: use tonic::transport::{Endpoint, channel::Change as TonicChange};
/// # use tonic::{Endpoint, Change as TonicChange};
/// async fn forward(mut changes: Changes, endpoints: Sender<TonicChange<EndpointKey, Endpoint>>) {
///     while let Some(change) = changes.next().await {
///         let change = match change {
///             Change::Insert(key, pod) => {
///                 let uri = format!("http://{}", pod.addr());
///                 let Ok(endpoint) = Endpoint::from_shared(uri) else { continue };
///                 TonicChange::Insert(key, endpoint)
///             }
///             Change::Remove(key) => TonicChange::Remove(key),
///         };
///         if endpoints.send(change).await.is_err() {
///             return; // the channel is gone
///         }
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), headless::StartError> {
/// # let pods = vec![headless::Endpoint::new(([127, 0, 0, 1], 80).into())];
/// # let web = headless::Discovery::builder(headless::StaticList::new("web", pods)).start().await?;
/// # let (sender, mut receiver) = tokio::sync::mpsc::channel(8);
/// # let task = tokio::spawn(forward(Changes::new(web), sender));
/// # assert!(matches!(receiver.recv().await, Some(TonicChange::Insert(..))));
/// # task.abort();
/// # Ok(())
/// # }
/// ```
///
/// A channel per endpoint under [`DiscoveryLayer::multiplexed`](super::DiscoveryLayer::multiplexed)
/// needs neither tonic's balancer nor its buffer.
pub struct Changes {
    service: String,
    /// What the consumer has been told, once `queue` is read.
    reported: Arc<Snapshot>,
    queue: VecDeque<Change<EndpointKey, Arc<Endpoint>>>,
    /// Waits for the next snapshot, with the handle it waits on. None when the watch has ended.
    waiting: Option<BoxFuture<'static, Changed>>,
}

impl Changes {
    /// Returns the endpoints of `discovery` as a stream of changes, from now on.
    #[must_use]
    pub fn new(discovery: Discovery) -> Self {
        let mut changes = Self {
            service: discovery.service().to_owned(),
            reported: Arc::default(),
            queue: VecDeque::new(),
            waiting: None,
        };
        changes.follow(discovery.snapshot());
        changes.waiting = Some(Box::pin(changed(discovery)));
        changes
    }

    /// Returns the next change; `None` when the watch has ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Change<EndpointKey, Arc<Endpoint>>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn follow(&mut self, snapshot: Arc<Snapshot>) {
        let diff = Diff::between(&self.reported, &snapshot);
        let insert = |pod: &Arc<Endpoint>| Change::Insert(pod.key().clone(), Arc::clone(pod));
        let remove = |pod: &Arc<Endpoint>| Change::Remove(pod.key().clone());
        self.queue.extend(diff.added().iter().map(insert));
        self.queue.extend(diff.removed().iter().map(remove));
        self.reported = snapshot;
    }
}

type Changed = (Result<Arc<Snapshot>, Closed>, Discovery);

async fn changed(mut discovery: Discovery) -> Changed {
    (discovery.changed().await, discovery)
}

impl Stream for Changes {
    type Item = Change<EndpointKey, Arc<Endpoint>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(change) = self.queue.pop_front() {
                return Poll::Ready(Some(change));
            }
            let Some(waiting) = self.waiting.as_mut() else {
                return Poll::Ready(None);
            };
            let (snapshot, discovery) = ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
            if let Ok(snapshot) = snapshot {
                self.follow(snapshot);
                self.waiting = Some(Box::pin(changed(discovery)));
            }
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("service", &self.service)
            .field("known", &self.reported.len())
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}

/// [`Changes`] with a service made for each endpoint: a stream that is tower's `Discover`.
///
/// For `tower::balance::p2c::Balance`, and all else that takes a `Discover`. Such balancers choose
/// before the request is known, and one task has to own them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower::BoxError> {
/// use headless::{Discovery, Endpoint, StaticList, tower::Discover};
/// use tower::{Service, ServiceExt, balance::p2c::Balance, load::Constant, service_fn};
///
/// let pods = vec![Endpoint::new(([10, 0, 0, 7], 80).into())];
/// let web = Discovery::builder(StaticList::new("web", pods)).start().await?;
/// let discover = Discover::new(web, |pod| {
///     let addr = pod.addr();
///     let answer = move |line: String| async move {
///         Ok::<_, tower::BoxError>(format!("{addr} {line}"))
///     };
///     Constant::new(service_fn(answer), 0)
/// });
/// let mut balance = Balance::new(discover);
/// assert_eq!(balance.ready().await?.call("hello".to_owned()).await?, "10.0.0.7:80 hello");
/// # Ok(())
/// # }
/// ```
pub struct Discover<F> {
    changes: Changes,
    make: F,
}

impl<F> Discover<F> {
    /// Returns the endpoints of `discovery`, from now on, each with the service that `make` makes
    /// for it. The service connects by itself (`tower::reconnect`, a lazy channel): nothing here
    /// waits for it.
    #[must_use]
    pub fn new<S>(discovery: Discovery, make: F) -> Self
    where
        F: FnMut(&Arc<Endpoint>) -> S,
    {
        let changes = Changes::new(discovery);
        Self { changes, make }
    }
}

/// `make` is never pinned.
impl<F> Unpin for Discover<F> {}

impl<F, S> Stream for Discover<F>
where
    F: FnMut(&Arc<Endpoint>) -> S,
{
    type Item = Result<Change<EndpointKey, S>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let change = ready!(Pin::new(&mut this.changes).poll_next(cx));
        Poll::Ready(change.map(|change| {
            Ok(match change {
                Change::Insert(key, pod) => Change::Insert(key, (this.make)(&pod)),
                Change::Remove(key) => Change::Remove(key),
            })
        }))
    }
}

impl<F> fmt::Debug for Discover<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discover")
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}
