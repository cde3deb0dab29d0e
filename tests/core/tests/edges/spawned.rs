//! Calls on a user's sessions run in tasks of their own: their futures are `Send`.

use session_core::{Lineage, Session, Sessions};

#[tokio::test]
async fn every_call_on_a_users_sessions_can_be_spawned() {
    let sessions = Sessions::in_memory();
    let browser = sessions
        .cookie_of(|session| session.log_in("ada"))
        .await
        .unwrap();
    let request = sessions.begin_request();
    let session = request
        .session(&mut std::iter::once(browser.as_bytes()))
        .await
        .unwrap();
    let lineage: Lineage = session.lineage().unwrap();
    let lists = tokio::spawn(lists_and_ends(sessions.clone(), session.clone(), lineage));
    assert_eq!(lists.await.unwrap(), (1, 1, true));
    let session = session.clone();
    let save = tokio::spawn(async move { session.save().await });
    let _saved = save.await.unwrap().unwrap();
    let everywhere = tokio::spawn(async move { sessions.log_out_everywhere("ada").await });
    assert_eq!(everywhere.await.unwrap().unwrap(), 0);
}

async fn lists_and_ends(
    sessions: Sessions,
    session: Session,
    lineage: Lineage,
) -> (usize, usize, bool) {
    let all = sessions.owner_sessions("ada").await.unwrap();
    let own = session.owner_sessions().await.unwrap();
    let ended = session.end_owner_session(&lineage).await.unwrap();
    let rest = session.log_out_everywhere(true).await;
    rest.unwrap();
    (all.len(), own.len(), ended)
}
