//! The project's language, as a test: retired words, long comment lines, and one style of modules.
//!
//! Readers know the terms of gRPC, Envoy, HikariCP and criterion; each word below once stood for
//! one of those. Text is searched, in code, comments, documents and the names of files. The code of
//! tests is text too: all that a reader meets counts.
//!
//! A new word is one more line in [`RETIRED`]. A legitimate use is one more line in [`ALLOWED`],
//! with its reason.

#[path = "repository.rs"]
#[allow(dead_code, reason = "shared with tidy.rs, which uses the rest of it")]
mod repository;

use std::collections::BTreeMap;
use std::process::Command;

use repository::{File, Findings, root};

/// Columns of a comment line, with its indentation.
const LONGEST_COMMENT: usize = 100;

/// What a retired word looks like.
#[derive(Clone, Copy)]
enum Form {
    /// Words in a row, in any spelling: `"look soon"` is `look_soon`, `LookSoon`, "Look soon" and
    /// `set_look_soon`.
    Words(&'static str),
    /// Text as it stands, with the case of its letters; its ends are the ends of words.
    Exactly(&'static str),
}

/// Where a word is retired: below these paths, or everywhere if there is none. A path with `!`
/// before it is left out.
type Places = &'static [&'static str];

const EVERYWHERE: Places = &[];
const BENCHES: Places = &["benches", "README.md", "CHANGELOG.md"];
const MYSQL: Places = &["crates/mysql", "README.md", "CHANGELOG.md"];
const NOT_THE_TESTKIT: Places = &["!crates/testkit"];

use Form::{Exactly, Words};

/// Word, where, what to say instead.
#[rustfmt::skip]
const RETIRED: &[(Form, Places, &str)] = &[
    // Actors.
    (Words("nobody"), EVERYWHERE, "no caller, no task, none"),
    (Words("somebody"), EVERYWHERE, "the caller, another task"),
    (Words("anybody"), EVERYWHERE, "any caller, any task"),
    (Words("everybody"), EVERYWHERE, "each caller, all"),
    (Words("everyone"), EVERYWHERE, "each caller, all"),
    (Words("someone"), EVERYWHERE, "the caller, another task; name what it is"),
    (Words("anyone"), EVERYWHERE, "any caller, any task"),
    (Words("no one"), EVERYWHERE, "no caller, none"),
    (Words("whoever"), EVERYWHERE, "the caller, the client, the endpoint, the task"),
    (Words("whomever"), EVERYWHERE, "the caller, the client, the endpoint, the task"),

    // Discovery.
    (Words("look soon"), EVERYWHERE, "request_reresolution"),
    (Words("look again"), EVERYWHERE, "resolve again"),
    (Words("look limit"), EVERYWHERE, "a limit of resolutions"),
    (Words("early look"), EVERYWHERE, "re-resolution, min_reresolve_interval"),
    (Words("early looks"), EVERYWHERE, "re-resolutions"),
    (Words("a look"), EVERYWHERE, "a resolution"),
    (Words("the look"), EVERYWHERE, "the resolution"),
    (Words("first look"), EVERYWHERE, "the first resolution"),
    (Words("last look"), EVERYWHERE, "the last resolution"),
    (Words("next look"), EVERYWHERE, "the next resolution"),
    (Words("second look"), EVERYWHERE, "a second resolution"),
    (Words("one look"), EVERYWHERE, "one resolution"),
    (Words("each look"), EVERYWHERE, "each resolution"),
    (Words("every look"), EVERYWHERE, "every resolution"),
    (Words("this look"), EVERYWHERE, "this resolution"),
    (Words("per look"), EVERYWHERE, "per resolution"),
    (Words("two looks"), EVERYWHERE, "two resolutions"),
    (Words("between looks"), EVERYWHERE, "between resolutions"),
    (Words("failed looks"), EVERYWHERE, "failed resolutions"),
    (Words("more looks"), EVERYWHERE, "more resolutions"),
    (Exactly("NotLookedAtYet"), EVERYWHERE, "not resolved yet"),
    (Exactly("look_after"), EVERYWHERE, "a name of what is waited for"),
    (Exactly("Discovery::with"), EVERYWHERE, "Discovery::builder"),
    (Words("belief"), EVERYWHERE, "membership, RefreshState"),
    (Words("beliefs"), EVERYWHERE, "membership"),
    (Words("kept through failure"), EVERYWHERE, "StaleOnError"),
    (Words("kept through denial"), EVERYWHERE, "StaleOnNegative"),
    (Exactly("Resolution::None"), EVERYWHERE, "Resolution::NoEndpoints"),
    (Exactly("Writer::None"), EVERYWHERE, "Writer::Unavailable"),
    (Exactly("Position::Nothing"), EVERYWHERE, "Position::Empty"),
    (Words("ladder"), EVERYWHERE, "strategies, in order"),
    (Words("ladders"), EVERYWHERE, "strategies, in order"),
    (Words("rung"), EVERYWHERE, "a strategy"),
    (Words("rungs"), EVERYWHERE, "strategies"),
    (Exactly("Ask"), &["crates/dns", "!//"], "Transport"),
    (Exactly("Miss"), &["crates/dns", "!//"], "LookupError"),

    // Identity.
    (Exactly("Identify"), EVERYWHERE, "VerifyPeer"),
    (Exactly(".identify("), EVERYWHERE, ".verify_peer("),
    (Exactly("fn identify("), EVERYWHERE, "verify_peer"),
    (Words("impostor"), EVERYWHERE, "PeerMismatch, the wrong pod"),
    (Words("impostors"), EVERYWHERE, "wrong pods"),
    (Words("stranger"), EVERYWHERE, "PeerMismatch, another pod"),
    (Words("strangers"), EVERYWHERE, "other pods"),

    // Connections.
    (Exactly("Sharing"), &["!.md", "!//"], "Multiplexing"),
    (Exactly("fn sharing("), EVERYWHERE, "multiplexing"),
    (Exactly(".sharing("), EVERYWHERE, "multiplexing"),
    (Exactly(".shared("), EVERYWHERE, ".multiplexed(n)"),
    (Exactly("DiscoveryLayer::shared"), EVERYWHERE, "DiscoveryLayer::multiplexed"),
    (Exactly("acquire_after"), EVERYWHERE, "acquire_excluding"),
    (Exactly("acquire_among"), EVERYWHERE, "acquire_from"),
    (Exactly("acquire_slowly"), EVERYWHERE, "acquire_slow"),
    (Exactly("rounds.rs"), &["crates"], "acquire_slow.rs"),
    (Exactly("mod rounds"), &["crates"], "acquire_slow"),
    (Exactly("connections_per_pod"), EVERYWHERE, "max_connections_per_endpoint"),
    (Exactly("connections_in_all"), EVERYWHERE, "max_connections_total"),
    (Exactly("min_idle_per_pod"), EVERYWHERE, "min_idle_per_endpoint"),
    (Exactly("dials_per_pod"), EVERYWHERE, "max_connecting_per_endpoint"),
    (Exactly("max_waiters_per_pod"), EVERYWHERE, "max_waiters_per_endpoint"),
    (Words("dial timeout"), EVERYWHERE, "connect_timeout"),
    (Words("dial error"), EVERYWHERE, "ConnectError, the error of the connector"),
    (Words("dial fault"), EVERYWHERE, "ConnectFault"),
    (Exactly("check_after"), EVERYWHERE, "validate_after_idle"),
    (Exactly("PodStats"), NOT_THE_TESTKIT, "EndpointStats"),
    (Words("avoided"), EVERYWHERE, "unhealthy (cannot be connected to)"),
    (Words("avoidance"), EVERYWHERE, "unhealthy (cannot be connected to)"),
    (Words("sweep"), EVERYWHERE, "invalidate_idle, maintain"),
    (Words("sweeps"), EVERYWHERE, "invalidate_idle, maintain"),
    (Words("sweeping"), EVERYWHERE, "invalidating, maintaining"),
    (Words("swept"), EVERYWHERE, "invalidated, maintained"),
    (Words("era"), EVERYWHERE, "pool generation"),
    (Words("eras"), EVERYWHERE, "pool generations"),
    (Words("bury"), EVERYWHERE, "reap"),
    (Words("buries"), EVERYWHERE, "reaps"),
    (Words("buried"), EVERYWHERE, "reaped"),
    (Words("burial"), EVERYWHERE, "reaping"),
    (Words("doomed"), EVERYWHERE, "closing"),
    (Words("starve"), EVERYWHERE, "wait for a permit"),
    (Words("starves"), EVERYWHERE, "waits for a permit"),
    (Words("starved"), EVERYWHERE, "waiting for a permit"),
    (Words("starving"), EVERYWHERE, "waiting for a permit"),
    (Words("feed"), EVERYWHERE, "grant, send"),
    (Words("yield idle"), EVERYWHERE, "evict_idle"),
    (Words("fate"), EVERYWHERE, "Supersession; the outcome"),
    (Words("lend"), EVERYWHERE, "check out"),
    (Words("lends"), EVERYWHERE, "checks out"),
    (Words("lent"), EVERYWHERE, "checked out"),
    (Words("lending"), EVERYWHERE, "checking out"),
    (Words("lender"), EVERYWHERE, "the pool"),
    (Words("give back"), EVERYWHERE, "return"),
    (Words("gives back"), EVERYWHERE, "returns"),
    (Words("given back"), EVERYWHERE, "returned"),
    (Words("gave back"), EVERYWHERE, "returned"),
    (Words("giving back"), EVERYWHERE, "returning"),

    // Requests.
    (Exactly("Terms"), &["!.md", "!//"], "RetryLimits"),
    (Exactly("terms.rs"), EVERYWHERE, "types.rs, permits.rs"),
    (Exactly("mod terms"), EVERYWHERE, "types.rs, permits.rs"),
    (Words("patience"), EVERYWHERE, "ExchangeTimeout, a timeout"),
    (Words("patiently"), EVERYWHERE, "with_timeout"),
    (Exactly("Cut"), &["!.md", "!//"], "AbortHandle; what is cut off"),
    (Exactly("Cuttable"), EVERYWHERE, "AbortableStream"),
    (Exactly("Watched"), &["!.md", "!//"], "FrameObserver"),
    (Words("holder"), &["crates/http"], "maybe_processed_by"),
    (Words("untouched"), &["crates/http"], "not_processed"),
    (Words("judge"), EVERYWHERE, "classify"),
    (Words("judges"), EVERYWHERE, "classifies"),
    (Words("judged"), EVERYWHERE, "classified"),
    (Words("judging"), EVERYWHERE, "classifying"),
    (Words("judgement"), EVERYWHERE, "classification"),
    (Words("verdict"), EVERYWHERE, "Classification"),
    (Words("verdicts"), EVERYWHERE, "classifications"),
    (Words("the guard"), MYSQL, "the statement classifier"),
    (Words("statement guard"), EVERYWHERE, "the statement classifier"),

    // Types that are named for nothing.
    (Exactly("struct Shared"), EVERYWHERE, "what is shared"),
    (Exactly("struct Known"), EVERYWHERE, "what it is: ServerProfile, ..."),
    (Exactly("struct Seen"), EVERYWHERE, "what it is: Observation, ..."),
    (Exactly("struct Wanted"), EVERYWHERE, "what it is: LookupParams, ..."),
    (Exactly("enum Wanted"), EVERYWHERE, "what it is: EndpointFilter, ..."),

    // Benches.
    (Words("contender"), EVERYWHERE, "implementation"),
    (Words("contenders"), EVERYWHERE, "implementations"),
    (Words("by hand"), BENCHES, "hand-written"),
    (Words("the limit"), BENCHES, "baseline"),
    (Words("in turn"), BENCHES, "round robin"),
];

/// Legitimate uses: text of the line that has one, the retired word in it, the reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("a line feed", "feed", "the character"),
    (".shared()", ".shared(", "of a discovery, without a number"),
];

