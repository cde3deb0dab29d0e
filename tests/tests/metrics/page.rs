//! The page of a process's metrics.

use std::collections::HashMap;

use reqwest::Method;

use crate::site::Browser;

/// The value of each series, by its name and attributes.
#[derive(Debug)]
pub(crate) struct Page(HashMap<String, f64>);

impl Page {
    pub(crate) async fn of(browser: &Browser) -> Self {
        let answer = browser.send(Method::GET, "/metrics", String::new()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self::read(&answer.text())
    }

    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        let value = |text: &str| text.parse().unwrap_or(f64::NAN);
        Self(
            series
                .map(|(series, text)| (series.to_owned(), value(text)))
                .collect(),
        )
    }

    /// The sum of the series of this name with these attributes, such as `outcome="done"`.
    pub(crate) fn sum(&self, name: &str, attributes: &[&str]) -> f64 {
        let is_meant = |series: &str| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|it| it.is_empty() || it.starts_with('{'))
                && attributes.iter().all(|it| series.contains(it))
        };
        let meant = self.0.iter().filter(|(series, _)| is_meant(series));
        meant.map(|(_, value)| value).sum()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
