//! The resources of the site: which path and query lead to the page or to the WebSocket, and the room that they name.
//!
//! `/bombards` is the page of the game in the room of that name.
//!
//! `/` and `/ws` are the lobby's. `/r/NAME` and `/ws?room=NAME` are those of another room; NAME is percent-encoded. The
//! parameter `track` says that the WebSocket begins with a line.
//!
//! With `--web-path` all of them are below a path, which is stripped before anything else is looked at.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::response::Status;
use crate::relay::name::Name;

/// Path of the page.
const PAGE_PATH: &str = "/";

/// Prefix of the page's path in a room; the room's name follows.
const ROOM_PREFIX: &str = "/r/";

/// Path of the page of the game.
const GAME_PATH: &str = "/bombards";

/// Room of the game.
const GAME_ROOM: &str = "bombards";

/// Path of the WebSocket.
const SOCKET_PATH: &str = "/ws";

/// Parameter of the WebSocket that names a room.
const ROOM_PARAMETER: &str = "room";

/// Parameter of a WebSocket whose first line is under way: `/track`.
const TRACK_PARAMETER: &str = "track";

/// Folder of the page, as the paths of requests have it (`--web-path`): that of a proxy which passes paths on as they are.
///
/// Invariant: it is empty, or begins with a slash and does not end with one. It holds no byte that a URL would escape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebPath(String);

/// Place of a path, relative to the folder of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// In it: the path below it, with the slash that begins it.
    Below(&'a str),
    /// The folder itself, without the slash at its end.
    Folder,
    /// Elsewhere.
    Elsewhere,
}

impl WebPath {
    /// Returns where a path is.
    pub(crate) fn place_of<'a>(&self, path: &'a str) -> Place<'a> {
        match path.strip_prefix(&self.0) {
            Some("") => Place::Folder,
            Some(rest) if self.0.is_empty() || rest.starts_with('/') => Place::Below(rest),
            _ => Place::Elsewhere,
        }
    }
}

/// As the path of the page, with a slash at its end.
impl fmt::Display for WebPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.0)
    }
}

impl FromStr for WebPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<WebPath, &'static str> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        // A browser resolves both dots before it asks.
        let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain);
        match path.strip_prefix('/') {
            None if text == "/" => Ok(WebPath::default()),
            Some(segments) if segments.split('/').all(is_segment) => Ok(WebPath(path.to_owned())),
            _ => Err("write a path of letters, digits, -, ., _ and ~, such as /chat"),
        }
    }
}

/// Resource that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// The page, which is the same in all rooms.
    Page,
    /// The page of the game, on a server that may have a room for it.
    Game,
    /// The WebSocket of this room.
    Socket(Name),
}

impl Resource {
    /// Finds the resource of a path and a query. `room` reads the name of a room, if there may be such a room.
    ///
    /// # Errors
    /// The status that says what is missing.
    pub(crate) fn find(path: &str, query: &str, room: impl Fn(&str) -> Option<Name>) -> Result<Resource, Status> {
        let room = |encoded| {
            let typed = percent_decode_str(encoded).decode_utf8().map_err(|_| Status::NoSuchRoom)?;
            room(&typed).ok_or(Status::NoSuchRoom)
        };
        match (path, path.strip_prefix(ROOM_PREFIX)) {
            (PAGE_PATH, _) => Ok(Resource::Page),
            (GAME_PATH, _) => room(GAME_ROOM).map(|_| Resource::Game),
            (SOCKET_PATH, _) => match rooms_in(query).as_slice() {
                [] => Ok(Resource::Socket(Name::of_lobby())),
                [encoded] => room(encoded).map(Resource::Socket),
                _ => Err(Status::NoSuchRoom),
            },
            (_, Some(encoded)) => room(encoded).map(|_| Resource::Page),
            _ => Err(Status::NotFound),
        }
    }
}

/// Whether the query of a WebSocket promises `/track` as its first line.
pub(crate) fn will_track(query: &str) -> bool {
    parameters(query).any(|(name, _)| name == TRACK_PARAMETER)
}

