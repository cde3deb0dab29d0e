//! An environment that cannot be used stops the start with one line that names what is wrong.

use session_tests::{Program, scratch_dir};

const APP: &str = "examples/flask-neighbour/app.py";

#[test]
fn a_bad_environment_is_refused_in_one_line() {
    for (env, named) in [
        (&[][..], "STORE"),
        (&[("STORE", "paper")], "STORE"),
        (&[("STORE", "sqlalchemy")], "URL"),
        (&[("STORE", "redis"), ("PORT", "many")], "PORT"),
        (&[("STORE", "redis"), ("LIFETIME", "0")], "LIFETIME"),
        (&[("STORE", "redis"), ("REFRESH", "often")], "REFRESH"),
        (&[("STORE", "redis"), ("FORMAT", "pickle")], "FORMAT"),
        (&[("STORE", "redis"), ("USE_SIGNER", "1")], "SECRET_KEY"),
        (
            &[("STORE", "redis"), ("COOKIE_SAMESITE", "Some")],
            "COOKIE_SAMESITE",
        ),
    ] {
        let directory = scratch_dir();
        for output in [
            Program::run_python(directory.path(), APP, env),
            Program::run(directory.path(), "flask-neighbour", &[""; 0], env),
        ] {
            let line = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{env:?}");
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(line.contains(&format!(": {named} ")), "{line}");
        }
    }
}

#[tokio::test]
async fn both_start_as_the_readme_says() {
    let directory = scratch_dir();
    let url = directory.path().to_str().unwrap();
    let env = [("STORE", "cachelib"), ("URL", url), ("PORT", "0")];
    for program in [
        Program::start_python(APP, &env).await,
        Program::start("flask-neighbour", &env).await,
    ] {
        let answer = reqwest::get(format!("{}/health", program.url())).await;
        assert_eq!(answer.unwrap().status(), 200);
    }
}
