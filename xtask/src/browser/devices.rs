//! Sessions that are bound to a device, in a browser that really does it: with keys in software, over
//! HTTPS, against the demo.
//!
//! A browser signs at most six times a site in about nine minutes, registration included. So each
//! part of the story has a browser of its own.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use session_tests::{ChromeDriver, Program, free_port};

use super::person::Result;
use super::{dev_tools, sites::Sites, tls};

const PATIENCE: Duration = Duration::from_secs(10);
/// So long requests without proof are taken after a session was bound.
const JUST_BOUND: Duration = Duration::from_secs(31);
/// By then a browser signs again.
const QUOTA: Duration = Duration::from_secs(900);
const LOGIN: &str = "__Host-session";
const BOUND: &str = "__Host-device";
/// Where the browser proves its device.
const REFRESH: &[u8] = b"POST /device/refresh ";

/// The demo with a store of its own, over HTTPS.
struct Site {
    demo: Program,
    url: String,
    certificate: Vec<u8>,
    /// By which a browser is told to trust the certificate.
    digest: String,
    /// How many requests the browsers sent to prove their device.
    refreshes: Arc<AtomicUsize>,
}

/// What a browser sends is answered, with the proof or without.
pub(super) async fn check(driver: &ChromeDriver) -> Result<()> {
    let site = Site::start().await?;
    let outcome = story(driver, &site).await;
    site.shown_if_wrong(outcome)
}

/// A browser that has signed too often says so, and proves its device again some minutes later.
pub(super) async fn quota(driver: &ChromeDriver) -> Result<()> {
    let site = Site::start().await?;
    let outcome = beyond_the_quota(driver, &site).await;
    site.shown_if_wrong(outcome)
}

impl Site {
    async fn start() -> Result<Self> {
        let port = free_port();
        let env = [
            ("DEMO_ADDR", &*format!("127.0.0.1:{port}")),
            ("DEMO_DEVICE", "once"),
        ];
        let demo = Program::start_with("demo", "redis", &env).await;
        let refreshes = Arc::new(AtomicUsize::new(0));
        let certificate = tls::certificate()?;
        let secure = tls::counting_in_front_of(port, &certificate, REFRESH, refreshes.clone())?;
        Ok(Self {
            demo,
            url: format!("https://localhost:{secure}"),
            digest: tls::public_key_digest(&certificate)?,
            certificate,
            refreshes,
        })
    }

    /// A further port with TLS, for a server of another site.
    fn also_in_front_of(&self, port: u16) -> Result<u16> {
        tls::counting_in_front_of(port, &self.certificate, b"\0", Arc::default())
    }

    fn shown_if_wrong(&self, outcome: Result<()>) -> Result<()> {
        if outcome.is_err() {
            eprintln!("{}", self.demo.output());
        }
        outcome
    }
}

async fn story(driver: &ChromeDriver, site: &Site) -> Result<()> {
    let profiles = tempfile::tempdir()?;
    let profile = |name| profiles.path().join(name);
    let ada = Browser::start(driver, site, &profile("ada")).await?;
    ada.log_in("ada").await?;
    let bound = Instant::now();
    what_a_browser_sends_waits_for_the_proof(&ada).await?;
    a_binding_survives_restarts(driver, site, &profile("grace")).await?;
    tokio::time::sleep(JUST_BOUND.saturating_sub(bound.elapsed())).await;
    a_stolen_login_is_refused(driver, site, &ada, &profile("thief")).await?;
    a_link_from_another_site_is_answered(&ada).await?;
    ada.log_out().await?;
    Ok(ada.client.close().await?)
}

/// A browser with a profile of its own.
struct Browser<'s> {
    client: Client,
    site: &'s Site,
}