/// The lists above are full of the words that they retire.
const HERE: &str = "tests/tidy/words.rs";

#[test]
fn retired_words_are_gone() {
    let rules: Vec<_> = RETIRED.iter().map(Rule::new).collect();
    let mut wrong = Findings::default();
    let mut counts = BTreeMap::<String, usize>::new();
    for path in text_files() {
        let places = std::iter::once((0, path.as_str()));
        let file = File::read(&path);
        for (number, line) in places.chain(file.lines()) {
            let parts = parts_of(line);
            for rule in rules.iter().filter(|rule| rule.is_in(&path, line, &parts)) {
                *counts.entry(module_of(&path)).or_default() += 1;
                let what = format!("has `{}`: say {}", rule.text, rule.instead);
                match number {
                    0 => wrong.add(&path, &what.replace("has", "is named with")),
                    number => wrong.add_line(&path, number, &what),
                }
            }
        }
    }
    print_counts("retired words", &counts);
    wrong.none();
}

#[test]
fn comments_fit_into_a_window() {
    let mut wrong = Findings::default();
    let mut counts = BTreeMap::<String, usize>::new();
    for path in text_files().filter(|path| !path.ends_with(".md")) {
        let marker = if path.ends_with(".rs") { "//" } else { "#" };
        for (number, line) in File::read(&path).lines() {
            let columns = line.chars().count();
            let comment = line.trim_start().strip_prefix(marker);
            if columns > LONGEST_COMMENT && comment.is_some_and(can_be_wrapped) {
                *counts.entry(module_of(&path)).or_default() += 1;
                wrong.add_line(
                    &path,
                    number,
                    &format!("is a comment of {columns} columns, {LONGEST_COMMENT} are the limit"),
                );
            }
        }
    }
    print_counts("long comment lines", &counts);
    wrong.none();
}

