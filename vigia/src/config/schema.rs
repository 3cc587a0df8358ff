//! The configuration as JSON Schema, for editors and for whoever writes one by program.

mod openapi;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::Config;

impl Config {
    /// The JSON Schema of `vigia.yaml`, draft 2020-12, with every key's meaning and default.
    ///
    /// It says what can be said of each key by itself; what keys have to do with each other, only reading the
    /// configuration tells.
    pub fn schema() -> Value {
        schema::<Self>(SchemaSettings::draft2020_12())
    }
}

fn schema<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let settings = settings.with_transform(RecursiveTransform(join_lines));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Where a line of the source ends, the reader's need not.
fn join_lines(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

#[cfg(test)]
mod tests;
