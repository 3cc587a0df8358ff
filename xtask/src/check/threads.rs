//! Threads, tasks and queues stay in `vigia-engine`, where each has an owner that joins it and a bound.
//!
//! Elsewhere a call is either under an `#[expect(clippy::disallowed_methods, reason = "...")]`, or in [`ALLOWED`].

use super::rust::is_word;
use super::tree::Tree;
use super::{Report, Violation};

/// Calls that one file outside of `vigia-engine` may make.
pub(super) struct Allowed {
    file: &'static str,
    calls: usize,
    /// Who joins the thread, or what bounds the queue.
    reason: &'static str,
}

pub(super) const ALLOWED: &[Allowed] = &[
    Allowed {
        file: "vigia-media/src/ingest/watch.rs",
        calls: 1,
        reason: "one thread per source reads GStreamer's bus; dropping the source's handle joins it",
    },
    Allowed {
        file: "vigia-infer/src/tuning.rs",
        calls: 1,
        reason: "sessions are measured side by side in scoped threads, which end before the measurement returns",
    },
    Allowed {
        file: "vigia/src/cli/bench/material.rs",
        calls: 1,
        reason: "a queue of four frames between the video that is played and the benchmark that uses them",
    },
    Allowed {
        file: "vigia/src/http/listener.rs",
        calls: 1,
        reason: "one task per connection, in a set that the listener drains; limits.connections bounds them",
    },
    Allowed {
        file: "vigia/src/http/body.rs",
        calls: 1,
        reason: "at most 64 tasks of two seconds each, in a set that ends with the server",
    },
    Allowed {
        file: "vigia/src/http/push.rs",
        calls: 2,
        reason: "one answer to a request that waits, and at most 64 answers that a socket has not said yet",
    },
    Allowed {
        file: "vigia/src/events.rs",
        calls: 2,
        reason: "nothing goes through them: their end says that a thread has come back, in time",
    },
    Allowed { file: "vigia/src/live.rs", calls: 1, reason: "holds one value, the newest frame" },
];

/// The crate that may.
const HOME: &str = "vigia-engine";
/// Where the reasons are.
const LIST: &str = "xtask/src/check/threads.rs";
/// The lint that an `#[expect]` names.
const LINT: &str = "disallowed_methods";

pub(super) fn check(tree: &Tree, allowed: &[Allowed]) -> Report {
    let mut violations = Vec::new();
    let mut excused = 0;
    for (file, rust) in tree.product().filter(|(file, _)| file.top() != HOME && file.top() != "xtask") {
        let calls = rust.product().filter_map(|(number, line)| Some((number, call(line)?)));
        let calls: Vec<_> = calls.filter(|(number, _)| !rust.is_expected(*number, LINT)).collect();
        let entry = allowed.iter().find(|entry| entry.file == file.path);
        let (room, reason) = entry.map_or((0, "no reason yet"), |entry| (entry.calls, entry.reason));
        excused += calls.len().min(room);
        let counts = format!("{} here, {room} allowed: {reason}", calls.len());
        if calls.len() > room {
            violations.extend(calls.iter().map(|(number, call)| {
                let what = format!("{call}(..) outside of {HOME} ({counts}): use what {HOME} has, or add to {LIST}");
                Violation::new(&file.path, *number, what)
            }));
        } else if calls.len() < room {
            violations.push(Violation::new(&file.path, 1, format!("fewer calls ({counts}): lower {LIST}")));
        }
    }
    for gone in allowed.iter().filter(|entry| tree.file(entry.file).is_none()) {
        violations.push(Violation::new(gone.file, 1, format!("the file is gone: take it out of {LIST}")));
    }
    Report { looked_at: format!("{excused} calls with a reason outside of {HOME}"), violations }
}

/// The function of this line that starts a thread or a task, or makes a queue. A `spawn()` without an argument starts a
/// program, which is none of these.
fn call(line: &str) -> Option<&str> {
    let opening = line.match_indices('(').map(|(at, _)| at);
    opening.into_iter().find_map(|at| {
        let before = &line[..at];
        let before = before.strip_suffix('>').and_then(|text| text.rfind("::<")).map_or(before, |end| &before[..end]);
        let start = before.rfind(|c| !is_word(c)).map_or(0, |end| end + 1);
        let name = &before[start..];
        let starts = name.starts_with("spawn") && !line[at..].starts_with("()");
        let declares = before[..start].trim_end().ends_with("fn");
        ((starts || name.ends_with("channel")) && !declares).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, source: &str, allowed: &[Allowed]) -> Vec<usize> {
        check(&Tree::of(&[(path, source)]), allowed).violations.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn calls_are_recognised() {
        for (line, expected) in [
            ("std::thread::spawn(move || f())", Some("spawn")),
            ("Builder::new().name(n).spawn(f)", Some("spawn")),
            ("scope.spawn_scoped(f)", Some("spawn_scoped")),
            ("sync_channel::<Vec<u8>>(4)", Some("sync_channel")),
            ("oneshot::channel()", Some("channel")),
            ("Command::new(x).spawn()", None),
            ("fn spawn(f: F) {", None),
            ("use std::sync::mpsc::sync_channel;", None),
        ] {
            assert_eq!(call(line), expected, "{line}");
        }
    }

    #[test]
    fn a_thread_elsewhere_is_named() {
        let source = "fn f() {\n  thread::spawn(g);\n}\n#[cfg(test)]\nmod tests { fn f() { thread::spawn(g); } }";
        assert_eq!(found("vigia-media/src/a.rs", source, &[]), [2]);
        assert_eq!(found("vigia-engine/src/a.rs", source, &[]), [0; 0]);
        assert_eq!(found("vigia-media/tests/a.rs", source, &[]), [0; 0]);
    }

    #[test]
    fn a_reason_excuses_it() {
        let source = "#[expect(clippy::disallowed_methods, reason = \"joined below\")]\nlet a = thread::spawn(g);\nthread::spawn(h);";
        assert_eq!(found("vigia/src/a.rs", source, &[]), [3]);
    }

    #[test]
    fn the_list_is_exact() {
        let allowed = |calls| [Allowed { file: "vigia/src/a.rs", calls, reason: "a test" }];
        let source = "spawn(f);\nchannel(1);";
        assert_eq!(found("vigia/src/a.rs", source, &allowed(2)), [0; 0]);
        assert_eq!(found("vigia/src/a.rs", source, &allowed(1)), [1, 2]);
        assert_eq!(found("vigia/src/a.rs", source, &allowed(3)), [1]);
        assert_eq!(found("vigia/src/b.rs", "", &allowed(1)), [1]);
        assert!(ALLOWED.iter().all(|entry| !entry.reason.is_empty()));
    }
}
