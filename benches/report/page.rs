//! The page: what was missed first, then each benchmark with its targets, tables, charts and plots. One file that needs no other.
//!
//! Results of `write!` are dropped here, as writing to a `String` does not fail.

use std::fmt::Write as _;

use headless_benches::harness::{Row, distinct, number};

use crate::Missing;
use crate::chart::chart;
use crate::html::escaped;
use crate::results::{Results, Target};

const STYLE: &str = include_str!("style.css");

/// A chart is drawn of a case's first metric, and of this one.
const INSTRUCTIONS: &str = "instructions";

/// As HTML. Without a date, so that the same results give the same page.
pub fn page(all: &[Results], missing: &[Missing]) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>headless: benches</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>Benches of headless</h1>\n\
         <p>Read the ratios: <b>2.00x</b> is twice the figure of the <span class=\"limit\">row</span> that all are compared with, in the \
         same run. ±&nbsp;is half the width of the middle half of the rounds. What is measured, and how: <code>benches/README.md</code>.</p>\n"
    );
    machines(&mut html, all);
    misses(&mut html, all);
    absent(&mut html, all, missing);
    overview(&mut html, all);
    for results in all {
        section(&mut html, results);
    }
    html.push_str("</body>\n</html>\n");
    html
}

fn machines(html: &mut String, all: &[Results]) {
    let machines = distinct(all.iter().map(|results| results.machine.as_str()));
    if let [machine] = machines[..] {
        let _ = writeln!(html, "<p>Measured on: {}.</p>", escaped(machine));
        return;
    }
    for machine in machines {
        let there = all.iter().filter(|results| results.machine == machine);
        let there: Vec<_> = there.map(|results| escaped(&results.bench)).collect();
        let _ = writeln!(html, "<p>Measured on: {}: {}.</p>", escaped(machine), there.join(", "));
    }
}

fn misses(html: &mut String, all: &[Results]) {
    let mut targets = all.iter().flat_map(|results| &results.targets);
    if !targets.any(|target| target.holds.is_some()) {
        return;
    }
    html.push_str("<h2>Missed targets</h2>\n");
    let missed = all.iter().flat_map(|results| {
        let missed = results.targets.iter().filter(|target| target.holds == Some(false));
        missed.map(|target| {
            let bench = escaped(&results.bench);
            format!("<li><a href=\"#{bench}\">{bench}</a>: {}</li>\n", said(target))
        })
    });
    let missed: String = missed.collect();
    if missed.is_empty() {
        html.push_str("<p>None of those that were measured.</p>\n");
    } else {
        let _ = writeln!(html, "<ul class=\"no\">\n{missed}</ul>");
    }
}

fn absent(html: &mut String, all: &[Results], missing: &[Missing]) {
    let outdated = all.iter().filter(|results| results.outdated);
    let outdated = outdated.map(|results| (&results.bench, "failed; its results are of an earlier run"));
    let missing = missing
        .iter()
        .map(|missing| (&missing.bench, if missing.failed { "failed" } else { "not run" }));
    let items = outdated
        .chain(missing)
        .map(|(bench, why)| format!("<li><b>{}</b>: {why}</li>\n", escaped(bench)));
    let items: String = items.collect();
    if !items.is_empty() {
        let _ = writeln!(html, "<h2>Failed or not run</h2>\n<ul>\n{items}</ul>");
    }
}

fn overview(html: &mut String, all: &[Results]) {
    html.push_str(
        "<h2>Benchmarks</h2>\n<div class=\"wide\"><table>\n\
         <tr><th>benchmark</th><th>targets held</th><th>missed</th><th>not measured</th></tr>\n",
    );
    for results in all {
        let count = |holds| results.targets.iter().filter(|target| target.holds == holds).count();
        let (held, missed, open) = (count(Some(true)), count(Some(false)), count(None));
        let class = if missed > 0 { " class=\"no\"" } else { "" };
        let bench = escaped(&results.bench);
        let _ = writeln!(
            html,
            "<tr><td><a href=\"#{bench}\">{bench}</a>{}</td><td>{held}</td><td{class}>{missed}</td><td>{open}</td></tr>",
            doubt(results)
        );
    }
    html.push_str("</table></div>\n");
}

/// Figures that are no measurement of what is here now say so.
fn doubt(results: &Results) -> &'static str {
    match (results.outdated, results.quick()) {
        (true, _) => " (of an earlier run: the last one failed)",
        (false, true) => " (a look, not a measurement)",
        (false, false) => "",
    }
}

