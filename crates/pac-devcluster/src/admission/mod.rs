//! MutatingAdmissionPolicies: whatever policies are stored here change what is written, as in a real cluster.
//!
//! Of the API it has what a policy of this project's kind uses: rules on groups, versions, operations and resources,
//! match conditions, variables, one parameter by name, and mutations by JSON Patch. A policy that says more is refused
//! when it matches, as one that can't be evaluated is.

mod expression;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    error::ApiError,
    object, patch,
    resource::{self, ResourceType},
    store::Store,
};

/// The policies for one request, with their parameters as they were when it came.
#[derive(Debug, Default)]
pub(crate) struct Policies(Vec<Bound>);

/// A policy by one of its bindings.
#[derive(Debug)]
struct Bound {
    policy: Arc<Value>,
    binding: String,
    /// The parameter; an error if there must be one and there is none.
    params: Result<Value, String>,
}

// === impl Policies ===

impl Policies {
    /// Those that are for this operation (`CREATE`, `UPDATE`) on this resource.
    pub(crate) fn of(store: &Store, resource: &ResourceType, operation: &str) -> Self {
        let Some(bindings) = resource::by_plural("mutatingadmissionpolicybindings") else { return Self(Vec::new()) };
        let (_, bindings) = store.list_stored(bindings, None);
        let bound = bindings.iter().filter_map(|binding| Bound::of(store, &binding.object));
        Self(bound.filter(|bound| bound.is_for(resource, operation)).collect())
    }

    /// The object as the policies have it.
    pub(crate) fn mutate(&self, mut object: Value, old: Option<&Value>) -> Result<Value, ApiError> {
        for bound in &self.0 {
            match bound.mutate(&object, old) {
                Ok(mutated) => object = mutated,
                Err(why) if bound.spec("failurePolicy") == Some(&json!("Ignore")) => drop(why),
                Err(why) => {
                    let (name, binding) = (object::name(&bound.policy), &bound.binding);
                    let message = format!("policy '{name}' with binding '{binding}' denied request: {why}");
                    return Err(ApiError::new(500, "InternalError", message));
                }
            }
        }
        Ok(object)
    }
}

// === impl Bound ===

impl Bound {
    /// `None` where there is nothing to do: no such policy, or no parameter where that is allowed.
    fn of(store: &Store, binding: &Value) -> Option<Self> {
        let policy = object::text_at(binding, "/spec/policyName")?;
        let policy = store.get("mutatingadmissionpolicies", "", policy)?;
        let params = match binding.pointer("/spec/paramRef") {
            None => Ok(Value::Null),
            Some(reference) => match parameter(store, &policy, reference) {
                Some(found) => Ok(Value::clone(&found)),
                None if reference["parameterNotFoundAction"] == "Deny" => {
                    Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned())
                }
                None => return None,
            },
        };
        Some(Self { binding: object::name(binding).to_owned(), policy, params })
    }

    fn spec(&self, field: &str) -> Option<&Value> {
        self.policy.get("spec")?.get(field)
    }

    fn list<'a>(&'a self, field: &str) -> impl Iterator<Item = &'a Value> {
        self.spec(field).and_then(Value::as_array).into_iter().flatten()
    }

    fn is_for(&self, resource: &ResourceType, operation: &str) -> bool {
        let rules = self.policy.pointer("/spec/matchConstraints/resourceRules").and_then(Value::as_array);
        let has = |rule: &Value, field: &str, wanted: &str| {
            let mut listed = rule[field].as_array().into_iter().flatten();
            listed.any(|one| *one == *wanted || *one == "*")
        };
        rules.into_iter().flatten().any(|rule| {
            has(rule, "apiGroups", resource.group)
                && has(rule, "apiVersions", resource.version)
                && has(rule, "resources", resource.plural)
                && has(rule, "operations", operation)
        })
    }

    fn mutate(&self, object: &Value, old: Option<&Value>) -> Result<Value, String> {
        let params = self.params.clone()?;
        let old = old.cloned().unwrap_or(Value::Null);
        let mut variables = BTreeMap::from([("object", object.clone()), ("oldObject", old), ("params", params)]);
        for condition in self.list("matchConditions") {
            if expression::evaluate(text(condition, "expression")?, &variables)? != json!(true) {
                return Ok(object.clone());
            }
        }
        let mut own = json!({});
        for variable in self.list("variables") {
            variables.insert("variables", own.clone());
            own[text(variable, "name")?] = expression::evaluate(text(variable, "expression")?, &variables)?;
        }
        variables.insert("variables", own);
        let mut result = object.clone();
        for mutation in self.list("mutations") {
            variables.insert("object", result.clone());
            let expression = object::text_at(mutation, "/jsonPatch/expression").ok_or("only JSON Patches are known")?;
            let operations = expression::evaluate(expression, &variables)?;
            result = patch::json_patch(&result, &operations).map_err(|error| error.message)?;
        }
        Ok(result)
    }
}

fn parameter(store: &Store, policy: &Value, reference: &Value) -> Option<Arc<Value>> {
    let kind = object::text_at(policy, "/spec/paramKind/kind")?;
    let resource = resource::RESOURCES.iter().find(|resource| resource.kind == kind)?;
    store.get(resource.plural, reference["namespace"].as_str().unwrap_or_default(), reference["name"].as_str()?)
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, String> {
    value[field].as_str().ok_or_else(|| format!("{field} is missing"))
}
