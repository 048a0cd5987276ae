//! Where a PEM block ends (RFC 7468).

/// The longest block that is followed, in bytes: a private key of RSA-16384 with its headers.
pub(crate) const MAX_BLOCK: usize = 16 * 1024;

/// The end of the block whose `-----BEGIN …-----` ends at `from`: behind its `-----END …-----`, or where the base64 lines
/// stop if that is missing. Line ends may also be written `\n` or `\r\n` in two characters, as in JSON.
pub(crate) fn end_of_block(text: &[u8], from: usize) -> usize {
    let block = &text[from..text.len().min(from + MAX_BLOCK)];
    // A block has no dashes within: those of another block's beginning end the search.
    if let Some(at) = memchr::memmem::find(block, b"-----")
        && let Some(rest) = block[at + 5..].strip_prefix(b"END")
        && let Some(dashes) = memchr::memmem::find(&rest[..rest.len().min(80)], b"-----")
    {
        return from + at + 8 + dashes + 5;
    }
    let within = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\\ \r\n".contains(byte);
    let length = block.iter().take_while(|byte| within(byte)).count();
    let trailing = block[..length].iter().rev().take_while(|byte| b" \r\n\\".contains(byte)).count();
    from + length - trailing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_at_their_mark_or_with_the_base64() {
        let text = b"-----BEGIN X-----\nAAAA\nBBBB\n-----END X-----\nafter";
        assert_eq!(&text[..end_of_block(text, 17)], b"-----BEGIN X-----\nAAAA\nBBBB\n-----END X-----");
        let text = b"-----BEGIN X-----\nAAAA\n-----BEGIN Y-----\nBBBB\n-----END Y-----";
        assert_eq!(&text[..end_of_block(text, 17)], b"-----BEGIN X-----\nAAAA");
        let text = b"-----BEGIN X-----\\nAAAA\\n\", next";
        assert_eq!(&text[..end_of_block(text, 17)], b"-----BEGIN X-----\\nAAAA\\n");
    }
}
