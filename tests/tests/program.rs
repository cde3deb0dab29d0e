//! A program of the workspace is started, killed and started again in the same directory.

use session_tests::{Program, scratch_dir};

async fn plain(program: &Program) -> Option<String> {
    let answer = reqwest::get(format!("{}/plain", program.url()))
        .await
        .ok()?;
    answer.text().await.ok()
}

#[tokio::test]
async fn comes_back_in_its_directory() {
    let mut demo = Program::start("demo", &[]).await;
    assert_eq!(plain(&demo).await.as_deref(), Some("ok"));
    let key =
        std::fs::read(demo.directory().join("demo-secret.key")).expect("the demo made its key");

    demo.kill();
    assert_eq!(demo.pid(), None);
    assert_eq!(plain(&demo).await, None);

    demo.restart().await;
    assert_eq!(plain(&demo).await.as_deref(), Some("ok"));
    assert_eq!(
        std::fs::read(demo.directory().join("demo-secret.key")).ok(),
        Some(key)
    );
}

#[tokio::test]
async fn ends_when_asked() {
    let demo = Program::start("demo", &[]).await;
    // It names its address before it listens for signals.
    assert_eq!(plain(&demo).await.as_deref(), Some("ok"));
    assert!(demo.stop().await, "{}", demo.output());
    assert_eq!(plain(&demo).await, None);
}

#[test]
fn says_why_it_does_not_start() {
    let output = Program::run(
        scratch_dir().path(),
        "demo",
        &[""; 0],
        &[("SESSION_TYPE", "nonsense")],
    );
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("SESSION_TYPE"),
        "{output:?}"
    );
}
