//! The texts of Autobahn's groups 6.5 to 6.23, and whether the suite calls them valid UTF-8.

/// The number of a group, and its texts in order.
pub(crate) type Group = (usize, &'static [(&'static [u8], bool)]);

pub(crate) const SEQUENCES: [Group; 19] = [
    // 6.5: some valid UTF-8 sequences
    (5, &[
        (b"hello$world", true),
        (b"hello\xc2\xa2world", true),
        (b"hello\xe2\x82\xacworld", true),
        (b"hello\xf0\xa4\xad\xa2world", true),
        (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true),
    ]),
    // 6.6: all prefixes of a valid UTF-8 string that contains multi-byte code points
    (6, &[
        (b"\xce", false),
        (b"\xce\xba", true),
        (b"\xce\xba\xe1", false),
        (b"\xce\xba\xe1\xbd", false),
        (b"\xce\xba\xe1\xbd\xb9", true),
        (b"\xce\xba\xe1\xbd\xb9\xcf", false),
        (b"\xce\xba\xe1\xbd\xb9\xcf\x83", true),
        (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce", false),
        (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc", true),
        (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce", false),
        (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true),
    ]),
    // 6.7: first possible sequence of a certain length
    (7, &[
        (b"\x00", true),
        (b"\xc2\x80", true),
        (b"\xe0\xa0\x80", true),
        (b"\xf0\x90\x80\x80", true),
    ]),
    // 6.8: first possible sequence length 5/6 (invalid codepoints)
    (8, &[
        (b"\xf8\x88\x80\x80\x80", false),
        (b"\xfc\x84\x80\x80\x80\x80", false),
    ]),
    // 6.9: last possible sequence of a certain length
    (9, &[
        (b"\x7f", true),
        (b"\xdf\xbf", true),
        (b"\xef\xbf\xbf", true),
        (b"\xf4\x8f\xbf\xbf", true),
    ]),
    // 6.10: last possible sequence length 4/5/6 (invalid codepoints)
    (10, &[
        (b"\xf7\xbf\xbf\xbf", false),
        (b"\xfb\xbf\xbf\xbf\xbf", false),
        (b"\xfd\xbf\xbf\xbf\xbf\xbf", false),
    ]),
    // 6.11: other boundary conditions
    (11, &[
        (b"\xed\x9f\xbf", true),
        (b"\xee\x80\x80", true),
        (b"\xef\xbf\xbd", true),
        (b"\xf4\x8f\xbf\xbf", true),
        (b"\xf4\x90\x80\x80", false),
    ]),
    // 6.12: unexpected continuation bytes
    (12, &[
        (b"\x80", false),
        (b"\xbf", false),
        (b"\x80\xbf", false),
        (b"\x80\xbf\x80", false),
        (b"\x80\xbf\x80\xbf", false),
        (b"\x80\xbf\x80\xbf\x80", false),
        (b"\x80\xbf\x80\xbf\x80\xbf", false),
        (b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xbb\xbc\xbd\xbe", false),
    ]),
    // 6.13: lonely start characters
    (13, &[
        (b"\xc0 \xc1 \xc2 \xc3 \xc4 \xc5 \xc6 \xc7 \xc8 \xc9 \xca \xcb \xcc \xcd \xce \xcf \xd0 \xd1 \xd2 \xd3 \xd4 \xd5 \xd6 \xd7 \xd8 \xd9 \xda \xdb \xdc \xdd \xde ", false),
        (b"\xe0 \xe1 \xe2 \xe3 \xe4 \xe5 \xe6 \xe7 \xe8 \xe9 \xea \xeb \xec \xed \xee ", false),
        (b"\xf0 \xf1 \xf2 \xf3 \xf4 \xf5 \xf6 ", false),
        (b"\xf8 \xf9 \xfa ", false),
        (b"\xfc ", false),
    ]),
    // 6.14: sequences with last continuation byte missing
    (14, &[
        (b"\xc0", false),
        (b"\xe0\x80", false),
        (b"\xf0\x80\x80", false),
        (b"\xf8\x80\x80\x80", false),
        (b"\xfc\x80\x80\x80\x80", false),
        (b"\xdf", false),
        (b"\xef\xbf", false),
        (b"\xf7\xbf\xbf", false),
        (b"\xfb\xbf\xbf\xbf", false),
        (b"\xfd\xbf\xbf\xbf\xbf", false),
    ]),
    // 6.15: concatenation of incomplete sequences
    (15, &[
        (b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf", false),
    ]),
    // 6.16: impossible bytes
    (16, &[
        (b"\xfe", false),
        (b"\xff", false),
        (b"\xfe\xfe\xff\xff", false),
    ]),
    // 6.17: examples of an overlong ASCII character
    (17, &[
        (b"\xc0\xaf", false),
        (b"\xe0\x80\xaf", false),
        (b"\xf0\x80\x80\xaf", false),
        (b"\xf8\x80\x80\x80\xaf", false),
        (b"\xfc\x80\x80\x80\x80\xaf", false),
    ]),
    // 6.18: maximum overlong sequences
    (18, &[
        (b"\xc1\xbf", false),
        (b"\xe0\x9f\xbf", false),
        (b"\xf0\x8f\xbf\xbf", false),
        (b"\xf8\x87\xbf\xbf\xbf", false),
        (b"\xfc\x83\xbf\xbf\xbf\xbf", false),
    ]),
    // 6.19: overlong representation of the NUL character
    (19, &[
        (b"\xc0\x80", false),
        (b"\xe0\x80\x80", false),
        (b"\xf0\x80\x80\x80", false),
        (b"\xf8\x80\x80\x80\x80", false),
        (b"\xfc\x80\x80\x80\x80\x80", false),
    ]),
    // 6.20: single UTF-16 surrogates
    (20, &[
        (b"\xed\xa0\x80", false),
        (b"\xed\xad\xbf", false),
        (b"\xed\xae\x80", false),
        (b"\xed\xaf\xbf", false),
        (b"\xed\xb0\x80", false),
        (b"\xed\xbe\x80", false),
        (b"\xed\xbf\xbf", false),
    ]),
    // 6.21: paired UTF-16 surrogates
    (21, &[
        (b"\xed\xa0\x80\xed\xb0\x80", false),
        (b"\xed\xa0\x80\xed\xbf\xbf", false),
        (b"\xed\xad\xbf\xed\xb0\x80", false),
        (b"\xed\xad\xbf\xed\xbf\xbf", false),
        (b"\xed\xae\x80\xed\xb0\x80", false),
        (b"\xed\xae\x80\xed\xbf\xbf", false),
        (b"\xed\xaf\xbf\xed\xb0\x80", false),
        (b"\xed\xaf\xbf\xed\xbf\xbf", false),
    ]),
    // 6.22: non-character code points (valid UTF-8)
    (22, &[
        (b"\xef\xbf\xbe", true),
        (b"\xef\xbf\xbf", true),
        (b"\xf0\x9f\xbf\xbe", true),
        (b"\xf0\x9f\xbf\xbf", true),
        (b"\xf0\xaf\xbf\xbe", true),
        (b"\xf0\xaf\xbf\xbf", true),
        (b"\xf0\xbf\xbf\xbe", true),
        (b"\xf0\xbf\xbf\xbf", true),
        (b"\xf1\x8f\xbf\xbe", true),
        (b"\xf1\x8f\xbf\xbf", true),
        (b"\xf1\x9f\xbf\xbe", true),
        (b"\xf1\x9f\xbf\xbf", true),
        (b"\xf1\xaf\xbf\xbe", true),
        (b"\xf1\xaf\xbf\xbf", true),
        (b"\xf1\xbf\xbf\xbe", true),
        (b"\xf1\xbf\xbf\xbf", true),
        (b"\xf2\x8f\xbf\xbe", true),
        (b"\xf2\x8f\xbf\xbf", true),
        (b"\xf2\x9f\xbf\xbe", true),
        (b"\xf2\x9f\xbf\xbf", true),
        (b"\xf2\xaf\xbf\xbe", true),
        (b"\xf2\xaf\xbf\xbf", true),
        (b"\xf2\xbf\xbf\xbe", true),
        (b"\xf2\xbf\xbf\xbf", true),
        (b"\xf3\x8f\xbf\xbe", true),
        (b"\xf3\x8f\xbf\xbf", true),
        (b"\xf3\x9f\xbf\xbe", true),
        (b"\xf3\x9f\xbf\xbf", true),
        (b"\xf3\xaf\xbf\xbe", true),
        (b"\xf3\xaf\xbf\xbf", true),
        (b"\xf3\xbf\xbf\xbe", true),
        (b"\xf3\xbf\xbf\xbf", true),
        (b"\xf4\x8f\xbf\xbe", true),
        (b"\xf4\x8f\xbf\xbf", true),
    ]),
    // 6.23: unicode specials (i.e. replacement char)
    (23, &[
        (b"\xef\xbf\xb9", true),
        (b"\xef\xbf\xba", true),
        (b"\xef\xbf\xbb", true),
        (b"\xef\xbf\xbc", true),
        (b"\xef\xbf\xbd", true),
        (b"\xef\xbf\xbe", true),
        (b"\xef\xbf\xbf", true),
    ]),
];
