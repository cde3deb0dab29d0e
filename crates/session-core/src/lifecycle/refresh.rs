use super::work::{Cookie, Done, Live, Origin, Work};
use crate::{config::Refresh, error::Result, record::Write};

impl Work<'_> {
    /// Whether using the session of `live` now moves its expiry.
    pub(crate) fn refresh_due(&self, live: &Live) -> bool {
        let settings = &self.shared.settings;
        live.outdated
            || match settings.refresh {
                Refresh::OnChange => false,
                Refresh::EveryAccess | Refresh::EveryRequest => true,
                Refresh::WhenDue => {
                    let now = self.shared.now();
                    let created_at = live.content.created_at.unwrap_or(now);
                    settings.timeouts(live.content.idle).refresh_due(
                        created_at,
                        live.expires_at,
                        now,
                    )
                }
            }
    }

    /// Moves the expiry of an unchanged session, and that of its cookie if it is `permanent`; one that cannot be moved
    /// fails no request.
    pub(crate) async fn refresh(&self, live: Live, permanent: bool) -> Done {
        let sends_cookie = live.id.is_some() && (permanent || live.outdated);
        match self.write_again(&live).await {
            Ok(Some(moved)) => Done {
                cookie: if sends_cookie {
                    Cookie::Set
                } else {
                    Cookie::Leave
                },
                ..Done::unchanged(Origin::Live(moved))
            },
            // Whoever changed the record moved its expiry, or ended it.
            Ok(None) => Done::unchanged(Origin::Live(live)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a session's expiry was not moved"
                );
                Done::unchanged(Origin::Live(live))
            }
        }
    }

    /// The same content at the revision that was loaded.
    async fn write_again(&self, live: &Live) -> Result<Option<Live>> {
        let record = self.record(&live.key, live.form, &live.content)?;
        Ok(
            match self.update(&live.key, &record, &live.revision).await? {
                Write::Stored(revision) => Some(Live {
                    revision,
                    expires_at: record.expires_at,
                    outdated: false,
                    ..live.clone()
                }),
                Write::Refused => None,
            },
        )
    }
}
