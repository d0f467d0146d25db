//! What a provider says that it billed: CSV with a header, or JSON lines, one row for each request. Columns are found
//! by their names, in the spellings of the makers' own exports and answers. Money is read digit by digit.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{
    cli::usage::span::time,
    domain::{money::Money, timestamp::Timestamp},
};

/// One billed request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bill {
    /// The provider's id of the request.
    pub(super) request_id: String,
    /// The model.
    pub(super) model: Option<String>,
    /// When, where the export says so.
    pub(super) at: Option<Timestamp>,
    /// Input tokens, cached ones included.
    pub(super) input: Option<i64>,
    /// Of these read from a cache.
    pub(super) cached: Option<i64>,
    /// Output tokens, reasoning included.
    pub(super) output: Option<i64>,
    /// What it cost.
    pub(super) cost: Option<Money>,
}

/// Where a column's name does not matter: letter case, `_`, `-`, blanks. The first that is found counts.
const REQUEST_ID: &[&str] =
    &["requestid", "xrequestid", "anthropicrequestid", "responseid", "completionid", "generationid", "id"];
const MODEL: &[&str] = &["model", "modelid", "modelversion", "modelname", "snapshotid"];
const AT: &[&str] = &["timestamp", "createdat", "created", "time", "starttime", "date", "usagedateutc"];
/// All input: OpenAI, Gemini.
const INPUT: &[&str] = &[
    "inputtokens",
    "prompttokens",
    "ncontexttokenstotal",
    "prompttokencount",
    "usageinputtokensnocache",
    "input",
];
/// Part of the input above.
const CACHED: &[&str] =
    &["inputcachedtokens", "cachedinputtokens", "cachedtokens", "cachedcontenttokencount", "cached"];
/// Beside the input above: Anthropic, Bedrock.
const READ_BESIDE: &[&str] = &["cachereadinputtokens", "usageinputtokenscacheread"];
const WRITTEN_BESIDE: &[&[&str]] = &[
    &["cachecreationinputtokens", "cachewriteinputtokens"],
    &["usageinputtokenscachewrite5m"],
    &["usageinputtokenscachewrite1h"],
];
const OUTPUT: &[&str] = &[
    "outputtokens",
    "completiontokens",
    "ngeneratedtokenstotal",
    "usageoutputtokens",
    "candidatestokencount",
    "output",
];
/// Beside the output above: Gemini.
const REASONING_BESIDE: &[&str] = &["thoughtstokencount"];
const COST: &[&str] =
    &["costusd", "costinusd", "totalcost", "cost", "amountvalue", "amountusd", "amount", "usd"];

/// Reads an export; rows of one request are added up.
///
/// # Errors
/// Which line cannot be read, and why.
pub(super) fn read(text: &str) -> Result<Vec<Bill>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let rows = if text.trim_start().starts_with(['{', '[']) { json_rows(text)? } else { csv_rows(text)? };
    let mut bills: BTreeMap<String, Bill> = BTreeMap::new();
    for (line, row) in rows {
        let bill = bill(&row).map_err(|what| format!("line {line}: {what}"))?;
        match bills.get_mut(&bill.request_id) {
            Some(first) => add(first, &bill),
            None => drop(bills.insert(bill.request_id.clone(), bill)),
        }
    }
    Ok(bills.into_values().collect())
}

/// Columns by their plain names: a value inside another has its whole path and its last part.
type Row = BTreeMap<String, String>;

fn csv_rows(text: &str) -> Result<Vec<(u64, Row)>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let head: Vec<String> = reader.headers().map_err(|error| error.to_string())?.iter().map(plain).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = head.iter().cloned().zip(record.iter().map(str::to_owned));
        rows.push((line, cells.filter(|(_, cell)| !cell.is_empty()).collect()));
    }
    Ok(rows)
}

