//! Attacks on the binding, by what `DEVICE_BOUND.md` promises.

use std::time::Duration;

use session_core::{
    EncryptionKeys, Error, Session, Settings,
    config::{OnStoreFailure, Refresh},
    dbsc::{DeviceBinding, DevicePolicy, DeviceState, TestDevice},
};

use super::{Bound, MINUTE, binding, offer_in, received, refresh, register, says_ended};
use crate::support::{Browser, Failure, Handler, Method, Site, signed};

const MILLI: Duration = Duration::from_millis(1);

fn bound_cookie(browser: &Browser) -> String {
    let header = browser.header("/").unwrap();
    let mut cookies = header.split("; ");
    cookies
        .find(|it| it.starts_with("__Host-device="))
        .unwrap()
        .to_owned()
}

async fn state(site: &Site, browser: &Browser) -> DeviceState {
    site.open(browser).await.device_state()
}

/// What each policy answers: `Ok` or the status.
async fn policies(site: &Site, browser: &Browser) -> [u16; 3] {
    let request = site.open(browser).await;
    [
        DevicePolicy::Offer,
        DevicePolicy::RequireOnceBound,
        DevicePolicy::Require,
    ]
    .map(|policy| match request.require_device(policy) {
        Ok(()) => 200,
        Err(Error::DeviceNeeded) => 403,
        Err(error) => error.status(),
    })
}

// --- values of the bound cookie --------------------------------------------------------------

/// The proof before the first one is nobody's.
#[tokio::test]
async fn no_guessable_value_is_a_proof() {
    let ada = Bound::new(binding()).await;
    let thief = ada.browser.clone();
    let name = ada.name.trim_start_matches('d').to_owned();
    let challenge = ada.challenge.split('"').nth(1).unwrap().to_owned();
    for value in [
        "AAAAAAAAAAAAAAAAAAAAAA",
        "_____________________w",
        "",
        "A",
        &name,
        &challenge,
    ] {
        thief.forget("__Host-device");
        thief.set(&format!("__Host-device={value}; Path=/"));
        assert_eq!(
            state(&ada.site, &thief).await,
            DeviceState::Unproved,
            "{value}"
        );
    }
}

/// After an hour without a refresh, whoever has the login asks for a challenge, which replaces the
/// proof; none of that makes a value that counts.
#[tokio::test]
async fn asking_for_challenges_for_hours_makes_no_value_that_counts() {
    let ada = Bound::new(binding()).await;
    let old = ada.browser.clone();
    let kept = format!("{}; Path=/", bound_cookie(&old));
    old.set(&kept);
    let thief = ada.browser.clone();
    thief.forget("__Host-device");
    for _ in 0..5 {
        ada.site.time.advance(61 * MINUTE);
        assert_eq!(
            refresh(&ada.site, &thief, &ada.name, None).await.status,
            403
        );
        assert_eq!(state(&ada.site, &old).await, DeviceState::Unproved);
        thief.set("__Host-device=AAAAAAAAAAAAAAAAAAAAAA; Path=/");
        assert_eq!(state(&ada.site, &thief).await, DeviceState::Unproved);
    }
}

/// A login without proof frees the session. What the device before had is worth nothing then.
#[tokio::test]
async fn proofs_of_the_device_before_do_not_count_for_the_next_one() {
    let mut ada = Bound::new(binding()).await;
    let first = format!("{}; Path=/", bound_cookie(&ada.browser));
    assert_eq!(ada.refresh().await.status, 200);
    let second = format!("{}; Path=/", bound_cookie(&ada.browser));
    ada.browser.forget("__Host-device");
    let ada = Bound::log_in(ada.site, ada.browser, "ada").await.unwrap();
    let thief = ada.browser.clone();
    for old in [first, second] {
        thief.forget("__Host-device");
        thief.set(&old);
        assert_eq!(state(&ada.site, &thief).await, DeviceState::Unproved);
    }
}

/// A name without a prefix can be planted by a subdomain. The genuine one is found among copies.
#[tokio::test]
async fn the_genuine_proof_is_found_among_other_cookies() {
    for copies in [1, 3, 9, 50] {
        let ada = Bound::new(binding()).await;
        let genuine = format!("{}; Path=/", bound_cookie(&ada.browser));
        ada.browser.forget("__Host-device");
        for n in 0..300 {
            ada.browser.set(&format!("other{n}=x; Path=/"));
        }
        for n in 0..copies {
            ada.browser.set(&format!(
                "__Host-device={}; Path=/; Domain=d{n}",
                "A".repeat(22)
            ));
        }
        ada.browser.set(&genuine);
        assert_eq!(ada.state().await, DeviceState::Proved, "{copies} copies");
    }
}

// --- clocks ----------------------------------------------------------------------------------

