//! A statement with its parameters, each of the type the statement has it.

use tokio_postgres::types::{ToSql, Type};

/// A statement, and what is bound to `$1`, `$2` and so on.
pub(crate) struct Statement<'p> {
    pub(crate) text: &'static str,
    parameters: Vec<(Box<dyn ToSql + Send + Sync + 'p>, Type)>,
}

// === impl Statement ===

impl<'p> Statement<'p> {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, parameters: Vec::new() }
    }

    pub(crate) fn text(self, value: &'p str) -> Self {
        self.bind(value, Type::TEXT)
    }

    pub(crate) fn text_if_any(self, value: Option<&'p str>) -> Self {
        self.bind(value, Type::TEXT)
    }

    pub(crate) fn number(self, value: impl Into<Option<i64>>) -> Self {
        self.bind(value.into(), Type::INT8)
    }

    pub(crate) fn seconds(self, value: f64) -> Self {
        self.bind(value, Type::FLOAT8)
    }

    pub(crate) fn texts(self, values: Vec<&'p str>) -> Self {
        self.bind(values, Type::TEXT_ARRAY)
    }

    pub(crate) fn numbers(self, values: Vec<i64>) -> Self {
        self.bind(values, Type::INT8_ARRAY)
    }

    fn bind(mut self, value: impl ToSql + Send + Sync + 'p, r#type: Type) -> Self {
        self.parameters.push((Box::new(value), r#type));
        self
    }

    pub(crate) fn types(&self) -> Vec<Type> {
        self.parameters.iter().map(|(_, r#type)| r#type.clone()).collect()
    }

    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
        self.parameters.iter().map(|(value, _)| &**value as &(dyn ToSql + Sync))
    }
}