/// `foo.rs` beside `foo/`; a crate that has a `foo/mod.rs` has nothing else.
#[test]
fn modules_have_one_style() {
    let mut wrong = Findings::default();
    let sources: Vec<_> = text_files().filter(|path| path.contains("/src/")).collect();
    for path in sources.iter().filter(|path| path.ends_with("/mod.rs")) {
        let module = module_of(path);
        let is_beside = |other: &&String| {
            let folder = other.strip_suffix(".rs").map(|stem| format!("{stem}/"));
            folder.is_some_and(|folder| sources.iter().any(|it| it.starts_with(&folder)))
        };
        if let Some(other) = sources
            .iter()
            .filter(|other| module_of(other) == module)
            .find(is_beside)
        {
            wrong.add(path, &format!("is a second style of modules beside that of {other}"));
        }
    }
    wrong.none();
}

/// Everything that git keeps, or would, and a person reads.
fn text_files() -> impl Iterator<Item = String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let listed = listed.expect("git lists the files of the repository").stdout;
    let listed = String::from_utf8(listed).expect("paths are UTF-8");
    let paths = listed.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(paths.len() > 100, "only {} files found", paths.len());
    let is_read = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit('.').next().unwrap_or_default();
        let is_text = ["rs", "md", "toml", "txt", "yaml", "yml", "sh", "sql", "css"].contains(&extension);
        (is_text || name == "Dockerfile" || path.starts_with(".ci/")) && path != HERE && root().join(path).is_file()
    };
    paths.into_iter().filter(is_read)
}

