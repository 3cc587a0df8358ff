//! No clock in `vigia-core` and `vigia-vision`: time is an argument there, so that tests choose it.

use super::tree::Tree;
use super::{Report, Violation};

const TIMELESS: &[&str] = &["vigia-core", "vigia-vision"];

pub(super) fn check(tree: &Tree) -> Report {
    let mut violations = Vec::new();
    for (file, rust) in tree.product().filter(|(file, _)| TIMELESS.contains(&file.top())) {
        for (number, line) in rust.product() {
            for clock in ["Instant::now", "SystemTime::now"] {
                if line.contains(clock) {
                    let what = format!("{clock}: take the time as an argument, the caller in vigia-engine has a clock");
                    violations.push(Violation::new(&file.path, number, what));
                }
            }
        }
    }
    Report { looked_at: TIMELESS.join(", "), violations }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_named() {
        let source = "// Instant::now\nlet t = std::time::Instant::now();\n#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }";
        let tree = Tree::of(&[
            ("vigia-core/src/a.rs", source),
            ("vigia-core/src/a/tests.rs", source),
            ("vigia-vision/src/b.rs", "SystemTime::now()"),
            ("vigia-engine/src/c.rs", source),
        ]);
        let found: Vec<_> = check(&tree).violations.into_iter().map(|it| (it.file, it.line)).collect();
        assert_eq!(found, [("vigia-core/src/a.rs".to_owned(), 2), ("vigia-vision/src/b.rs".to_owned(), 1)]);
    }
}