fn section(html: &mut String, results: &Results) {
    let bench = escaped(&results.bench);
    let (command, doubt) = (escaped(&results.command), doubt(results));
    let _ = writeln!(
        html,
        "<section id=\"{bench}\">\n<h2>{bench}</h2>\n<p><code>{command}</code>{doubt}</p>"
    );
    targets(html, &results.targets);
    let limit = escaped(&results.limit);
    if !results.rows.iter().any(|row| row.contender == results.limit) {
        let _ = writeln!(
            html,
            "<p>No ratios: there is no row of <i>{limit}</i>, which all are compared with.</p>"
        );
    }
    for case in distinct(results.rows.iter().map(|row| row.case.as_str())) {
        let rows: Vec<_> = results.rows.iter().filter(|row| row.case == case).collect();
        let _ = writeln!(html, "<h3>{}</h3>\n<div class=\"case\">", escaped(case));
        table(html, &rows, &results.limit);
        charts(html, &rows, &results.limit);
        html.push_str("</div>\n");
    }
    for (name, svg) in &results.plots {
        let _ = writeln!(
            html,
            "<figure>\n{svg}<figcaption>{}</figcaption>\n</figure>",
            escaped(name)
        );
    }
    html.push_str("</section>\n");
}

fn targets(html: &mut String, targets: &[Target]) {
    if targets.is_empty() {
        return;
    }
    html.push_str("<div class=\"wide\"><table>\n<tr><th>target</th><th>wanted</th><th>is</th><th>holds</th></tr>\n");
    for target in targets {
        let (class, holds) = match target.holds {
            Some(true) => ("yes", "yes"),
            Some(false) => ("no", "NO"),
            None => ("open", "not measured"),
        };
        let value = target.value.map_or("-".to_owned(), figure);
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{value}</td><td class=\"{class}\">{holds}</td></tr>",
            escaped(&target.name),
            escaped(&target.bound)
        );
    }
    html.push_str("</table></div>\n");
}

fn said(target: &Target) -> String {
    let value = target.value.map_or("-".to_owned(), figure);
    format!(
        "{} (wanted {}, is {value})",
        escaped(&target.name),
        escaped(&target.bound)
    )
}

/// Of a target: one digit more than of a row, as what matters may be on which side of a bound it is.
fn figure(value: f64) -> String {
    format!("{value:.3}")
}

