//! A policy by one of its bindings, and what its expressions know.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{Request, matching};
use crate::{expression, object, resource, store::Store};

/// The two kinds of policies, by the resources of policy and binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Mutating,
    Validating,
}

/// A policy by one of its bindings.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) policy: Arc<Value>,
    pub(super) binding: Arc<Value>,
    /// The parameter; an error if there must be one and there is none.
    params: Result<Value, String>,
}

/// What expressions know, by name.
pub(super) type Inputs = BTreeMap<&'static str, Value>;

// === impl Family ===

impl Family {
    fn resources(self) -> [&'static str; 2] {
        match self {
            Self::Mutating => ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"],
            Self::Validating => ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
        }
    }
}

// === impl Bound ===

impl Bound {
    /// Those whose rules cover the request, policy by policy.
    pub(super) fn all(store: &Store, family: Family, request: &Request) -> Vec<Self> {
        let [policies, bindings] = family.resources().map(|plural| store.list(plural, None, "").unwrap_or_default());
        let of_policy = |policy: Arc<Value>| {
            let name = object::name(&policy).to_owned();
            let own = bindings.iter().filter(move |binding| binding.pointer("/spec/policyName") == Some(&json!(name)));
            own.filter_map(move |binding| Self::of(store, &policy, binding))
        };
        let bound = policies.into_iter().flat_map(of_policy);
        bound.filter(|bound| bound.may_be_for(request)).collect()
    }

    /// `None` where there is nothing to do: no parameter where that is allowed.
    fn of(store: &Store, policy: &Arc<Value>, binding: &Arc<Value>) -> Option<Self> {
        let kind = object::text_at(policy, "/spec/paramKind/kind");
        let params = match kind.zip(binding.pointer("/spec/paramRef")) {
            None => Ok(Value::Null),
            Some((kind, reference)) => match parameter(store, kind, reference) {
                Some(found) => Ok(Value::clone(&found)),
                None if reference["parameterNotFoundAction"] == "Deny" => Err(
                    "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
                        .to_owned(),
                ),
                None => return None,
            },
        };
        Some(Self { binding: Arc::clone(binding), policy: Arc::clone(policy), params })
    }

    fn constraints(&self) -> [&Value; 2] {
        [&self.policy["spec"]["matchConstraints"], &self.binding["spec"]["matchResources"]]
    }

    fn may_be_for(&self, request: &Request) -> bool {
        self.constraints().iter().all(|constraints| matching::may_be_for(constraints, RULES, request))
    }

    /// Whether policy and binding are for this object.
    pub(super) fn is_for(&self, request: &Request, objects: [Option<&Value>; 2]) -> Result<bool, String> {
        let [policy, binding] =
            self.constraints().map(|constraints| matching::is_for(constraints, RULES, request, objects));
        Ok(policy? && binding?)
    }

    pub(super) fn list<'a>(&'a self, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.policy["spec"].get(field).and_then(Value::as_array).into_iter().flatten()
    }

    /// Whether what can't be evaluated lets the request pass.
    pub(super) fn ignores_failures(&self) -> bool {
        self.policy["spec"]["failurePolicy"] == "Ignore"
    }

    /// What the policy's expressions know; `None` if a match condition exempts the object.
    pub(super) fn inputs(
        &self,
        request: &Request,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<Option<Inputs>, String> {
        let mut inputs = inputs(request, object, old);
        inputs.insert("params", self.params.clone()?);
        if !conditions_hold(self.list("matchConditions"), &inputs)? {
            return Ok(None);
        }
        let mut variables = json!({});
        for variable in self.list("variables") {
            inputs.insert("variables", variables.clone());
            // One that can't be evaluated is missed by whoever uses it, and by nobody else.
            if let Ok(value) = expression::evaluate(text(variable, "expression")?, &inputs) {
                variables[text(variable, "name")?] = value;
            }
        }
        inputs.insert("variables", variables);
        Ok(Some(inputs))
    }
}

/// The name of the list of rules in policies and bindings.
const RULES: &str = "resourceRules";

/// What every expression knows.
pub(super) fn inputs(request: &Request, object: &Value, old: Option<&Value>) -> Inputs {
    let namespace = request.namespace_object.as_deref().cloned().unwrap_or_default();
    let mut inputs = BTreeMap::from([("object", object.clone()), ("request", request.to_value())]);
    inputs.extend([("oldObject", old.cloned().unwrap_or_default()), ("namespaceObject", namespace)]);
    inputs
}

/// Whether all conditions hold: one that is false decides, even beside one that can't be evaluated.
pub(super) fn conditions_hold<'a>(
    conditions: impl Iterator<Item = &'a Value>,
    inputs: &Inputs,
) -> Result<bool, String> {
    let mut problems = Vec::new();
    for condition in conditions {
        match expression::evaluate(text(condition, "expression")?, inputs) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => return Ok(false),
            Err(problem) => problems.push(problem),
        }
    }
    match problems.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        more => Err(format!("[{}]", more.join(", "))),
    }
}

pub(super) fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, String> {
    value[field].as_str().ok_or_else(|| format!("{field} is missing"))
}

fn parameter(store: &Store, kind: &str, reference: &Value) -> Option<Arc<Value>> {
    let resource = resource::RESOURCES.iter().find(|resource| resource.kind == kind)?;
    store.get(resource.plural, reference["namespace"].as_str().unwrap_or_default(), reference["name"].as_str()?)
}
