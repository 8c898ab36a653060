//! The repository as text: its files, their code without comments and tests, their manifests, and
//! what was found wrong.

use std::fs;
use std::path::{Path, PathBuf};

/// What is wrong, collected, so that one run shows all of it.
#[derive(Default)]
pub struct Findings(Vec<String>);

impl Findings {
    pub fn add(&mut self, path: &str, what: &str) {
        self.0.push(format!("{path} {what}"));
    }

    pub fn add_line(&mut self, path: &str, line: usize, what: &str) {
        self.0.push(format!("{path}:{line} {what}"));
    }

    pub fn forbid<'a>(&mut self, file: &File, lines: impl Iterator<Item = (usize, &'a str)>, banned: &[&str]) {
        for (number, line) in lines {
            for word in banned.iter().filter(|word| has_word(line, word)) {
                self.add_line(&file.path, number, &format!("has `{word}`, which has no place here"));
            }
        }
    }

    #[track_caller]
    pub fn none(self) {
        assert!(self.0.is_empty(), "{} found:\n{}\n", self.0.len(), self.0.join("\n"));
    }
}

/// A text file, with its path from the root of the repository.
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    #[track_caller]
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let path = path.to_owned();
        Self { path, text }
    }

    /// The lines, counted from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Without comments.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().map(|(number, line)| (number, without_comment(line)))
    }

    /// Up to the test module; those stand last in a file.
    pub fn without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<_> = self.text.lines().map(str::trim_start).collect();
        let begins = |index: &usize| {
            let is_test = lines[*index].starts_with("#[cfg(") && has_word(lines[*index], "test");
            let next = lines.get(index + 1).copied().unwrap_or_default();
            is_test && next.starts_with("mod ") && next.ends_with('{')
        };
        let end = (0..lines.len()).find(begins).unwrap_or(lines.len());
        self.lines().take(end)
    }

    pub fn code_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        self.without_tests()
            .map(|(number, line)| (number, without_comment(line)))
    }
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split(" // ").next().unwrap_or_default()
}

/// A function's lines, from the one that names it to its closing brace.
pub fn bodies_of<'a>(name: &str, file: &'a File) -> Vec<Vec<(usize, &'a str)>> {
    let mut bodies = Vec::new();
    let mut lines = file.code_without_tests();
    while let Some((number, line)) = lines.by_ref().find(|(_, line)| line.contains(name)) {
        if line.trim_end().ends_with(';') {
            continue; // A trait's, without a body.
        }
        let indent = line.len() - line.trim_start().len();
        let mut body = vec![(number, line)];
        for (number, line) in lines.by_ref() {
            body.push((number, line));
            if line.trim() == "}" && line.len() - line.trim_start().len() == indent {
                break;
            }
        }
        bodies.push(body);
    }
    bodies
}

/// `word`, not as a part of a longer one. A word that ends in punctuation ends there.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let inner_end = word.ends_with(is_part);
    let inner_begin = word.starts_with(is_part);
    line.match_indices(word).any(|(at, _)| {
        let goes_on_before = inner_begin && line[..at].ends_with(is_part);
        let goes_on_after = inner_end && line[at + word.len()..].starts_with(is_part);
        !goes_on_before && !goes_on_after
    })
}

/// The dependencies and features in a manifest, one a line, as this workspace writes them.
pub struct Manifest {
    pub path: String,
    pub dependencies: Vec<Dependency>,
    features: Vec<String>,
}

#[derive(Debug)]
pub struct Dependency {
    pub section: String,
    pub name: String,
    pub line: String,
}

impl Manifest {
    pub fn read(path: &str) -> Self {
        let file = File::read(path);
        let mut section = String::new();
        let mut dependencies = Vec::new();
        let mut features = Vec::new();
        for line in file.text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[') {
                name.trim_end_matches(']').clone_into(&mut section);
            } else if section.ends_with("dependencies") && !line.is_empty() && !line.starts_with('#') {
                let name = line.split(['=', '.']).next().unwrap_or_default().trim().to_owned();
                let (section, line) = (section.clone(), line.to_owned());
                dependencies.push(Dependency { section, name, line });
            } else if section == "features" && !line.starts_with('#') {
                features.extend(line.split_once(" = ").map(|(name, _)| name.to_owned()));
            }
        }
        let path = file.path;
        Self {
            path,
            dependencies,
            features,
        }
    }

    /// Those that a user may turn on: `default` is a list of others, and `__` begins a part of
    /// others.
    pub fn features(&self) -> impl Iterator<Item = &String> {
        let names = self.features.iter();
        names.filter(|name| *name != "default" && !name.starts_with("__"))
    }

    pub fn normal(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies
            .iter()
            .filter(|it| !it.section.contains("dev-dependencies"))
    }
}

/// The source files of the crates below `folder`, without those that are all tests.
pub fn sources(folder: &str) -> impl Iterator<Item = File> + use<> {
    rust_files(&[folder]).filter(|file| {
        let inside = file.path.split_once("/src/").map(|(_, path)| format!("/{path}"));
        inside.is_some_and(|path| !path.contains("/tests/") && !path.ends_with("/tests.rs"))
    })
}

pub fn rust_files(folders: &[&str]) -> impl Iterator<Item = File> + use<> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&root().join(folder), "rs", &mut found);
    }
    // That file is full of the words that it looks for.
    let paths = found.into_iter().filter(|path| path != "tests/tidy.rs");
    paths.map(|path| File::read(&path))
}

pub fn markdown_files() -> impl Iterator<Item = File> {
    let mut found = Vec::new();
    for folder in ["crates", "examples", "tests", "benches"] {
        collect(&root().join(folder), "md", &mut found);
    }
    let at_root = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "RELEASING.md",
        "SECURITY.md",
    ];
    found.extend(at_root.map(str::to_owned));
    found.into_iter().map(|path| File::read(&path))
}

pub fn collect(folder: &Path, extension: &str, found: &mut Vec<String>) {
    for path in entries(folder) {
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            let path = path.strip_prefix(root()).expect("below the root");
            found.push(path.display().to_string());
        }
    }
}

pub fn directories(folder: &str) -> impl Iterator<Item = String> + use<> {
    let paths = entries(&root().join(folder)).into_iter().filter(|path| path.is_dir());
    paths.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
}

/// In order; without hidden ones and build output.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !name.starts_with('.') && name != "target"
    });
    paths.sort();
    paths
}

pub fn root() -> &'static Path {
    // The package of the tests lies directly below it.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the root of the repository")
}