/// "clocks that differ": a process that is a minute fast, and one that is right.
#[tokio::test]
async fn processes_whose_clocks_differ_by_a_minute_agree() {
    let slow = Site::new(binding());
    let fast = slow.fast(binding(), MINUTE);
    for (login, bind, guard) in [
        (&slow, &fast, &slow),
        (&fast, &slow, &fast),
        (&fast, &slow, &slow),
        (&fast, &fast, &slow),
        (&slow, &slow, &fast),
    ] {
        let browser = login.browser();
        let answer = login
            .request(&browser, |it| it.log_in("ada").unwrap())
            .await;
        let offer = offer_in(&answer).unwrap();
        let device = TestDevice::new();
        let answer = register(bind, &browser, &device.registration(&offer)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(state(guard, &browser).await, DeviceState::Proved);
        let name = super::name_in(&answer);
        let proof = device.proof(&answer.challenge.unwrap());
        let answer = refresh(guard, &browser, &name, Some(&proof)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(state(login, &browser).await, DeviceState::Proved);
        assert_eq!(state(bind, &browser).await, DeviceState::Proved);
    }
}

/// A clock was an hour fast while the session was bound, and is right again. The thirty seconds in
/// which `RequireOnceBound` asks for nothing must not last an hour.
#[tokio::test]
async fn a_clock_that_jumps_back_does_not_lengthen_the_half_minute_without_proof() {
    let right = Site::new(binding());
    let fast = right.fast(binding(), 60 * MINUTE);
    let browser = right.browser();
    let answer = right
        .request(&browser, |it| it.log_in("ada").unwrap())
        .await;
    let fast_login = fast.browser();
    drop(answer);
    let answer = fast
        .request(&fast_login, |it| it.log_in("ada").unwrap())
        .await;
    let offer = offer_in(&answer).unwrap();
    let bound = register(&fast, &fast_login, &TestDevice::new().registration(&offer)).await;
    assert_eq!(bound.status, 200);
    let thief = fast_login.clone();
    thief.forget("__Host-device");
    // Two minutes later: half a minute, and a minute for clocks that differ, are over.
    right.time.advance(2 * MINUTE);
    assert_eq!(policies(&right, &thief).await, [200, 403, 403]);
}

/// The same for the bound cookie: eleven minutes, and the difference of a minute.
#[tokio::test]
async fn a_clock_that_jumps_back_does_not_lengthen_a_stolen_proof() {
    let right = Site::new(binding());
    let fast = right.fast(binding(), 60 * MINUTE);
    let browser = fast.browser();
    let answer = fast.request(&browser, |it| it.log_in("ada").unwrap()).await;
    let offer = offer_in(&answer).unwrap();
    let bound = register(&fast, &browser, &TestDevice::new().registration(&offer)).await;
    assert_eq!(bound.status, 200);
    let thief = browser.clone();
    thief.set(&format!("{}; Path=/", bound_cookie(&browser)));
    right.time.advance(13 * MINUTE);
    assert_eq!(state(&right, &thief).await, DeviceState::Unproved);
}

/// And for the challenge of an offer: "counts for five minutes".
#[tokio::test]
async fn a_clock_that_jumps_back_does_not_lengthen_an_offer() {
    let right = Site::new(binding());
    let fast = right.fast(binding(), 60 * MINUTE);
    let browser = fast.browser();
    let answer = fast.request(&browser, |it| it.log_in("ada").unwrap()).await;
    let offer = offer_in(&answer).unwrap();
    right.time.advance(7 * MINUTE);
    let bound = register(&right, &browser, &TestDevice::new().registration(&offer)).await;
    assert_ne!(bound.status, 200);
    assert_eq!(state(&right, &browser).await, DeviceState::Unbound);
}

/// And for a proof that was signed ahead: "counts for an hour".
#[tokio::test]
async fn a_clock_that_jumps_back_does_not_lengthen_a_challenge() {
    let right = Site::new(binding());
    let fast = right.fast(binding(), 24 * 60 * MINUTE);
    let browser = fast.browser();
    let answer = fast.request(&browser, |it| it.log_in("ada").unwrap()).await;
    let offer = offer_in(&answer).unwrap();
    let device = TestDevice::new();
    let bound = register(&fast, &browser, &device.registration(&offer)).await;
    let name = super::name_in(&bound);
    let ahead = device.proof(&bound.challenge.unwrap());
    right.time.advance(3 * 60 * MINUTE);
    let thief = browser.clone();
    thief.forget("__Host-device");
    let answer = refresh(&right, &thief, &name, Some(&ahead)).await;
    assert_eq!(answer.status, 403);
}

/// A browser whose server's clock jumped back by a minute still proves itself by what it has.
#[tokio::test]
async fn a_refresh_after_a_clock_that_was_an_hour_fast_works() {
    let right = Site::new(binding());
    let fast = right.fast(binding(), 60 * MINUTE);
    let browser = fast.browser();
    let answer = fast.request(&browser, |it| it.log_in("ada").unwrap()).await;
    let offer = offer_in(&answer).unwrap();
    let device = TestDevice::new();
    let bound = register(&fast, &browser, &device.registration(&offer)).await;
    let mut ada = Bound {
        name: super::name_in(&bound),
        challenge: bound.challenge.unwrap(),
        site: right,
        browser,
        device,
    };
    assert_eq!(ada.refresh().await.status, 200);
    assert_eq!(ada.state().await, DeviceState::Proved);
    ada.site.time.advance(10 * MINUTE);
    assert_eq!(ada.refresh().await.status, 200);
    assert_eq!(ada.state().await, DeviceState::Proved);
}

// --- several processes -----------------------------------------------------------------------

/// A process that binds nothing logs in another user in the same browser: her session is no
/// session of his device.
#[tokio::test]
async fn a_program_that_binds_nothing_frees_it_with_the_login_of_another_user() {
    let mut ada = Bound::new(binding()).await;
    let other = ada.site.with_settings(signed());
    other
        .request(&ada.browser, |it| it.log_in("grace").unwrap())
        .await;
    assert_eq!(ada.site.owner(&ada.browser).await.as_deref(), Some("grace"));
    assert_eq!(ada.state().await, DeviceState::Unbound);
    assert!(says_ended(&ada.send(None).await));
}

/// Other paths, another name of the cookie, and other keys with the old ones as fallbacks.
#[tokio::test]
async fn other_settings_refresh_what_these_bound() {
    let mut ada = Bound::new(binding()).await;
    let day = DeviceBinding::new("/x/bind", "/x/refresh").with_cookie_life(30 * MINUTE);
    let keys = session_core::SecretKeys::new("another key that is long enough for it 1")
        .unwrap()
        .with_fallback("Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP")
        .unwrap();
    ada.site = ada
        .site
        .with_settings(Settings::new(keys).with_device_binding(day));
    let answer = ada.refresh().await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.unwrap().contains("/x/refresh"));
    assert_eq!(ada.state().await, DeviceState::Proved);
    ada.site.time.advance(20 * MINUTE);
    assert_eq!(ada.state().await, DeviceState::Proved);
}

// --- encryption ------------------------------------------------------------------------------

fn encrypted() -> Settings {
    let keys = EncryptionKeys::new("b0Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1").unwrap();
    binding().with_encryption(keys)
}

/// "whoever can write to the store, unless the sessions are encrypted".
#[tokio::test]
async fn who_writes_to_an_encrypted_store_cannot_change_the_device() {
    let ada = Bound::new(encrypted()).await;
    let key = ada.site.store.last_key();
    let before = ada.site.store.bytes(&key).await;
    let jwk: serde_json::Value = serde_json::from_str(&ada.device.jwk()).unwrap();
    let x = jwk["x"].as_str().unwrap();
    let x = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, x).unwrap();
    let at = before.windows(32).position(|it| it == x).unwrap();
    let ends = at + 109;
    for changed in (at..ends).step_by(7).chain([at + 64, ends - 1]) {
        ada.site.store.tamper(&key, |it| it[changed] ^= 1).await;
        let opened = ada.site.try_open(&ada.browser).await;
        let accepted = opened.is_ok_and(|it| it.owner().is_some());
        assert!(!accepted, "byte {}", changed - at);
        ada.site
            .store
            .tamper(&key, |it| it.clone_from(&before))
            .await;
        assert_eq!(ada.state().await, DeviceState::Proved);
    }
}

