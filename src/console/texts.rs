//! The long texts that this program can print: its manual, and what makes shells complete its words.
//! They are packed, all as one, so that each is told by what those before it have taught.

use super::packed::{self, Packed};
use crate::cli::Shell;

/// The texts, with a zero between two.
const TEXTS: &str = concat!(
    include_str!("../../man/codex-mcp-swarm.1"),
    "\0",
    include_str!("completions/bash"),
    "\0",
    include_str!("completions/zsh"),
    "\0",
    include_str!("completions/fish"),
);

/// The texts, packed.
#[allow(long_running_const_eval, reason = "two or three seconds")]
const ALL: Packed = packed::pack(TEXTS.as_bytes());

/// As much of it as the program holds.
static PACKED: [u8; ALL.length] = match ALL.bytes.first_chunk() {
    Some(bytes) => *bytes,
    None => [0; ALL.length],
};

/// The manual, as mdoc.
pub fn manual() -> String {
    text(0)
}

/// What makes this shell complete our words.
pub fn completions(shell: Shell) -> String {
    text(match shell {
        Shell::Bash => 1,
        Shell::Zsh => 2,
        Shell::Fish => 3,
    })
}

/// One of the texts.
fn text(number: usize) -> String {
    let texts = packed::unpack(&PACKED, TEXTS.len());
    let text = texts.split(|byte| *byte == 0).nth(number).unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_comes_out_as_it_went_in_and_all_take_a_third_at_most() {
        assert_eq!(manual(), include_str!("../../man/codex-mcp-swarm.1"));
        assert_eq!(completions(Shell::Bash), include_str!("completions/bash"));
        assert_eq!(completions(Shell::Zsh), include_str!("completions/zsh"));
        assert_eq!(completions(Shell::Fish), include_str!("completions/fish"));
        assert!(PACKED.len() < TEXTS.len() / 3, "{} of {}", PACKED.len(), TEXTS.len());
    }
}
