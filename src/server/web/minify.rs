//! The size of the pages: browsers need neither their indentation nor their comments, and every browser that loads a
//! page costs its size in memory.
//!
//! The source keeps some habits that make this safe, and `tests/browser/pure` checks them: no text and no regular
//! expression runs over several lines, no template has another one within it, and statements end with a semicolon.

/// A page while it is written: `kept[..len]` is its beginning.
pub(super) struct Minified<const N: usize> {
    kept: [u8; N],
    len: usize,
    language: Language,
    /// Whether the last line is a whole declaration: another one continues it behind a comma.
    is_declared: bool,
}

/// The language of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Html,
    Style,
    Script,
}

/// Words of the script, each with a shorter one of the same meaning. `const` guards the source, not the page.
const WORDS: [(&[u8], &[u8]); 4] = [(b"const", b"let"), (b"true", b"!0"), (b"false", b"!1"), (b"undefined", b"void 0")];

/// End tags that HTML lets out: the next element, or the end of the one around them, ends these elements, too.
const END_TAGS: [&[u8]; 3] = [b"</dt>", b"</dd>", b"</head>"];

/// Marks of the script that need no blanks around them.
const MARKS: &[u8] = b"{}()[];,:=?&|<>*!+-";

/// Returns the page without indentation, comments and, in style and script, blanks and ends of lines that separate
/// nothing. Its length is at most that of the source, `N`.
///
/// A comment begins its line: `// …` takes that line, `/* …` takes all lines up to one that ends with `*/`. Behind
/// code, two blanks and `//` begin a comment. Every line ends with LF.
pub(super) const fn minified<const N: usize>(source: &[u8]) -> Minified<N> {
    let mut page = Minified { kept: [0; N], len: 0, language: Language::Html, is_declared: false };
    let (mut at, mut is_in_block) = (0, false);
    while at < source.len() {
        while source[at] == b' ' {
            at += 1;
        }
        let start = at;
        while source[at] != b'\n' {
            at += 1;
        }
        let is_comment = begins_with(source, start, b"//");
        is_in_block |= begins_with(source, start, b"/*");
        if !is_comment && !is_in_block {
            page.take_line(source, start, at);
        }
        is_in_block &= !(at >= 2 && begins_with(source, at - 2, b"*/"));
        at += 1;
    }
    page
}

impl<const N: usize> Minified<N> {
    /// Returns the page.
    pub(super) const fn text(&self) -> &str {
        match str::from_utf8(self.kept.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => panic!("whole characters of UTF-8 are UTF-8"),
        }
    }

    const fn take_line(&mut self, source: &[u8], start: usize, end: usize) {
        if begins_with(source, start, b"</") {
            self.language = Language::Html;
        }
        if matches!(self.language, Language::Html) {
            self.take_markup(source, start, end);
        } else if start < end {
            self.take_code(source, start, end);
        }
        if begins_with(source, start, b"<style>") {
            self.language = Language::Style;
        } else if begins_with(source, start, b"<script>") {
            self.language = Language::Script;
        }
    }

    /// Takes a line of HTML. An attribute of one word needs no quotes, and some elements need no end tag.
    const fn take_markup(&mut self, source: &[u8], start: usize, end: usize) {
        let is_inside = !begins_with(source, start, b"<style>") && !begins_with(source, start, b"<script>");
        if is_inside && source[start] == b'<' && self.len > 1 && self.kept[self.len - 2] == b'>' {
            self.len -= 1;
        }
        let mut at = start;
        while at < end {
            at = end_tag_end(source, at);
            if at == end {
                break;
            }
            let word_end = if begins_with(source, at, b"=\"") { word_end(source, at + 2) } else { at };
            if word_end > at + 2 && source[word_end] == b'"' && matches!(source[word_end + 1], b' ' | b'>') {
                self.push(b'=');
                self.copy(source, at + 2, word_end);
                at = word_end + 1;
            } else {
                self.push(source[at]);
                at += 1;
            }
        }
        if at > start && self.last() != b'\n' {
            self.push(b'\n');
        }
    }

