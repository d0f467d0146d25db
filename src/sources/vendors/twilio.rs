//! Twilio Messaging webhooks: forms that tell of texts from people, and of how far ours got.

use serde_json::json;
use url::form_urlencoded;

use crate::{
    domain::{
        event::{Channel, DeliveryState, DeliveryStatus, Fact, InboundMessage},
        reason::Reason,
        timestamp::Timestamp,
    },
    signature::is_id,
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        rejection::{Fault, mismatch},
    },
};

/// Twilio sends some thirty parameters; beyond this it is not Twilio's.
const MOST_PARAMETERS: usize = 1_000;
/// A sid has 34 characters.
const LONGEST_SID: usize = 64;
/// Words after which Twilio itself stops our messages, where no Advanced Opt-Out says so in `OptOutType`. They count
/// as the whole text only.
const STOP: [&str; 8] = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"];

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "twilio",
    scheme: Some("twilio"),
    headers: &["i-twilio-idempotency-token"],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    vec![Item::alone(Form::parse(reading.body).and_then(|form| draft(&form, reading.received_at)))]
}

/// Inbound messages have `SmsStatus=received`, status callbacks `MessageStatus` (old ones only `SmsStatus`).
fn draft(form: &Form, received_at: Timestamp) -> Result<Draft, Fault> {
    match form.first_of(&["MessageStatus", "SmsStatus"]) {
        Some("received" | "receiving") => inbound(form, received_at),
        Some(status) => callback(form, status, received_at),
        None if form.get("Body").is_some() || form.get("NumMedia").is_some() => inbound(form, received_at),
        None => Err(mismatch("/MessageStatus", "neither a status nor a message")),
    }
}

fn inbound(form: &Form, received_at: Timestamp) -> Result<Draft, Fault> {
    let id = form.sid(&["MessageSid", "SmsSid", "SmsMessageSid"])?;
    let (from, to) = (form.required("From")?, form.required("To")?);
    let choice = opt_out_type(form);
    let vendor_type = if choice.as_deref() == Some("STOP") { "inbound_opt_out" } else { "inbound" };
    let fact = Fact::InboundMessage(InboundMessage {
        channel: Channel::Sms,
        business_id: to.to_owned(),
        from: from.to_owned(),
        profile_name: None,
        vendor_id: id.clone(),
        message_type: message_type(form).to_owned(),
        text: form.get("Body").map(str::to_owned),
        choice,
        // The body tells no time.
        sent_at: received_at,
        raw: json!(form.0),
    });
    let mut draft = Draft::new(vendor_type, form.sid(&["AccountSid"])?, id, None, fact);
    draft.order_key = Some(format!("sms:{to}:{from}"));
    Ok(draft)
}

/// `STOP`, `START` or `HELP`.
fn opt_out_type(form: &Form) -> Option<String> {
    let word = |name: &str| Some(form.get(name)?.trim().to_ascii_uppercase());
    word("OptOutType").or_else(|| {
        let whole_text = word("Body")?;
        STOP.contains(&whole_text.as_str()).then(|| "STOP".to_owned())
    })
}

fn message_type(form: &Form) -> &'static str {
    let media = form.get("NumMedia").is_some_and(|count| count != "0");
    match form.get("MediaContentType0") {
        _ if !media => "text",
        Some(kind) if kind.starts_with("image/") => "image",
        _ => "media",
    }
}

fn callback(form: &Form, status: &str, received_at: Timestamp) -> Result<Draft, Fault> {
    let id = form.sid(&["MessageSid", "SmsSid"])?;
    let recipient =
        form.first_of(&["To", "ChannelToAddress"]).ok_or_else(|| mismatch("/To", "a value is required"))?;
    let fact = Fact::DeliveryStatus(DeliveryStatus {
        channel: Channel::Sms,
        vendor_id: id.clone(),
        state: state(status)?,
        // The body tells no time.
        at: received_at,
        recipient: recipient.to_owned(),
        error_code: form.get("ErrorCode").map(str::to_owned),
        command_id: None,
    });
    // A message has one sid through all its states: only both together are unique.
    let mut draft = Draft::new("status", form.sid(&["AccountSid"])?, format!("{id}:{status}"), None, fact);
    draft.order_key = Some(format!("sms:{}:{recipient}", form.get("From").unwrap_or_default()));
    Ok(draft)
}

fn state(status: &str) -> Result<DeliveryState, Fault> {
    match status {
        "accepted" | "scheduled" | "queued" | "sending" => Ok(DeliveryState::Queued),
        "sent" => Ok(DeliveryState::Sent),
        "delivered" => Ok(DeliveryState::Delivered),
        "read" => Ok(DeliveryState::Read),
        "undelivered" | "failed" | "canceled" => Ok(DeliveryState::Failed),
        _ => {
            Err((Reason::UnknownType, "/MessageStatus: a status that this release does not know".to_owned()))
        }
    }
}

/// The parameters in their order, with duplicates. New ones appear without notice.
struct Form(Vec<(String, String)>);

impl Form {
    fn parse(body: &[u8]) -> Result<Self, Fault> {
        let pairs = form_urlencoded::parse(body).into_owned();
        let found: Vec<_> = pairs.take(MOST_PARAMETERS + 1).collect();
        if found.len() > MOST_PARAMETERS {
            return Err((Reason::PayloadMalformed, format!("more than {MOST_PARAMETERS} parameters")));
        }
        Ok(Self(found))
    }

    /// The first value of this name that is not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, value)| found == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    fn first_of(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    fn required(&self, name: &str) -> Result<&str, Fault> {
        self.get(name).ok_or_else(|| mismatch(&format!("/{name}"), "a value is required"))
    }

    /// An id of Twilio's, under the first of these names that is there.
    fn sid(&self, names: &[&str]) -> Result<String, Fault> {
        self.first_of(names)
            .filter(|sid| is_id(sid, LONGEST_SID))
            .map(str::to_owned)
            .ok_or_else(|| mismatch(&format!("/{}", names.first().unwrap_or(&"")), "a sid is required"))
    }
}
