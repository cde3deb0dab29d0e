//! Sessions that are bound to a device: what binds, proves, frees and ends them.

mod attacks;
mod hostile;

use std::time::Duration;

use session_core::{
    Error, ResponseHeaders, Session, Settings,
    config::{OnStoreFailure, Refresh},
    dbsc::{DeviceAnswer, DeviceBinding, DevicePolicy, DeviceState, TestDevice},
};

use crate::support::{Browser, Handler, Method, Site, signed};

const MINUTE: Duration = Duration::from_secs(60);

fn binding() -> Settings {
    signed().with_device_binding(DeviceBinding::new("/device/bind", "/device/refresh"))
}

/// Somebody whose session is bound to the device with this key.
struct Bound {
    site: Site,
    browser: Browser,
    device: TestDevice,
    /// The browser's name for the session.
    name: String,
    /// The challenge that came with the last answer.
    challenge: String,
}

impl Bound {
    async fn new(settings: Settings) -> Self {
        let site = Site::new(settings);
        let browser = site.browser();
        let bound = Self::log_in(site, browser, "ada").await;
        bound.unwrap()
    }

    /// `None` if the login offers no binding.
    async fn log_in(site: Site, browser: Browser, owner: &str) -> Option<Self> {
        let login = site
            .request(&browser, |session| session.log_in(owner).unwrap())
            .await;
        let offer = offer_in(&login)?;
        let device = TestDevice::new();
        let registration = device.registration(&offer);
        let answer = register(&site, &browser, &registration).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Some(Self {
            name: name_in(&answer),
            challenge: answer.challenge.clone().unwrap(),
            site,
            browser,
            device,
        })
    }

    /// What the browser sends when the bound cookie is gone.
    async fn refresh(&mut self) -> DeviceAnswer {
        let proof = self.device.proof(&self.challenge);
        let answer = self.send(Some(&proof)).await;
        if answer.status != 403 {
            return answer;
        }
        let proof = self.device.proof(&self.challenge);
        self.send(Some(&proof)).await
    }

    async fn send(&mut self, proof: Option<&str>) -> DeviceAnswer {
        let answer = refresh(&self.site, &self.browser, &self.name, proof).await;
        if let Some(challenge) = &answer.challenge {
            self.challenge.clone_from(challenge);
        }
        answer
    }

    async fn state(&self) -> DeviceState {
        self.site.open(&self.browser).await.device_state()
    }
}

async fn register(site: &Site, browser: &Browser, proof: &str) -> DeviceAnswer {
    let request = site.open(browser).await;
    let answer = request.register_device(Some(proof.as_bytes())).await;
    request.answer().await.unwrap();
    received(browser, answer.unwrap())
}

async fn refresh(site: &Site, browser: &Browser, name: &str, proof: Option<&str>) -> DeviceAnswer {
    let request = site.open(browser).await;
    let proof = proof.map(str::as_bytes);
    let answer = request.refresh_device(Some(name.as_bytes()), proof).await;
    request.answer().await.unwrap();
    received(browser, answer.unwrap())
}

fn received(browser: &Browser, answer: DeviceAnswer) -> DeviceAnswer {
    if let Some(cookie) = &answer.set_cookie {
        browser.set(cookie);
    }
    answer
}

/// The offer to bind the session, if the answer has one.
fn offer_in(answer: &ResponseHeaders) -> Option<String> {
    answer.device.as_ref()?.registration.clone()
}

fn name_in(answer: &DeviceAnswer) -> String {
    let body: serde_json::Value = serde_json::from_str(answer.body.as_deref().unwrap()).unwrap();
    body["session_identifier"].as_str().unwrap().to_owned()
}

fn says_ended(answer: &DeviceAnswer) -> bool {
    answer.status == 200 && answer.body.as_deref() == Some("{\"continue\":false}")
}

#[tokio::test]
async fn a_login_offers_to_bind_and_the_browser_accepts_once() {
    let site = Site::new(binding());
    let browser = site.browser();
    let login = site
        .request(&browser, |session| session.log_in("ada").unwrap())
        .await;
    let offer = offer_in(&login).unwrap();
    assert!(
        offer.starts_with("(ES256);path=\"/device/bind\";challenge=\""),
        "{offer}"
    );
    let device = TestDevice::new();
    let registration = device.registration(&offer);
    let answer = register(&site, &browser, &registration).await;
    assert_eq!(answer.status, 200);
    let body: serde_json::Value = serde_json::from_str(answer.body.as_deref().unwrap()).unwrap();
    assert_eq!(body["refresh_url"], "/device/refresh");
    assert_eq!(body["scope"]["include_site"], false);
    assert_eq!(body["credentials"][0]["name"], "__Host-device");
    assert_eq!(
        body["credentials"][0]["attributes"],
        "Secure; HttpOnly; Path=/; SameSite=Lax"
    );
    assert_eq!(
        site.open(&browser).await.device_state(),
        DeviceState::Proved
    );
    // No other answer offers it, and the same registration counts once.
    let later = site.request(&browser, |_| {}).await;
    assert_eq!(offer_in(&later), None);
    assert_eq!(register(&site, &browser, &registration).await.status, 403);
    let listed = site.sessions.owner_sessions("ada").await.unwrap();
    assert!(listed[0].is_device_bound());
}

