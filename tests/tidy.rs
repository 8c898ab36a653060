//! What holds for the repository as a whole, as tests: the shape of files, the arrows between
//! crates, what the core and the hot path may not do, and that the documents tell the truth.
//!
//! Text is searched, not parsed: each rule is as simple as it can be and still true. No network,
//! standard library only.

#[path = "tidy/packages.rs"]
mod packages;
#[path = "tidy/repository.rs"]
mod repository;

use repository::{
    File, Findings, Manifest, bodies_of, directories, has_word, markdown_files, root, rust_files, sources,
};

/// Lines in a source file without its tests. The good files of this field have 90 to 220.
const LONGEST_FILE: usize = 450;

/// The invariants that `INVARIANT(..)` comments may refer to are the rows of this page.
const ARCHITECTURE: &str = "crates/README.md";

/// The tests that may sleep: file and reason.
const MAY_SLEEP: &[(&str, &str)] = &[(
    "crates/headless/tests/support/mod.rs",
    "`pass` lets paused time go on: nothing waits for real",
)];

/// Which of our crates each crate may depend on (dev-dependencies apart), and whether only as an
/// option.
const ARROWS: &[(&str, &[(&str, Kind)])] = &[
    ("core", &[]),
    ("dns", &[("headless-core", Kind::Always)]),
    (
        "headless",
        &[("headless-core", Kind::Always), ("headless-dns", Kind::Optional)],
    ),
    ("http", &[("headless", Kind::Always), ("headless-core", Kind::Always)]),
    ("mysql", &[("headless", Kind::Always), ("headless-core", Kind::Always)]),
    ("testkit", &[]),
    ("xtask", &[]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Always,
    Optional,
}

#[test]
fn every_file_says_what_lives_in_it() {
    let mut wrong = Findings::default();
    for file in rust_files(&["crates", "examples", "tests", "benches"]) {
        let first_page = "#![doc = include_str!(\"../README.md\")]";
        if !file.text.starts_with("//! ") && !file.text.starts_with(first_page) {
            wrong.add(&file.path, "does not begin with a `//!` that says what lives here");
        }
    }
    wrong.none();
}

#[test]
fn files_stay_short() {
    let mut wrong = Findings::default();
    for file in sources("crates") {
        let lines = file.without_tests().count();
        if lines > LONGEST_FILE {
            wrong.add(
                &file.path,
                &format!("{lines} lines without its tests, {LONGEST_FILE} are the limit: which two ideas are in it?"),
            );
        }
    }
    wrong.none();
}

#[test]
fn crates_depend_along_the_arrows() {
    let mut wrong = Findings::default();
    for name in directories("crates") {
        let manifest = Manifest::read(&format!("crates/{name}/Cargo.toml"));
        let Some((_, allowed)) = ARROWS.iter().find(|(of, _)| *of == name) else {
            wrong.add(
                &manifest.path,
                "is a new crate: say in tests/tidy.rs what it may depend on",
            );
            continue;
        };
        for dependency in manifest.normal().filter(|it| it.name.starts_with("headless")) {
            match allowed.iter().find(|(name, _)| *name == dependency.name) {
                None => wrong.add(
                    &manifest.path,
                    &format!("depends on {}, against the arrows", dependency.name),
                ),
                Some((_, Kind::Optional)) if !dependency.line.contains("optional = true") => {
                    wrong.add(
                        &manifest.path,
                        &format!("must be able to do without {}", dependency.name),
                    );
                }
                Some(_) => {}
            }
        }
    }
    wrong.none();
}

#[test]
fn core_and_xtask_need_the_standard_library_only() {
    let core = Manifest::read("crates/core/Cargo.toml");
    let beyond_std: Vec<_> = core
        .normal()
        .filter(|it| it.section != "target.'cfg(loom)'.dependencies")
        .collect();
    assert!(beyond_std.is_empty(), "{}: {beyond_std:?}", core.path);
    assert!(
        core.normal().all(|it| it.name == "loom"),
        "only loom, and only for the models"
    );
    let xtask = Manifest::read("crates/xtask/Cargo.toml");
    let beyond_std: Vec<_> = xtask.normal().collect();
    assert!(beyond_std.is_empty(), "{}: {beyond_std:?}", xtask.path);
}

#[test]
fn the_testkit_knows_nothing_of_what_it_tests() {
    let testkit = Manifest::read("crates/testkit/Cargo.toml");
    let known: Vec<_> = testkit
        .dependencies
        .iter()
        .filter(|it| it.name.starts_with("headless"))
        .collect();
    assert!(known.is_empty(), "not even for its tests: {known:?}");
    let mut wrong = Findings::default();
    for file in rust_files(&["crates/testkit"]) {
        wrong.forbid(
            &file,
            file.code(),
            &["headless_core", "headless_dns", "headless_http", "headless::"],
        );
    }
    wrong.none();
}

#[test]
fn one_crate_knows_the_dns_library() {
    let mut wrong = Findings::default();
    for file in rust_files(&["crates", "examples", "tests", "benches"]) {
        if !file.path.starts_with("crates/dns/") {
            wrong.forbid(&file, file.code(), &["hickory_resolver", "hickory_net"]);
        }
    }
    for name in directories("crates").filter(|name| name != "dns") {
        let manifest = Manifest::read(&format!("crates/{name}/Cargo.toml"));
        if manifest.dependencies.iter().any(|it| it.name == "hickory-resolver") {
            wrong.add(&manifest.path, "depends on hickory-resolver");
        }
    }
    wrong.none();
}

/// Invariant I7.
#[test]
fn core_has_no_clock_no_randomness_and_no_sockets() {
    let mut wrong = Findings::default();
    for file in sources("crates/core") {
        let banned = [
            "Instant",
            "SystemTime",
            "rand::",
            "RandomState",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "tokio",
            "std::fs",
            "std::env",
            "std::process",
            "thread::",
        ];
        wrong.forbid(&file, file.code_without_tests(), &banned);
    }
    wrong.none();
}

#[test]
fn the_hot_path_takes_no_lock_and_formats_nothing() {
    let policies = sources("crates/core").filter(|file| file.path.starts_with("crates/core/src/policy/"));
    // The laws are for tests of policies; no request runs them.
    let policies = policies.filter(|file| !file.path.ends_with("conformance.rs"));
    let mut wrong = Findings::default();
    let hot = ["balancer", "acquire", "lease"].map(|name| File::read(&format!("crates/headless/src/{name}.rs")));
    for file in policies.chain(hot) {
        let banned = ["Mutex", "RwLock", ".lock()", "format!"];
        wrong.forbid(&file, file.code_without_tests(), &banned);
    }
    wrong.none();
}

#[test]
fn a_pick_builds_nothing() {
    let mut wrong = Findings::default();
    let mut picks = 0;
    for file in sources("crates/core").filter(|file| file.path.starts_with("crates/core/src/policy/")) {
        for body in bodies_of("fn pick(", &file) {
            picks += 1;
            let banned = [
                "Vec::",
                "vec!",
                "Box::",
                "Arc::",
                "String",
                "to_owned",
                "to_string",
                "to_vec",
                ".collect",
                "clone()",
            ];
            wrong.forbid(&file, body.into_iter(), &banned);
        }
    }
    assert!(
        picks >= 5,
        "only {picks} picks found: does this test still look in the right place?"
    );
    wrong.none();
}

/// Invariant I6.
#[test]
fn a_pick_is_counted_in_the_same_breath() {
    let mut wrong = Findings::default();
    let mut picks = 0;
    for file in sources("crates/headless") {
        for body in bodies_of("fn ", &file) {
            let has = |word: &str| body.iter().any(|(_, line)| line.contains(word));
            if has(".pick(") {
                picks += 1;
                let (number, signature) = body[0];
                if signature.contains("async fn") || has(".await") {
                    wrong.add_line(
                        &file.path,
                        number,
                        "picks and awaits; what is picked must be counted first",
                    );
                }
                if !has("InFlight::begin(") {
                    wrong.add_line(&file.path, number, "picks without counting");
                }
            }
        }
    }
    wrong.none();
    assert!(
        picks > 0,
        "no pick found: does this test still look in the right place?"
    );
}

#[test]
fn tests_wait_for_events() {
    let mut wrong = Findings::default();
    let in_crates = rust_files(&["crates"]).filter(|file| {
        let mut parts = file.path.split('/');
        parts.nth(2) == Some("tests")
    });
    for file in in_crates.chain(rust_files(&["tests"])) {
        if MAY_SLEEP.iter().any(|(path, _)| *path == file.path) {
            continue;
        }
        for (number, line) in file.code() {
            if calls(line, "sleep") || calls(line, "sleep_until") {
                wrong.add_line(&file.path, number, "sleeps; wait for what has to happen instead");
            }
        }
    }
    wrong.none();
    for (path, reason) in MAY_SLEEP {
        assert!(
            root().join(path).exists(),
            "{path} may sleep ({reason}), but does not exist"
        );
    }
}

#[test]
fn nothing_is_ignored() {
    let mut wrong = Findings::default();
    for file in rust_files(&["crates", "examples", "tests", "benches"]).chain(markdown_files()) {
        for (number, line) in file.lines() {
            let line = line.trim_start().trim_start_matches(['/', '!']).trim_start();
            if line.starts_with("#[ignore") {
                wrong.add_line(&file.path, number, "is a test that does not run");
            }
            if line.starts_with("```") && line.contains("ignore") {
                wrong.add_line(&file.path, number, "is an example that is not compiled; `no_run` is");
            }
        }
    }
    wrong.none();
}

#[test]
fn what_is_left_to_do_is_in_an_issue() {
    let mut wrong = Findings::default();
    for file in rust_files(&["crates", "examples", "tests", "benches"]) {
        for (number, line) in file.lines() {
            let marked = ["TODO", "FIXME", "XXX"].iter().any(|mark| has_word(line, mark));
            if marked && !names_an_issue(line) {
                wrong.add_line(&file.path, number, "names no issue: write `#123` behind it, or do it");
            }
        }
    }
    wrong.none();
}

#[test]
fn invariants_in_comments_are_known() {
    let known = File::read(ARCHITECTURE);
    let mut wrong = Findings::default();
    for file in rust_files(&["crates"]) {
        for (number, line) in file.lines() {
            for name in line
                .split("INVARIANT(")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                if !known.text.contains(&format!("| **{name}**")) {
                    wrong.add_line(
                        &file.path,
                        number,
                        &format!("refers to {name}, which {ARCHITECTURE} does not have"),
                    );
                }
            }
        }
    }
    wrong.none();
}

