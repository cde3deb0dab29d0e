//! The cross-site guard against requests that a real browser sends: forms, fetches, frames,
//! redirects, web sockets, from one's own pages and from those of others.

use std::fmt::Write as _;

use session_tests::ChromeDriver;

use super::person::{Person, Result};
use super::{sites::Sites, tls};

/// Pages. Browsers send `Sec-Fetch-Site` to hosts below `localhost`, and over TLS; not to `.test`.
const OWN: &str = "http://shop.localhost:{shop}/page/";
const EVIL: &str = "http://evil.localhost:{other}/page/";
const SIBLING: &str = "http://pay.shop.localhost:{other}/page/";
const OTHER_PORT: &str = "http://shop.localhost:{other}/page/";
const SECURE_OWN: &str = "https://shop.localhost:{secure}/page/";
const SECURE_EVIL: &str = "https://evil.localhost:{secure}/page/";
const PLAIN_OWN: &str = "http://shop.test:{shop}/page/";
const PLAIN_EVIL: &str = "http://evil.test:{other}/page/";
const PLAIN_SIBLING: &str = "http://pay.shop.test:{other}/page/";

/// The browser's own policy, and the one that hides where a request comes from.
const USUAL: &str = "strict-origin-when-cross-origin";
const SILENT: &str = "no-referrer";

/// Scripts. `{to}` is the guarded address.
const FORM: &str = "\
    f=document.createElement('form');f.method='post';f.action='{to}';\
    document.documentElement.append(f);f.submit()";
const LINK: &str = "location='{to}'";
const IMAGE: &str = "new Image().src='{to}'";
const FETCH: &str = "fetch('{to}',{method:'POST',credentials:'include'})";
const FETCH_BLIND: &str = "fetch('{to}',{method:'POST',mode:'no-cors',credentials:'include'})";
const FETCH_KEPT: &str = "\
    fetch('{to}',{method:'POST',mode:'no-cors',credentials:'include',keepalive:true});\
    location='about:blank'";
const DELETE: &str = "fetch('{to}',{method:'DELETE'})";
const XHR: &str = "\
    x=new XMLHttpRequest();x.open('POST','{to}');x.withCredentials=true;x.send('a')";
const BEACON: &str = "navigator.sendBeacon('{to}','a')";
const PING: &str = "\
    a=document.createElement('a');a.href='#';a.ping='{to}';document.body.append(a);a.click()";
const FRAME: &str = "i=document.createElement('iframe');";
const SANDBOX: &str = "i.sandbox='allow-scripts allow-forms';";
const SOCKET: &str = "new WebSocket('{to}'.replace('http','ws'))";

enum Verdict {
    Passes,
    Refused,
    /// The browser asks first, with OPTIONS, and then sends nothing.
    NeverSent,
}
use Verdict::{NeverSent, Passes, Refused};

