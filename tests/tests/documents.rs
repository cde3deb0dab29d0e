//! Checks the documents against the code: each setting is listed, and each test that they name
//! exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use session_tests::Program;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in the workspace")
        .to_owned()
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of Rust below `directory`.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of the project can be read") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in ["crates", "tests", "examples"] {
        sources(&root().join(directory), &mut found);
    }
    found
}

#[test]
fn every_setting_is_in_the_readme() {
    let readme = text("README.md");
    let source = text("crates/session-core/src/config/from_env.rs");
    let names: BTreeSet<_> = source
        .split('"')
        .filter(|it| it.starts_with("SESSION_") || it.starts_with("SECRET_KEY"))
        .filter(|it| it.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .filter(|it| !["SESSION_", "SESSION_COOKIE_", "SESSION_TEST_"].contains(it))
        .collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}

/// The settings' rows: the names in each, and whether they mean nothing here.
fn settings() -> Vec<(Vec<String>, bool)> {
    let readme = text("README.md");
    let rows = readme
        .lines()
        .filter(|row| row.starts_with("| `S") || row.starts_with("| `PERMANENT_"));
    rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let names = cells[0].split('`').skip(1).step_by(2);
        (names.map(str::to_owned).collect(), cells[1] == "not here")
    })
    .collect()
}

/// What Flask 3.1 reads for sessions, and Flask-Session 0.8 and its successor.
const FLASKS: &[&str] = &[
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "PERMANENT_SESSION_LIFETIME",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_PARTITIONED",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_SAMESITE",
    "SESSION_COOKIE_SECURE",
    "SESSION_REFRESH_EACH_REQUEST",
    "SESSION_CACHELIB",
    "SESSION_CLEANUP_N_REQUESTS",
    "SESSION_DYNAMODB",
    "SESSION_DYNAMODB_TABLE",
    "SESSION_DYNAMODB_TABLE_EXISTS",
    "SESSION_FILE_DIR",
    "SESSION_FILE_MODE",
    "SESSION_FILE_THRESHOLD",
    "SESSION_ID_LENGTH",
    "SESSION_KEY_PREFIX",
    "SESSION_MEMCACHED",
    "SESSION_MONGODB",
    "SESSION_MONGODB_COLLECT",
    "SESSION_MONGODB_DB",
    "SESSION_PERMANENT",
    "SESSION_POSTGRESQL",
    "SESSION_POSTGRESQL_SCHEMA",
    "SESSION_POSTGRESQL_TABLE",
    "SESSION_REDIS",
    "SESSION_SERIALIZATION_FORMAT",
    "SESSION_SQLALCHEMY",
    "SESSION_SQLALCHEMY_BIND_KEY",
    "SESSION_SQLALCHEMY_SCHEMA",
    "SESSION_SQLALCHEMY_SEQUENCE",
    "SESSION_SQLALCHEMY_TABLE",
    "SESSION_TYPE",
    "SESSION_USE_SIGNER",
];

#[test]
fn every_setting_of_flask_is_in_the_readmes_table() {
    let names: Vec<_> = settings()
        .into_iter()
        .flat_map(|(names, _)| names)
        .collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "a name is there twice");
    for name in FLASKS {
        assert!(distinct.contains(&(*name).to_owned()), "{name}");
    }
}

#[test]
fn every_setting_in_the_readmes_table_is_turned_by_a_test() {
    let tests: String = all_sources().iter().map(|path| tests_of(path)).collect();
    let turned = |name: &str| tests.contains(&format!("(\"{name}\", \""));
    for (names, absent) in settings() {
        for name in names {
            assert!(absent || turned(&name), "{name}");
        }
    }
}

/// A file of tests, or the tests at the end of another one.
fn tests_of(path: &Path) -> String {
    let mut code = text(path);
    let of_tests = path.with_extension("");
    if of_tests.components().all(|it| it.as_os_str() != "tests") {
        let start = code.find("#[cfg(test)]").unwrap_or(code.len());
        code.drain(..start);
    }
    code
}

