//! What is recorded is told once it is kept, and then listed and looked at, wherever it is kept. The same for every place.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use vigia::config::EventsConfig;
use vigia::error::Code;
use vigia::events::{Events, Query};

use crate::support::{Kept, bare, ended, id, refused};
use crate::tracks::decoded;

#[test]
fn in_a_file_and_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    everything(&|| Kept::in_folder(folder.path()), true);
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(folder.path().join(name)).expect("there").permissions().mode() & 0o077
    };
    assert_eq!((mode("events.db"), mode("snapshots")), (0, 0), "nobody else may read them");
}

#[test]
fn in_memory() {
    everything(&|| Kept::of(Events::in_memory(&EventsConfig::default()).expect("threads")), false);
}

/// `open` opens the same place again, which is empty at first; `stays`: what is kept outlives the handle.
pub(crate) fn everything(open: &dyn Fn() -> Kept, stays: bool) {
    let kept = open();
    assert_eq!(kept.page(Query::default()), json!({"events": [], "next": null}));
    refused(kept.get("door-1-7"), Code::UnknownEvent);
    refused(kept.picture("door-1-7"), Code::UnknownEvent);

    one_event(&kept);
    without_a_picture(&kept);
    filters(&kept);
    pages(&kept);
    strange_text(&kept);

    let before = kept.all();
    let pictures: Vec<_> = before.iter().map(|event| kept.picture(&id(event)).ok()).collect();
    drop(kept);
    if stays {
        let kept = open();
        assert_eq!(kept.all(), before, "another process finds the same");
        let again: Vec<_> = before.iter().map(|event| kept.picture(&id(event)).ok()).collect();
        assert_eq!(again, pictures);
    }
}

fn one_event(kept: &Kept) {
    let mut news = kept.news();
    kept.record(ended("door", 1, 7, 10));
    let told = news.next();
    // The contract of DESIGN.md §5, field by field.
    let mut expected = json!({
        "id": "door-1-7", "stream": "door", "track_id": 7, "class": "face",
        "started_at": told["started_at"], "ended_at": told["ended_at"], "detections": 42,
        "best": {"event_id": 3301, "quality": 0.8, "confidence": 0.93,
                 "box": {"x1": 410.2, "y1": 120.0, "x2": 498.7, "y2": 236.4},
                 "landmarks": [[431.0, 160.2]], "landmarks_source": "model", "landmarks_event_id": 3301},
        "path": [{"t": 0.5, "x": 12.35, "y": 7.0}],
        "snapshot": "/v1/events/door-1-7/best.jpg"
    });
    assert_eq!(told, expected);
    assert_eq!(kept.get("door-1-7"), Ok(told.clone()));
    assert_eq!(kept.page(Query::default()), json!({"events": [told], "next": null}));
    let started = told["started_at"].as_str().expect("text");
    assert!(started.ends_with('Z') && started.len() == "2026-01-01T12:00:00.000Z".len(), "{started}");
    let jpeg = kept.picture("door-1-7").expect("a picture");
    assert_eq!(decoded(&jpeg), (48, 40));
    // The same track again is somebody else's: neither is lost.
    let mut again = ended("door", 1, 7, 5);
    again.detections = 1;
    kept.record(again);
    let told = news.next();
    expected["id"] = told["id"].clone();
    assert!(id(&told).starts_with("door-1-7-x") && told["detections"] == 1, "{told}");
    assert_eq!(told["snapshot"], format!("/v1/events/{}/best.jpg", id(&told)));
    assert_eq!(kept.get(&id(&told)).map(|event| event["detections"].clone()), Ok(json!(1)));
    assert_eq!(kept.get("door-1-7").map(|event| event["detections"].clone()), Ok(json!(42)));
    assert_eq!(kept.ids(), [id(&told), "door-1-7".to_owned()]);
}

fn without_a_picture(kept: &Kept) {
    let mut news = kept.news();
    kept.record(bare("yard", 2, 1, 8));
    let told = news.next();
    assert!(told.get("best").is_none() && told.get("snapshot").is_none(), "{told}");
    let why = refused(kept.picture("yard-2-1"), Code::NoSnapshot);
    assert!(why.contains("yard-2-1"), "{why}");
}

