//! Texts in a fourth of their room: packed while this is compiled, unpacked when somebody asks.
//!
//! The method is PPM, prediction by partial matching. The next byte is guessed from what has followed
//! the last four bytes wherever they stood before. If nothing has, or if it is none of that, from what
//! has followed the last two, then the last one, then from all bytes so far; and at the very end every
//! byte is as likely as any other. So a byte is told by a few choices, at each of these contexts one: a
//! byte that is known there, or "none of them", the escape. What a longer context has refused is no
//! choice at a shorter one. A byte that followed n times weighs 2n - 1, and the escape as much as there
//! are bytes to escape from. Once a byte is told it counts at the context that knew it, and becomes
//! known to the longer ones, which did not.
//!
//! Choices become bytes by arithmetic coding. A packed text is a number, and at first it could be any.
//! A choice of weight w among a total of t keeps that part, w/t, of the numbers that are left which
//! begins where the weights before it end. `low` is the first of what is left, and `range` says how
//! much that is; leading bytes that all of it has in common are settled, and moved out. Packing looks
//! for the place of a byte, unpacking for the byte of a place; all else they do in the same way.
//!
//! What is unpacked was packed here. Other bytes would give a text without sense, or a panic.
#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a const fn has nothing else; and a panic while this is compiled is an error"
)]

use std::iter;

/// The contexts, from long to short: as much as these bits have of the bytes before.
const CONTEXTS: [u64; 4] = [0xffff_ffff, 0xffff, 0xff, 0];

/// Spreads contexts over their places.
const SPREAD: u64 = 0x9e37_79b1;

/// How many places there are for contexts. Where two share one it costs a few bits, and nothing else.
const PLACES: usize = 1 << 18;

/// How many bytes may become known at contexts: enough for a text of 90 KB.
const MOST_KNOWN: usize = 1 << 17;

/// The most bytes that a packed text may have.
const ROOM: usize = 1 << 15;

/// What is left of the numbers where nothing is told yet.
const WHOLE: u64 = 1 << 32;

/// If no more is left, they have a byte in common.
const SETTLED: u64 = 1 << 24;

/// A byte that is known at a context.
#[derive(Clone, Copy)]
struct Known {
    /// The byte.
    byte: usize,
    /// Its weight.
    weight: u64,
    /// Where the one is that this context knew before; 0 if it was the first.
    next: usize,
}

/// Stands where 0 means that there is none.
const NONE: Known = Known { byte: 0, weight: 0, next: 0 };

/// A packed text.
pub struct Packed {
    /// It is in the first of them.
    pub bytes: [u8; ROOM],
    /// How many these are.
    pub length: usize,
}

/// Packs a text, but only while this is compiled, for its tables are large. It is all in one piece,
/// because to a compiler a call is more work than what is called.
#[allow(clippy::large_stack_arrays, reason = "there it fills no stack")]
pub const fn pack(text: &[u8]) -> Packed {
    let mut packed = Packed { bytes: [0; ROOM], length: 0 };
    let (mut low, mut range) = (0, WHOLE);
    let (mut newest, mut known, mut used) = ([0; PLACES], [NONE; MOST_KNOWN], 0);
    // for each byte, where in the text it was seen at a context last
    let mut seen = [0; 256];
    let (mut past, mut at) = (0, 0);
    while at < text.len() {
        let byte = text[at] as usize;
        at += 1;
        let (mut places, mut order) = ([0; CONTEXTS.len()], 0);
        let (mut found, mut told) = (0, false);
        while !told {
            let (mut start, mut weight, mut total) = (byte as u64, 1, 256);
            if order == CONTEXTS.len() {
                told = true;
            } else {
                let place = (((past & CONTEXTS[order]) * SPREAD) >> 14) as usize % PLACES;
                places[order] = place;
                order += 1;
                (start, weight, total) = (0, 0, 0);
                let mut escape = 0;
                let mut one = newest[place];
                while one != 0 {
                    let Known { byte: other, weight: its, next } = known[one];
                    if seen[other] != at {
                        seen[other] = at;
                        if other == byte {
                            (start, weight) = (total, its);
                            (found, told) = (one, true);
                        }
                        total += its;
                        escape += 1;
                    }
                    one = next;
                }
                if escape == 0 {
                    continue;
                }
                if !told {
                    (start, weight) = (total, escape);
                }
                total += escape;
            }
            let unit = range / total;
            low += unit * start;
            range = unit * weight;
            if low >= WHOLE {
                // the settled bytes are one more, as a number
                low -= WHOLE;
                let mut carry = packed.length - 1;
                while packed.bytes[carry] == 255 {
                    packed.bytes[carry] = 0;
                    carry -= 1;
                }
                packed.bytes[carry] += 1;
            }
            while range <= SETTLED {
                packed.bytes[packed.length] = (low / SETTLED) as u8;
                packed.length += 1;
                (low, range) = ((low % SETTLED) << 8, range << 8);
            }
        }
        if found != 0 {
            known[found].weight += 2;
            order -= 1;
        }
        while order > 0 {
            order -= 1;
            used += 1;
            known[used] = Known { byte, weight: 1, next: newest[places[order]] };
            newest[places[order]] = used;
        }
        past = (past << 8) | byte as u64;
    }
    // behind the end there are zeros
    while low != 0 {
        packed.bytes[packed.length] = (low / SETTLED) as u8;
        packed.length += 1;
        low = (low % SETTLED) << 8;
    }
    packed
}