/// One object a line, or a list of them.
fn json_rows(text: &str) -> Result<Vec<(u64, Row)>, String> {
    type Object<'a> = BTreeMap<String, &'a RawValue>;
    let wrong = |line: u64, error: serde_json::Error| format!("line {line}: {error}");
    let objects: Vec<(u64, Object<'_>)> = if text.trim_start().starts_with('[') {
        let list: Vec<Object<'_>> = serde_json::from_str(text).map_err(|error| wrong(1, error))?;
        (1..).zip(list).collect()
    } else {
        (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| Ok((number, serde_json::from_str(line).map_err(|e| wrong(number, e))?)))
            .collect::<Result<_, String>>()?
    };
    objects
        .into_iter()
        .map(|(line, object)| {
            let mut row = Row::new();
            flatten("", &object, &mut row).map_err(|error| wrong(line, error))?;
            Ok((line, row))
        })
        .collect()
}

/// Numbers stay the text that they are.
fn flatten(path: &str, object: &BTreeMap<String, &RawValue>, row: &mut Row) -> Result<(), serde_json::Error> {
    for (name, value) in object {
        let (whole, text) = (format!("{path}{}", plain(name)), value.get());
        match text.as_bytes().first() {
            Some(b'{') => flatten(&whole, &serde_json::from_str(text)?, row)?,
            Some(b'[' | b'n') => {}
            first => {
                let text = if first == Some(&b'"') { serde_json::from_str(text)? } else { text.to_owned() };
                // What stands further out is meant, where both have the name.
                if path.is_empty() {
                    row.insert(whole, text);
                } else {
                    row.entry(plain(name)).or_insert_with(|| text.clone());
                    row.insert(whole, text);
                }
            }
        }
    }
    Ok(())
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn bill(row: &Row) -> Result<Bill, String> {
    let text = |names: &[&str]| names.iter().find_map(|name| row.get(*name)).filter(|text| !text.is_empty());
    let tokens = |names: &[&str]| text(names).map(|text| count(text)).transpose();
    let request_id =
        text(REQUEST_ID).ok_or("no request id: there must be a column `request_id`")?.trim().to_owned();
    let mut input = tokens(INPUT)?;
    let mut cached = tokens(CACHED)?;
    for (names, read) in
        [(READ_BESIDE, true)].into_iter().chain(WRITTEN_BESIDE.iter().map(|names| (*names, false)))
    {
        if let Some(beside) = tokens(names)? {
            input = Some(input.unwrap_or(0).saturating_add(beside));
            if read {
                cached = Some(beside);
            }
        }
    }
    let reasoning = tokens(REASONING_BESIDE)?;
    let output = match (tokens(OUTPUT)?, reasoning) {
        (None, None) => None,
        (output, reasoning) => Some(output.unwrap_or(0).saturating_add(reasoning.unwrap_or(0))),
    };
    Ok(Bill {
        request_id,
        model: text(MODEL).cloned(),
        at: text(AT).map(|text| moment(text)).transpose()?,
        input,
        cached,
        output,
        cost: text(COST).map(|text| dollars(text)).transpose()?,
    })
}

fn count(text: &str) -> Result<i64, String> {
    let plain = text.trim().trim_end_matches(".0");
    plain.parse().ok().filter(|count| *count >= 0).ok_or_else(|| format!("`{text}` is no number of tokens"))
}

/// A day, RFC 3339, or seconds since 1970.
fn moment(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(seconds) => Ok(Timestamp::from_seconds(seconds)),
        Err(_) => {
            let joined = text.replacen(' ', "T", 1);
            time(&joined).or_else(|_| time(&format!("{joined}Z")))
        }
    }
    .map_err(|_| format!("`{text}` is no time: RFC 3339, a day, or seconds since 1970"))
}

/// `$0.0012`, `0.0012`, `1.2e-3`: exactly. More than twelve decimals cannot be kept, unless they are zeros.
pub(super) fn dollars(text: &str) -> Result<Money, String> {
    let no = || format!("`{text}` is no dollar amount: digits, a point, at most twelve decimals");
    let bare = text.trim().trim_start_matches('$').to_ascii_lowercase();
    let (digits, exponent) = match bare.split_once('e') {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| no())?),
        None => (bare.as_str(), 0),
    };
    if exponent.abs() > 30 {
        return Err(no());
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut all = format!("{whole}{fraction}");
    let mut point = i32::try_from(whole.len()).map_err(|_| no())? + exponent;
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return Err(no());
    }
    while point <= 0 {
        all.insert(0, '0');
        point += 1;
    }
    let point = usize::try_from(point).map_err(|_| no())?;
    while all.len() < point {
        all.push('0');
    }
    let (whole, fraction) = all.split_at(point);
    Money::parse_usd(&format!("{whole}.{}", fraction.trim_end_matches('0'))).ok_or_else(no)
}

