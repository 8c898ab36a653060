//! [`Target`]: a Service and a port as users write them, with the missing parts still to be filled
//! in.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::{Label, NameError, Port, ServiceName, check_domain, check_label};

/// A Service and a port, as users write them: `web:http`, `web.shop:8080`, `web.shop.svc`,
/// `web.shop.svc.cluster.local:http`.
///
/// [`Target::in_cluster`] fills in the missing parts. Upper case is folded, and a trailing dot is
/// allowed.
///
/// ```
/// # use headless_core as headless;
/// use headless::{Port, Target};
///
/// let target: Target = "web.shop.svc:http".parse()?;
/// assert_eq!(target.port(), Some(&Port::name("http")?));
/// let full = target.in_cluster("default", "cluster.local")?;
/// assert_eq!(full.to_string(), "web.shop.svc.cluster.local");
///
/// let wrong = "web.shop.scv:http".parse::<Target>().unwrap_err();
/// assert!(wrong.to_string().contains("the third label must be `svc`, found `scv`"));
/// # Ok::<(), headless::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    service: Box<str>,
    namespace: Option<Box<str>>,
    zone: Option<Box<str>>,
    port: Option<Port>,
}

impl Target {
    /// Returns the Service's own name, the first label.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns the namespace, if it was written.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Returns the cluster domain, if it was written (`cluster.local` in most clusters).
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// Returns the port, if it was written.
    #[must_use]
    pub fn port(&self) -> Option<&Port> {
        self.port.as_ref()
    }

    /// Returns the full name, with `namespace` and `zone` where the user wrote none.
    ///
    /// # Errors
    /// [`NameError`] if `namespace` is not a label, `zone` is not a domain, or the whole is longer
    /// than DNS allows.
    pub fn in_cluster(&self, namespace: &str, zone: &str) -> Result<ServiceName, NameError> {
        ServiceName::new(
            &self.service,
            self.namespace().unwrap_or(namespace),
            self.zone().unwrap_or(zone),
        )
    }
}

impl FromStr for Target {
    type Err = NameError;

    fn from_str(input: &str) -> Result<Self, NameError> {
        let fail = |problem: String| NameError {
            what: "service",
            input: input.to_owned(),
            problem,
        };
        if input.contains("://") {
            return Err(fail("this is a URL; leave out the scheme and the path".to_owned()));
        }
        if input.parse::<IpAddr>().is_ok() || input.parse::<SocketAddr>().is_ok() {
            return Err(fail("this is an IP address; a Service has a name".to_owned()));
        }
        let (name, port) = match input.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse::<Port>()?)),
            None => (input, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let mut labels = name.splitn(4, '.');
        let service = labels.next().unwrap_or_default();
        check_label(service, Label::Dns1035).map_err(&fail)?;
        let namespace = labels.next();
        if let Some(namespace) = namespace {
            check_label(namespace, Label::Dns1123).map_err(&fail)?;
        }
        match labels.next() {
            None | Some("svc") => {}
            Some(other) if name.split('.').nth(3) == Some("svc") => {
                return Err(fail(format!(
                    "this is the name of one pod (`{service}` of Service `{}`); give the Service's name, `{}.{other}.svc`",
                    namespace.unwrap_or_default(),
                    namespace.unwrap_or_default(),
                )));
            }
            Some(other) => return Err(fail(format!("the third label must be `svc`, found `{other}`"))),
        }
        let zone = labels.next();
        if let Some(zone) = zone {
            check_domain(zone).map_err(&fail)?;
        }
        Ok(Self {
            service: service.into(),
            namespace: namespace.map(Into::into),
            zone: zone.map(Into::into),
            port,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.service)?;
        if let Some(namespace) = &self.namespace {
            write!(f, ".{namespace}")?;
        }
        if let Some(zone) = &self.zone {
            write!(f, ".svc.{zone}")?;
        }
        if let Some(port) = &self.port {
            write!(f, ":{port}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(input: &str) -> Result<String, String> {
        input
            .parse::<Target>()
            .map(|t| t.to_string())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_four_forms_with_and_without_a_port() {
        for (input, full) in [
            ("web", "web.default.svc.cluster.local"),
            ("web.shop", "web.shop.svc.cluster.local"),
            ("web.shop.svc", "web.shop.svc.cluster.local"),
            ("web.shop.svc.cluster.local", "web.shop.svc.cluster.local"),
            ("web.shop.svc.k8s.example.com.", "web.shop.svc.k8s.example.com"),
            ("WEB.Shop", "web.shop.svc.cluster.local"),
        ] {
            for port in ["", ":http", ":8080"] {
                let target: Target = format!("{input}{port}").parse().unwrap();
                assert_eq!(target.in_cluster("default", "cluster.local").unwrap().to_string(), full);
                assert_eq!(
                    target.port().map(ToString::to_string).unwrap_or_default(),
                    port.trim_start_matches(':')
                );
            }
        }
    }

    #[test]
    fn bad_names_say_what_is_wrong_and_how_to_write_it() {
        for (input, says) in [
            ("", "a label is empty"),
            (":http", "a label is empty"),
            ("web..svc", "a label is empty"),
            ("http://web:80", "this is a URL"),
            ("10.0.0.1", "this is an IP address"),
            ("[::1]:80", "this is an IP address"),
            ("2web", "begins with a letter"),
            ("we_b", "only have letters, digits and hyphens"),
            ("-web", "must not begin or end with a hyphen"),
            ("web.shop.scv", "the third label must be `svc`, found `scv`"),
            (
                "web-0.web.shop.svc",
                "the name of one pod (`web-0` of Service `web`); give the Service's name, `web.shop.svc`",
            ),
            (&"w".repeat(64), "has 64 characters, DNS allows 63"),
        ] {
            let error = target(input).unwrap_err();
            assert!(error.contains(says), "{input}: {error}");
            assert!(error.contains("write NAME"), "{input}: {error}");
        }
        let long = ["a234567890"; 25].join(".");
        assert!(
            ServiceName::new("web", "shop", &long)
                .unwrap_err()
                .to_string()
                .contains("DNS allows 253")
        );
    }

    #[test]
    fn bad_ports_say_what_is_wrong() {
        for (input, says) in [
            ("web:", "1 to 15 characters"),
            ("web:0", "between 1 and 65535"),
            ("web:65536", "between 1 and 65535"),
            ("web:HTTP", "lower-case"),
            ("web:80-80", "at least one letter"),
            ("web:a--b", "a hyphen must stand alone"),
            ("web:much-too-long-name", "1 to 15 characters"),
        ] {
            let error = target(input).unwrap_err();
            assert!(error.contains(says), "{input}: {error}");
        }
    }
}