#[tokio::test]
async fn an_offer_is_for_one_login_and_five_minutes() {
    for (late, again) in [(true, false), (false, true)] {
        let site = Site::new(binding());
        let browser = site.browser();
        let offer = async || {
            let login = site
                .request(&browser, |session| session.log_in("ada").unwrap())
                .await;
            offer_in(&login).unwrap()
        };
        let challenge = offer().await;
        if late {
            site.time.advance(5 * MINUTE + Duration::from_millis(1));
        }
        if again {
            site.time.advance(Duration::from_millis(1));
            let _newer = offer().await;
        }
        let registration = TestDevice::new().registration(&challenge);
        let answer = register(&site, &browser, &registration).await;
        assert_eq!(answer.status, if late { 403 } else { 401 });
        assert_eq!(
            site.open(&browser).await.device_state(),
            DeviceState::Unbound
        );
    }
    // Without the setting nothing is offered.
    let site = Site::new(signed());
    let login = site
        .request(&site.browser(), |session| session.log_in("ada").unwrap())
        .await;
    assert_eq!(offer_in(&login), None);
}

#[tokio::test]
async fn the_application_can_offer_it_to_a_session_of_before() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let site = site.with_settings(binding());
    let answer = site.request(&browser, Session::offer_device_binding).await;
    let challenge = offer_in(&answer).unwrap();
    let registration = TestDevice::new().registration(&challenge);
    assert_eq!(register(&site, &browser, &registration).await.status, 200);
    for owner in [None, Some("ada")] {
        let browser = if owner.is_some() {
            browser.clone()
        } else {
            site.browser()
        };
        let answer = site.request(&browser, Session::offer_device_binding).await;
        assert_eq!(offer_in(&answer), None, "{owner:?}");
    }
}

#[tokio::test]
async fn a_refresh_asks_for_a_proof_and_each_challenge_counts_once() {
    let mut ada = Bound::new(binding()).await;
    ada.browser.forget("__Host-device");
    assert_eq!(ada.state().await, DeviceState::Unproved);
    let asked = ada.send(None).await;
    assert_eq!((asked.status, asked.set_cookie), (403, None));
    let id = format!(";id=\"{}\"", ada.name);
    assert!(asked.challenge.unwrap().ends_with(&id));
    let proof = ada.device.proof(&ada.challenge);
    let proved = ada.send(Some(&proof)).await;
    assert_eq!(proved.status, 200);
    assert_eq!(name_in(&proved), ada.name);
    assert_eq!(ada.state().await, DeviceState::Proved);
    // The identical token again: a new challenge, and no cookie.
    let before = ada.challenge.clone();
    let again = ada.send(Some(&proof)).await;
    assert_eq!((again.status, again.set_cookie), (403, None));
    assert_eq!(ada.challenge, before);
    // The challenge that came with the answer makes the next refresh one round trip.
    let proof = ada.device.proof(&ada.challenge);
    assert_eq!(ada.send(Some(&proof)).await.status, 200);
}

#[tokio::test]
async fn another_process_takes_the_proof_of_a_challenge() {
    let mut ada = Bound::new(binding()).await;
    assert_eq!(ada.send(None).await.status, 403);
    ada.site = ada.site.with_settings(binding());
    let proof = ada.device.proof(&ada.challenge);
    assert_eq!(ada.send(Some(&proof)).await.status, 200);
}

