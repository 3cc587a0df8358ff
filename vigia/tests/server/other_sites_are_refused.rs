//! A page of another site cannot make a visitor's browser change anything here.

use vigia_testkit::finds;

use crate::support::{Setup, one_box, pushed_body};

#[test]
fn what_a_browser_sends_for_another_sites_page_is_refused() {
    let server = Setup::new(finds(one_box())).start();
    let client = server.client();
    let body = pushed_body("door").to_string();
    let add = |headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        client.send("POST", "/v1/streams", &headers, body.as_bytes())
    };
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
    ] {
        let detail = add(headers).problem(403, "cross-origin");
        assert!(detail.contains("another site"), "{detail}");
    }
    let socket = [("origin", "http://evil.example"), ("upgrade", "websocket"), ("connection", "Upgrade")];
    client.send("GET", "/v1/results", &socket, &[]).problem(403, "cross-origin");
    // Its own pages may, and so may what is no browser; reading is for everybody.
    assert_eq!(add(&[("sec-fetch-site", "same-origin")]).status, 201);
    let own = format!("http://{}", server.address);
    assert_eq!(client.send("DELETE", "/v1/streams/door", &[("origin", own.as_str())], &[]).status, 204);
    assert_eq!(add(&[]).status, 201);
    assert_eq!(client.send("GET", "/v1/streams", &[("sec-fetch-site", "cross-site")], &[]).status, 200);
}