/// A row of a table and an address have to stay on one line.
fn can_be_wrapped(comment: &str) -> bool {
    let text = comment.trim_start_matches(['/', '!', '#']).trim();
    !text.starts_with('|') && text.contains(' ') && !is_address(text)
}

/// A link's target, as in `[name]: https://example.org`.
fn is_address(text: &str) -> bool {
    text.starts_with('[') && text.contains("]: ")
}

struct Rule {
    text: &'static str,
    instead: &'static str,
    places: Places,
    /// Of words: the parts in a row. Of text as it stands: none.
    parts: Vec<&'static str>,
}

impl Rule {
    fn new(&(form, places, instead): &(Form, Places, &'static str)) -> Self {
        let (text, parts) = match form {
            Words(text) => (text, text.split(' ').collect()),
            Exactly(text) => (text, Vec::new()),
        };
        Self {
            text,
            instead,
            places,
            parts,
        }
    }

    fn is_in(&self, path: &str, line: &str, parts: &[String]) -> bool {
        let is_here = if self.parts.is_empty() {
            repository::has_word(line, self.text)
        } else {
            parts.windows(self.parts.len()).any(|window| window == self.parts)
        };
        is_here && self.holds_at(path, line) && !self.is_allowed(line)
    }

    fn holds_at(&self, path: &str, line: &str) -> bool {
        let is_comment = line.trim_start().starts_with("//");
        let excepted = |place: &str| match place {
            "//" => is_comment,
            place if place.starts_with('.') => path.ends_with(place),
            place => path.starts_with(place),
        };
        let mut inside = self.places.iter().filter(|place| !place.starts_with('!')).peekable();
        let is_inside = inside.peek().is_none() || inside.any(|place| path.starts_with(place));
        is_inside
            && !self
                .places
                .iter()
                .filter_map(|place| place.strip_prefix('!'))
                .any(excepted)
    }

    fn is_allowed(&self, line: &str) -> bool {
        ALLOWED
            .iter()
            .any(|(text, word, _)| *word == self.text && line.contains(text))
    }
}

/// The words of a line in small letters, and the words that its names are made of.
fn parts_of(line: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for name in line.split(|c: char| !c.is_alphanumeric()) {
        let mut part = String::new();
        let mut after_small = false;
        for c in name.chars() {
            if c.is_uppercase() && after_small {
                parts.push(std::mem::take(&mut part));
            }
            after_small = c.is_lowercase();
            part.extend(c.to_lowercase());
        }
        if !part.is_empty() {
            parts.push(part);
        }
    }
    parts
}

/// The crate or folder that a count is given for.
fn module_of(path: &str) -> String {
    let depth = if path.starts_with("crates/") { 2 } else { 1 };
    path.split('/').take(depth).collect::<Vec<_>>().join("/")
}

fn print_counts(what: &str, counts: &BTreeMap<String, usize>) {
    println!("{what}: {}", counts.values().sum::<usize>());
    for (module, count) in counts {
        println!("{count:6} {module}");
    }
}

#[test]
fn words_are_found_in_every_spelling() {
    let rule = Rule::new(&(Words("look soon"), EVERYWHERE, ""));
    let is_in = |line: &str| rule.is_in("a.rs", line, &parts_of(line));
    for line in [
        "look_soon()",
        "LookSoon",
        "// Look soon.",
        "set_look_soon",
        "to look-soon",
    ] {
        assert!(is_in(line), "{line}");
    }
    for line in ["lookup soon", "look, or soon after", "outlook_soon", "look sooner"] {
        assert!(!is_in(line), "{line}");
    }
}

#[test]
fn places_limit_a_rule() {
    let rule = Rule::new(&(Exactly("Cut"), &["benches", "!.md", "!//"], ""));
    let is_in = |path: &str, line: &str| rule.is_in(path, line, &parts_of(line));
    assert!(is_in("benches/a.rs", "struct Cut;"));
    assert!(!is_in("benches/a.rs", "    // Cut it."));
    assert!(!is_in("benches/a.md", "Cut it."));
    assert!(!is_in("crates/a.rs", "struct Cut;"));
    assert!(!is_in("benches/a.rs", "struct Cuts;"));
}
