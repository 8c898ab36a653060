//! The client as a tower service, and requests that are refused before they are sent.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use bytes::Bytes;
use common::Web;
use headless_http::{Client, Error};
use http::Request;
use http_body_util::{BodyExt, Empty, Full};
use tower::{ServiceBuilder, ServiceExt};

#[tokio::test]
async fn it_is_a_service() {
    let web = Web::start(1).await;
    let client = web.client().await;
    let request = Request::get("/echo").body(Empty::new()).unwrap();
    let answer = client.clone().oneshot(request).await.unwrap();
    assert_eq!(
        answer.body().endpoint().unwrap().to_string(),
        format!("web-0 ({})", web.set.pods()[0].addr())
    );
    assert!(text(answer).await.contains("method: GET\n"));

    let request = Request::post("/echo")
        .body(Full::new(Bytes::from_static(b"12345")))
        .unwrap();
    let by_reference = (&client).oneshot(request).await.unwrap();
    assert!(text(by_reference).await.contains("body: 5\n"));

    let stacked = ServiceBuilder::new()
        .map_request(|request: Request<String>| request.map(|text| text + "!"))
        .service(client);
    let request = Request::put("/echo").body("12".to_owned()).unwrap();
    assert!(
        text(stacked.oneshot(request).await.unwrap())
            .await
            .contains("body: 3\n")
    );
    assert_eq!(web.accepted(), 1);
}

async fn text(answer: http::Response<headless_http::ResponseBody>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn what_would_not_go_where_it_says_is_refused() {
    let web = Web::start(1).await;
    let client = web.client().await;
    for (path, says) in [
        ("http://other.svc/", "this client calls `web.shop.svc.cluster.local`"),
        ("https://web.shop.svc/", "this client speaks `http`"),
        ("no spaces", "is not a path"),
        ("cart", "write a path"),
    ] {
        let error = client.get(path).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest { .. }), "{error:?}");
        assert!(error.is_not_sent());
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(web.accepted(), 0);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let web = Web::start(1).await;
    let builder = web.builder().await;
    let refused = [
        builder.authority("no spaces").build(),
        web.builder().await.http2_max_concurrent_streams(0).build(),
        web.builder().await.max_connections_per_endpoint(0).build(),
    ];
    for refused in refused {
        assert!(refused.unwrap_err().is_not_sent());
    }
    let error = Client::connect("web:no_such").await.unwrap_err();
    assert!(matches!(error, Error::Start(_)), "{error:?}");
}