/// Returns the values of all parameters of a query that name a room.
fn rooms_in(query: &str) -> Vec<&str> {
    parameters(query).filter(|(name, _)| *name == ROOM_PARAMETER).map(|(_, value)| value).collect()
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(target: &str) -> Result<Resource, u16> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Resource::find(path, query, |typed| Name::parse(typed).ok()).map_err(Status::code)
    }

    fn socket(room: &str) -> Result<Resource, u16> {
        Ok(Resource::Socket(Name::parse(room).expect("a name")))
    }

    #[test]
    fn a_room_has_a_page_and_a_websocket() {
        for target in ["/", "/?room=a b", "/r/rust", "/r/RUST?a=b", "/r/%72ust", "/r/%D0%B4%D0%BE%D0%BC", "/r/a_-7"] {
            assert_eq!(find(target), Ok(Resource::Page), "{target}");
        }
        assert_eq!(find("/ws"), Ok(Resource::Socket(Name::of_lobby())));
        assert_eq!(find("/ws?name=ana&rooms=a b&Room=x"), Ok(Resource::Socket(Name::of_lobby())));
        assert_eq!(find("/ws?room=rust"), socket("rust"));
        assert_eq!(find("/ws?a=b&room=%D0%B4%D0%BE%D0%BC&c"), socket("дом"));
        assert_eq!(find("/ws?room=e%CC%81"), socket("é"));
    }

    #[test]
    fn the_game_has_a_page_if_there_may_be_its_room() {
        for target in ["/bombards", "/bombards?a=b"] {
            assert_eq!(find(target), Ok(Resource::Game), "{target}");
        }
        for target in ["/bombards/", "/Bombards", "/bombards/ws", "/r/bombards/x", "/r//bombards"] {
            assert_eq!(find(target), Err(404), "{target}");
        }
        assert_eq!(find("/r/bombards"), Ok(Resource::Page));
        assert!(Resource::find("/bombards", "", |_| None).is_err());
    }

    #[test]
    fn a_folder_is_stripped_from_the_paths_in_it() {
        for text in ["/chat", "/chat/"] {
            let folder: WebPath = text.parse().expect("a path");
            assert_eq!(folder.to_string(), "/chat/");
            for (path, place) in [
                ("/chat", Place::Folder),
                ("/chat/", Place::Below("/")),
                ("/chat/r/rust", Place::Below("/r/rust")),
                ("/chat//ws", Place::Below("//ws")),
                ("/chatter", Place::Elsewhere),
                ("/Chat/", Place::Elsewhere),
                ("/", Place::Elsewhere),
                ("/ws", Place::Elsewhere),
                ("*", Place::Elsewhere),
            ] {
                assert_eq!(folder.place_of(path), place, "{path}");
            }
        }
        let root: WebPath = "/".parse().expect("a path");
        assert_eq!(
            (root.to_string(), root.place_of("/ws"), root.place_of("*")),
            ("/".to_owned(), Place::Below("/ws"), Place::Below("*"))
        );
        assert_eq!("/a/b-c.d_e~f".parse::<WebPath>().map(|path| path.to_string()), Ok("/a/b-c.d_e~f/".to_owned()));
        for text in [
            "", "chat", "chat/", "//", "//chat", "/a//b", "/chat//", "/.", "/a/..", "/a b", "/%41", "/é", "/a?b",
            "/a\r\nb",
        ] {
            assert!(text.parse::<WebPath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_websocket_may_promise_to_track() {
        for query in ["track", "track=", "room=rust&track", "track&room=rust"] {
            assert!(will_track(query), "{query}");
        }
        for query in ["", "room=track", "Track", "tracks"] {
            assert!(!will_track(query), "{query}");
        }
        assert_eq!(find("/ws?room=rust&track"), socket("rust"));
    }

    #[test]
    fn what_is_no_name_is_no_room() {
        let long = "a".repeat(25);
        for name in ["", "a%20b", "a+b", "a%2Fb", "a/b", "%", "%zz", "%ff", "%00", "..", "a%252Fb", "server", &long] {
            assert_eq!(find(&format!("/r/{name}")), Err(404), "{name}");
            assert_eq!(find(&format!("/ws?room={name}")), Err(404), "{name}");
        }
        for target in ["/r", "/r/", "/r/rust/", "/R/rust", "/r//rust", "/ws?room", "/ws?room=a&room=a", "/ws/", "/x"] {
            assert_eq!(find(target), Err(404), "{target}");
        }
    }
}
