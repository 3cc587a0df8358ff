//! The name and password in a source's address reach no answer, no event and no metric, whatever happens to the stream.

use serde_json::{Value, json};
use vigia::config::StreamConfig;
use vigia_testkit::boxes_by_frame;

use crate::client::Events;
use crate::support::{Setup, camera, camera_body, opened, push_through, wait_until, with};

#[test]
fn of_a_stream_in_all_its_states() {
    let mut setup = Setup::new(boxes_by_frame());
    setup.stream("missing", StreamConfig { source: "missing://user:secret@a".to_owned(), ..camera("missing") });
    let server = setup.start();
    let client = server.client();
    let sinks = server.sources.of("door");
    let mut seen = vec![server.add(&camera_body("door")).to_string()];
    push_through(&server, "door", &mut opened(&sinks));
    wait_until("the other one has failed", || server.stream("missing")["state"] == "failed");
    seen.push(server.change("door", &json!({"every": 2})).to_string());
    seen.push(server.change("door", &json!({"source": "rtsp://other:secret@door/2"})).to_string());
    let bodies: [Value; 4] = [
        camera_body("door"),
        with(camera_body("new"), json!({"source": "missing://user:secret@a"})),
        with(camera_body("new"), json!({"source": "rtsp://user:secret@a\n"})),
        with(camera_body("new"), json!({"every": "rtsp://user:secret@a"})),
    ];
    for body in bodies {
        let answer = client.post_json("/v1/streams", &body);
        assert!(answer.status >= 400, "{}", answer.text());
        seen.push(answer.text());
    }
    seen.push(client.post("/v1/streams", "application/json", br#"{"source": "rtsp://user:secret@a", }"#).text());
    for path in ["/v1/streams", "/v1/streams/door", "/v1/streams/missing", "/metrics", "/v1/models"] {
        seen.push(client.get(path).text());
    }
    let last = server.app.streams.list().len();
    seen.extend(Events::changes(&client, Some(0)).take(last).map(|event| event.data));
    for text in seen {
        assert!(!text.contains("secret"), "{text}");
    }
}
