//! The little HTTP the demo speaks with its own processes on loopback.

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The body of a GET; an error unless the answer is a good one.
pub(crate) fn get(url: &str) -> Result<String> {
    let mut answer = ureq::get(url).call().with_context(|| format!("GET {url}"))?;
    Ok(answer.body_mut().read_to_string()?)
}

/// The body of a GET as JSON.
pub(crate) fn get_json<T: DeserializeOwned>(url: &str) -> Result<T> {
    serde_json::from_str(&get(url)?).with_context(|| format!("GET {url} answered something else than expected"))
}

/// POSTs an object of Kubernetes.
pub(crate) fn create(url: &str, object: &Value) -> Result<()> {
    ureq::post(url).send_json(object).with_context(|| format!("POST {url} {}", object["metadata"]["name"]))?;
    Ok(())
}

/// DELETEs an object of Kubernetes.
pub(crate) fn delete(url: &str) -> Result<()> {
    ureq::delete(url).call().with_context(|| format!("DELETE {url}"))?;
    Ok(())
}
