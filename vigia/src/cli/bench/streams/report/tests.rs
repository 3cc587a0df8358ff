use super::*;

fn case(streams: usize) -> Case {
    let spread = Spread { count: 100, p50: 12.34, p95: 20.0, p99: 33.33, max: 50.0 };
    let before = Frames { received: 100, inferred: 90, pending: 2, dropped: [("superseded", 7), ("failed", 1)].into() };
    let dropped = [("superseded", 15), ("stale", 3), ("failed", 1)].into();
    let after = Frames { received: 200, inferred: 180, pending: 1, dropped };
    Case {
        streams,
        seconds: 2.0,
        fps: [45.0, 14.0, 15.5],
        latency: Some(spread),
        repeats: 0,
        unreadable: 0,
        frames: [before, after],
        cores: 1.234,
        camera_cores: 0.0567,
        other_cores: 0.02,
        camera_frames: [100, 0],
        rss_mib: 123.4,
        stream_mib: Some(7.89),
        posts: None,
    }
}

fn report(cases: Vec<Case>) -> Report {
    let model = Model { name: "tiny-face".to_owned(), device: "cpu".to_owned(), instances: 2, threads: 1, batch: 1 };
    Report {
        pipeline: "faces".to_owned(),
        models: vec![model],
        clip: Clip { path: "a/clip.h264".into(), frames: 900, fps: 15, bits: 2_000_000 },
        processor: "A processor".to_owned(),
        cores: 2,
        onnxruntime: "1.2.3".to_owned(),
        gstreamer: "1.22.0".to_owned(),
        bound: Duration::from_millis(150),
        min_fps: 0.0,
        warm: Duration::from_secs(4),
        base_mib: 100.0,
        posts_alone: None,
        cases,
        search: None,
    }
}

#[test]
fn the_frames_of_the_measurement_add_up() {
    let json = report(vec![case(3)]).json();
    let case = &json["cases"][0];
    assert_eq!(
        case["frames"],
        json!({"received": 100, "inferred": 90, "pending_before": 2, "pending_after": 1,
            "dropped": {"superseded": 8, "stale": 3}})
    );
    assert_eq!((&case["p50_ms"], &case["p99_ms"], &case["measured"]), (&json!(12.34), &json!(33.33), &json!(100)));
    assert_eq!((&case["cores"], &case["cameras"]["cores"]), (&json!(1.23), &json!(0.057)));
    assert_eq!(json.get("largest"), None);
}

#[test]
fn an_additional_stream_costs_what_the_larger_case_takes_more() {
    let more = Case { rss_mib: 159.4, ..case(4) };
    let kept = Case { stream_mib: None, ..case(2) };
    let json = report(vec![case(1), kept, more]).json();
    assert_eq!(json["rss_mib_per_additional_stream"], 12.0);
    assert_eq!(report(vec![case(1)]).json()["rss_mib_per_additional_stream"], Value::Null);
}

#[test]
fn a_case_is_good_when_its_results_are_fresh_and_enough() {
    let ms = Duration::from_millis;
    assert!(case(1).is_good(ms(34), 0.0) && case(1).is_good(ms(34), 14.0));
    assert!(!case(1).is_good(ms(33), 0.0) && !case(1).is_good(ms(34), 14.5));
    assert!(!Case { latency: None, ..case(1) }.is_good(ms(1000), 0.0));
    assert!(!Case { fps: [15.0, 0.0, 15.0], ..case(1) }.is_good(ms(1000), 0.0));
}

#[test]
fn the_table_says_what_is_doubtful() {
    let plain = report(vec![case(1), case(4)]).table();
    assert!(
        plain.contains("stale 3, superseded 8") && plain.contains("12.3") && plain.contains("14.0-15.5"),
        "{plain}"
    );
    assert!(!plain.contains("late") && !plain.contains("largest"), "{plain}");
    let error = Some("busy".to_owned());
    let posts = PostFigures { per_second: 4.9, sent: 10, failed: 2, error, latency: None };
    let odd = Case {
        repeats: 3,
        unreadable: 5,
        camera_frames: [100, 2],
        posts: Some(posts),
        stream_mib: None,
        other_cores: 0.5,
        ..case(8)
    };
    let mut search = Search::new(7);
    search.tell(7, true);
    let table = Report { search: Some(search), min_fps: 10.0, ..report(vec![odd]) }.table();
    for said in [
        "other programs took 0.50 cores",
        "2 of 100 frames were sent late",
        "5 results whose",
        "3 results of",
        "2 of 10 posts failed: busy",
    ] {
        assert!(table.contains(said), "{table}");
    }
    assert!(table.contains("p99 within 150ms and 10 fps each: 7 streams"), "{table}");
    let table = Report { search: Some(Search::new(7)), ..report(vec![]) }.table();
    assert!(table.contains("not even one stream"), "{table}");
}
