//! [`Scanner`]: a text as the tokens that the server's own lexer would see. No statement is
//! understood here.
//!
//! One pass, no allocation. What two servers, or two settings of one, could read differently is an
//! error ([`Doubt`]) and not a token, so that nothing behind it can be misread. The places where
//! lexers of MySQL and MariaDB surprise are marked `WHY:`.

use super::classification::Reason;
use super::dialect::{Charset, Dialect, Quoting};

/// The rest of a text, and how to read it.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    position: usize,
    dialect: Dialect,
}

/// A token, and the half-open range of bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// The token itself; of what has quotes or signs around it, the inside.
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) end: usize,
}

/// Without payload, so that it is copied as the one byte that it was written as: reading it back
/// wider than that stalls the processor, at each token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word without quotes: keyword or identifier.
    Word,
    /// An identifier in quotes (or perhaps a string in double quotes, where that depends on
    /// `sql_mode`).
    Name,
    /// A string.
    Text,
    Number,
    /// `?`
    Parameter,
    /// `@name`
    UserVariable,
    /// `@@name`: what follows the two signs, up to the first dot.
    SystemVariable,
    /// `:=`
    Assign,
    /// `(`
    Open,
    /// `)`
    Close,
    Comma,
    Dot,
    /// Any other character.
    Sign,
    /// A semicolon, and more behind it than blanks and comments.
    Next,
    /// Nothing more, but perhaps a last semicolon.
    End,
}

/// The text cannot be read with certainty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) reason: Reason,
    pub(super) at: usize,
}

type Read<T> = Result<T, Doubt>;

impl<'a> Scanner<'a> {
    /// Fails when nothing of `text` can be read with certainty.
    pub(super) fn new(text: &'a str, dialect: Dialect) -> Read<Self> {
        let doubt = |reason| Err(Doubt { reason, at: 0 });
        match dialect.charset {
            Charset::Unknown => return doubt(Reason::UnknownCharset),
            Charset::AsciiOnly if !text.is_ascii() => return doubt(Reason::UnknownCharset),
            Charset::AsciiOnly | Charset::Utf8 => {}
        }
        if dialect.quoting == Quoting::Foreign {
            return doubt(Reason::ForeignSqlMode);
        }
        Ok(Self {
            text: text.as_bytes(),
            position: 0,
            dialect,
        })
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The next token. After [`Kind::End`] and [`Kind::Next`] there is only the end.
    pub(super) fn next(&mut self) -> Read<Token<'a>> {
        self.skip_blank()?;
        let at = self.position;
        let kind = self.kind(at)?;
        let end = self.position;
        let text = &self.text[at..end];
        let text = match kind {
            Kind::Name | Kind::Text => &text[1..text.len() - 1],
            Kind::SystemVariable => match &text[2..] {
                [b'`', name @ .., b'`'] => name,
                name => name,
            },
            _ => text,
        };
        Ok(Token { kind, text, at, end })
    }

