//! The Python interpreter of the tests.

use std::path::PathBuf;

use crate::scratch::target_dir;

/// The Python of the tests, with what `tests/requirements.txt` lists.
pub(crate) fn python() -> PathBuf {
    let python = target_dir().join("test-venv/bin/python");
    assert!(
        python.is_file(),
        "the tests' Python is not installed; this installs it: cargo xtask setup"
    );
    python
}