#[tokio::test]
async fn every_name_that_means_nothing_here_is_warned_about() {
    let absent: Vec<_> = settings()
        .into_iter()
        .filter(|(_, absent)| *absent)
        .flat_map(|(names, _)| names)
        .collect();
    assert!(absent.len() > 8, "{absent:?}");
    let env: Vec<_> = absent.iter().map(|name| (&**name, "x")).collect();
    let demo = Program::start("demo", &env).await;
    for name in &absent {
        let warning = format!("{name} is no setting of this library");
        assert!(demo.output().contains(&warning), "{name}");
    }
}

#[test]
fn every_test_that_a_document_names_exists() {
    let code: String = all_sources().iter().map(text).collect();
    let mut points = 0;
    for line in text("SECURITY.md")
        .lines()
        .filter(|it| it.starts_with("| "))
    {
        points += usize::from(line.starts_with("| S"));
        for name in line.split('`').skip(1).step_by(2) {
            let is_test = name.matches('_').count() > 1
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            let function = format!("fn {name}");
            assert!(!is_test || code.contains(&function), "{name}");
        }
    }
    assert_eq!(points, 47);
}

/// Words that only their authors understood; ARCHITECTURE.md has the words in use.
const OLD_WORDS: &[&str] = &[
    "crowd",
    "desk",
    "destroy",
    "fate",
    "fault",
    "faults",
    "filed",
    "fleeting",
    "gather",
    "gone",
    "hears",
    "idiom",
    "job",
    "jobs",
    "lane",
    "lanes",
    "look",
    "looked",
    "looks",
    "outcome",
    "outcomes",
    "pace",
    "pythons",
    "remake",
    "scarcity",
    "sow",
    "stranger",
    "strangers",
    "trouble",
    "unheard",
    "untold",
    "visit",
    "wish",
];
/// Names that others give, such as serde's `visit_map`.
const EXCEPTIONS: &[&str] = &[
    "visit_bool",
    "visit_borrowed_str",
    "visit_f64",
    "visit_i64",
    "visit_map",
    "visit_seq",
    "visit_str",
    "visit_u64",
    "visit_unit",
];

