//! Snapshots and live pictures of a stream.

use std::io::{BufRead as _, BufReader, Read};

use vigia::server::Ended;
use vigia_core::geometry::Size;
use vigia_testkit::finds;
use vigia_vision::picture::{PictureDecoder, PictureLimits};

use crate::client::Events;
use crate::support::{Server, Setup, camera, one_box, opened, push_through, pushed_body};

fn assert_jpeg(bytes: &[u8]) {
    let picture = PictureDecoder::new(PictureLimits::default()).decode(bytes, None).expect("a picture");
    assert_eq!(picture.source_size(), Size::new(64, 48));
}

#[test]
fn a_snapshot_is_the_newest_picture_drawn_on_where_asked() {
    let mut setup = Setup::new(finds(one_box()));
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let mut sink = opened(&sinks);
    let client = server.client();
    let snapshot = |query: &str| client.get(&format!("/v1/streams/door/snapshot.jpg{query}"));
    snapshot("").problem(404, "no-result-yet");
    push_through(&server, "door", &mut sink);
    let plain = snapshot("");
    assert_eq!((plain.status, plain.header("content-type")), (200, "image/jpeg"));
    assert_eq!(plain.header("cache-control"), "no-store");
    assert_jpeg(&plain.body);
    assert_eq!(plain.body, snapshot("?annotate=0").body);
    let drawn = snapshot("?annotate=1");
    assert_jpeg(&drawn.body);
    assert_ne!(plain.body, drawn.body);
    for query in ["?annotate=jpeg", "?annotate=", "?width=7"] {
        snapshot(query).problem(422, "invalid-parameter");
    }
}

#[test]
fn whoever_has_a_result_can_have_its_picture() {
    let server = Server::plain();
    let client = server.client();
    for n in 1..=30 {
        server.add(&pushed_body("door"));
        let mut events = Events::follow(&client, "door", None);
        assert_eq!(server.put("door", n, "").status, 202);
        assert_eq!(events.next().and_then(|event| event.id), Some(1));
        assert_eq!(client.get("/v1/streams/door/snapshot.jpg").status, 200);
        server.remove("door");
    }
}

#[test]
fn live_pictures_come_part_by_part_until_the_server_ends() {
    let mut setup = Setup::new(finds(one_box()));
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let mut sink = opened(&sinks);
    // Whoever comes is shown what there is at once.
    push_through(&server, "door", &mut sink);
    let response = server.client().open("GET", "/v1/streams/door/live.mjpeg?annotate=1", &[], &[]);
    assert_eq!(response.headers()["content-type"], "multipart/x-mixed-replace; boundary=vigia-frame");
    let mut parts = Parts(BufReader::new(response.into_body().into_reader()));
    parts.boundary();
    for _ in 0..3 {
        assert_jpeg(&parts.picture());
        // A part is whole when its boundary came, which does not wait for the next picture.
        parts.boundary();
        push_through(&server, "door", &mut sink);
    }
    assert_jpeg(&parts.picture());
    parts.boundary();
    server.app.end();
    assert_eq!(parts.line(), "");
    assert_eq!(server.ended(), Ended::Finished);
}

/// Reads a multipart body as it comes.
struct Parts<R: Read>(BufReader<R>);

impl<R: Read> Parts<R> {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an orderly end");
        line
    }

    fn boundary(&mut self) {
        assert_eq!(self.line(), "--vigia-frame\r\n");
    }

    fn picture(&mut self) -> Vec<u8> {
        assert_eq!(self.line(), "Content-Type: image/jpeg\r\n");
        let length = self.line();
        let length = length.trim_end().strip_prefix("Content-Length: ").expect("its length").parse();
        assert_eq!(self.line(), "\r\n");
        let mut jpeg = vec![0; length.expect("a number")];
        self.0.read_exact(&mut jpeg).expect("a whole picture");
        assert_eq!(self.line(), "\r\n");
        jpeg
    }
}
