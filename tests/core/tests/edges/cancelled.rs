//! Saves and loads that are dropped, never polled again, or under way in another task of the
//! request.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use session_core::{Error, Finish, Saved, Sessions, Settings};
use tokio::time::{Instant, timeout};

use crate::support::{Failure, Handler, Method, Request, Site, When, Work, signed};

const MOMENT: Duration = Duration::from_millis(20);

/// Polls `future` once, and leaves it as it is.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    std::future::poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_log_out_whose_save_is_dropped_is_done_when_the_answer_says_so() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let stale = browser.clone();
    let request = site.open(&browser).await;
    request.log_out();
    site.store.hold(&Method::WRITES);
    // A handler's own time-out, a `select!`, a `try_join!` beside another error.
    assert!(timeout(MOMENT, request.save()).await.is_err());
    site.store.release();
    request.answer().await.unwrap();
    assert_eq!(site.owner(&stale).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_save_is_dropped_is_stored_when_the_answer_says_so() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    request.insert("paid", &true).unwrap();
    site.store.hold(&Method::WRITES);
    assert!(timeout(MOMENT, request.save()).await.is_err());
    site.store.release();
    assert_eq!(request.get("paid").unwrap(), Some(true));
    request.answer().await.unwrap();
    assert_eq!(site.value(&browser, "paid").await, Some(true));
}

/// Both profiles: where there are no tombstones, other calls are made.
fn profiles() -> [Settings; 2] {
    [signed(), Settings::flask()]
}