#[tokio::test]
async fn an_encrypted_session_binds_refreshes_and_ends() {
    let mut ada = Bound::new(encrypted()).await;
    ada.site
        .request(&ada.browser, |it| it.insert("n", &7).unwrap())
        .await;
    assert_eq!(ada.refresh().await.status, 200);
    assert_eq!(ada.site.value::<i32>(&ada.browser, "n").await, Some(7));
    ada.site.request(&ada.browser, Session::renew).await;
    assert_eq!(ada.refresh().await.status, 200);
    assert_eq!(ada.state().await, DeviceState::Proved);
}

// --- races -----------------------------------------------------------------------------------

const SURVIVES: [(&str, Handler); 7] = [
    ("nothing", |_| {}),
    ("insert", |it| it.insert("n", &1).unwrap()),
    ("renew", Session::renew),
    ("reauthenticate", |it| it.reauthenticate().unwrap()),
    ("log in again", |it| it.log_in("ada").unwrap()),
    ("clear", Session::clear),
    ("label", |it| it.set_label(Some("a"))),
];

fn races() -> Vec<(Settings, &'static str)> {
    vec![
        (binding(), "plain"),
        (binding().with_refresh(Refresh::EveryRequest), "every"),
        (binding().with_refresh(Refresh::OnChange), "change"),
        (
            binding().with_rotation(Duration::from_secs(3600)),
            "rotates",
        ),
        (
            binding()
                .with_rotation(Duration::from_secs(3600))
                .with_refresh(Refresh::EveryRequest),
            "rotates, every",
        ),
        (encrypted(), "encrypted"),
    ]
}

/// A refresh beside each thing that a session survives, in each order, early and late enough for a
/// rotation. No answer ends the binding in the browser, and it proves itself afterwards.
#[tokio::test]
async fn a_refresh_beside_what_a_session_survives_ends_no_binding() {
    for (settings, which) in races() {
        for (what, handler) in SURVIVES {
            for order in 0..4 {
                for late in [false, true] {
                    let shown = format!("{which}, {what}, order {order}, late {late}");
                    let mut ada = Bound::new(settings.clone()).await;
                    if late {
                        // The hour of a rotation; the browser proved itself meanwhile.
                        for _ in 0..8 {
                            ada.site.time.advance(9 * MINUTE);
                            assert_eq!(ada.refresh().await.status, 200, "{shown}");
                        }
                        ada.site.time.advance(8 * MINUTE);
                    }
                    let sent = ada.browser.clone();
                    let proof = ada.device.proof(&ada.challenge);
                    let refreshing = ada.site.open(&ada.browser).await;
                    let other = ada.site.open(&ada.browser).await;
                    let (name, proof) = (ada.name.as_bytes(), proof.as_bytes());
                    let answer = match order {
                        0 => {
                            handler(&other);
                            let _other = other.answer().await;
                            let answer = refreshing.refresh_device(Some(name), Some(proof)).await;
                            let _head = refreshing.answer().await;
                            answer
                        }
                        1 => {
                            let answer = refreshing.refresh_device(Some(name), Some(proof)).await;
                            let _head = refreshing.answer().await;
                            handler(&other);
                            let _other = other.answer().await;
                            answer
                        }
                        2 => {
                            handler(&other);
                            let answer = refreshing.refresh_device(Some(name), Some(proof)).await;
                            let _other = other.answer().await;
                            let _head = refreshing.answer().await;
                            answer
                        }
                        _ => {
                            handler(&other);
                            let _other = other.answer().await;
                            drop(refreshing);
                            let late = ada.site.open(&sent).await;
                            let answer = late.refresh_device(Some(name), Some(proof)).await;
                            let head = late.answer().await;
                            drop(head);
                            answer
                        }
                    };
                    match answer {
                        Ok(answer) => {
                            let keeps = matches!(answer.status, 200 | 403 | 503)
                                && !says_ended(&answer)
                                && (answer.status != 403 || answer.challenge.is_some());
                            assert!(keeps, "{shown}: {answer:?}");
                            let answer = received(&ada.browser, answer);
                            if let Some(challenge) = answer.challenge {
                                ada.challenge = challenge;
                            }
                        }
                        Err(error) => assert_eq!(error.status(), 503, "{shown}: {error}"),
                    }
                    assert_eq!(
                        ada.site.owner(&ada.browser).await.as_deref(),
                        Some("ada"),
                        "{shown}"
                    );
                    if ada.state().await != DeviceState::Proved {
                        ada.browser.forget("__Host-device");
                    }
                    let again = ada.refresh().await;
                    assert_eq!(again.status, 200, "{shown}: {again:?}");
                    assert!(!says_ended(&again), "{shown}");
                    assert_eq!(ada.state().await, DeviceState::Proved, "{shown}");
                }
            }
        }
    }
}

/// A refresh beside each thing that ends a session: afterwards it is ended, whatever the order.
#[tokio::test]
async fn a_refresh_beside_an_end_brings_nothing_back() {
    let ends: [(&str, Handler); 3] = [
        ("log-out", Session::log_out),
        ("another user", |it| it.log_in("grace").unwrap()),
        ("log-out with a message", |it| {
            it.log_out();
            it.flash("info", "bye").unwrap();
        }),
    ];
    for (settings, which) in races() {
        for (what, end) in ends {
            for order in 0..3 {
                let shown = format!("{which}, {what}, order {order}");
                let mut ada = Bound::new(settings.clone()).await;
                let proof = ada.device.proof(&ada.challenge);
                let before = ada.browser.clone();
                let refreshing = ada.site.open(&ada.browser).await;
                let ending = ada.site.open(&ada.browser).await;
                let (name, proof) = (ada.name.as_bytes(), proof.as_bytes());
                end(&ending);
                let answer = match order {
                    0 => {
                        ending.answer().await.unwrap();
                        let answer = refreshing.refresh_device(Some(name), Some(proof)).await;
                        let _head = refreshing.answer().await;
                        answer
                    }
                    1 => {
                        let answer = refreshing.refresh_device(Some(name), Some(proof)).await;
                        let _head = refreshing.answer().await;
                        ending.answer().await.unwrap();
                        answer
                    }
                    _ => {
                        let answer = refreshing.refresh_device(Some(name), Some(proof)).await;
                        ending.answer().await.unwrap();
                        let _head = refreshing.answer().await;
                        answer
                    }
                };
                if let Ok(answer) = answer {
                    let _ = received(&ada.browser, answer);
                }
                assert_ne!(
                    ada.site.owner(&before).await.as_deref(),
                    Some("ada"),
                    "{shown}"
                );
                assert_ne!(
                    ada.site.owner(&ada.browser).await.as_deref(),
                    Some("ada"),
                    "{shown}"
                );
                assert!(says_ended(&ada.send(None).await), "{shown}");
                let proof = ada.device.proof(&ada.challenge);
                assert!(says_ended(&ada.send(Some(&proof)).await), "{shown}");
                assert_ne!(ada.state().await, DeviceState::Proved, "{shown}");
            }
        }
    }
}

