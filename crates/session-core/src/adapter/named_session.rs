//! The type of the session as a framework's handlers have it.

/// Declares an adapter's `Session<N>` and the name `DefaultSession`.
///
/// Each adapter declares a type of its own, because only the crate of a type may make it an
/// extractor of a framework.
#[doc(hidden)]
#[macro_export]
macro_rules! named_session {
    () => {
        /// The name of an application's only session. For each further session declare a type.
        #[derive(Clone, Copy, Debug)]
        pub enum DefaultSession {}

        /// The visitor's session, as an argument of a handler.
        ///
        /// A handler that does not take it makes no call to the store. `N` names one of several
        /// sessions of an application; with one session leave it out. All methods are those of
        /// [`session_core::Session`]($crate::Session).
        pub struct Session<N = DefaultSession> {
            session: $crate::Session,
            name: ::std::marker::PhantomData<fn() -> N>,
        }

        impl Session {
            /// A new session in memory, to call a handler with in a test.
            pub fn in_memory() -> Self {
                $crate::Session::in_memory().into()
            }
        }

        impl<N> From<$crate::Session> for Session<N> {
            fn from(session: $crate::Session) -> Self {
                Self {
                    session,
                    name: ::std::marker::PhantomData,
                }
            }
        }

        impl<N> ::std::ops::Deref for Session<N> {
            type Target = $crate::Session;

            fn deref(&self) -> &Self::Target {
                &self.session
            }
        }

        impl<N> Clone for Session<N> {
            fn clone(&self) -> Self {
                self.session.clone().into()
            }
        }

        impl<N> ::std::fmt::Debug for Session<N> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.session, f)
            }
        }
    };
}
