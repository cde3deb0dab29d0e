//! A user at a browser.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use session_tests::{ChromeDriver, Program};
use url::Url;

use super::dev_tools;

pub(super) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PATIENCE: Duration = Duration::from_secs(10);

/// Windows of a desktop and of a phone, in CSS pixels.
const WIDTHS: [(&str, u32); 2] = [("desktop", 1000), ("phone", 390)];
const THEMES: [&str; 2] = ["light", "dark"];
/// What a finger can hit, in CSS pixels.
const SMALLEST_TARGET: u32 = 44;

/// Somebody at a browser with cookies of its own.
pub(super) struct Person {
    name: &'static str,
    client: Client,
    page: String,
    pictures: PathBuf,
}

impl Person {
    /// At the page of a program.
    pub(super) async fn new(
        name: &'static str,
        driver: &ChromeDriver,
        demo: &Program,
        pictures: &Path,
    ) -> Result<Self> {
        let page = format!("{}/", demo.url());
        Self::start(name, driver, page, pictures).await
    }

    /// Somebody who visits sites of any name; all are on this machine.
    pub(super) async fn anywhere(name: &'static str, driver: &ChromeDriver) -> Result<Self> {
        Self::start(name, driver, String::new(), Path::new("")).await
    }

    async fn start(
        name: &'static str,
        driver: &ChromeDriver,
        page: String,
        pictures: &Path,
    ) -> Result<Self> {
        let mut arguments = ChromeDriver::arguments();
        arguments.push("--window-size=1000,1400");
        arguments.push("--host-resolver-rules=MAP *.test 127.0.0.1,MAP *.localhost 127.0.0.1");
        arguments.push("--disable-features=HttpsUpgrades");
        let options = json!({
            "goog:chromeOptions": { "args": arguments },
            "acceptInsecureCerts": true,
        });
        let capabilities = options.as_object().cloned().unwrap_or_default();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder
            .capabilities(capabilities)
            .connect(&driver.url())
            .await?;
        Ok(Self {
            name,
            client,
            page,
            pictures: pictures.to_owned(),
        })
    }

    /// Opens a page that runs `script`.
    pub(super) async fn run_on(&self, page: &str, script: &str) -> Result<()> {
        let mut page = Url::parse(page)?;
        page.set_fragment(Some(&script.replace('%', "%25")));
        Ok(self.client.goto(page.as_str()).await?)
    }

    pub(super) async fn open_page(&self) -> Result<()> {
        Ok(self.client.goto(&self.page).await?)
    }

    /// Opens the page under an address of its own, which the history can tell apart.
    pub(super) async fn open_page_as(&self, query: &str) -> Result<()> {
        Ok(self.client.goto(&format!("{}{query}", self.page)).await?)
    }

    /// Presses Back until the address is that of [`open_page_as`](Self::open_page_as).
    pub(super) async fn go_back_to(&self, query: &str) -> Result<()> {
        for _ in 0..4 {
            self.client.back().await?;
            if self.client.current_url().await?.as_str().ends_with(query) {
                return Ok(());
            }
        }
        Err(self.wrong(&format!("Back does not lead to {query}")))
    }

