//! File length: god files grow where nothing measures them.

use super::tree::{File, Tree};
use super::{Report, Violation};

/// Lines in any file of code.
const CAP: usize = 600;
/// Lines that nine of ten Rust files stay under.
const P90: usize = 400;
/// Lines of tests inside a source.
const INLINE_TESTS: usize = 150;

pub(super) fn check(tree: &Tree) -> Report {
    let mut violations = Vec::new();
    let code: Vec<(&File, usize)> = tree.files.iter().filter_map(|file| Some((file, lines(file)?))).collect();
    for (file, lines) in code.iter().filter(|(_, lines)| *lines > CAP) {
        let what = format!("{lines} lines, at most {CAP}: split it by what its parts are about");
        violations.push(Violation::new(&file.path, CAP + 1, what));
    }
    for (file, rust) in tree.rust() {
        for tests in rust.tests().filter(|tests| tests.len() > INLINE_TESTS) {
            let what = format!(
                "{} lines of tests, at most {INLINE_TESTS}: move them to {}",
                tests.len(),
                file.path.replace(".rs", "/tests.rs")
            );
            violations.push(Violation::new(&file.path, tests.start + 1, what));
        }
    }
    let mut rust: Vec<(usize, &str)> =
        code.iter().filter(|(file, _)| file.rust.is_some()).map(|(file, lines)| (*lines, file.path.as_str())).collect();
    rust.sort_unstable();
    // The nearest-rank percentile.
    let p90 = rust.get((rust.len() * 9).div_ceil(10).saturating_sub(1)).map_or(0, |(lines, _)| *lines);
    if p90 > P90 {
        for (lines, path) in rust.iter().filter(|(lines, _)| *lines > P90) {
            let what = format!("{lines} lines, and one file in ten is over {P90}: split it or another of these");
            violations.push(Violation::new(path, P90 + 1, what));
        }
    }
    let longest = rust.last().map_or(0, |(lines, _)| *lines);
    Report { looked_at: format!("{} files; Rust: p90 {p90}, longest {longest} lines", code.len()), violations }
}

/// The lines of a file of code; `None` for any other file.
fn lines(file: &File) -> Option<usize> {
    let is_code = matches!(file.suffix(), "rs" | "py" | "mjs" | "js" | "sh" | "html" | "css");
    file.text.as_deref().filter(|_| is_code).map(|text| text.lines().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_named() {
        let long = "\n".repeat(601);
        let tree = Tree::of(&[("a.py", &long), ("b.txt", &long), ("c.rs", &long[..600])]);
        let lines: Vec<_> = check(&tree).violations.into_iter().map(|it| (it.file, it.line)).collect();
        assert_eq!(lines, [("a.py".to_owned(), 601), ("c.rs".to_owned(), 401)]);
    }

    #[test]
    fn one_file_in_ten_may_be_long() {
        let (long, short) = ("\n".repeat(500), "\n".to_owned());
        let names: Vec<String> = (0..10).map(|n| format!("{n}.rs")).collect();
        let tree = |long_ones: usize| {
            let text = |n: usize| if n < long_ones { long.as_str() } else { short.as_str() };
            Tree::of(&names.iter().enumerate().map(|(n, name)| (name.as_str(), text(n))).collect::<Vec<_>>())
        };
        assert_eq!((check(&tree(1)).violations.len(), check(&tree(2)).violations.len()), (0, 2));
    }

    #[test]
    fn long_tests_get_a_file() {
        let source = |lines| format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(lines));
        let found = check(&Tree::of(&[("a/b.rs", &source(150))])).violations;
        assert!(found.len() == 1 && found[0].line == 2 && found[0].what.contains("a/b/tests.rs"));
        assert_eq!(check(&Tree::of(&[("a/b.rs", &source(140))])).violations, []);
    }
}
