//! The way of one request, in one column.

use std::{net::SocketAddr, time::Duration};

use hyper::{Method, Request, body::Incoming, header::EXPECT, http::request};
use tokio::time::Instant;

use crate::{
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    edge::{
        answer::{Refusal, Reply, Why, taken},
        confirmations::{CallbackVerification, TopicConfirmation, TopicWord},
        door::{Door, find},
        handshake::{accepted, challenge},
        inside::Inside,
        limits::discard,
    },
    http::Http,
    sources::{contract::Handshake, inspect::prove},
};

/// Name of the source where none is configured: labels are bounded.
const UNKNOWN: &str = "unknown";
/// For Amazon to confirm a subscription: it waits 15 s for our answer.
const CONFIRMING: Duration = Duration::from_secs(8);

/// Works one request and answers it, whatever it is.
pub(super) async fn serve(inside: &Inside, request: Request<Incoming>, remote: SocketAddr) -> Reply {
    let started = Instant::now();
    let (parts, mut body) = request.into_parts();
    let found = find(&inside.doors, parts.uri.path());
    let source = found.as_ref().map_or(UNKNOWN, |door| door.name.as_str());
    let result = match &found {
        Ok(door) => receive(inside, door, (&parts, &mut body), remote).await,
        Err(refusal) => Err(refusal.clone()),
    };
    let (outcome, reply) = match result {
        Ok((outcome, reply)) => (outcome, reply),
        Err(refusal) => {
            let (outcome, reply) = (refusal.why.code(), refusal.reply());
            let ip = inside.peers.of(&parts.headers, remote).ip.unwrap_or_default();
            let status = reply.status().as_u16();
            tracing::warn!(source, outcome, status, method = %parts.method, ip, detail = refusal.detail, "refused");
            // Who waits to be asked for the body need not send it.
            if !parts.headers.contains_key(EXPECT) && refusal.why != Why::SlowBody {
                discard(&mut body).await;
            }
            (outcome, reply)
        }
    };
    metrics::counter!("longshore_edge_requests_total", "source" => source.to_owned(), "outcome" => outcome)
        .increment(1);
    metrics::histogram!("longshore_edge_request_seconds").record(started.elapsed());
    reply
}

/// From the head of a request to the queue's word that it has it. Answers how it is counted, and the reply.
async fn receive(
    inside: &Inside,
    door: &Door,
    (parts, body): (&request::Parts, &mut Incoming),
    remote: SocketAddr,
) -> Result<(&'static str, Reply), Refusal> {
    let received_at = inside.clock.now();
    let _place = inside.limits.place()?;
    door.rate()?;
    if door.handshake() == Handshake::MetaChallenge && parts.method == Method::GET {
        let token = door.sender.settings.verify_token.as_ref();
        return challenge(parts.uri.query().unwrap_or_default(), token).map(|reply| ("handshake", reply));
    }
    door.method(parts)?;
    let held = inside.limits.read(body, door.sender.settings.max_body).await?;
    let request = door.request(parts, held.body)?;
    if let Some(reply) = confirmation(inside, door, &request, received_at).await? {
        return Ok(("handshake", reply));
    }
    door.prove(&request, received_at)?;
    let sealed = (request, inside.peers.of(&parts.headers, remote));
    let message = inside.sealer.message(door, sealed, received_at, inside.clock.now()).await?;
    inside.outlet.send(message, held.share).await?;
    Ok(("accepted", accepted(door.handshake())))
}

/// The answer to a first request that confirms a subscription; `None` for everything else.
async fn confirmation(
    inside: &Inside,
    door: &Door,
    request: &HttpRequest,
    now: Timestamp,
) -> Result<Option<Reply>, Refusal> {
    match door.handshake() {
        Handshake::EnsConfirmation => {
            CallbackVerification::read(&request.body).map(|word| keep(inside, door, &word)).transpose()
        }
        Handshake::SnsConfirmation => match TopicConfirmation::read(&request.body) {
            Some(word) => subscription(&inside.http, door, (&word, request), now).await.map(Some),
            None => Ok(None),
        },
        Handshake::None | Handshake::MetaChallenge | Handshake::SoapAck => Ok(None),
    }
}

/// Marketing Cloud shows the key once; the operator confirms the callback with it.
fn keep(inside: &Inside, door: &Door, word: &CallbackVerification) -> Result<Reply, Refusal> {
    let (source, callback_id) = (&door.name, &word.callback_id);
    match word.keep(&inside.state_dir, source.as_str()) {
        Ok(file) => {
            tracing::warn!(%source, callback_id, file, folder = %inside.state_dir.display(),
                "a callback waits to be confirmed: send callbackId and verificationKey of this file to \
                 POST /platform/v1/ens-verify of the Marketing Cloud API");
            Ok(taken())
        }
        Err(error) => {
            let refusal = Refusal::new(Why::HandshakeLater, "the verification key cannot be kept");
            tracing::error!(%source, callback_id, %error, folder = %inside.state_dir.display(),
                "the verification key of a callback is not kept: see intake.state_dir");
            Err(refusal)
        }
    }
}

/// Confirmed only for a listed topic, with a right signature, at Amazon's own address.
async fn subscription(
    http: &Http,
    door: &Door,
    (word, request): (&TopicConfirmation, &HttpRequest),
    now: Timestamp,
) -> Result<Reply, Refusal> {
    let (source, settings) = (&door.name, &door.sender.settings);
    let refused = |what: &str| Refusal::new(Why::Handshake, what);
    if !settings.topic_arns.contains(&word.topic_arn) {
        return Err(refused("the topic is not in the source's topic_arns"));
    }
    prove(door.sender.scheme, settings, request, now)
        .map_err(|(reason, detail)| Refusal::new(Why::Signature(reason), detail))?;
    let topic = &word.topic_arn;
    if word.word == TopicWord::Unsubscribed {
        tracing::warn!(%source, topic, "Amazon SNS says that the subscription is gone");
        return Ok(taken());
    }
    let address = word.address().map_err(refused)?;
    if !settings.confirm_subscriptions {
        tracing::warn!(%source, topic, "a subscription waits to be confirmed: set confirm_subscriptions for this \
             source and ask for the confirmation again, or confirm it in the AWS console");
        return Ok(taken());
    }
    match http.get(address.as_str(), CONFIRMING).await {
        Ok(answer) if answer.status == 200 => {
            tracing::info!(%source, topic, "subscription confirmed");
            Ok(taken())
        }
        Ok(answer) => {
            Err(Refusal::new(Why::HandshakeLater, format!("Amazon SNS answered {}", answer.status)))
        }
        // Without the error's text: the address holds the token.
        Err(_) => Err(Refusal::new(Why::HandshakeLater, "Amazon SNS did not answer")),
    }
}
