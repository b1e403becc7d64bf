//! The page in the browser: enough HTTP/1.1 to serve it and to open a WebSocket, and the frames of that WebSocket.
//!
//! Requests at the port of metrics use the same machinery, and [`scrape`] answers them.
//!
//! Pure: bytes in, bytes out. No socket, and the only clock is the one that the [`site`] is given for its `Date`.
//!
//! A browser connects and asks for the page. The page asks for a WebSocket on a connection of its own. Both are an
//! [`exchange`], both are answered by the [`site`], and the [`origin`] policy applies to both. After the upgrade the
//! browser is a client like any other: its input goes through a [`websocket`], its output is cut into [frames](frame).

mod bombards;
mod document;
pub mod exchange;
pub mod frame;
mod minify;
pub mod origin;
mod page;
pub mod request;
pub mod resource;
pub mod response;
pub mod scrape;
pub mod site;
pub mod websocket;
