//! Vectors as they are kept in the journal, and of length 1, so that a product says how near two texts are.

/// As many vectors as texts, all of one length.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn read(text: &str, texts: usize) -> Result<Vec<Vec<f32>>, String> {
    let vectors: Vec<Vec<f32>> =
        serde_json::from_str(text).map_err(|error| format!("no vectors: {error}"))?;
    let dimensions = vectors.first().map_or(0, Vec::len);
    if vectors.len() != texts || dimensions == 0 || vectors.iter().any(|one| one.len() != dimensions) {
        return Err(format!("{} vectors of uneven length for {texts} texts", vectors.len()));
    }
    vectors.into_iter().map(normalised).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a part of a vector of length 1")]
fn normalised(vector: Vec<f32>) -> Result<Vec<f32>, String> {
    let length = vector.iter().map(|part| f64::from(*part).powi(2)).sum::<f64>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return Err("a vector without a direction".to_owned());
    }
    Ok(vector.into_iter().map(|part| (f64::from(part) / length) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn are_made_of_length_one() {
        assert_eq!(read("[[3,4],[0,2]]", 2), Ok(vec![vec![0.6, 0.8], vec![0.0, 1.0]]));
    }

    #[test]
    fn what_is_no_vector_for_each_text_is_refused() {
        for bad in ["[]", "[[]]", "[[0,0]]", "[[1,2],[1]]", "[[1],[2]]", "nonsense", "[[null]]"] {
            assert!(read(bad, 1).is_err(), "{bad}");
        }
    }
}
