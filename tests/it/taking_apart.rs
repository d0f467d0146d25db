//! Bodies taken apart as their vendors mean them, without asking who sent them.

use longshore::{
    config::{FieldSettings, SourceSettings},
    domain::{
        envelope::HttpRequest,
        event::{Fact, Notice},
        reason::Reason,
    },
    sources::{
        inspect::{Seen, take_apart},
        rejection::ItemRejection,
        vendor,
    },
};
use serde_json::Value;

use crate::senders::{NOW, URL};

pub(crate) type Taken = Result<Seen, ItemRejection>;

/// The items of a body, by a source of this vendor with these fields.
pub(crate) fn items(vendor_name: &str, body: &[u8], fields: impl FnOnce(&mut FieldSettings)) -> Vec<Taken> {
    let mut settings = SourceSettings::of_vendor(vendor_name).unwrap();
    fields(&mut settings.fields);
    let (method, url) = ("POST".to_owned(), URL.to_owned());
    let request = HttpRequest { method, url, headers: Vec::new(), body: body.to_vec() };
    take_apart(vendor(vendor_name).unwrap(), &settings, &request, NOW)
}

/// The items of a JSON body.
pub(crate) fn of(vendor_name: &str, body: &Value) -> Vec<Taken> {
    items(vendor_name, body.to_string().as_bytes(), |_| {})
}

pub(crate) fn only(mut items: Vec<Taken>) -> Taken {
    assert_eq!(items.len(), 1, "{items:?}");
    items.remove(0)
}

/// The place that a refusal names, before the colon.
pub(crate) fn place(taken: &Taken) -> (Reason, &str) {
    let refused = taken.as_ref().unwrap_err();
    (refused.reason, refused.detail.split(": ").next().unwrap_or_default())
}

pub(crate) fn notice(seen: &Seen) -> &Notice {
    match &seen.fact {
        Fact::Notice(notice) => notice,
        other => panic!("{other:?}"),
    }
}

/// An object with some members set.
pub(crate) fn with(mut object: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("{members}") };
    object.as_object_mut().unwrap().extend(members);
    object
}
