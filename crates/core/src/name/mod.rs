//! The names that users write and Kubernetes assigns, parsed once: [`Target`], [`ServiceName`],
//! [`PodName`], [`Ordinal`], [`Port`].
//!
//! A value of these types is valid, so no other module checks it again. Lookups do not belong here,
//! nor do the files of a pod that tell its namespace (`headless-dns` reads them).
//!
//! Sources: Kubernetes DNS specification 1.1.0 (sections 2.3 and 2.4), RFC 1035 2.3.1 (labels), RFC
//! 6335 5.1 (service names), Kubernetes `IsDNS1035Label` / `IsDNS1123Label`.

use std::fmt;

mod pod;
mod port;
mod service;
mod target;

pub use self::pod::{Ordinal, PodName};
pub use self::port::Port;
pub use self::service::ServiceName;
pub use self::target::Target;

/// A name that cannot be parsed: the input, the problem, and the expected form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    what: &'static str,
    input: String,
    problem: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {} `{}`: {}", self.what, self.input, self.problem)?;
        if self.what == "service" {
            f.write_str("; write NAME[.NAMESPACE[.svc[.ZONE]]][:PORT], for example `web.shop.svc:http`")?;
        }
        Ok(())
    }
}

impl std::error::Error for NameError {}

#[derive(Clone, Copy, PartialEq)]
enum Label {
    /// A Service: it begins with a letter.
    Dns1035,
    /// A namespace or a pod: it may begin with a digit.
    Dns1123,
}

fn check_label(label: &str, kind: Label) -> Result<(), String> {
    if label.is_empty() {
        return Err("a label is empty".to_owned());
    }
    if label.len() > MAX_LABEL {
        return Err(format!(
            "label `{label}` has {} characters, DNS allows {MAX_LABEL}",
            label.len()
        ));
    }
    if !label
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Err(format!("label `{label}` may only have letters, digits and hyphens"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(format!("label `{label}` must not begin or end with a hyphen"));
    }
    if kind == Label::Dns1035 && label.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("a Service's name begins with a letter, `{label}` does not"));
    }
    Ok(())
}

fn check_domain(domain: &str) -> Result<(), String> {
    domain
        .split('.')
        .try_for_each(|label| check_label(label, Label::Dns1123))
}

/// RFC 1035 2.3.4 limits a name to 255 octets on the wire, which are 253 characters of text.
const MAX_NAME: usize = 253;
/// RFC 1035 2.3.4.
const MAX_LABEL: usize = 63;
