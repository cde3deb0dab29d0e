//! Fifty logins of one user at once, through two processes: the user ends up with exactly as many
//! sessions as the limit, on every store that can list them. The other store refuses the setting.

#[macro_use]
mod site;

use std::collections::BTreeMap;

use site::{Backend, Browser, Demo};

const LOGINS: usize = 50;

/// Logs `anna` in with 50 browsers at once. Returns the browsers and how often each status came.
async fn log_in_at_once(processes: [&Demo; 2]) -> (Vec<Browser>, BTreeMap<u16, usize>) {
    let logins = (0..LOGINS).map(|number| {
        let mut browser = processes[number % 2].browser();
        tokio::spawn(async move {
            let status = browser.post("/login?user=anna").await.status;
            (browser, status)
        })
    });
    let (mut browsers, mut statuses) = (Vec::new(), BTreeMap::new());
    for login in logins.collect::<Vec<_>>() {
        let (browser, status) = login.await.expect("it ends");
        browsers.push(browser);
        *statuses.entry(status).or_default() += 1;
    }
    (browsers, statuses)
}

/// In how many browsers `anna` is logged in.
async fn logged_in(browsers: &mut [Browser]) -> usize {
    let mut count = 0;
    for browser in browsers {
        count += usize::from(browser.get("/sessions").await.status == 200);
    }
    count
}

async fn leaves_exactly(backend: Backend, most: usize, policy: &str) {
    let most_text = most.to_string();
    let limit = [
        ("SESSION_MAX_PER_USER", &*most_text),
        ("SESSION_ON_MAX_PER_USER", policy),
        ("SESSION_STORE_TIMEOUT_MS", "10000"),
    ];
    let demo = Demo::with(backend.settings().await, &limit).await;
    let other = demo.beside().await;
    for round in 0..2 {
        let (mut browsers, statuses) = log_in_at_once([&demo, &other]).await;
        let left = logged_in(&mut browsers).await;
        eprintln!("{backend:?}, {most} by {policy}, round {round}: {statuses:?}, {left} left");
        if policy == "refuse-login" {
            let succeeded = if round == 0 { most } else { 0 };
            assert_eq!(left, succeeded);
            assert_eq!(statuses.get(&200).copied().unwrap_or(0), succeeded);
            assert_eq!(statuses.get(&403), Some(&(LOGINS - succeeded)));
        } else {
            assert_eq!(left, most);
            // A login that later ones have overtaken is a conflict.
            let answered = [200, 409].map(|it| statuses.get(&it).copied().unwrap_or(0));
            assert!(
                answered[0] >= most && answered[0] + answered[1] == LOGINS,
                "{statuses:?}\n{}\n{}",
                demo.output(),
                other.output()
            );
        }
    }
    if policy == "end-oldest" {
        let mut newest = demo.logged_in("anna").await;
        let sessions = newest.get("/sessions").await.json();
        assert_eq!(sessions.as_array().map(Vec::len), Some(most));
    }
}

on_stores! {
    as_many_sessions_are_left_as_a_user_may_have: filesystem Filesystem, redis Redis, mongodb Mongo,
    sqlite Sqlite, postgres Postgres, mariadb MariaDb
}
async fn as_many_sessions_are_left_as_a_user_may_have(backend: Backend) {
    for policy in ["end-oldest", "refuse-login"] {
        leaves_exactly(backend, 3, policy).await;
    }
}