fn filters(kept: &Kept) {
    let mut news = kept.news();
    for (n, class) in ["dog", "cat", "dog"].into_iter().enumerate() {
        kept.events.record(bare("yard", 3, n as u64, 100 + n as u64 * 100), class.to_owned());
    }
    (0..3).for_each(|_| drop(news.next()));
    let ids = |query: Query| {
        let page = kept.page(query);
        page["events"].as_array().expect("a list").iter().map(id).collect::<Vec<_>>()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(Query { classes: names(&["dog"]), ..Query::default() }), ["yard-3-0", "yard-3-2"]);
    assert_eq!(ids(Query { classes: names(&["dog", "cat"]), ..Query::default() }).len(), 3);
    assert_eq!(
        ids(Query { classes: names(&["face"]), streams: names(&["yard", "gate"]), ..Query::default() }),
        ["yard-2-1"]
    );
    assert_eq!(ids(Query { streams: names(&["gate"]), ..Query::default() }), [""; 0]);
    let page = kept.page(Query { streams: names(&["yard"]), classes: names(&["cat"]), ..Query::default() });
    let moment = &page["events"][0]["ended_at"];
    let at = humantime::parse_rfc3339(moment.as_str().expect("text")).expect("a time");
    let at = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let between = |from, to| ids(Query { from, to, streams: names(&["yard"]), ..Query::default() });
    assert_eq!(between(Some(at), Some(at + 1)), ["yard-3-1"], "from this moment on, up to before that one");
    assert_eq!(between(Some(at + 1), None), ["yard-2-1", "yard-3-0"]);
    assert_eq!(between(None, Some(at)), ["yard-3-2"]);
    assert_eq!(between(Some(at), Some(at)), [""; 0]);
}

/// Every event once, in order, also where many end at the same moment, and while others come.
fn pages(kept: &Kept) {
    let moment = SystemTime::now() - Duration::from_hours(1);
    let mut news = kept.news();
    for n in 0..40 {
        let mut event = bare("gate", 4, n, 0);
        event.ended_at = moment - Duration::from_millis(n / 9);
        kept.record(event);
    }
    (0..40).for_each(|_| drop(news.next()));
    let only = Query { streams: vec!["gate".to_owned()], limit: 500, ..Query::default() };
    let all: Vec<Value> = kept.page(only.clone())["events"].as_array().expect("a list").clone();
    assert_eq!(all.len(), 40);
    let key = |event: &Value| (event["ended_at"].to_string(), id(event));
    assert!(all.windows(2).all(|pair| key(&pair[0]) > key(&pair[1])), "the newest first, then by id");
    for limit in [1, 7, 39, 40] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = kept.page(Query { limit, cursor, ..only.clone() });
            seen.extend(page["events"].as_array().expect("a list").iter().cloned());
            // A newer one does not move what comes next.
            kept.record(bare("gate", 5, 100 + limit as u64 * 100 + seen.len() as u64, 0));
            news.next();
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.parse().expect("a cursor")),
                None => break,
            }
        }
        let seen: Vec<_> = seen.iter().map(id).filter(|id| id.starts_with("gate-4-")).collect();
        assert_eq!(seen, all.iter().map(id).collect::<Vec<_>>(), "pages of {limit}");
    }
}

/// Names of classes come from models, and may be anything.
fn strange_text(kept: &Kept) {
    let mut news = kept.news();
    for (n, class) in ["it's \"quoted\"", "日本 ä \u{1f600}", "nul\0inside", "'); DROP TABLE vigia_events; --", ""]
        .into_iter()
        .enumerate()
    {
        kept.events.record(bare("odd", 6, n as u64, 1), class.to_owned());
        let told = news.next();
        let expected = class.replace('\0', "");
        assert_eq!(told["class"], expected);
        let query = Query { classes: vec![expected], streams: vec!["odd".to_owned()], ..Query::default() };
        assert_eq!(kept.page(query)["events"], json!([told]));
    }
}