#[test]
fn names_use_the_words_of_the_field() {
    const DEFINITIONS: &[&str] = &[
        "fn ", "struct ", "enum ", "mod ", "trait ", "type ", "const ", "static ",
    ];
    let mut found = Vec::new();
    for path in all_sources() {
        for line in text(&path).lines() {
            let defined = DEFINITIONS.iter().find_map(|it| {
                let (before, after) = line.split_once(it)?;
                let begins = before.is_empty() || before.ends_with([' ', ')']);
                (begins && !before.contains("//")).then_some(after)
            });
            let Some(defined) = defined else { continue };
            let end = defined.find(|it: char| !it.is_alphanumeric() && it != '_');
            let name = &defined[..end.unwrap_or(defined.len())];
            let exempt = EXCEPTIONS.iter().any(|it| name.contains(it));
            if !exempt && words(name).any(|word| OLD_WORDS.contains(&&*word)) {
                found.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The words of a name in snake or camel case, in lower case.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            spaced.push('_');
        }
        spaced.extend(letter.to_lowercase());
    }
    let words: Vec<_> = spaced.split('_').map(str::to_owned).collect();
    words.into_iter()
}

#[test]
fn every_file_that_a_document_names_exists() {
    const DIRECTORIES: &[&str] = &["crates/", "tests/", "examples/"];
    let mut named = 0;
    for document in ["README.md", "ARCHITECTURE.md", "COMPARE.md"] {
        for path in text(document).split('`').skip(1).step_by(2) {
            if DIRECTORIES.iter().any(|it| path.starts_with(it)) {
                named += 1;
                assert!(root().join(path).exists(), "{document}: {path}");
            }
        }
    }
    assert!(named > 30, "{named}");
}

#[test]
fn every_test_that_the_list_of_an_own_server_names_exists() {
    let list = text("tests/own-server.txt");
    let mut checked = 0;
    for line in list.lines().filter(|it| !it.starts_with('#')) {
        let mut fields = line.split(' ').skip(1);
        let (Some(package), Some(test)) = (fields.next(), fields.next()) else {
            continue;
        };
        let directory = match package {
            "session-tests" => "tests/tests".to_owned(),
            package => format!("crates/{package}/tests"),
        };
        let mut files = vec![];
        sources(&root().join(directory), &mut files);
        let code: String = files.iter().map(text).collect();
        // The last begins the name of a test or a module, and may be empty. A module may be a macro's.
        let mut parts: Vec<_> = test.split("::").collect();
        let end = parts.pop().unwrap_or_default();
        let begins = |kind: &str| code.contains(&format!("{kind} {end}"));
        let has_test = end.is_empty() || begins("fn") || begins("mod");
        let is_word = |part: &&str| {
            code.split(|it: char| !is_of_a_name(it))
                .any(|it| it == *part)
        };
        assert!(has_test && parts.iter().all(is_word), "{line}");
        checked += 1;
    }
    assert!(checked > 100, "{checked}");
}

fn is_of_a_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[test]
fn the_readme_has_one_row_for_each_version_of_a_server() {
    let source = text("xtask/src/servers.rs");
    let versions = source.split("const VERSIONS").nth(1).expect("the versions");
    let versions = versions.split("\n];\n").next().unwrap_or_default();
    // A name and the first numbers of a version; some are also names of packages.
    let is_version = |name: &&str| {
        let numbers = name.split_once('-').map(|(_, numbers)| numbers);
        numbers.is_some_and(|it| it.starts_with(|first: char| first.is_ascii_digit()))
    };
    let versions: BTreeSet<_> = versions.split('"').filter(is_version).collect();
    assert!(versions.len() > 8, "{versions:?}");
    let readme = text("README.md");
    let section = readme.split("### Tested versions\n").nth(1);
    let section = section.and_then(|rest| rest.split("\n## ").next());
    let rows = section.unwrap_or_default().lines();
    let rows: Vec<_> = rows
        .filter_map(|row| row.strip_prefix("| ")?.split(" | ").next())
        .filter(|label| *label != "server")
        .collect();
    for version in &versions {
        let label = version.replacen('-', " ", 1);
        let is_its = |row: &&&str| {
            let rest = row.strip_prefix(&label);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let found = rows.iter().filter(is_its).count();
        assert_eq!(found, 1, "{version}: {rows:?}");
    }
    assert_eq!(rows.len(), versions.len(), "{rows:?}");
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

/// The features of a package, without those that only this project uses.
/// The code of an adapter, without comments and blank lines.
fn adapter(name: &str) -> Vec<String> {
    let mut files = Vec::new();
    sources(
        &root().join(format!("crates/session-{name}/src")),
        &mut files,
    );
    let texts: Vec<_> = files.iter().map(text).collect();
    let lines = texts.iter().flat_map(|it| it.lines()).map(str::trim);
    let code = lines.filter(|it| !it.is_empty() && !it.starts_with("//"));
    code.map(str::to_owned).collect()
}

#[test]
fn an_adapter_is_small_and_no_copy_of_the_other() {
    let (actix, tower) = (adapter("actix"), adapter("tower"));
    for adapter in [&actix, &tower] {
        assert!((500..900).contains(&adapter.len()), "{}", adapter.len());
    }
    let of_actix: BTreeSet<_> = actix.windows(20).collect();
    let copied = tower.windows(20).find(|run| of_actix.contains(run));
    assert_eq!(copied, None);
}

fn features(manifest: &str) -> impl Iterator<Item = &str> {
    let rest = manifest.split_once("\n[features]\n").map(|(_, rest)| rest);
    let section = rest.and_then(|rest| rest.split("\n[").next());
    let lines = section.unwrap_or_default().lines();
    let names = lines.filter_map(|line| Some(line.split_once(" = ")?.0));
    names.filter(|name| !matches!(*name, "default" | "model"))
}

#[test]
fn every_cargo_feature_is_in_the_readme_of_its_crate() {
    let mut checked = 0;
    for entry in fs::read_dir(root().join("crates")).expect("there are crates") {
        let directory = entry.expect("it can be read").path();
        let manifest = text(directory.join("Cargo.toml"));
        let readme = text(directory.join("README.md"));
        for feature in features(&manifest) {
            let name = directory.display();
            assert!(
                readme.contains(&format!("`{feature}`")),
                "{name}: {feature}"
            );
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} features were found");
}

/// The documents of the project, by their paths in it, and their text outside of blocks of code.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = vec![];
    for directory in ["", "benches", "fuzz", "examples"] {
        paths.extend(markdown(directory));
    }
    for entry in fs::read_dir(root().join("crates")).expect("there are crates") {
        paths.push(entry.expect("it can be read").path().join("README.md"));
    }
    let prose = |path: &PathBuf| {
        let text = text(path);
        text.split("```").step_by(2).collect()
    };
    paths
        .into_iter()
        .map(|it| (it.clone(), prose(&it)))
        .collect()
}

fn markdown(directory: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(root().join(directory)).expect("a directory of the project");
    let paths = entries.map(|entry| entry.expect("its entries can be read").path());
    paths.filter(|path| path.extension().is_some_and(|it| it == "md"))
}

/// The targets of a document's links.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    let inline = prose.split("](").skip(1);
    let inline = inline.filter_map(|rest| rest.split([')', ' ']).next());
    let named = prose.lines().filter(|line| line.starts_with('['));
    inline.chain(named.filter_map(|line| Some(line.split_once("]: ")?.1)))
}

/// The names by which links lead to a document's headings, as GitHub makes them.
fn anchors(prose: &str) -> Vec<String> {
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let titles = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_' | ' ');
    titles
        .map(|title| title.chars().filter(|it| kept(*it)).collect::<String>())
        .map(|title| title.replace(' ', "-"))
        .collect()
}

const PROJECT: &str = "https://github.com/actix-server-sessions/actix-server-sessions";

#[test]
fn every_link_within_the_project_leads_somewhere() {
    let mut followed = 0;
    for (document, prose) in documents() {
        let shown = document.display();
        let of_crate = document.starts_with(root().join("crates"));
        for link in links(&prose) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path.strip_prefix(PROJECT) {
                Some("") => root().join("README.md"),
                Some(rest) => match rest.split_once("/main/") {
                    Some((_, path)) => root().join(path),
                    None => continue,
                },
                None if path.contains(':') => continue,
                None if path.is_empty() => document.clone(),
                None => {
                    // docs.rs shows the README of a crate, and has nothing beside it.
                    assert!(!of_crate, "{shown}: {link} leads nowhere on docs.rs");
                    document.with_file_name(path)
                }
            };
            assert!(target.exists(), "{shown}: {link}");
            followed += 1;
            if anchor.is_empty() {
                continue;
            }
            let target = if target.is_dir() {
                target.join("README.md")
            } else {
                target
            };
            let target = text(target);
            let target: String = target.split("```").step_by(2).collect();
            assert!(
                anchors(&target).iter().any(|it| it == anchor),
                "{shown}: {link}"
            );
        }
    }
    assert!(followed > 80, "{followed}");
}

#[test]
fn every_feature_that_a_document_adds_exists() {
    let mut checked = 0;
    for (document, _) in documents() {
        let text = text(&document);
        let added = text
            .lines()
            .filter_map(|line| line.strip_prefix("cargo add "));
        for line in added {
            let (words, comment) = line.split_once(" #").unwrap_or((line, ""));
            let shown = format!("{}: {line}", document.display());
            assert!(!comment.contains("--features"), "{shown}: in a comment");
            let Some((names, wanted)) = words.split_once(" --features ") else {
                continue;
            };
            // Cargo cannot tell whose they are if several crates are added.
            assert_eq!(names.split(' ').count(), 1, "{shown}");
            let manifest = root().join("crates").join(names).join("Cargo.toml");
            if !manifest.exists() {
                continue;
            }
            let manifest = fs::read_to_string(manifest).expect("a manifest is text");
            for feature in wanted.split(',') {
                assert!(
                    features(&manifest).any(|it| it == feature),
                    "{shown}: {feature}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 8, "{checked}");
}
