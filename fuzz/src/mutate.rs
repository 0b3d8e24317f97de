//! Changes that keep most of a script readable: bytes changed at random rarely pass a JSON parser.

/// What stands where something else is expected.
const ODD: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1.5",
    "1e308",
    "-1e308",
    "1e999",
    "18446744073709551615",
    "9223372036854775807",
    "18446744073709551616",
    "2147483648",
    "\"\"",
    "\"x\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\u{2028}\"",
    "\"completed\"",
    "\"failed\"",
    "\"interrupted\"",
    "[]",
    "{}",
    "[null]",
    "[{}]",
    "{\"a\":1,\"a\":2}",
    "[[[[[[[[1]]]]]]]]",
    "{\"type\":\"text\",\"text\":\"t\"}",
    "{\"$serde_json::private::RawValue\":\"[\"}",
];

/// Lines that may come at any time.
const LINES: &[&str] = &[
    "!interrupt",
    "!steer go on",
    "!allow 1",
    "!deny 1",
    "!timer 1",
    "!code 0",
    "!code 1",
    "!signal 9",
    "!stderr Error: no",
    "",
    "\r",
    "null",
    "[1]",
    "{}",
    "words",
    "{\"type\":\"result\",\"result\":\"r\"}",
    "{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\"}",
    "{\"type\":\"turn.started\"}",
    "{\"type\":\"turn.completed\"}",
    "{\"type\":\"turn.failed\"}",
    "{\"id\":1,\"result\":{}}",
    "{\"id\":2,\"result\":{\"thread\":{\"id\":\"t\"}}}",
    "{\"id\":1,\"error\":{\"message\":\"m\"}}",
    "{\"method\":\"turn/started\",\"params\":{\"threadId\":\"t\",\"turn\":{\"id\":\"u\"}}}",
    "{\"method\":\"turn/completed\",\"params\":{\"threadId\":\"t\",\"turn\":{\"id\":\"u\",\"status\":\"completed\"}}}",
];

/// A new input in place of the `size` bytes at the beginning of `data`; half of the time `bytes` makes it.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    bytes: impl Fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    let mut dice = Dice(u64::from(seed) | 1 << 40);
    if dice.below(2) == 0 || size == 0 {
        return bytes(data, size, max_size);
    }
    let mut script = data[..size].to_vec();
    for _ in 0..=dice.below(3) {
        change(&mut script, &mut dice);
    }
    script.truncate(max_size.min(data.len()));
    data[..script.len()].copy_from_slice(&script);
    script.len()
}

fn change(script: &mut Vec<u8>, dice: &mut Dice) {
    let mut lines: Vec<Vec<u8>> = script.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(8) {
        0 => lines.swap(one, other),
        1 => lines.insert(one, lines[other].clone()),
        2 if lines.len() > 1 => drop(lines.remove(one)),
        3 => lines.insert(one, dice.choice(LINES).as_bytes().to_vec()),
        4 => {
            // The beginning of one line and the end of another.
            let cut = dice.below(lines[one].len() + 1);
            let from = dice.below(lines[other].len() + 1);
            let tail = lines[other][from..].to_vec();
            lines[one].truncate(cut);
            lines[one].extend(tail);
        }
        _ => value(&mut lines[one], dice),
    }
    *script = lines.join(&b'\n');
}

/// Puts something odd in the place of a value, up to the next comma or closing bracket.
fn value(line: &mut Vec<u8>, dice: &mut Dice) {
    let colons: Vec<usize> = (1..line.len()).filter(|at| line[at - 1..=*at] == *b"\":").collect();
    if colons.is_empty() {
        return;
    }
    let begin = colons[dice.below(colons.len())] + 1;
    let end = line[begin..].iter().position(|byte| b",}]".contains(byte));
    let end = end.map_or(line.len(), |end| begin + end);
    line.splice(begin..end, dice.choice(ODD).bytes());
}

/// Numbers that follow from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn choice<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