#[tokio::test(start_paused = true)]
async fn a_save_may_be_dropped_at_every_call_of_the_store() {
    for settings in profiles() {
        for work in Work::ALL {
            for when in [When::Before, When::After] {
                for calls in 0..5 {
                    let site = Site::new(settings.clone());
                    let browser = work.begin(&site).await;
                    let stale = browser.clone();
                    let request = site.open(&browser).await;
                    work.does(&request);
                    site.store.hold_from(calls, when);
                    let _dropped_or_not = timeout(MOMENT, request.save()).await;
                    site.store.release();
                    request.answer().await.unwrap();
                    work.assert_done(&site, &browser, &stale).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_request_may_be_dropped_at_every_call_and_begun_again() {
    for settings in profiles() {
        for work in Work::ALL {
            for when in [When::Before, When::After] {
                for calls in 0..5 {
                    let site = Site::new(settings.clone());
                    let browser = work.begin(&site).await;
                    let stale = browser.clone();
                    let request = site.open(&browser).await;
                    work.does(&request);
                    site.store.hold_from(calls, when);
                    let answered = timeout(MOMENT, request.answer()).await;
                    site.store.release();
                    if answered.is_err() {
                        request.answer().await.unwrap();
                    }
                    work.assert_done(&site, &browser, &stale).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_done_after_a_save_was_dropped_is_done_too() {
    for first in Work::ALL {
        for calls in 0..3 {
            let site = Site::new(signed());
            let browser = first.begin(&site).await;
            let stale = browser.clone();
            let request = site.open(&browser).await;
            first.does(&request);
            site.store.hold_from(calls, When::Before);
            let _dropped_or_not = timeout(MOMENT, request.save()).await;
            request.insert("later", &true).unwrap();
            site.store.release();
            request.answer().await.unwrap();
            assert_eq!(site.value(&browser, "later").await, Some(true), "{first:?}");
            if matches!(first, Work::LogOut) {
                assert_eq!(site.value::<i32>(&stale, "a").await, None);
            } else {
                first.assert_done(&site, &browser, &stale).await;
            }

            // And a log-out wins over all of it.
            let site = Site::new(signed());
            let browser = first.begin(&site).await;
            let stale = browser.clone();
            let request = site.open(&browser).await;
            first.does(&request);
            site.store.hold_from(calls, When::Before);
            let _dropped_or_not = timeout(MOMENT, request.save()).await;
            request.log_out();
            site.store.release();
            request.answer().await.unwrap();
            assert_eq!(browser.header("/"), None, "{first:?}");
            assert!(site.open(&stale).await.is_new(), "{first:?}");
            assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_save_that_fails_is_no_success() {
    for failure in [Failure::Before, Failure::After] {
        for method in [Method::Insert, Method::Update] {
            let site = Site::new(signed());
            let browser = match method {
                Method::Insert => site.browser(),
                _ => site.visited().await,
            };
            let request = site.open(&browser).await;
            request.insert("b", &2).unwrap();
            site.store.fail(method, failure);
            site.store.hold_from(0, When::Before);
            assert!(timeout(MOMENT, request.save()).await.is_err());
            site.store.release();
            assert!(request.answer().await.is_err(), "{method:?} {failure:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_saves_that_are_joined_and_dropped_lose_no_change() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let request = site.open(&browser).await;
    request.insert("b", &2).unwrap();
    site.store.hold(&Method::WRITES);
    let other = async {
        tokio::time::sleep(MOMENT).await;
        Err::<Saved, _>(Error::Unknown)
    };
    let both = async {
        let save = request.save();
        tokio::try_join!(save, other)
    };
    assert!(matches!(both.await, Err(Error::Unknown)));
    site.store.release();
    request.answer().await.unwrap();
    assert_eq!(site.value(&browser, "b").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn the_head_waits_for_a_renewal_that_another_task_saves() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    site.store.hold(&Method::WRITES);
    let other = request.session.clone();
    let task = tokio::spawn(async move {
        other.renew();
        other.save().await
    });
    tokio::time::sleep(MOMENT).await;
    let finishing = request.inner.finish();
    site.store.release();
    let outcome = match finishing {
        Finish::Ready(outcome) => outcome,
        Finish::Pending(saving) => saving.await.unwrap(),
    };
    browser.receive(&outcome);
    assert_eq!(task.await.unwrap().unwrap(), Saved::Stored);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test(start_paused = true)]
async fn the_head_waits_for_a_save_of_another_task_no_longer_than_the_budget() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let request = site.open(&browser).await;
    site.store.hold(&Method::WRITES);
    let other = request.session.clone();
    let task = tokio::spawn(async move {
        other.renew();
        other.save().await
    });
    tokio::time::sleep(MOMENT).await;
    let start = Instant::now();
    assert!(request.answer().await.is_err());
    assert!(start.elapsed() <= Duration::from_secs(1));
    assert!(task.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_log_out_beside_a_save_of_another_task_ends_what_that_stores() {
    for calls in 0..3 {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let stale = browser.clone();
        let request = site.open(&browser).await;
        site.store.hold_from(calls, When::Before);
        let other = request.session.clone();
        let task = tokio::spawn(async move {
            other.renew();
            other.save().await
        });
        tokio::time::sleep(MOMENT).await;
        request.log_out();
        site.store.release();
        request.answer().await.unwrap();
        let _saved = task.await.unwrap().unwrap();
        assert_eq!(browser.header("/"), None);
        assert_eq!(site.owner(&stale).await, None);
        assert_eq!(site.sessions.owner_sessions("ada").await.unwrap().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_task_does_while_the_request_ends_is_in_the_answer() {
    for settings in profiles() {
        for first in Work::ALL {
            for calls in 0..3 {
                for log_out in [true, false] {
                    let site = Site::new(settings.clone());
                    let browser = first.begin(&site).await;
                    let stale = browser.clone();
                    let request = site.open(&browser).await;
                    first.does(&request);
                    site.store.hold_from(calls, When::Before);
                    let beside = async {
                        tokio::time::sleep(MOMENT).await;
                        if log_out {
                            request.log_out();
                        } else {
                            request.insert("beside", &true).unwrap();
                        }
                        site.store.release();
                    };
                    let mut answered = pin!(request.answer());
                    let finished = tokio::select! {
                        biased;
                        answered = &mut answered => Some(answered),
                        () = beside => None,
                    };
                    if let Some(answered) = finished {
                        answered.unwrap();
                        continue;
                    }
                    answered.await.unwrap();
                    if log_out {
                        assert_eq!(browser.header("/"), None, "{first:?}, {calls}");
                        assert_eq!(site.value::<i32>(&stale, "a").await, None);
                    } else {
                        assert_eq!(site.value(&browser, "beside").await, Some(true));
                    }
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_is_not_polled_any_more_holds_up_nobody() {
    let site = Site::new(signed());
    let browser = site.browser();
    let request = site.open(&browser).await;
    request.insert("a", &1).unwrap();
    site.store.hold(&Method::WRITES);
    let mut first = pin!(request.save());
    poll_once(first.as_mut()).await;
    request.insert("b", &1).unwrap();
    let start = Instant::now();
    assert!(request.answer().await.is_err());
    assert!(start.elapsed() <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_polled_any_more_is_done_by_the_next_that_waits() {
    for calls in 0..3 {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let request = site.open(&browser).await;
        request.insert("a", &1).unwrap();
        request.renew();
        site.store.hold_from(calls, When::Before);
        let mut first = Box::pin(request.save());
        if calls < 2 {
            poll_once(first.as_mut()).await;
        }
        site.store.release();
        request.insert("b", &2).unwrap();
        timeout(MOMENT, request.answer()).await.unwrap().unwrap();
        assert_eq!(site.value(&browser, "a").await, Some(1));
        assert_eq!(site.value(&browser, "b").await, Some(2));
        drop(first);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_or_an_opening_that_is_not_polled_any_more_holds_up_nobody() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let request = site.open(&browser).await;
    site.store.hold(&[Method::Load]);
    let mut reload = Box::pin(request.reload());
    poll_once(reload.as_mut()).await;
    site.store.release();
    request.insert("b", &2).unwrap();
    timeout(MOMENT, request.answer()).await.unwrap().unwrap();
    assert_eq!(site.value(&browser, "b").await, Some(2));

    let visit = site.sessions.begin_request();
    site.store.hold(&[Method::Load]);
    let mut opening = Box::pin(browser.session(&visit));
    poll_once(opening.as_mut()).await;
    site.store.release();
    let session = timeout(MOMENT, browser.session(&visit)).await.unwrap();
    assert_eq!(session.unwrap().get("b").unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_polled_any_more_does_not_keep_its_turn_from_others() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let (stuck, beside) = (site.open(&browser).await, site.open(&browser).await);
    site.request(&browser, |session| session.insert("b", &2).unwrap())
        .await;
    stuck.insert("stuck", &true).unwrap();
    // Refused once, it has the turn at the key and loads again.
    site.store.hold_from(1, When::Before);
    let mut saving = Box::pin(stuck.save());
    poll_once(saving.as_mut()).await;
    site.store.release();
    let start = Instant::now();
    beside.insert("beside", &true).unwrap();
    beside.answer().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(site.value(&browser, "beside").await, Some(true));
    let _stored = saving.await.unwrap();
    stuck.answer().await.unwrap();
    assert_eq!(site.value(&browser, "stuck").await, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_opening_is_begun_again_by_the_next() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let visit = site.sessions.begin_request();
    site.store.hold(&[Method::Load]);
    assert!(timeout(MOMENT, browser.session(&visit)).await.is_err());
    site.store.release();
    let session = browser.session(&visit).await.unwrap();
    assert_eq!(session.get("a").unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_logins_at_once_the_overtaken_one_does_not_wait_for_itself() {
    // One pair of keys in 1,024 meets in one queue.
    let site = Site::new(signed());
    for _ in 0..8000 {
        let browser = site.visited().await;
        let (one, two) = (site.open(&browser).await, site.open(&browser).await);
        one.log_in("ada").unwrap();
        two.log_in("ada").unwrap();
        one.answer().await.unwrap();
        two.answer().await.unwrap();
    }
}

#[tokio::test]
async fn many_logins_at_once_leave_one_session_and_no_error() {
    let site = Arc::new(Site::new(signed()));
    for _ in 0..50 {
        let browser = site.visited().await;
        let mut requests = Vec::new();
        for _ in 0..8 {
            let request = site.open(&browser).await;
            request.log_in("ada").unwrap();
            requests.push(request);
        }
        let answers = requests.iter().map(Request::answer);
        for answer in futures_util::future::join_all(answers).await {
            answer.unwrap();
        }
        assert_eq!(ended(&site.sessions).await, 1);
    }
}

async fn ended(sessions: &Sessions) -> u64 {
    sessions.log_out_everywhere("ada").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_change_beside_a_save_that_fails_is_saved_by_the_next() {
    let site = Site::new(signed());
    let browser = site.browser();
    site.request(&browser, |session| session.insert("first", &1).unwrap())
        .await;
    let request = site.open(&browser).await;
    request.insert("too much", &2).unwrap();
    site.store.fail(Method::Update, Failure::TooLarge);
    site.store.hold(&Method::WRITES);
    let saved = async {
        assert!(matches!(request.save().await, Err(Error::TooLarge { .. })));
    };
    let changed = async {
        request.insert("beside it", &3).unwrap();
        site.store.release();
    };
    tokio::join!(saved, changed);
    assert_eq!(request.get("beside it").unwrap(), Some(3));
    request.insert("afterwards", &4).unwrap();
    assert_eq!(request.save().await.unwrap(), Saved::Stored);
    let keys = site.open(&browser).await.keys();
    assert_eq!(keys, ["first", "beside it", "afterwards"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_save_and_give_up_lose_nothing_and_wait_for_nobody() {
    const TASKS: u64 = 6;
    // All saves of a request share the time.
    let site = Site::new(signed().with_store_timeout(Duration::from_secs(60)));
    site.store.slow(Method::Update, Duration::from_millis(1));
    for round in 0..60 {
        let browser = site.visited().await;
        let request = site.open(&browser).await;
        let mut tasks = Vec::new();
        for task in 0..TASKS {
            let session = request.session.clone();
            tasks.push(tokio::spawn(async move {
                session.insert(&task.to_string(), &task).unwrap();
                let patience = Duration::from_micros((round * 97 + task * 631) % 4_000);
                let _saved_or_not = timeout(patience, session.save()).await;
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        request.answer().await.unwrap();
        let left = site.open(&browser).await;
        for task in 0..TASKS {
            assert_eq!(left.get(&task.to_string()).unwrap(), Some(task));
        }
    }
}

/// The session of a dropped save lives on, in a task or a stream.
#[tokio::test(start_paused = true)]
async fn a_dropped_save_keeps_no_place_in_the_queue() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let (first, second) = (site.open(&browser).await, site.open(&browser).await);
    let count: Handler = |session| {
        let counted = session.update("n", |n: Option<i32>| n.unwrap_or(0) + 1);
        assert!(counted.is_ok());
    };
    site.request(&browser, count).await;
    first.insert("first", &1).unwrap();
    second.insert("second", &1).unwrap();
    site.store.slow(Method::Update, Duration::from_millis(100));
    // Both writes are refused. The first has the turn then, and the second waits for it.
    let impatient = async {
        tokio::time::sleep(MOMENT).await;
        timeout(Duration::from_millis(130), second.save()).await
    };
    let (stored, dropped) = tokio::join!(first.save(), impatient);
    assert_eq!(stored.unwrap(), Saved::Stored);
    assert!(dropped.is_err());
    for _ in 0..3 {
        let begin = Instant::now();
        site.request(&browser, count).await;
        assert!(
            begin.elapsed() < Duration::from_millis(150),
            "{:?}",
            begin.elapsed()
        );
    }
    second.answer().await.unwrap();
    let left: Option<i32> = site.value(&browser, "second").await;
    assert_eq!(left, Some(1));
}