#[tokio::test]
async fn refreshes_of_many_tabs_at_once_are_no_conflict() {
    let ada = Bound::new(binding()).await;
    let proof = ada.device.proof(&ada.challenge);
    let mut tabs = Vec::new();
    for _ in 0..8 {
        tabs.push(ada.site.open(&ada.browser).await);
    }
    let mut statuses = Vec::new();
    let mut next = String::new();
    for tab in &tabs {
        let sent = tab.refresh_device(Some(ada.name.as_bytes()), Some(proof.as_bytes()));
        let answer = received(&ada.browser, sent.await.unwrap());
        tab.answer().await.unwrap();
        statuses.push(answer.status);
        next = answer.challenge.clone().unwrap();
    }
    assert_eq!(statuses, [200, 403, 403, 403, 403, 403, 403, 403]);
    // Whoever was second signs the next challenge. The cookie of the first stays good meanwhile.
    let before = ada.browser.clone();
    let proof = ada.device.proof(&next);
    let answer = refresh(&ada.site, &ada.browser, &ada.name, Some(&proof)).await;
    assert_eq!(answer.status, 200);
    for browser in [&before, &ada.browser] {
        let request = ada.site.open(browser).await;
        assert_eq!(request.device_state(), DeviceState::Proved);
    }
}

#[tokio::test]
async fn a_refresh_beside_a_change_keeps_both() {
    let ada = Bound::new(binding()).await;
    let (changes, refreshes) = (
        ada.site.open(&ada.browser).await,
        ada.site.open(&ada.browser).await,
    );
    changes.insert("n", &1).unwrap();
    changes.answer().await.unwrap();
    let proof = ada.device.proof(&ada.challenge);
    let answer = refreshes
        .refresh_device(Some(ada.name.as_bytes()), Some(proof.as_bytes()))
        .await;
    assert_eq!(answer.unwrap().status, 200);
    assert_eq!(ada.site.value::<i32>(&ada.browser, "n").await, Some(1));
}

#[tokio::test]
async fn the_bound_cookie_belongs_to_one_session_and_has_an_end() {
    let ada = Bound::new(binding()).await;
    let grace = Bound::log_in(
        ada.site.with_settings(binding()),
        ada.site.browser(),
        "grace",
    )
    .await
    .unwrap();
    // The thief's browser has the login of one and the bound cookie of another.
    let thief = grace.browser.clone();
    let mine = grace.browser.header("/").unwrap();
    thief.forget("__Host-device");
    let request = ada.site.open(&thief).await;
    assert_eq!(request.device_state(), DeviceState::Unproved);
    let bound = ada.browser.header("/").unwrap();
    let bound = bound
        .split("; ")
        .find(|it| it.starts_with("__Host-device"))
        .unwrap();
    thief.set(&format!("{bound}; Path=/"));
    assert_ne!(thief.header("/").unwrap(), mine);
    let request = ada.site.open(&thief).await;
    assert_eq!(request.owner().as_deref(), Some("grace"));
    assert_eq!(request.device_state(), DeviceState::Unproved);
    // Whatever the browser does, it counts for eleven minutes.
    let kept = format!("{bound}; Path=/");
    ada.browser.set(&kept);
    ada.site.time.advance(11 * MINUTE);
    assert_eq!(ada.state().await, DeviceState::Proved);
    ada.site.time.advance(Duration::from_millis(1));
    assert_eq!(ada.state().await, DeviceState::Unproved);
}

#[tokio::test]
async fn the_cookie_before_counts_for_a_minute() {
    let mut ada = Bound::new(binding()).await;
    let under_way = ada.browser.clone();
    assert_eq!(ada.refresh().await.status, 200);
    let state = async |browser: &Browser| ada.site.open(browser).await.device_state();
    assert_eq!(state(&under_way).await, DeviceState::Proved);
    ada.site.time.advance(MINUTE + Duration::from_millis(1));
    assert_eq!(state(&under_way).await, DeviceState::Unproved);
    assert_eq!(state(&ada.browser).await, DeviceState::Proved);
}

#[tokio::test]
async fn a_challenge_counts_for_an_hour() {
    let mut ada = Bound::new(binding()).await;
    let signed_in_advance = ada.device.proof(&ada.challenge);
    ada.site
        .time
        .advance(60 * MINUTE + Duration::from_millis(1));
    let before = ada.challenge.clone();
    let answer = ada.send(Some(&signed_in_advance)).await;
    assert_eq!(answer.status, 403);
    assert_ne!(ada.challenge, before);
    // The value behind a challenge that nobody has signed yet is no cookie.
    assert_eq!(ada.state().await, DeviceState::Unproved);
    let proof = ada.device.proof(&ada.challenge);
    assert_eq!(ada.send(Some(&proof)).await.status, 200);
    assert_eq!(ada.state().await, DeviceState::Proved);
}

