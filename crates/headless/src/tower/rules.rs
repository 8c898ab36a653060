//! What a layer can be told about requests and responses: [`RouteRequest`] and [`Classify`], both
//! plain closures.

use headless_core::{Outcome, Route};

/// Says what a request asks for. Implemented by every `Fn(&Req) -> Route`.
pub trait RouteRequest<Req> {
    /// Returns the route of `request`.
    fn route(&self, request: &Req) -> Route;
}

impl<Req, F: Fn(&Req) -> Route> RouteRequest<Req> for F {
    fn route(&self, request: &Req) -> Route {
        self(request)
    }
}

/// The default: every request may go to any endpoint.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "a value without fields, to be written as such")]
pub struct AnyEndpoint;

impl<Req> RouteRequest<Req> for AnyEndpoint {
    fn route(&self, _request: &Req) -> Route {
        Route::any()
    }
}

/// Says how a call ended. Implemented by every `Fn(&Result<Resp, E>) -> Outcome`.
///
/// | the call returned | its outcome | then the connection |
/// |---|---|---|
/// | a response | [`Success`](Outcome::Success), [`Failure`](Outcome::Failure) | is kept |
/// | either | [`Overloaded`](Outcome::Overloaded) | is kept |
/// | an error | [`Success`](Outcome::Success): an answer, in the form of an error | is kept |
/// | an error | [`Failure`](Outcome::Failure) | is [broken](crate::Lease::broken) |
/// | either | [`Cancelled`](Outcome::Cancelled): the exchange is not complete | is closed |
pub trait Classify<Resp, E> {
    /// Returns the outcome of the call that returned `result`.
    fn classify(&self, result: &Result<Resp, E>) -> Outcome;
}

impl<Resp, E, F: Fn(&Result<Resp, E>) -> Outcome> Classify<Resp, E> for F {
    fn classify(&self, result: &Result<Resp, E>) -> Outcome {
        self(result)
    }
}

/// The default: a response is a success, an error is a failure.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "a value without fields, to be written as such")]
pub struct ErrorsFail;

impl<Resp, E> Classify<Resp, E> for ErrorsFail {
    fn classify(&self, result: &Result<Resp, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}
