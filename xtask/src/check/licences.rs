//! Licences: each package may be used under terms that fit a product of Apache-2.0.
//!
//! Judged by what each manifest declares. deny.toml holds the same list for cargo-deny, which reads licence files too.

use self::spdx::{Expression, SpdxError};
use super::metadata::Metadata;
use super::tree::Tree;
use super::{Report, Violation};

mod spdx;

/// Permissive licences.
const PERMISSIVE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    // For data: Mozilla's list of certificate authorities.
    "CDLA-Permissive-2.0",
    "IJG",
    "ISC",
    "MIT",
    "OFL-1.1",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Copyleft on the files themselves: fine for what is used as published. Who needs one is named in the check's line.
const FILE_COPYLEFT: &[&str] = &["MPL-2.0"];

/// Exceptions that only add permissions, so that a licence with one is the licence.
const EXCEPTIONS: &[&str] = &["LLVM-exception"];

pub(super) fn check(tree: &Tree, metadata: &Metadata) -> Report {
    let mut violations = same_as_deny(tree);
    let mut copyleft = Vec::new();
    for package in metadata.packages.values() {
        let named = format!("{} {}", package.name, package.version);
        let mut report = |what: String| violations.push(Violation::new("Cargo.lock", line(tree, &package.name), what));
        match judge(package.licence.as_deref()) {
            Ok(Verdict::Permissive) => {}
            Ok(Verdict::FileCopyleft) => copyleft.push(named),
            Ok(Verdict::Refused(licence)) => {
                report(format!("{named} is under {licence}, which does not fit: replace it, or argue for the licence"));
            }
            Err(error) => report(format!("{named}: {error}: look at its licence by hand, or replace it")),
        }
    }
    let copyleft = if copyleft.is_empty() { "nobody".to_owned() } else { copyleft.join(", ") };
    let looked_at = format!("{} packages; {} needed by {copyleft}", metadata.packages.len(), FILE_COPYLEFT.join(", "));
    Report { looked_at, violations }
}

/// Under what a package can be used.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<'a> {
    Permissive,
    FileCopyleft,
    Refused(&'a str),
}

fn judge(licence: Option<&str>) -> Result<Verdict<'_>, SpdxError> {
    let licence = licence.ok_or(SpdxError::Missing)?;
    let expression = Expression::parse(licence)?;
    let fits = |lists: &[&[&str]]| {
        expression.is_satisfied(&|name, exception| {
            lists.iter().any(|list| list.contains(&name)) && exception.is_none_or(|it| EXCEPTIONS.contains(&it))
        })
    };
    Ok(if fits(&[PERMISSIVE]) {
        Verdict::Permissive
    } else if fits(&[PERMISSIVE, FILE_COPYLEFT]) {
        Verdict::FileCopyleft
    } else {
        Verdict::Refused(licence)
    })
}

/// Where Cargo.lock has the package, or 1.
fn line(tree: &Tree, name: &str) -> usize {
    let lock = tree.file("Cargo.lock").and_then(|file| file.text.as_deref()).unwrap_or_default();
    let wanted = format!("name = \"{name}\"");
    lock.lines().position(|line| line == wanted).map_or(1, |index| index + 1)
}

/// The licences that deny.toml allows are those of this file.
fn same_as_deny(tree: &Tree) -> Vec<Violation> {
    let text = tree.file("deny.toml").and_then(|file| file.text.as_deref()).unwrap_or_default();
    let lines = text.lines().enumerate().skip_while(|(_, line)| !line.starts_with("[licenses]"));
    let mut lines = lines.skip_while(|(_, line)| !line.starts_with("allow = ["));
    let start = lines.next().map_or(1, |(index, _)| index + 1);
    let quoted = |line: &str| line.trim().trim_end_matches(',').trim_matches('"').to_owned();
    let listed: Vec<String> =
        lines.map(|(_, line)| line).take_while(|line| !line.starts_with(']')).map(quoted).collect();
    let mut expected: Vec<String> = PERMISSIVE.iter().chain(FILE_COPYLEFT).map(|name| (*name).to_owned()).collect();
    expected.extend(EXCEPTIONS.iter().map(|exception| format!("Apache-2.0 WITH {exception}")));
    let extra = listed.iter().filter(|name| !expected.contains(name)).map(|name| (name, "remove"));
    let missing = expected.iter().filter(|name| !listed.contains(name)).map(|name| (name, "add"));
    extra
        .chain(missing)
        .map(|(name, verb)| {
            let what = format!("[licenses] allow differs from xtask/src/check/licences.rs: {verb} {name:?}");
            Violation::new("deny.toml", start, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_judged() {
        for licence in [
            "MIT OR Apache-2.0",
            "MIT/GPL-3.0",
            "Apache-2.0 WITH LLVM-exception",
            "(MIT OR GPL-2.0-only) AND Unicode-3.0",
        ] {
            assert_eq!(judge(Some(licence)), Ok(Verdict::Permissive), "{licence}");
        }
        for licence in ["AGPL-3.0-only", "GPL-3.0-or-later", "MIT AND GPL-2.0-only", "MIT WITH Odd-exception"] {
            assert_eq!(judge(Some(licence)), Ok(Verdict::Refused(licence)));
        }
        assert_eq!(judge(Some("MPL-2.0 OR LGPL-3.0-only")), Ok(Verdict::FileCopyleft));
        assert_eq!(judge(None), Err(SpdxError::Missing));
    }

    #[test]
    fn a_package_with_another_licence_is_named() {
        let mut metadata = super::super::metadata::samples::workspace(&[("a", &[])]);
        metadata.packages.get_mut("a").expect("a").licence = Some("AGPL-3.0-only".to_owned());
        let tree = Tree::of(&[("Cargo.lock", "[[package]]\nname = \"a\"\n")]);
        let report = check(&tree, &metadata);
        let found = report.violations.iter().filter(|violation| violation.file == "Cargo.lock").collect::<Vec<_>>();
        assert!(found.len() == 1 && found[0].line == 2 && found[0].what.contains("AGPL-3.0-only"));
    }

    #[test]
    fn deny_toml_must_agree() {
        let agreed = include_str!("../../../deny.toml");
        assert_eq!(same_as_deny(&Tree::of(&[("deny.toml", agreed)])), []);
        let other = agreed.replace("\"Zlib\"", "\"AGPL-3.0\"");
        assert_eq!(same_as_deny(&Tree::of(&[("deny.toml", &other)])).len(), 2);
        assert!(!same_as_deny(&Tree::of(&[])).is_empty());
    }
}