#[tokio::test]
async fn a_session_that_ended_ends_on_the_device() {
    let ends: [(&str, Handler); 2] = [
        ("log-out", Session::log_out),
        ("login of another user", |session| {
            session.log_in("grace").unwrap();
        }),
    ];
    for (how, end) in ends {
        let mut ada = Bound::new(binding()).await;
        let answer = ada.site.request(&ada.browser, end).await;
        let device = answer.device.as_ref();
        let removed = device.and_then(|it| it.set_cookie.as_deref());
        assert_eq!(
            removed.is_some_and(|it| it.contains("Max-Age=0")),
            how == "log-out"
        );
        let proof = ada.device.proof(&ada.challenge);
        for proof in [None, Some(&*proof)] {
            assert!(says_ended(&ada.send(proof).await), "{how}");
        }
    }
    let mut ada = Bound::new(binding()).await;
    ada.site.sessions.log_out_everywhere("ada").await.unwrap();
    assert!(says_ended(&ada.send(None).await));
    let mut ada = Bound::new(binding()).await;
    ada.site.time.advance(Settings::DEFAULT_IDLE_TIMEOUT);
    assert!(says_ended(&ada.send(None).await));
    // Ended while the refresh was under way.
    let ada = Bound::new(binding()).await;
    let request = ada.site.open(&ada.browser).await;
    ada.site.sessions.log_out_everywhere("ada").await.unwrap();
    let proof = ada.device.proof(&ada.challenge);
    let answer = request
        .refresh_device(Some(ada.name.as_bytes()), Some(proof.as_bytes()))
        .await;
    assert!(says_ended(&answer.unwrap()));
    // The session of another name is no session of this browser any more.
    let ada = Bound::new(binding()).await;
    let answer = refresh(&ada.site, &ada.browser, "other", None).await;
    assert!(says_ended(&answer));
}

#[tokio::test]
async fn a_binding_survives_what_the_session_survives() {
    let settings = || binding().with_rotation(Duration::from_secs(3600));
    let mut ada = Bound::new(settings()).await;
    ada.site.request(&ada.browser, Session::renew).await;
    assert_eq!(ada.state().await, DeviceState::Proved);
    let again = ada
        .site
        .request(&ada.browser, |it| it.reauthenticate().unwrap())
        .await;
    assert_eq!(offer_in(&again), None);
    assert_eq!(ada.state().await, DeviceState::Proved);
    let before = ada.browser.header("/");
    ada.site.time.advance(90 * MINUTE);
    ada.site.request(&ada.browser, |_| {}).await;
    assert_ne!(ada.browser.header("/"), before, "rotated");
    assert_eq!(ada.refresh().await.status, 200);
    assert_eq!(ada.state().await, DeviceState::Proved);
    ada.site.request(&ada.browser, Session::clear).await;
    assert_eq!(ada.state().await, DeviceState::Proved);
}

#[tokio::test]
async fn a_login_without_proof_frees_the_session_for_another_device() {
    let ada = Bound::new(binding()).await;
    ada.browser.forget("__Host-device");
    let lost = ada.device;
    let mut ada = Bound::log_in(ada.site, ada.browser, "ada").await.unwrap();
    assert_eq!(ada.state().await, DeviceState::Proved);
    let proof = lost.proof(&ada.challenge);
    assert_eq!(ada.send(Some(&proof)).await.status, 401);
    assert_eq!(ada.refresh().await.status, 200);
    // The one of another user does, too.
    let grace = Bound::log_in(ada.site, ada.browser, "grace").await.unwrap();
    assert_eq!(grace.state().await, DeviceState::Proved);
}

#[tokio::test]
async fn what_may_pass_never_ends_the_binding() {
    let lenient = || binding().with_on_store_failure(OnStoreFailure::Anonymous);
    let mut ada = Bound::new(lenient()).await;
    let proof = ada.device.proof(&ada.challenge);
    // The store is down when the request arrives.
    ada.site.store.go_down(&Method::ALL);
    assert_eq!(ada.send(Some(&proof)).await.status, 503);
    ada.site.store.come_up();
    // It fails in the middle.
    let request = ada.site.open(&ada.browser).await;
    ada.site.store.go_down(&Method::ALL);
    let failed = request.refresh_device(Some(ada.name.as_bytes()), Some(proof.as_bytes()));
    assert_eq!(failed.await.unwrap_err().status(), 503);
    ada.site.store.come_up();
    drop(request);
    assert_eq!(ada.refresh().await.status, 200);
    // Another request has just given the session a new id.
    let old = ada.browser.clone();
    ada.site.request(&ada.browser, Session::renew).await;
    let late = refresh(&ada.site, &old, &ada.name, None).await;
    assert_eq!(late.status, 503);
    assert_eq!(ada.refresh().await.status, 200);
}

