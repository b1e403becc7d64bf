//! WebSocket frames (RFC 6455, 5.2), made and read by hand: a client's as malformed as a test wants them, a server's
//! judged strictly.

/// What a frame is.
pub mod opcode {
    pub const CONTINUATION: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const BINARY: u8 = 2;
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;
}

/// The mask of every frame that has one. No byte of it is zero, so that what is not unmasked shows.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How a length is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// In as few bytes as it takes, which is what the RFC asks for.
    Shortest,
    /// In two bytes behind the first.
    Two,
    /// In eight of them.
    Eight,
    /// In eight of them, and it is not the true one.
    Claimed(u64),
}

/// A frame; as a client sends it unless it is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    pub rsv: u8,
    pub opcode: u8,
    pub mask: Option<[u8; 4]>,
    pub length: Length,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { fin: true, rsv: 0, opcode, mask: Some(MASK), length: Length::Shortest, payload: payload.into() }
    }

    pub fn text(text: impl Into<Vec<u8>>) -> Frame {
        Frame::new(opcode::TEXT, text)
    }

    pub fn continuation(text: impl Into<Vec<u8>>) -> Frame {
        Frame::new(opcode::CONTINUATION, text)
    }

    pub fn ping(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(opcode::PING, payload)
    }

    pub fn pong(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(opcode::PONG, payload)
    }

    /// A close, with its code, if any.
    pub fn close(code: Option<u16>) -> Frame {
        Frame::close_because(code, "")
    }

    pub fn close_because(code: Option<u16>, reason: impl AsRef<[u8]>) -> Frame {
        let code = code.map(u16::to_be_bytes);
        Frame::new(opcode::CLOSE, [code.as_ref().map_or(&[][..], |code| code), reason.as_ref()].concat())
    }

    /// More frames of the same message follow.
    pub fn unfinished(self) -> Frame {
        Frame { fin: false, ..self }
    }

    /// With these of the three reserved bits.
    pub fn rsv(self, rsv: u8) -> Frame {
        Frame { rsv, ..self }
    }

    pub fn masked_with(self, mask: [u8; 4]) -> Frame {
        Frame { mask: Some(mask), ..self }
    }

    pub fn unmasked(self) -> Frame {
        Frame { mask: None, ..self }
    }

    pub fn length_as(self, length: Length) -> Frame {
        Frame { length, ..self }
    }

    /// The bytes of it.
    pub fn encode(&self) -> Vec<u8> {
        let length = self.payload.len() as u64;
        let mask_bit = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        let form = match self.length {
            Length::Shortest if length < 126 => None,
            Length::Shortest if length <= u64::from(u16::MAX) => Some(Length::Two),
            Length::Shortest => Some(Length::Eight),
            chosen => Some(chosen),
        };
        match form {
            None => bytes.push(mask_bit | u8::try_from(length).expect("less than 126")),
            Some(Length::Two) => {
                bytes.push(mask_bit | 126);
                bytes.extend(u16::try_from(length).expect("it fits").to_be_bytes());
            }
            Some(form) => {
                bytes.push(mask_bit | 127);
                bytes.extend(if let Length::Claimed(claimed) = form { claimed } else { length }.to_be_bytes());
            }
        }
        let mask = self.mask.unwrap_or_default();
        bytes.extend(self.mask.iter().flatten());
        bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// A server's frame at the beginning of these bytes, and how many of them it takes; `None` while it is not whole.
    ///
    /// It must be as the RFC has it, whatever it is: no reserved bit, no mask, a length in as few bytes as it takes; a
    /// control frame is whole and short.
    #[track_caller]
    pub fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 0xf);
        assert_eq!(rsv, 0, "a reserved bit: {first:#x}");
        assert_eq!(second & 0x80, 0, "a server does not mask");
        assert!(matches!(opcode, 0..=2 | 8..=10), "a reserved opcode: {opcode}");
        let (length, rest) = match second {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                let length = u64::from(u16::from_be_bytes(*length));
                assert!(length >= 126, "{length} in two bytes");
                (length, rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                let length = u64::from_be_bytes(*length);
                assert!(length > u64::from(u16::MAX), "{length} in eight bytes");
                (length, rest)
            }
            short => (u64::from(short), rest),
        };
        assert!(opcode < 8 || fin && length < 126, "a control frame that is long or not whole: {first:#x}, {length}");
        let length = usize::try_from(length).expect("a length that fits memory");
        let payload = rest.get(..length)?.to_vec();
        let taken = bytes.len() - rest.len() + length;
        Some((Frame { fin, rsv, opcode, mask: None, length: Length::Shortest, payload }, taken))
    }

    /// Of a close: its code, if any, and its reason.
    #[track_caller]
    pub fn close_code(&self) -> (Option<u16>, &str) {
        assert_eq!(self.opcode, opcode::CLOSE, "{self:?}");
        if self.payload.is_empty() {
            return (None, "");
        }
        let (code, reason) = self.payload.split_first_chunk().expect("a close has no code, or two bytes of one");
        (Some(u16::from_be_bytes(*code)), str::from_utf8(reason).expect("a reason is UTF-8"))
    }
}
