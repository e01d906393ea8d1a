//! ValidatingAdmissionPolicies.

use serde_json::Value;

use super::{
    Request,
    policy::{Bound, Inputs, text},
};
use crate::{error::ApiError, expression, object};

/// Why a policy refuses a request.
struct Denial {
    reason: String,
    message: String,
}

/// Refuses what a policy refuses whose binding has the action `Deny`.
pub(super) fn validate(
    request: &Request,
    policies: &[Bound],
    object: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    for bound in policies {
        let denial = judge(request, bound, object, old).unwrap_or_else(|failure| match bound.ignores_failures() {
            true => None,
            false => Some(Denial { reason: "Invalid".to_owned(), message: failure }),
        });
        if let Some(denial) = denial
            && denies(&bound.binding)
        {
            return Err(denial.refuse(request, bound, object));
        }
    }
    Ok(())
}

/// The other actions leave a trace for people and let the request pass.
fn denies(binding: &Value) -> bool {
    binding["spec"]["validationActions"].as_array().into_iter().flatten().any(|action| action == "Deny")
}

fn judge(request: &Request, bound: &Bound, object: &Value, old: Option<&Value>) -> Result<Option<Denial>, String> {
    if !bound.is_for(request, [Some(object), old])? {
        return Ok(None);
    }
    let Some(inputs) = bound.inputs(request, object, old)? else { return Ok(None) };
    for validation in bound.list("validations") {
        match expression::evaluate(text(validation, "expression")?, &inputs) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => return Ok(Some(Denial::of(validation, &inputs))),
            Err(_) if bound.ignores_failures() => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(None)
}

// === impl Denial ===

impl Denial {
    fn of(validation: &Value, inputs: &Inputs) -> Self {
        let evaluated =
            validation["messageExpression"].as_str().and_then(|text| expression::evaluate(text, inputs).ok());
        let evaluated = evaluated.as_ref().and_then(Value::as_str).map(str::trim).filter(|text| !text.contains('\n'));
        let fixed = validation["message"].as_str().map(str::trim);
        let message = evaluated.filter(|text| !text.is_empty()).or(fixed.filter(|text| !text.is_empty()));
        let expression = validation["expression"].as_str().unwrap_or_default().trim();
        Self {
            reason: validation["reason"].as_str().unwrap_or("Invalid").to_owned(),
            message: message.map_or_else(|| format!("failed expression: {expression}"), str::to_owned),
        }
    }

    fn refuse(self, request: &Request, bound: &Bound, object: &Value) -> ApiError {
        let (name, binding) = (object::name(&bound.policy), object::name(&bound.binding));
        let why =
            format!("ValidatingAdmissionPolicy '{name}' with binding '{binding}' denied request: {}", self.message);
        let code = match self.reason.as_str() {
            "Forbidden" => 403,
            "Unauthorized" => 401,
            "RequestEntityTooLarge" => 413,
            _ => 422,
        };
        let forbidden = ApiError::forbidden(request.resource, request.shown_name(object), &why).caused_by(&why);
        ApiError { code, reason: self.reason, ..forbidden }
    }
}
