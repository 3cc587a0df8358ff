//! Where code stands: the program's `main.rs` starts and no more, and modules are `foo.rs` beside `foo/`.

use super::tree::Tree;
use super::{Report, Violation};

const PROGRAM: &str = "vigia/src/main.rs";
/// The program's `main.rs` has fewer lines.
const LIMIT: usize = 40;

pub(super) fn check(tree: &Tree) -> Report {
    let mut violations = Vec::new();
    let lines = tree.file(PROGRAM).and_then(|file| file.rust.as_ref()).map_or(0, super::rust::Rust::len);
    if lines >= LIMIT {
        let what = format!("{lines} lines, must be under {LIMIT}: move what is not starting into the library");
        violations.push(Violation::new(PROGRAM, LIMIT, what));
    }
    for (file, _) in tree.rust().filter(|(file, _)| !file.is_test()) {
        if let Some(module) = file.path.strip_suffix("/mod.rs") {
            violations.push(Violation::new(&file.path, 1, format!("move it to {module}.rs")));
        }
    }
    Report { looked_at: format!("{PROGRAM} has {lines} lines"), violations }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_program_and_mod_files_are_named() {
        let tree = Tree::of(&[(PROGRAM, &"\n".repeat(40)), ("a/src/b/mod.rs", ""), ("a/tests/b/mod.rs", "")]);
        let found: Vec<_> = check(&tree).violations.into_iter().map(|it| it.file).collect();
        assert_eq!(found, [PROGRAM, "a/src/b/mod.rs"]);
        assert_eq!(check(&Tree::of(&[(PROGRAM, &"\n".repeat(39))])).violations, []);
    }
}
