//! DNS that answers, but not the truth.

use super::*;

#[tokio::test]
async fn an_alias_is_about_another_name() -> Result<(), Error> {
    for way in Way::ALL {
        let (cluster, set) = web(way.cluster(), 2).await?;
        let resolver = way.resolver(&cluster);
        found(&resolver).await;
        cluster.dns().fail(Lie::new().cname("web.shop.example.com"));
        says(
            &failed(&resolver).await,
            FailureKind::Foreign,
            &[
                if way == Way::NamedPort { NAMED } else { SERVICE },
                "alias (CNAME) for web.shop.example.com.",
                "autopath",
                "allow_external_name(true)",
            ],
        );
        cluster.dns().heal();
        assert_eq!(lines(&found(&resolver).await), pods(&set, 8080), "{way:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_alias_is_followed_where_that_is_allowed() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 2).await?;
    cluster.dns().fail(Lie::new().cname("web.shop.example.com"));
    let allowed = builder(cluster.nameserver(), "web:8080")
        .naming(Naming::Addresses)
        .allow_external_name(true);
    let expected: Vec<String> = set.pods().iter().map(|pod| format!("{}:8080", pod.ip())).collect();
    assert_eq!(lines(&found(&built(allowed)).await), expected);
    Ok(())
}

#[tokio::test]
async fn addresses_that_no_pod_can_have_are_left_out() -> Result<(), Error> {
    for way in Way::ALL {
        let (cluster, set) = web(way.cluster(), 2).await?;
        let lie = Lie::new()
            .also(Ipv4Addr::UNSPECIFIED.into())
            .also(Ipv4Addr::BROADCAST.into());
        cluster.dns().fail(lie.also(Ipv4Addr::new(224, 0, 0, 1).into()));
        assert_eq!(
            lines(&found(&way.resolver(&cluster)).await),
            pods(&set, 8080),
            "{way:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_partial_answer_is_an_answer() -> Result<(), Error> {
    let (cluster, set) = web(settings(), 3).await?;
    cluster.dns().fail(Lie::new().omit("web-1"));
    let all = pods(&set, 8080);
    let answer = found(&resolver(cluster.nameserver(), "web:http")).await;
    assert_eq!(lines(&answer), [all[0].clone(), all[2].clone()]);
    Ok(())
}
