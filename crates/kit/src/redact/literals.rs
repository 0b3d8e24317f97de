//! Finds the words that a look for secrets begins with, in one pass.
//!
//! There are hundreds of them, too many for a SIMD search, and an automaton reads each byte through a table that no
//! cache holds. Three bytes tell nearly all text from all of them: a set of 64 Ki bits is asked at each place for the
//! three rarest bytes of each word.

/// How many bytes of a word are looked up.
const KEY_BYTES: usize = 3;

/// Letters of English and of source text, the most frequent first.
const FREQUENT: &[u8] = b" etaoinsrldcupmfhg_bvyw-x.k/:qjz";

/// A word to look for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<T> {
    pub(super) text: &'static str,
    /// Capitals or small letters are the same.
    pub(super) is_any_case: bool,
    pub(super) means: T,
}

/// Words, and the bytes that they are found by.
#[derive(Debug)]
pub(super) struct Literals<T> {
    words: Vec<Word<T>>,
    /// The hashes of the words' rarest bytes.
    bits: Box<[u64; 1 << 10]>,
    /// What the hash multiplies with.
    factor: u32,
    /// The words of each hash, in order, and where in them those bytes are.
    buckets: Vec<(u16, u16, u8)>,
}

/// Bytes that texts are full of, which must not be taken for a word's.
const COMMON: [&[u8; KEY_BYTES]; 16] = [
    b"   ", b"\n  ", b"---", b"===", b"...", b"***", b"###", b"the", b" th", b"he ", b"ing",
    b"and", b"   ", b"ion", b"\\n ", b"000",
];

/// The hash of the first three of four bytes: the factor's lowest byte is zero, so that the fourth has no part in it.
const fn hash(bytes: [u8; 4], factor: u32) -> u16 {
    (u32::from_le_bytes(bytes).wrapping_mul(factor) >> 16) as u16
}

impl<T: Copy> Literals<T> {
    /// Words of two bytes or more; one of two is looked for before a hexadecimal digit.
    pub(super) fn new(words: Vec<Word<T>>) -> Self {
        let mut it =
            Self { words, bits: Box::new([0; 1 << 10]), factor: 0x9E37_7900, buckets: Vec::new() };
        loop {
            it.fill();
            if !COMMON.iter().any(|key| it.may_be(hash([key[0], key[1], key[2], 0], it.factor))) {
                return it;
            }
            it.factor = it.factor.wrapping_mul(0x85EB_CA6B) | 0x100;
        }
    }

    fn may_be(&self, hash: u16) -> bool {
        self.bits[usize::from(hash >> 6)] & 1 << (hash & 63) != 0
    }

    fn fill(&mut self) {
        let it = self;
        it.bits.fill(0);
        it.buckets.clear();
        for n in 0..it.words.len() {
            let word = it.words[n].text.as_bytes();
            if word.len() < KEY_BYTES {
                for third in b"0123456789abcdefABCDEF" {
                    it.add([word[0], word[1], *third], n, 0);
                }
            }
            let frequency = |key: &[u8]| -> usize {
                let of = |byte: &u8| {
                    FREQUENT.iter().position(|it| it == byte).map_or(1, |n| 8 * (40 - n))
                };
                key.iter().map(of).sum()
            };
            let keys = word.windows(KEY_BYTES).enumerate();
            if let Some((at, key)) = keys.min_by_key(|(_, key)| frequency(key)) {
                it.add([key[0], key[1], key[2]], n, at);
            }
        }
        it.buckets.sort_unstable();
        it.buckets.dedup();
    }

    fn add(&mut self, key: [u8; KEY_BYTES], n: usize, at: usize) {
        let cases = if self.words[n].is_any_case { 1 << KEY_BYTES } else { 1 };
        for cases in 0..cases {
            let mut key = key;
            for (place, byte) in key.iter_mut().enumerate() {
                if cases & 1 << place != 0 {
                    *byte ^= if byte.is_ascii_alphabetic() { b' ' } else { 0 };
                }
            }
            let hash = hash([key[0], key[1], key[2], 0], self.factor);
            self.bits[usize::from(hash >> 6)] |= 1 << (hash & 63);
            let n = u16::try_from(n).expect("there are hundreds of words");
            self.buckets.push((hash, n, u8::try_from(at).expect("words are short")));
        }
    }

    #[cfg(test)]
    pub(super) fn words(&self) -> &[Word<T>] {
        &self.words
    }

    /// Tells of every word where it begins, nearly in order.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(usize, &'static str, T)) {
        let (bits, factor) = (&*self.bits, self.factor);
        let is_one = |key: &[u8]| {
            let hash = hash(key.try_into().expect("there are four"), factor);
            bits[usize::from(hash >> 6)] >> (hash & 63) & 1
        };
        // Eight places at a time: nearly always there is none.
        let mut at = 0;
        while let Some(places) = text.get(at..at + 11) {
            let places: &[u8; 11] = places.try_into().expect("it is as long");
            let any = (0..8).fold(0, |any, n| any | is_one(&places[n..n + 4]));
            if any != 0 {
                for n in (0..8).filter(|n| is_one(&places[*n..n + 4]) != 0) {
                    self.found(text, at + n, &mut found);
                }
            }
            at += 8;
        }
        for at in at..text.len().saturating_sub(KEY_BYTES - 1) {
            if is_one(&[text[at], text[at + 1], text[at + 2], 0]) != 0 {
                self.found(text, at, &mut found);
            }
        }
    }

    #[cold]
    fn found(&self, text: &[u8], at: usize, found: &mut impl FnMut(usize, &'static str, T)) {
        let hash = hash([text[at], text[at + 1], text[at + 2], 0], self.factor);
        let first = self.buckets.partition_point(|(of, ..)| *of < hash);
        for (_, n, before) in self.buckets[first..].iter().take_while(|(of, ..)| *of == hash) {
            let word = &self.words[usize::from(*n)];
            let Some(from) = at.checked_sub(usize::from(*before)) else { continue };
            let Some(here) = text.get(from..from + word.text.len()) else { continue };
            let wanted = word.text.as_bytes();
            if here == wanted || word.is_any_case && here.eq_ignore_ascii_case(wanted) {
                found(from, word.text, word.means);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_wherever_it_stands() {
        let word = |text, is_any_case, means| Word { text, is_any_case, means };
        let literals = Literals::new(vec![
            word("ghp_", false, 1),
            word("SK", false, 2),
            word("password", true, 3),
            word("pass", true, 4),
            word("word", true, 5),
        ]);
        let mut found = Vec::new();
        literals.find(b"xghp_ GHP_ SK0 sk0 SKx Password", |at, _, n| found.push((at, n)));
        found.sort_unstable();
        assert_eq!(found, [(1, 1), (11, 2), (23, 3), (23, 4), (27, 5)]);
        literals.find(b"gh", |_, _, _| panic!("there is none"));
    }
}
