//! An HTML document that the site delivers whole: its tag and its policy, which do not change between requests.

use std::time::SystemTime;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use super::request::Request;
use super::response::{Extent, Head, Status};

/// Document with one `<style>` and one `<script>`, which loads nothing else.
#[derive(Debug)]
pub(super) struct Document {
    text: &'static str,
    /// Its `Content-Security-Policy`.
    content_policy: String,
    /// Its `ETag`: the same document has the same one on every server.
    tag: String,
}

impl Document {
    pub(super) fn new(text: &'static str) -> Document {
        let content_policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; connect-src 'self' ws: wss:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
            hash_of(text, "script"),
            hash_of(text, "style"),
        );
        let tag = format!("\"{}\"", BASE64.encode(&Sha256::digest(text)));
        Document { text, content_policy, tag }
    }

    /// Answers with the document, unless the browser has it already (RFC 9110, 13.1.2).
    pub(super) fn answer(&self, request: &Request<'_>, time: SystemTime, extent: Extent) -> Vec<u8> {
        let is_known = request.values("if-none-match").into_iter().any(|tags| names_tag(tags, &self.tag));
        let head = Head::new(if is_known { Status::NotModified } else { Status::Ok })
            .made_at(time)
            .field("ETag", &self.tag)
            .field("Content-Security-Policy", &self.content_policy)
            .field("X-Content-Type-Options", "nosniff")
            .field("X-Frame-Options", "DENY")
            .field("Referrer-Policy", "no-referrer")
            .field("Cross-Origin-Opener-Policy", "same-origin")
            .field("Cross-Origin-Resource-Policy", "same-origin")
            .field("Cache-Control", "no-cache")
            .persistence(request.persistence);
        if is_known {
            return head.with_body(&[], Extent::HeadOnly);
        }
        let head = head.field("Content-Type", "text/html; charset=utf-8").field("Content-Length", self.text.len());
        head.with_body(self.text.as_bytes(), extent)
    }
}

/// Whether an `If-None-Match` names this tag, or any. A proxy that compresses the document makes its tag a weak one.
fn names_tag(tags: &[u8], tag: &str) -> bool {
    tags.split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|named| named == b"*" || named.strip_prefix(b"W/").unwrap_or(named) == tag.as_bytes())
}

/// Returns the source expression by which a Content-Security-Policy allows a document's one element of this name (CSP
/// 3, 2.3.1).
fn hash_of(document: &str, element: &str) -> String {
    // Each document has both (a test). Without its element, the policy would allow an empty one.
    let text = text_of(document, element).unwrap_or_default();
    format!("sha256-{}", BASE64.encode(&Sha256::digest(text)))
}

fn text_of<'a>(document: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{element}>"))?;
    rest.split_once(&format!("</{element}>")).map(|(text, _)| text)
}
