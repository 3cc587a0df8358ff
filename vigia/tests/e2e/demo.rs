//! `vigia demo` and its page, looked at as `scripts/demo.sh --check` does.

use std::process::Command;

use crate::serve::Serve;
use crate::support::{is_set_up, root};

#[test]
fn the_page_shows_a_face_and_its_best_shot() {
    if !is_set_up() {
        return;
    }
    let server = Serve::demo();
    let mut check = Command::new("python3");
    let check = check.arg(root().join("scripts/check_page.py")).arg(&server.address).output().expect("python3 starts");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said}{}", String::from_utf8_lossy(&check.stderr));
    assert!(said.contains("the page shows") && said.contains("best shot"), "{said}");
    let stream = server.get("/v1/streams/demo");
    assert!(stream["frames"]["inferred"].as_u64().is_some_and(|frames| frames > 0), "{stream}");
    let events = &server.get("/v1/events?stream=demo")["events"];
    let best =
        events.as_array().expect("a list").iter().find(|event| event["snapshot"].is_string()).expect("a picture");
    assert!(
        best["detections"].as_u64().is_some_and(|times| times >= 2) && best["best"]["quality"].is_number(),
        "{best}"
    );
    server.assert_ends_in_order();
}
