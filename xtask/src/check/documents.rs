//! The documents are there, their links lead somewhere, and the scripts can be run.

use super::tree::{File, Tree};
use super::{Report, Violation};

/// What a newcomer looks for.
const REQUIRED: &[&str] = &[
    "README.md",
    "README.pt-BR.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "vigia.example.yaml",
];

pub(super) fn check(tree: &Tree) -> Report {
    let missing = REQUIRED.iter().filter(|path| tree.file(path).is_none());
    let mut violations: Vec<_> = missing.map(|path| Violation::new(path, 1, "is missing: write it")).collect();
    let mut links = 0;
    for file in tree.files.iter().filter(|file| file.suffix() == "md") {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in targets(file.text.as_deref().unwrap_or_default()) {
            links += 1;
            if !resolve(folder, &target).is_some_and(|path| tree.holds(&path)) {
                let what = format!("links to {target}, which is not in the repository: correct the path");
                violations.push(Violation::new(&file.path, line, what));
            }
        }
    }
    let is_script = |file: &File| file.path == ".ci/run" || (file.top() == "scripts" && file.suffix() == "sh");
    for file in tree.files.iter().filter(|file| is_script(file) && !file.executable) {
        violations.push(Violation::new(&file.path, 1, format!("cannot be run: chmod +x {}", file.path)));
    }
    Report { looked_at: format!("{} documents, {links} local links", REQUIRED.len()), violations }
}

/// The local files that a document links to, each with its line, from 1.
///
/// Understood: `[a](b)`, `[a]: b` at the start of a line, and `src="b"` and `href="b"`; code is left out.
fn targets(document: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fence = None;
    for (index, line) in document.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        if mark.is_some() && (fence.is_none() || fence == mark) {
            fence = if fence.is_none() { mark } else { None };
            continue;
        }
        if fence.is_some() {
            continue;
        }
        let line = without_code(line);
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let quoted =
            ["src=\"", "href=\""].map(|name| line.split(name).skip(1).filter_map(|rest| rest.split('"').next()));
        let named = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
        for target in inline.chain(quoted.into_iter().flatten()).chain(named) {
            let target = target.split_whitespace().next().unwrap_or_default();
            let target = target.trim_start_matches('<').trim_end_matches('>');
            let target = target.split(['#', '?']).next().unwrap_or_default();
            // A colon before any slash is an address of its own: https:, mailto:, data:.
            let is_address = target.split('/').next().is_some_and(|start| start.contains(':'));
            if !target.is_empty() && !is_address && !target.starts_with("//") {
                found.push((index + 1, target.to_owned()));
            }
        }
    }
    found
}

/// The line without what stands between back quotes.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    let is_code = |index: usize| index % 2 == 1 && index + 1 < parts.len();
    parts.iter().enumerate().map(|(index, part)| if is_code(index) { "" } else { part }).collect()
}

/// The path from the root that a link in a document of `folder` means; `None` where it leaves the repository.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let (start, rest) = target.strip_prefix('/').map_or((folder, target), |rest| ("", rest));
    let mut path: Vec<&str> = start.split('/').filter(|part| !part.is_empty()).collect();
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                path.pop()?;
            }
            part => path.push(part),
        }
    }
    Some(path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(samples: &[(&str, &str)]) -> Vec<String> {
        let required =
            REQUIRED.iter().map(|path| (*path, "")).filter(|(path, _)| samples.iter().all(|it| it.0 != *path));
        let tree = Tree::of(&required.chain(samples.iter().copied()).collect::<Vec<_>>());
        check(&tree).violations.iter().map(|it| format!("{}:{} {}", it.file, it.line, it.what)).collect()
    }

    #[test]
    fn missing_documents_are_named() {
        assert_eq!(check(&Tree::of(&[])).violations.len(), REQUIRED.len());
        assert_eq!(found(&[]), [""; 0]);
    }

    #[test]
    fn dead_links_are_named() {
        let document = "[a](b.md) ![c](<../x.png> \"t\")\n\n[d]: e/f.md#g\n<img src=\"h.png\"> [i](../../j)";
        let found = found(&[("docs/a.md", document), ("x.png", ""), ("docs/e/f.md", "")]);
        assert_eq!(found.len(), 3);
        for (found, target) in found.iter().zip(["1 links to b.md", "4 links to ../../j", "4 links to h.png"]) {
            assert!(found.contains(target), "{found}");
        }
    }

    #[test]
    fn code_and_addresses_are_not_links() {
        let document =
            "`[a](b)` [c](https://d.example/e) [f](#g) [h](mailto:i@j)\n```sh\n[k](l)\n```\n[m](docs) [n](/docs/)";
        assert_eq!(found(&[("README.md", document), ("docs/a.md", "")]), [""; 0]);
    }

    #[test]
    fn scripts_must_run() {
        let found = found(&[("scripts/a.sh", ""), (".ci/run", ""), ("scripts/b.txt", "")]);
        assert!(found.len() == 2 && found[0].contains("chmod +x scripts/a.sh"), "{found:?}");
    }
}
