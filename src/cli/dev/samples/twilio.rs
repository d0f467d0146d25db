//! Twilio sends forms and signs the address that it calls: texts, pictures, and how far ours got.

use url::form_urlencoded::Serializer;

use crate::{
    cli::dev::samples::{
        call::Call,
        sample::{Expect, Sample, done},
        workbench::{Draft, Workbench},
    },
    domain::{
        ids::{EventKey, SourceName},
        record::OPTED_OUT,
    },
};

const SENDER: &str = "Twilio";
const SOURCE: &str = "twilio";
/// The customer's account.
pub(crate) const ACCOUNT: &str = "AC5e1a7c0d9b3f48261e5d7a9c0b2f4863";
const OURS: &str = "+15555550190";
const KIM: &str = "+15555550151";
const LEO: &str = "+15555550152";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let received = |name: &'static str, sid: &str, from: &str, more: &[(&str, &str)]| {
        let form = [&[("SmsStatus", "received"), ("From", from), ("To", OURS)], more].concat();
        let (call, key) = (call(bench, sid, &form)?, key(sid));
        anyhow::Ok(Sample::new(SENDER, name, call, vec![done(&key), Expect::NoCommand(key)]))
    };
    let opted_out = Expect::Property {
        tenant: "quiet",
        system: "sms",
        id: LEO.to_owned(),
        name: OPTED_OUT,
        value: "true",
    };
    let question = "Wie lange habt ihr heute offen? ⚓";
    let picture = "https://api.twilio.example/media/ME41c7";
    let picture = [
        ("Body", "The hull"),
        ("NumMedia", "1"),
        ("MediaContentType0", "image/jpeg"),
        ("MediaUrl0", picture),
    ];
    let delivered = [("MessageStatus", "delivered"), ("From", OURS), ("To", KIM)];
    let undelivered = [("MessageStatus", "undelivered"), ("ErrorCode", "30003"), ("From", OURS), ("To", LEO)];
    let status = |name, sid: &str, state: &str, form: &[(&str, &str)]| {
        let key = key(&format!("{sid}:{state}"));
        anyhow::Ok(Sample::new(SENDER, name, call(bench, sid, form)?, vec![done(&key)]))
    };
    Ok(vec![
        received("a text", "SM11aa", KIM, &[("Body", question), ("NumMedia", "0")])?,
        received("a picture by MMS", "MM22bb", KIM, &picture)?,
        received(
            "STOP by text",
            "SM33cc",
            LEO,
            &[("Body", "Stop"), ("NumMedia", "0"), ("OptOutType", "STOP")],
        )?
        .and(opted_out),
        status("a text of ours, delivered", "SM44dd", "delivered", &delivered)?,
        status("a text of ours, undelivered", "SM55ee", "undelivered", &undelivered)?,
    ])
}

fn call(bench: &Workbench<'_>, sid: &str, form: &[(&str, &str)]) -> anyhow::Result<Call> {
    let mut body = Serializer::new(String::new());
    body.append_pair("AccountSid", ACCOUNT).append_pair("MessageSid", sid).extend_pairs(form);
    bench.call(&Draft { source: SOURCE, id: sid, body: body.finish().into_bytes() })
}

fn key(id: &str) -> EventKey {
    EventKey::new(&SourceName::from(SOURCE), ACCOUNT, id)
}
