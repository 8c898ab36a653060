//! `cargo xtask features`: every feature of a published package alone, none of them, and every
//! pair.
//!
//! All of them together are what the rest of `lint` checks. A check, and no build: what a feature
//! does is tested elsewhere, here only that no feature needs another one, or the default ones,
//! without saying so.

use std::fs;

use crate::cargo::{cargo, root};
use crate::packages::PUBLISHED;
use crate::steps::Run;

pub(crate) fn run(run: &mut Run) {
    for (package, folder) in PUBLISHED {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap_or_default();
        for features in sets(&features(&manifest)) {
            let mut check = cargo(["clippy", "--package", package, "--no-default-features"]);
            check.args(["--features", &features.join(",")]);
            let name = match features.is_empty() {
                true => format!("{package} without features"),
                false => format!("{package} with {}", features.join(", ")),
            };
            run.step(&name, check.args(["--", "-D", "warnings"]));
        }
    }
}

/// None, each, and each pair; but not all of them, which is checked anyway.
fn sets<'a>(features: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut sets = vec![vec![]];
    for (at, &one) in features.iter().enumerate() {
        sets.push(vec![one]);
        sets.extend(features[..at].iter().map(|&other| vec![other, one]));
    }
    sets.retain(|set| set.len() < features.len());
    sets
}

/// The features that a user may turn on. `default` is a list of others, and those that begin with
/// `__` are parts of others.
fn features(manifest: &str) -> Vec<&str> {
    let table = manifest.split("\n[features]\n").nth(1).unwrap_or_default();
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| Some(line.split_once(" = [")?.0));
    names
        .filter(|name| *name != "default" && !name.starts_with("__") && !name.starts_with('#'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_of_a_manifest() {
        let manifest = "[package]\nname = \"p\"\n\n[features]\ndefault = [\"a\"]\n# It has a reason.\na = []\n__both = []\nb = [\n    \"dep:x\",\n]\n\n[dependencies]\nc = [1]\n";
        assert_eq!(features(manifest), ["a", "b"]);
        assert_eq!(features("[package]\n"), [""; 0]);
    }

    #[test]
    fn none_each_and_each_pair_but_not_all() {
        assert_eq!(sets(&["a", "b"]), [vec![], vec!["a"], vec!["b"]]);
        assert_eq!(sets(&["a"]), [[""; 0]]);
        assert!(sets(&[]).is_empty());
        let three = sets(&["a", "b", "c"]);
        assert_eq!(three.len(), 1 + 3 + 3);
        assert!(three.contains(&vec!["a", "c"]));
    }
}
