//! Debts: what is put off until it fails in front of a user. The budget is zero.

use super::tree::Tree;
use super::{Report, Violation};

/// In code, tests included: what to look for, and what to do about it.
const NOWHERE: &[(&str, &str)] = &[
    ("todo!", "write it, or leave the branch out"),
    ("unimplemented!", "write it, or return an error that says so"),
    ("#[ignore", "a test runs, or prints why it was skipped: fix or delete it"),
];

/// In any text; not spelled out, for this file is one.
const MARK: &str = concat!("FIX", "ME");

pub(super) fn check(tree: &Tree) -> Report {
    let mut violations = Vec::new();
    for (file, rust) in tree.rust() {
        for (number, line) in rust.all() {
            for (debt, what) in NOWHERE.iter().filter(|(debt, _)| line.contains(debt)) {
                violations.push(Violation::new(&file.path, number, format!("{debt}: {what}")));
            }
        }
    }
    for (file, rust) in tree.rust().filter(|(file, _)| !file.is_test()) {
        for (number, _) in rust.product().filter(|(_, line)| line.contains(".unwrap()")) {
            let what = ".unwrap(): return an error, or expect(\"why it cannot happen\")";
            violations.push(Violation::new(&file.path, number, what));
        }
    }
    for file in tree.files.iter().filter(|file| file.path != "Cargo.lock") {
        for (index, line) in file.text.iter().flat_map(|text| text.lines()).enumerate() {
            if line.contains(MARK) {
                violations.push(Violation::new(&file.path, index + 1, format!("{MARK}: fix it now")));
            }
        }
    }
    Report { looked_at: format!("{} sources", tree.rust().count()), violations }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debts_are_named() {
        let mark = format!("# {MARK} later");
        let tree = Tree::of(&[
            (
                "a/src/a.rs",
                "/// x.unwrap()\nx.unwrap();\nlet y = \"todo!\";\ntodo!()\n#[cfg(test)]\nfn f() { x.unwrap(); }",
            ),
            ("a/tests/b.rs", "x.unwrap();\n#[ignore = \"slow\"]\nfn f() { unimplemented!() }"),
            ("c.sh", &mark),
        ]);
        let found: Vec<_> = check(&tree).violations.into_iter().map(|it| (it.file, it.line)).collect();
        let expected = [("a/src/a.rs", 4), ("a/tests/b.rs", 2), ("a/tests/b.rs", 3), ("a/src/a.rs", 2), ("c.sh", 1)];
        assert_eq!(found, expected.map(|(file, line)| (file.to_owned(), line)));
    }
}
