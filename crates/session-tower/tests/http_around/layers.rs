//! Layers go around all routes.

use std::convert::Infallible;

use axum::{Router, extract::Request, response::Response, routing::MethodRouter};
use tower::{Layer, Service, util::BoxCloneSyncService};

type Whole = BoxCloneSyncService<Request, Response, Infallible>;

/// What the tests use of a `Router`. Once a layer is around, no route is added.
pub(crate) enum Routes {
    Bare(Router),
    Layered(Whole),
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self::Bare(Router::new())
    }

    pub(crate) fn route(self, path: &str, handler: MethodRouter) -> Self {
        Self::Bare(self.bare().route(path, handler))
    }

    pub(crate) fn merge(self, others: Router) -> Self {
        Self::Bare(self.bare().merge(others))
    }

    pub(crate) fn nest(self, path: &str, inner: Self) -> Self {
        Self::Bare(match inner {
            Self::Bare(routes) => self.bare().nest(path, routes),
            Self::Layered(whole) => self.bare().nest_service(path, whole),
        })
    }

    pub(crate) fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Whole>,
        L::Service: Service<Request, Response = Response, Error = Infallible>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send,
    {
        Self::Layered(Whole::new(layer.layer(self.into_service())))
    }

    pub(crate) fn into_service(self) -> Whole {
        match self {
            Self::Bare(routes) => Whole::new(routes),
            Self::Layered(whole) => whole,
        }
    }

    fn bare(self) -> Router {
        match self {
            Self::Bare(routes) => routes,
            Self::Layered(_) => unreachable!("no test adds a route to what is wrapped"),
        }
    }
}
