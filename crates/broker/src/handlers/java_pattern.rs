//! Whether Java's `Pattern` would compile a pattern. Kafka compiles those that choose clients by Java's rules and refuses
//! a configuration with one that is none; here they are kept and nothing is matched by them.
//!
//! Looked at are groups, classes, escapes and repetitions. Left to Java alone, so that some patterns are taken here that it
//! refuses, is what stands in braces after a backslash, which groups `\k` and numbers refer to, what an intersection of
//! classes lacks, and whether what a look-behind matches has an end. Comments (`(?x)`) are looked at as if they were none.

use std::iter::Peekable;
use std::str::Chars;

/// The letters that mean something after a backslash; others are an error.
const ESCAPES: &str = "0xutnrfaecdDhHsSvVwWpPbBAGZzRXNkQ";
/// What may follow `(?` of a group that isn't one of flags.
const KINDS: &str = ":=!><";
const FLAGS: &str = "idmsuxU-";

/// Whether it can be compiled.
pub(super) fn compiles(pattern: &str) -> bool {
    walk(&mut pattern.chars().peekable()).is_some()
}

fn walk(rest: &mut Peekable<Chars<'_>>) -> Option<()> {
    let (mut open, mut repeatable) = (0_usize, false);
    while let Some(next) = rest.next() {
        repeatable = match next {
            '\\' => escape(rest)?,
            '[' => class(rest)?,
            '(' => {
                let question = rest.next_if_eq(&'?').is_some();
                // Flags alone are no group, and can't be repeated.
                if !(question && are_flags_alone(rest)?) {
                    open += 1;
                }
                false
            }
            ')' => {
                open = open.checked_sub(1)?;
                true
            }
            '|' => false,
            '*' | '+' | '?' if !repeatable => return None,
            '*' | '+' | '?' | '{' => {
                if next == '{' {
                    bounds(rest)?;
                }
                // Reluctant, or possessive.
                let _ = rest.next_if(|next| matches!(next, '?' | '+'));
                false
            }
            _ => true,
        };
    }
    (open == 0).then_some(())
}

/// What follows `(?`: whether it is flags and nothing else, to their parenthesis.
fn are_flags_alone(rest: &mut Peekable<Chars<'_>>) -> Option<bool> {
    if rest.next_if(|next| KINDS.contains(*next)).is_some() {
        return Some(false);
    }
    while rest.next_if(|next| FLAGS.contains(*next)).is_some() {}
    match rest.next()? {
        ':' => Some(false),
        ')' => Some(true),
        _ => None,
    }
}

/// What follows a backslash. Says that it can be repeated.
fn escape(rest: &mut Peekable<Chars<'_>>) -> Option<bool> {
    let next = rest.next()?;
    if next.is_ascii_alphabetic() && !ESCAPES.contains(next) {
        return None;
    }
    let braces = matches!(next, 'p' | 'P' | 'x' | 'N' | 'b') && rest.next_if_eq(&'{').is_some();
    if braces {
        // Some name in braces.
        rest.find(|inside| *inside == '}')?;
    }
    let digits = match next {
        'x' if !braces => 2,
        'u' => 4,
        _ => 0,
    };
    for _ in 0..digits {
        rest.next_if(char::is_ascii_hexdigit)?;
    }
    if next == 'c' {
        rest.next()?;
    }
    if next == 'Q' {
        // Up to \E, or the end, all stands for itself.
        while let Some(quoted) = rest.next() {
            if quoted == '\\' && rest.next_if_eq(&'E').is_some() {
                break;
            }
        }
    }
    Some(true)
}

/// A class, of which there may be others within.
fn class(rest: &mut Peekable<Chars<'_>>) -> Option<bool> {
    let (mut open, mut first, mut before) = (1_usize, true, None);
    let _ = rest.next_if_eq(&'^');
    while let Some(next) = rest.next() {
        let was_first = std::mem::take(&mut first);
        match next {
            '\\' => {
                escape(rest)?;
                before = None;
            }
            '[' => {
                let _ = rest.next_if_eq(&'^');
                (open, first, before) = (open + 1, true, None);
            }
            ']' if !was_first => {
                (open, before) = (open - 1, None);
                if open == 0 {
                    return Some(true);
                }
            }
            '-' if before.is_some() && rest.peek().is_some_and(|end| !matches!(end, ']' | '[' | '\\')) => {
                if before.take() > rest.next() {
                    return None;
                }
            }
            literal => before = Some(literal),
        }
    }
    None
}

/// `{n}`, `{n,}` or `{n,m}`, after its brace.
fn bounds(rest: &mut Peekable<Chars<'_>>) -> Option<()> {
    let least = number(rest)?;
    if rest.next_if_eq(&',').is_some() && rest.peek() != Some(&'}') && number(rest)? < least {
        return None;
    }
    rest.next_if_eq(&'}').map(|_| ())
}

fn number(rest: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    digits.parse().ok().filter(|number| *number <= i32::MAX.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_java_compiles_and_what_it_does_not() {
        for good in [
            "",
            "a.*",
            "^a$",
            "(a|b)+c?",
            "a{2}",
            "a{2,}?",
            "a{2,3}+",
            "a*+b",
            "[a-z&&[^bc]]",
            "[]a]",
            "[^]a]",
            "[a-]",
            "[-a]",
            "(?i)a",
            "(?<name>a)\\k<name>",
            "(?=a)(?<!b)(?>c)",
            "\\Q[(*\\Ea",
            "\\Q[",
            "\\.\\[\\d",
            "a]",
            "a}",
            "(|a)",
            "[[a]b]",
            "\\p{Lu}",
            "\\pL+",
            "[\\]a]",
            "(?:a)*",
            "{1}",
            "(?)",
            "(?i-s:a)*",
            "\\x41\\x{41}\\u0041\\cA",
            "^*",
        ] {
            assert!(compiles(good), "{good}");
        }
        for bad in [
            "[",
            "[a",
            "[[a]",
            "(",
            "(a",
            "a)",
            "*a",
            "+",
            "?",
            "a**",
            "a{",
            "a{x}",
            "a{3,2}",
            "a{1",
            "(*a)",
            "|*",
            "\\",
            "\\y",
            "[\\y]",
            "[b-a]",
            "\\p{L",
            "(?",
            "(?z)",
            "(?iz)",
            "(?i)*",
            "\\E",
            "\\xg0",
            "\\u12",
            "\\c",
            "a{99999999999}",
        ] {
            assert!(!compiles(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn it_ends_whatever_it_is(pattern in "[\\\\\\[\\](){}?*+|a0-9,Q^&-]{0,40}") {
            let _ = compiles(&pattern);
        }
    }
}
