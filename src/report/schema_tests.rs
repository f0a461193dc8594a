//! The published schemas: they describe what there is, and do not change unnoticed.
#![allow(clippy::unwrap_used)]

use serde_json::Value;

use super::SCHEMAS;
use super::json::generated;
use crate::measure::cell::Cell;
use crate::scenario::BUILTINS;
use crate::scenario::spec::CellSpec;

fn schema(name: &str) -> Value {
    let schema = SCHEMAS.iter().find(|schema| schema.name == name).unwrap();
    serde_json::from_str(schema.text).unwrap()
}

/// What of `value` a schema does not allow, as far as types, keys and references go: those that ours are made of.
fn complaints(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').unwrap();
        return complaints(root, root.pointer(pointer).unwrap(), value, at, found);
    }
    for key in ["anyOf", "oneOf"] {
        let Some(options) = schema[key].as_array() else { continue };
        let fits = options.iter().any(|option| {
            let mut found = Vec::new();
            complaints(root, option, value, at, &mut found);
            found.is_empty()
        });
        if !fits {
            found.push(format!("{at}: {value} fits no option"));
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_type = types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
    if !types.is_empty() && !is_type {
        found.push(format!("{at}: {kind}, not {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        found.push(format!("{at}: {value} is not one of {allowed:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{at}: {value} is not {}", schema["const"]));
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        complaints(root, &schema["items"], item, &format!("{at}[]"), found);
    }
    let Some(object) = value.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(required) {
            found.push(format!("{at}: no {required}"));
        }
    }
    for (key, value) in object {
        let at = format!("{at}.{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(schema), _) => complaints(root, schema, value, &at, found),
            (None, Value::Bool(false)) => found.push(format!("{at} is not foreseen")),
            (None, schema) if schema.is_object() => complaints(root, schema, value, &at, found),
            (None, _) => {}
        }
    }
}

fn check(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    complaints(schema, schema, value, "", &mut found);
    found
}

#[test]
fn every_scenario_fits_its_schema_and_a_misspelt_one_does_not() {
    let schema = schema("scenario");
    for builtin in BUILTINS {
        let scenario: Value = toml::from_str(builtin.text).unwrap();
        assert_eq!(check(&schema, &scenario), Vec::<String>::new(), "{}", builtin.name);
        let mut misspelt = scenario.clone();
        misspelt["load"]["cleints"] = 3.into();
        assert_eq!(check(&schema, &misspelt), [".load.cleints is not foreseen"]);
        let mut lacking = scenario;
        lacking["load"].as_object_mut().unwrap().remove("rate");
        assert_eq!(check(&schema, &lacking), [".load: no rate"]);
    }
}

#[test]
fn a_stored_cell_fits_its_schema_and_comes_back() {
    let schema = schema("cell");
    let cell = Cell::empty(CellSpec::example(), 1.5);
    let stored = serde_json::to_value(&cell).unwrap();
    assert_eq!(check(&schema, &stored), Vec::<String>::new());
    let read: Cell = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), stored);
    let mut wrong = stored;
    wrong["spec"]["clients"] = "many".into();
    assert_eq!(check(&schema, &wrong), [".spec.clients: string, not [\"integer\"]"]);
}

/// Whoever reads our files reads them by these. A change that takes something away needs a new `SCHEMA_VERSION`.
#[test]
fn no_schema_changes_unnoticed() {
    for (name, text) in generated() {
        let is_so = SCHEMAS.iter().any(|schema| schema.name == name && schema.text == text);
        assert!(is_so, "src/report/schemas/{name}.json should be:\n{text}");
    }
}