    fn kind(&mut self, at: usize) -> Read<Kind> {
        let Some(first) = self.peek(0) else {
            return Ok(Kind::End);
        };
        self.position += 1;
        match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => {
                self.skip_while(is_word);
                Ok(Kind::Word)
            }
            b'0'..=b'9' => self.number(first, at),
            b'\'' => self.quoted(b'\'', at).map(|()| Kind::Text),
            b'`' => self.quoted(b'`', at).map(|()| Kind::Name),
            b'"' => self.double_quoted(at),
            b'?' => Ok(Kind::Parameter),
            b'@' => self.variable(at),
            b':' if self.peek(0) == Some(b'=') => {
                self.position += 1;
                Ok(Kind::Assign)
            }
            b';' => {
                self.skip_blank()?;
                let more = self.position < self.text.len();
                self.position = self.text.len();
                Ok(if more { Kind::Next } else { Kind::End })
            }
            b'(' => Ok(Kind::Open),
            b')' => Ok(Kind::Close),
            b',' => Ok(Kind::Comma),
            b'.' => Ok(Kind::Dot),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'=' | b'<' | b'>' | b'!' | b'&' | b'|' | b'^' | b'~' | b':' | b'{'
            | b'}' => Ok(Kind::Sign),
            // WHY: `$` is here too. It may begin an identifier, or a string in dollar quotes (MySQL
            // 9).
            _ => doubt(Reason::StrangeByte, at),
        }
    }

    /// Blanks and comments.
    fn skip_blank(&mut self) -> Read<()> {
        while let Some(byte) = self.peek(0) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.position += 1,
                b'#' => self.line_comment()?,
                // WHY: two dashes without a blank are two minus signs. At the end of a text, they
                // are a comment.
                b'-' if self.peek(1) == Some(b'-') => match self.peek(2) {
                    None | Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) => self.line_comment()?,
                    // WHY: other control characters begin a comment too, which other software does
                    // not know.
                    Some(0..0x20 | 0x7f) => return doubt(Reason::StrangeByte, self.position + 2),
                    Some(_) => return Ok(()),
                },
                b'/' if self.peek(1) == Some(b'*') => self.comment()?,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn line_comment(&mut self) -> Read<()> {
        let rest = &self.text[self.position..];
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        // WHY: the server ends such a comment at a zero byte, which is easily overlooked in a text.
        if let Some(zero) = rest[..length].iter().position(|byte| *byte == 0) {
            return doubt(Reason::StrangeByte, self.position + zero);
        }
        self.position += length;
        Ok(())
    }

    fn comment(&mut self) -> Read<()> {
        let at = self.position;
        let inside = &self.text[at + 2..];
        let Some(length) = inside.windows(2).position(|pair| pair == b"*/") else {
            return doubt(Reason::Unterminated, at);
        };
        let inside = &inside[..length];
        match inside.first() {
            Some(b'!' | b'M') => return doubt(Reason::ExecutableComment, at),
            // WHY: MySQL reads a hint with a lexer of its own, in which quotes hide the end of the
            // comment.
            Some(b'+')
                if inside
                    .iter()
                    .any(|byte| matches!(byte, b'\'' | b'"' | b'`' | b'\\' | 0)) =>
            {
                return doubt(Reason::DoubtfulHint, at);
            }
            _ => {}
        }
        // WHY: servers end a comment at the first `*/`; other software knows comments within
        // comments.
        if inside.windows(2).any(|pair| pair == b"/*") {
            return doubt(Reason::NestedComment, at);
        }
        self.position = at + 2 + length + 2;
        Ok(())
    }

    fn number(&mut self, first: u8, at: usize) -> Read<Kind> {
        match self.peek(0) {
            Some(b'x') if first == b'0' => {
                self.position += 1;
                self.skip_while(|byte| byte.is_ascii_hexdigit());
            }
            Some(b'b') if first == b'0' => {
                self.position += 1;
                self.skip_while(|byte| matches!(byte, b'0' | b'1'));
            }
            _ => self.decimal(),
        }
        // WHY: `1FOR` is an identifier, but `1.5FOR` and `1e5FOR` are a number and a keyword.
        if self.peek(0).is_some_and(is_word) {
            return doubt(Reason::DoubtfulNumber, at);
        }
        // WHY: right behind a dot, digits are a name, and `x.5()` calls a stored function.
        if self.text[..at].ends_with(b".") {
            return Ok(Kind::Word);
        }
        Ok(Kind::Number)
    }

    fn decimal(&mut self) {
        self.skip_while(|byte| byte.is_ascii_digit());
        if self.peek(0) == Some(b'.') {
            self.position += 1;
            self.skip_while(|byte| byte.is_ascii_digit());
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
            if self.peek(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
                self.position += 1 + sign;
                self.skip_while(|byte| byte.is_ascii_digit());
            }
        }
    }

    /// Depending on `sql_mode`, a string or an identifier.
    fn double_quoted(&mut self, at: usize) -> Read<Kind> {
        self.quoted(b'"', at)?;
        match self.dialect.quoting {
            Quoting::Known { ansi_quotes: false, .. } => Ok(Kind::Text),
            // An identifier is the more dangerous of the two: it can be called.
            Quoting::Known { ansi_quotes: true, .. } | Quoting::Unknown | Quoting::Foreign => Ok(Kind::Name),
        }
    }

    /// Up to the end of the quotes that were opened at `at`. Two quotes in a row stand for one.
    fn quoted(&mut self, quote: u8, at: usize) -> Read<()> {
        let escapes = self.escapes(quote);
        while let Some(byte) = self.peek(0) {
            self.position += 1;
            if byte == quote {
                if self.peek(0) != Some(quote) {
                    return Ok(());
                }
                self.position += 1;
            } else if byte == b'\\' && escapes != Escapes::No {
                // With and without escapes, `\\` ends before the same byte; only an escaped quote
                // tells them apart.
                if escapes == Escapes::Perhaps && self.peek(0) == Some(quote) {
                    return doubt(Reason::DoubtfulQuoting, self.position - 1);
                }
                self.position += 1;
            }
        }
        doubt(Reason::Unterminated, at)
    }

    fn escapes(&self, quote: u8) -> Escapes {
        match self.dialect.quoting {
            _ if quote == b'`' => Escapes::No,
            Quoting::Known { ansi_quotes: true, .. } if quote == b'"' => Escapes::No,
            Quoting::Known { backslash_escapes, .. } if backslash_escapes => Escapes::Yes,
            Quoting::Known { .. } => Escapes::No,
            Quoting::Unknown | Quoting::Foreign => Escapes::Perhaps,
        }
    }

    fn variable(&mut self, at: usize) -> Read<Kind> {
        let is_system = self.peek(0) == Some(b'@');
        self.position += usize::from(is_system);
        match self.peek(0) {
            Some(b'`') if is_system => {
                self.position += 1;
                self.quoted(b'`', at)?;
            }
            _ if is_system => self.skip_while(is_word),
            Some(quote @ (b'\'' | b'"' | b'`')) => {
                self.position += 1;
                self.quoted(quote, at)?;
            }
            // WHY: dots belong to the name, letters outside ASCII do not.
            _ => self.skip_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')),
        }
        Ok(if is_system {
            Kind::SystemVariable
        } else {
            Kind::UserVariable
        })
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.position += 1;
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.position + ahead).copied()
    }
}

