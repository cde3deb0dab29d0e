//! The faults, and the demo in front of a store in which they are made.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::Method;
use session_core::{
    CookieAttributes, Finish, KeyPrefix, SecretKeys, SessionStore, Sessions, Settings,
    dbsc::TestDevice,
};
use session_redis::RedisStore;
use session_tests::RedisServer;

use crate::{
    BUCKETS, CALLS,
    page::Page,
    site::{Backend, Browser, Demo},
};

pub(crate) const KEY: &str = "correct-horse-battery-staple-41-bottles";
pub(crate) const OTHER_KEY: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP-another";

/// Calls that took longer than a quarter of a second. No series has it: it is a difference of two.
pub(crate) const SLOW: &str = "slow calls";

const HOUR: Duration = Duration::from_secs(3600);
/// The period of rotation.
const PERIOD: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    StoreKilled,
    StoreFrozen,
    StoreSlow,
    /// It can be read, and refuses changes.
    StoreFull,
    StoreEmptied,
    /// Another process's clock is.
    ClockAhead,
    CookieForged,
    /// Without the old key as a fallback.
    KeyChanged,
    EncryptionKeyChanged,
    /// Its browser has the next one for long.
    RotatedIdUsed,
    /// Another user logs in while a request is at work.
    OwnerChanged,
    DeviceNotProved,
    LaterRecord,
    DamagedRecord,
    /// With an id that was renewed meanwhile.
    LateChange,
}

pub(crate) struct Scene {
    pub(crate) demo: Demo,
    redis: RedisServer,
    /// Another process, if the fault is of its settings.
    other: Option<Demo>,
}

impl Scene {
    /// What this fault needs.
    pub(crate) async fn of(fault: Failure) -> Self {
        let redis = RedisServer::start(&[]).await;
        let own = match fault {
            Failure::DeviceNotProved => ("DEMO_DEVICE", "require"),
            // Less than the driver's own patience.
            Failure::StoreFrozen => ("SESSION_STORE_TIMEOUT_MS", "200"),
            Failure::EncryptionKeyChanged => ("SESSION_ENCRYPTION_KEY", KEY),
            _ => ("SESSION_ROTATION_SECONDS", "60"),
        };
        let settings = Backend::Redis.at(&redis.url());
        let demo = Demo::with(settings, &[("SECRET_KEY", KEY), own]).await;
        let other = match fault {
            Failure::KeyChanged => Some("SECRET_KEY"),
            Failure::EncryptionKeyChanged => Some("SESSION_ENCRYPTION_KEY"),
            _ => None,
        };
        let other = match other {
            Some(setting) => Some(demo.beside_at(vec![(setting, OTHER_KEY.to_owned())]).await),
            None => None,
        };
        Self { demo, redis, other }
    }

    /// The sum of these series in the process that meets the fault.
    pub(crate) async fn sum(&self, name: &str, attributes: &[&str]) -> f64 {
        let demo = self.other.as_ref().unwrap_or(&self.demo);
        let page = Page::of(&demo.browser()).await;
        if name == SLOW {
            let quick = [attributes, &["le=\"0.25\""]].concat();
            return page.sum(CALLS, attributes) - page.sum(BUCKETS, &quick);
        }
        page.sum(name, attributes)
    }