fn add(first: &mut Bill, more: &Bill) {
    let sum = |a: Option<i64>, b: Option<i64>| match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
    };
    first.input = sum(first.input, more.input);
    first.cached = sum(first.cached, more.cached);
    first.output = sum(first.output, more.output);
    first.cost = sum(first.cost.map(|cost| cost.0), more.cost.map(|cost| cost.0)).map(Money);
    first.model = first.model.take().or_else(|| more.model.clone());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(text: &str) -> Money {
        Money::parse_usd(text).unwrap()
    }

    #[test]
    fn a_table_with_a_header_is_read_by_its_names() {
        let text = "\u{feff}Request ID, Model ,input_tokens,input_cached_tokens,output_tokens,cost_usd,created_at\n\
                    req_1,gpt-5-mini,120,20,30,$0.000123,1763719200\n\
                    req_2,gpt-5-mini,1,,2,1.2e-05,2026-11-21 10:00:00\n";
        let bills = read(text).unwrap();
        assert_eq!(bills[0].cost, Some(usd("0.000123")));
        assert_eq!(
            (bills[0].input, bills[0].cached, bills[0].output, bills[0].at),
            (Some(120), Some(20), Some(30), Some(Timestamp::from_seconds(1_763_719_200)))
        );
        assert_eq!((bills[1].cached, bills[1].cost), (None, Some(usd("0.000012"))));
        assert_eq!(bills[1].at, Timestamp::parse_rfc3339("2026-11-21T10:00:00Z"));
    }

    #[test]
    fn answers_of_every_maker_mean_the_same_as_json_lines() {
        let text = r#"
{"id":"a","model":"gpt-5","usage":{"prompt_tokens":100,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":60}},"cost":0.000000000001}
{"request_id":"b","id":"msg_1","model":"claude","usage":{"input_tokens":30,"cache_read_input_tokens":60,"cache_creation_input_tokens":10,"output_tokens":7}}
{"responseId":"c","modelVersion":"gemini","usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":5,"thoughtsTokenCount":2}}
{"requestId":"d","modelId":"nova","input":{"inputTokens":30,"cacheReadInputTokens":60,"cacheWriteInputTokens":10},"output":{"outputTokens":7},"ignored":null,"list":[1]}
"#;
        let bills = read(text).unwrap();
        assert_eq!(
            bills.iter().map(|bill| bill.request_id.as_str()).collect::<Vec<_>>(),
            ["a", "b", "c", "d"]
        );
        for bill in &bills {
            assert_eq!((bill.input, bill.cached, bill.output), (Some(100), Some(60), Some(7)), "{bill:?}");
        }
        assert_eq!((bills[0].cost, bills[1].cost), (Some(Money(1)), None));
        assert_eq!(read(&format!("[{}]", text.trim().replace('\n', ","))).unwrap(), bills);
    }

    #[test]
    fn rows_of_one_request_are_added_up() {
        let text = "request_id,input_tokens,output_tokens,cost\nr,10,,0.1\nr,,5,0.02\n";
        let bill = &read(text).unwrap()[0];
        assert_eq!((bill.input, bill.output, bill.cost), (Some(10), Some(5), Some(usd("0.12"))));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        for (text, line) in [
            ("model,cost\nm,1\n", "line 2"),
            ("request_id,cost\na,1\nb,one\n", "line 3"),
            ("request_id,input_tokens\na,-1\n", "line 2"),
            ("request_id,created\na,soon\n", "line 2"),
            ("{\"id\":\"a\"}\n{\"id\":", "line 2"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(line), "{text}: {error}");
        }
        assert!(dollars("0.0000000000001").is_err() && dollars("1e99").is_err() && dollars("-1").is_err());
        assert_eq!(dollars("0.10000000000000000"), Ok(usd("0.1")));
    }

    proptest! {
        #[test]
        fn money_survives_every_notation(pico in 0_i64..i64::MAX, shift in 0_i32..6) {
            let money = Money(pico);
            prop_assert_eq!(dollars(&money.to_string()), Ok(money));
            let dot = money.to_string();
            let (whole, fraction) = dot.split_once('.').unwrap();
            // The same with the point moved to the left.
            let shifted = format!("0.{whole:0>25}{fraction}e{}", 25);
            prop_assert_eq!(dollars(&shifted), Ok(money));
            let small = format!("{}.{}e-{shift}", whole, fraction);
            if shift == 0 { prop_assert_eq!(dollars(&small), Ok(money)); }
        }

        #[test]
        fn nothing_makes_it_fall_over(text in "[ -~\n]{0,200}") {
            let _ = read(&text);
            let _ = dollars(&text);
        }
    }
}
