// The documents, and what is random: the same in every run.

const FIELDS = 10;
const FIELD_CHARACTERS = 100;
const REVISION_DIGITS = 10;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const GROUPS = 50;

/** Numbers in 0..1 (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function text(next, characters) {
  let made = "";
  while (made.length < characters) made += ALPHABET[Math.floor(next() * ALPHABET.length)];
  return made;
}

export const id = (number) => `user${String(number).padStart(12, "0")}`;
export const group = (number) => `group${String(number % GROUPS).padStart(3, "0")}`;

/** A document of about 300 bytes. */
export function small(number) {
  return { id: id(number), group: group(number), count: number, text: text(random(number), 220) };
}

/** A record as YCSB has it: ten fields of 100 characters, the revision at the beginning of the first. */
export function record(number, revision = 0) {
  const next = random(number * 31 + revision);
  const fields = { id: id(number) };
  for (let field = 0; field < FIELDS; field += 1) fields[`field${field}`] = text(next, FIELD_CHARACTERS);
  fields.field0 = String(revision).padStart(REVISION_DIGITS, "0") + fields.field0.slice(REVISION_DIGITS);
  return fields;
}

export const revisionOf = (found) => Number(found.field0.slice(0, REVISION_DIGITS));

/** Whether what was read is what was written; a peer may add fields of its own. */
export function check(found, written) {
  if (found === null || found === undefined) throw new Error(`${written.id} is missing`);
  for (const [name, value] of Object.entries(written)) {
    if (found[name] !== value) throw new Error(`${written.id}: ${name} is ${JSON.stringify(found[name])}, not ${JSON.stringify(value)}`);
  }
}

/** Numbers below `count` as popular as YCSB's distribution (constant 0.99) has them, spread over all. */
export function zipf(count, next) {
  const weights = Array.from({ length: count }, (_, rank) => 1 / (rank + 1) ** 0.99);
  const sums = [];
  let sum = 0;
  for (const weight of weights) sums.push((sum += weight));
  return () => {
    const wanted = next() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    return (low * 2_654_435_761) % count;
  };
}
