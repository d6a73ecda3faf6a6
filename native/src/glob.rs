//! Patterns with `*` (any run of characters) and `?` (any one). Nothing else is special, so that
//! `operator[]`, `(*Server).Serve` and Go's `[...]` can be written as they are.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]

/// A pattern; matching takes time in proportion to pattern times text, never more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Every string is a pattern.
    pub fn new(pattern: &str) -> Glob {
        Glob(pattern.to_owned())
    }

    /// As it was written.
    pub fn pattern(&self) -> &str {
        &self.0
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut at, mut in_pattern) = (0_usize, 0_usize);
        // Where the last `*` was, and up to where it has eaten: the only place to come back to.
        let mut star: Option<(usize, usize)> = None;
        while let Some(byte) = text.get(at) {
            match pattern.get(in_pattern) {
                Some(b'*') => {
                    star = Some((in_pattern, at));
                    in_pattern = in_pattern.saturating_add(1);
                }
                Some(wanted) if *wanted == b'?' || wanted == byte => {
                    at = at.saturating_add(1);
                    in_pattern = in_pattern.saturating_add(1);
                }
                _ => {
                    let Some((star_at, eaten)) = star else { return false };
                    at = eaten.saturating_add(1);
                    star = Some((star_at, at));
                    in_pattern = star_at.saturating_add(1);
                }
            }
        }
        pattern.get(in_pattern..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
    }

    /// The longest run of letters, digits and `_` before any parameter list: whatever matches
    /// contains it.
    pub fn longest_word(&self) -> &str {
        let path = self.0.split(['(', '<']).next().unwrap_or("");
        let words = path.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.max_by_key(|word| word.len()).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_what_shells_match() {
        let cases = [
            ("SSL_*", "SSL_read", true),
            ("SSL_*", "BSSL_read", false),
            ("*read*", "SSL_read_ex", true),
            ("SSL_?ead", "SSL_read", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "a__b__b__c", true),
            ("a*b*c", "a__c__b", false),
            ("net/http.(*Server).Serve", "net/http.(*Server).Serve", true),
            ("main.f[...]", "main.f[...]", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let glob = Glob::new(&"a*".repeat(50));
        assert!(!glob.matches(&format!("{}b", "a".repeat(40))));
    }

    #[test]
    fn the_longest_word_is_before_the_parameters() {
        assert_eq!(Glob::new("ns::Klass::method(std::string*)").longest_word(), "method");
        assert_eq!(Glob::new("*::*").longest_word(), "");
    }
}
