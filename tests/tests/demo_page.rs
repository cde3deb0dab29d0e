//! What the demo's page and its log tell people, where no script runs.

use reqwest::{
    Client, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use session_tests::Program;

/// The status and the text of the page that a browser without cookies shows.
async fn shown(demo: &Program, form: Option<(&str, &'static str)>) -> (StatusCode, String) {
    let http = Client::new();
    let request = match form {
        None => http.get(demo.url()),
        Some((path, body)) => {
            let form = http.post(demo.url() + path).body(body);
            form.header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        }
    };
    let response = request.header(ACCEPT, "text/html").send().await;
    let response = response.expect("the demo answers");
    let status = response.status();
    (status, response.text().await.expect("a page is text"))
}

#[tokio::test]
async fn a_visitor_without_a_session_sees_that_the_store_is_stopped() {
    let demo = Program::start("demo", &[]).await;
    assert_eq!(shown(&demo, None).await.0, StatusCode::OK);
    let (status, page) = shown(&demo, Some(("/page/store/stop", ""))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("Start the store"), "{page}");
    let (status, page) = shown(&demo, Some(("/page/store/start", ""))).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Stop the store"), "{page}");
}

#[tokio::test]
async fn the_page_of_an_error_says_what_was_wrong() {
    let demo = Program::start("demo", &[]).await;
    let (status, page) = shown(&demo, Some(("/page/login", "user=+"))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("a name is needed"), "{page}");
    let (status, page) = shown(&demo, Some(("/page/login", ""))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // Nothing is logged about it.
    assert!(!page.contains("The log"), "{page}");
}

#[tokio::test]
async fn without_javascript_the_page_says_which_buttons_need_it() {
    let demo = Program::start("demo", &[]).await;
    let (_, page) = shown(&demo, None).await;
    assert!(page.contains("<noscript>"), "{page}");
}

#[tokio::test]
async fn a_log_that_no_terminal_shows_has_no_colours() {
    let demo = Program::start("demo", &[]).await;
    let output = demo.output();
    assert!(output.contains("plain HTTP"), "{output}");
    assert!(!output.contains('\u{1b}'), "{output}");
}
