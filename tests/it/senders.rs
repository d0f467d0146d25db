//! A set of configured senders for tests, with their keys in files, and messages as they would send them.

use std::{collections::BTreeMap, path::Path};

use futures_util::FutureExt as _;
use longshore::{
    config::{KeySettings, KeyState, SealKeySettings, SealSettings, SourceSettings, secret::SecretRef},
    domain::{
        delivery::{Attribute, Delivery, Receipt},
        envelope::{Envelope, HttpRequest, Peer},
        event::Event,
        ids::SourceName,
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        contract::Order,
        decode::{Defaults, decode, load},
        objects::Objects,
        prove::prove,
        read::read,
        rejection::{ItemRejection, Rejection},
        scheme,
        senders::Senders,
        sign::{SealKey, SignedMessage, seal_envelope, sign_job, sign_request},
        vendor,
        verified::{Checked, Message, Verified},
    },
};
use tempfile::TempDir;

/// 2026-11-20T12:00:00Z, the time of the fixtures.
pub(crate) const NOW: Timestamp = Timestamp(1_795_176_000_000_000);
/// Where the vendors think that they call.
pub(crate) const URL: &str = "https://hooks.example.test/in?to=https%3A%2F%2Fa.test%2Fx";
/// Secret of the edge's key `edge`.
pub(crate) const EDGE: &str = "whsec_ZWRnZS1rZXktb2YtdGhlLXRlc3RzLTAxMjM0NTY=";
/// Secret of the key `waker`, which may seal wakes only.
pub(crate) const WAKER: &str = "whsec_d2FrZXIta2V5LW9mLXRoZS10ZXN0cy0wMTIzNDU=";
/// Secret of a key that the configuration does not hold.
pub(crate) const STRANGER: &str = "whsec_c3RyYW5nZXItMDEyMzQ1Njc4OTAxMjM0NTY3ODk=";

/// Seconds after [`NOW`], or before.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1_000_000)
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// A secret that each vendor's scheme takes.
pub(crate) fn secret_of(vendor: &str) -> &'static str {
    match vendor {
        "whatsapp" => "app-secret",
        "hubspot" => "client-secret",
        _ => "whsec_c2VuZGVyLWtleS1vZi10aGUtdGVzdHMtMDEyMzQ=",
    }
}

/// A configuration under construction.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) seal: SealSettings,
    pub(crate) sources: BTreeMap<String, SourceSettings>,
    pub(crate) drills: bool,
    pub(crate) defaults: Defaults,
    pub(crate) objects: Objects,
}

