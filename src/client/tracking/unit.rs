//! Lines that the server says in one piece about a changed position. Pure.

/// Lines of the server up to a stamp that take effect with it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) news: News,
    /// Whether it begins a connection or the tracking.
    pub(super) is_entry: bool,
    pub(super) is_new_session: bool,
    pub(super) you_are: Option<(String, String)>,
    pub(super) private: Vec<String>,
    pub(super) private_bytes: usize,
}

/// News of a unit about the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// None: there was no position, or the room is another one.
    None,
    Resumed,
    Missed(u64),
    CannotResume,
}

impl Unit {
    /// A unit within a connection.
    pub(super) fn of_move() -> Unit {
        Unit {
            news: News::None,
            is_entry: false,
            is_new_session: false,
            you_are: None,
            private: Vec::new(),
            private_bytes: 0,
        }
    }

    /// Whether a connection begins with it anew, not where the last one was.
    pub(super) fn is_fresh_entry(&self) -> bool {
        self.is_entry && matches!(self.news, News::None | News::CannotResume)
    }
}