    const fn take_code(&mut self, source: &[u8], start: usize, end: usize) {
        let is_script = matches!(self.language, Language::Script);
        let closes = matches!(source[start], b'}' | b']' | b')');
        if closes && (matches!(self.last(), b',' | b'\n') || (source[start] == b'}' && self.last() == b';')) {
            self.len -= 1;
        }
        let declares = is_script && (begins_with(source, start, b"const ") || begins_with(source, start, b"let "));
        let (mut at, mut depth) = (start, 0);
        if declares && self.is_declared {
            self.len -= 1;
            self.push(b',');
            at += if source[at] == b'c' { 6 } else { 4 };
        }
        while at < end {
            let (byte, next) = (source[at], source[at + 1]);
            let parameter_end = if is_script && !is_word(self.last()) { only_parameter(source, at) } else { at };
            if parameter_end > at {
                self.copy(source, at + 1, parameter_end);
                at = parameter_end + 1;
                continue;
            }
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth -= 1,
                _ => {}
            }
            if is_script && begins_with(source, at, b"/*") {
                at = comment_end(source, at);
            } else if matches!(byte, b'"' | b'\'' | b'`') || (is_script && byte == b'/' && self.expects_value()) {
                let close = literal_end(source, at);
                self.copy(source, at, close);
                at = close;
            } else if byte == b' ' && (begins_with(source, at, b"  //") || is_code_over(source, at, end)) {
                break;
            } else if byte == b' ' && self.separates_nothing(next) {
                at += 1;
            } else if is_script && is_word(byte) && !is_word(self.last()) && self.last() != b'.' {
                at = self.take_word(source, at);
            } else {
                self.push(byte);
                at += 1;
            }
        }
        self.is_declared = declares && depth == 0 && self.last() == b';';
        if !self.ends_openly() {
            self.push(b'\n');
        }
    }

    /// Copies a word, or writes a shorter one. Returns its end.
    const fn take_word(&mut self, source: &[u8], start: usize) -> usize {
        let mut end = start;
        while is_word(source[end]) {
            end += 1;
        }
        let mut index = 0;
        while index < WORDS.len() {
            let (long, short) = WORDS[index];
            if end - start == long.len() && begins_with(source, start, long) {
                self.copy(short, 0, short.len());
                return end;
            }
            index += 1;
        }
        self.copy(source, start, end);
        end
    }

    /// Whether a blank between the last byte and this one may go.
    const fn separates_nothing(&self, next: u8) -> bool {
        let last = self.last();
        let is_sign = matches!(last, b'+' | b'-') && matches!(next, b'+' | b'-');
        let may_go = match self.language {
            Language::Script => is_among(MARKS, last) || is_among(MARKS, next),
            _ => is_among(b"{};,:>", last) || is_among(b"{}>", next),
        };
        may_go && !is_sign && last != next
    }

    /// Whether the next line may follow on the same one.
    const fn ends_openly(&self) -> bool {
        let is_arrow = self.last() == b'>' && self.kept[self.len - 2] == b'=';
        match self.language {
            Language::Script => is_arrow || is_among(b"{};,([&|?:=\n", self.last()),
            _ => is_among(b"{};,\n", self.last()),
        }
    }

    /// Whether a slash begins a regular expression here: behind a value it divides.
    const fn expects_value(&self) -> bool {
        let is_behind_return = self.len > 7 && begins_with(&self.kept, self.len - 7, b"return ");
        is_behind_return || is_among(b"(,=:[!&|?{};>\n", self.last())
    }

    const fn last(&self) -> u8 {
        self.kept[self.len - 1]
    }

    const fn copy(&mut self, source: &[u8], start: usize, end: usize) {
        let mut at = start;
        while at < end {
            self.push(source[at]);
            at += 1;
        }
    }

    const fn push(&mut self, byte: u8) {
        self.kept[self.len] = byte;
        self.len += 1;
    }
}

