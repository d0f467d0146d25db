//! What a configuration may hold: the tables, their settings, and which of them are lists or maps of tables.

use std::rc::Rc;

use confique::{
    Config,
    meta::{Field, FieldKind},
};
use serde::Deserialize as _;
use toml::{Table, Value};

use crate::config::{
    llm::ProviderSettings,
    senders::{KeySettings, SealKeyScope, SourceSettings, TenantSettings},
    settings::Settings,
};

/// Can this table, holding one setting, be read?
type Accepts = Rc<dyn Fn(Table) -> Result<(), String>>;

/// A table of settings.
pub(super) struct Shape {
    pub(super) fields: Vec<Field>,
    accepts: Accepts,
}

/// What a setting is that is more than one value.
pub(super) enum Inside {
    /// Tables by a name of the user's choice.
    Map(Shape),
    /// A list of tables.
    List(Shape),
}

impl Shape {
    /// The whole configuration.
    pub(super) fn settings() -> Self {
        Self::of::<Settings>()
    }

    fn of<C: Config>() -> Self {
        let accepts = |table| {
            C::Layer::deserialize(Value::Table(table)).map(drop).map_err(|error| error.message().to_owned())
        };
        Self { fields: C::META.fields.to_vec(), accepts: Rc::new(accepts) }
    }

    /// One table out of the settings of both.
    fn joined(self, other: Self) -> Self {
        let names: Vec<&str> = other.fields.iter().map(|field| field.name).collect();
        let (first, second) = (self.accepts, other.accepts);
        let accepts = move |table: Table| {
            let is_second = table.keys().all(|key| names.contains(&key.as_str()));
            if is_second { second(table) } else { first(table) }
        };
        Self { fields: [self.fields, other.fields].concat(), accepts: Rc::new(accepts) }
    }

    /// A section of this table.
    pub(super) fn section(&self, field: &Field) -> Option<Self> {
        let FieldKind::Nested { meta } = field.kind else { return None };
        let (outer, name) = (self.accepts.clone(), field.name);
        let accepts = move |table| outer(Table::from_iter([(name.to_owned(), Value::Table(table))]));
        Some(Self { fields: meta.fields.to_vec(), accepts: Rc::new(accepts) })
    }

    /// Can this setting have this value?
    pub(super) fn accepts(&self, name: &str, value: &Value) -> Result<(), String> {
        (self.accepts)(Table::from_iter([(name.to_owned(), value.clone())]))
    }
}

/// What stands inside the setting at this path, in which every free name is `*`.
pub(super) fn inside(path: &str) -> Option<Inside> {
    match path {
        "sources" => Some(Inside::Map(Shape::of::<SourceSettings>())),
        "tenants" => Some(Inside::Map(Shape::of::<TenantSettings>())),
        "llm.providers" => Some(Inside::Map(Shape::of::<ProviderSettings>())),
        "sources.*.keys" | "sources.*.legacy_keys" => Some(Inside::List(Shape::of::<KeySettings>())),
        "seal.keys" => Some(Inside::List(Shape::of::<KeySettings>().joined(Shape::of::<SealKeyScope>()))),
        _ => None,
    }
}

/// Does the setting at this path hold a reference to a secret?
pub(super) fn is_secret(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path);
    path == "store.url" || matches!(name, "secret" | "api_key" | "access_token")
}

/// `section.name`, or the name alone at the top.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A place in the configuration: as people read it, and with `*` for every free name.
#[derive(Default)]
pub(super) struct Place {
    pub(super) shown: String,
    pub(super) pattern: String,
}

impl Place {
    pub(super) fn child(&self, name: &str) -> Self {
        Self { shown: join(&self.shown, name), pattern: join(&self.pattern, name) }
    }

    pub(super) fn entry(&self, name: &str) -> Self {
        Self { shown: join(&self.shown, name), pattern: join(&self.pattern, "*") }
    }

    pub(super) fn item(&self, index: usize) -> Self {
        Self { shown: format!("{}[{index}]", self.shown), pattern: join(&self.pattern, "*") }
    }
}