/// What is done, on which page, and what must arrive: method, `Sec-Fetch-Site`, `Origin`, verdict.
struct Navigation {
    what: &'static str,
    page: &'static str,
    policy: &'static str,
    script: String,
    arrives: (&'static str, Option<&'static str>, Option<&'static str>),
    verdict: Verdict,
}

fn navigation(
    what: &'static str,
    page: &'static str,
    script: impl Into<String>,
    arrives: (&'static str, Option<&'static str>, Option<&'static str>),
    verdict: Verdict,
) -> Navigation {
    Navigation {
        what,
        page,
        policy: USUAL,
        script: script.into(),
        arrives,
        verdict,
    }
}

impl Navigation {
    fn without_referrer(mut self) -> Self {
        self.policy = SILENT;
        self
    }
}

/// The form with these settings.
fn form_with(settings: &str) -> String {
    FORM.replace("f.submit()", &format!("{settings};f.submit()"))
}

/// The form, whose answer is shown in a frame that nobody sees.
fn form_in_hidden_frame() -> String {
    let form = form_with("f.target='hidden'");
    format!("{FRAME}i.name='hidden';i.hidden=true;document.body.append(i);{form}")
}

/// `script` in a frame of this page, whose source is in the page; `before` sets its attributes.
fn framed(before: &str, script: &str) -> String {
    let html = format!("<script>{script}</script>");
    format!("{FRAME}{before}i.srcdoc={html:?};document.body.append(i)")
}

fn in_data_frame(script: &str) -> String {
    let html = format!("<script>{script}</script>");
    format!("{FRAME}i.src='data:text/html,'+encodeURIComponent({html:?});document.body.append(i)")
}

fn in_blob_frame(script: &str) -> String {
    let html = format!("<script>{script}</script>");
    format!(
        "{FRAME}i.src=URL.createObjectURL(new Blob([{html:?}],{{type:'text/html'}}));document.body.append(i)"
    )
}

/// `script` on a page of the guarded site, in a frame of this page.
fn in_own_frame(before: &str, script: &str) -> String {
    format!(
        "{FRAME}{before}i.src='{OWN}{USUAL}#'+encodeURIComponent({script:?});document.body.append(i)"
    )
}

/// `script`, sent by way of a redirect at `host`.
fn by_way_of(host: &str, status: u16, script: &str) -> String {
    script.replace("{to}", &format!("{host}/hop/{status}?{{to}}"))
}

const OWN_ORIGIN: &str = "http://shop.localhost:{shop}";
const EVIL_ORIGIN: &str = "http://evil.localhost:{other}";
const SIBLING_ORIGIN: &str = "http://pay.shop.localhost:{other}";
const OTHER_PORT_ORIGIN: &str = "http://shop.localhost:{other}";
const SECURE_ORIGIN: &str = "https://shop.localhost:{secure}";
const PLAIN_ORIGIN: &str = "http://shop.test:{shop}";
const PLAIN_EVIL_ORIGIN: &str = "http://evil.test:{other}";
const PLAIN_SIBLING_ORIGIN: &str = "http://pay.shop.test:{other}";

const SAME_ORIGIN: Option<&str> = Some("same-origin");
const SAME_SITE: Option<&str> = Some("same-site");
const CROSS_SITE: Option<&str> = Some("cross-site");
const NULL: Option<&str> = Some("null");

/// From pages of the guarded site.
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn own() -> Vec<Navigation> {
    let own = Some(OWN_ORIGIN);
    vec![
        navigation("form", OWN, FORM, ("POST", SAME_ORIGIN, own), Passes),
        navigation("fetch", OWN, FETCH, ("POST", SAME_ORIGIN, own), Passes),
        navigation(
            "fetch, blind",
            OWN,
            FETCH_BLIND,
            ("POST", SAME_ORIGIN, own),
            Passes,
        ),
        navigation(
            "fetch DELETE",
            OWN,
            DELETE,
            ("DELETE", SAME_ORIGIN, own),
            Passes,
        ),
        navigation(
            "XMLHttpRequest",
            OWN,
            XHR,
            ("POST", SAME_ORIGIN, own),
            Passes,
        ),
        navigation("beacon", OWN, BEACON, ("POST", SAME_ORIGIN, own), Passes),
        navigation(
            "form in a new tab",
            OWN,
            form_with("f.target='_blank'"),
            ("POST", SAME_ORIGIN, own),
            Passes,
        ),
        navigation("web socket", OWN, SOCKET, ("GET", None, own), Passes),
        navigation(
            "form without referrer",
            OWN,
            FORM,
            ("POST", SAME_ORIGIN, NULL),
            Passes,
        )
        .without_referrer(),
        navigation(
            "fetch without referrer",
            OWN,
            FETCH,
            ("POST", SAME_ORIGIN, own),
            Passes,
        )
        .without_referrer(),
        navigation(
            "form in a frame of its own",
            OWN,
            framed("", FORM),
            ("POST", SAME_ORIGIN, own),
            Passes,
        ),
        navigation(
            "form in a blob: frame",
            OWN,
            in_blob_frame(FORM),
            ("POST", SAME_ORIGIN, own),
            Passes,
        ),
        navigation(
            "form, 307 within the site",
            OWN,
            by_way_of(OWN_ORIGIN, 307, FORM),
            ("POST", SAME_ORIGIN, own),
            Passes,
        ),
        navigation(
            "form, framed elsewhere",
            EVIL,
            in_own_frame("", FORM),
            ("POST", SAME_ORIGIN, own),
            Passes,
        ),
        navigation(
            "form, 307 at another site",
            OWN,
            by_way_of(EVIL_ORIGIN, 307, FORM),
            ("POST", CROSS_SITE, NULL),
            Refused,
        ),
        navigation(
            "form, 307 at another port",
            OWN,
            by_way_of(OTHER_PORT_ORIGIN, 307, FORM),
            ("POST", SAME_SITE, NULL),
            Refused,
        ),
        navigation(
            "form, 303 at another site",
            OWN,
            by_way_of(EVIL_ORIGIN, 303, FORM),
            ("GET", CROSS_SITE, None),
            Passes,
        ),
        navigation(
            "form in a sandboxed frame",
            OWN,
            in_own_frame(SANDBOX, FORM),
            ("POST", CROSS_SITE, NULL),
            Refused,
        ),
    ]
}

/// From pages of another site.
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn other_site() -> Vec<Navigation> {
    let evil = Some(EVIL_ORIGIN);
    vec![
        navigation("form", EVIL, FORM, ("POST", CROSS_SITE, evil), Refused),
        navigation(
            "form of plain text",
            EVIL,
            form_with("f.enctype='text/plain'"),
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation(
            "upload form",
            EVIL,
            form_with("f.enctype='multipart/form-data'"),
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation(
            "form in a new tab",
            EVIL,
            form_with("f.target='_blank'"),
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation(
            "form in a hidden frame",
            EVIL,
            form_in_hidden_frame(),
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation(
            "form without referrer",
            EVIL,
            FORM,
            ("POST", CROSS_SITE, NULL),
            Refused,
        )
        .without_referrer(),
        navigation(
            "form, 307 there",
            EVIL,
            by_way_of(EVIL_ORIGIN, 307, FORM),
            ("POST", CROSS_SITE, NULL),
            Refused,
        ),
        navigation(
            "form, 307 at the guarded site",
            EVIL,
            by_way_of(OWN_ORIGIN, 307, FORM),
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation(
            "form, 307 at a third site",
            EVIL,
            by_way_of(SIBLING_ORIGIN, 307, FORM),
            ("POST", CROSS_SITE, NULL),
            Refused,
        ),
        navigation(
            "form in a frame of its own",
            EVIL,
            framed("", FORM),
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation(
            "form in a sandboxed frame",
            EVIL,
            framed(SANDBOX, FORM),
            ("POST", CROSS_SITE, NULL),
            Refused,
        ),
        navigation(
            "form in a data: frame",
            EVIL,
            in_data_frame(FORM),
            ("POST", CROSS_SITE, NULL),
            Refused,
        ),
        navigation(
            "form in a blob: frame",
            EVIL,
            in_blob_frame(FORM),
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation("fetch", EVIL, FETCH, ("POST", CROSS_SITE, evil), Refused),
        navigation(
            "fetch, blind",
            EVIL,
            FETCH_BLIND,
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation(
            "fetch that outlives its page",
            EVIL,
            FETCH_KEPT,
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation(
            "fetch in a sandboxed frame",
            EVIL,
            framed(SANDBOX, FETCH_BLIND),
            ("POST", CROSS_SITE, NULL),
            Refused,
        ),
        navigation(
            "fetch without referrer",
            EVIL,
            FETCH_BLIND,
            ("POST", CROSS_SITE, evil),
            Refused,
        )
        .without_referrer(),
        navigation(
            "fetch DELETE",
            EVIL,
            DELETE,
            ("OPTIONS", CROSS_SITE, evil),
            NeverSent,
        ),
        navigation(
            "XMLHttpRequest",
            EVIL,
            XHR,
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation("beacon", EVIL, BEACON, ("POST", CROSS_SITE, evil), Refused),
        navigation(
            "ping of a link",
            EVIL,
            PING,
            ("POST", CROSS_SITE, evil),
            Refused,
        ),
        navigation("web socket", EVIL, SOCKET, ("GET", None, evil), Refused),
        navigation(
            "web socket in a sandboxed frame",
            EVIL,
            framed(SANDBOX, SOCKET),
            ("GET", None, NULL),
            Refused,
        ),
        navigation("link", EVIL, LINK, ("GET", CROSS_SITE, None), Passes),
        navigation(
            "form that reads",
            EVIL,
            form_with("f.method='get'"),
            ("GET", CROSS_SITE, None),
            Passes,
        ),
        navigation("image", EVIL, IMAGE, ("GET", CROSS_SITE, None), Passes),
    ]
}

/// From another host or port of the same domain.
fn same_site() -> Vec<Navigation> {
    let (sibling, port) = (Some(SIBLING_ORIGIN), Some(OTHER_PORT_ORIGIN));
    vec![
        navigation(
            "form, another host",
            SIBLING,
            FORM,
            ("POST", SAME_SITE, sibling),
            Refused,
        ),
        navigation(
            "fetch, another host",
            SIBLING,
            FETCH_BLIND,
            ("POST", SAME_SITE, sibling),
            Refused,
        ),
        navigation(
            "web socket, another host",
            SIBLING,
            SOCKET,
            ("GET", None, sibling),
            Refused,
        ),
        navigation(
            "form, another port",
            OTHER_PORT,
            FORM,
            ("POST", SAME_SITE, port),
            Refused,
        ),
        navigation(
            "fetch, another port",
            OTHER_PORT,
            FETCH_BLIND,
            ("POST", SAME_SITE, port),
            Refused,
        ),
        navigation(
            "web socket, another port",
            OTHER_PORT,
            SOCKET,
            ("GET", None, port),
            Refused,
        ),
        navigation(
            "link, another host",
            SIBLING,
            LINK,
            ("GET", SAME_SITE, None),
            Passes,
        ),
    ]
}

/// Over plain HTTP to a host that is not this machine's, where only `Origin` is left.
fn plain() -> Vec<Navigation> {
    let (own, evil) = (Some(PLAIN_ORIGIN), Some(PLAIN_EVIL_ORIGIN));
    let sibling = Some(PLAIN_SIBLING_ORIGIN);
    vec![
        navigation("form", PLAIN_OWN, FORM, ("POST", None, own), Passes),
        navigation("fetch", PLAIN_OWN, FETCH, ("POST", None, own), Passes),
        navigation("web socket", PLAIN_OWN, SOCKET, ("GET", None, own), Passes),
        // The price of plain HTTP: nothing says that this form is one's own.
        navigation(
            "form without referrer",
            PLAIN_OWN,
            FORM,
            ("POST", None, NULL),
            Refused,
        )
        .without_referrer(),
        navigation(
            "form of another site",
            PLAIN_EVIL,
            FORM,
            ("POST", None, evil),
            Refused,
        ),
        navigation(
            "fetch of another site",
            PLAIN_EVIL,
            FETCH_BLIND,
            ("POST", None, evil),
            Refused,
        ),
        navigation(
            "web socket of another site",
            PLAIN_EVIL,
            SOCKET,
            ("GET", None, evil),
            Refused,
        ),
        navigation(
            "form of another host",
            PLAIN_SIBLING,
            FORM,
            ("POST", None, sibling),
            Refused,
        ),
        navigation(
            "link of another site",
            PLAIN_EVIL,
            LINK,
            ("GET", None, None),
            Passes,
        ),
    ]
}

/// From a page with TLS to a site without. The scheme is part of the site.
fn secure() -> Vec<Navigation> {
    let own = Some(SECURE_ORIGIN);
    vec![
        navigation(
            "form",
            SECURE_OWN,
            FORM,
            ("POST", CROSS_SITE, NULL),
            Refused,
        ),
        navigation(
            "fetch",
            SECURE_OWN,
            FETCH_BLIND,
            ("POST", CROSS_SITE, own),
            Refused,
        ),
        navigation(
            "web socket",
            SECURE_OWN,
            SOCKET,
            ("GET", None, own),
            Refused,
        ),
        navigation(
            "form of another site",
            SECURE_EVIL,
            FORM,
            ("POST", CROSS_SITE, NULL),
            Refused,
        ),
        navigation("link", SECURE_OWN, LINK, ("GET", CROSS_SITE, None), Passes),
    ]
}

/// Does all of it and prints what arrived.
pub(super) async fn check(driver: &ChromeDriver) -> Result<()> {
    let sites = Sites::start()?;
    let person = Person::anywhere("visitor", driver).await?;
    let outcome = visit_all(&sites, &person).await;
    person.close().await?;
    outcome
}

async fn visit_all(sites: &Sites, person: &Person) -> Result<()> {
    let [shop, other] = sites.ports;
    let with_tls = tls::in_front_of(shop)?;
    let filled = |text: &str| {
        let text = text.replace("{shop}", &shop.to_string());
        let text = text.replace("{other}", &other.to_string());
        text.replace("{secure}", &with_tls.to_string())
    };
    let everything = [own(), other_site(), same_site(), plain(), secure()];
    let mut wrong = String::new();
    println!(
        "\n| page | what | method | `Sec-Fetch-Site` | `Origin` | passed |\n|---|---|---|---|---|---|"
    );
    for (case, it) in everything.iter().flatten().enumerate() {
        let secure = if it.page.contains(".test") {
            PLAIN_ORIGIN
        } else {
            OWN_ORIGIN
        };
        let to = format!("{secure}/act/{case}");
        let script = filled(&it.script.replace("{to}", &to));
        let page = filled(it.page);
        person
            .run_on(&format!("{page}{}?{case}", it.policy), &script)
            .await?;
        let (method, site, origin) = it.arrives;
        let arrived = sites.arrival(case, method).await;
        let origin = origin.map(filled);
        let passes = !matches!(it.verdict, Refused);
        let as_expected = arrived.as_ref().is_some_and(|arrived| {
            arrived.method == method
                && arrived.sec_fetch_site.as_deref() == site
                && arrived.origin == origin
                && arrived.passed == passes
        });
        let sent_more = matches!(it.verdict, NeverSent) && sites.seen(case).len() > 1;
        if let Some(it_was) = &arrived {
            println!(
                "| {page} | {} | {} | {} | {} | {} |",
                it.what,
                it_was.method,
                it_was.sec_fetch_site.as_deref().unwrap_or("–"),
                it_was.origin.as_deref().unwrap_or("–"),
                it_was.passed
            );
        }
        if !as_expected || sent_more {
            let _ = write!(wrong, "\n{page} {}: {arrived:?}", it.what);
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.into())
    }
}
