//! Variables of the environment that go before the configuration file: `VIGIA_SERVER__LISTEN=0.0.0.0:80`.
//!
//! The configuration is written out as a tree, the variables' values are put into it, and the tree is read again: a
//! value from the environment meets the same checks as one from the file. Values of a stream's source, and of where events
//! are kept, never get into a message.

use std::env;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::events::OPEN;
use super::streams::KEYS;
use super::{Config, hints};

/// The name and value of a variable.
pub(super) type Variable = (String, String);

const PREFIX: &str = "VIGIA_";
/// Keys at the top that hold one value; everything else needs a double underscore to be told from variables that are
/// no keys.
const TOP: [&str; 3] = ["DATA_DIR", "ONNXRUNTIME", "MODEL_DIR"];
/// No key lies deeper.
const DEEPEST: usize = 8;

/// Those variables of this process that may be meant for the configuration.
///
/// # Errors
/// The name of one that is not UTF-8.
pub(super) fn variables() -> Result<Vec<Variable>, String> {
    let mut found = Vec::new();
    for (name, value) in env::vars_os() {
        let Some(name) = name.to_str().filter(|name| segments(name).is_some()) else { continue };
        let value = value.into_string().map_err(|_not_unicode| format!("variable {name}: its value is not UTF-8"))?;
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

/// The keys that a variable names, one for each level; `None` for other variables.
fn segments(name: &str) -> Option<Vec<&str>> {
    let rest = name.strip_prefix(PREFIX)?;
    if TOP.contains(&rest) {
        return Some(vec![rest]);
    }
    rest.contains("__").then(|| rest.split("__").collect())
}

/// A variable whose keys have been found.
struct Override<'a> {
    variable: &'a Variable,
    path: Vec<String>,
    value: Value,
}

impl Override<'_> {
    /// The variable as it may be shown.
    fn shown(&self) -> String {
        let (name, value) = self.variable;
        if may_be_secret(&self.path) {
            return format!("variable {name}");
        }
        format!("variable {name}={:?}", hints::short(&hints::without_secrets(value), 100))
    }

    fn failed(&self, message: &str) -> String {
        let message = hints::reworded(message);
        let message = match hints::expected(&message) {
            Some(expected) => format!("expected {expected}"),
            None if may_be_secret(&self.path) && message.starts_with('"') => "it cannot be used".to_owned(),
            None => hints::without_secrets(&message),
        };
        format!("{}: {}", self.shown(), hints::short(&message, 400))
    }
}

/// True for a stream's source, for a whole stream, for where events are kept, and for what may be one of these with a
/// mistyped key.
fn may_be_secret(path: &[String]) -> bool {
    let is_open = |key: &String| KEYS.iter().any(|(known, _)| known == key && *known != "source");
    let Some(section) = path.first() else { return false };
    match hints::close(section, ["streams", "events"]) {
        Some("streams") => !path.get(2).is_some_and(is_open),
        Some(_events) => !path.get(1).is_some_and(|key| OPEN.contains(&key.as_str())),
        None => false,
    }
}

/// The configuration with the variables' values in it; it is not validated yet.
///
/// # Errors
/// The variable that is wrong, its value and what was expected.
pub(super) fn apply(config: Config, variables: &[Variable]) -> Result<Config, String> {
    let mut named: Vec<(&Variable, Vec<&str>)> = variables
        .iter()
        // As an unset one, like the other variables of vigia.
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|variable| Some((variable, segments(&variable.0)?)))
        .collect();
    if named.is_empty() {
        return Ok(config);
    }
    // What names a whole entry comes before what names a key in it, whatever order the system has.
    named.sort();
    let mut tree = serde_json::to_value(&config).map_err(|e| e.to_string())?;
    let mut overrides = Vec::new();
    for (variable, segments) in named {
        let placed = place(&mut tree, variable, &segments)?;
        overrides.push(placed);
    }
    // Each value was right by itself; a new entry may still lack a key that it cannot be without.
    serde_json::from_value(tree.clone()).map_err(|e| {
        let message = hints::reworded(&e.to_string());
        let missing = message.split('`').nth(1).unwrap_or_default();
        let entry = |o: &Override<'_>| tree.get(o.path.first()?)?.get(o.path.get(1)?);
        let lacks = |o: &&Override<'_>| entry(o).is_some_and(|entry| entry.get(missing).is_none());
        let names = overrides.iter().filter(lacks).map(|o| o.variable.0.as_str()).collect::<Vec<_>>();
        format!("{}: {message} of the same entry", names.join(", "))
    })
}

