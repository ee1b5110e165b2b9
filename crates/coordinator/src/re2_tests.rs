//! Patterns, held against what RE2/J 1.8 makes of them: the library that Apache Kafka 4.3 uses.

use super::*;
use proptest::prelude::*;

const NAMES: &[&str] =
    &["foo", "bar", "a", "b", "aa", "a.b", "ab", "1", "A", "FOO", "", "a-b", "_", "foo-1", "fob", "[", "z"];

/// Which of the names a pattern matches, or why it is refused.
const RE2J: &[(&str, Result<&[&str], &str>)] = &[
    ("foo", Ok(&["foo"])),
    ("fo.*", Ok(&["foo", "foo-1", "fob"])),
    ("foo|bar", Ok(&["foo", "bar"])),
    ("[abc", Err("missing closing ]")),
    ("a)", Err("regexp/syntax: internal error")),
    ("(a", Err("missing closing )")),
    ("a**", Err("invalid nested repetition operator")),
    ("a*+", Err("invalid nested repetition operator")),
    ("a*?", Ok(&["a", "aa", ""])),
    ("a{2}", Ok(&["aa"])),
    ("a{,2}", Ok(&[])),
    ("a{2,1}", Err("invalid repeat count")),
    ("a{1001}", Err("invalid repeat count")),
    ("{", Ok(&[])),
    ("a{", Ok(&[])),
    ("a}", Ok(&[])),
    ("]", Ok(&[])),
    ("[]a]", Ok(&["a"])),
    ("[^]a]", Ok(&["b", "1", "A", "_", "[", "z"])),
    ("[a-]", Ok(&["a"])),
    ("[a-z-9]", Ok(&["a", "b", "z"])),
    ("[z-a]", Err("invalid character class range")),
    ("[[:alpha:]]+", Ok(&["foo", "bar", "a", "b", "aa", "ab", "A", "FOO", "fob", "z"])),
    ("[[:^digit:]]", Ok(&["a", "b", "A", "_", "[", "z"])),
    ("[[:foo:]]", Err("invalid character class range")),
    ("\\d+", Ok(&["1"])),
    ("\\pL+", Ok(&["foo", "bar", "a", "b", "aa", "ab", "A", "FOO", "fob", "z"])),
    ("\\p{Greek}", Ok(&[])),
    ("\\p{^L}", Ok(&["1", "_", "["])),
    ("\\pX", Err("invalid character class range")),
    ("\\Qa.b\\E", Ok(&["a.b"])),
    ("\\Qa.b", Ok(&["a.b"])),
    ("\\C", Err("invalid escape sequence")),
    ("\\1", Err("invalid escape sequence")),
    ("\\12", Ok(&[])),
    ("\\061", Ok(&["1"])),
    ("\\x41", Ok(&["A"])),
    ("\\x{41}", Ok(&["A"])),
    ("\\x{110000}", Err("invalid escape sequence")),
    ("\\q", Err("invalid escape sequence")),
    ("\\_", Ok(&["_"])),
    ("\\<", Ok(&[])),
    ("\\-", Ok(&[])),
    ("(?i)FOO", Ok(&["foo", "FOO"])),
    ("(?P<n>foo)", Ok(&["foo"])),
    ("(?<n>foo)", Ok(&["foo"])),
    ("(?P<n>a)(?P<n>b)", Err("duplicate capture group name")),
    ("(?:foo)", Ok(&["foo"])),
    ("(?=foo)", Err("invalid or unsupported Perl syntax")),
    ("(?x)foo", Err("invalid or unsupported Perl syntax")),
    ("(?i", Err("invalid or unsupported Perl syntax")),
    ("(?)", Ok(&[""])),
    ("*a", Err("missing argument to repetition operator")),
    ("a||b", Ok(&["a", "b", ""])),
    ("()", Ok(&[""])),
    ("", Ok(&[""])),
    ("\\", Err("trailing backslash at end of expression")),
    ("[a[b]", Ok(&["a", "b", "["])),
    ("[a&&b]", Ok(&["a", "b"])),
    ("a#b", Ok(&[])),
    ("^foo$", Ok(&["foo"])),
    ("foo\\z", Ok(&["foo"])),
    ("foo\\Z", Err("invalid escape sequence")),
    ("\\bfoo\\b", Ok(&["foo"])),
    ("(?U)fo+", Ok(&["foo"])),
    ("(?s).", Ok(&["a", "b", "1", "A", "_", "[", "z"])),
    ("(?-i)foo", Ok(&["foo"])),
    ("(?i-)foo", Err("invalid or unsupported Perl syntax")),
    ("[\\d-z]", Ok(&["1", "z"])),
    ("(?im-s:foo)", Ok(&["foo", "FOO"])),
    ("\\E", Err("invalid escape sequence")),
    ("x{2}{3}", Err("invalid nested repetition operator")),
    ("(|a)*", Ok(&["a", "aa", ""])),
    ("\\a", Ok(&[])),
    ("[\\Q]\\E]", Err("invalid escape sequence")),
];

#[test]
fn patterns_mean_what_re2_means_by_them() {
    for (pattern, expected) in RE2J {
        let compiled = compile(pattern);
        let found = match &compiled {
            Ok(regex) => Ok(NAMES.iter().copied().filter(|name| regex.is_match(name)).collect::<Vec<_>>()),
            Err(why) => Err(why.as_str()),
        };
        assert_eq!(found, expected.map(<[&str]>::to_vec), "{pattern}");
    }
}

#[test]
fn patterns_are_bounded() {
    assert_eq!(compile("(a{1000}){1000}").err().as_deref(), Some("expression too large"));
    let deep = format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(compile(&deep).err().as_deref(), Some("invalid expression"));
}

proptest! {
    /// No pattern of whatever characters does more than be refused; and one of plain characters matches itself.
    #[test]
    fn any_pattern_is_safe(pattern in "[-a-z0-9._\\\\\\[\\](){}|*+?^$:<>=!PQEdpxU,&~#]{0,20}", plain in "[-a-zA-Z0-9_]{1,20}") {
        drop(compile(&pattern));
        prop_assert!(compile(&plain).is_ok_and(|regex| regex.is_match(&plain)));
        // Without what ends a quotation.
        let literal = pattern.replace('E', "");
        let quoted = format!("\\Q{literal}\\E");
        if !literal.ends_with('\\') {
            prop_assert!(compile(&quoted).is_ok_and(|regex| regex.is_match(&literal)));
        }
    }
}
