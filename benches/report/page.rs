//! The page: missed targets first, then each benchmark with its targets and tables. One file that
//! needs no other.

use headless_benches::harness::{Results, Target, tables};

/// A benchmark, and what it left.
pub struct Entry {
    pub name: String,
    /// Its last run failed; its results, if there are any, are of an earlier run.
    pub failed: bool,
    pub results: Option<Results>,
}

const STYLE: &str = "
:root { color-scheme: light dark; }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
section { border-top: 2px solid; margin-top: 3rem; overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: 0.15rem 0.7rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.baseline { font-style: italic; }
.missed { color: #d04000; font-weight: bold; }
";

/// Returns the page as HTML. It has no date: the same results give the same page.
pub fn page(entries: &[Entry]) -> String {
    let missed: String = entries.iter().map(missed).collect();
    let overview: String = entries.iter().map(overview).collect();
    let sections: String = entries
        .iter()
        .filter_map(|entry| entry.results.as_ref())
        .map(section)
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>headless: benches</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Benches of headless</h1>\n\
         <p>Read the ratios: <b>2.00x</b> is twice the figure of the <i>baseline</i> in the same \
         run. ± is half the width of the middle half of the rounds. What is measured, and how: \
         <code>benches/README.md</code>.</p>\n\
         <h2>Missed targets</h2>\n<ul class=\"missed\">\n{missed}</ul>\n\
         <h2>Benchmarks</h2>\n<ul>\n{overview}</ul>\n{sections}</body>\n</html>\n"
    )
}

fn missed(entry: &Entry) -> String {
    let targets = entry.results.iter().flat_map(|results| &results.targets);
    let missed = targets.filter(|target| target.holds == Some(false)).map(|target| {
        let [name, bound] = [&target.name, &target.bound].map(|text| escaped(text));
        format!(
            "<li>{}: {name} (wanted {bound}, is {})</li>\n",
            link(entry),
            value(target)
        )
    });
    missed.collect()
}

fn overview(entry: &Entry) -> String {
    let state = match (&entry.results, entry.failed) {
        (None, true) => "failed",
        (None, false) => "not run",
        (Some(_), true) => "failed; its results are of an earlier run",
        (Some(results), false) if results.command.split(' ').any(|word| word == "--quick") => {
            "a quick run, not a measurement"
        }
        (Some(_), false) => "measured",
    };
    let targets = entry.results.iter().flat_map(|results| &results.targets);
    let count = |holds| targets.clone().filter(|target| target.holds == holds).count();
    let (held, missed, open) = (count(Some(true)), count(Some(false)), count(None));
    let targets = format!("targets: {held} held, {missed} missed, {open} not measured");
    format!("<li>{}: {state}; {targets}</li>\n", link(entry))
}

fn link(entry: &Entry) -> String {
    let name = escaped(&entry.name);
    format!("<a href=\"#{name}\">{name}</a>")
}

fn section(results: &Results) -> String {
    let [name, command, machine] =
        [&results.bench, &results.command, &results.machine.to_string()].map(|text| escaped(text));
    let mut html = format!("<section id=\"{name}\">\n<h2>{name}</h2>\n<p><code>{command}</code><br>{machine}</p>\n");
    let targets = results.targets.iter().map(|target| {
        let (class, holds) = match target.holds {
            Some(true) => ("", "yes"),
            Some(false) => ("missed", "NO"),
            None => ("", "not measured"),
        };
        let cells = [
            target.name.clone(),
            target.bound.clone(),
            value(target),
            holds.to_owned(),
        ];
        (class, cells.to_vec())
    });
    if !results.targets.is_empty() {
        html += &table(&["target", "wanted", "is", "holds"].map(str::to_owned), targets);
    }
    for figures in tables(&results.rows, &results.baseline) {
        let lines = figures.lines.into_iter().map(|line| {
            let class = if line[0] == results.baseline { "baseline" } else { "" };
            (class, line)
        });
        html += &table(&figures.head, lines);
    }
    html + "</section>\n"
}

/// One digit more than the tables show, because the side of the bound matters.
fn value(target: &Target) -> String {
    target.value.map_or("-".to_owned(), |value| format!("{value:.3}"))
}

/// A table of a heading, and of lines that have a class and cells.
fn table(head: &[String], lines: impl Iterator<Item = (&'static str, Vec<String>)>) -> String {
    let line = |tag: &str, class: &str, cells: &[String]| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr class=\"{class}\">{}</tr>\n", cells.collect::<String>())
    };
    let head = line("th", "", head);
    let lines: String = lines.map(|(class, cells)| line("td", class, &cells)).collect();
    format!("<table>\n{head}{lines}</table>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
