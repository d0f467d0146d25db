//! First requests that confirm a subscription: Marketing Cloud's and Amazon SNS's. They are no events and never go
//! onto the queue.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::ids::sha256_hex;

/// Verification keys kept for one source: anybody can send such a request.
const MOST_KEYS: usize = 16;

/// Marketing Cloud's unsigned first request.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallbackVerification {
    pub(super) callback_id: String,
    verification_key: String,
}

impl CallbackVerification {
    /// The request, if it is one.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let found: Self = serde_json::from_slice(body).ok()?;
        let is_id = (1..=64).contains(&found.callback_id.len())
            && found.callback_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (is_id && (1..=1_024).contains(&found.verification_key.len())).then_some(found)
    }

    /// Keeps the key for the operator, in a file that only we can read; the log must not hold it. Answers the
    /// file's name.
    ///
    /// # Errors
    /// The folder cannot be used, or holds enough of this source already.
    pub(super) fn keep(&self, folder: &Path, source: &str) -> io::Result<String> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let prefix = format!("callback-{source}-");
        let name = format!("{prefix}{}.json", &sha256_hex(&[self.callback_id.as_bytes()])[..16]);
        let is_ours = |entry: &io::Result<fs::DirEntry>| {
            entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        };
        let known = folder.join(&name).exists();
        if !known && fs::read_dir(folder)?.filter(is_ours).count() >= MOST_KEYS {
            return Err(io::Error::other(format!(
                "{MOST_KEYS} files of this source are there: remove old ones"
            )));
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(folder.join(&name))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        Ok(name)
    }
}

/// Kinds of Amazon SNS requests that are no notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum TopicWord {
    /// The topic asks whether we want its messages.
    #[serde(rename = "SubscriptionConfirmation")]
    Subscribed,
    /// The subscription is gone.
    #[serde(rename = "UnsubscribeConfirmation")]
    Unsubscribed,
}

/// A word about a subscription.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TopicConfirmation {
    #[serde(rename = "Type")]
    pub(super) word: TopicWord,
    pub(super) topic_arn: String,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
}

impl TopicConfirmation {
    /// The request, if it is one.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The address to fetch: of the topic's own region at Amazon, for this topic, and nothing else.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn address(&self) -> Result<Url, &'static str> {
        let text = self.subscribe_url.as_deref().ok_or("no SubscribeURL")?;
        let url = Url::parse(text).map_err(|_| "SubscribeURL is no URL")?;
        let mut arn = self.topic_arn.split(':').skip(1);
        let (partition, service, region) = (arn.next(), arn.next(), arn.next().unwrap_or_default());
        let domain = if partition == Some("aws-cn") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let is_region = !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if service != Some("sns") || !is_region {
            return Err("TopicArn is no topic's");
        }
        let plain = url.scheme() == "https"
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/";
        if !plain || url.host_str() != Some(&format!("sns.{region}.{domain}")) {
            return Err("SubscribeURL is not at Amazon SNS in the topic's region");
        }
        let asks = |name: &str, value: &str| url.query_pairs().any(|(n, v)| n == name && v == value);
        if !asks("Action", "ConfirmSubscription") || !asks("TopicArn", &self.topic_arn) {
            return Err("SubscribeURL does not confirm this topic");
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_verification_key_is_kept_where_only_we_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let request = |id: &str| json!({ "callbackId": id, "verificationKey": "k-1" }).to_string();
        let word = CallbackVerification::read(request("cb-1").as_bytes()).unwrap();
        let name = word.keep(&state, "ens").unwrap();
        let mode = fs::metadata(state.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(fs::read_to_string(state.join(&name)).unwrap().contains("k-1"));
        for number in 2..=MOST_KEYS {
            CallbackVerification::read(request(&format!("cb-{number}")).as_bytes())
                .unwrap()
                .keep(&state, "ens")
                .unwrap();
        }
        let more = CallbackVerification::read(request("more").as_bytes()).unwrap();
        assert!(more.keep(&state, "ens").is_err(), "strangers cannot fill the disk");
        assert!(more.keep(&state, "other").is_ok());
        assert_eq!(word.keep(&state, "ens").unwrap(), name, "the same callback again");
    }

    #[test]
    fn what_is_no_verification_goes_its_usual_way() {
        for body in [
            r#"[{"callbackId":"a","verificationKey":"b"}]"#,
            r#"{"callbackId":"../a","verificationKey":"b"}"#,
            r#"{"callbackId":"a","verificationKey":""}"#,
            r#"{"callbackId":"a"}"#,
            "",
        ] {
            assert!(CallbackVerification::read(body.as_bytes()).is_none(), "{body}");
        }
    }

    fn address(arn: &str, url: &str) -> Result<Url, &'static str> {
        let body = json!({ "Type": "SubscriptionConfirmation", "TopicArn": arn, "SubscribeURL": url });
        TopicConfirmation::read(body.to_string().as_bytes()).unwrap().address()
    }

    #[test]
    fn only_amazon_s_own_address_for_the_topic_is_fetched() {
        let arn = "arn:aws:sns:eu-west-1:111122223333:events";
        let query = "?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:111122223333:events&Token=t";
        assert!(address(arn, &format!("https://sns.eu-west-1.amazonaws.com/{query}")).is_ok());
        let china = "arn:aws-cn:sns:cn-north-1:111122223333:events";
        let there =
            format!("https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription&TopicArn={china}");
        assert!(address(china, &there).is_ok());
        for base in [
            "http://sns.eu-west-1.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com/",
            "https://sns.eu-west-1.amazonaws.com.evil.test/",
            "https://sns.eu-west-1.amazonaws.com@evil.test/",
            "https://sns.eu-west-1.amazonaws.com:8443/",
            "https://user:pw@sns.eu-west-1.amazonaws.com/",
            "https://evil.test/sns.eu-west-1.amazonaws.com/",
            "https://sns.eu-west-1.amazonaws.com/x",
            "https://169.254.169.254/",
            "ftp://sns.eu-west-1.amazonaws.com/",
        ] {
            assert!(address(arn, &format!("{base}{query}")).is_err(), "{base}");
        }
        let bare = "https://sns.eu-west-1.amazonaws.com/";
        for query in [
            "",
            "?Action=DeleteTopic&TopicArn=arn:aws:sns:eu-west-1:111122223333:events",
            "?Action=ConfirmSubscription&TopicArn=x",
        ] {
            assert!(address(arn, &format!("{bare}{query}")).is_err(), "{query}");
        }
        assert!(address("arn:aws:sns:evil.test/:1:x", &format!("https://sns.evil.test/{query}")).is_err());
    }
}
