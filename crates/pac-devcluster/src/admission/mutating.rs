//! MutatingAdmissionPolicies.

use serde_json::Value;

use super::{Request, policy::Bound};
use crate::{error::ApiError, expression, object, patch};

/// Whether the policy wants to be asked again where another one changed the object after it.
pub(super) fn asks_again(bound: &Bound) -> bool {
    bound.policy["spec"]["reinvocationPolicy"] == "IfNeeded"
}

/// The object as the policy has it.
pub(super) fn mutate(request: &Request, bound: &Bound, object: &Value, old: Option<&Value>) -> Result<Value, ApiError> {
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