/// The variables that a message about the whole is due to, to be named in it.
pub(super) fn names(variables: &[Variable], message: &str) -> String {
    // A message begins with the key that it is about: "streams.door: every must be".
    let key = message.split([':', ' ']).next().unwrap_or_default().replace('-', "_").to_lowercase();
    let section = key.split('.').next().unwrap_or_default();
    let mut all: Vec<(&str, String)> = variables
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| Some((name.as_str(), segments(name)?.join(".").to_lowercase())))
        .collect();
    all.sort();
    let about = |test: &dyn Fn(&str) -> bool| {
        let names: Vec<&str> = all.iter().filter(|(_, path)| test(path)).map(|(name, _)| *name).collect();
        (!names.is_empty()).then_some(names)
    };
    let within = |path: &str, key: &str| path.strip_prefix(key).is_some_and(|r| r.is_empty() || r.starts_with('.'));
    let names = about(&|path| within(path, &key)).or_else(|| about(&|path| within(path, section)));
    names.or_else(|| about(&|_| true)).unwrap_or_default().join(", ")
}

/// Puts a variable's value where it belongs, if it is one that can stand there.
fn place<'a>(tree: &mut Value, variable: &'a Variable, segments: &[&str]) -> Result<Override<'a>, String> {
    let (name, text) = variable;
    if segments.len() > DEEPEST {
        return Err(format!("variable {} names more levels than there are", hints::short(name, 100)));
    }
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(format!(
            "variable {name} lacks a key: it is {PREFIX}SECTION__KEY, with two underscores between levels"
        ));
    }
    let path = resolve(tree, segments).map_err(|why| format!("variable {name}: {why}"))?;
    let raw = Value::String(text.clone());
    let (first, second) = match super::yaml::<Value>(text) {
        // A folder may be called 2024, a pipeline "on".
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => (value, Some(raw)),
        Ok(value) => (value, None),
        // An address need not be YAML.
        Err(_) => (raw, None),
    };
    let mut placed = Override { variable, path, value: first };
    let mut outcome = fits(tree, &placed);
    if let (Err(message), Some(second)) = (&outcome, second) {
        let message = message.clone();
        placed.value = second;
        outcome = fits(tree, &placed).map_err(|_about_the_text| message);
    }
    outcome.map_err(|message| placed.failed(&message))?;
    set(tree, &placed.path, placed.value.clone()).map_err(|message| placed.failed(&message))?;
    Ok(placed)
}

/// The keys as the configuration writes them.
fn resolve(tree: &Value, segments: &[&str]) -> Result<Vec<String>, String> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let (mut path, mut node) = (Vec::new(), Some(tree));
    for segment in segments {
        let existing = node.and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let mut matching = existing.filter(|key| plain(key) == plain(segment));
        let key = match (matching.next(), matching.next()) {
            (Some(one), Some(two)) => return Err(format!("`{segment}` may be {one} or {two}: rename one of them")),
            (Some(one), None) => one.clone(),
            (None, _) => segment.to_lowercase(),
        };
        node = node.and_then(|node| match node {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            other => other.get(&key),
        });
        path.push(key);
    }
    Ok(path)
}

/// Whether the configuration can be read with this value in it, keys that are still missing left aside.
fn fits(tree: &Value, candidate: &Override<'_>) -> Result<(), String> {
    let mut trial = tree.clone();
    set(&mut trial, &candidate.path, candidate.value.clone())?;
    for (section, key) in [("streams", "source"), ("models", "path"), ("pipelines", "detect")] {
        let entries = trial.get_mut(section).and_then(Value::as_object_mut);
        for entry in entries.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
            // A name stands for a name; where a table is wanted, one with a name.
            let stand_in = if key == "detect" { Value::Object(Map::new()) } else { "-".into() };
            let value = entry.entry(key).or_insert(stand_in);
            if let (Some(detect), "detect") = (value.as_object_mut(), key) {
                detect.entry("model").or_insert_with(|| "-".into());
            }
        }
    }
    serde_json::from_value::<Config>(trial).map(drop).map_err(|e| e.to_string())
}

/// Writes a value into the tree; levels that are not there come to be.
fn set(tree: &mut Value, path: &[String], value: Value) -> Result<(), String> {
    let mut node = tree;
    let mut above = String::new();
    for key in path {
        if node.is_null() {
            *node = Value::Object(Map::new());
        }
        node = match node {
            Value::Object(object) => object.entry(key).or_insert(Value::Null),
            Value::Array(items) => {
                let length = items.len();
                let item = key.parse::<usize>().ok().and_then(|at| items.get_mut(at));
                item.ok_or_else(|| {
                    format!("{above} is a list with {length} entries, counted from 0: there is no {key}")
                })?
            }
            _ => return Err(format!("{above} is a single value, there is no `{key}` in it")),
        };
        let dot = if above.is_empty() { "" } else { "." };
        let _always_fits = write!(above, "{dot}{key}");
    }
    *node = value;
    Ok(())
}

#[cfg(test)]
mod tests;