/// Whether a backslash takes away the meaning of what follows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Yes,
    No,
    Perhaps,
}

const fn is_word(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..)
}

fn doubt<T>(reason: Reason, at: usize) -> Read<T> {
    Err(Doubt { reason, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(Kind, &str)> {
        let mut scanner = Scanner::new(text, Dialect::UTF8).unwrap();
        let mut tokens = Vec::new();
        loop {
            let token = scanner.next().unwrap();
            if token.kind == Kind::End {
                return tokens;
            }
            tokens.push((token.kind, str::from_utf8(token.text).unwrap()));
        }
    }

    fn doubt_of(text: &str) -> Option<(Reason, usize)> {
        let mut scanner = Scanner::new(text, Dialect::UTF8).unwrap();
        loop {
            match scanner.next() {
                Ok(token) if matches!(token.kind, Kind::End | Kind::Next) => return None,
                Ok(_) => {}
                Err(doubt) => return Some((doubt.reason, doubt.at)),
            }
        }
    }

    #[test]
    fn two_quotes_in_a_row_stand_for_one() {
        assert_eq!(read("'a''b'"), [(Kind::Text, "a''b")]);
        assert_eq!(read("`a``b`"), [(Kind::Name, "a``b")]);
        assert_eq!(
            read("'a' '' 'b'"),
            [(Kind::Text, "a"), (Kind::Text, ""), (Kind::Text, "b")]
        );
    }

    #[test]
    fn two_dashes_need_a_blank_to_be_a_comment() {
        assert_eq!(read("1 -- x\n2"), [(Kind::Number, "1"), (Kind::Number, "2")]);
        assert_eq!(read("1 --"), [(Kind::Number, "1")]);
        let minus = (Kind::Sign, "-");
        assert_eq!(read("1--2"), [(Kind::Number, "1"), minus, minus, (Kind::Number, "2")]);
        assert_eq!(doubt_of("1 --\u{1}"), Some((Reason::StrangeByte, 4)));
    }

    #[test]
    fn a_number_never_swallows_a_keyword() {
        for text in [
            "1FOR", "1.5FOR", "1.FOR", "1e5FOR", "1e+5FOR", "0x1FOR", "0b1FOR", "0XAB", "1e", ".5FOR",
        ] {
            let (reason, _) = doubt_of(text).expect(text);
            assert_eq!(reason, Reason::DoubtfulNumber, "{text}");
        }
        for text in ["1", "1.5", "1.", "1e5", "1E-5", "0xAB", "0b01", "1.5e+10"] {
            assert_eq!(read(text), [(Kind::Number, text)]);
        }
    }

    #[test]
    fn behind_a_dot_digits_are_a_name() {
        assert_eq!(read("t.5"), [(Kind::Word, "t"), (Kind::Dot, "."), (Kind::Word, "5")]);
        assert_eq!(read("1.5"), [(Kind::Number, "1.5")]);
    }

    #[test]
    fn an_escaped_quote_is_doubtful_until_the_mode_is_known() {
        let text = r"'it\'s'";
        assert_eq!(doubt_of(text), Some((Reason::DoubtfulQuoting, 3)));
        assert_eq!(read(r"'a\\' 'b\n'"), [(Kind::Text, r"a\\"), (Kind::Text, r"b\n")]);
        let known = |mode| {
            let mut scanner = Scanner::new(text, Dialect::UTF8.with_sql_mode(mode)).unwrap();
            scanner.next().unwrap().text
        };
        assert_eq!(known(""), br"it\'s");
        assert_eq!(known("NO_BACKSLASH_ESCAPES"), br"it\");
    }

    #[test]
    fn a_last_semicolon_is_the_end_and_any_other_is_not() {
        assert_eq!(read("1 ; -- done\n /* really */"), [(Kind::Number, "1")]);
        assert_eq!(read("1;"), [(Kind::Number, "1")]);
        let mut scanner = Scanner::new("1;;", Dialect::UTF8).unwrap();
        scanner.next().unwrap();
        assert_eq!(scanner.next().unwrap().kind, Kind::Next);
        assert_eq!(scanner.next().unwrap().kind, Kind::End);
    }

    #[test]
    fn variables_end_where_the_server_ends_them() {
        for text in ["@a.b$c", "@`a b`", "@'a'", "@"] {
            assert_eq!(read(text), [(Kind::UserVariable, text)]);
        }
        assert_eq!(read("@aé"), [(Kind::UserVariable, "@a"), (Kind::Word, "é")]);
        assert_eq!(
            read("@@global.x"),
            [(Kind::SystemVariable, "global"), (Kind::Dot, "."), (Kind::Word, "x")]
        );
        for (text, name) in [("@@`x`", "x"), ("@@", ""), ("@@``", "")] {
            assert_eq!(read(text), [(Kind::SystemVariable, name)]);
        }
    }

    #[test]
    fn whatever_does_not_end_is_doubtful() {
        for text in ["'a", "\"a", "`a", "/* a", "'a\\", "@'a", "@@`a", "/*", "/*/", "'a''"] {
            let (reason, _) = doubt_of(text).expect(text);
            assert_eq!(reason, Reason::Unterminated, "{text}");
        }
    }
}
