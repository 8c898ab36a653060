//! `cargo xtask bench`: the measurements in `benches`, one or all.

use std::path::{Path, PathBuf, absolute};

use crate::cargo::cargo;
use crate::steps::Run;

/// Where the benchmarks are listed.
const MANIFEST: &str = include_str!("../../../benches/Cargo.toml");

pub(crate) fn run(run: &mut Run, name: Option<&str>, json: Option<&Path>, rest: &[String]) {
    // cargo starts a benchmark in its package's folder, but the user means the one they are in.
    let json = json.map(|file| absolute(file).unwrap_or_else(|_| file.to_owned()));
    if let Some(name) = name {
        return step(run, name, json, rest);
    }
    for name in names(MANIFEST) {
        step(run, name, json.as_deref().map(|file| of(name, file)), rest);
    }
}

fn step(run: &mut Run, name: &str, json: Option<PathBuf>, rest: &[String]) {
    let mut bench = cargo([
        "bench",
        "-p",
        "headless-benches",
        "--features",
        "peers",
        "--bench",
        name,
        "--",
    ]);
    if let Some(file) = json {
        bench.arg("--json").arg(file);
    }
    run.step(name, bench.args(rest));
}

fn names(manifest: &str) -> impl Iterator<Item = &str> {
    let tables = manifest.split("[[bench]]").skip(1);
    tables.filter_map(|table| table.split("name = \"").nth(1)?.split('"').next())
}

/// The file of one benchmark of many: `out.pool.json`.
fn of(name: &str, file: &Path) -> PathBuf {
    match file.extension() {
        Some(extension) => file.with_extension(format!("{name}.{}", extension.display())),
        None => file.with_extension(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_names_the_benchmarks() {
        let manifest = "[package]\nname = \"benches\"\n[[bench]]\nname = \"a\"\npath = \"a.rs\"\n\n[[bench]]\nname = \"b\"\n[lib]\n";
        assert_eq!(names(manifest).collect::<Vec<_>>(), ["a", "b"]);
        assert!(names(MANIFEST).any(|name| name == "pool"));
    }

    #[test]
    fn each_of_many_gets_a_file_of_its_own() {
        assert_eq!(of("pool", Path::new("/tmp/out.json")), Path::new("/tmp/out.pool.json"));
        assert_eq!(of("pool", Path::new("/tmp/out")), Path::new("/tmp/out.pool"));
    }
}
