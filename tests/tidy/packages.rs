//! What holds for the packages as their users meet them: first pages, licences, metadata, features;
//! and for what runs them, in CI and in a cluster.

use crate::repository::{File, Findings, Manifest, directories, root, sources};

/// In each manifest of a published package.
const METADATA: &[&str] = &[
    "description = ",
    "version.workspace = true",
    "edition.workspace = true",
    "rust-version.workspace = true",
    "license.workspace = true",
    "repository.workspace = true",
    "documentation = ",
    "readme = \"README.md\"",
    "keywords = ",
    "categories = ",
    "include = ",
    "[package.metadata.docs.rs]",
];

/// In each object that makes pods.
const RESTRICTIONS: &[&str] = &[
    "runAsNonRoot: true",
    "seccompProfile:",
    "type: RuntimeDefault",
    "allowPrivilegeEscalation: false",
    "readOnlyRootFilesystem: true",
    "drop: [ALL]",
    "requests:",
    "limits:",
];

/// Code that exists only without a feature: file, and why it changes no behaviour.
const ONLY_WITHOUT: &[(&str, &str)] = &[
    (
        "crates/http/src/lib.rs",
        "`tls/unavailable.rs`: there is no TLS to choose",
    ),
    ("crates/mysql/src/lib.rs", "`tls/unavailable.rs`, as in HTTP"),
];

fn published() -> impl Iterator<Item = (String, File)> {
    let crates = directories("crates").map(|name| format!("crates/{name}"));
    let manifests = crates.map(|folder| (File::read(&format!("{folder}/Cargo.toml")), folder));
    let published = manifests.filter(|(manifest, _)| !manifest.text.contains("publish = false"));
    published.map(|(manifest, folder)| (folder, manifest))
}

#[test]
fn every_package_has_its_own_first_page() {
    let mut wrong = Findings::default();
    for (folder, manifest) in published() {
        let page = File::read(&format!("{folder}/README.md"));
        let name = manifest.text.lines().find_map(|line| line.strip_prefix("name = "));
        let name = name.expect("a package has a name").trim_matches('"');
        if !page.text.starts_with(&format!("# {name}\n")) {
            wrong.add(&page.path, "does not begin with the name of its package");
        }
        if !page.text.contains("```rust") {
            wrong.add(&page.path, "has no example");
        }
        for feature in Manifest::read(&manifest.path).features() {
            if !page.text.contains(&format!("| `{feature}` |")) {
                wrong.add(&page.path, &format!("does not tell of the feature `{feature}`"));
            }
        }
        let library = File::read(&format!("{folder}/src/lib.rs"));
        if !library.text.starts_with("#![doc = include_str!(\"../README.md\")]") {
            wrong.add(&library.path, "does not begin its documentation with the README");
        }
    }
    wrong.none();
}

#[test]
fn every_package_has_licences_and_metadata() {
    let mut wrong = Findings::default();
    for (folder, manifest) in published() {
        for key in METADATA.iter().filter(|key| !manifest.text.contains(**key)) {
            wrong.add(&manifest.path, &format!("has no `{}`", key.trim_end_matches(" = ")));
        }
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            // A link, or a copy; what it must not be is a link that was checked out as text.
            if File::read(&format!("{folder}/{licence}")).text != File::read(licence).text {
                wrong.add(&folder, &format!("has another {licence} than the repository"));
            }
        }
    }
    wrong.none();
}

/// Features are united over a whole program: one that took something away, or replaced it, would do
/// so for every other package too.
#[test]
fn features_only_add() {
    let mut wrong = Findings::default();
    let mut known = Vec::new();
    for file in sources("crates") {
        for (number, line) in file.code() {
            if line.contains("not(feature = ")
                || line.contains("not(any(feature = ")
                || line.contains("not(all(feature = ")
            {
                match ONLY_WITHOUT.iter().find(|(path, _)| *path == file.path) {
                    Some((path, _)) => known.push(*path),
                    None => wrong.add_line(
                        &file.path,
                        number,
                        "depends on the absence of a feature; let the caller choose",
                    ),
                }
            }
        }
    }
    for (path, reason) in ONLY_WITHOUT.iter().filter(|(path, _)| !known.contains(path)) {
        wrong.add(
            path,
            &format!("needs no exception any more ({reason}): remove it from the list"),
        );
    }
    wrong.none();
}

/// A tag can be moved to other code; a commit cannot.
#[test]
fn actions_are_pinned() {
    let mut wrong = Findings::default();
    let workflow = File::read(".github/workflows/ci.yml");
    for (number, line) in workflow.lines() {
        if let Some((_, action)) = line.split_once("uses: ") {
            let commit = action
                .split_once('@')
                .map_or("", |(_, rest)| rest.split(' ').next().unwrap_or_default());
            if commit.len() != 40 || !commit.chars().all(|c| c.is_ascii_hexdigit()) {
                wrong.add_line(&workflow.path, number, "names no commit of the action");
            }
        }
    }
    wrong.none();
}

#[test]
fn pods_may_do_no_more_than_they_need() {
    let mut wrong = Findings::default();
    let mut pods = 0;
    for path in yaml_files("examples") {
        let text = File::read(&path).text.replace('"', "");
        for object in text.split("\n---\n").filter(|it| it.contains("containers:")) {
            pods += 1;
            for restriction in RESTRICTIONS.iter().filter(|it| !object.contains(**it)) {
                wrong.add(&path, &format!("makes pods without `{restriction}`"));
            }
        }
    }
    assert!(pods >= 4, "only {pods} objects with pods found");
    wrong.none();
}

fn yaml_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    crate::repository::collect(&root().join(folder), "yaml", &mut found);
    found
}
