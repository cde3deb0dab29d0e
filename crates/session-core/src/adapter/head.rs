//! Writes the headers of a response: the session cookie or the header in its place, `Vary`,
//! `Cache-Control`, `Clear-Site-Data`.

use bytes::Bytes;

use crate::ResponseHeaders;

/// A header of a response that the session writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `Cache-Control`
    CacheControl,
    /// `Clear-Site-Data`
    ClearSiteData,
    /// `Secure-Session-Registration`
    #[cfg(feature = "dbsc")]
    SecureSessionRegistration,
    /// `Set-Cookie`
    SetCookie,
    /// `Vary`
    Vary,
}

/// The headers of a response, as a framework has them.
pub trait Head {
    /// The values of `field`.
    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]>;

    /// Sets `field` to one value. Returns whether that is a valid one.
    fn set(&mut self, field: Field, value: Bytes) -> bool;

    /// As [`set`](Self::set), to a valid value.
    fn set_static(&mut self, field: Field, value: &'static str);

    /// Sets the header `name` to one value. Returns whether both are valid.
    fn set_named(&mut self, name: &str, value: Bytes) -> bool;

    /// Adds a value to those of `field`. Returns whether it is a valid one.
    fn add(&mut self, field: Field, value: Bytes) -> bool;
}

/// Writes the session's headers into a response.
pub fn write_head(session: &ResponseHeaders, head: &mut impl Head) {
    if let Some(cookie) = &session.set_cookie {
        if head.add(Field::SetCookie, Bytes::copy_from_slice(cookie.as_bytes())) {
            forbid_caching(head);
        } else {
            tracing::error!(
                "the session cookie is no valid header value and was not sent: check its domain and path"
            );
        }
    }
    if let (Some(header), Some(id)) = (&session.id_header, &session.set_id) {
        head.set_named(header.response(), Bytes::copy_from_slice(id.as_bytes()));
        forbid_caching(head);
    }
    if session.no_store && !has(head, Field::CacheControl) {
        forbid_caching(head);
    }
    if let Some(data) = &session.clear_site_data
        && !has(head, Field::ClearSiteData)
    {
        head.set(
            Field::ClearSiteData,
            Bytes::copy_from_slice(data.as_bytes()),
        );
    }
    #[cfg(feature = "dbsc")]
    if let Some(device) = &session.device {
        write_device(device, head);
    }
    #[cfg(feature = "flask-cookie")]
    if let Some(removal) = &session.remove_flask_cookie {
        head.add(Field::SetCookie, Bytes::copy_from_slice(removal.as_bytes()));
        forbid_caching(head);
    }
    if session.vary {
        match &session.id_header {
            None if !has(head, Field::Vary) => head.set_static(Field::Vary, "Cookie"),
            None => vary_by("Cookie", head),
            Some(header) => vary_by(header.request(), head),
        }
    }
}

/// What binds a browser's device after a login, and what removes its cookie with a log-out.
#[cfg(feature = "dbsc")]
fn write_device(device: &crate::dbsc::DeviceHeaders, head: &mut impl Head) {
    if let Some(registration) = &device.registration {
        let value = Bytes::copy_from_slice(registration.as_bytes());
        head.add(Field::SecureSessionRegistration, value);
    }
    if let Some(cookie) = &device.set_cookie {
        head.add(Field::SetCookie, Bytes::copy_from_slice(cookie.as_bytes()));
    }
}

/// Copies the cookies that others set to the response that replaces theirs. That response is not
/// cached, because one of the cookies may belong to another session.
pub fn keep_cookies<'v>(cookies: impl Iterator<Item = &'v [u8]>, head: &mut impl Head) {
    for cookie in cookies {
        head.add(Field::SetCookie, Bytes::copy_from_slice(cookie));
        forbid_caching(head);
    }
}

/// Session ids must not be cached (OWASP Session Management Cheat Sheet).
fn forbid_caching(head: &mut impl Head) {
    let forbidden = head
        .values(Field::CacheControl)
        .any(|value| names(value, "no-store"));
    if !forbidden {
        head.set_static(Field::CacheControl, "no-store");
    }
}

/// Without this a shared cache gives one visitor's page to another (CVE-2023-30861).
fn vary_by(header: &str, head: &mut impl Head) {
    let said = |name| head.values(Field::Vary).any(|value| names(value, name));
    if said(header) || said("*") {
        return;
    }
    let others: Vec<&[u8]> = head.values(Field::Vary).collect();
    let merged = [&others[..], &[header.as_bytes()]].concat();
    if !head.set(Field::Vary, merged.join(&b", "[..]).into()) {
        head.set(Field::Vary, Bytes::copy_from_slice(header.as_bytes()));
    }
}

fn has(head: &impl Head, field: Field) -> bool {
    head.values(field).next().is_some()
}

fn names(value: &[u8], name: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}
