//! Vectors without a model: texts with many words in common are alike. For one machine and for tests; it knows no
//! synonyms.

use crate::domain::ids::sha256_hex;

/// Numbers of a vector.
const LENGTH: usize = 256;

/// Every word, and every pair of neighbours, counts at a place that follows from its letters.
pub(crate) fn vector(text: &str) -> Vec<f32> {
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut vector = vec![0.0_f32; LENGTH];
    let mut count = |parts: &[&str], weight: f32| {
        let (place, sign) = place(parts);
        vector[place] += sign * weight;
    };
    words.iter().for_each(|word| count(&[word], 1.0));
    words.windows(2).for_each(|pair| count(pair, 0.5));
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length == 0.0 {
        // A text without a word is like every other one without, and like nothing else.
        vector[0] = 1.0;
        return vector;
    }
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

fn place(parts: &[&str]) -> (usize, f32) {
    let hash = sha256_hex(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>());
    let number = hash.get(..8).and_then(|hex| usize::from_str_radix(hex, 16).ok()).unwrap_or(0);
    (number % LENGTH, if (number / LENGTH).is_multiple_of(2) { 1.0 } else { -1.0 })
}

#[cfg(test)]
mod tests {
    use super::vector;

    fn alike(a: &str, b: &str) -> f32 {
        vector(a).iter().zip(vector(b)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_with_words_in_common_are_alike() {
        let berth = "Your berth contract ends in December";
        assert!((alike(berth, berth) - 1.0).abs() < 1e-5);
        let (near, far) =
            (alike(berth, "the berth contract ends soon"), alike(berth, "Happy birthday, dear Sam!"));
        assert!(near > 0.4 && far < 0.3, "{near} {far}");
        assert!((alike("", "...") - 1.0).abs() < 1e-5);
    }
}