/// Returns the end of the text, template or regular expression that begins here.
const fn literal_end(source: &[u8], start: usize) -> usize {
    let quote = source[start];
    let (mut at, mut is_in_class) = (start + 1, false);
    while is_in_class || source[at] != quote {
        if quote == b'/' && matches!(source[at], b'[' | b']') {
            is_in_class = source[at] == b'[';
        }
        at += if source[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Returns the end of the word in `(word) =>`, if that begins here: an arrow with one parameter needs no parentheses.
const fn only_parameter(source: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while source[start] == b'(' && is_word(source[at]) {
        at += 1;
    }
    if at > start + 1 && begins_with(source, at, b") =>") { at } else { start }
}

const fn comment_end(source: &[u8], start: usize) -> usize {
    let mut at = start;
    while !begins_with(source, at, b"*/") {
        at += 1;
    }
    at + 2
}

/// Returns the end of the word of an attribute that begins here.
const fn word_end(source: &[u8], start: usize) -> usize {
    let mut at = start;
    while source[at].is_ascii_alphanumeric() || matches!(source[at], b'-' | b'_') {
        at += 1;
    }
    at
}

/// Returns the end of the end tags that begin here and may be left out.
const fn end_tag_end(source: &[u8], start: usize) -> usize {
    let mut index = 0;
    while index < END_TAGS.len() {
        if begins_with(source, start, END_TAGS[index]) {
            return end_tag_end(source, start + END_TAGS[index].len());
        }
        index += 1;
    }
    start
}

/// Whether only blanks, or blanks and a comment, are left of a line.
const fn is_code_over(source: &[u8], start: usize, end: usize) -> bool {
    let mut at = start;
    while at < end && source[at] == b' ' {
        at += 1;
    }
    at == end || (at >= start + 2 && begins_with(source, at, b"//"))
}

const fn begins_with(source: &[u8], start: usize, text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        if start + at >= source.len() || source[start + at] != text[at] {
            return false;
        }
        at += 1;
    }
    true
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 128..)
}

const fn is_among(marks: &[u8], byte: u8) -> bool {
    let mut at = 0;
    while at < marks.len() && marks[at] != byte {
        at += 1;
    }
    at < marks.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> String {
        minified::<400>(source.as_bytes()).text().to_owned()
    }

    #[test]
    fn indentation_and_comments_are_left_out() {
        let source = "a // b\n  // c\n  /** d */\n/* e\n * f\n   */\n  'http://g' /* h */\n\n//\n";
        assert_eq!(of(source), "a // b\n'http://g' /* h */\n");
        let script = "<script>\n  one();   // why\n  /* e\n   */\n  two('  // no') /* f */;\n</script>\n";
        assert_eq!(of(script), "<script>\none();two('  // no');</script>\n");
    }

    #[test]
    fn style_and_script_lose_what_separates_nothing() {
        let style = "<style>\n:root {\n  --a: 1px;\n}\n.b :is(c, d) > e { margin: calc(1px + 2px) auto }\n</style>\n";
        assert_eq!(of(style), "<style>\n:root{--a:1px}.b :is(c,d)>e{margin:calc(1px + 2px) auto}</style>\n");
        let script = "<script>\nconst a = { b: true };\nfunction c(d) {\n  return / \" +/.test(d) && 1 - -2;\n}\nc.const(6 / 2, async (e) => / +/, (f) => {\nf()\n});\n</script>\n";
        let short = "<script>\nlet a={b:!0};function c(d){return / \" +/.test(d)&&1- -2}c.const(6 / 2,async(e)=>/ +/,f=>{f()});</script>\n";
        assert_eq!(of(script), short);
    }

    #[test]
    fn declarations_in_a_row_are_one() {
        let script = "<script>\nconst a = 1;\nlet b = [\n  2,\n];\nconst c = f(undefined);\nconst d = 3;\n</script>\n";
        assert_eq!(of(script), "<script>\nlet a=1,b=[2];let c=f(void 0),d=3;</script>\n");
    }

    #[test]
    fn markup_loses_quotes_and_lines_between_elements() {
        let html = "<p id=\"a-b\" class=\"c d\" hidden>\n  <b>\"x\" =\"y\"z</b>\n  text\n</p>\n";
        assert_eq!(of(html), "<p id=a-b class=\"c d\" hidden><b>\"x\" =\"y\"z</b>\ntext\n</p>\n");
        assert_eq!(of("<dl>\n  <dt>a</dt><dd>b</dd>\n</dl>\n</head>\n"), "<dl><dt>a<dd>b\n</dl>\n");
    }

    #[test]
    fn texts_keep_their_blanks() {
        let script = "<script>\nf('a = b', \"c { d\", `e ${f} g`, 'it\\'s ; x');\n</script>\n";
        assert_eq!(of(script), "<script>\nf('a = b',\"c { d\",`e ${f} g`,'it\\'s ; x');</script>\n");
    }
}
