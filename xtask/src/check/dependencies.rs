//! Who may depend on whom: the table of ARCHITECTURE.md as code.
//!
//! Manifests are judged as written, so that optional dependencies count; what a dependency brings with it is judged by what
//! cargo resolves for this machine.

use super::metadata::{Declared, Kind, Metadata, Package};
use super::tree::Tree;
use super::{Report, Violation};

/// What one crate may and may not use. A `*` at the end of a name stands for any ending.
struct Rule {
    name: &'static str,
    /// The crates of this workspace that it may use.
    workspace: &'static [&'static str],
    /// The crates from outside that it may use; `None` for any that no other rule forbids.
    only: Option<&'static [&'static str]>,
    /// The crates from outside that it must not name.
    never: &'static [&'static str],
    /// What must not come with its normal dependencies, at any distance.
    unreachable: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        name: "vigia-core",
        workspace: &[],
        only: Some(&["thiserror"]),
        never: &[],
        unreachable: &["tokio*", "serde*", "tracing-subscriber", "gstreamer*", "glib*", "ort", "ort-sys", "axum*"],
    },
    Rule {
        name: "vigia-vision",
        workspace: &["vigia-core"],
        only: None,
        never: &["serde*", "rayon*", "crossbeam*"],
        unreachable: &["tokio*", "gstreamer*", "glib*", "ort", "ort-sys", "axum*"],
    },
    Rule {
        name: "vigia-infer",
        workspace: &["vigia-core", "vigia-vision"],
        only: None,
        never: &["tokio*"],
        unreachable: &["gstreamer*", "glib*", "axum*"],
    },
    Rule {
        name: "vigia-media",
        workspace: &["vigia-core"],
        only: None,
        never: &["tokio*"],
        unreachable: &["ort", "ort-sys", "axum*"],
    },
    Rule {
        name: "vigia-engine",
        workspace: &["vigia-core"],
        only: Some(&["tokio", "parking_lot", "prometheus-client", "tracing", "thiserror"]),
        never: &[],
        unreachable: &["gstreamer*", "glib*", "ort", "ort-sys", "axum*"],
    },
    Rule {
        name: "vigia",
        workspace: &["vigia-core", "vigia-vision", "vigia-infer", "vigia-media", "vigia-engine"],
        only: None,
        never: &[],
        unreachable: &[],
    },
    // For tests only: it stands on what its users stand on, and no crate ships it.
    Rule {
        name: "vigia-testkit",
        workspace: &["vigia-core", "vigia-engine", "vigia-vision"],
        only: None,
        never: &[],
        unreachable: &["gstreamer*", "glib*", "ort", "ort-sys"],
    },
    Rule { name: "xtask", workspace: &[], only: Some(&["serde_json"]), never: &[], unreachable: &[] },
];

/// The libraries that belong to one crate, whatever the table they stand in. deny.toml says the same.
const OWNERS: &[(&str, &str)] = &[
    ("ort", "vigia-infer"),
    ("ort-sys", "vigia-infer"),
    ("gstreamer*", "vigia-media"),
    ("turbojpeg-sys", "vigia-vision"),
    ("axum*", "vigia"),
];

/// What `vigia --no-default-features` is built without.
const OPTIONAL: &[&str] = &["vigia-infer", "vigia-media"];

pub(super) fn check(tree: &Tree, metadata: &Metadata) -> Report {
    let mut violations = Vec::new();
    for (id, package) in metadata.members() {
        let manifest = format!("{}/Cargo.toml", package.name);
        let mut report = |dependency: &str, what: String| {
            violations.push(Violation::new(&manifest, line(tree, &manifest, dependency), what));
        };
        let Some(rule) = RULES.iter().find(|rule| rule.name == package.name) else {
            report("", format!("{} has no rule: say in xtask/src/check/dependencies.rs what it may use", package.name));
            continue;
        };
        for declared in &package.declared {
            if let Some(what) = fault(rule, metadata, declared) {
                report(&declared.name, what);
            }
        }
        for what in rule.unreachable {
            if let Some(chain) = metadata.path(id, |name| matches(what, name)) {
                let first = chain.get(1).copied().unwrap_or_default();
                report(first, format!("{} must not reach {what}: {}", rule.name, chain.join(" -> ")));
            }
        }
    }
    let crates = metadata.members().count();
    Report { looked_at: format!("{crates} crates, {} packages", metadata.packages.len()), violations }
}

