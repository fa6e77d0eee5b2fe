/** Crockford's base 32: no I, L, O (read as digits) and no U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const NOTHING_ELSE = new RegExp(`^[${ALPHABET}]*$`);
const DATA_CHARS = 15;
const BITS_PER_CHAR = 5n;

/** How many random bytes a key takes; 75 of their 80 bits are used, far past guessing. */
export const LICENCE_KEY_BYTES = 10;

/**
 * A licence key such as `7ZQ2-K0MD-4XVA-T9C5`: 15 characters from `random` (node:crypto's, LICENCE_KEY_BYTES of them)
 * and a check character, so that a mistyped key is told from an unknown one without asking the database.
 */
export function licenceKey(random: Uint8Array): string {
  if (random.length !== LICENCE_KEY_BYTES) {
    throw new RangeError(`a licence key is made of ${LICENCE_KEY_BYTES} random bytes`);
  }
  let bits = random.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  let data = '';
  for (let place = 0; place < DATA_CHARS; place++) {
    data += ALPHABET.charAt(Number(bits & 31n));
    bits >>= BITS_PER_CHAR;
  }
  return grouped(data + checkCharacter(data));
}

/**
 * The key as it was issued, from what a person typed: any case, with or without hyphens and blanks, O for 0 and I or L
 * for 1. Null when its check character does not fit: one wrong character is always found.
 */
export function readLicenceKey(typed: string): string | null {
  const plain = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  if (plain.length !== DATA_CHARS + 1 || !NOTHING_ELSE.test(plain)) return null;
  const data = plain.slice(0, DATA_CHARS);
  return plain.endsWith(checkCharacter(data)) ? grouped(plain) : null;
}

/** Luhn's sum in base 32: finds every single wrong character and nearly every swap of two neighbours. */
function checkCharacter(data: string): string {
  const base = ALPHABET.length;
  let sum = 0;
  Array.from(data)
    .toReversed()
    .forEach((char, place) => {
      const value = ALPHABET.indexOf(char) * (place % 2 === 0 ? 2 : 1);
      sum += Math.floor(value / base) + (value % base);
    });
  return ALPHABET.charAt((base - (sum % base)) % base);
}

function grouped(plain: string): string {
  return plain.match(/.{4}/g)?.join('-') ?? plain;
}