/// Each row of the table of invariants names its tests in backticks.
#[test]
fn the_tests_that_prove_the_invariants_exist() {
    let here = File::read("tests/tidy.rs");
    let files = rust_files(&["crates", "tests"]).chain([here]);
    let tests: String = files.map(|file| file.text).collect();
    let page = File::read(ARCHITECTURE);
    let mut wrong = Findings::default();
    let mut rows = 0;
    for (number, line) in page.lines().filter(|(_, line)| line.starts_with("| **I")) {
        rows += 1;
        let names: Vec<_> = line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|it| is_a_test_name(it))
            .collect();
        if names.is_empty() {
            wrong.add_line(&page.path, number, "names no test");
        }
        for name in names {
            if !tests.contains(&format!("fn {name}(")) {
                wrong.add_line(
                    &page.path,
                    number,
                    &format!("names the test `{name}`, which does not exist"),
                );
            }
        }
    }
    assert!(rows >= 9, "only {rows} invariants found in {ARCHITECTURE}");
    wrong.none();
}

#[test]
fn the_readme_knows_the_rust_version_and_every_crate() {
    let readme = File::read("README.md");
    let manifest = File::read("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|(_, line)| line.strip_prefix("rust-version = "));
    let version = version
        .expect("the workspace states its Rust version")
        .trim_matches('"');
    let mut wrong = Findings::default();
    if !readme.text.contains(version) {
        wrong.add(&readme.path, &format!("does not say that Rust {version} is needed"));
    }
    for name in directories("crates") {
        if !readme.text.contains(&format!("crates/{name}")) {
            wrong.add(&readme.path, &format!("does not name crates/{name}"));
        }
    }
    wrong.none();
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Findings::default();
    for file in markdown_files() {
        let folder = root().join(&file.path);
        let folder = folder.parent().expect("a file is in a folder");
        for (number, line) in file.lines() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = target.split('#').next().unwrap_or_default();
                if !path.is_empty() && !path.contains(':') && !folder.join(path).exists() {
                    wrong.add_line(&file.path, number, &format!("links to {path}, which does not exist"));
                }
            }
        }
    }
    wrong.none();
}

fn calls(line: &str, function: &str) -> bool {
    has_word(line, &format!("{function}("))
}

fn names_an_issue(line: &str) -> bool {
    line.split('#')
        .skip(1)
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_a_test_name(text: &str) -> bool {
    text.contains('_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