/// Unpacks a text of this length.
pub fn unpack(packed: &[u8], length: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(length);
    let mut packed = packed.iter().chain(iter::repeat(&0));
    // of the number, as much as it is above low
    let (mut above, mut range) = (0, 1);
    let (mut newest, mut known) = (vec![0; PLACES], vec![NONE]);
    let mut past = 0;
    while text.len() < length {
        let (mut places, mut order) = ([0; CONTEXTS.len()], 0);
        let mut seen = [false; 256];
        let mut found = None;
        let byte = loop {
            while range <= SETTLED {
                (above, range) = (above << 8, range << 8);
                above += packed.next().map_or(0, |byte| u64::from(*byte));
            }
            let Some(context) = CONTEXTS.get(order) else {
                range /= 256;
                let byte = above / range;
                above %= range;
                break byte as usize;
            };
            let place = (((past & context) * SPREAD) >> 14) as usize % PLACES;
            places[order] = place;
            order += 1;
            let (mut choices, mut total) = (Vec::new(), 0);
            let mut one = newest[place];
            while one != 0 {
                let Known { byte, weight, next } = known[one];
                if !seen[byte] {
                    seen[byte] = true;
                    choices.push(one);
                    total += weight;
                }
                one = next;
            }
            if choices.is_empty() {
                continue;
            }
            let escape = choices.len() as u64;
            let unit = range / (total + escape);
            // where a choice begins, less what its predecessors weigh
            for one in choices {
                range = unit * known[one].weight;
                if above < range {
                    found = Some(one);
                    break;
                }
                above -= range;
            }
            match found {
                Some(one) => break known[one].byte,
                None => range = unit * escape,
            }
        };
        if let Some(one) = found {
            known[one].weight += 2;
            order -= 1;
        }
        for place in places.into_iter().take(order).rev() {
            known.push(Known { byte, weight: 1, next: newest[place] });
            newest[place] = known.len() - 1;
        }
        past = (past << 8) | byte as u64;
        text.push(byte as u8);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Packs and unpacks a text, and says how long it was meanwhile. Packing is made for a compiler,
    /// which has no stack to overflow.
    fn round_trip(text: &[u8]) -> usize {
        thread::scope(|scope| {
            let builder = thread::Builder::new().stack_size(64 << 20);
            let there_and_back = || {
                let packed = pack(text);
                let bytes = packed.bytes.get(..packed.length).unwrap();
                assert_eq!(unpack(bytes, text.len()), text, "{}", text.escape_ascii());
                packed.length
            };
            builder.spawn_scoped(scope, there_and_back).unwrap().join().unwrap()
        })
    }

    #[test]
    fn every_short_text_over_a_small_alphabet_comes_back() {
        assert_eq!(round_trip(b""), 0);
        for alphabet in [&b"a"[..], b"ab", b"\0z", b"\0\xff\x80"] {
            for length in 1..5 {
                for number in 0..alphabet.len().pow(length) {
                    let letter = |at| alphabet[number / alphabet.len().pow(at) % alphabet.len()];
                    round_trip(&(0..length).map(letter).collect::<Vec<u8>>());
                }
            }
        }
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        round_trip(&all);
        let back: Vec<u8> = all.iter().rev().copied().collect();
        round_trip(&[&all[..], &back, &all, &all].concat());
    }

    #[test]
    fn a_long_text_without_order_comes_back_and_one_with_order_gets_short() {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        };
        let noise: Vec<u8> = (0..20_000).map(|_| random() as u8).collect();
        // it has carries of all lengths
        assert!((20_000..24_000).contains(&round_trip(&noise)));
        let coins: Vec<u8> = (0..20_000).map(|_| (random() % 2) as u8).collect();
        assert!((2_400..3_200).contains(&round_trip(&coins)));
        assert!(round_trip(&[b'a'; 20_000]) < 40);
        assert!(round_trip(&b"ab and ".repeat(3_000)) < 60);
    }
}
