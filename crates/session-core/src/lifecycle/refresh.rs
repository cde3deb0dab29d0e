use super::work::{Cookie, Done, Live, Origin, Work};
use crate::{config::Refresh, error::Result, record::Touch};

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

    /// Moves the expiry of an unchanged session; one that cannot be moved fails no request.
    pub(crate) async fn refresh(&self, live: Live) -> Done {
        let expires_at = self.expires_at(&live.content, self.shared.now());
        let touched: Result<Touch> = async {
            self.budget
                .spend(self.shared.store.touch(&live.key, expires_at))
                .await?
        }
        .await;
        match touched {
            Ok(Touch::Moved) => Done {
                cookie: if live.id.is_some() {
                    Cookie::SetAgain
                } else {
                    Cookie::Leave
                },
                ..Done::unchanged(Origin::Live(Live {
                    expires_at,
                    outdated: false,
                    ..live
                }))
            },
            Ok(Touch::Refused) => Done::unchanged(Origin::Ended),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a session's expiry was not moved"
                );
                Done::unchanged(Origin::Live(live))
            }
        }
    }
}
