//! Patterns of transactional ids.
//!
//! Kafka goes by RE2 (its port to Java), this by the regex crate, which grew out of it: the same matching in linear time,
//! and nearly the same syntax. What differs is rewritten here, or refused where RE2 refuses it.

use levee_base::limits;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;

/// The most that RE2 repeats anything.
const REPETITIONS: u32 = 1_000;
/// The names of RE2's classes in brackets.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// A pattern that is no regular expression of RE2.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// A pattern that all of an id is to match.
#[derive(Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    pub(super) fn new(pattern: &str) -> Result<Self, Invalid> {
        if pattern.len() > limits::PATTERN_BYTES {
            return Err(Invalid);
        }
        let mut translator = Translator { rest: pattern, out: String::new(), names: BTreeSet::new() };
        translator.translate()?;
        let pattern = format!(r"\A(?:{})\z", translator.out);
        let built = RegexBuilder::new(&pattern).size_limit(limits::PATTERN_COMPILED_BYTES).build();
        built.map(Self).map_err(|_| Invalid)
    }

    pub(super) fn matches(&self, id: &str) -> bool {
        self.0.is_match(id)
    }
}

/// Rewrites a pattern of RE2 for the regex crate.
struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// The names of groups.
    names: BTreeSet<&'a str>,
}