fn table(html: &mut String, rows: &[&Row], limit: &str) {
    let metrics = distinct(rows.iter().map(|row| row.metric.as_str()));
    html.push_str("<div class=\"wide\"><table>\n<tr><th></th>");
    for metric in &metrics {
        let _ = write!(html, "<th>{}</th>", heading(metric, rows));
    }
    html.push_str("</tr>\n");
    for contender in distinct(rows.iter().map(|row| row.contender.as_str())) {
        let class = if contender == limit { " class=\"limit\"" } else { "" };
        let _ = write!(html, "<tr{class}><td>{}</td>", escaped(contender));
        for metric in &metrics {
            let of = |name: &str| rows.iter().find(|row| row.contender == name && row.metric == *metric);
            let cell = of(contender).map(|row| cell(row, of(limit).map(|row| row.value)));
            let _ = write!(html, "<td>{}</td>", cell.unwrap_or_default());
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

/// The metric with its unit.
fn heading(metric: &str, rows: &[&Row]) -> String {
    match rows.iter().find(|row| row.metric == metric).map_or("", |row| &row.unit) {
        "" => escaped(metric),
        unit => format!("{} [{}]", escaped(metric), escaped(unit)),
    }
}

/// The value, how many times the limit's it is, and half the width of the middle half.
fn cell(row: &Row, limit: Option<f64>) -> String {
    let mut cell = number(row.value);
    if let Some(limit) = limit.filter(|limit| limit.is_normal()) {
        let _ = write!(cell, " <b>{}x</b>", number(row.value / limit));
    }
    if let Some((low, high)) = row.middle_half.filter(|_| row.value.is_normal()) {
        let _ = write!(cell, " <small>±{:.0}%</small>", 50.0 * (high - low) / row.value);
    }
    cell
}

fn charts(html: &mut String, rows: &[&Row], limit: &str) {
    let metrics = distinct(rows.iter().map(|row| row.metric.as_str()));
    let of = |metric: &str| {
        rows.iter()
            .copied()
            .filter(|row| row.metric == metric)
            .collect::<Vec<_>>()
    };
    let mut charts = metrics
        .iter()
        .filter_map(|metric| Some((*metric, chart(&of(metric), limit)?)));
    let first = charts.next();
    let instructions = charts.find(|(metric, _)| *metric == INSTRUCTIONS);
    for (metric, svg) in first.into_iter().chain(instructions) {
        let caption = format!("{}, as a multiple of <i>{}</i>", escaped(metric), escaped(limit));
        let _ = writeln!(
            html,
            "<figure>\n<figcaption>{caption}</figcaption>\n<div class=\"wide\">{svg}</div>\n</figure>"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(bench: &str, limit: &str, rows: &[(&str, &str, f64)]) -> Results {
        let rows = rows.iter().map(|&(contender, metric, value)| Row {
            contender: contender.to_owned(),
            case: "alone".to_owned(),
            metric: metric.to_owned(),
            value,
            unit: "ns".to_owned(),
            middle_half: Some((0.9 * value, 1.1 * value)),
        });
        Results {
            bench: bench.to_owned(),
            limit: limit.to_owned(),
            machine: "2 CPUs".to_owned(),
            rows: rows.collect(),
            ..Results::default()
        }
    }

    fn target(name: &str, value: Option<f64>, holds: Option<bool>) -> Target {
        Target {
            name: name.to_owned(),
            value,
            bound: "< 3".to_owned(),
            holds,
        }
    }

    #[test]
    fn tables_charts_and_plots_of_each_benchmark() {
        let mut pool = results(
            "pool",
            "by hand",
            &[("by hand", "time", 10.0), ("<ours> & co", "time", 25.0)],
        );
        pool.plots
            .push(("pool-waits".to_owned(), "<svg>waits</svg>".to_owned()));
        let acquire = results(
            "acquire",
            "by hand",
            &[("by hand", "time", 8.0), ("random", "time", 8.0)],
        );
        let page = page(&[pool, acquire], &[]);
        for part in [
            "<section id=\"pool\">",
            "<section id=\"acquire\">",
            "<th>time [ns]</th>",
            "<tr class=\"limit\"><td>by hand</td><td>10.0 <b>1.00x</b> <small>±10%</small></td></tr>",
            "<tr><td>&lt;ours&gt; &amp; co</td><td>25.0 <b>2.50x</b>",
            "<svg>waits</svg><figcaption>pool-waits</figcaption>",
            "<p>Measured on: 2 CPUs.</p>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert_eq!(page.matches("class=\"chart\"").count(), 2);
        assert!(!page.contains("<ours>") && !page.contains("Missed targets"), "{page}");
    }

    #[test]
    fn it_needs_no_other_file_and_no_script() {
        let page = page(&[results("pool", "a", &[("a", "time", 1.0), ("b", "time", 2.0)])], &[]);
        for outside in ["<script", "<link", "<img", "src=", "url(", "@import", "http:", "https:"] {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn missed_targets_come_first_and_those_not_measured_are_told_apart() {
        let mut pool = results("pool", "by hand", &[("by hand", "time", 10.0)]);
        pool.targets = vec![
            target("fast", Some(2.9996), Some(true)),
            target("fair", Some(3.0), Some(false)),
            target("lean", None, None),
        ];
        let page = page(&[pool], &[]);
        let (top, section) = page.split_once("<section").expect("one section");
        assert!(
            top.contains("<li><a href=\"#pool\">pool</a>: fair (wanted &lt; 3, is 3.000)</li>"),
            "{top}"
        );
        assert!(!top.contains("fast") && !top.contains("lean"), "{top}");
        for row in [
            "<td>fast</td><td>&lt; 3</td><td>3.000</td><td class=\"yes\">yes</td>",
            "<td>fair</td><td>&lt; 3</td><td>3.000</td><td class=\"no\">NO</td>",
            "<td>lean</td><td>&lt; 3</td><td>-</td><td class=\"open\">not measured</td>",
        ] {
            assert!(section.contains(row), "{row} in {section}");
        }
    }

    #[test]
    fn without_a_row_of_the_limit_there_are_figures_but_no_ratios() {
        let page = page(&[results("pool", "by hand", &[("ours", "time", 25.0)])], &[]);
        assert!(page.contains("there is no row of <i>by hand</i>"), "{page}");
        assert!(page.contains("<td>25.0 <small>±10%</small></td>"), "{page}");
        assert!(!page.contains("class=\"chart\""), "{page}");
    }

    #[test]
    fn the_charts_are_of_the_first_metric_and_of_instructions() {
        let rows = ["time", "p99", "instructions"].map(|metric| [("limit", metric, 1.0), ("ours", metric, 2.0)]);
        let page = page(&[results("pool", "limit", rows.as_flattened())], &[]);
        for (metric, drawn) in [("time", true), ("p99", false), ("instructions", true)] {
            let caption = format!("<figcaption>{metric}, as a multiple of <i>limit</i></figcaption>");
            assert_eq!(page.contains(&caption), drawn, "{metric} in {page}");
        }
    }

    #[test]
    fn several_machines_say_what_was_measured_where() {
        let mut other = results("acquire", "a", &[]);
        other.machine = "64 CPUs".to_owned();
        let page = page(&[results("pool", "a", &[]), other], &[]);
        assert!(
            page.contains("2 CPUs: pool.") && page.contains("64 CPUs: acquire."),
            "{page}"
        );
    }
}
