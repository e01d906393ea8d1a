//! A write from outside on its way into the store: what admission makes of it, whether its type allows it, what admission
//! says to the result.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    admission::{Admission, Request},
    error::ApiError,
    schema,
    store::{Key, Part, Store, Stored, Updated},
};

/// Writes one object, for whoever asked for it.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    store: &'a Store,
    admission: Admission,
    /// Whether fields that the type doesn't know are refused.
    strict: bool,
}

// === impl Writer ===

impl<'a> Writer<'a> {
    pub(crate) fn new(store: &'a Store, request: Request) -> Self {
        Self { store, admission: Admission::of(store, request), strict: false }
    }

    pub(crate) fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    pub(crate) fn create(&self, value: Value) -> Result<Arc<Stored>, ApiError> {
        let request = self.admission.request();
        let value = self.admission.mutate(value, None)?;
        schema::check(request.resource, &value, self.strict)?;
        let prepared = Store::prepared(request.resource, &request.namespace, value)?;
        self.admission.validate(&prepared, None)?;
        self.store.insert_object(request.resource, &request.namespace, prepared, request.dry_run)
    }

    /// Changes the object by what `change` makes of its current version.
    pub(crate) fn update(
        &self,
        key: &Key,
        part: Part,
        change: &dyn Fn(&Value) -> Result<Value, ApiError>,
    ) -> Result<Updated, ApiError> {
        let request = self.admission.request();
        self.store.update_object(request.resource, key, part, request.dry_run, &mut |current| {
            let mutated = self.admission.mutate(change(current)?, Some(current))?;
            schema::check(request.resource, &mutated, self.strict)?;
            let updated = Store::updated(request.resource, part, current, mutated)?;
            self.admission.validate(&updated, Some(current))?;
            Ok(updated)
        })
    }
}
