//! What an application counts, read from the page of its metrics.

use std::{
    collections::BTreeMap,
    io::{Error, ErrorKind, Result},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::failure::Failure;

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The largest page, in bytes.
const LARGEST: u64 = 16 << 20;

/// Where the page of a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    host: String,
    port: u16,
    path: String,
}

impl Page {
    /// # Errors
    ///
    /// If the URL is none of plain HTTP.
    pub(crate) fn of(url: &str) -> std::result::Result<Self, Failure> {
        let wrong = || {
            let text = "--metrics is the address of a page over plain HTTP, such as http://127.0.0.1:9000/metrics";
            Failure::Usage(text.into())
        };
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, "metrics"));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_plain = |text: &str| text.bytes().all(|it| it.is_ascii_graphic() && it != b'@');
        if host.is_empty() || !is_plain(host) || !is_plain(path) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            path: format!("/{path}"),
        })
    }

    /// The counters of the page by now.
    ///
    /// # Errors
    ///
    /// If there is no such page.
    pub(crate) async fn read(&self) -> Result<Counts> {
        let read = timeout(PATIENCE, self.text()).await;
        let text = read.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        // There may be several.
        let named = |error| Error::other(format!("http://{}:{}: {error}", self.host, self.port));
        Ok(Counts::of(&text.map_err(named)?))
    }

    async fn text(&self) -> Result<String> {
        let mut stream = TcpStream::connect((&*self.host, self.port)).await?;
        // HTTP/1.0: no server answers that in chunks.
        let request = format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nAccept: text/plain\r\n\r\n",
            self.path, self.host
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LARGEST).read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .ok_or_else(|| Error::other("the answer is no HTTP"))?;
        match head.split(' ').nth(1) {
            Some("200") => Ok(body.to_owned()),
            status => Err(Error::other(format!(
                "the page answers {}",
                status.unwrap_or_default()
            ))),
        }
    }
}

/// The counters of one process, or of several together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// Requests by outcome.
    requests: BTreeMap<String, f64>,
    /// Calls of the store by operation and upper bound of their time, as text of the bound.
    calls: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Counts {
    fn of(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            let label = |wanted: &str| {
                let labels = labels.trim_end_matches('}').split(',');
                let mut pairs = labels.filter_map(|it| it.split_once('='));
                let found = pairs.find(|(name, _)| *name == wanted);
                found.map(|(_, value)| value.trim_matches('"').to_owned())
            };
            match name {
                "session_request_count" | "session_request_count_total" => {
                    let outcome = label("outcome").unwrap_or_default();
                    *counts.requests.entry(outcome).or_default() += value;
                }
                "session_store_operation_duration_bucket"
                | "session_store_operation_duration_seconds_bucket" => {
                    if let (Some(operation), Some(bound)) = (label("operation"), label("le")) {
                        let calls = counts.calls.entry(operation).or_default();
                        *calls.entry(bound).or_default() += value;
                    }
                }
                _ => {}
            }
        }
        counts
    }

    fn add(&mut self, other: &Self) {
        for (outcome, count) in &other.requests {
            *self.requests.entry(outcome.clone()).or_default() += count;
        }
        for (operation, bounds) in &other.calls {
            let calls = self.calls.entry(operation.clone()).or_default();
            for (bound, count) in bounds {
                *calls.entry(bound.clone()).or_default() += count;
            }
        }
    }

    /// What happened since `before`, `seconds` ago, in words: how many requests a second, which failed,
    /// and the slowest calls of the store.
    fn since(&self, before: &Self, seconds: f64) -> String {
        let rate = |outcome: &String, count: &f64| {
            let before = before.requests.get(outcome).copied().unwrap_or_default();
            // A process that was started again counts from 0.
            let more = if *count < before {
                *count
            } else {
                count - before
            };
            more / seconds
        };
        let rates: Vec<_> = self
            .requests
            .iter()
            .map(|(it, count)| (it, rate(it, count)))
            .collect();
        let all: f64 = rates.iter().map(|(_, rate)| rate).sum();
        let failed = rates
            .iter()
            .filter(|(it, rate)| *it != "done" && *rate > 0.0);
        let failed: Vec<_> = failed.map(|(it, rate)| format!("{it} {rate:.1}")).collect();
        let failed = if failed.is_empty() {
            "none".into()
        } else {
            failed.join(", ")
        };
        let slowest = self
            .slowest(before)
            .map_or_else(String::new, |(operation, bound)| {
                format!("; slowest: {operation}, 99 % in {bound} s")
            });
        format!("{all:.1} requests/s, failed: {failed}{slowest}")
    }

    /// The operation whose calls took longest, and the time within which 99 % of them were answered.
    fn slowest(&self, before: &Self) -> Option<(&str, &str)> {
        let of_operation = |(operation, bounds): (&'_ String, &'_ BTreeMap<String, f64>)| {
            let before = before.calls.get(operation);
            let since = |bound: &String, count: f64| {
                let before = before.and_then(|it| it.get(bound)).copied();
                (count - before.unwrap_or_default()).max(0.0)
            };
            let all = since(&"+Inf".to_owned(), *bounds.get("+Inf")?);
            let mut within: Vec<_> = bounds
                .iter()
                .filter_map(|(bound, count)| {
                    let seconds = match &**bound {
                        "+Inf" => f64::INFINITY,
                        bound => bound.parse().ok()?,
                    };
                    Some((seconds, bound, since(bound, *count)))
                })
                .collect();
            within.sort_by(|one, other| one.0.total_cmp(&other.0));
            let bound = within.iter().find(|it| it.2 >= all * 0.99)?;
            (all > 0.0).then_some((bound.0, operation.clone(), bound.1.clone()))
        };
        let slowest = self.calls.iter().filter_map(of_operation);
        let (_, operation, bound) = slowest.max_by(|one, other| one.0.total_cmp(&other.0))?;
        let (operation, bounds) = self.calls.get_key_value(&operation)?;
        let (bound, _) = bounds.get_key_value(&bound)?;
        Some((operation, bound))
    }
}