    pub(super) async fn fill(&self, field: &str, text: &str) -> Result<()> {
        let selector = format!("input[name={field}]");
        let field = self.client.find(Locator::Css(&selector)).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Clicks the button with this text, which leads back to the page.
    pub(super) async fn click(&self, text: &str) -> Result<()> {
        self.press(text).await?;
        let shown = self.client.current_url().await?;
        if shown.as_str() != self.page {
            return Err(self.wrong(&format!("{text:?} leads to {shown}, not to the page")));
        }
        Ok(())
    }

    /// Clicks the button with this text and waits until the next page is shown.
    pub(super) async fn press(&self, text: &str) -> Result<()> {
        let path = format!("//button[normalize-space()='{text}']");
        let button = self
            .client
            .find(Locator::XPath(&path))
            .await
            .map_err(|error| self.wrong(&format!("no button {text:?}: {error}")))?;
        // Marks the page, so that the next one can be distinguished.
        self.client.execute("window.left = true", vec![]).await?;
        button.click().await?;
        let arrived = "return window.left === undefined && document.readyState === 'complete'";
        let begin = std::time::Instant::now();
        while self.client.execute(arrived, vec![]).await.ok() != Some(json!(true)) {
            if begin.elapsed() > PATIENCE {
                return Err(self.wrong(&format!("{text:?} leads nowhere")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(super) async fn log_in(&self, user: &str) -> Result<()> {
        self.fill("user", user).await?;
        self.click("Log in").await
    }

    /// The number that the first element of `selector` shows.
    pub(super) async fn number(&self, selector: &str) -> Result<u64> {
        Ok(self.text(selector).await?.parse()?)
    }

    /// The page shows by itself, without being opened again, that nobody is logged in any more.
    pub(super) async fn becomes_anonymous(&self) -> Result<()> {
        let begin = std::time::Instant::now();
        while self.is_anonymous().await.is_err() {
            if begin.elapsed() > PATIENCE {
                return Err(self.wrong("the page does not notice the log-out"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// The text of the first element that `selector` finds.
    pub(super) async fn text(&self, selector: &str) -> Result<String> {
        let found = self.client.find(Locator::Css(selector)).await;
        let element = found.map_err(|error| self.wrong(&format!("no {selector}: {error}")))?;
        Ok(element.text().await?.trim().to_owned())
    }

    /// The first element that `selector` finds has exactly this text.
    pub(super) async fn reads(&self, selector: &str, expected: &str) -> Result<()> {
        let text = self.text(selector).await?;
        if text == expected {
            return Ok(());
        }
        Err(self.wrong(&format!("{selector} reads {text:?}, not {expected:?}")))
    }

    /// So many elements are found by `selector`.
    pub(super) async fn has(&self, selector: &str, expected: usize) -> Result<()> {
        let found = self.client.find_all(Locator::Css(selector)).await?.len();
        if found == expected {
            return Ok(());
        }
        Err(self.wrong(&format!("{found} times {selector}, not {expected}")))
    }

    pub(super) async fn is_anonymous(&self) -> Result<()> {
        self.has("input[name=user]", 1).await?;
        self.has("#devices li", 0).await
    }

    pub(super) async fn session_cookie_is_hidden_from_scripts(&self) -> Result<()> {
        let cookie = self.client.get_named_cookie("session").await?;
        let seen = self
            .client
            .execute("return document.cookie", vec![])
            .await?;
        if cookie.http_only() == Some(true) && !seen.to_string().contains("session") {
            return Ok(());
        }
        Err(self.wrong(&format!("a script sees {seen}")))
    }

    pub(super) async fn picture(&self, what: &str) -> Result<()> {
        let file = self.pictures.join(format!("{}-{what}.png", self.name));
        std::fs::write(&file, self.client.screenshot().await?)?;
        println!("{}", file.display());
        Ok(())
    }

    /// The page at each width and in each theme. Nothing may be wider than the window, or too small
    /// for a finger.
    pub(super) async fn pictures(&self, what: &str) -> Result<()> {
        for (device, width) in WIDTHS {
            for theme in THEMES {
                let scheme = json!({ "name": "prefers-color-scheme", "value": theme });
                let media = json!({ "features": [scheme] });
                dev_tools::send(&self.client, "Emulation.setEmulatedMedia", media).await?;
                self.resize(width, 844).await?;
                let height = "return document.documentElement.scrollHeight";
                let height = self.client.execute(height, vec![]).await?;
                self.resize(width, height.as_u64().unwrap_or_default())
                    .await?;
                self.fits(what, device, width).await?;
                let name = format!("{what}-{device}-{theme}.png");
                let file = self.pictures.join(name);
                std::fs::write(&file, self.client.screenshot().await?)?;
                println!("{}", file.display());
            }
        }
        let none = || json!({});
        dev_tools::send(&self.client, "Emulation.setEmulatedMedia", none()).await?;
        dev_tools::send(&self.client, "Emulation.clearDeviceMetricsOverride", none()).await
    }

    async fn resize(&self, width: u32, height: u64) -> Result<()> {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        dev_tools::send(&self.client, "Emulation.setDeviceMetricsOverride", metrics).await
    }

    async fn fits(&self, what: &str, device: &str, width: u32) -> Result<()> {
        let script = "
            const [width, smallest] = arguments;
            const wide = [...document.querySelectorAll('body *')]
                .filter(it => it.getBoundingClientRect().right > width + 0.5);
            const small = [...document.querySelectorAll('button, label.choice, input:not([type=checkbox])')]
                .filter(it => it.offsetParent && it.getBoundingClientRect().height < smallest);
            return [...wide, ...small].map(it => it.outerHTML.slice(0, 80))";
        let arguments = vec![json!(width), json!(SMALLEST_TARGET)];
        let found = self.client.execute(script, arguments).await?;
        if found.as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        Err(self.wrong(&format!("{what}, {device}: too wide or too small: {found}")))
    }

    pub(super) async fn close(self) -> Result<()> {
        Ok(self.client.close().await?)
    }

    fn wrong(&self, what: &str) -> Box<dyn Error + Send + Sync> {
        format!("{}: {what}", self.name).into()
    }
}
