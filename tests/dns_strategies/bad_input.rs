//! Bad input: each error says what was asked, what was found, and what to do.

use super::*;

#[test]
fn names_and_ports_that_are_none() {
    for (input, parts) in [
        ("", "cannot read service ``"),
        ("we_b:http", "we_b"),
        ("web.shop.pod:http", "the third label must be `svc`"),
        ("web-0.web.shop.svc:http", "name of one pod"),
        ("http://web.shop", "leave out the scheme"),
        ("10.0.0.1:80", "a Service has a name"),
        ("web:0", "port `0`"),
        ("web:70000", "port `70000`"),
        ("web:this-port-name-is-too-long", "port `this-port-name-is-too-long`"),
    ] {
        let error = input.parse::<Target>().expect_err(input).to_string();
        assert!(error.contains(parts), "{input}: {error}");
    }
}

#[test]
fn settings_that_do_not_go_together() {
    let server = SocketAddr::from(([127, 251, 0, 53], 53));
    let fails = |builder: DnsResolverBuilder| builder.build().expect_err("must not build").to_string();
    let numeric = fails(builder(server, "web:8080").naming(Naming::NamedPort));
    for part in [
        "`web:8080`",
        "a numeric port where a name is needed",
        "spec.ports",
        "Naming::Auto",
    ] {
        assert!(numeric.contains(part), "{numeric}");
    }
    for naming in [Naming::Reverse, Naming::Addresses] {
        let named = fails(builder(server, "web:http").naming(naming));
        for part in ["`web:http`", "have no ports", "container's port number"] {
            assert!(named.contains(part), "{named}");
        }
    }
    let error = fails(builder(server, "web:8080").naming(Naming::PodNames));
    assert!(
        error.contains("stateful_set(..)") && error.contains(".metadata.name"),
        "{error}"
    );
    let error = fails(builder(server, "web:8080").stateful_set("we_b"));
    assert!(error.contains("we_b"), "{error}");
    let error = fails(builder(server, "web:8080").namespace("shop.svc"));
    assert!(error.contains("shop.svc"), "{error}");
}

