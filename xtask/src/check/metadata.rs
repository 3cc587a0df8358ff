//! Cargo's view of the packages: what is depended on, by whom, for what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::env;
use std::fmt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The packages that a build on this machine with the default features takes, development dependencies included.
#[derive(Default)]
pub(super) struct Metadata {
    /// By cargo's package id.
    pub(super) packages: BTreeMap<String, Package>,
}

/// One package.
#[derive(Default)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// As its manifest declares it.
    pub(super) licence: Option<String>,
    /// Whether it is a crate of this workspace.
    pub(super) is_member: bool,
    /// What its manifest names, whether or not this machine or these features need it.
    pub(super) declared: Vec<Declared>,
    /// The ids of the packages that its library is built with: neither development nor build dependencies.
    pub(super) normal: BTreeSet<String>,
}

/// One line of `[dependencies]` and its like.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) optional: bool,
}

/// The table that a dependency stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Normal,
    Build,
    Development,
}

/// Why cargo's view is not there.
#[derive(Debug)]
pub(super) enum MetadataError {
    /// `cargo metadata` did not run or failed; holds its message.
    Cargo(String),
    /// What it printed is not the format that this tool knows.
    Format,
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cargo(message) => write!(f, "'cargo metadata' failed, make it run first: {}", message.trim()),
            Self::Format => write!(f, "'cargo metadata' printed another format: update xtask/src/check/metadata.rs"),
        }
    }
}

impl Metadata {
    /// Asks cargo, first without a network: whoever runs this has just built the workspace.
    pub(super) fn load(root: &Path) -> Result<Self, MetadataError> {
        let version = cargo(root, &["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or(MetadataError::Format)?;
        let arguments = ["metadata", "--format-version", "1", "--filter-platform", host];
        let offline: Vec<&str> = arguments.into_iter().chain(["--offline"]).collect();
        let printed = cargo(root, &offline).or_else(|_| cargo(root, &arguments))?;
        let value = serde_json::from_str(&printed).ok().ok_or(MetadataError::Format)?;
        Self::parse(&value).ok_or(MetadataError::Format)
    }

    /// Reads the JSON of `cargo metadata --format-version 1`.
    fn parse(value: &Value) -> Option<Self> {
        let members: BTreeSet<&str> = value["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
        let mut packages = BTreeMap::new();
        for package in value["packages"].as_array()? {
            let id = package["id"].as_str()?;
            let declared = package["dependencies"].as_array()?.iter().map(declared).collect::<Option<_>>()?;
            let package = Package {
                name: package["name"].as_str()?.to_owned(),
                version: package["version"].as_str()?.to_owned(),
                licence: package["license"].as_str().map(str::to_owned),
                is_member: members.contains(id),
                declared,
                normal: BTreeSet::new(),
            };
            packages.insert(id.to_owned(), package);
        }
        for node in value["resolve"]["nodes"].as_array()? {
            let package = packages.get_mut(node["id"].as_str()?)?;
            for dependency in node["deps"].as_array()? {
                if dependency["dep_kinds"].as_array()?.iter().any(|kind| kind["kind"].is_null()) {
                    package.normal.insert(dependency["pkg"].as_str()?.to_owned());
                }
            }
        }
        Some(Self { packages })
    }

    /// The crates of the workspace.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Package)> {
        self.packages.iter().filter(|(_, package)| package.is_member).map(|(id, package)| (id.as_str(), package))
    }

    /// The shortest chain of names from the package `id` to one that `is_wanted`, over normal dependencies only.
    pub(super) fn path(&self, id: &str, is_wanted: impl Fn(&str) -> bool) -> Option<Vec<&str>> {
        let (id, _) = self.packages.get_key_value(id)?;
        let mut seen = BTreeSet::from([id.as_str()]);
        let mut chains = VecDeque::from([vec![id.as_str()]]);
        while let Some(chain) = chains.pop_front() {
            let package = self.packages.get(*chain.last()?)?;
            if chain.len() > 1 && is_wanted(&package.name) {
                return chain.iter().map(|id| self.packages.get(*id).map(|package| package.name.as_str())).collect();
            }
            for next in &package.normal {
                if seen.insert(next) {
                    chains.push_back(chain.iter().copied().chain([next.as_str()]).collect());
                }
            }
        }
        None
    }
}

fn declared(value: &Value) -> Option<Declared> {
    let kind = match value["kind"].as_str() {
        None => Kind::Normal,
        Some("build") => Kind::Build,
        Some(_) => Kind::Development,
    };
    Some(Declared { name: value["name"].as_str()?.to_owned(), kind, optional: value["optional"].as_bool()? })
}

/// What cargo prints.
fn cargo(root: &Path, arguments: &[&str]) -> Result<String, MetadataError> {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program).args(arguments).current_dir(root).output();
    let output = output.map_err(|error| MetadataError::Cargo(error.to_string()))?;
    if !output.status.success() {
        return Err(MetadataError::Cargo(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).ok().ok_or(MetadataError::Format)
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// A workspace of these crates, each with its normal dependencies; whoever is not listed comes from outside.
    pub(crate) fn workspace(crates: &[(&str, &[&str])]) -> Metadata {
        let mut metadata = Metadata::default();
        let package = |name: &str| Package { name: name.to_owned(), ..Package::default() };
        for (name, dependencies) in crates {
            for name in *dependencies {
                metadata.packages.entry((*name).to_owned()).or_insert_with(|| package(name));
            }
            let entry = metadata.packages.entry((*name).to_owned()).or_insert_with(|| package(name));
            entry.is_member = name.starts_with("vigia");
            entry.normal = dependencies.iter().map(|name| (*name).to_owned()).collect();
            let declared = |name: &&str| Declared { name: (*name).to_owned(), kind: Kind::Normal, optional: false };
            entry.declared = dependencies.iter().map(declared).collect();
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cargos_format_is_read() {
        let package = |id: &str, dependencies: Value| json!({"id": id, "name": id, "version": "1.0.0", "license": "MIT", "dependencies": dependencies});
        let value = json!({
            "workspace_members": ["a"],
            "packages": [
                package("a", json!([{"name": "b", "kind": null, "optional": true}, {"name": "c", "kind": "dev", "optional": false}])),
                package("b", json!([])),
                package("c", json!([])),
            ],
            "resolve": {"nodes": [
                {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}]}, {"pkg": "c", "dep_kinds": [{"kind": "dev"}]}]},
            ]},
        });
        let metadata = Metadata::parse(&value).expect("the format");
        let a = &metadata.packages["a"];
        assert!(a.is_member && a.declared[0].optional && a.declared[1].kind == Kind::Development);
        assert_eq!(metadata.path("a", |name| name == "b"), Some(vec!["a", "b"]));
        assert_eq!(metadata.path("a", |name| name == "c"), None);
        assert!(Metadata::parse(&json!({})).is_none());
    }

    #[test]
    fn a_chain_is_the_shortest() {
        let metadata =
            samples::workspace(&[("vigia", &["a", "b"]), ("a", &["b"]), ("b", &["vigia-core"]), ("vigia-core", &[])]);
        assert_eq!(metadata.path("vigia", |name| name == "vigia-core"), Some(vec!["vigia", "b", "vigia-core"]));
    }
}
