//! The decision table, row by row. The rows of Go's `csrf_test.go` (release 1.25.1) are marked
//! "Go".

use proptest::prelude::*;

use super::*;

const HERE: &str = "example.com";
const OWN: &str = "https://example.com";
const ATTACKER: &str = "https://attacker.example";

fn request<'r>(method: &'r str, sec_fetch_site: &'r str, origin: &'r str) -> RequestSource<'r> {
    RequestSource {
        method,
        path: "/",
        host: Some(HERE.as_bytes()),
        upgrade: None,
        sec_fetch_site: Some(sec_fetch_site.as_bytes()).filter(|it| !it.is_empty()),
        origin: Some(origin.as_bytes()).filter(|it| !it.is_empty()),
    }
}

#[test]
fn the_headers_decide() {
    let rule = CrossSiteRule::new();
    for (method, site, origin, passes) in [
        // Go: the headers.
        ("POST", "same-origin", "", true),
        ("POST", "none", "", true),
        ("POST", "cross-site", "", false),
        ("POST", "same-site", "", false),
        ("POST", "", "", true),
        ("POST", "", OWN, true),
        ("POST", "", ATTACKER, false),
        ("POST", "", "null", false),
        ("GET", "cross-site", "", true),
        ("HEAD", "cross-site", "", true),
        ("OPTIONS", "cross-site", "", true),
        ("PUT", "cross-site", "", false),
        // Go: a real server.
        ("POST", "cross-site", ATTACKER, false),
        ("POST", "same-origin", "", true),
        // A form of one's own under `no-referrer`.
        ("POST", "same-origin", "null", true),
        // `Sec-Fetch-Site` decides alone.
        ("POST", "cross-site", OWN, false),
        ("POST", "same-site", OWN, false),
        ("POST", "none", ATTACKER, true),
        ("POST", "Same-Origin", OWN, false),
        ("POST", "same-origin, cross-site", OWN, false),
        ("POST", "unheard-of", OWN, false),
        ("DELETE", "cross-site", "", false),
        ("PATCH", "cross-site", "", false),
        ("CONNECT", "cross-site", "", false),
        ("TRACE", "cross-site", "", false),
        ("QUERY", "cross-site", "", false),
        ("get", "cross-site", "", false),
        // `Origin` against the host.
        ("POST", "", "http://example.com", true),
        ("POST", "", "https://EXAMPLE.com", true),
        ("POST", "", "https://example.com:8443", false),
        ("POST", "", "https://example.com/", false),
        ("POST", "", "https://example.com.attacker.example", false),
        ("POST", "", "https://notexample.com", false),
        ("POST", "", "https://attacker.example://example.com", false),
        (
            "POST",
            "",
            "https://example.com https://attacker.example",
            false,
        ),
        ("POST", "", "example.com", false),
        ("POST", "", "https://", false),
    ] {
        let found = rule.allows(&request(method, site, origin));
        assert_eq!(found, passes, "{method} {site:?} {origin:?}");
    }
}

#[test]
fn a_host_that_is_absent_or_empty_is_nobodys_origin() {
    let rule = CrossSiteRule::new();
    for host in [None, Some(&b""[..])] {
        for origin in ["https://", OWN, "null"] {
            let request = RequestSource {
                host,
                ..request("POST", "", origin)
            };
            assert!(!rule.allows(&request), "{host:?} {origin}");
        }
    }
}

#[test]
fn a_web_socket_is_judged_like_a_post() {
    let rule = CrossSiteRule::new();
    for (upgrade, site, origin, passes) in [
        ("websocket", "same-origin", OWN, true),
        ("websocket", "cross-site", ATTACKER, false),
        ("websocket", "same-site", "https://pay.example.com", false),
        ("websocket", "", OWN, true),
        ("websocket", "", ATTACKER, false),
        ("websocket", "", "null", false),
        ("websocket", "", "", true),
        ("WebSocket", "", ATTACKER, false),
        ("h2c, WebSocket", "", ATTACKER, false),
        ("h2c", "cross-site", ATTACKER, true),
        ("", "cross-site", ATTACKER, true),
    ] {
        let request = RequestSource {
            upgrade: Some(upgrade.as_bytes()),
            ..request("GET", site, origin)
        };
        assert_eq!(
            rule.allows(&request),
            passes,
            "{upgrade:?} {site:?} {origin:?}"
        );
    }
}

#[test]
fn an_origin_that_may_act_as_the_visitor_passes() {
    const PARTNER: &str = "https://trusted.example";
    let rule = CrossSiteRule::new()
        .let_origin_act_as_visitor(PARTNER)
        .unwrap();
    for (site, origin, passes) in [
        // Go: trusted origins.
        ("", PARTNER, true),
        ("cross-site", PARTNER, true),
        ("", ATTACKER, false),
        ("cross-site", ATTACKER, false),
        // Only the very origin.
        ("", "http://trusted.example", false),
        ("", "https://trusted.example:8443", false),
        ("", "https://trusted.example.attacker.example", false),
        ("cross-site", "null", false),
        ("cross-site", "", false),
    ] {
        let found = rule.allows(&request("POST", site, origin));
        assert_eq!(found, passes, "{site:?} {origin:?}");
    }
    let handshake = RequestSource {
        upgrade: Some(b"websocket"),
        ..request("GET", "cross-site", PARTNER)
    };
    assert!(rule.allows(&handshake));
}

