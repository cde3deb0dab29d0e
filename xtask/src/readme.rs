//! The README's first program, as a reader copies it.

use std::fs;

use crate::paths::root;

/// The README, whose first blocks of code are one program.
pub(crate) struct Readme(String);

impl Readme {
    pub(crate) fn read() -> Result<Self, String> {
        let text = fs::read_to_string(root().join("README.md"));
        text.map(Self)
            .map_err(|error| format!("README.md: {error}"))
    }

    /// What follows `cargo add` in the line that adds the crate, up to the name of its feature.
    pub(crate) fn added(&self) -> Result<&str, String> {
        let mut lines = self.0.lines();
        let line = lines.find_map(|line| line.strip_prefix("cargo add "));
        let words = line.and_then(|words| words.split_once(" --features "));
        let (words, _) = words.ok_or("README.md has no `cargo add` with a feature")?;
        Ok(words)
    }

    /// `src/main.rs`.
    pub(crate) fn program(&self) -> Result<&str, String> {
        self.block("rust,no_run")
    }

    /// `src/page.html`.
    pub(crate) fn page(&self) -> Result<&str, String> {
        self.block("html")
    }

    /// The variables in front of `cargo run`, but the secret, which a program makes there.
    #[cfg(feature = "browser")]
    pub(crate) fn settings(&self) -> Result<Vec<(&str, &str)>, String> {
        let end = self.0.find(" cargo run\n");
        let end = end.ok_or("README.md has no `cargo run`")?;
        let start = self.0[..end].rfind("```sh\n").unwrap_or_default();
        let words = self.0[start..end].split_whitespace();
        let pairs = words.filter_map(|word| word.split_once('='));
        Ok(pairs.filter(|pair| !pair.1.starts_with("$(")).collect())
    }

    /// The first block of code in this language.
    fn block(&self, language: &str) -> Result<&str, String> {
        let begin = format!("```{language}\n");
        let block = self
            .0
            .split_once(&begin)
            .and_then(|(_, rest)| rest.split_once("```"));
        let (block, _) = block.ok_or_else(|| format!("README.md has no {language}"))?;
        Ok(block)
    }
}