impl World {
    /// One source for each vendor, named like it, all of tenant `acme`; an edge that may seal any source; a waker.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            folder: TempDir::new().unwrap(),
            seal: SealSettings { keys: Vec::new(), sign_with: None },
            sources: BTreeMap::new(),
            drills: false,
            defaults: Defaults::default(),
            objects: Objects::none(),
        };
        for (id, secret, sources) in [("edge", EDGE, "*"), ("waker", WAKER, "wake")] {
            let key = world.key(id, secret);
            world.seal.keys.push(SealKeySettings { key, sources: vec![sources.to_owned()] });
        }
        for name in ["whatsapp", "hubspot", "standard-webhooks", "jobs"] {
            let key = world.key(&format!("{name}-1"), secret_of(name));
            let mut settings = SourceSettings::of_vendor(name).unwrap();
            settings.keys = vec![key];
            settings.tenant = Some("acme".to_owned());
            world.sources.insert(name.to_owned(), settings);
        }
        world
    }

    /// A key whose secret stands in a file that only we can read.
    pub(crate) fn key(&self, id: &str, secret: &str) -> KeySettings {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(id);
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        KeySettings {
            id: id.to_owned(),
            secret: Some(SecretRef(format!("file:{}", path.display()))),
            public_key: None,
            state: KeyState::Active,
            not_before: None,
            not_after: None,
        }
    }

    pub(crate) fn source(&mut self, name: &str) -> &mut SourceSettings {
        self.sources.get_mut(name).unwrap()
    }

    pub(crate) fn senders(&self) -> Senders {
        Senders::new(&self.seal, &self.sources, (self.drills, self.defaults.clone())).unwrap()
    }

    /// Decodes and verifies. An object store of a test answers at once: there is nothing to wait for.
    pub(crate) fn check(&self, delivery: &Delivery) -> Result<Checked, Rejection> {
        prove(delivery, &self.senders(), &self.objects).now_or_never().unwrap()
    }

    /// The verified message of a delivery that must count as it is.
    pub(crate) fn message(&self, delivery: &Delivery) -> Message {
        match self.check(delivery) {
            Ok(Checked::Trusted(Verified::Message(message))) => message,
            other => panic!("not a trusted message: {other:?}"),
        }
    }

    /// What becomes of a delivery: `None` when it counts, else the reason. What is only good if known is told by `?`.
    pub(crate) fn verdict(&self, delivery: &Delivery) -> Option<String> {
        match self.check(delivery) {
            Ok(Checked::Trusted(_)) => None,
            Ok(Checked::IfKnown(doubtful)) => {
                Some(format!("{}?", doubtful.resolve(false).unwrap_err().reason))
            }
            Err(rejection) => Some(rejection.reason.code().to_owned()),
        }
    }

    /// The items of a vendor's body that was received at `received_at`.
    pub(crate) fn read(
        &self,
        source: &str,
        body: Vec<u8>,
        received_at: Timestamp,
    ) -> Vec<Result<Event, ItemRejection>> {
        let request = signed(source, body, received_at);
        read(&self.message(&enveloped(source, &request, received_at)))
    }

    /// The items of a job.
    pub(crate) fn read_job(&self, job: &serde_json::Value) -> Vec<Result<Event, ItemRejection>> {
        let key = SealKey { id: None, secret: secret_of("jobs") };
        let message = sign_job(&SourceName::from("jobs"), key, job, NOW).unwrap();
        read(&self.message(&delivery(&message, NOW)))
    }
}

/// A request as the vendor of that name signs it.
pub(crate) fn signed(vendor_name: &str, body: Vec<u8>, signed_at: Timestamp) -> HttpRequest {
    let settings = SourceSettings::of_vendor(vendor_name).unwrap();
    let order = Order {
        secret: secret_of(vendor_name),
        key_id: None,
        method: "POST",
        url: URL,
        body,
        id: "msg_1",
        at: signed_at,
        settings: &settings,
    };
    sign_request(vendor(vendor_name).and_then(|row| scheme(row.scheme?)).unwrap(), &order).unwrap()
}

/// A request in an envelope, sealed and sent when it was received.
pub(crate) fn enveloped(source: &str, request: &HttpRequest, received_at: Timestamp) -> Delivery {
    let key = SealKey { id: Some("edge"), secret: EDGE };
    let source = SourceName::from(source);
    let message =
        seal_envelope(&source, key, "ing_1", (request, &Peer::default()), received_at, received_at).unwrap();
    delivery(&message, received_at)
}

/// A message as the queue hands it over.
pub(crate) fn delivery(message: &SignedMessage, sent_at: Timestamp) -> Delivery {
    let attributes = message.attributes.iter().map(|(k, v)| (k.clone(), Attribute::Text(v.clone())));
    Delivery {
        message_id: "m-1".to_owned(),
        receipt: Receipt("r-1".to_owned()),
        body: message.body.clone(),
        attributes: attributes.collect(),
        sent_at,
        receive_count: 1,
        group: None,
    }
}

pub(crate) fn set(delivery: &mut Delivery, name: &str, value: &str) {
    delivery.attributes.insert(name.to_owned(), Attribute::Text(value.to_owned()));
}

pub(crate) fn header(request: &mut HttpRequest, name: &str, value: Option<&str>) {
    request.headers.retain(|(found, _)| found != name);
    request.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
}

/// What a message body holds.
pub(crate) fn decoded(delivery: &Delivery, defaults: &Defaults) -> Result<Envelope, Rejection> {
    let objects = Objects::none();
    let loaded = load(delivery, &objects).now_or_never().unwrap()?;
    decode(&loaded, defaults)
}

/// The reasons of the items that were refused, with their positions.
pub(crate) fn refused(items: &[Result<Event, ItemRejection>]) -> Vec<(Option<usize>, Reason)> {
    items.iter().filter_map(|item| item.as_ref().err()).map(|bad| (bad.index, bad.reason)).collect()
}
