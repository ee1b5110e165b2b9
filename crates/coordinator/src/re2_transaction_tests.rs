//! Patterns, each tried with Apache Kafka 4.3.0.

use super::*;

#[test]
fn all_of_an_id_matches() {
    for (pattern, id) in [
        ("a", "a"),
        ("a|ab", "ab"),
        ("^a.*z$", "abcz"),
        ("(?i)ABC", "abc"),
        (r"\w{2,3}", "a_1"),
        (r"[\d.]+", "1.2"),
        (r"\Qa.b*\E+", "a.b**"),
        (r"\Qa.", "a."),
        ("a{", "a{"),
        ("a{,2}", "a{,2}"),
        ("[[a]", "["),
        ("[]a]", "]"),
        ("[a&&b]", "&"),
        ("[a~~b]", "~"),
        ("[[:alpha:]]+", "abc"),
        (r"\pL+", "äb"),
        ("(?P<name>a)b", "ab"),
        ("(?<name>a)b", "ab"),
        ("(?:a|b)+", "abba"),
        (r"a\<", "a<"),
        (r".*\bb", "a b"),
        ("a{1000}", &"a".repeat(1000)),
        (r"[^\d]", "x"),
        ("[^[a]", "x"),
        (r"[a\]]", "]"),
        ("a(?i)B", "ab"),
        ("(?i:A)b", "ab"),
        (r"\x61", "a"),
        (r"\x{61}", "a"),
        (r"\141", "a"),
        (r"\a", "\u{7}"),
        (r"[\a]", "\u{7}"),
        ("[a-]", "-"),
        (r"a\-b", "a-b"),
        ("[--a]", "a"),
        ("[+--]", "-"),
        ("(|a)", "a"),
        ("(?m)a$", "a"),
        (r"[\w-]+", "a-b"),
        (r"\_", "_"),
        (r"\ ", " "),
        ("a#b", "a#b"),
        ("(?s).", "\n"),
        ("[[.a]]", "a]"),
        ("a{0}b", "b"),
        ("a{2,}", "aaa"),
        (r"\Aa\z", "a"),
        ("(?i)k", "\u{212a}"),
    ] {
        assert!(compile(pattern).unwrap().is_match(id), "{pattern} {id}");
    }
}

#[test]
fn a_part_of_an_id_does_not_match() {
    for (pattern, id) in [
        ("a", "ab"),
        ("b", "ab"),
        ("()", "a"),
        (".", "\n"),
        (r"\w", "ä"),
        (r"[\w]", "ä"),
        (r"\d", "٣"),
        (r"\s", "\u{b}"),
        ("[a&&b]", "c"),
        ("a{2}?", "a"),
        ("^*", "a"),
        ("$*", "a"),
        ("(?)a", "b"),
        ("(?:)", "a"),
        (r"\Q", "a"),
        (r"\b*", "a"),
        (r"\<*", "a"),
        ("x{2}{", "a"),
        ("(?U)a", "b"),
        ("(?P<1>a)", "b"),
        ("(a{1000}){2}", "b"),
    ] {
        assert!(!compile(pattern).unwrap().is_match(id), "{pattern} {id}");
    }
}

#[test]
fn what_re2_refuses_is_refused() {
    for pattern in [
        "(",
        ")",
        "a)(b",
        "a)|(b",
        "[",
        "[a",
        "*",
        "a**",
        "a{2}{3}",
        "a{1001}",
        "a{2,1001}",
        r"\",
        r"\1",
        r"\8",
        "(?x)a",
        "(?u)a",
        r"\u0061",
        "(?=a)",
        "[[:alph:]]",
        "[[:",
        "a{1000}{1000}",
        "|*",
        "(*)",
        "a|*",
        "(?:*)",
        "a{3,2}",
        "[b-a]",
        "[a--b]",
        r"[a-\d]",
        r"\Z",
        r"\C",
        r"\G",
        r"\E",
        "(?i",
        "(?",
        "(?P<n",
        "(?P<n>a)(?P<n>b)",
        "(?P=n)",
        "[]",
        "[^]",
        "a*??",
        "a+?*",
        "(?i)(?",
        "(?-)a",
        "(?i-)a",
        "(?--i)a",
        r"\pX",
        r"\p{Foo}",
        "a{99999999999}",
        r"[\b]",
        "(?P<>a)",
    ] {
        assert!(compile(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn what_would_take_too_much_is_refused() {
    // Kafka fails on the first (UNKNOWN_SERVER_ERROR) and takes the second.
    for pattern in ["((a{1000}){1000}){1000}", &"a".repeat(PATTERN_BYTES + 1), &"(".repeat(10_000)] {
        assert!(compile(pattern).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn no_pattern_panics(pattern in r"[\\\[\](){}?*+^$.:<>PpQEdwxbu0-9a-c&~,\-ä]{0,24}") {
        let _ = compile(&pattern).map(|pattern| pattern.is_match("abc"));
    }
}
