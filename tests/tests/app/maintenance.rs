//! The sweep in the background, and the end of the process.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{app, browser::Browser};
use session_tests::assert_in_time;

/// The files of records below `directory`.
fn records(directory: &Path) -> Vec<PathBuf> {
    let names = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let below = names(directory);
    let of_records = below
        .iter()
        .filter(|path| path.file_name().unwrap().len() == 2);
    of_records.flat_map(|path| names(path)).collect()
}

#[tokio::test]
async fn files_are_swept_and_sigterm_ends_the_process() {
    let settings = [
        ("SESSION_TYPE", "filesystem"),
        ("SESSION_FILE_DIR", "sessions"),
        ("SESSION_CLEANUP_SECONDS", "1"),
    ];
    let app = app(&settings).await;
    assert_eq!(Browser::default().get(&app, "/count").await.0, 200);
    let directory = app.directory().join("sessions");
    let [record] = &records(&directory)[..] else {
        panic!("not one record: {:?}", records(&directory));
    };
    // As a power loss leaves it; the sweep removes it at once, and expired ones after ten minutes.
    fs::write(record, "").unwrap();
    let begin = Instant::now();
    while record.exists() {
        assert_in_time!(
            begin.elapsed() < Duration::from_secs(10),
            "{}",
            app.output()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(app.stop().await, "{}", app.output());
}
