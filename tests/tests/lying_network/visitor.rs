//! A visitor, who knows exactly what the session may and must hold.

use std::collections::{HashSet, VecDeque};
use std::iter::{empty, once};
use std::time::Duration;

use futures_util::future::join_all;
use session_core::{Error, Finish, RequestSession, Saved, Session, Sessions};
use session_tests::{Watch, assert_in_time};

use crate::dice::Dice;
use crate::network::QUICK;

/// After so many changes a visitor logs out, so that sessions stay small.
const MOST_CHANGES: usize = 30;
/// How many answers a failed check shows.
const HISTORY: usize = 12;
/// How many ended sessions a visitor keeps looking at.
const ENDED: usize = 8;

pub(crate) struct Visitor {
    sessions: Sessions,
    name: String,
    dice: Dice,
    login: Option<Login>,
    logins: usize,
    /// Cookies of sessions that have certainly ended.
    ended: VecDeque<String>,
    pub(crate) slowest: Duration,
    pub(crate) answered: usize,
    pub(crate) refused: usize,
    last_error: String,
}

/// A session, as its visitor knows it.
struct Login {
    cookie: String,
    /// What each of its values is.
    tag: String,
    /// The changes that were answered with success.
    stored: HashSet<usize>,
    /// Those and the changes that were answered with an error.
    tried: HashSet<usize>,
    /// Whether something was answered with an error that may have ended it.
    maybe_ended: bool,
    /// What was asked, and how it was answered, for the message of a check that fails.
    history: VecDeque<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Read,
    Change(usize),
    Renew,
    LogOut,
}

/// What a request found and did.
#[derive(Debug)]
enum Answer {
    Anonymous,
    /// What the session held before the change.
    Seen(HashSet<usize>, Saved),
}

/// A response: what was found, or the error, and the new cookie.
struct Response {
    answer: Result<Answer, Error>,
    cookie: Option<String>,
    took: Duration,
}

impl Visitor {
    pub(crate) fn new(sessions: &Sessions, name: String, dice: Dice) -> Self {
        Self {
            sessions: sessions.clone(),
            name,
            dice,
            login: None,
            logins: 0,
            ended: VecDeque::new(),
            slowest: Duration::ZERO,
            answered: 0,
            refused: 0,
            last_error: String::new(),
        }
    }

    /// Some requests at once, of one session.
    pub(crate) async fn send_requests(&mut self) {
        let Some(login) = &self.login else {
            return self.log_in().await;
        };
        let next = login.tried.len();
        let (one, two) = (Ask::Change(next), Ask::Change(next + 1));
        let asks = match self.dice.below(20) {
            0 => vec![one, Ask::Renew, Ask::Read],
            1 => vec![one, Ask::LogOut, two],
            _ if next >= MOST_CHANGES => vec![Ask::LogOut],
            2 => return self.log_out_everywhere().await,
            3 => return self.check_ended().await,
            4..8 => vec![Ask::Read],
            8..12 => vec![one, two, Ask::Read],
            _ => vec![one],
        };
        self.ask(&asks).await;
    }

    /// One change and one look, and a look at each session that has ended. Whether all succeeded.
    pub(crate) async fn is_served(&mut self) -> bool {
        let refused = self.refused;
        if self.login.is_none() {
            self.log_in().await;
        }
        let next = self.login.as_ref().map_or(0, |login| login.tried.len());
        for ask in [Ask::Change(next), Ask::Read] {
            // Not if it turned out to have ended.
            if self.login.is_some() && self.refused == refused {
                self.ask(&[ask]).await;
            }
        }
        if self.refused == refused {
            self.check_ended().await;
        }
        self.refused == refused
    }

    /// Why the last request that was refused was.
    pub(crate) fn last_error(&self) -> &str {
        &self.last_error
    }