/// A registration beside what changes a session: the session is bound if, and only if, the browser
/// was told so.
#[tokio::test]
async fn a_session_is_bound_exactly_if_the_browser_is_told() {
    let mut all = SURVIVES.to_vec();
    all.push(("log in another", |it| it.log_in("grace").unwrap()));
    all.push(("log out", Session::log_out));
    for (settings, which) in races() {
        for (what, handler) in &all {
            for order in 0..3 {
                for wait in [0, 1] {
                    let shown = format!("{which}, {what}, order {order}, wait {wait}");
                    let site = Site::new(settings.clone());
                    let browser = site.browser();
                    let login = site.request(&browser, |it| it.log_in("ada").unwrap()).await;
                    let offer = offer_in(&login).unwrap();
                    site.time.advance(u32::from(wait == 1) * MILLI);
                    let token = TestDevice::new().registration(&offer);
                    let binds = site.open(&browser).await;
                    let other = site.open(&browser).await;
                    handler(&other);
                    let (answer, head) = match order {
                        0 => {
                            let head = other.answer().await;
                            let answer = binds.register_device(Some(token.as_bytes())).await;
                            let _own = binds.answer().await;
                            (answer, head)
                        }
                        1 => {
                            let answer = binds.register_device(Some(token.as_bytes())).await;
                            let _own = binds.answer().await;
                            (answer, other.answer().await)
                        }
                        _ => {
                            let answer = binds.register_device(Some(token.as_bytes())).await;
                            let head = other.answer().await;
                            let _own = binds.answer().await;
                            (answer, head)
                        }
                    };
                    let told = answer.is_ok_and(|it| {
                        let told = it.status == 200;
                        let _ = received(&browser, it);
                        told
                    });
                    let head = head.unwrap();
                    let state = state(&site, &browser).await;
                    let owner = site.owner(&browser).await;
                    match owner.as_deref() {
                        Some("ada") if offer_in(&head).is_none() => {
                            let expected = if told {
                                DeviceState::Proved
                            } else {
                                DeviceState::Unbound
                            };
                            assert_eq!(state, expected, "{shown}");
                        }
                        // In the same millisecond it is the same login.
                        Some("ada") if told && wait == 0 && order == 0 => {
                            assert_eq!(state, DeviceState::Proved, "{shown}");
                        }
                        // A newer login offers it, so it is free.
                        _ => assert_eq!(state, DeviceState::Unbound, "{shown}"),
                    }
                }
            }
        }
    }
}

/// A login whose proof was right when it arrived, and is two refreshes old when it is stored: the
/// answer offers to bind the session exactly if it is free.
#[tokio::test]
async fn a_login_beside_refreshes_offers_exactly_what_can_be_bound() {
    for refreshes in 0..4 {
        for proves in [false, true] {
            let mut ada = Bound::new(binding()).await;
            let sent = ada.browser.clone();
            if !proves {
                sent.forget("__Host-device");
            }
            let login = ada.site.open(&sent).await;
            for _ in 0..refreshes {
                ada.site.time.advance(2 * MINUTE);
                assert_eq!(ada.refresh().await.status, 200);
            }
            login.log_in("ada").unwrap();
            let head = login.answer().await.unwrap();
            let free = state(&ada.site, &sent).await == DeviceState::Unbound;
            assert_eq!(
                offer_in(&head).is_some(),
                free,
                "{refreshes} refreshes, proves: {proves}"
            );
            if let Some(offer) = offer_in(&head) {
                let token = TestDevice::new().registration(&offer);
                assert_eq!(register(&ada.site, &sent, &token).await.status, 200);
            } else {
                assert!(proves, "a login without proof frees the session");
            }
        }
    }
}

