//! The report: reads the JSON that the benchmarks left in a folder and writes one page there,
//! `index.html`.
//!
//! `report FOLDER NAME... [--failed NAME]...` is called by `cargo xtask bench`, which knows the
//! names of all benchmarks and which of them have just failed. It measures nothing.

mod page;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use headless_benches::harness::Results;

use page::{Entry, page};

fn main() -> ExitCode {
    match report(env::args().skip(1)) {
        Ok(file) => {
            println!("report: {}", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(mut args: impl Iterator<Item = String>) -> Result<PathBuf, String> {
    const USAGE: &str = "usage: report FOLDER NAME... [--failed NAME]...";
    let folder = PathBuf::from(args.next().ok_or(USAGE)?);
    let (mut names, mut failed) = (Vec::new(), Vec::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--failed" => failed.push(args.next().ok_or(USAGE)?),
            _ => names.push(arg),
        }
    }
    let entries = names.into_iter().map(|name| {
        let (failed, results) = (failed.contains(&name), read(&folder, &name)?);
        Ok(Entry { name, failed, results })
    });
    let html = page(&entries.collect::<Result<Vec<_>, String>>()?);
    let file = folder.join("index.html");
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, html));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(file)
}

/// Returns the results of a benchmark; `None` if there are none.
fn read(folder: &Path, name: &str) -> Result<Option<Results>, String> {
    let file = folder.join(name).with_extension("json");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        format!(
            "{} is not what a benchmark writes: {error}; run it again or remove the file",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes these files into a new folder, and returns the page that the report makes of them.
    fn page_of(test: &str, files: &[(&str, String)], args: &str) -> Result<String, String> {
        let folder = env::temp_dir().join(format!("bench-report-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let args = args.split(' ').map(str::to_owned);
        let file = report(std::iter::once(folder.display().to_string()).chain(args));
        let page = file.map(|file| fs::read_to_string(file).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        page
    }

    fn json(bench: &str, row: &str) -> String {
        format!(
            r#"{{ "bench": "{bench}", "baseline": "mine & yours", "command": "cargo --quick",
                "machine": {{ "cpus": 2, "model": null, "rustc": null }},
                "rows": [
                    {{ "implementation": "mine & yours", "case": "alone", "metric": "time", "value": 10.0, "unit": "ns" }},
                    {{ "implementation": "{row}", "case": "alone", "metric": "time", "value": 25.0, "unit": "ns" }}
                ],
                "targets": [
                    {{ "name": "fast", "value": 2.9996, "bound": "< 3", "holds": true }},
                    {{ "name": "fair", "value": 3.0, "bound": "< 3", "holds": false }},
                    {{ "name": "lean", "value": null, "bound": "< 3", "holds": null }}
                ] }}"#
        )
    }

    #[test]
    fn all_results_of_a_folder_become_one_page() {
        let files = [
            ("pool.json", json("pool", "<ours>")),
            ("churn.json", json("churn", "theirs")),
        ];
        let args = "pool churn http clone --failed http --failed churn";
        let page = page_of("all", &files, args).unwrap();
        for part in [
            "<section id=\"pool\">\n<h2>pool</h2>\n<p><code>cargo --quick</code><br>2 CPUs</p>",
            "<th>alone</th><th>time [ns]</th>",
            "<tr class=\"baseline\"><td>mine &amp; yours</td><td>10.0   1.00x</td></tr>",
            "<td>&lt;ours></td><td>25.0   2.50x</td>",
            "pool</a>: a quick run, not a measurement; targets: 1 held, 1 missed, 1 not measured",
            "churn</a>: failed; its results are of an earlier run;",
            "http</a>: failed; targets: 0 held",
            "clone</a>: not run; ",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        for outside in ["<script", "<link", "<img", "src=", "url(", "@import", "http:", "https:"] {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
    }

    #[test]
    fn missed_targets_come_first() {
        let page = page_of("missed", &[("pool.json", json("pool", "ours"))], "pool").unwrap();
        let (top, rest) = page.split_once("<h2>Benchmarks").expect("an overview");
        assert!(top.contains("pool</a>: fair (wanted &lt; 3, is 3.000)</li>"), "{top}");
        assert!(!top.contains("fast") && !top.contains("lean"), "{top}");
        for row in [
            "<td>fast</td><td>&lt; 3</td><td>3.000</td><td>yes</td>",
            "<tr class=\"missed\"><td>fair</td><td>&lt; 3</td><td>3.000</td><td>NO</td>",
            "<td>lean</td><td>&lt; 3</td><td>-</td><td>not measured</td>",
        ] {
            assert!(rest.contains(row), "{row} in {rest}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let files = [("pool.json", "{ \"bench\": \"pool\" }".to_owned())];
        let error = page_of("broken", &files, "pool").expect_err("no rows");
        assert!(error.contains("pool.json") && error.contains("`baseline`"), "{error}");
    }
}