#[test]
fn a_path_that_is_open_to_other_sites_passes() {
    let rule = CrossSiteRule::new()
        .leave_path_open_to_other_sites("/bypass/")
        .and_then(|rule| rule.leave_path_open_to_other_sites("/only/{foo}"))
        .and_then(|rule| rule.leave_path_open_to_other_sites("/hook"))
        .unwrap();
    for (path, passes) in [
        // Go: patterns. Since 1.25.1 a path that Go would redirect is no exception.
        ("/bypass/", true),
        ("/api/", false),
        ("/foo/../bypass/bar", false),
        ("/bypass", false),
        ("/foo/../api/bar", false),
        ("/api", false),
        ("/only/123", true),
        ("/only/123/foo", false),
        ("/bypass/below/it", true),
        ("/bypass/../api", false),
        ("/bypass/./api", false),
        ("/bypass//api", false),
        ("/bypass/%2e%2e/api", false),
        ("/bypass/..%2fapi", false),
        ("/bypass/..\\api", false),
        ("//bypass/", false),
        ("/only/", false),
        ("/only/..", false),
        ("/hook", true),
        ("/hook/", false),
        ("/hooks", false),
        ("/HOOK", false),
        ("", false),
        ("*", false),
    ] {
        for site in ["", "cross-site"] {
            let request = RequestSource {
                path,
                ..request("POST", site, ATTACKER)
            };
            assert_eq!(rule.allows(&request), passes, "{path} {site:?}");
        }
    }
}

#[test]
fn what_no_browser_sends_is_no_origin() {
    for (origin, valid) in [
        // Go: errors.
        ("https://example.com", true),
        ("https://example.com:8080", true),
        ("http://example.com", true),
        ("example.com", false),
        ("https://", false),
        ("https://example.com/", false),
        ("https://example.com/path", false),
        ("https://example.com?query=value", false),
        ("https://example.com#fragment", false),
        ("https://ex ample.com", false),
        ("", false),
        ("null", false),
        // An exception that never applies is a mistake.
        ("https://Example.com", false),
        ("HTTPS://example.com", false),
        ("https://example.com:443", false),
        ("http://example.com:80", false),
        ("https://example.com:80", true),
        ("https://example.com:", false),
        ("https://example.com:0080", false),
        ("https://example.com:65536", false),
        ("https://user@example.com", false),
        ("https://exämple.com", false),
        ("https://xn--exmple-cua.com", true),
        ("https://*.example.com", false),
        ("https://[::1]:8080", true),
        ("https://[::1]", true),
        ("https://::1", false),
        ("chrome-extension://abcdefghijklmnop", true),
    ] {
        let rule = CrossSiteRule::new().let_origin_act_as_visitor(origin);
        assert_eq!(rule.is_ok(), valid, "{origin:?}");
        if let Ok(rule) = rule {
            assert!(rule.allows(&request("POST", "cross-site", origin)));
        }
    }
}

#[test]
fn what_no_path_equals_is_no_exception() {
    for (path, valid) in [
        ("/hooks/", true),
        ("/", false),
        ("/{any}", false),
        ("/{any}/", false),
        ("/hooks/*", false),
        ("/hooks/{tail:.*}", false),
        ("/hooks/{tail}*", false),
        ("/hooks/stripe", true),
        ("/hooks/{name}/x", true),
        ("hooks", false),
        ("", false),
        ("//hooks", false),
        ("/hooks//x", false),
        ("/../hooks", false),
        ("/a%20b", false),
        ("/hooks?x", false),
        ("/hooks#x", false),
    ] {
        let rule = CrossSiteRule::new().leave_path_open_to_other_sites(path);
        assert_eq!(rule.is_ok(), valid, "{path:?}");
    }
}

proptest! {
    /// Nothing but the two values lets a judged request with `Sec-Fetch-Site` pass.
    #[test]
    fn no_other_value_passes(site in "[ -~]{1,20}", origin in "[ -~]{0,40}") {
        let passes = CrossSiteRule::new().allows(&request("POST", &site, &origin));
        prop_assert_eq!(passes, site == "same-origin" || site == "none");
    }

    /// No bytes make the rule panic.
    #[test]
    fn any_bytes_are_judged(origin: Vec<u8>, host: Vec<u8>, upgrade: Vec<u8>, path: String) {
        let rule = CrossSiteRule::new().leave_path_open_to_other_sites("/a/{b}/").unwrap();
        let request = RequestSource {
            method: "GET",
            path: &path,
            host: Some(&host),
            upgrade: Some(&upgrade),
            sec_fetch_site: None,
            origin: Some(&origin),
        };
        let _verdict = rule.allows(&request);
    }
}
