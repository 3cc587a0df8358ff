//! Environment variables are read where the configuration is made, so that the configuration is all there is to know.

use super::rust::has_word;
use super::tree::Tree;
use super::{Report, Violation};

/// The names of `std::env` that read or change variables.
const VARIABLES: &[&str] = &["var", "var_os", "vars", "vars_os", "set_var", "remove_var"];

/// The one place that tells a library something by a variable.
const TOLD: &str = "vigia-infer/src/telemetry.rs";

pub(super) fn check(tree: &Tree) -> Report {
    let mut violations = Vec::new();
    let may = |path: &str| path == "vigia/src/paths.rs" || path.starts_with("vigia/src/config") || path == TOLD;
    for (file, rust) in tree.product().filter(|(file, _)| !may(&file.path) && file.top() != "xtask") {
        for (number, _) in rust.product().filter(|(_, line)| reads(line)) {
            let what = "reads an environment variable: take the value as an argument from vigia/src/config or paths.rs";
            violations.push(Violation::new(&file.path, number, what));
        }
    }
    Report { looked_at: "only vigia's paths.rs and config read variables".to_owned(), violations }
}

fn reads(line: &str) -> bool {
    let named = |rest: &str| {
        let list = rest.strip_prefix('{').map(|rest| rest.split('}').next().unwrap_or(rest));
        let first = rest.split(|c| !super::rust::is_word(c)).next().unwrap_or(rest);
        VARIABLES.iter().any(|name| list.map_or(first == *name, |list| has_word(list, name)))
    };
    line.match_indices("env::").any(|(at, found)| named(&line[at + found.len()..])) || has_word(line, "getenv")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_from_the_rest() {
        assert!(reads("std::env::var(\"A\")") && reads("env::vars_os()") && reads("use std::env::{args, var_os};"));
        assert!(reads("libc::getenv(a)"));
        assert!(!reads("env::args()") && !reads("env::variable()") && !reads("std::env::consts::ARCH"));
    }

    #[test]
    fn reading_elsewhere_is_named() {
        let source = "fn f() {\n  env::var_os(\"A\");\n}\n#[cfg(test)]\nfn g() { env::var(\"B\"); }";
        let paths = ["vigia/src/paths.rs", "vigia/src/config/a.rs", "vigia/tests/a.rs", "xtask/src/a.rs"];
        for path in paths {
            assert_eq!(check(&Tree::of(&[(path, source)])).violations, [], "{path}");
        }
        let found = check(&Tree::of(&[("vigia/src/cli.rs", source)])).violations;
        assert!(found.len() == 1 && found[0].line == 2);
    }
}