/// The pages of an application's processes, and what they said last.
pub(crate) struct Pages {
    pages: Vec<Page>,
    before: Option<(Instant, Counts)>,
}

impl Pages {
    /// # Errors
    ///
    /// If a URL is none of plain HTTP.
    pub(crate) fn of(urls: &[String]) -> std::result::Result<Self, Failure> {
        let pages = urls
            .iter()
            .map(|url| Page::of(url))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self {
            pages,
            before: None,
        })
    }

    /// What happened since the last time, in words. `None` if there are no pages, and the first time.
    ///
    /// # Errors
    ///
    /// If a page cannot be read.
    pub(crate) async fn sample(&mut self) -> Result<Option<String>> {
        if self.pages.is_empty() {
            return Ok(None);
        }
        let (at, mut counts) = (Instant::now(), Counts::default());
        for page in &self.pages {
            counts.add(&page.read().await?);
        }
        let before = self.before.replace((at, counts.clone()));
        Ok(before.map(|(then, before)| counts.since(&before, (at - then).as_secs_f64())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE session_request_count counter
session_request_count{outcome=\"done\"} 100
session_request_count{outcome=\"store\"} 0
session_store_operation_duration_bucket{operation=\"load\",outcome=\"found\",le=\"0.001\"} 100
session_store_operation_duration_bucket{operation=\"load\",outcome=\"found\",le=\"0.25\"} 100
session_store_operation_duration_bucket{operation=\"load\",outcome=\"found\",le=\"+Inf\"} 100
other 5
";

    #[test]
    fn what_happened_between_two_samples_is_told() {
        let before = Counts::of(PAGE);
        let after = PAGE
            .replace("\"done\"} 100", "\"done\"} 120")
            .replace("\"store\"} 0", "\"store\"} 5")
            .replace("le=\"0.25\"} 100", "le=\"0.25\"} 110")
            .replace("le=\"+Inf\"} 100", "le=\"+Inf\"} 110");
        assert_eq!(
            Counts::of(&after).since(&before, 5.0),
            "5.0 requests/s, failed: store 1.0; slowest: load, 99 % in 0.25 s"
        );
        // Nothing happened; and the process was started again.
        assert_eq!(before.since(&before, 5.0), "0.0 requests/s, failed: none");
        let text = before.since(&Counts::of(&after), 5.0);
        assert!(text.starts_with("20.0 requests/s, failed: none"), "{text}");
        let mut both = before.clone();
        both.add(&before);
        assert_eq!(both.requests["done"].to_bits(), 200_f64.to_bits());
    }

    #[test]
    fn an_address_is_of_plain_http_and_has_no_password() {
        let page = |host: &str, port, path: &str| Page {
            host: host.into(),
            port,
            path: path.into(),
        };
        let of = |url: &str| Page::of(url).ok();
        assert_eq!(of("http://h:9/m?x=1"), Some(page("h", 9, "/m?x=1")));
        assert_eq!(of("http://h"), Some(page("h", 80, "/metrics")));
        assert_eq!(of("http://[::1]:9/m"), Some(page("::1", 9, "/m")));
        for wrong in [
            "https://h/m",
            "h:9",
            "http://u:p@h/",
            "http://h:x/",
            "http:///m",
            "http://h/ m",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
