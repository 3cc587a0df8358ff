use super::*;

#[test]
fn ids_are_safe_in_addresses() {
    for good in ["door", "Cam-1.front_left", "7", "...", &"a".repeat(64)] {
        assert_eq!(check_stream_id(good), Ok(()), "{good}");
    }
    for bad in ["", ".", "..", "a/b", "a b", "ä", "a\n", "a?b", "a%2f", &"a".repeat(65)] {
        assert!(check_stream_id(bad).is_err(), "{bad:?}");
    }
    let long = check_stream_id(&"\u{7}".repeat(100_000)).expect_err("far too long");
    assert!(long.len() < 1000 && !long.contains('\u{7}'), "{long}");
}

#[test]
fn values_out_of_range_are_named() {
    type Change = fn(&mut StreamConfig);
    let stream = |change: fn(&mut StreamConfig)| {
        let mut stream = StreamConfig::at("rtsp://user:secret@cam/1");
        change(&mut stream);
        stream.validate()
    };
    assert_eq!(stream(|_| ()), Ok(()));
    let cases: [(Change, &str); 23] = [
        (|s| s.source.clear(), "source is empty"),
        (|s| s.source = " \t".to_owned(), "source is empty"),
        (|s| s.source.push('\n'), "source must"),
        (|s| s.pipeline.clear(), "pipeline is empty"),
        (|s| s.timeout = Duration::ZERO, "timeout must be from 100ms to 1h, not 0s"),
        (|s| s.timeout = Duration::MAX, "timeout must"),
        (|s| s.latency = Duration::ZERO, "latency must be from 1ms to 1h, not 0s"),
        (|s| s.latency = Duration::from_secs(3601), "latency must be from 1ms to 1h, not 1h 1s"),
        (|s| s.cache.frames = 0, "cache.frames must be from 1 to 10000, not 0"),
        (|s| s.cache.frames = 10_001, "cache.frames must"),
        (|s| s.linger = Duration::from_secs(3601), "linger must be from 0s to 1h, not 1h 1s"),
        (|s| s.source = "tcp-listen://".to_owned(), "source: \"tcp-listen://\" has no port: write for example"),
        (|s| s.source = "tcp-listen://:5000".to_owned(), "source: \"tcp-listen://:5000\" has no host"),
        (|s| s.source = "TCP-Listen://a:65536".to_owned(), "has no port from 0 to 65535"),
        (|s| s.source = "tcp-listen://user:secret@a:1".to_owned(), "source: \"tcp-listen://"),
        (|s| s.every = 0, "every must be from 1 to 1000000, not 0"),
        (|s| s.every = u64::MAX, "every must"),
        (|s| s.max_fps = Some(0.0), "max_fps must"),
        (|s| s.max_fps = Some(-1.0), "max_fps must"),
        (|s| s.max_fps = Some(f64::NAN), "max_fps must"),
        (|s| s.max_fps = Some(f64::INFINITY), "max_fps must"),
        (|s| s.retry.initial = Duration::from_secs(11), "retry.max must be from 11s to 1h, not 10s"),
        (|s| s.retry.initial = Duration::ZERO, "retry.initial must"),
    ];
    for (change, expected) in cases {
        let error = stream(change).expect_err(expected);
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn credentials_are_not_shown() {
    let shown = format!("{:?}", StreamConfig::at("rtsp://user:secret@cam/1?x=y"));
    assert!(shown.contains("@cam/1") && !shown.contains("secret"), "{shown}");
}

#[test]
fn pushed_to_and_listening_streams_are_valid() {
    for source in ["push", "tcp-listen://0.0.0.0:5000", "tcp-listen://[::]:0", "TCP-LISTEN://localhost:1"] {
        assert_eq!(StreamConfig::at(source).validate(), Ok(()), "{source}");
    }
}

#[test]
fn the_bounds_themselves_are_valid() {
    let hour = Duration::from_hours(1);
    let frames = |frames| CacheConfig { mode: CacheModeName::Fifo, frames };
    let least = Duration::from_millis(1);
    let least = StreamConfig { latency: least, linger: Duration::ZERO, cache: frames(1), ..StreamConfig::at("a") };
    let most = StreamConfig { latency: hour, linger: hour, cache: frames(10_000), ..StreamConfig::at("a") };
    assert_eq!([least.validate(), most.validate()], [Ok(()), Ok(())]);
}

#[test]
fn what_makes_a_stream_start_anew() {
    type Change = fn(&mut StreamConfig);
    let before = StreamConfig::at("rtsp://cam/1");
    let restarts = |change: Change| {
        let mut after = before.clone();
        change(&mut after);
        assert_ne!(before, after);
        assert_eq!(before.restarts(&after), after.restarts(&before));
        before.restarts(&after)
    };
    assert!(!before.restarts(&before));
    let anew: [Change; 7] = [
        |s| s.timeout = Duration::from_secs(1),
        |s| s.source.push('2'),
        |s| s.pipeline.push('2'),
        |s| s.cache.frames = 2,
        |s| s.cache.mode = CacheModeName::Fifo,
        |s| s.repeat = true,
        |s| s.transport = TransportName::Udp,
    ];
    assert_eq!(anew.map(restarts), [true; 7]);
    let running: [Change; 5] = [
        |s| s.latency = Duration::from_secs(1),
        |s| s.linger = Duration::from_secs(1),
        |s| s.every = 2,
        |s| s.max_fps = Some(1.0),
        |s| s.retry.max = Duration::from_secs(1),
    ];
    assert_eq!(running.map(restarts), [false; 5]);
    // Where frames are pushed, the stream itself watches the time.
    let pushed = StreamConfig::at("push");
    assert!(!pushed.restarts(&StreamConfig { timeout: Duration::from_secs(1), ..pushed.clone() }));
}

#[test]
fn the_cache_is_what_the_core_calls_so() {
    let policy = CachePolicy::from(CacheConfig::default());
    assert_eq!(policy, CachePolicy { mode: CacheMode::Latest, frames: 1 });
    let fifo = CacheConfig { mode: CacheModeName::Fifo, frames: 7 };
    assert_eq!(CachePolicy::from(fifo), CachePolicy { mode: CacheMode::Fifo, frames: 7 });
}

#[test]
fn the_keys_are_those_that_are_read() {
    let written = serde_json::to_value(StreamConfig::at("a")).expect("JSON");
    let mut keys = KEYS.map(|(key, below)| (key.to_owned(), below.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>()));
    for (_, below) in &mut keys {
        below.sort();
    }
    keys.sort();
    let below = |value: &serde_json::Value| value.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
    let read: Vec<(String, Vec<String>)> =
        written.as_object().expect("an object").iter().map(|(key, value)| (key.clone(), below(value))).collect();
    assert_eq!(read, keys);
}
