//! In which form a client wants objects: whole, metadata only, or as rows of a table.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    conversion, object,
    resource::ResourceType,
    store::Stored,
    table::{self, IncludeObject},
};

/// The form asked for by the `Accept` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Full,
    Metadata,
    Table(IncludeObject),
}

// === impl Form ===

impl Form {
    /// The first form in the header that is known; `includeObject` is the query parameter of tables.
    pub(crate) fn of(accept: &str, include_object: Option<&str>) -> Self {
        let include = match include_object {
            Some("None") => IncludeObject::Nothing,
            Some("Object") => IncludeObject::Object,
            _ => IncludeObject::Metadata,
        };
        let wanted = |part: &str| {
            if part.contains("as=Table") {
                Some(Self::Table(include))
            } else if part.contains("as=PartialObjectMetadata") {
                Some(Self::Metadata)
            } else if part.trim().starts_with("application/json") || part.contains("*/*") {
                Some(Self::Full)
            } else {
                None
            }
        };
        accept.split(',').find_map(wanted).unwrap_or(Self::Full)
    }

    /// One stored object in this form, as JSON.
    pub(crate) fn encode(self, resource: &ResourceType, stored: &Stored) -> Bytes {
        if self == Self::Full && !conversion::is_converted(resource) {
            return stored.encoded();
        }
        Bytes::from(self.value(resource, &stored.object).to_string())
    }

    /// One object in this form.
    pub(crate) fn value(self, resource: &ResourceType, value: &Value) -> Value {
        match self {
            Self::Full => conversion::to_served(resource, value.clone()),
            Self::Metadata => table::partial_metadata(value),
            Self::Table(include) => {
                let version = object::meta(value, "resourceVersion");
                table::table(resource, include, json!({ "resourceVersion": version }), std::iter::once(value))
            }
        }
    }

    /// A bookmark's object: nothing but its kind and a resourceVersion, and the mark that ends a streamed list.
    pub(crate) fn bookmark(self, resource: &ResourceType, revision: u64, initial_end: bool) -> Value {
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if initial_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        match self {
            Self::Full => json!({ "apiVersion": resource.api_version(), "kind": resource.kind, "metadata": metadata }),
            Self::Metadata => {
                json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata })
            }
            Self::Table(_) => table::table(resource, IncludeObject::Nothing, metadata, std::iter::empty()),
        }
    }
}
