//! For authors of adapters: what every web framework's adapter does in the same way.
//!
//! An adapter connects the sessions with a framework: it passes headers in and out, and runs each
//! save to its end. An application uses an adapter, such as `session-actix` or `session-tower`, and
//! not this module.
//!
//! For each request an adapter [enters](Slots::enter) its middleware, [opens](Slots::open) the
//! session if it is asked for, [finishes](Slot::finish) it after the handler, polls the [`Saving`],
//! and [writes](write_head) the head. [`Slot::cut_off`] is called if the handler's
//! future is dropped.
//!
//! The rest of a save whose request was dropped is a task of the tokio runtime that drops it. This
//! is the only task that this crate spawns.

mod background_saves;
#[cfg(feature = "dbsc")]
mod devices;
mod fresh_login;
mod head;
mod named_session;
mod opening;
mod saving;
mod sigterm;
mod slots;

pub use background_saves::finish_saves;
#[cfg(feature = "dbsc")]
pub use devices::{DeviceRule, device_binding, refresh_device, register_device};
pub use fresh_login::{FreshLoginRule, Refusal, return_path};
pub use head::{Field, Head, keep_cookies, write_head};
pub use opening::Opening;
pub use saving::{Finished, Saving, Unsaved, opened_untouched};
pub use sigterm::sigterm;
pub use slots::{Slot, Slots};
