//! The session as handlers have it. `request.rs` extracts it.

use std::{fmt, marker::PhantomData, ops::Deref};

/// The name of an application's only session. For each further session declare a type.
#[derive(Clone, Copy, Debug)]
pub enum DefaultSession {}

/// The visitor's session, as an argument of a handler.
///
/// A handler that does not take it makes no call to the store. `N` names one of several sessions of
/// an application; with one session leave it out. All methods are those of
/// [`session_core::Session`].
pub struct Session<N = DefaultSession> {
    session: session_core::Session,
    name: PhantomData<fn() -> N>,
}

impl Session {
    /// A new session in memory, to call a handler with in a test.
    pub fn in_memory() -> Self {
        session_core::Session::in_memory().into()
    }
}

impl<N> From<session_core::Session> for Session<N> {
    fn from(session: session_core::Session) -> Self {
        Self {
            session,
            name: PhantomData,
        }
    }
}

impl<N> Deref for Session<N> {
    type Target = session_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl<N> Clone for Session<N> {
    fn clone(&self) -> Self {
        self.session.clone().into()
    }
}

impl<N> fmt::Debug for Session<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.session, f)
    }
}
