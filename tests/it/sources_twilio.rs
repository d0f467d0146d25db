//! What Twilio says: texts from people, opt-outs, and how far ours got.

use longshore::{
    domain::{
        event::{Channel, DeliveryState, Fact, InboundMessage},
        reason::Reason,
    },
    sources::inspect::Seen,
};
use serde_json::json;

use crate::{
    senders::NOW,
    taking_apart::{Taken, items, only, place},
};

const SMS: &str = "SmsStatus=received&MessageSid=SM77&SmsSid=SM77&AccountSid=AC9&From=%2B491701&To=%2B4930&\
                   NumMedia=0&Body=Gr%C3%BC%C3%9Fe+%26+caf%C3%A9%3F&Body=second";

fn twilio(form: &str) -> Taken {
    only(items("twilio", form.as_bytes(), |_| {}))
}

fn text_message(form: &str) -> (Seen, InboundMessage) {
    let seen = twilio(form).unwrap();
    match seen.fact.clone() {
        Fact::InboundMessage(message) => (seen, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rce_4b_a_text_message_of_twilio() {
    let (seen, message) = text_message(SMS);
    assert_eq!(
        (seen.vendor_type.as_str(), seen.account.as_str(), seen.id.as_str()),
        ("inbound", "AC9", "SM77")
    );
    assert_eq!((seen.occurred_at, message.sent_at), (None, NOW), "the body tells no time");
    assert_eq!((message.channel, message.business_id.as_str()), (Channel::Sms, "+4930"));
    assert_eq!((message.from.as_str(), message.text.as_deref()), ("+491701", Some("Grüße & café?")));
    assert_eq!((message.message_type.as_str(), message.choice), ("text", None));
    let kept = message.raw.as_array().unwrap();
    assert_eq!((kept.len(), &kept[0]), (9, &json!(["SmsStatus", "received"])), "in order, all of them");
    assert_eq!(kept[8], json!(["Body", "second"]), "duplicates are kept");

    let media = "&MediaContentType0=image%2Fpng&MediaUrl0=https%3A%2F%2Fapi.example%2FME1";
    let (_, message) = text_message(
        &(SMS.replace("NumMedia=0&Body=Gr%C3%BC%C3%9Fe+%26+caf%C3%A9%3F&Body=second", "NumMedia=1&Body=")
            + media),
    );
    assert_eq!((message.message_type.as_str(), message.text), ("image", None));
    assert!(message.raw.to_string().contains("https://api.example/ME1"));
    let (_, message) = text_message(&SMS.replace("NumMedia=0", "NumMedia=2&MediaContentType0=text%2Fvcard"));
    assert_eq!(message.message_type, "media");
}

#[test]
fn rce_4b_an_opt_out_is_what_twilio_calls_one() {
    let said = |more: &str, body: &str| {
        let (seen, message) = text_message(&format!(
            "SmsStatus=received&MessageSid=SM1&AccountSid=AC1&From=1&To=2&Body={body}{more}"
        ));
        (seen.vendor_type, message.choice)
    };
    let stop = ("inbound_opt_out".to_owned(), Some("STOP".to_owned()));
    for (more, body) in [
        ("&OptOutType=STOP", "basta"),
        ("&OptOutType=stop", ""),
        ("", "STOP"),
        ("", "+stop%0A"),
        ("", "Unsubscribe"),
        ("", "cancel"),
    ] {
        assert_eq!(said(more, body), stop, "{more} {body}");
    }
    let inbound = |choice: Option<&str>| ("inbound".to_owned(), choice.map(str::to_owned));
    assert_eq!(said("&OptOutType=START", "yes"), inbound(Some("START")));
    assert_eq!(said("&OptOutType=HELP", "stop"), inbound(Some("HELP")), "what Twilio says comes first");
    assert_eq!(said("&OptOutType=", "please+stop"), inbound(None));
}

#[test]
fn rce_4b_how_far_a_text_of_ours_got() {
    let callback = |status: &str, more: &str| {
        twilio(&format!(
            "MessageStatus={status}&SmsStatus=sent&MessageSid=SM5&AccountSid=AC1&From=1&To=2{more}"
        ))
    };
    for (status, state) in [
        ("accepted", DeliveryState::Queued),
        ("scheduled", DeliveryState::Queued),
        ("queued", DeliveryState::Queued),
        ("sending", DeliveryState::Queued),
        ("sent", DeliveryState::Sent),
        ("delivered", DeliveryState::Delivered),
        ("read", DeliveryState::Read),
        ("undelivered", DeliveryState::Failed),
        ("failed", DeliveryState::Failed),
        ("canceled", DeliveryState::Failed),
    ] {
        let seen = callback(status, "&ErrorCode=30005&NewNextYear=%F0%9F%99%82").unwrap();
        assert_eq!((seen.vendor_type.as_str(), seen.id), ("status", format!("SM5:{status}")));
        let Fact::DeliveryStatus(told) = seen.fact else { panic!() };
        assert_eq!((told.state, told.at, told.vendor_id.as_str()), (state, NOW, "SM5"));
        assert_eq!((told.recipient.as_str(), told.error_code.as_deref()), ("2", Some("30005")));
    }
    assert_eq!(callback("teleported", "").unwrap_err().reason, Reason::UnknownType);
    let old = twilio("SmsSid=SM5&SmsStatus=sent&AccountSid=AC1&From=1&To=2").unwrap();
    assert_eq!(old.id, "SM5:sent");
}

#[test]
fn rce_4a_a_form_that_lacks_something_is_refused_with_the_place() {
    for (form, expected) in [
        ("", "/MessageStatus"),
        ("{\"MessageSid\":\"SM1\"}", "/MessageStatus"),
        ("Body=x", "/MessageSid"),
        ("Body=x&MessageSid=SM%3A1&From=1&To=2&AccountSid=AC1", "/MessageSid"),
        ("Body=x&MessageSid=SM1&To=2&AccountSid=AC1", "/From"),
        ("Body=x&MessageSid=SM1&From=1&AccountSid=AC1", "/To"),
        ("Body=x&MessageSid=SM1&From=1&To=2&AccountSid=%FF%FE", "/AccountSid"),
        ("MessageStatus=sent&MessageSid=SM1&AccountSid=AC1", "/To"),
    ] {
        assert_eq!(place(&twilio(form)), (Reason::SchemaMismatch, expected), "{form}");
    }
    let flood = "a=1&".repeat(2_000);
    assert_eq!(twilio(&flood).unwrap_err().reason, Reason::PayloadMalformed);
}
