//! `cargo xtask bench`: the measurements in `benches`, one or all, and the page of their results.

use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use crate::cargo::{BENCHES, cargo, target_dir};
use crate::steps::Run;
use crate::tools::CMAKE;

/// Where the benchmarks are listed.
const MANIFEST: &str = include_str!("../../../benches/Cargo.toml");

pub(crate) fn run(run: &mut Run, name: Option<&str>, json: Option<&Path>, rest: &[String]) {
    // cargo starts a benchmark in its package's folder, but the user means the one they are in.
    let json = json.map(|file| absolute(file).unwrap_or_else(|_| file.to_owned()));
    if let Some(why) = CMAKE.missing() {
        run.skip(&format!(
            "installing {}, which the peers are built with: {why}",
            CMAKE.name
        ));
    }
    let folder = target_dir().join("bench");
    let all: Vec<_> = names(MANIFEST).collect();
    let asked = name.map_or(all.clone(), |name| vec![name]);
    let mut failed = Vec::new();
    for &bench in &asked {
        let mut program = cargo(["bench"]);
        with_peers(&mut program).args(["--bench", bench, "--", "--json"]);
        program.arg(folder.join(bench).with_extension("json"));
        if let Some(file) = &json {
            let file = if name.is_some() { file.clone() } else { of(bench, file) };
            program.arg("--json").arg(file);
        }
        if !run.step(bench, program.args(rest)) {
            failed.push(bench);
        }
    }
    let mut report = cargo(["run", "--profile", "bench"]);
    with_peers(&mut report).args(["--bin", "report", "--"]);
    report.arg(&folder).args(&all);
    for bench in failed {
        report.args(["--failed", bench]);
    }
    run.step("report", &mut report);
}

/// The same for all, so that nothing is compiled twice.
fn with_peers(command: &mut Command) -> &mut Command {
    command.args(BENCHES).args(["--features", "peers"])
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
