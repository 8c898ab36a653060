//! Which items of other crates our public signatures show, read from rustdoc's JSON. Each has to be
//! in [`ALLOWED`]: a type in a signature makes a new major version of its crate one of ours. `cargo
//! xtask public-types` makes the files and calls this.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::process::ExitCode;
use std::{env, fs};

use serde_json::Value;

/// Our crate; what it may show: one item, or with `::` at the end all of a crate or module; and
/// why.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "headless",
        "tower_service::",
        "the trait that the balanced service implements",
    ),
    (
        "headless",
        "tower_layer::",
        "the trait that the discovery layer implements",
    ),
    (
        "headless",
        "tower::discover::",
        "feature `tower-discover`: the changes of tower's `Discover`",
    ),
    (
        "headless",
        "futures_core::stream::",
        "feature `tower-discover`: `Discover` is a `Stream`",
    ),
    (
        "headless",
        "pin_project_lite::__private::",
        "in a bound of a generated impl; it cannot be named",
    ),
    ("headless_http", "http::", "requests, responses, headers"),
    ("headless_http", "http_body::", "the trait of the bodies"),
    ("headless_http", "bytes::", "the data of the bodies"),
    (
        "headless_http",
        "tower_service::",
        "the trait that the client implements",
    ),
    (
        "headless_mysql",
        "mysql_async",
        "the driver as a module, for its traits of rows and values",
    ),
    ("headless_mysql", "mysql_common::params::", "parameters of statements"),
    ("headless_mysql", "mysql_common::row::", "rows"),
    (
        "headless_testkit",
        "tokio::net::tcp::stream::TcpStream",
        "a pod's protocol is given its socket",
    ),
];

/// The standard library, and those of our crates that others are built on.
const OURS: &[&str] = &["core", "alloc", "std", "headless", "headless_core", "headless_dns"];

fn main() -> ExitCode {
    match check(env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn check(files: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        let crate_doc = CrateDoc(serde_json::from_str(&text)?);
        let name = crate_doc.name();
        for (path, shown_by) in crate_doc.foreign() {
            match ALLOWED
                .iter()
                .position(|(of, what, _)| *of == name && is_in(&path, what))
            {
                Some(entry) => _ = used.insert(entry),
                None => {
                    let places = shown_by.into_iter().collect::<Vec<_>>().join(", ");
                    wrong.push(format!("{name} shows {path}: {places}"));
                }
            }
        }
    }
    for (entry, (name, what, why)) in ALLOWED.iter().enumerate() {
        match used.contains(&entry) {
            true => println!("{name} shows {what} ({why})"),
            false => wrong.push(format!("{name} does not show {what}: remove it from the list")),
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("types of other crates in public signatures:\n  {}", wrong.join("\n  ")).into())
    }
}

fn is_in(path: &str, what: &str) -> bool {
    path == what || what.ends_with("::") && path.starts_with(what)
}

/// The documentation of one crate, as rustdoc writes it.
struct CrateDoc(Value);

impl CrateDoc {
    fn name(&self) -> String {
        let root = self.0["root"].to_string();
        self.0["index"][root]["name"].as_str().unwrap_or_default().to_owned()
    }

    /// The paths of what other crates define, each with what shows it.
    fn foreign(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut found = BTreeMap::<_, BTreeSet<_>>::new();
        for item in self.0["index"].as_object().into_iter().flat_map(|index| index.values()) {
            let is_ours = item["crate_id"] == 0;
            for (kind, inner) in item["inner"].as_object().into_iter().flatten() {
                // What other crates implement for all types, and what the compiler derives, is not
                // ours to say.
                let is_said_here = inner["blanket_impl"].is_null() && inner["is_synthetic"] != true;
                if is_ours && is_said_here {
                    let mut ids = BTreeSet::new();
                    collect(inner, &mut ids);
                    let shown_by = format!("{kind} {}", item["name"].as_str().unwrap_or("of a trait or name"));
                    for path in ids.into_iter().filter_map(|id| self.foreign_path(&id)) {
                        found.entry(path).or_default().insert(shown_by.clone());
                    }
                }
            }
        }
        found
    }

    /// `None` for what is defined in this crate, in the standard library or in our other crates.
    fn foreign_path(&self, id: &str) -> Option<String> {
        let segments = self.0["paths"].get(id)?["path"].as_array()?;
        let segments: Vec<_> = segments.iter().filter_map(Value::as_str).collect();
        let is_foreign = self.0["paths"][id]["crate_id"] != 0 && !OURS.contains(segments.first()?);
        is_foreign.then(|| segments.join("::"))
    }
}

/// The ids of all that is named in a signature: paths of types and traits, and what a `use` takes
/// from elsewhere.
fn collect(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("path") || fields.contains_key("source") {
                ids.extend(fields.get("id").map(Value::to_string));
            }
            fields.values().for_each(|value| collect(value, ids));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, ids)),
        _ => {}
    }
}
