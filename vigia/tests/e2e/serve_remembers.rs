//! Streams that were added over the API are there again when the server comes back, however it went.

use serde_json::{Value, json};

use crate::serve::{Serve, sample};
use crate::support::is_set_up;

fn shown(server: &Serve) -> Vec<Value> {
    let list = server.get("/v1/streams");
    let what = |stream: &Value| json!([stream["id"], stream["source"], stream["pipeline"]]);
    list["streams"].as_array().expect("streams").iter().map(what).collect()
}

#[test]
fn after_an_orderly_end_and_after_a_sudden_one() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let start = || Serve::configured(folder.path(), "streams: {}\n");
    let first = start();
    first.add(&json!({"id": "door", "source": "push", "timeout": "1h", "every": 2}));
    first.add(
        &json!({"id": "camera", "source": "rtsp://user:secret@127.0.0.1:1/a", "retry": {"initial": "1m", "max": "1m"}}),
    );
    first.add(&json!({"id": "gone", "source": "push", "timeout": "1h"}));
    first.remove("gone");
    first.json("PATCH", "/v1/streams/door", &json!({"every": 1, "latency": "1h"}), 200);
    let expected = [json!(["camera", "rtsp://user:***@127.0.0.1:1/a", "faces"]), json!(["door", "push", "faces"])];
    assert_eq!(shown(&first), expected);
    first.terminate();
    assert_eq!(first.ended().status, Some(0));
    let second = start();
    assert_eq!(shown(&second), expected);
    second.add(&json!({"id": "late", "source": "push", "timeout": "1h"}));
    second.remove("camera");
    // Killed.
    drop(second);
    let third = start();
    assert_eq!(shown(&third), [expected[1].clone(), json!(["late", "push", "faces"])]);
    for frame in 1..=3 {
        assert_eq!(third.put("door", frame, &sample(1)).0, 200, "every frame is looked at");
    }
    third.assert_ends_in_order();
}
