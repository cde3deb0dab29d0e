use crate::{fault::Fault, queries::migration::Migration, table::TableName};

/// What the table of a store's name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In a database that ends with a connection which the pool may close.
    Fleeting,
    Absent,
    /// Without owners.
    Version1,
    /// With an index on the expiry.
    Version2,
    Version3,
    /// Flask-Session's.
    Flask,
    Foreign,
}

/// The statements of one layout.
pub(crate) trait Statements: Send + Sync + 'static {
    /// What the table has to be for them.
    const LAYOUT: Layout;

    fn migration(&self) -> &Migration;
}

impl Layout {
    pub(crate) fn of(columns: &[String]) -> Self {
        let has = |names: &[&str]| names.iter().all(|name| columns.iter().any(|c| c == name));
        if columns.is_empty() {
            Self::Absent
        } else if has(&[
            "store_key",
            "payload",
            "revision",
            "expires_at",
            "owner",
            "sweep_at",
        ]) {
            Self::Version3
        } else if has(&["store_key", "payload", "revision", "expires_at", "owner"]) {
            Self::Version2
        } else if has(&["store_key", "payload", "revision", "expires_at"]) {
            Self::Version1
        } else if has(&["id", "session_id", "data", "expiry"]) {
            Self::Flask
        } else {
            Self::Foreign
        }
    }

    /// Why no migration makes the table one of layout `wanted`; `None` if it does, or if there is nothing to do.
    pub(crate) fn obstacle(self, wanted: Self, table: &TableName) -> Option<Fault> {
        let table = table.to_string();
        match self {
            Self::Fleeting => Some(Fault::Fleeting),
            Self::Foreign => Some(Fault::Foreign { table }),
            Self::Flask if wanted != Self::Flask => Some(Fault::Flask { table }),
            Self::Version1 | Self::Version2 | Self::Version3 if wanted == Self::Flask => {
                Some(Fault::Own { table })
            }
            Self::Absent | Self::Version1 | Self::Version2 | Self::Version3 | Self::Flask => None,
        }
    }
}
