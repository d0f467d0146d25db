//! Texts found again by their meaning.

use longshore::{
    domain::record::{EmbeddingWrite, Write},
    store::contract::SimilarQuery,
};
use proptest::{prelude::*, strategy::ValueTree as _};

use super::{fixtures::*, harness::Harness};

fn embedding(item: &str, vector: &[f32]) -> EmbeddingWrite {
    EmbeddingWrite {
        tenant: tenant(),
        kind: "email_draft".to_owned(),
        item: item.to_owned(),
        text: format!("text of {item}"),
        model: "m".to_owned(),
        vector: vector.to_vec(),
    }
}

async fn keep(h: &Harness, event: &str, embeddings: Vec<EmbeddingWrite>) {
    settled(h, event, done(embeddings.into_iter().map(Write::Embedding).collect())).await;
}

fn query(vector: &[f32], limit: i64) -> SimilarQuery {
    SimilarQuery {
        tenant: tenant(),
        kind: "email_draft".to_owned(),
        model: "m".to_owned(),
        vector: vector.to_vec(),
        limit,
        before: None,
    }
}

async fn found(h: &Harness, query: &SimilarQuery) -> Vec<String> {
    h.store.similar(query).await.unwrap().into_iter().map(|item| item.item).collect()
}

pub(super) async fn the_nearest_come_first(h: &Harness) {
    let three =
        [("north", [0.0, 1.0]), ("east", [1.0, 0.0]), ("north-east", [0.6, 0.8]), ("south", [0.0, -1.0])];
    keep(h, "a", three.iter().map(|(item, vector)| embedding(item, vector)).collect()).await;
    let all = h.store.similar(&query(&[0.0, 1.0], 10)).await.unwrap();
    let items: Vec<_> = all.iter().map(|item| item.item.as_str()).collect();
    assert_eq!(items, ["north", "north-east", "east", "south"]);
    assert_eq!(all[0].text, "text of north");
    let scores: Vec<_> = all.iter().map(|item| (item.score * 1e6).round() / 1e6).collect();
    assert_eq!(scores, [1.0, 0.8, 0.0, -1.0]);
    assert_eq!(found(h, &query(&[0.0, 2.0], 2)).await, ["north", "north-east"]);
    assert_eq!(found(h, &query(&[0.0, 1.0], 0)).await, [""; 0]);
}

pub(super) async fn only_comparable_items_are_found(h: &Harness) {
    let like = embedding("mine", &[1.0, 0.0]);
    let others = vec![
        EmbeddingWrite { tenant: "other".into(), ..like.clone() },
        EmbeddingWrite { kind: "reply".to_owned(), item: "kind".to_owned(), ..like.clone() },
        EmbeddingWrite { model: "n".to_owned(), item: "model".to_owned(), ..like.clone() },
        embedding("dimension", &[1.0, 0.0, 0.0]),
        embedding("empty", &[]),
        embedding("nothing", &[0.0, 0.0]),
        embedding("no number", &[f32::NAN, 1.0]),
        like,
    ];
    keep(h, "a", others).await;
    assert_eq!(found(h, &query(&[1.0, 0.0], 10)).await, ["mine"]);
    assert_eq!(found(h, &query(&[], 10)).await, [""; 0]);
    assert_eq!(h.store.table_counts().await.unwrap()["embeddings"], 8);
}

pub(super) async fn a_later_vector_stands_in_for_an_earlier_one(h: &Harness) {
    keep(h, "a", vec![embedding("x", &[1.0, 0.0]), embedding("x", &[0.0, 1.0])]).await;
    assert!(h.store.similar(&query(&[0.0, 1.0], 1)).await.unwrap()[0].score > 0.99, "the last of a group");
    let other = EmbeddingWrite { text: "new".to_owned(), ..embedding("x", &[1.0, 0.0]) };
    keep(h, "b", vec![other]).await;
    let now = h.store.similar(&query(&[1.0, 0.0], 10)).await.unwrap();
    assert_eq!((now.len(), now[0].text.as_str()), (1, "new"));
}

pub(super) async fn hostile_items_come_back(h: &Harness) {
    let long = "y".repeat(5_000);
    let items = ["a\0b", "'; --", "😀", &long, &format!("{long}z")];
    keep(h, "a", items.iter().map(|item| embedding(item, &[1.0, 0.0])).collect()).await;
    assert_eq!(found(h, &query(&[1.0, 0.0], 10)).await.len(), items.len());
}

pub(super) async fn any_vectors_are_ordered_as_by_plain_arithmetic(h: &Harness) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let vectors = proptest::collection::vec(proptest::array::uniform8(-1.0_f32..1.0), 200);
    let vectors = vectors.new_tree(&mut runner).unwrap().current();
    let all = vectors.iter().enumerate().map(|(n, vector)| embedding(&n.to_string(), vector)).collect();
    keep(h, "a", all).await;
    let asked = vectors[7];
    let length = |v: &[f32; 8]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let cosine = |v: &[f32; 8]| {
        let dot: f64 = v.iter().zip(&asked).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        dot / (length(v) * length(&asked))
    };
    let mut expected: Vec<_> = vectors.iter().enumerate().map(|(n, vector)| (n, cosine(vector))).collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let expected: Vec<_> = expected.iter().take(20).map(|(n, _)| n.to_string()).collect();
    assert_eq!(found(h, &query(&asked, 20)).await, expected);
}

/// An event that is worked again finds what it found before: its own item, and later ones, are not among them.
pub(super) async fn what_was_stored_later_can_be_left_out(h: &Harness) {
    keep(h, "a", vec![embedding("earlier", &[1.0, 0.0])]).await;
    let before = Some(h.store.now().await.unwrap());
    keep(h, "b", vec![embedding("later", &[1.0, 0.0])]).await;
    assert_eq!(found(h, &SimilarQuery { before, ..query(&[1.0, 0.0], 10) }).await, ["earlier"]);
    assert_eq!(found(h, &query(&[1.0, 0.0], 10)).await.len(), 2);
}