impl<'s> Browser<'s> {
    async fn start(driver: &ChromeDriver, site: &'s Site, profile: &Path) -> Result<Self> {
        let profile = format!("--user-data-dir={}", profile.display());
        let trusted = format!("--ignore-certificate-errors-spki-list={}", site.digest);
        let mut arguments = ChromeDriver::arguments();
        arguments.extend([
            &*profile,
            &*trusted,
            "--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
            "--password-store=basic",
            "--host-resolver-rules=MAP *.test 127.0.0.1",
        ]);
        let options = json!({
            "goog:chromeOptions": { "args": arguments },
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder
            .capabilities(options.as_object().cloned().unwrap_or_default())
            .connect(&driver.url())
            .await?;
        Ok(Self { client, site })
    }

    async fn open(&self, path: &str) -> Result<()> {
        Ok(self
            .client
            .goto(&format!("{}{path}", self.site.url))
            .await?)
    }

    /// Logs in on the page and waits until the browser has bound the session.
    async fn log_in(&self, user: &str) -> Result<()> {
        self.open("/").await?;
        let field = self.client.find(Locator::Css("input[name=user]")).await?;
        field.send_keys(user).await?;
        let button = Locator::XPath("//button[normalize-space()='Log in']");
        self.client.find(button).await?.click().await?;
        let begin = Instant::now();
        while !self.has(BOUND).await? {
            if begin.elapsed() > PATIENCE {
                return Err("the browser does not bind the session".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.is_proved(user).await
    }

    /// Opens the account's page: the request came with the proof.
    async fn is_proved(&self, user: &str) -> Result<()> {
        self.open("/account").await?;
        let shown = self.shown().await?;
        let expected = json!({ "user": user, "device": "proved" });
        expect(
            "the account",
            &serde_json::from_str::<Value>(&shown).unwrap_or_default(),
            &expected,
        )
    }

    async fn shown(&self) -> Result<String> {
        let body = self.client.find(Locator::Css("body")).await?;
        Ok(body.text().await?)
    }

    async fn has(&self, cookie: &str) -> Result<bool> {
        let cookies = self.client.get_all_cookies().await?;
        Ok(cookies.iter().any(|it| it.name() == cookie))
    }

    /// A command of the browser's developer tools.
    async fn dev_tools(&self, command: &'static str, parameters: Value) -> Result<()> {
        dev_tools::send(&self.client, command, parameters).await
    }

    /// Removes the bound cookie, as if its time were over. It is hidden from scripts.
    async fn lose_bound_cookie(&self) -> Result<()> {
        let cookie = json!({ "name": BOUND, "url": self.site.url });
        self.dev_tools("Network.deleteCookies", cookie).await?;
        if self.has(BOUND).await? {
            return Err("the bound cookie is still there".into());
        }
        Ok(())
    }

    /// What an asynchronous script returns.
    async fn run(&self, script: &str) -> Result<Value> {
        let script = format!("const done = arguments[0]; {script}");
        Ok(self.client.execute_async(&script, vec![]).await?)
    }

    /// Runs `send` after the bound cookie was lost. It has to take this many requests to prove the
    /// device.
    async fn refreshes(
        &self,
        what: &str,
        trips: usize,
        send: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<()> {
        self.lose_bound_cookie().await?;
        let before = self.site.refreshes.load(Ordering::Relaxed);
        send().await?;
        let count = self.site.refreshes.load(Ordering::Relaxed) - before;
        expect(&format!("{what}: requests of refresh"), &count, &trips)?;
        if !self.has(BOUND).await? {
            return Err(format!("{what}: the bound cookie did not come back").into());
        }
        Ok(())
    }

    /// Stops or starts the demo's store.
    async fn store(&self, what: &str) -> Result<()> {
        let post = format!(
            "fetch('/page/store/{what}', {{ method: 'POST', redirect: 'manual' }}).then(() => done(0));"
        );
        self.run(&post).await.map(drop)
    }

    async fn log_out(&self) -> Result<()> {
        self.open("/").await?;
        let button = Locator::XPath("//button[normalize-space()='Log out']");
        self.client.find(button).await?.click().await?;
        self.open("/account").await?;
        let shown: Value = serde_json::from_str(&self.shown().await?)?;
        expect(
            "after the log-out",
            &shown,
            &json!({ "user": null, "device": "unbound" }),
        )?;
        // The device's session has ended in the browser, so nothing is refreshed any more.
        let before = self.site.refreshes.load(Ordering::Relaxed);
        self.open("/account").await?;
        let sent = self.site.refreshes.load(Ordering::Relaxed) - before;
        expect("requests of refresh after the log-out", &sent, &0)
    }
}

/// A form with its body, a fetch and a web socket wait until the device is proved, and are answered.
async fn what_a_browser_sends_waits_for_the_proof(ada: &Browser<'_>) -> Result<()> {
    // The answer that bound the session had the first challenge.
    ada.refreshes("a form", 1, async || {
        let form = "const form = document.createElement('form'); form.method = 'post'; \
            form.action = '/account/echo'; form.enctype = 'text/plain'; \
            form.innerHTML = '<input name=a value=b>'; document.body.append(form); form.submit();";
        ada.client.execute(form, vec![]).await?;
        let begin = Instant::now();
        while ada.shown().await.ok().as_deref() != Some("ada a=b") {
            if begin.elapsed() > PATIENCE {
                return Err(format!("the form was answered by {:?}", ada.shown().await?).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await?;
    ada.refreshes("a fetch", 1, async || {
        let fetch = "fetch('/account/echo', { method: 'POST', body: 'hello' })\
            .then(it => it.text()).then(done, it => done(String(it)));";
        expect("the fetch", &ada.run(fetch).await?, &json!("ada hello"))
    })
    .await?;
    ada.refreshes("a web socket", 1, async || {
        let socket = "const socket = new WebSocket('/account/socket'); \
            socket.onmessage = it => done(it.data); socket.onerror = () => done('refused');";
        expect("the web socket", &ada.run(socket).await?, &json!("ada"))
    })
    .await
}

/// The browser and the store are started again, and the session is still bound.
async fn a_binding_survives_restarts(
    driver: &ChromeDriver,
    site: &Site,
    profile: &Path,
) -> Result<()> {
    let grace = Browser::start(driver, site, profile).await?;
    grace.log_in("grace").await?;
    grace.client.close().await?;
    let grace = Browser::start(driver, site, profile).await?;
    grace.open("/plain").await?;
    let proved = async || grace.is_proved("grace").await;
    // The browser keeps the key, and forgets the challenge: it is asked first.
    grace
        .refreshes("a new start of the browser", 2, proved)
        .await?;
    grace.store("stop").await?;
    grace.lose_bound_cookie().await?;
    grace.open("/account").await?;
    let shown = grace.shown().await?;
    expect("without a store", &shown.contains("does not answer"), &true)?;
    grace.store("start").await?;
    grace
        .refreshes("a new start of the store", 1, proved)
        .await?;
    grace.log_out().await?;
    Ok(grace.client.close().await?)
}

/// Six signatures in about nine minutes, that of the registration included.
async fn beyond_the_quota(driver: &ChromeDriver, site: &Site) -> Result<()> {
    let profile = tempfile::tempdir()?;
    let ada = Browser::start(driver, site, profile.path()).await?;
    ada.log_in("ada").await?;
    let begin = Instant::now();
    let proved = async || ada.is_proved("ada").await;
    for _ in 0..5 {
        ada.refreshes("within the quota", 1, proved).await?;
    }
    ada.lose_bound_cookie().await?;
    tokio::time::sleep(JUST_BOUND.saturating_sub(begin.elapsed())).await;
    ada.open("/account").await?;
    expect(
        "beyond the quota",
        &ada.shown().await?.contains("refused"),
        &true,
    )?;
    let log = site.demo.output();
    expect(
        "the reason in the log",
        &log.contains("quota_exceeded"),
        &true,
    )?;
    while proved().await.is_err() {
        if begin.elapsed() > QUOTA {
            return Err("the browser does not prove its device any more".into());
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    println!("proved again after {:?}", begin.elapsed());
    Ok(ada.client.close().await?)
}

/// The cookie of the login alone is worth nothing in another browser.
async fn a_stolen_login_is_refused(
    driver: &ChromeDriver,
    site: &Site,
    ada: &Browser<'_>,
    profile: &Path,
) -> Result<()> {
    let stolen = ada.client.get_named_cookie(LOGIN).await?;
    let thief = Browser::start(driver, site, profile).await?;
    let cookie = json!({ "name": LOGIN, "value": stolen.value(), "url": site.url, "secure": true });
    thief.dev_tools("Network.setCookie", cookie).await?;
    // It arrives: what is not guarded takes it.
    thief.open("/whoami").await?;
    let arrived: Value = serde_json::from_str(&thief.shown().await?)?;
    expect("the thief", &arrived, &json!({ "user": "ada" }))?;
    thief.open("/account").await?;
    let shown = thief.shown().await?;
    expect("the thief's account", &shown.contains("refused"), &true)?;
    thief.client.close().await?;
    ada.is_proved("ada").await
}

/// The browser does not prove its device before a page that another site leads to. It does before it
/// opens the page again.
async fn a_link_from_another_site_is_answered(ada: &Browser<'_>) -> Result<()> {
    let sites = Sites::start()?;
    let port = ada.site.also_in_front_of(sites.ports[0])?;
    let account = format!("{}/account", ada.site.url);
    let page = format!("https://mail.test:{port}/page/origin#location='{account}'");
    ada.refreshes("a link from another site", 1, async || {
        ada.client.goto(&page).await?;
        let proved = json!({ "user": "ada", "device": "proved" }).to_string();
        let begin = Instant::now();
        while ada.shown().await.ok().as_deref() != Some(&proved) {
            if begin.elapsed() > PATIENCE {
                return Err(format!("the link was answered by {:?}", ada.shown().await?).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let wrong = format!("{what}: {found:?}, not {expected:?}");
    Err(Box::<dyn Error + Send + Sync>::from(wrong))
}
