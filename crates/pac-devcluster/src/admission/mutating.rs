//! MutatingAdmissionPolicies.

use serde_json::Value;

use super::{Request, policy::Bound};
use crate::{error::ApiError, expression, object, patch};

/// The object as the policies have it. Those that ask for it are asked again where one after them changed the object.
pub(super) fn mutate(
    request: &Request,
    policies: &[Bound],
    mut object: Value,
    old: Option<&Value>,
) -> Result<Value, ApiError> {
    let mut last_change = None;
    for (place, bound) in policies.iter().enumerate() {
        let mutated = mutate_by(request, bound, &object, old)?;
        if mutated != object {
            (object, last_change) = (mutated, Some(place));
        }
    }
    for bound in &policies[..last_change.unwrap_or_default()] {
        if bound.policy["spec"]["reinvocationPolicy"] == "IfNeeded" {
            object = mutate_by(request, bound, &object, old)?;
        }
    }
    Ok(object)
}

fn mutate_by(request: &Request, bound: &Bound, object: &Value, old: Option<&Value>) -> Result<Value, ApiError> {
    evaluate(request, bound, object, old).or_else(|why| {
        if bound.ignores_failures() {
            return Ok(object.clone());
        }
        let (name, binding) = (object::name(&bound.policy), object::name(&bound.binding));
        let message = format!("policy '{name}' with binding '{binding}' denied request: {why}");
        let forbidden = ApiError::forbidden(request.resource, request.shown_name(object), "").caused_by(&message);
        Err(ApiError { reason: "Invalid".to_owned(), message, ..forbidden })
    })
}

fn evaluate(request: &Request, bound: &Bound, object: &Value, old: Option<&Value>) -> Result<Value, String> {
    if !bound.is_for(request, [Some(object), old])? {
        return Ok(object.clone());
    }
    let Some(mut inputs) = bound.inputs(request, object, old)? else { return Ok(object.clone()) };
    let mut result = object.clone();
    for mutation in bound.list("mutations") {
        inputs.insert("object", result.clone());
        let expression = object::text_at(mutation, "/jsonPatch/expression").ok_or("only JSON Patches are known")?;
        let operations = expression::evaluate(expression, &inputs)?;
        result = patch::json_patch(&result, &operations).map_err(|error| error.message)?;
    }
    Ok(result)
}
