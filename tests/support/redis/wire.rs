//! RESP2, as a server of it sees it: requests in, replies out.

use std::collections::VecDeque;

/// A request: the command and its arguments.
pub type Request = Vec<Vec<u8>>;

/// The most arguments that are taken for a request.
const ARGUMENTS_MAX: usize = 100_000;

/// Takes the next whole request off the front; `None` if there is none yet.
///
/// # Errors
/// If the bytes are no request.
pub fn take_request(input: &mut VecDeque<u8>) -> Result<Option<Request>, String> {
    let bytes: &[u8] = input.make_contiguous();
    let mut at = 0;
    let Some(arguments) = length(bytes, &mut at, b'*')? else { return Ok(None) };
    if arguments > ARGUMENTS_MAX {
        return Err(format!("{arguments} arguments"));
    }
    let mut request = Vec::new();
    for _ in 0..arguments {
        let Some(size) = length(bytes, &mut at, b'$')? else { return Ok(None) };
        let Some(argument) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if &argument[size..] != b"\r\n" {
            return Err("an argument without its end".to_owned());
        }
        request.push(argument[..size].to_vec());
        at += size + 2;
    }
    input.drain(..at);
    Ok(Some(request))
}

/// Reads `*3\r\n` and the like.
fn length(bytes: &[u8], at: &mut usize, mark: u8) -> Result<Option<usize>, String> {
    let rest = &bytes[*at..];
    let Some(&first) = rest.first() else { return Ok(None) };
    if first != mark {
        return Err(format!("{:?} in place of {:?}", char::from(first), char::from(mark)));
    }
    let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
        return if rest.len() > 32 { Err("a length without an end".to_owned()) } else { Ok(None) };
    };
    let digits = str::from_utf8(&rest[1..end]).unwrap_or_default();
    *at += end + 2;
    digits.parse().map(Some).map_err(|_| format!("{digits:?} in place of a length"))
}

/// Replies that wait for their way.
#[derive(Debug, Default)]
pub struct Replies(VecDeque<u8>);

impl Replies {
    /// Appends `+OK` and the like.
    pub fn simple(&mut self, text: &str) {
        self.line('+', text);
    }

    /// Appends an error.
    pub fn error(&mut self, text: &str) {
        self.line('-', text);
    }

    /// Appends a number.
    pub fn number(&mut self, number: impl TryInto<i64>) {
        self.line(':', &number.try_into().unwrap_or(i64::MAX).to_string());
    }

    /// Appends a string.
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.line('$', &bytes.len().to_string());
        self.0.extend(bytes);
        self.0.extend(b"\r\n");
    }

    /// Appends a string that is not there.
    pub fn no_bulk(&mut self) {
        self.line('$', "-1");
    }

    /// Begins an array of so many elements.
    pub fn array(&mut self, elements: usize) {
        self.line('*', &elements.to_string());
    }

    /// Appends an array that is not there.
    pub fn no_array(&mut self) {
        self.line('*', "-1");
    }

    /// Takes up to so many bytes off the front.
    pub fn take(&mut self, bytes_max: usize) -> Vec<u8> {
        self.0.drain(..bytes_max.min(self.0.len())).collect()
    }

    /// Returns how many bytes wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn line(&mut self, mark: char, text: &str) {
        self.0.extend(format!("{mark}{text}\r\n").bytes());
    }
}
