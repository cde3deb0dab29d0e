//! Copies between stores that no application writes to.

use std::{fs, process::Stdio, thread, time::Duration};

use session_tests::scratch_dir;

use crate::support::{Place, command, found, log_in, run};

const KEY: &str = "Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ";

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_the_same_sessions_and_leaves_the_others_alone() {
    let stores = Place::all().await;
    for (number, from) in stores.iter().enumerate() {
        let to = &stores[(number + 1) % stores.len()];
        let sessions = from.sessions();
        let mut cookies = Vec::new();
        for owner in [Some("ada"), Some("bob"), None] {
            cookies.push(log_in(&sessions, owner).await);
        }
        let directory = scratch_dir();
        let state = directory.path().join("state");
        let words = ["copy", "--to", &to.url, "--merge", "--dry-run", "--state"];
        let rehearsed = from
            .run(&[&words[..], &[state.to_str().unwrap()]].concat())
            .ok();
        assert!(rehearsed.contains("would be copied"), "{rehearsed}");
        assert!(!state.exists(), "a rehearsal notes nothing");
        assert_eq!(found(&to.sessions(), &cookies[0]).await, None);
        // The first store has sessions by the time of the last copy.
        let copy = ["copy", "--to", &to.url, "--merge"];
        from.run(&copy[..if number + 1 < stores.len() { 3 } else { 4 }])
            .ok();
        for (cookie, owner) in cookies.iter().zip([Some("ada"), Some("bob"), None]) {
            let expected = Some((owner.map(str::to_owned), 0));
            assert_eq!(found(&to.sessions(), cookie).await, expected, "{}", to.url);
            assert_eq!(found(&sessions, cookie).await, expected);
        }
        // They are in the index of their owners, too.
        to.run(&["end", "--owner", "ada", "--yes"]).ok();
        assert_eq!(found(&to.sessions(), &cookies[0]).await, None);
        // What has ended there does not come back.
        let again = from.run(&copy).ok();
        assert!(again.starts_with("0 record(s) copied"), "{again}");
        assert_eq!(found(&to.sessions(), &cookies[0]).await, None);
        // Nor what has ended here since it was copied.
        from.run(&["end", "--owner", "bob", "--yes"]).ok();
        let refused = from.run(&copy[..3]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains("--merge"), "{}", refused.err);
        from.run(&copy).ok();
        assert_eq!(found(&to.sessions(), &cookies[1]).await, None, "{}", to.url);
    }
    let same = stores[0].run(&["copy", "--to", &stores[0].url]);
    assert_eq!(same.code, 2, "{same:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_another_prefix_and_another_encryption() {
    let (from, to) = (Place::redis().await, Place::sqlite().await);
    let cookie = log_in(&from.encrypted(KEY), Some("ada")).await;
    let words = ["--store", &from.url, "copy", "--to", &to.url];
    let lacks = run(&[&words[..], &["--to-prefix", "other:"]].concat(), &[]);
    assert_eq!(lacks.code, 3, "{lacks:?}");
    assert!(lacks.err.contains("encrypt"), "{}", lacks.err);
    let env = [("SESSION_ENCRYPTION_KEY", KEY)];
    run(&[&words[..], &["--to-prefix", "other:"]].concat(), &env).ok();
    let keys = session_core::EncryptionKeys::new(KEY).unwrap();
    let prefix = session_core::KeyPrefix::new("other:").unwrap();
    let settings = crate::support::settings()
        .with_key_prefix(prefix)
        .with_encryption(keys);
    let sessions = session_core::Sessions::new(settings, to.store.clone()).unwrap();
    assert_eq!(
        found(&sessions, &cookie).await,
        Some((Some("ada".into()), 0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_goes_on_where_it_was() {
    const SESSIONS: usize = 3000;
    let (from, to) = (Place::files().await, Place::sqlite().await);
    let sessions = from.sessions();
    for _ in 0..SESSIONS {
        log_in(&sessions, None).await;
    }
    let directory = scratch_dir();
    let state = directory.path().join("state");
    let state = state.to_str().unwrap();
    let words = [
        "--store", &from.url, "copy", "--to", &to.url, "--state", state,
    ];
    // The state is of this copy as soon as it has begun.
    for kill in 0..10 {
        let mut copy = command(&words, &[]).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(30 + 20 * kill));
        copy.kill().unwrap();
        copy.wait().unwrap();
    }
    run(&words, &[]).ok();
    assert_eq!(to.run(&["count", "--json"]).json()[0]["sessions"], SESSIONS);
    let noted = fs::read_to_string(state).unwrap();
    assert!(
        noted.contains("done. 0") && noted.contains(&from.url[7..]),
        "{noted}"
    );
    // The state is of this copy alone.
    let back = [
        "--store", &to.url, "copy", "--to", &from.url, "--state", state,
    ];
    let refused = run(&[&back[..], &["--merge"]].concat(), &[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.contains("is of another copy"),
        "{}",
        refused.err
    );
}
