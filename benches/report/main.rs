//! The report: what the benchmarks left in a folder, as JSON and plots, becomes one page there, `index.html`.
//!
//! Called by `cargo xtask bench`, which knows the names of all benchmarks, and which of them have just failed:
//! `report FOLDER NAME... [--failed NAME]...`. It measures nothing, and the same results give the same page.

mod chart;
mod html;
mod page;
mod results;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use page::page;
use results::Results;

fn main() -> ExitCode {
    let Some(asked) = Asked::parse(std::env::args().skip(1)) else {
        eprintln!("error: usage: report FOLDER NAME... [--failed NAME]...");
        return ExitCode::from(2);
    };
    match asked.answer() {
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

#[derive(Debug, Default)]
struct Asked {
    folder: PathBuf,
    benches: Vec<String>,
    failed: Vec<String>,
}

/// A benchmark that there are no results of.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    bench: String,
    /// Not even now that it was run.
    failed: bool,
}

impl Asked {
    fn parse(args: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut args = args.into_iter();
        let mut asked = Self {
            folder: args.next()?.into(),
            ..Self::default()
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--failed" => asked.failed.push(args.next()?),
                _ => asked.benches.push(arg),
            }
        }
        Some(asked)
    }

    fn answer(&self) -> Result<PathBuf, String> {
        let mut all = Vec::new();
        let mut missing = Vec::new();
        for bench in &self.benches {
            let failed = self.failed.contains(bench);
            match read(&self.folder, bench)? {
                Some(results) => all.push(Results {
                    outdated: failed,
                    ..results
                }),
                None => missing.push(Missing {
                    bench: bench.clone(),
                    failed,
                }),
            }
        }
        let file = self.folder.join("index.html");
        let written = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&file, page(&all, &missing)));
        written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        Ok(file)
    }
}

/// `None`: there are no results.
fn read(folder: &Path, bench: &str) -> Result<Option<Results>, String> {
    let file = folder.join(bench).with_extension("json");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", file.display())),
    };
    let broken = |error| {
        format!(
            "{} is not what a benchmark writes: {error}; run it again or remove the file",
            file.display()
        )
    };
    let mut results = Results::from_json(&text).map_err(broken)?;
    results.plots = plots(folder, bench).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    Ok(Some(results))
}

/// The plots that a benchmark has written itself, by name.
fn plots(folder: &Path, bench: &str) -> io::Result<Vec<(String, String)>> {
    let mut plots = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let is_its_own = name.strip_prefix(bench).is_some_and(|rest| rest.starts_with('-'));
        if is_its_own && path.extension().is_some_and(|extension| extension == "svg") {
            plots.push((name.to_owned(), fs::read_to_string(&path)?));
        }
    }
    plots.sort();
    Ok(plots)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of one test, gone with the value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("bench-report-{test}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn with(self, name: &str, text: &str) -> Self {
            fs::write(self.0.join(name), text).unwrap();
            self
        }

        fn asked(&self, line: &str) -> Result<String, String> {
            let folder = self.0.display().to_string();
            let args = std::iter::once(folder).chain(line.split(' ').map(str::to_owned));
            let file = Asked::parse(args).expect("understood").answer()?;
            Ok(fs::read_to_string(file).unwrap())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn json(bench: &str, row: &str) -> String {
        format!(
            r#"{{ "bench": "{bench}", "limit": "by hand", "command": "cargo bench", "machine": {{}}, "targets": [],
                  "rows": [{{ "contender": "{row}", "case": "alone", "metric": "time", "value": 1, "unit": "ns" }}] }}"#
        )
    }

    #[test]
    fn all_results_of_a_folder_become_one_page() {
        let folder = Folder::new("all").with("pool.json", &json("pool", "ours, pooled"));
        let folder = folder.with("churn.json", &json("churn", "ours, churned"));
        let folder = folder.with("churn-died.svg", "<svg>a plot of churn</svg>");
        let page = folder
            .asked("pool churn http clone --failed http --failed churn")
            .unwrap();
        for part in ["ours, pooled", "ours, churned", "a plot of churn"] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(page.contains("<b>http</b>: failed</li>"), "{page}");
        assert!(
            page.contains("<b>churn</b>: failed; its results are of an earlier run</li>"),
            "{page}"
        );
        assert!(page.contains("<b>clone</b>: not run"), "{page}");
    }

    #[test]
    fn a_plot_belongs_to_the_benchmark_whose_name_it_begins_with() {
        let folder = Folder::new("plots").with("churn-died.svg", "<svg>1</svg>");
        let folder = folder.with("churn-crash.svg", "<svg>2</svg>");
        let folder = folder
            .with("churning-died.svg", "<svg>3</svg>")
            .with("churn-notes.txt", "");
        let names: Vec<_> = plots(&folder.0, "churn")
            .unwrap()
            .into_iter()
            .map(|plot| plot.0)
            .collect();
        assert_eq!(names, ["churn-crash", "churn-died"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = Folder::new("broken").with("pool.json", "{ \"bench\": \"pool\" }");
        let error = folder.asked("pool").expect_err("no rows");
        assert!(error.contains("pool.json") && error.contains("`rows`"), "{error}");
    }
}
