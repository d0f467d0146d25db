//! The samples: one file for each kind of sender.

pub(crate) mod billing;
mod broken;
pub(crate) mod call;
mod chats;
pub(crate) mod clerk;
mod drafts;
mod drills;
pub(crate) mod dynamics;
pub(crate) mod gohighlevel;
mod hubspot;
pub(crate) mod meter;
mod models;
pub(crate) mod pipedrive;
pub(crate) mod salesforce;
pub(crate) mod sample;
pub(crate) mod sendgrid;
mod statuses;
pub(crate) mod twilio;
mod whatsapp;
pub(crate) mod whatsapp_wire;
pub(crate) mod workbench;

use self::{sample::Sample, workbench::Workbench};

/// All of them, in the order in which they are sent.
///
/// # Errors
/// When one cannot be signed.
pub(crate) fn all(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    // What takes longest comes first.
    let senders = [
        drills::samples,
        models::samples,
        meter::samples,
        whatsapp::samples,
        statuses::samples,
        hubspot::samples,
        gohighlevel::samples,
        pipedrive::samples,
        salesforce::samples,
        dynamics::samples,
        twilio::samples,
        sendgrid::samples,
        clerk::samples,
        billing::samples,
        chats::samples,
        drafts::samples,
        broken::samples,
    ];
    let samples = senders.into_iter().map(|samples| samples(bench)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(samples.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use futures_util::FutureExt as _;

    use super::{
        all,
        call::Answer,
        sample::{End, Expect, Parcel, Sample, Step, as_delivery},
        workbench::Workbench,
    };
    use crate::{
        cli::dev::{
            setup::{RealModel, tests::example},
            state_dir::StateDir,
        },
        clock::{Clock as _, SystemClock},
        domain::{ids::EventKey, reason::Reason, timestamp::Timestamp},
        sources::{
            self,
            objects::Objects,
            prove::prove,
            read::read,
            senders::Senders,
            sign::SignedMessage,
            verified::{Checked, Verified},
        },
    };

    struct Fixture {
        _folder: tempfile::TempDir,
        state: StateDir,
        senders: Senders,
        base: Timestamp,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut state = StateDir::open(folder.path()).unwrap();
            let senders = sources::senders(&example(&state, &RealModel::default())).unwrap();
            let base = state.begin(SystemClock.now()).unwrap();
            Self { _folder: folder, state, senders, base }
        }

        fn bench(&self, now: Timestamp) -> Workbench<'_> {
            Workbench::new(&self.state, &self.senders, self.base, now)
        }

        /// What reaches the queue of it; a request as the edge would seal it.
        fn message(&self, parcel: &Parcel, now: Timestamp) -> SignedMessage {
            match parcel {
                Parcel::Queued(message) => message.clone(),
                Parcel::Posted(call) => {
                    let url = format!("http://127.0.0.1:8080/hooks/{}", call.source);
                    let request = call.signed(&url, now).unwrap();
                    self.bench(now).envelope(&call.source, "edge", &request, now).unwrap()
                }
            }
        }

        fn samples(&self, now: Timestamp) -> Vec<Sample> {
            all(&self.bench(now)).unwrap()
        }

        /// Keys of the events in it, or the reasons of what is rejected.
        fn read(&self, sample: &Sample, now: Timestamp) -> (Vec<EventKey>, Vec<Reason>) {
            let (mut keys, mut reasons) = (Vec::new(), Vec::new());
            let is_taken = |parcel: &&Parcel| match parcel {
                Parcel::Queued(_) => true,
                Parcel::Posted(call) => call.wanted != Answer::Refused,
            };
            for parcel in sample.parcels.iter().filter(is_taken) {
                let delivery = as_delivery(&self.message(parcel, now), now);
                let proved = prove(&delivery, &self.senders, &Objects::none()).now_or_never();
                let verified = proved.unwrap().and_then(|checked| match checked {
                    Checked::Trusted(verified) => Ok(verified),
                    Checked::IfKnown(doubtful) => doubtful.resolve(false),
                });
                match verified {
                    Ok(Verified::Message(message)) => {
                        read(&message).into_iter().for_each(|item| match item {
                            Ok(event) => keys.push(event.key),
                            Err(rejected) => reasons.push(rejected.reason),
                        })
                    }
                    Ok(Verified::Wake(wake)) => keys.push(wake.key().clone()),
                    Ok(Verified::Nothing) => {}
                    Err(rejection) => reasons.push(rejection.reason),
                }
            }
            (keys, reasons)
        }
    }

    #[test]
    fn what_a_sample_says_of_itself_is_what_its_messages_hold() {
        let fixture = Fixture::new();
        let now = SystemClock.now();
        for sample in fixture.samples(now) {
            let (keys, reasons) = fixture.read(&sample, now);
            let told: Vec<_> = sample.keys().cloned().collect();
            assert_eq!(keys, told, "{}", sample.name);
            let told = sample.expects.iter().filter_map(|expect| match expect {
                Expect::Rejected { reason, .. } => Some(*reason),
                _ => None,
            });
            assert_eq!(reasons, told.collect::<Vec<_>>(), "{}", sample.name);
        }
    }

    #[test]
    fn a_later_run_sends_the_same_bodies_and_only_the_seals_are_new() {
        let fixture = Fixture::new();
        let plain = |now| {
            let parcels = fixture.samples(now).into_iter().flat_map(|sample| sample.parcels);
            let without_seal = |parcel: Parcel| match parcel {
                Parcel::Queued(mut message) => {
                    let is_new = |name: &str| name == "webhook-timestamp" || name == "webhook-signature";
                    message.attributes.retain(|name, _| !is_new(name));
                    (message.body.into_bytes(), message.attributes)
                }
                Parcel::Posted(call) => (call.body, BTreeMap::from([(call.source, call.id)])),
            };
            parcels.map(without_seal).collect::<Vec<_>>()
        };
        let now = SystemClock.now();
        assert_eq!(plain(now), plain(now.plus(std::time::Duration::from_secs(86_400))));
    }

    #[test]
    fn names_are_unique_and_what_is_waited_for_is_there() {
        let fixture = Fixture::new();
        let samples = fixture.samples(fixture.base);
        assert!(samples.len() >= 75, "{}", samples.len());
        let names: BTreeSet<_> = samples.iter().map(|sample| sample.name).collect();
        assert_eq!(names.len(), samples.len());
        for sample in &samples {
            assert!(sample.after.iter().all(|name| names.contains(name)), "{}", sample.name);
        }
    }

    /// What a run that nobody kills and whose database stays can reach.
    #[test]
    fn every_reason_is_shown_but_those_that_need_an_accident() {
        let fixture = Fixture::new();
        let mut shown: BTreeMap<Reason, &str> = BTreeMap::new();
        for sample in fixture.samples(fixture.base) {
            for expect in &sample.expects {
                let reasons = match expect {
                    Expect::Rejected { reason, .. }
                    | Expect::OneWaits { reason, .. }
                    | Expect::PutBack(reason) => vec![*reason],
                    Expect::Event { end, through, .. } => {
                        let on_the_way = through.iter().filter_map(|step| match step {
                            Step::Retried(reason) | Step::Deferred(reason) | Step::Parked(reason) => {
                                Some(*reason)
                            }
                            Step::Woken => None,
                        });
                        let last = match end {
                            End::Buried(reason) => Some(*reason),
                            End::Done => None,
                        };
                        on_the_way.chain(last).collect()
                    }
                    Expect::Command { state: crate::domain::command::CommandState::Refused, .. } => {
                        vec![Reason::VendorRefused]
                    }
                    _ => Vec::new(),
                };
                shown.extend(reasons.into_iter().map(|reason| (reason, sample.name)));
            }
        }
        let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !shown.contains_key(reason)).collect();
        // An object store, a killed process, a database that is away, a provider that is down, a budget that is spent;
        // and two deliveries that meet are told as a duplicate.
        let accidents = [
            Reason::ObjectMissing,
            Reason::ObjectRefused,
            Reason::CrashLoop,
            Reason::StoreUnavailable,
            Reason::ObjectUnavailable,
            Reason::Busy,
            Reason::RouteDown,
            Reason::BudgetExhausted,
        ];
        assert_eq!(missing, accidents.iter().collect::<Vec<_>>());
    }
}