    pub(crate) async fn inject(&self, fault: Failure) {
        let (demo, redis) = (&self.demo, &self.redis);
        match fault {
            Failure::StoreKilled | Failure::StoreFrozen => {
                self.lose_store(fault == Failure::StoreFrozen).await;
            }
            Failure::StoreSlow => {
                let ada = demo.logged_in("ada").await;
                let before = self.sum(SLOW, &[]).await;
                // A busy machine may send the request after the pause.
                for _ in 0..10 {
                    redis.command("CLIENT PAUSE 400 ALL");
                    ada.send(Method::GET, "/whoami", String::new()).await;
                    if self.sum(SLOW, &[]).await > before {
                        break;
                    }
                }
            }
            Failure::StoreFull => {
                let mut ada = demo.logged_in("ada").await;
                redis.command("CONFIG SET maxmemory 1");
                assert_eq!(ada.user().await, "ada");
                assert_eq!(ada.post("/increment/n").await.status, 503);
                let login = demo.browser().post("/login?user=bob").await;
                assert_eq!(login.status, 503, "{}", login.text());
                // The end of a session needs no room.
                assert_eq!(ada.post("/logout").await.status, 200);
            }
            Failure::StoreEmptied => {
                let mut ada = demo.logged_in("ada").await;
                redis.command("FLUSHDB");
                assert_eq!(ada.user().await, serde_json::Value::Null);
            }
            Failure::ClockAhead => {
                let fast = self.at(SystemTime::now() + HOUR);
                let cookie = fast.cookie_of(|it| it.log_in("ada")).await.unwrap();
                let mut ada = demo.browser().holding(value(&cookie));
                assert_eq!(ada.user().await, "ada");
            }
            Failure::CookieForged => {
                let mut forger = demo.browser().holding("AAAA.BBBB");
                assert_eq!(forger.user().await, serde_json::Value::Null);
            }
            Failure::KeyChanged | Failure::EncryptionKeyChanged => {
                let ada = demo.logged_in("ada").await;
                let mut ada = ada.at(self.other.as_ref().unwrap().url());
                ada.get("/whoami").await;
            }
            Failure::RotatedIdUsed => self.use_rotated_id().await,
            Failure::OwnerChanged => {
                let bob = demo.logged_in("bob").await;
                let (slow, mut carol) = (bob.clone(), bob);
                let found = ["operation=\"load\"", "outcome=\"found\""];
                let before = self.sum(CALLS, &found).await;
                let slow = tokio::spawn(async move {
                    let path = "/slow?ms=3000&write=x";
                    slow.send(Method::GET, path, String::new()).await
                });
                while self.sum(CALLS, &found).await <= before {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let login = carol.post("/login?user=carol").await;
                assert_eq!(login.status, 200, "{}", login.text());
                slow.await.unwrap();
            }
            Failure::DeviceNotProved => self.use_bound_session_elsewhere().await,
            Failure::LaterRecord | Failure::DamagedRecord => {
                let mut ada = demo.logged_in("ada").await;
                for key in self.records() {
                    redis.command(&match fault {
                        Failure::LaterRecord => format!("SETRANGE {key} 1 z"),
                        _ => format!("SET {key} damaged KEEPTTL"),
                    });
                }
                let status = if fault == Failure::LaterRecord {
                    503
                } else {
                    200
                };
                assert_eq!(ada.get("/whoami").await.status, status);
            }
            Failure::LateChange => {
                let mut ada = demo.logged_in("ada").await;
                let late = ada.clone();
                ada.post("/renew").await;
                let change = late.send(Method::POST, "/increment/n", String::new());
                assert_eq!(change.await.status, 409);
            }
        }
    }

    async fn lose_store(&self, is_frozen: bool) {
        let ada = self.logged_in_at_last("ada").await;
        if is_frozen {
            self.redis.freeze();
        } else {
            self.redis.kill();
        }
        for path in ["/whoami", "/health"] {
            let answer = ada.send(Method::GET, path, String::new()).await;
            assert_eq!(answer.status, 503, "{path}: {}", answer.text());
        }
        if is_frozen {
            self.redis.thaw();
        }
    }

    /// The store time of [`Failure::StoreFrozen`] may be too short on a busy machine.
    async fn logged_in_at_last(&self, user: &str) -> Browser {
        let mut browser = self.demo.browser();
        let path = format!("/login?user={user}");
        for _ in 0..100 {
            if browser.post(&path).await.status == 200 {
                break;
            }
        }
        assert_eq!(browser.user().await, user);
        browser
    }

    /// The keys of the demo's records.
    fn records(&self) -> Vec<String> {
        let keys = self.redis.command("KEYS *");
        let is_record = |key: &&str| {
            key.starts_with(&self.prefix())
                && self.redis.command(&format!("TYPE {key}")).trim() == "+string"
        };
        keys.lines().filter(is_record).map(str::to_owned).collect()
    }

    fn prefix(&self) -> String {
        let settings = self.demo.settings();
        let mut settings = settings.iter();
        let prefix = settings.find(|(name, _)| *name == "SESSION_KEY_PREFIX");
        prefix.unwrap().1.to_owned()
    }

    /// The same sessions as those of the demo, in a process whose clock shows `time`.
    fn at(&self, time: SystemTime) -> Sessions {
        let cookie = CookieAttributes {
            name: "session".into(),
            secure: false,
            ..CookieAttributes::default()
        };
        let settings = Settings::new(SecretKeys::new(KEY).unwrap())
            .with_cookie(cookie)
            .with_key_prefix(KeyPrefix::new(&self.prefix()).unwrap())
            .with_rotation(PERIOD);
        let store: Arc<dyn SessionStore> =
            Arc::new(RedisStore::connect(&self.redis.url()).unwrap());
        let builder = Sessions::builder(settings, store);
        builder.with_clock(Arc::new(move || time)).build().unwrap()
    }

    async fn use_rotated_id(&self) {
        let now = SystemTime::now();
        let stolen = self.at(now - HOUR).cookie_of(|it| it.log_in("eve")).await;
        let stolen = stolen.unwrap();
        let later = self.at(now - HOUR + PERIOD * 2);
        let next = requested(&later, &stolen).await.expect("it is rotated");
        requested(&later, &next).await;
        let mut thief = self.demo.browser().holding(value(&stolen));
        assert_eq!(thief.user().await, serde_json::Value::Null);
    }

    /// A browser binds its session to its device, and another one comes with its cookie.
    async fn use_bound_session_elsewhere(&self) {
        let http = reqwest::Client::new();
        let url = self.demo.url();
        let login = http.post(format!("{url}/login?user=ada"));
        let login = login.send().await.unwrap();
        let header = |name: &str| login.headers()[name].to_str().unwrap().to_owned();
        let cookie = header("set-cookie");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let proof = TestDevice::new().registration(&header("secure-session-registration"));
        let bound = http
            .post(format!("{url}/device/bind"))
            .header("Cookie", &cookie)
            .header("Secure-Session-Response", proof);
        assert_eq!(bound.send().await.unwrap().status(), 200);
        let thief = http.get(format!("{url}/account")).header("Cookie", cookie);
        assert_eq!(thief.send().await.unwrap().status(), 403);
    }
}

/// A request with `cookie`. Returns the cookie that it set, if it set one.
async fn requested(sessions: &Sessions, cookie: &str) -> Option<String> {
    let request = sessions.begin_request();
    let session = request.session(&mut [cookie.as_bytes()].into_iter()).await;
    drop(session.unwrap());
    let headers = match request.finish() {
        Finish::Ready(headers) => headers,
        Finish::Pending(saving) => saving.await.unwrap(),
    };
    let cookie = headers.set_cookie?;
    Some(cookie.split(';').next().unwrap().to_owned())
}

fn value(cookie: &str) -> &str {
    cookie.strip_prefix("session=").unwrap()
}