#[tokio::test]
async fn a_policy_says_what_a_session_without_proof_may_do() {
    use DevicePolicy::{Offer, Require, RequireOnceBound};
    async fn allowed(site: &Site, browser: &Browser) -> Vec<DevicePolicy> {
        let request = site.open(browser).await;
        let allows = |it: &DevicePolicy| match request.require_device(*it) {
            Ok(()) => true,
            Err(Error::DeviceNeeded) => false,
            Err(error) => panic!("{error}"),
        };
        let all = [Offer, Require, RequireOnceBound].into_iter();
        all.filter(allows).collect()
    }
    let ada = Bound::new(binding()).await;
    let site = &ada.site;
    assert_eq!(
        allowed(site, &site.browser()).await,
        [Offer, RequireOnceBound]
    );
    let unbound = site.logged_in("grace").await;
    assert_eq!(allowed(site, &unbound).await, [Offer, RequireOnceBound]);
    let all = [Offer, Require, RequireOnceBound];
    assert_eq!(allowed(site, &ada.browser).await, all);
    // Requests that the browser sent before it was bound may arrive after that.
    ada.browser.forget("__Host-device");
    assert_eq!(allowed(site, &ada.browser).await, [Offer, RequireOnceBound]);
    site.time.advance(MINUTE / 2 + Duration::from_millis(1));
    assert_eq!(allowed(site, &ada.browser).await, [Offer]);
}

#[tokio::test]
async fn a_program_that_binds_nothing_keeps_the_binding() {
    let mut ada = Bound::new(binding()).await;
    let other = ada.site.with_settings(signed());
    other
        .request(&ada.browser, |session| session.insert("n", &1).unwrap())
        .await;
    other
        .request(&ada.browser, |session| session.reauthenticate().unwrap())
        .await;
    assert_eq!(ada.state().await, DeviceState::Proved);
    assert_eq!(ada.refresh().await.status, 200);
    let request = other.open(&ada.browser).await;
    let answer = request.register_device(None).await;
    assert!(matches!(answer, Err(Error::NoDeviceBinding)));
}

#[tokio::test]
async fn asking_for_a_challenge_ends_no_cookie() {
    let day = DeviceBinding::new("/device/bind", "/device/refresh")
        .with_cookie_life(Duration::from_secs(86_400));
    let mut ada = Bound::new(signed().with_device_binding(day)).await;
    for _ in 0..23 {
        ada.site
            .time
            .advance(60 * MINUTE + Duration::from_millis(1));
        assert_eq!(ada.state().await, DeviceState::Proved);
        assert_eq!(ada.send(None).await.status, 403);
        assert_eq!(ada.state().await, DeviceState::Proved);
    }
}

#[tokio::test]
async fn a_log_out_that_leaves_a_message_removes_the_bound_cookie() {
    let ada = Bound::new(binding()).await;
    let answer = ada
        .site
        .request(&ada.browser, |session| {
            session.log_out();
            session.flash("info", "bye").unwrap();
        })
        .await;
    let device = answer.device.as_ref();
    assert!(device.is_some_and(|it| it.set_cookie.is_some()));
    assert!(!ada.browser.header("/").unwrap().contains("device"));
}

/// An id that was renewed a moment ago leads to the list of its user's sessions.
#[tokio::test]
async fn a_renewed_id_without_proof_ends_nothing() {
    let bound = Bound::new(binding()).await;
    let thief = bound.browser.clone();
    thief.forget("__Host-device");
    bound.site.request(&bound.browser, Session::renew).await;
    let late = bound.site.open(&thief).await;
    assert!(late.require_device(DevicePolicy::Offer).is_ok());
    for policy in [DevicePolicy::Require, DevicePolicy::RequireOnceBound] {
        let refused = late.require_device(policy).unwrap_err();
        assert_eq!(refused.status(), 503, "{refused}");
    }
}

/// A page that nobody looks at sends requests, for which the browser proves its device.
#[tokio::test]
async fn a_proof_is_no_use_of_the_session() {
    let idle = 40 * MINUTE;
    let settings = binding()
        .with_idle_timeout(idle)
        .with_refresh(Refresh::OnChange);
    let mut bound = Bound::new(settings).await;
    let mut seconds = 0;
    for _ in 0..3 {
        bound.site.time.advance(11 * MINUTE);
        seconds += 11 * 60;
        let answer = bound.refresh().await;
        assert_eq!(answer.status, 200, "after {seconds} s: {answer:?}");
        assert_eq!(bound.state().await, DeviceState::Proved);
    }
    bound.site.time.advance(11 * MINUTE);
    assert!(says_ended(&bound.send(None).await));
    assert_eq!(bound.site.open(&bound.browser).await.owner(), None);
}