/// Two devices accept one offer at the same time.
#[tokio::test]
async fn of_two_registrations_at_once_one_is_told() {
    let site = Site::new(binding());
    let browser = site.browser();
    let login = site.request(&browser, |it| it.log_in("ada").unwrap()).await;
    let offer = offer_in(&login).unwrap();
    let devices = [TestDevice::new(), TestDevice::new()];
    let requests = [site.open(&browser).await, site.open(&browser).await];
    let tokens = [
        devices[0].registration(&offer),
        devices[1].registration(&offer),
    ];
    let (one, two) = tokio::join!(
        requests[0].register_device(Some(tokens[0].as_bytes())),
        requests[1].register_device(Some(tokens[1].as_bytes())),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    for request in &requests {
        request.answer().await.unwrap();
    }
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
    let (winner, device) = if one.status == 200 {
        (one, 0)
    } else {
        (two, 1)
    };
    let name = super::name_in(&winner);
    let challenge = winner.challenge.clone().unwrap();
    let _ = received(&browser, winner);
    let wrong = devices[1 - device].proof(&challenge);
    assert_eq!(
        refresh(&site, &browser, &name, Some(&wrong)).await.status,
        401
    );
    let right = devices[device].proof(&challenge);
    assert_eq!(
        refresh(&site, &browser, &name, Some(&right)).await.status,
        200
    );
}

// --- the store fails -------------------------------------------------------------------------

/// Each call of a refresh fails, before and after it was done. The browser keeps its key, and the
/// next refresh works.
#[tokio::test]
async fn a_store_that_fails_at_any_call_of_a_refresh_ends_no_binding() {
    let failures = [Failure::Before, Failure::After, Failure::TooLarge];
    for (settings, which) in races() {
        for late in [0, 90] {
            for method in Method::ALL {
                for failure in failures {
                    for times in [1, 2, 20] {
                        let shown = format!("{which}, {late}, {method:?}, {failure:?} x{times}");
                        let mut ada = Bound::new(settings.clone()).await;
                        ada.site.time.advance(late * MINUTE);
                        for _ in 0..times {
                            ada.site.store.fail(method, failure);
                        }
                        let proof = ada.device.proof(&ada.challenge);
                        if let Ok(request) = ada.site.try_open(&ada.browser).await {
                            let answer = request
                                .refresh_device(Some(ada.name.as_bytes()), Some(proof.as_bytes()))
                                .await;
                            let _head = request.answer().await;
                            // The routes answer any error by a 503.
                            if let Ok(answer) = answer {
                                assert!(
                                    matches!(answer.status, 200 | 403 | 503)
                                        && !says_ended(&answer),
                                    "{shown}: {answer:?}"
                                );
                                if let Some(challenge) = &answer.challenge {
                                    ada.challenge.clone_from(challenge);
                                }
                                let _ = received(&ada.browser, answer);
                            }
                        }
                        ada.site.store.forget_failures();
                        let answer = ada.refresh().await;
                        assert_eq!(answer.status, 200, "{shown}: {answer:?}");
                        assert!(!says_ended(&answer), "{shown}");
                        assert_eq!(ada.state().await, DeviceState::Proved, "{shown}");
                    }
                }
            }
        }
    }
}

/// Each call of a registration fails. Whoever was not told, is not bound; except where the answer
/// of the write itself is lost, as documented.
#[tokio::test]
async fn a_store_that_fails_at_any_call_of_a_registration_binds_only_who_is_told() {
    for (settings, which) in races() {
        for method in Method::ALL {
            for failure in [Failure::Before, Failure::TooLarge] {
                for times in [1, 2, 20] {
                    let shown = format!("{which}, {method:?}, {failure:?} x{times}");
                    let site = Site::new(settings.clone());
                    let browser = site.browser();
                    let login = site.request(&browser, |it| it.log_in("ada").unwrap()).await;
                    let offer = offer_in(&login).unwrap();
                    let token = TestDevice::new().registration(&offer);
                    for _ in 0..times {
                        site.store.fail(method, failure);
                    }
                    let mut told = false;
                    if let Ok(request) = site.try_open(&browser).await {
                        let answer = request.register_device(Some(token.as_bytes())).await;
                        let _head = request.answer().await;
                        told = answer.is_ok_and(|it| {
                            let told = it.status == 200;
                            let _ = received(&browser, it);
                            told
                        });
                    }
                    site.store.forget_failures();
                    let expected = if told {
                        DeviceState::Proved
                    } else {
                        DeviceState::Unbound
                    };
                    assert_eq!(state(&site, &browser).await, expected, "{shown}");
                    if !told {
                        let again = register(&site, &browser, &token).await;
                        assert_eq!(again.status, 200, "{shown}");
                    }
                }
            }
        }
    }
}

/// A login that was not stored offers nothing.
#[tokio::test]
async fn a_login_that_fails_offers_nothing() {
    let site = Site::new(binding());
    let browser = site.browser();
    let request = site.open(&browser).await;
    request.log_in("ada").unwrap();
    site.store.go_down(&Method::ALL);
    request.answer().await.unwrap_err();
    let head = request.inner.failed();
    assert!(head.device.is_none_or(|it| it.registration.is_none()));
}

/// `OnStoreFailure::Anonymous`: in an outage nobody knows whether the session is bound. `Require`
/// cannot say that the device is missing: "the store down or slow is 503".
#[tokio::test]
async fn in_an_outage_an_anonymous_session_is_not_told_to_prove_its_device() {
    let settings = binding().with_on_store_failure(OnStoreFailure::Anonymous);
    let ada = Bound::new(settings).await;
    ada.site.store.go_down(&Method::ALL);
    let [offer, _once, require] = policies(&ada.site, &ada.browser).await;
    assert_eq!((offer, require), (200, 503));
}

/// In an outage a user logs out, or the session is only read: the bound cookie stays, because the
/// binding does.
#[tokio::test]
async fn in_an_outage_no_answer_removes_the_bound_cookie() {
    for settings in [
        binding(),
        binding().with_on_store_failure(OnStoreFailure::Anonymous),
    ] {
        let mut ada = Bound::new(settings).await;
        let request = ada.site.open(&ada.browser).await;
        ada.site.store.go_down(&Method::ALL);
        request.insert("n", &1).unwrap();
        let _failed = request.answer().await;
        if let Ok(request) = ada.site.try_open(&ada.browser).await {
            let _ = request.insert("n", &1);
            let _failed = request.answer().await;
        }
        ada.site.store.come_up();
        assert_eq!(ada.state().await, DeviceState::Proved);
        assert_eq!(ada.refresh().await.status, 200);
    }
}

// --- offers ----------------------------------------------------------------------------------

/// Whatever else the request of a login does, the offer in its answer can be accepted, or there is
/// none.
#[tokio::test]
async fn an_offer_can_be_accepted_whatever_else_the_request_does() {
    let works: [(&str, bool, Handler); 8] = [
        ("renews after", true, |it| {
            it.log_in("ada").unwrap();
            it.renew();
        }),
        ("renews before", true, |it| {
            it.renew();
            it.log_in("ada").unwrap();
        }),
        ("logs in twice", true, |it| {
            it.log_in("ada").unwrap();
            it.log_in("ada").unwrap();
        }),
        ("another before", true, |it| {
            it.log_in("grace").unwrap();
            it.log_in("ada").unwrap();
        }),
        ("clears", true, |it| {
            it.log_in("ada").unwrap();
            it.clear();
        }),
        ("offers", true, |it| {
            it.log_in("ada").unwrap();
            it.offer_device_binding();
        }),
        ("logs out", false, |it| {
            it.log_in("ada").unwrap();
            it.log_out();
        }),
        ("logs out and leaves a message", false, |it| {
            it.log_in("ada").unwrap();
            it.log_out();
            it.flash("info", "bye").unwrap();
        }),
    ];
    for (what, offers, handler) in works {
        for visited in [false, true] {
            let site = Site::new(binding());
            let browser = if visited {
                site.visited().await
            } else {
                site.browser()
            };
            let answer = site.request(&browser, handler).await;
            let offer = offer_in(&answer);
            assert_eq!(offer.is_some(), offers, "{what}");
            if let Some(offer) = offer {
                let token = TestDevice::new().registration(&offer);
                let answer = register(&site, &browser, &token).await;
                assert_eq!(answer.status, 200, "{what}");
            }
        }
    }
}

/// The application offers it in a request that also gives the session a new id.
#[tokio::test]
async fn an_offer_of_the_application_is_for_the_id_that_its_answer_sets() {
    let rotating = || binding().with_rotation(Duration::from_secs(3600));
    let cases: [(&str, Settings, u32, Handler); 4] = [
        ("renews", binding(), 0, |it| {
            it.offer_device_binding();
            it.renew();
        }),
        ("reauthenticates", binding(), 0, |it| {
            it.offer_device_binding();
            it.reauthenticate().unwrap();
        }),
        ("rotates", rotating(), 90, Session::offer_device_binding),
        ("rotates and changes", rotating(), 90, |it| {
            it.offer_device_binding();
            it.insert("n", &1).unwrap();
        }),
    ];
    for (what, settings, minutes, handler) in cases {
        let site = Site::new(settings);
        let browser = site.logged_in("ada").await;
        site.time.advance(minutes * MINUTE);
        let before = browser.header("/");
        let answer = site.request(&browser, handler).await;
        assert_ne!(browser.header("/"), before, "{what}");
        let offer = offer_in(&answer).unwrap();
        let token = TestDevice::new().registration(&offer);
        assert_eq!(
            register(&site, &browser, &token).await.status,
            200,
            "{what}"
        );
    }
}

/// A copied cookie, and the offer that the user's own browser did not accept, after the user has a
/// new id: the offer is for the old one.
#[tokio::test]
async fn an_offer_is_no_use_after_a_renewal() {
    let site = Site::new(binding());
    let browser = site.browser();
    let login = site.request(&browser, |it| it.log_in("ada").unwrap()).await;
    let offer = offer_in(&login).unwrap();
    let thief = browser.clone();
    site.request(&browser, Session::renew).await;
    let token = TestDevice::new().registration(&offer);
    for stolen in [&thief, &browser] {
        let request = site.open(stolen).await;
        let answer = request.register_device(Some(token.as_bytes())).await;
        assert!(answer.is_ok_and(|it| it.status != 200 && it.set_cookie.is_none()));
    }
    assert_eq!(state(&site, &browser).await, DeviceState::Unbound);
}

/// A thief without proof confirms the password that is not asked for, or renews: the binding stays.
#[tokio::test]
async fn no_work_of_a_thief_but_a_login_frees_the_session() {
    let works: [(&str, Handler); 6] = [
        ("renews", Session::renew),
        ("clears", Session::clear),
        ("offers", Session::offer_device_binding),
        ("label", |it| it.set_label(None)),
        ("lifetime", |it| it.set_lifetime(Some(60 * MINUTE))),
        ("permanent", |it| it.set_permanent(false)),
    ];
    for (what, handler) in works {
        let ada = Bound::new(binding()).await;
        ada.site.time.advance(MINUTE);
        let thief = ada.browser.clone();
        thief.forget("__Host-device");
        let answer = ada.site.request(&thief, handler).await;
        assert_eq!(offer_in(&answer), None, "{what}");
        assert_eq!(policies(&ada.site, &thief).await, [200, 403, 403], "{what}");
    }
}

/// The states in the request that logs in, frees or ends the session.
#[tokio::test]
async fn a_handler_sees_the_device_of_the_session_as_it_leaves_it() {
    let ada = Bound::new(binding()).await;
    ada.site.time.advance(MINUTE);
    ada.browser.forget("__Host-device");
    let request = ada.site.open(&ada.browser).await;
    assert_eq!(request.device_state(), DeviceState::Unproved);
    request.renew();
    assert_eq!(request.device_state(), DeviceState::Unproved);
    request.log_in("ada").unwrap();
    assert_eq!(request.device_state(), DeviceState::Unbound);
    let request = ada.site.open(&ada.browser).await;
    request.log_out();
    assert_eq!(request.device_state(), DeviceState::Unbound);
    let request = ada.site.open(&ada.browser).await;
    request.log_in("grace").unwrap();
    assert_eq!(request.device_state(), DeviceState::Unbound);
}

/// All sessions of a user end but this one: it stays bound.
#[tokio::test]
async fn a_log_out_everywhere_else_keeps_the_binding() {
    let mut ada = Bound::new(binding()).await;
    let other = Bound::log_in(ada.site.with_settings(binding()), ada.site.browser(), "ada").await;
    let mut other = other.unwrap();
    let request = ada.site.open(&ada.browser).await;
    assert_eq!(request.log_out_everywhere(true).await.unwrap(), 1);
    request.answer().await.unwrap();
    assert_eq!(ada.state().await, DeviceState::Proved);
    assert_eq!(ada.refresh().await.status, 200);
    assert!(says_ended(&other.send(None).await));
}

// --- expiry ----------------------------------------------------------------------------------

/// "each timeout" ends it, also the absolute one, and refreshes move none.
#[tokio::test]
async fn refreshes_do_not_outlive_the_absolute_timeout() {
    for refreshes in [Refresh::OnChange, Refresh::WhenDue, Refresh::EveryRequest] {
        let settings = binding()
            .with_absolute_timeout(60 * MINUTE)
            .with_idle_timeout(30 * MINUTE)
            .with_refresh(refreshes);
        let mut ada = Bound::new(settings).await;
        for _ in 0..6 {
            ada.site.time.advance(9 * MINUTE);
            let answer = ada.refresh().await;
            if says_ended(&answer) {
                break;
            }
            assert_eq!(answer.status, 200);
        }
        ada.site.time.advance(6 * MINUTE + MILLI);
        assert!(says_ended(&ada.send(None).await), "{refreshes:?}");
        assert_eq!(ada.site.owner(&ada.browser).await, None, "{refreshes:?}");
        assert_eq!(policies(&ada.site, &ada.browser).await, [200, 200, 403]);
    }
}

/// "A refresh is a load and a write; a request that needs none makes no more calls than before."
#[tokio::test]
async fn calls_are_as_few_as_documented() {
    let mut ada = Bound::new(binding()).await;
    ada.site.store.calls();
    let proof = ada.device.proof(&ada.challenge);
    assert_eq!(ada.send(Some(&proof)).await.status, 200);
    assert_eq!(ada.site.store.calls(), [Method::Load, Method::Update]);
    assert_eq!(ada.send(None).await.status, 403);
    assert_eq!(ada.site.store.calls(), [Method::Load]);
    ada.state().await;
    assert_eq!(ada.site.store.calls(), [Method::Load]);
}

/// The longest header that a session can have, bound.
#[tokio::test]
async fn a_session_with_the_longest_header_is_bound() {
    let settings = binding().with_rotation(Duration::from_secs(3600));
    let site = Site::new(settings);
    let browser = site.browser();
    let owner = "o".repeat(512);
    let login = site
        .request(&browser, |it| {
            it.log_in_from_provider(&owner, "sid").unwrap();
            it.set_label(Some(&"l".repeat(256)));
            it.set_lifetime(Some(60 * 24 * MINUTE));
        })
        .await;
    let offer = offer_in(&login).unwrap();
    let device = TestDevice::new();
    let answer = register(&site, &browser, &device.registration(&offer)).await;
    assert_eq!(answer.status, 200);
    site.time.advance(90 * MINUTE);
    site.request(&browser, |it| it.insert("n", &1).unwrap())
        .await;
    let proof = device.proof(&answer.challenge.clone().unwrap());
    let answer = refresh(&site, &browser, &super::name_in(&answer), Some(&proof)).await;
    assert_eq!(answer.status, 403);
    let proof = device.proof(&answer.challenge.clone().unwrap());
    let name = answer.challenge.as_ref().unwrap();
    let name = name.rsplit_once("id=\"").unwrap().1.trim_end_matches('"');
    let answer = refresh(&site, &browser, name, Some(&proof)).await;
    assert_eq!(answer.status, 200);
}

/// A session that is as large as the store takes cannot be bound; it goes on unbound.
#[tokio::test]
async fn a_session_that_is_full_goes_on_unbound() {
    let site = Site::with_limit(binding(), 2048).unwrap();
    let browser = site.browser();
    let login = site
        .request(&browser, |it| {
            it.log_in("ada").unwrap();
            it.insert("a", &"x".repeat(1900)).unwrap();
        })
        .await;
    let offer = offer_in(&login).unwrap();
    let request = site.open(&browser).await;
    let token = TestDevice::new().registration(&offer);
    let answer = request.register_device(Some(token.as_bytes())).await;
    assert!(!matches!(&answer, Ok(it) if it.status == 200), "{answer:?}");
    let _head = request.answer().await;
    assert_eq!(state(&site, &browser).await, DeviceState::Unbound);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

// --- replay ----------------------------------------------------------------------------------

/// Every proof that was ever sent, again, later: none is taken twice.
#[tokio::test]
async fn no_proof_counts_twice_however_late() {
    let mut ada = Bound::new(binding()).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        ada.site.time.advance(9 * MINUTE);
        let proof = ada.device.proof(&ada.challenge);
        assert_eq!(ada.send(Some(&proof)).await.status, 200);
        sent.push(proof);
    }
    let thief = ada.browser.clone();
    thief.forget("__Host-device");
    for wait in [0, 1, 10, 61] {
        ada.site.time.advance(wait * MINUTE);
        for proof in &sent {
            let answer = refresh(&ada.site, &thief, &ada.name, Some(proof)).await;
            assert_eq!((answer.status, answer.set_cookie), (403, None));
        }
        assert_eq!(state(&ada.site, &thief).await, DeviceState::Unproved);
    }
}

/// A registration's token at the refresh, and a refresh's at the registration.
#[tokio::test]
async fn a_registration_is_no_refresh_of_another_session() {
    let mut ada = Bound::new(binding()).await;
    let token = ada.device.registration(&ada.challenge);
    let answer = ada.send(Some(&token)).await;
    // It has a key inside, which must not be taken for the session's.
    let other = TestDevice::new().registration(&ada.challenge);
    assert_eq!(ada.send(Some(&other)).await.status, 401);
    assert!(matches!(answer.status, 200 | 401), "{answer:?}");
    let other = TestDevice::new().registration(&ada.challenge);
    assert_eq!(register(&ada.site, &ada.browser, &other).await.status, 401);
}

/// Two sessions of one browser: neither's proof, name or challenge is the other's.
#[tokio::test]
async fn two_sessions_of_one_browser_do_not_mix() {
    let mut ada = Bound::new(binding()).await;
    let site = ada.site.with_settings(binding());
    let mut grace = Bound::log_in(site, ada.site.browser(), "grace")
        .await
        .unwrap();
    // Both logins in one browser, each first once.
    for first in [true, false] {
        let both = if first {
            ada.browser.clone()
        } else {
            grace.browser.clone()
        };
        both.add(if first { &grace.browser } else { &ada.browser });
        let request = ada.site.open(&both).await;
        let owner = request.owner();
        assert_eq!(request.device_state(), DeviceState::Proved, "{owner:?}");
        drop(request);
        // Only the other's bound cookie beside the session that is chosen.
        let header = both.header("/").unwrap();
        assert!(header.contains("__Host-device"));
    }
    let proof = ada.device.proof(&ada.challenge);
    let mixed = refresh(&grace.site, &grace.browser, &ada.name, Some(&proof)).await;
    assert!(says_ended(&mixed));
    assert_eq!(ada.refresh().await.status, 200);
    assert_eq!(grace.refresh().await.status, 200);
}

// --- settings --------------------------------------------------------------------------------

/// Nor do sessions in Flask's form that a native application keeps or moves, nor ids in a header.
#[test]
fn settings_that_can_bind_nothing_are_refused() {
    use session_core::config::{FlaskSessions, IdHeader};

    let flask = |sessions| {
        binding()
            .with_cookie(crate::support::flask_cookie())
            .with_flask_sessions(sessions)
    };
    for settings in [
        flask(FlaskSessions::Keep),
        flask(FlaskSessions::Move),
        binding().with_id_header(IdHeader::bearer()),
    ] {
        let store = std::sync::Arc::new(session_core::MemoryStore::new());
        let built = session_core::Sessions::builder(settings, store)
            .without_owner_lists()
            .build();
        assert!(built.is_err());
    }
}

/// The Flask profile has no header either: settings that can never bind are refused.
#[test]
fn the_flask_profile_binds_nothing_and_says_so() {
    let paths = DeviceBinding::new("/device/bind", "/device/refresh");
    let settings = Settings::flask()
        .with_keys(crate::support::keys())
        .with_cookie(crate::support::flask_cookie())
        .with_device_binding(paths);
    let store = std::sync::Arc::new(session_core::MemoryStore::new());
    let built = session_core::Sessions::builder(settings, store)
        .without_owner_lists()
        .build();
    assert!(built.is_err(), "a setting that can never have an effect");
}

/// A browser resolves `..` before it sends, so no route is ever reached: "stops the start".
#[test]
fn paths_that_no_browser_sends_are_refused() {
    for path in ["/device/../bind", "/./bind", "/device/.", "/.."] {
        let settings = signed().with_device_binding(DeviceBinding::new(path, "/device/refresh"));
        let store = std::sync::Arc::new(session_core::MemoryStore::new());
        assert!(
            session_core::Sessions::new(settings, store).is_err(),
            "{path}"
        );
    }
}

/// The most sessions of a user: the record of a login is provisional until its next write.
#[tokio::test]
async fn a_limit_of_sessions_ends_what_it_ends_and_binds_the_rest() {
    let settings = || binding().with_max_per_user(1);
    let mut first = Bound::new(settings()).await;
    assert_eq!(first.refresh().await.status, 200);
    first.site.time.advance(MINUTE);
    let site = first.site.with_settings(settings());
    let mut second = Bound::log_in(site, first.site.browser(), "ada")
        .await
        .unwrap();
    assert_eq!(second.state().await, DeviceState::Proved);
    assert_eq!(second.refresh().await.status, 200);
    assert!(says_ended(&first.send(None).await));
}

/// What the browser was answered is lost, each time, for as long as it tries: it keeps the last
/// challenge that it has, and comes through.
#[tokio::test]
async fn lost_answers_lock_nobody_out() {
    let mut ada = Bound::new(binding()).await;
    for lost in 0..4 {
        ada.site.time.advance(9 * MINUTE);
        let mut challenge = ada.challenge.clone();
        for _ in 0..lost {
            let proof = ada.device.proof(&challenge);
            let _lost = refresh(&ada.site, &ada.browser.clone(), &ada.name, Some(&proof)).await;
            let asked = refresh(&ada.site, &ada.browser.clone(), &ada.name, None).await;
            challenge = asked.challenge.unwrap();
        }
        assert_eq!(ada.refresh().await.status, 200);
        assert_eq!(ada.state().await, DeviceState::Proved);
    }
}

/// A request dropped in the middle of each store call: the next refresh works.
#[tokio::test]
async fn a_dropped_refresh_ends_no_binding() {
    use std::future::Future as _;

    use crate::support::When;

    for calls in 0..2 {
        for when in [When::Before, When::After] {
            let mut ada = Bound::new(binding()).await;
            let request = ada.site.open(&ada.browser).await;
            let proof = ada.device.proof(&ada.challenge);
            ada.site.store.hold_from(calls, when);
            {
                let sent =
                    request.refresh_device(Some(ada.name.as_bytes()), Some(proof.as_bytes()));
                let mut sent = Box::pin(sent);
                let waker = std::task::Waker::noop();
                let mut context = std::task::Context::from_waker(waker);
                let _polled = sent.as_mut().poll(&mut context);
            }
            drop(request);
            ada.site.store.release();
            tokio::task::yield_now().await;
            assert_ne!(ada.state().await, DeviceState::Unbound);
            let answer = ada.refresh().await;
            assert_eq!(answer.status, 200, "{calls} {when:?}");
            assert!(!says_ended(&answer));
            assert_eq!(ada.state().await, DeviceState::Proved);
        }
    }
}

/// "at once without the bound cookie, and after at most 11 minutes with it": a stolen pair that is
/// over does not count again because the user comes back.
#[tokio::test]
async fn a_stolen_pair_that_is_over_stays_over() {
    for (idle, minute) in [(12, 0), (30, 0), (59, 0), (75, 0), (30, 1)] {
        let mut ada = Bound::new(binding()).await;
        let thief = ada.browser.clone();
        thief.set(&format!("{}; Path=/", bound_cookie(&ada.browser)));
        ada.site.time.advance(idle * MINUTE);
        assert_eq!(state(&ada.site, &thief).await, DeviceState::Unproved);
        assert_eq!(policies(&ada.site, &thief).await, [200, 403, 403]);
        assert_eq!(ada.refresh().await.status, 200);
        ada.site.time.advance(minute * MINUTE.saturating_sub(MILLI));
        assert_eq!(
            policies(&ada.site, &thief).await,
            [200, 403, 403],
            "after {idle} minutes"
        );
    }
}

/// A thief binds an unbound session to a key of their own while its user logs in again, without
/// proof of that device: "a login … without the proof, frees the session for another device".
#[tokio::test]
async fn a_login_beside_a_foreign_registration_unbinds_the_session() {
    let site = Site::new(binding());
    let browser = site.browser();
    let login = site.request(&browser, |it| it.log_in("ada").unwrap()).await;
    let offer = offer_in(&login).unwrap();
    site.time.advance(MINUTE);
    let thief = browser.clone();
    let again = site.open(&browser).await;
    let token = TestDevice::new().registration(&offer);
    assert_eq!(register(&site, &thief, &token).await.status, 200);
    again.log_in("ada").unwrap();
    let head = again.answer().await.unwrap();
    assert_eq!(state(&site, &browser).await, DeviceState::Unbound);
    let offer = offer_in(&head).unwrap();
    let token = TestDevice::new().registration(&offer);
    assert_eq!(register(&site, &browser, &token).await.status, 200);
}

/// The refresh is the request that gives the session a new id, and its answer is lost: the browser
/// comes again with the old id and the old challenge.
#[tokio::test]
async fn a_lost_answer_of_a_refresh_that_rotated_locks_nobody_out() {
    for wait in [0, 1, 5, 20] {
        let settings = binding().with_rotation(Duration::from_secs(3600));
        let mut ada = Bound::new(settings).await;
        for _ in 0..7 {
            ada.site.time.advance(9 * MINUTE);
            assert_eq!(ada.refresh().await.status, 200);
        }
        ada.site.time.advance(9 * MINUTE);
        let lost = ada.browser.clone();
        let proof = ada.device.proof(&ada.challenge);
        assert_eq!(
            refresh(&ada.site, &lost, &ada.name, Some(&proof))
                .await
                .status,
            200
        );
        ada.site.time.advance(wait * MINUTE);
        let answer = ada.refresh().await;
        assert_eq!(answer.status, 200, "after {wait} minutes: {answer:?}");
        assert!(!says_ended(&answer));
        assert_eq!(ada.state().await, DeviceState::Proved);
    }
}

/// The proof is one of the device of ada's session. In the request that logs grace in, nothing of
/// it is a proof of grace's device: her session is not bound.
#[tokio::test]
async fn a_proof_of_one_user_does_not_count_after_the_login_of_another() {
    let ada = Bound::new(binding()).await;
    let request = ada.site.open(&ada.browser).await;
    request.log_in("grace").unwrap();
    assert_eq!(request.owner().as_deref(), Some("grace"));
    assert!(request.require_device(DevicePolicy::Require).is_err());
}
