//! Patterns that clients send, of topics and of transactional ids. They are written in the syntax of RE2, which Kafka reads
//! with RE2/J; they are translated here into that of the `regex` crate, which is as safe: matching takes linear time.

use levee_base::limits::{PATTERN_BYTES, PATTERN_COMPILED_BYTES, PATTERN_DEPTH};
use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// The most that a part may be repeated, as RE2 has it.
const REPEAT_MAX: u32 = 1_000;

/// The classes that have names.
const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Compiles a pattern that is to match whole names.
///
/// # Errors
/// What is wrong with it, in RE2's words where RE2 refuses it, too.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES {
        return refuse("expression too large");
    }
    let translated = Translator::new(pattern).translate()?;
    RegexBuilder::new(&format!(r"\A(?:{translated})\z"))
        .size_limit(PATTERN_COMPILED_BYTES)
        .nest_limit(PATTERN_DEPTH)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "expression too large".to_owned(),
            // What it says goes over several lines, with the pattern in it.
            _ => "invalid expression".to_owned(),
        })
}

type Translated<T> = Result<T, String>;

fn refuse<T>(why: &str) -> Translated<T> {
    Err(why.to_owned())
}

/// Writes a pattern anew in such a way that both syntaxes mean the same by it.
struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    depth: usize,
    groups: BTreeSet<String>,
    /// Classes of Unicode that were found to exist.
    classes: BTreeSet<String>,
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a str) -> Self {
        Self {
            rest: pattern.chars().peekable(),
            out: String::new(),
            depth: 0,
            groups: BTreeSet::new(),
            classes: BTreeSet::new(),
        }
    }

    fn translate(mut self) -> Translated<String> {
        // Whether there is something to repeat, and whether it is a repetition itself.
        let (mut repeatable, mut repeated) = (false, false);
        while let Some(next) = self.rest.next() {
            let repetition = match next {
                '*' | '+' | '?' => Some(next.to_string()),
                '{' => self.counted_repetition()?,
                _ => None,
            };
            if let Some(repetition) = repetition {
                if !repeatable {
                    return refuse("missing argument to repetition operator");
                }
                if repeated {
                    return refuse("invalid nested repetition operator");
                }
                self.out.push_str(&repetition);
                if self.rest.next_if_eq(&'?').is_some() {
                    self.out.push('?');
                }
                repeated = true;
                continue;
            }
            repeated = false;
            repeatable = true;
            match next {
                '\\' => repeatable = self.escape()?,
                '[' => self.class()?,
                '(' => {
                    self.open()?;
                    repeatable = false;
                }
                ')' => {
                    self.depth = match self.depth.checked_sub(1) {
                        Some(depth) => depth,
                        None => return refuse("regexp/syntax: internal error"),
                    };
                    self.out.push(')');
                }
                '|' => {
                    self.out.push('|');
                    repeatable = false;
                }
                '.' | '^' | '$' => self.out.push(next),
                literal => self.literal(literal),
            }
        }
        if self.depth > 0 {
            return refuse("missing closing )");
        }
        Ok(self.out)
    }

    /// A character that stands for itself, in a class or out of it.
    fn literal(&mut self, literal: char) {
        self.out.push_str(&format!(r"\x{{{:x}}}", u32::from(literal)));
    }

    /// What follows `{`, if it is a number of times; otherwise the brace stands for itself.
    fn counted_repetition(&mut self) -> Translated<Option<String>> {
        let mut ahead = self.rest.clone();
        let number = |ahead: &mut Peekable<Chars<'_>>| -> Option<u32> {
            let mut digits = String::new();
            while let Some(digit) = ahead.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            // Leading zeros are none of RE2's numbers; what is too long is too many in any case.
            let valid = !digits.is_empty() && (digits == "0" || !digits.starts_with('0'));
            valid.then(|| digits.parse().unwrap_or(u32::MAX))
        };
        let Some(least) = number(&mut ahead) else { return Ok(None) };
        let mut most = Some(least);
        if ahead.next_if_eq(&',').is_some() {
            most = if ahead.peek() == Some(&'}') {
                None
            } else {
                let Some(most) = number(&mut ahead) else { return Ok(None) };
                Some(most)
            };
        }
        if ahead.next() != Some('}') {
            return Ok(None);
        }
        if least > REPEAT_MAX || most.is_some_and(|most| most > REPEAT_MAX || most < least) {
            return refuse("invalid repeat count");
        }
        self.rest = ahead;
        let most = most.map(|most| most.to_string()).unwrap_or_default();
        Ok(Some(format!("{{{least},{most}}}")))
    }

    /// What follows `(`.
    fn open(&mut self) -> Translated<()> {
        self.depth += 1;
        if self.rest.next_if_eq(&'?').is_none() {
            self.out.push_str("(?:");
            return Ok(());
        }
        let unsupported = "invalid or unsupported Perl syntax";
        let mut ahead = self.rest.clone();
        let named = match (ahead.next(), ahead.next()) {
            (Some('P'), Some('<')) => 2,
            (Some('<'), Some(_)) => 1,
            _ => 0,
        };
        if named > 0 {
            for _ in 0..named {
                self.rest.next();
            }
            let mut name = String::new();
            while let Some(next) = self.rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
                name.push(next);
            }
            if name.is_empty() || self.rest.next() != Some('>') {
                return refuse("invalid named capture");
            }
            if !self.groups.insert(name) {
                return refuse("duplicate capture group name");
            }
            // What groups capture is of no interest.
            self.out.push_str("(?:");
            return Ok(());
        }
        let (mut flags, mut negative, mut since_minus) = (String::new(), false, true);
        loop {
            match self.rest.next() {
                Some(flag @ ('i' | 'm' | 's' | 'U')) => {
                    flags.push(flag);
                    since_minus = true;
                }
                Some('-') if !negative => {
                    flags.push('-');
                    (negative, since_minus) = (true, false);
                }
                Some(end @ (':' | ')')) if since_minus => {
                    if end == ')' {
                        // Flags for the rest of the group that is open.
                        self.depth -= 1;
                    }
                    if end == ':' || !flags.is_empty() {
                        self.out.push_str(&format!("(?{flags}{end}"));
                    }
                    return Ok(());
                }
                _ => return refuse(unsupported),
            }
        }
    }

    /// What follows `\` outside of a class. Returns whether there is something to repeat then.
    fn escape(&mut self) -> Translated<bool> {
        match self.rest.peek().copied() {
            Some('Q') => {
                self.rest.next();
                let mut any = false;
                while let Some(next) = self.rest.next() {
                    if next == '\\' && self.rest.next_if_eq(&'E').is_some() {
                        break;
                    }
                    self.literal(next);
                    any = true;
                }
                return Ok(any);
            }
            Some(anchor @ ('A' | 'z')) => {
                self.rest.next();
                self.out.push_str(&format!(r"\{anchor}"));
            }
            Some(boundary @ ('b' | 'B')) => {
                self.rest.next();
                self.out.push_str(&format!(r"(?-u:\{boundary})"));
            }
            _ => {
                if !self.class_escape()? {
                    let literal = self.literal_escape()?;
                    self.literal(literal);
                }
            }
        }
        Ok(true)
    }

    /// A class of characters after `\`, in a class or out of it; nothing is taken if there is none.
    fn class_escape(&mut self) -> Translated<bool> {
        let class = match self.rest.peek() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => r"[\t\n\x0c\r\x20]",
            Some('S') => r"[^\t\n\x0c\r\x20]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some(&kind @ ('p' | 'P')) => {
                self.rest.next();
                self.unicode_class(kind == 'P')?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.rest.next();
        self.out.push_str(class);
        Ok(true)
    }

    /// What follows `\p` or, negated, `\P`.
    fn unicode_class(&mut self, mut negated: bool) -> Translated<()> {
        let invalid = "invalid character class range";
        let mut name = String::new();
        match self.rest.next() {
            Some('{') => {
                negated ^= self.rest.next_if_eq(&'^').is_some();
                loop {
                    match self.rest.next() {
                        Some('}') => break,
                        Some(next) if next.is_ascii_alphanumeric() || next == '_' => name.push(next),
                        _ => return refuse(invalid),
                    }
                }
            }
            Some(next) if next.is_ascii_alphabetic() => name.push(next),
            _ => return refuse(invalid),
        }
        let class = format!(r"\{}{{{name}}}", if negated { 'P' } else { 'p' });
        self.out.push_str(&class);
        if !self.classes.contains(&class) {
            if Regex::new(&class).is_err() {
                return refuse(invalid);
            }
            self.classes.insert(class);
        }
        Ok(())
    }

    /// One character after `\`.
    fn literal_escape(&mut self) -> Translated<char> {
        let invalid = "invalid escape sequence";
        let Some(next) = self.rest.next() else {
            return refuse("trailing backslash at end of expression");
        };
        let digit = |next: Option<char>, radix| next.and_then(|next| next.to_digit(radix));
        let code = match next {
            '1'..='7' if !self.rest.peek().is_some_and(|next| next.is_digit(8)) => return refuse(invalid),
            '0'..='7' => {
                let mut code = digit(Some(next), 8).unwrap_or(0);
                for _ in 0..2 {
                    if let Some(next) = self.rest.next_if(|next| next.is_digit(8)) {
                        code = 8 * code + digit(Some(next), 8).unwrap_or(0);
                    }
                }
                code
            }
            'x' if self.rest.next_if_eq(&'{').is_some() => {
                let mut code = None;
                loop {
                    match self.rest.next() {
                        Some('}') => break,
                        next => {
                            let Some(next) = digit(next, 16) else { return refuse(invalid) };
                            let so_far: u32 = code.unwrap_or(0);
                            if so_far > u32::from(char::MAX) {
                                return refuse(invalid);
                            }
                            code = Some(16 * so_far + next);
                        }
                    }
                }
                let Some(code) = code else { return refuse(invalid) };
                code
            }
            'x' => match (digit(self.rest.next(), 16), digit(self.rest.next(), 16)) {
                (Some(high), Some(low)) => 16 * high + low,
                _ => return refuse(invalid),
            },
            'a' => 0x07,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            other if !other.is_ascii_alphanumeric() => u32::from(other),
            _ => return refuse(invalid),
        };
        char::from_u32(code).ok_or_else(|| invalid.to_owned())
    }

    /// What follows `[`.
    fn class(&mut self) -> Translated<()> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            match self.rest.peek().copied() {
                None => return refuse("missing closing ]"),
                Some(']') if !first => {
                    self.rest.next();
                    self.out.push(']');
                    return Ok(());
                }
                Some('[') if self.named_class()? => {}
                Some('\\') if self.escaped_class()? => {}
                Some(_) => self.class_range()?,
            }
            first = false;
        }
    }

    /// A class by name, as `[:alpha:]`; nothing is taken if there is none.
    fn named_class(&mut self) -> Translated<bool> {
        let mut ahead = self.rest.clone();
        ahead.next();
        if ahead.next() != Some(':') {
            return Ok(false);
        }
        let mut name = String::from("[:");
        loop {
            match ahead.next() {
                Some(':') if ahead.next_if_eq(&']').is_some() => break,
                Some(next) => name.push(next),
                None => return Ok(false),
            }
        }
        name.push_str(":]");
        if !POSIX.contains(&name[2..name.len() - 2].trim_start_matches('^')) {
            return refuse("invalid character class range");
        }
        self.rest = ahead;
        self.out.push_str(&name);
        Ok(true)
    }

    /// A class after `\` in a class; nothing is taken if there is none.
    fn escaped_class(&mut self) -> Translated<bool> {
        let before = self.rest.clone();
        self.rest.next();
        if self.class_escape()? {
            return Ok(true);
        }
        self.rest = before;
        Ok(false)
    }

    fn class_char(&mut self) -> Translated<char> {
        match self.rest.next() {
            None => refuse("missing closing ]"),
            Some('\\') => self.literal_escape(),
            Some(literal) => Ok(literal),
        }
    }

    /// One character, or a range.
    fn class_range(&mut self) -> Translated<()> {
        let from = self.class_char()?;
        self.literal(from);
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
            self.rest = ahead;
            let to = self.class_char()?;
            if to < from {
                return refuse("invalid character class range");
            }
            self.out.push('-');
            self.literal(to);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "re2_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "re2_transaction_tests.rs"]
mod transaction_tests;