#[test]
fn no_name_server_and_no_namespace_to_be_found() -> std::io::Result<()> {
    let dir = std::env::temp_dir().join(format!("headless-dns-strategies-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let missing = dir.join("missing");
    let empty = dir.join("empty");
    std::fs::write(
        &empty,
        "search shop.svc.cluster.local svc.cluster.local cluster.local\n",
    )?;
    let web = || DnsResolver::builder("web:http".parse().expect("a target"));

    let error = web().resolv_conf(&missing).build().expect_err("no file");
    assert!(matches!(error, ConfigError::ResolvConf { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("missing cannot be read; call `nameserver(..)`"),
        "{error}"
    );
    let error = web().resolv_conf(&empty).build().expect_err("no server");
    assert!(matches!(error, ConfigError::NoNameServer { .. }), "{error}");
    assert!(error.to_string().contains("has no `nameserver` line"), "{error}");

    let server = SocketAddr::from(([127, 251, 0, 53], 53));
    let error = web()
        .nameserver(server)
        .resolv_conf(&missing)
        .namespace_file(&missing)
        .build();
    let error = error.expect_err("no namespace").to_string();
    for part in ["the namespace of `web:http` is not known", "write `NAME.NAMESPACE`"] {
        assert!(error.contains(part), "{error}");
    }
    let from_search = web()
        .nameserver(server)
        .resolv_conf(&empty)
        .namespace_file(&missing)
        .build();
    let from_search = from_search.expect("the search list tells").service_name().to_string();
    assert_eq!(from_search, format!("web.{NAMESPACE}.svc.{ZONE}"));
    std::fs::remove_dir_all(&dir)
}

#[tokio::test]
async fn a_service_that_does_not_exist_or_is_elsewhere() -> Result<(), Error> {
    let (cluster, _set) = web(settings(), 1).await?;
    for (target, name) in [
        ("wbe:http", "wbe.shop.svc.cluster.local."),
        ("wbe:8080", "wbe.shop.svc.cluster.local."),
        ("wbe", "wbe.shop.svc.cluster.local."),
        ("web.shpo:http", "web.shpo.svc.cluster.local."),
    ] {
        let negative = no_endpoints(&resolver(cluster.dns_addr(), target)).await;
        assert_eq!(negative.kind, NegativeKind::NoSuchName);
        assert!(negative.to_string().contains(name), "{negative}");
    }
    // A name outside of the cluster domain.
    let foreign = resolver(cluster.dns_addr(), "web.shop.svc.example.com:http");
    says(
        &failed(&foreign).await,
        FailureKind::Refused,
        &[&cluster.dns_addr().to_string(), "_http._tcp.web.shop.svc.example.com."],
    );
    Ok(())
}

#[tokio::test]
async fn a_port_name_that_the_service_does_not_have() -> Result<(), Error> {
    let cluster = settings().start().await?;
    let set = cluster
        .stateful_set("web")
        .service("web")
        .port("http", 8080)
        .port("admin", 9090);
    let set = set.replicas(2).app(App::none()).start().await?;
    let resolver = resolver(cluster.dns_addr(), "web:grpc");
    let parts = [
        "Service web.shop.svc.cluster.local has no port named `grpc`",
        "its pods publish ports 8080, 9090",
        "name the port in the Service's spec.ports",
        "or give the container's port number",
    ];
    says(&failed(&resolver).await, FailureKind::Misconfigured, &parts);
    set.scale(0).await?;
    assert_eq!(
        no_endpoints(&resolver).await.kind,
        NegativeKind::NoSuchName,
        "without pods DNS does not tell"
    );
    Ok(())
}

#[tokio::test]
async fn a_port_name_where_ports_have_no_names_or_are_not_listed() -> Result<(), Error> {
    let cluster = settings().bare_srv(BareSrv::Off).start().await?;
    let set = cluster
        .stateful_set("web")
        .service("web")
        .unnamed_port(8080)
        .replicas(2);
    let _set = set.app(App::none()).start().await?;
    says(
        &failed(&resolver(cluster.dns_addr(), "web:http")).await,
        FailureKind::Misconfigured,
        &[
            "has no port named `http`",
            "DNS lists 2 addresses",
            "container's port number",
        ],
    );
    says(
        &failed(&resolver(cluster.dns_addr(), "web")).await,
        FailureKind::Misconfigured,
        &[
            "no port was given for Service web.shop.svc.cluster.local",
            "does not tell the port",
            "add :PORT",
        ],
    );
    says(
        &failed(&built(
            builder(cluster.dns_addr(), "web:8080").naming(Naming::ServiceSrv),
        ))
        .await,
        FailureKind::Misconfigured,
        &["no SRV records at its own name", "Cloud DNS", "Naming::Auto"],
    );
    Ok(())
}

#[tokio::test]
async fn an_unknown_stateful_set() -> Result<(), Error> {
    for strategy in Strategy::ALL {
        let (cluster, _set) = web(cluster_for(strategy), 3).await?;
        let resolver = built(strategy.settings(cluster.dns_addr()).stateful_set("wbe"));
        let seen = match strategy {
            Strategy::NamedPort | Strategy::ServiceSrv => "DNS lists 3 pods (web-0, web-1, web-2)",
            // With a set's name given, its pods' names are queried.
            Strategy::PodNames | Strategy::Reverse => "DNS lists 3 addresses, `wbe-0` to",
        };
        let parts = [
            "no pod of StatefulSet `wbe` found",
            "web.shop.svc.cluster.local",
            seen,
            ".spec.serviceName",
        ];
        says(&failed(&resolver).await, FailureKind::Misconfigured, &parts);
        let mut questions = Questions::from_now(&cluster);
        says(&failed(&resolver).await, FailureKind::Misconfigured, &parts);
        assert!(
            questions.since().len() <= 3,
            "{strategy:?}: the names are not asked for again at once"
        );
    }
    Ok(())
}
