//! The sources of settings that are not given, and the errors if they cannot be found.

use std::fs;
use std::path::PathBuf;

use crate::{ConfigError, DnsResolver, DnsResolverBuilder};
use headless_core::Resolve;

const POD: &str = "search here.svc.k8s.test svc.k8s.test k8s.test\nnameserver 10.96.0.10\noptions ndots:5\n";

/// A directory with the two files of a pod, removed on drop.
struct Files(PathBuf);

impl Files {
    fn new(test: &str, resolv_conf: Option<&str>, namespace: Option<&str>) -> Self {
        let dir = std::env::temp_dir().join(format!("headless-dns-{}-{test}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for (name, text) in [("resolv.conf", resolv_conf), ("namespace", namespace)] {
            if let Some(text) = text {
                fs::write(dir.join(name), text).unwrap();
            }
        }
        Self(dir)
    }

    fn builder(&self, target: &str) -> DnsResolverBuilder {
        let builder = DnsResolver::builder(target.parse().unwrap());
        builder
            .resolv_conf(self.0.join("resolv.conf"))
            .namespace_file(self.0.join("namespace"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn name(builder: DnsResolverBuilder) -> String {
    builder.build().unwrap().service()
}

fn server() -> std::net::SocketAddr {
    "127.0.0.1:5353".parse().unwrap()
}

#[test]
fn in_a_pod_nothing_need_be_given() {
    let files = Files::new("pod", Some(POD), Some("mounted\n"));
    assert_eq!(name(files.builder("web:http")), "web.mounted.svc.k8s.test:http");
    assert_eq!(name(files.builder("web.shop")), "web.shop.svc.k8s.test");
}

#[test]
fn without_a_service_account_the_search_list_tells_the_namespace() {
    for namespace in [None, Some(" \n")] {
        let files = Files::new("search", Some(POD), namespace);
        assert_eq!(name(files.builder("web:80")), "web.here.svc.k8s.test:80");
    }
}

#[test]
fn what_is_given_wins_and_what_the_target_says_wins_over_that() {
    let files = Files::new("given", Some(POD), Some("mounted"));
    let given = |target| files.builder(target).namespace("given").zone("given.test");
    assert_eq!(name(given("web")), "web.given.svc.given.test");
    assert_eq!(name(given("web.shop.svc.own.test")), "web.shop.svc.own.test");
}

#[test]
fn no_file_is_read_if_nothing_is_missing() {
    let files = Files::new("none", None, None);
    let builder = files.builder("web").nameserver(server());
    assert_eq!(
        name(builder.clone().namespace("shop").zone("k8s.test")),
        "web.shop.svc.k8s.test"
    );
    assert_eq!(
        name(files.builder("web.shop.svc.k8s.test").nameserver(server())),
        "web.shop.svc.k8s.test"
    );
    assert_eq!(
        name(builder.namespace("shop")),
        "web.shop.svc.cluster.local",
        "the zone of nearly every cluster"
    );
}

#[test]
fn a_missing_setting_is_reported_with_its_sources_and_what_to_do() {
    let none = Files::new("missing", None, None);
    let error = none.builder("web.shop").build().unwrap_err();
    assert!(matches!(error, ConfigError::ResolvConf { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("resolv.conf cannot be read; call `nameserver(..)`"),
        "{error}"
    );
    let error = none.builder("web:http").nameserver(server()).build().unwrap_err();
    assert!(matches!(error, ConfigError::NoNamespace { .. }), "{error}");
    assert!(
        error.to_string().contains("the namespace of `web:http` is not known"),
        "{error}"
    );
    assert!(error.to_string().contains("write `NAME.NAMESPACE`"), "{error}");
    let empty = Files::new("empty", Some("search lan\n"), None);
    let error = empty.builder("web.shop").build().unwrap_err();
    assert!(matches!(error, ConfigError::NoNameServer { .. }), "{error}");
}

#[test]
fn names_are_checked() {
    let files = Files::new("names", Some(POD), None);
    for builder in [
        files.builder("web").namespace("no.dots"),
        files.builder("web").zone("no_underscores"),
        files.builder("web:80").stateful_set("no_underscores"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, ConfigError::Name(_)), "{error}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_before_any_file_is_read() {
    let files = Files::new("together", None, None);
    let error = files
        .builder("web:80")
        .naming(crate::Naming::NamedPort)
        .build()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot look up `web:80`: a numeric port where a name is needed"),
        "{error}"
    );
}