/// What is wrong with one line of a manifest.
fn fault(rule: &Rule, metadata: &Metadata, declared: &Declared) -> Option<String> {
    let (user, name) = (rule.name, declared.name.as_str());
    let is_member = metadata.members().any(|(_, member): (_, &Package)| member.name == name);
    if let Some((_, owner)) = OWNERS.iter().find(|(pattern, owner)| matches(pattern, name) && *owner != user) {
        return Some(format!("only {owner} uses {name}: move what needs it there"));
    }
    if is_member {
        if name == "vigia" {
            return Some("nothing depends on vigia: move what is shared into a crate below it".to_owned());
        }
        if name == "vigia-testkit" {
            let ships = declared.kind != Kind::Development;
            return ships.then(|| "vigia-testkit is for tests: move it to [dev-dependencies]".to_owned());
        }
        if !rule.workspace.contains(&name) {
            return Some(format!("{user} must not use {name}: see the table in ARCHITECTURE.md"));
        }
        let needed = user == "vigia" && declared.kind == Kind::Normal && OPTIONAL.contains(&name);
        return (needed && !declared.optional).then(|| format!("{name} must be optional, behind a feature of vigia"));
    }
    if declared.kind == Kind::Development {
        return None;
    }
    if rule.only.is_some_and(|only| !only.iter().any(|pattern| matches(pattern, name))) {
        let allowed = rule.only.unwrap_or_default().join(", ");
        return Some(format!("{user} uses nothing but {allowed} from outside: do without {name}"));
    }
    rule.never.iter().any(|pattern| matches(pattern, name)).then(|| format!("{user} must not use {name}"))
}

/// Whether a name is the pattern, or begins as one that ends in `*`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// The line of the manifest that names the dependency, or 1.
fn line(tree: &Tree, manifest: &str, dependency: &str) -> usize {
    let text = tree.file(manifest).and_then(|file| file.text.as_deref()).unwrap_or_default();
    let names = |line: &str| {
        let rest = line.trim_start().trim_start_matches("[dependencies.").strip_prefix(dependency);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=', ']']))
    };
    text.lines().position(names).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::metadata::samples::workspace;
    use super::*;

    fn found(crates: &[(&str, &[&str])]) -> Vec<String> {
        let report = check(&Tree::of(&[]), &workspace(crates));
        report.violations.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_table_is_kept() {
        assert_eq!(
            found(&[("vigia-core", &["thiserror"]), ("vigia-media", &["vigia-core", "gstreamer-app"])]),
            [""; 0]
        );
        for (crates, what) in [
            ([("vigia-core", &["rand"][..]), ("vigia", &[])], "nothing but thiserror"),
            ([("vigia-engine", &["serde"]), ("vigia", &[])], "nothing but tokio"),
            ([("vigia-infer", &["vigia-media"]), ("vigia-media", &[])], "must not use vigia-media"),
            ([("vigia-media", &["vigia-infer"]), ("vigia-infer", &[])], "must not use vigia-infer"),
            ([("vigia-core", &["vigia"]), ("vigia", &[])], "nothing depends on vigia"),
            ([("vigia-vision", &["serde_json"]), ("vigia", &[])], "must not use serde_json"),
            ([("vigia", &["vigia-infer"]), ("vigia-infer", &[])], "must be optional"),
            ([("vigia-core", &["vigia-testkit"]), ("vigia-testkit", &[])], "[dev-dependencies]"),
            ([("vigia", &["ort"]), ("ort", &[])], "only vigia-infer uses ort"),
            ([("vigia", &["gstreamer-video"]), ("ort", &[])], "only vigia-media"),
            ([("vigia-media", &["turbojpeg-sys"]), ("ort", &[])], "only vigia-vision"),
            ([("vigia-new", &[]), ("ort", &[])], "has no rule"),
        ] {
            let found = found(&crates);
            assert!(found.len() == 1 && found[0].contains(what), "{what}: {found:?}");
        }
    }

    #[test]
    fn what_comes_along_counts() {
        let chain = found(&[("vigia-engine", &["tracing"]), ("tracing", &["a"]), ("a", &["gstreamer-base"])]);
        assert_eq!(
            chain,
            [
                "vigia-engine/Cargo.toml:1: vigia-engine must not reach gstreamer*: vigia-engine -> tracing -> a -> gstreamer-base"
            ]
        );
        assert_eq!(found(&[("vigia-core", &["thiserror"]), ("thiserror", &["tokio"])]).len(), 1);
    }

    #[test]
    fn the_line_is_the_dependencys() {
        let tree = Tree::of(&[("a/Cargo.toml", "[dependencies]\nserde_json = 1\nserde.workspace = true\n")]);
        assert_eq!((line(&tree, "a/Cargo.toml", "serde"), line(&tree, "a/Cargo.toml", "x")), (3, 1));
    }
}