    async fn ask(&mut self, asks: &[Ask]) {
        let login = self.login.as_ref().expect("the visitor has a session");
        let (tag, cookie) = (&login.tag, &login.cookie);
        let responses = join_all(asks.iter().map(|ask| {
            let request = request(self.sessions.clone(), cookie.clone(), tag.clone(), *ask);
            tokio::spawn(request)
        }));
        let responses = responses.await;
        let mut login = self.login.take().expect("the visitor has a session");
        for ask in asks {
            if let Ask::Change(change) = ask {
                login.tried.insert(*change);
            }
        }
        let stored = login.stored.clone();
        let ends = asks.contains(&Ask::LogOut) || asks.contains(&Ask::Renew);
        let (mut ended, mut renewed) = (false, None);
        for (ask, response) in asks.iter().zip(responses) {
            let response = response.expect("no request panics");
            self.count(&response);
            login.note(*ask, &response);
            let who = format!("{}, {:#?}", self.name, login.history);
            match (ask, response.answer) {
                (_, Ok(Answer::Anonymous)) => {
                    let by_another = ends && !matches!(ask, Ask::LogOut | Ask::Renew);
                    assert!(
                        by_another || login.maybe_ended,
                        "{who}: the session is lost"
                    );
                    ended = true;
                }
                (_, Ok(Answer::Seen(seen, saved))) => {
                    let lost: Vec<_> = stored.difference(&seen).collect();
                    assert!(lost.is_empty(), "{who}: changes are lost: {lost:?}");
                    let new: Vec<_> = seen.difference(&login.tried).collect();
                    assert!(new.is_empty(), "{who}: nobody made the changes {new:?}");
                    match (ask, saved) {
                        (Ask::Change(change), Saved::Stored) => {
                            login.stored.insert(*change);
                        }
                        (Ask::LogOut, Saved::Stored | Saved::Ended) => ended = true,
                        (Ask::Renew, Saved::Ended) => login.maybe_ended = true,
                        (_, Saved::Ended) => {
                            assert!(ends || login.maybe_ended, "{who}: it ended by itself");
                            ended |= !asks.contains(&Ask::Renew);
                        }
                        (Ask::Renew, Saved::Stored) => renewed = response.cookie,
                        _ => {}
                    }
                }
                (Ask::Renew, Err(_)) => {
                    login.maybe_ended = true;
                    renewed = response.cookie;
                }
                (Ask::LogOut, Err(_)) => login.maybe_ended = true,
                (_, Err(_)) => {}
            }
        }
        if let Some(new) = renewed {
            let old = std::mem::replace(&mut login.cookie, new);
            self.has_ended(old);
            (login.maybe_ended, ended) = (false, false);
        }
        if ended {
            self.has_ended(login.cookie);
        } else {
            self.login = Some(login);
        }
    }

    async fn log_in(&mut self) {
        self.logins += 1;
        let tag = format!("{} {}", self.name, self.logins);
        let begun = Watch::start();
        let visit = self.sessions.begin_request();
        let answer = async {
            let session = visit.session(&mut empty()).await?;
            session.insert("tag", &tag)?;
            session.log_in(&self.name)?;
            let saved = session.save().await?;
            assert_eq!(saved, Saved::Stored);
            Ok(Answer::Seen(HashSet::new(), saved))
        };
        let response = respond(&visit, answer.await, begun).await;
        self.count(&response);
        if let Some(cookie) = response.cookie {
            self.login = Some(Login {
                cookie,
                tag,
                stored: HashSet::new(),
                tried: HashSet::new(),
                maybe_ended: false,
                history: VecDeque::from([format!("{:?}", response.answer)]),
            });
        }
    }

    async fn log_out_everywhere(&mut self) {
        if !self.sessions.has_owner_lists() {
            return self.ask(&[Ask::LogOut]).await;
        }
        let mut login = self.login.take().expect("the visitor has a session");
        let begun = Watch::start();
        let ended = self.sessions.log_out_everywhere(&self.name).await;
        // All work on a user's sessions has five times a request's time.
        let took = begun.stop(QUICK * 5).await;
        assert_in_time!(took < QUICK * 5, "{}: {took:?}", self.name);
        match ended {
            Ok(number) => {
                assert!(number > 0 || login.maybe_ended, "{}: not found", self.name);
                self.has_ended(login.cookie);
            }
            Err(error) => {
                self.refuse(&error);
                login.maybe_ended = true;
                self.login = Some(login);
            }
        }
    }

