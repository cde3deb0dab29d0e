//! Sessions that are encrypted anew under a changed key, while they are used.

use std::sync::Arc;

use session_core::EncryptionKeys;

use crate::support::{Place, found, log_in, run, settings};

const OLD: &str = "Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ";
const NEW: &str = "Dz7sQv2gX5kBn9tLw4fRj1hYp8cMa6eU";

#[tokio::test(flavor = "multi_thread")]
async fn each_session_is_encrypted_by_the_new_key_while_it_is_used() {
    for store in Place::all().await {
        let old = store.encrypted(OLD);
        let mut cookies = Vec::new();
        for _ in 0..50 {
            cookies.push(log_in(&old, Some("ada")).await);
        }
        let cookies: Arc<[String]> = cookies.into();
        let keys = EncryptionKeys::new(OLD)
            .unwrap()
            .with_fallback(NEW)
            .unwrap();
        let application = store.with(settings().with_encryption(keys));
        let used = cookies.clone();
        let using = tokio::spawn(async move {
            for (number, cookie) in used.iter().cycle().take(100).enumerate() {
                let request = application.begin_request();
                let session = request.session(&mut [cookie.as_bytes()].into_iter()).await;
                let session = session.unwrap();
                session
                    .update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
                    .unwrap();
                assert_eq!(
                    session.save().await.unwrap(),
                    session_core::Saved::Stored,
                    "{number}"
                );
            }
        });
        let env = [
            ("SESSION_ENCRYPTION_KEY", NEW),
            ("SESSION_ENCRYPTION_KEY_FALLBACKS", OLD),
        ];
        let words = ["--store", &*store.url, "encrypt"];
        run(&words, &env).ok();
        using.await.unwrap();
        // Those that the application wrote after that, with the old key, which it still has first.
        let printed = run(&words, &env).ok();
        assert!(printed.contains(" 0 could not be read"), "{printed}");
        let printed = run(&words, &env).ok();
        assert!(printed.starts_with("0 session(s) encrypted"), "{printed}");
        let new = store.encrypted(NEW);
        for cookie in cookies.iter() {
            let expected = Some((Some("ada".to_owned()), 2));
            assert_eq!(found(&new, cookie).await, expected, "{}", store.url);
        }
        let ended = run(
            &["--store", &*store.url, "end", "--owner", "ada", "--yes"],
            &env,
        )
        .ok();
        assert!(ended.starts_with("50 "), "{}: {ended}", store.url);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_encrypted_yet_is_encrypted_if_the_settings_accept_it() {
    let store = Place::files().await;
    let cookie = log_in(&store.sessions(), Some("ada")).await;
    let words = ["--store", &*store.url, "encrypt"];
    let key = ("SESSION_ENCRYPTION_KEY", NEW);
    assert_eq!(run(&words, &[key]).code, 3);
    let accepts = ("SESSION_ENCRYPTION_ACCEPT_PLAIN", "true");
    let printed = run(&words, &[key, accepts]).ok();
    assert!(printed.starts_with("1 session(s) encrypted"), "{printed}");
    let session = found(&store.encrypted(NEW), &cookie).await;
    assert_eq!(session, Some((Some("ada".into()), 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_key_opens_stays_as_it_is() {
    let store = Place::files().await;
    let cookie = log_in(&store.encrypted(OLD), Some("ada")).await;
    let none = store.run(&["encrypt"]);
    assert_eq!(none.code, 2, "{none:?}");
    let words = ["--store", &*store.url, "encrypt"];
    let without_old = run(&words, &[("SESSION_ENCRYPTION_KEY", NEW)]);
    assert_eq!(without_old.code, 3, "{without_old:?}");
    assert!(
        without_old.out.contains("1 could not be read"),
        "{without_old:?}"
    );
    assert!(found(&store.encrypted(OLD), &cookie).await.is_some());
}

/// `doctor` has other keys than the application had.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_fit_is_a_problem() {
    let store = Place::sqlite().await;
    log_in(&store.encrypted(OLD), Some("ada")).await;
    let doctor = |env: &[(&str, &str)]| run(&["--store", &store.url, "doctor"], env);
    assert_eq!(doctor(&[]).code, 0);
    assert_eq!(doctor(&[("SESSION_ENCRYPTION_KEY", OLD)]).code, 0);
    let wrong = doctor(&[("SESSION_ENCRYPTION_KEY", NEW)]);
    assert_eq!(wrong.code, 3, "{wrong:?}");
    assert!(wrong.out.contains("cannot be decrypted"), "{wrong:?}");
    let both = [
        ("SESSION_ENCRYPTION_KEY", NEW),
        ("SESSION_ENCRYPTION_KEY_FALLBACKS", OLD),
    ];
    assert_eq!(doctor(&both).code, 0);
}
