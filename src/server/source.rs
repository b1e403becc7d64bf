//! The sources of events, as numbers for mio.

use mio::Token;

use super::bus::End;

/// The source of an event, as mio's token names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The connection with this key in the slab.
    Connection(usize),
    /// Both sides of the operator's console.
    Console,
    /// The signals.
    Signals,
    /// The thread of the journal: there is space again for what the hub hands over.
    Journal,
    /// A connection to Redis.
    Bus(End),
    /// The listener with this index.
    Listener(usize),
}

/// The first token that is no key of a connection.
const NO_KEY: usize = usize::MAX / 2;

impl From<Source> for Token {
    fn from(source: Source) -> Token {
        Token(match source {
            Source::Connection(key) => key,
            Source::Console => NO_KEY,
            Source::Signals => NO_KEY + 1,
            Source::Journal => NO_KEY + 2,
            Source::Bus(End::Writer) => NO_KEY + 3,
            Source::Bus(End::Reader) => NO_KEY + 4,
            Source::Listener(index) => NO_KEY + 5 + index,
        })
    }
}

impl From<Token> for Source {
    fn from(Token(token): Token) -> Source {
        match token.checked_sub(NO_KEY) {
            None => Source::Connection(token),
            Some(0) => Source::Console,
            Some(1) => Source::Signals,
            Some(2) => Source::Journal,
            Some(3) => Source::Bus(End::Writer),
            Some(4) => Source::Bus(End::Reader),
            Some(other) => Source::Listener(other - 5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_a_token_of_its_own() {
        let sources = [0, NO_KEY - 1].map(Source::Connection).into_iter().chain([Source::Console, Source::Signals]);
        let sources = sources.chain([Source::Journal, Source::Bus(End::Writer), Source::Bus(End::Reader)]);
        for source in sources.chain((0..3).map(Source::Listener)) {
            assert_eq!(Source::from(Token::from(source)), source);
        }
    }
}