    /// Looks whether a session has come back.
    async fn check_ended(&mut self) {
        let looks = join_all(self.ended.iter().map(|cookie| {
            let (tag, cookie) = (String::new(), cookie.clone());
            tokio::spawn(request(self.sessions.clone(), cookie, tag, Ask::Read))
        }));
        for response in looks.await {
            let response = response.expect("no request panics");
            self.count(&response);
            if let Ok(seen) = response.answer {
                let anonymous = matches!(seen, Answer::Anonymous);
                assert!(anonymous, "{}: it came back with {seen:?}", self.name);
            }
        }
    }

    fn has_ended(&mut self, cookie: String) {
        self.ended.push_front(cookie);
        self.ended.truncate(ENDED);
    }

    fn count(&mut self, response: &Response) {
        let (name, took) = (&self.name, response.took);
        self.slowest = self.slowest.max(took);
        self.answered += 1;
        assert_in_time!(took < QUICK, "{name}: {took:?}: {:?}", response.answer);
        if let Err(error) = &response.answer {
            self.refuse(error);
        }
    }

    fn refuse(&mut self, error: &Error) {
        assert!([409, 503].contains(&error.status()), "{error:?}");
        self.refused += 1;
        self.last_error = format!("{error:?}");
    }
}

impl Login {
    fn note(&mut self, ask: Ask, response: &Response) {
        let Response {
            answer,
            cookie,
            took,
        } = response;
        let cookie = cookie.is_some();
        let note = format!("{ask:?}: {answer:?}, cookie: {cookie}, {took:.1?}");
        self.history.push_front(note);
        self.history.truncate(HISTORY);
    }
}

/// One request, as an application would handle it.
async fn request(sessions: Sessions, cookie: String, tag: String, ask: Ask) -> Response {
    let begun = Watch::start();
    let visit = sessions.begin_request();
    let answer = async {
        let session = visit.session(&mut once(cookie.as_bytes())).await?;
        if !session.contains("tag") {
            return Ok(Answer::Anonymous);
        }
        let seen = seen(&session, &tag)?;
        match ask {
            Ask::Read => return Ok(Answer::Seen(seen, Saved::Unchanged)),
            Ask::Change(change) => {
                session.insert(&format!("c{change}"), &tag)?;
                session.update("count", |count: Option<usize>| count.unwrap_or(0) + 1)?;
            }
            Ask::Renew => session.renew(),
            Ask::LogOut => session.log_out(),
        }
        let saved = session.save().await?;
        Ok(Answer::Seen(seen, saved))
    };
    respond(&visit, answer.await, begun).await
}

/// The changes that the session holds: all of this session, and each made once.
fn seen(session: &Session, tag: &str) -> Result<HashSet<usize>, Error> {
    let found: Option<String> = session.get("tag")?;
    let mut changes = HashSet::new();
    for key in session.keys() {
        let Some(change) = key.strip_prefix('c').and_then(|rest| rest.parse().ok()) else {
            continue;
        };
        assert_eq!(session.get(&key)?, found, "a value of another session");
        changes.insert(change);
    }
    if !tag.is_empty() {
        assert_eq!(
            found.as_deref(),
            Some(tag),
            "the session of another visitor"
        );
    }
    let count: Option<usize> = session.get("count")?;
    assert_eq!(count.unwrap_or(0), changes.len(), "{tag}: not once each");
    Ok(changes)
}

/// Ends the request, as an adapter would.
async fn respond(
    visit: &RequestSession,
    mut answer: Result<Answer, Error>,
    begun: Watch,
) -> Response {
    let headers = match (&answer, visit.finish()) {
        (Err(_), _) => visit.failed(),
        (Ok(_), Finish::Ready(headers)) => headers,
        (Ok(_), Finish::Pending(saving)) => match saving.await {
            Ok(headers) => headers,
            Err(error) => {
                answer = Err(error);
                visit.failed()
            }
        },
    };
    let cookie = headers.set_cookie.as_deref();
    let cookie = cookie.and_then(|cookie| cookie.split(';').next());
    Response {
        answer,
        // A cookie without a value is removed.
        cookie: cookie.filter(|it| !it.ends_with('=')).map(str::to_owned),
        took: begun.stop(QUICK).await,
    }
}