impl<'a> Translator<'a> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn next_if(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes what comes before `end`, and that.
    fn until(&mut self, end: &str) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(taken)
    }

    fn translate(&mut self) -> Result<(), Invalid> {
        let mut depth = 0_usize;
        // Whether what came last is repeated already, which may not be repeated again.
        let mut repeated = false;
        while !self.rest.is_empty() {
            if let Some(length) = repetition(self.rest)? {
                if repeated {
                    return Err(Invalid);
                }
                self.out.push_str(&self.rest[..length]);
                self.rest = &self.rest[length..];
                if self.next_if("?") {
                    self.out.push('?');
                }
                repeated = true;
                continue;
            }
            repeated = false;
            match self.next() {
                Some('\\') => self.escape()?,
                Some('[') => self.class()?,
                Some('(') => depth += usize::from(self.group()?),
                Some(')') => {
                    depth = depth.checked_sub(1).ok_or(Invalid)?;
                    self.out.push(')');
                }
                // One that begins no repetition.
                Some('{') => self.out.push_str(r"\{"),
                Some(next) => self.out.push(next),
                None => {}
            }
        }
        if depth == 0 { Ok(()) } else { Err(Invalid) }
    }

    /// What follows `(`. Says whether that is a group, rather than flags for what follows.
    fn group(&mut self) -> Result<bool, Invalid> {
        if !self.next_if("?") {
            self.out.push('(');
            return Ok(true);
        }
        if self.next_if("P<") || self.next_if("<") {
            let name = self.until(">").ok_or(Invalid)?;
            let word = |next: char| next.is_ascii_alphanumeric() || next == '_';
            if name.is_empty() || !name.chars().all(word) || !self.names.insert(name) {
                return Err(Invalid);
            }
            self.out.push('(');
            return Ok(true);
        }
        let length = self.rest.find([':', ')']).ok_or(Invalid)?;
        let flags = &self.rest[..length];
        let known = |flags: &str| flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's' | 'U'));
        let valid = match flags.split_once('-') {
            Some((on, off)) => known(on) && known(off) && !off.is_empty(),
            None => known(flags),
        };
        if !valid {
            return Err(Invalid);
        }
        self.rest = &self.rest[length..];
        let opens = self.next() == Some(':');
        // The regex crate refuses `(?)`, which says nothing.
        if opens || !flags.is_empty() {
            self.out.extend(["(?", flags, if opens { ":" } else { ")" }]);
        }
        Ok(opens)
    }

    /// What follows a backslash outside of classes.
    fn escape(&mut self) -> Result<(), Invalid> {
        if self.next_if("Q") {
            let literal = self.until(r"\E").unwrap_or_else(|| std::mem::take(&mut self.rest));
            self.out.push_str(&regex::escape(literal));
        } else if self.next_if("b") {
            self.out.push_str(r"(?-u:\b)");
        } else {
            self.character().map(drop)?;
        }
        Ok(())
    }

    /// What follows a backslash, anywhere. Says whether that is one character, and not a class of them.
    fn character(&mut self) -> Result<bool, Invalid> {
        let next = self.next().ok_or(Invalid)?;
        // Those of Perl are ASCII in RE2.
        let class = match next {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            's' => r"[\t\n\f\r ]",
            'S' => r"[^\t\n\f\r ]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            _ => "",
        };
        if !class.is_empty() {
            self.out.push_str(class);
            return Ok(false);
        }
        match next {
            // One digit alone would refer to a group.
            '0'..='7' if next == '0' || self.rest.starts_with(|next: char| next.is_digit(8)) => {
                let mut value = next.to_digit(8).ok_or(Invalid)?;
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(|next| next.to_digit(8)) else {
                        break;
                    };
                    value = value * 8 + digit;
                    self.next();
                }
                self.out.push_str(&format!(r"\x{{{value:x}}}"));
            }
            // Words begin and end by these in the regex crate.
            '<' | '>' => self.out.push(next),
            // Those are characters there, by number.
            'u' | 'U' => return Err(Invalid),
            _ => self.out.extend(['\\', next]),
        }
        if matches!(next, 'x' | 'p' | 'P') && self.next_if("{") {
            let braced = self.until("}").ok_or(Invalid)?;
            self.out.extend(["{", braced, "}"]);
        } else if next == 'x' {
            let digits = self.rest.get(..2).ok_or(Invalid)?;
            self.out.push_str(digits);
            self.rest = &self.rest[2..];
        } else if matches!(next, 'p' | 'P') {
            self.out.push(self.rest.chars().next().ok_or(Invalid)?);
            self.next();
        }
        Ok(!matches!(next, 'p' | 'P'))
    }

    /// What follows `[`. The regex crate has classes in classes, and operators on them.
    fn class(&mut self) -> Result<(), Invalid> {
        self.out.push('[');
        if self.next_if("^") {
            self.out.push('^');
        }
        // The first `]` doesn't end it.
        let mut first = true;
        while first || !self.next_if("]") {
            first = false;
            if self.next_if("[:") {
                let name = self.until(":]").ok_or(Invalid)?;
                if !CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(Invalid);
                }
                self.out.extend(["[:", name, ":]"]);
            } else if self.member()? && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                self.out.push('-');
                if !self.member()? {
                    return Err(Invalid);
                }
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// A member of a class. Says whether that is one character.
    fn member(&mut self) -> Result<bool, Invalid> {
        match self.next().ok_or(Invalid)? {
            '\\' => return self.character(),
            next @ ('[' | ']' | '&' | '~' | '-' | '^') => self.out.extend(['\\', next]),
            next => self.out.push(next),
        }
        Ok(true)
    }
}

/// The length of the repetition that `rest` begins with: `*`, `+`, `?`, `{2}`, `{2,}` or `{2,3}`. Any other brace is one.
fn repetition(rest: &str) -> Result<Option<usize>, Invalid> {
    if rest.starts_with(['*', '+', '?']) {
        return Ok(Some(1));
    }
    let Some((numbers, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Ok(None);
    };
    let (least, most) = numbers.split_once(',').unwrap_or((numbers, ""));
    let digits = |number: &str| number.chars().all(|next| next.is_ascii_digit());
    if least.is_empty() || !digits(least) || !digits(most) {
        return Ok(None);
    }
    let few =
        |number: &str| number.is_empty() || number.parse::<u32>().is_ok_and(|number| number <= REPETITIONS);
    if few(least) && few(most) { Ok(Some(numbers.len() + 2)) } else { Err(Invalid) }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
