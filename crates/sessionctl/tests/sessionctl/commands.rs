//! Each command on each store.

use std::sync::Arc;

use session_core::{Finish, Sessions};
use session_tests::Memcached;

use crate::support::{Failing, Place, Ran, found, log_in, run, settings};

#[tokio::test(flavor = "multi_thread")]
async fn each_command_works_on_each_store() {
    for store in Place::all().await {
        let sessions = store.sessions();
        let mut cookies = Vec::new();
        for owner in [Some("ada"), Some("ada"), Some("bob"), None, None] {
            cookies.push(log_in(&sessions, owner).await);
        }
        let ended = log_in(&sessions, Some("eve")).await;
        let visit = sessions.begin_request();
        let eve = visit
            .session(&mut [ended.as_bytes()].into_iter())
            .await
            .unwrap();
        eve.log_out();
        let _saved = eve.save().await.unwrap();
        drop(visit);

        let listed = store.run(&["ls", "--json"]).json();
        assert_eq!(listed.len(), 5, "{}", store.url);
        let of_ada = store.run(&["ls", "--json", "--owner", "ada"]).json();
        assert_eq!(of_ada.len(), 2);
        assert_eq!(store.run(&["ls", "--json", "--anonymous"]).json().len(), 2);
        assert_eq!(store.run(&["ls", "--json", "--limit", "1"]).json().len(), 1);
        assert_eq!(
            store
                .run(&["ls", "--json", "--older-than", "1d"])
                .json()
                .len(),
            0
        );
        assert_eq!(
            store
                .run(&["ls", "--json", "--idle-for", "0s"])
                .json()
                .len(),
            5
        );

        let count = &store.run(&["count", "--json"]).json()[0];
        assert_eq!(count["sessions"], 5);
        assert_eq!(
            (&count["owners"], &count["anonymous"]),
            (&2.into(), &2.into())
        );
        assert_eq!(
            (&count["tombstones"], &count["unreadable"]),
            (&1.into(), &0.into())
        );

        let lineage = of_ada[0]["lineage"].as_str().unwrap();
        let shown = &store.run(&["show", lineage, "--json", "--values"]).json()[0];
        assert_eq!(shown["values"]["note"], "a planted note");
        let without = store.run(&["show", lineage]).ok();
        assert!(
            without.contains("ada") && without.contains("Firefox"),
            "{without}"
        );

        let table = store.run(&["ls"]).ok();
        assert!(table.lines().all(|it| it.chars().count() <= 80), "{table}");
        for printed in [&without, &table, &format!("{listed:?}")] {
            assert!(!printed.contains("planted"), "{printed}");
            for cookie in &cookies {
                let id = cookie
                    .trim_start_matches("session=")
                    .split('.')
                    .next()
                    .unwrap();
                assert!(!printed.contains(id), "{printed}");
            }
        }

        assert_eq!(store.run(&["end", lineage]).code, 2, "it asks first");
        store.run(&["end", lineage, "--yes"]).ok();
        assert_eq!(store.run(&["ls", "--json"]).json().len(), 4);
        assert_eq!(store.run(&["end", lineage, "--yes"]).code, 2);
        store.run(&["end", "--owner", "ada", "--yes"]).ok();
        store.run(&["end", "--anonymous", "--yes"]).ok();
        assert_eq!(store.run(&["ls", "--json"]).json().len(), 1);
        assert_eq!(found(&sessions, &cookies[0]).await, None);
        assert_eq!(
            found(&sessions, &cookies[2]).await,
            Some((Some("bob".into()), 0))
        );
        store.run(&["end", "--all", "--yes"]).ok();
        assert_eq!(found(&sessions, &cookies[2]).await, None);

        store.run(&["sweep"]).ok();
        store.run(&["migrate"]).ok();
        store.run(&["doctor"]).ok();
        let watched = store.run(&["watch", "--every", "1s", "--times", "2"]).ok();
        assert_eq!(watched.lines().count(), 3, "{watched}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_renewal_left_ends_with_its_session() {
    for words in [&["--all"][..], &["--older-than", "0s"], &["LINEAGE"]] {
        let store = Place::files().await;
        let cookie = log_in(&store.sessions(), None).await;
        // The copy is stored, and the record before it stays as it was.
        let failing = Failing {
            store: store.store.clone(),
            inserts: false,
            updates: true,
        };
        let fails = Sessions::new(settings(), Arc::new(failing)).unwrap();
        let request = fails.begin_request();
        let session = request.session(&mut [cookie.as_bytes()].into_iter()).await;
        session.unwrap().renew();
        let Finish::Pending(saving) = request.finish() else {
            panic!("nothing is saved");
        };
        assert!(saving.await.is_err());
        let listed = store.run(&["ls", "--json"]).json();
        assert_eq!(listed.len(), 1);
        let lineage = listed[0]["lineage"].as_str().unwrap();
        let meant: Vec<_> = words
            .iter()
            .map(|it| if *it == "LINEAGE" { lineage } else { *it })
            .collect();
        let ended = store.run(&[&["end", "--yes"], &meant[..]].concat()).ok();
        assert!(ended.starts_with("1 session"), "{ended}");
        let left = store.run(&["count", "--json"]).json();
        assert_eq!(
            (&left[0]["sessions"], &left[0]["tombstones"]),
            (&0.into(), &2.into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memcached_lists_nothing_and_says_so() {
    let server = Memcached::start(&[]).await;
    let url = format!("memcached://{}", server.addr());
    let on_server = |word: &str| run(&["--store", &url, word], &[]);
    for word in ["ls", "count"] {
        let ran = on_server(word);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(
            ran.err.contains("cannot list all of its sessions"),
            "{}",
            ran.err
        );
    }
    for word in ["doctor", "sweep", "migrate"] {
        on_server(word).ok();
    }
}

#[test]
fn what_cannot_be_done_says_what_to_do() {
    let old = ["--store", "file:///tmp/none", "--old", "file:///tmp/none"];
    for (words, env, expected) in [
        (&["ls"][..], &[][..], "SESSION_TYPE is needed"),
        (
            &[&old[..], &["ls"]].concat(),
            &[],
            "--old is the store itself",
        ),
        (&["--store", "etcd://x", "ls"], &[], "use redis://"),
        (
            &["--store", "file:///tmp/none", "show", "x"],
            &[],
            "22 characters",
        ),
        (&["ls"], &[("SESSION_TYPE", "memory")], "is memory"),
        (
            &["--store", "file:///tmp/none", "--prefix", "a b", "ls"],
            &[],
            "graphic ASCII",
        ),
    ] {
        let Ran { out, err, code } = run(words, env);
        assert_eq!((code, &*out), (2, ""), "{err}");
        assert!(err.contains(expected), "{err}");
    }
    let down = run(&["--store", "redis://127.0.0.1:1", "count"], &[]);
    assert_eq!(down.code, 1);
    assert!(down.err.contains("127.0.0.1:1"), "{}", down.err);
}

#[test]
fn what_may_be_a_secret_is_not_printed() {
    let store = ["--store", "file:///tmp/none"];
    for words in [
        &["--store", "user:hush@host", "ls"][..],
        &[
            &store[..],
            &["show", "hush-hush-hush-hush-hush-hush-hush-hush-hush"],
        ]
        .concat(),
        &[
            &store[..],
            &[
                "end",
                "--yes",
                "hush-hush-hush-hush-hush-hush-hush-hush-hush",
            ],
        ]
        .concat(),
    ] {
        let Ran { out, err, code } = run(words, &[]);
        assert_eq!((code, &*out), (2, ""), "{err}");
        assert!(!err.contains("hush"), "{err}");
    }
    // A lineage may begin with a hyphen.
    let none = run(
        &[&store[..], &["show", "-AAAAAAAAAAAAAAAAAAAAA"]].concat(),
        &[],
    );
    assert!(none.err.contains("no live session"), "{}", none.err);
}

#[test]
fn completions_and_the_manual_are_generated() {
    assert!(
        run(&["completions", "bash"], &[])
            .ok()
            .contains("sessionctl")
    );
    assert!(run(&["man"], &[]).ok().contains(".TH sessionctl"));
    let help = run(&["--help"], &[]).ok();
    assert!(help.lines().all(|it| it.chars().count() <= 100), "{help}");
}
