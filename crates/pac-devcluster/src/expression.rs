//! CEL as admission policies have it: strings, optionals, `jsonpatch.escapeKey` and `JSONPatch{…}`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use cel::{
    Context, DeclarationError, Env, ExecutionError, Program, StructType,
    common::{
        types::{CelMap, CelMapKey, CelString, STRING_TYPE, Type},
        value::{CowVal, Val},
    },
    extensions,
};
use parking_lot::Mutex;
use serde_json::Value;

/// One operation of a JSON Patch, as a map of its fields.
struct Operation(Type);

// === impl Operation ===

impl StructType for Operation {
    fn get_type(&self) -> &Type {
        &self.0
    }

    fn new_value<'b, 'v>(&self, fields: BTreeMap<String, CowVal<'b, 'v>>) -> Result<Box<dyn Val + 'v>, ExecutionError> {
        let mut entries: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::new();
        for (name, value) in fields {
            if !["op", "path", "from", "value"].contains(&name.as_str()) {
                return Err(ExecutionError::no_such_key(&name));
            }
            entries.insert(CelMapKey::from(name), value.into_owned());
        }
        Ok(Box::new(CelMap::from(entries)))
    }
}

/// What an expression comes to, or why it comes to nothing, as an API server says it.
pub(crate) fn evaluate(expression: &str, variables: &BTreeMap<&str, Value>) -> Result<Value, String> {
    let program = compile(expression)?;
    let mut context = Context::with_env(environment()?);
    // What it can't name needn't be made CEL's own, which takes longer than most expressions.
    for (name, value) in variables.iter().filter(|(name, _)| expression.contains(**name)) {
        context.add_variable(*name, value).map_err(|error| error.to_string())?;
    }
    let result = program.execute(&context).map_err(|error| {
        let problem = error.to_string();
        let mut letters = problem.chars();
        let first = letters.next().map(|letter| letter.to_ascii_lowercase()).into_iter();
        let problem: String = first.chain(letters).collect();
        format!("expression '{expression}' resulted in error: {problem}")
    })?;
    result.json().map_err(|error| error.to_string())
}

/// The program of an expression; each is compiled once.
pub(crate) fn compile(expression: &str) -> Result<Arc<Program>, String> {
    static PROGRAMS: Mutex<BTreeMap<String, Arc<Program>>> = Mutex::new(BTreeMap::new());
    if let Some(program) = PROGRAMS.lock().get(expression) {
        return Ok(Arc::clone(program));
    }
    let program = environment()?.compile(expression).map_err(|error| format!("compilation failed: {error}"))?;
    let program = Arc::new(program);
    PROGRAMS.lock().insert(expression.to_owned(), Arc::clone(&program));
    Ok(program)
}

fn environment() -> Result<Arc<Env>, String> {
    static ENVIRONMENT: OnceLock<Result<Arc<Env>, String>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| declare().map(Arc::new).map_err(|error| error.to_string())).clone()
}

fn declare() -> Result<Env, DeclarationError> {
    let mut environment = Env::stdlib();
    environment.add_extension(extensions::strings)?;
    environment.add_type(Operation(Type::new_struct("JSONPatch".to_owned())))?;
    environment.add_overload(
        "jsonpatch.escapeKey",
        "string_jsonpatch_escapeKey_string",
        vec![STRING_TYPE],
        |args| {
            let text = args.first().and_then(|argument| argument.downcast_ref::<CelString>());
            let text = text.ok_or_else(|| ExecutionError::function_error("jsonpatch.escapeKey", "not a string"))?;
            Ok(CowVal::owned(CelString::from(text.inner().replace('~', "~0").replace('/', "~1"))))
        },
    )?;
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_are_made_of_what_is_there() {
        let variables = BTreeMap::from([("object", json!({ "a": { "x/y~z": "1" } }))]);
        let expression =
            r#"[JSONPatch{op: "add", path: "/" + jsonpatch.escapeKey("x/y~z"), value: object.a["x/y~z"]}]"#;
        assert_eq!(
            evaluate(expression, &variables).unwrap(),
            json!([{ "op": "add", "path": "/x~1y~0z", "value": "1" }])
        );
        let missing = r#"object.?b.?c.orValue("none") + object.?a[?"x"].orValue("").trim().lowerAscii()"#;
        assert_eq!(evaluate(missing, &variables).unwrap(), json!("none"));
        let problem = evaluate("object.b", &variables).unwrap_err();
        assert_eq!(problem, "expression 'object.b' resulted in error: no such key: b");
        assert!(evaluate("object.", &variables).is_err());
        assert!(evaluate("JSONPatch{operation: 1}", &variables).is_err());
    }
}
