//! What the documents say of the code is so: each setting is listed, each test they name exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(directory: &Path, found: &mut String) {
    for entry in fs::read_dir(directory).expect("a directory of the project can be read") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            *found += &text(&path);
        }
    }
}

#[test]
fn every_setting_is_in_the_readme() {
    let readme = text("README.md");
    let source = text("crates/session-core/src/config/from_env.rs");
    let names: BTreeSet<_> = source
        .split('"')
        .filter(|it| it.starts_with("SESSION_") || it.starts_with("SECRET_KEY"))
        .filter(|it| it.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .filter(|it| *it != "SESSION_TEST_" && *it != "SESSION_")
        .collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_test_that_a_document_names_exists() {
    let mut code = String::new();
    for directory in ["crates", "tests", "examples"] {
        sources(&root().join(directory), &mut code);
    }
    let mut points = 0;
    for line in text("SECURITY.md")
        .lines()
        .filter(|it| it.starts_with("| S"))
    {
        points += 1;
        for name in line.split('`').skip(1).step_by(2) {
            let is_test = name.matches('_').count() > 1
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            let function = format!("fn {name}");
            assert!(!is_test || code.contains(&function), "{name}");
        }
    }
    assert_eq!(points, 38);
}

#[test]
fn every_file_that_the_readme_names_exists() {
    let named = ["crates/", "tests/", "examples/"];
    for path in text("README.md").split('`').skip(1).step_by(2) {
        if named.iter().any(|it| path.starts_with(it)) {
            assert!(root().join(path).exists(), "{path}");
        }
    }
}

#[test]
fn every_package_keeps_the_workspaces_lints() {
    let workspace = text("Cargo.toml");
    assert!(workspace.contains("\nunsafe_code = \"forbid\"\n"));
    let mut packages = vec![];
    for members in ["crates", "examples"] {
        for entry in fs::read_dir(root().join(members)).expect("a directory of the project") {
            packages.push(entry.expect("its entries can be read").path());
        }
    }
    packages.extend(["examples", "tests", "xtask"].map(|it| root().join(it)));
    let manifests: Vec<_> = packages
        .into_iter()
        .map(|it| it.join("Cargo.toml"))
        .filter(|it| it.exists())
        .collect();
    assert!(manifests.len() >= 11, "{manifests:?}");
    for manifest in manifests {
        let lints = text(&manifest).contains("[lints]\nworkspace = true\n");
        assert!(lints, "{}", manifest.display());
    }
}
