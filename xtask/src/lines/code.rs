//! Finds the lines of a file that count as code.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, LexError, Span, TokenStream, TokenTree};

/// What of a file counts.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// The numbers of its lines.
    pub(super) lines: BTreeSet<usize>,
    /// Modules in files of their own that are declared for tests alone.
    pub(super) test_modules: Vec<String>,
}

impl Code {
    pub(super) fn of(text: &str) -> Result<Self, LexError> {
        let mut code = Self::default();
        code.add(text.parse()?);
        Ok(code)
    }

    /// Comments are no tokens. Doc comments are attributes; they are left out here, and so are
    /// items for tests.
    fn add(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some((attributes, item)) = split_attributes(rest) {
            if attributes.iter().any(|attribute| is_for_tests(attribute)) {
                rest = self.skip_item(item);
                continue;
            }
            for attribute in attributes {
                if !is_doc_comment(attribute) {
                    self.mark(attribute.span());
                }
            }
            let Some((token, after)) = item.split_first() else {
                break;
            };
            if let TokenTree::Group(group) = token {
                self.mark(group.span_open());
                self.add(group.stream());
                self.mark(group.span_close());
            } else {
                self.mark(token.span());
            }
            rest = after;
        }
    }

    fn mark(&mut self, span: Span) {
        self.lines.extend(span.start().line..=span.end().line);
    }

    /// What follows the item that `tokens` begin with: it ends with a semicolon or a block.
    fn skip_item<'a>(&mut self, tokens: &'a [TokenTree]) -> &'a [TokenTree] {
        if let [TokenTree::Ident(word), TokenTree::Ident(name), end, ..] = tokens
            && word == "mod"
            && is_punct(end, ';')
        {
            self.test_modules.push(name.to_string());
        }
        let end = tokens
            .iter()
            .position(|token| is_punct(token, ';') || is_group(token, Delimiter::Brace));
        end.map_or(&[], |end| &tokens[end + 1..])
    }
}

/// The attributes that `tokens` begin with, and what follows; nothing when there are no tokens.
fn split_attributes(mut tokens: &[TokenTree]) -> Option<(Vec<&Group>, &[TokenTree])> {
    if tokens.is_empty() {
        return None;
    }
    let mut attributes = Vec::new();
    while let [hash, rest @ ..] = tokens
        && is_punct(hash, '#')
    {
        let rest = match rest {
            [mark, rest @ ..] if is_punct(mark, '!') => rest,
            rest => rest,
        };
        let [TokenTree::Group(group), rest @ ..] = rest else {
            break;
        };
        if group.delimiter() != Delimiter::Bracket {
            break;
        }
        attributes.push(group);
        tokens = rest;
    }
    Some((attributes, tokens))
}

fn is_doc_comment(attribute: &Group) -> bool {
    let tokens: Vec<TokenTree> = attribute.stream().into_iter().collect();
    matches!(tokens.as_slice(), [TokenTree::Ident(doc), _, TokenTree::Literal(_)] if doc == "doc")
}

/// `cfg(test)`, or `cfg(all(test, ..))`.
fn is_for_tests(attribute: &Group) -> bool {
    let Some(condition) = arguments(attribute.stream(), "cfg") else {
        return false;
    };
    let all = arguments(condition.clone(), "all").unwrap_or(condition);
    all.into_iter()
        .any(|token| matches!(token, TokenTree::Ident(word) if word == "test"))
}

/// What is in the brackets of `name(..)`.
fn arguments(tokens: TokenStream, name: &str) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(word), TokenTree::Group(group)] if word == name => Some(group.stream()),
        _ => None,
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_group(token: &TokenTree, wanted: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r##"//! About the file.
#![doc = include_str!("README.md")]

// A comment.
use std::fmt; // beside code

/// A doc comment,
/// of two lines.
#[derive(Debug)]
struct One {
    /** A field's. */
    two: &'static str,
}

/* A comment
   of two lines */
const TEXT: &str = r#"
// no comment
/* nor this { "#;

fn brace() -> char { '{' }

#[cfg(not(test))]
fn not_for_tests() {}

/// For tests.
#[cfg(test)]
#[derive(Debug)]
struct Fixture {
    three: u8,
}

#[cfg(all(test, feature = "sqlite"))]
use std::io;

#[cfg(test)]
mod timing;

macro_rules! sum {
    // A comment.
    ($(#[$meta:meta])* $one:expr) => {{
        #[cfg(test)]
        fn for_tests() {}
        $one
    }};
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_test() {}
}
"##;

    #[test]
    fn code_is_counted_without_tests_and_comments() {
        let code = Code::of(TEXT).unwrap();
        let lines: Vec<&str> = TEXT.lines().collect();
        let counted: Vec<&str> = code.lines.iter().map(|line| lines[line - 1]).collect();
        assert_eq!(
            counted,
            [
                r#"#![doc = include_str!("README.md")]"#,
                "use std::fmt; // beside code",
                "#[derive(Debug)]",
                "struct One {",
                "    two: &'static str,",
                "}",
                r#"const TEXT: &str = r#""#,
                "// no comment",
                r##"/* nor this { "#;"##,
                "fn brace() -> char { '{' }",
                "#[cfg(not(test))]",
                "fn not_for_tests() {}",
                "macro_rules! sum {",
                "    ($(#[$meta:meta])* $one:expr) => {{",
                "        $one",
                "    }};",
                "}",
            ]
        );
        assert_eq!(code.test_modules, ["timing"]);
    }
}
