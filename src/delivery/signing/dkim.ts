import { hash, sign, type KeyObject } from 'node:crypto';

/** What signs for a domain. RSA of 1024 bits or more, or Ed25519 (RFC 8463), which few receivers check yet. */
export interface DkimKey {
  /** A-labels, lower case; equal to the From domain or its organisational domain, so that DMARC sees it aligned. */
  domain: string;
  selector: string;
  privateKey: KeyObject;
}

/**
 * All that may be signed, in this order. The libraries' own lists leave out List-Unsubscribe-Post, without which a
 * receiver must not act on one-click (RFC 8058 §4), and Feedback-ID.
 */
const SIGNED = [
  'from',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'reply-to',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'feedback-id',
  'cfbl-address',
  'auto-submitted',
] as const;

const PLACES: ReadonlyMap<string, number> = new Map(SIGNED.map((name, place) => [name, place]));
const FROM = SIGNED.indexOf('from');

const NONE: ReadonlySet<string> = new Set();

/** RFC 5322 §2.1.1 recommends 78 without the line break. */
const FOLD_AT = 76;
const FOLDED = /\r\n[ \t]/;
const FIELD_BREAK = /\r\n(?![ \t])/;
const UNEVEN = /[\r\n\t]| {2}/;
const CR = 13;
const LF = 10;
const LINE_BREAK = Buffer.from([CR, LF]);

/**
 * One DKIM-Signature header (RFC 6376), folded, with its closing CRLF, to stand before `headers`.
 *
 * `headers` is the header block and `body` everything behind the empty line, both byte for byte as they will cross the
 * wire: a bare LF that is mended on the way would break the signature. Header fields are relaxed, so a relay may fold them anew; the body is simple: ours is quoted-printable or base64 without white space at
 * the ends of lines, and its hash is then one pass over the bytes. From is named once more than it occurs, so that a
 * second From added later breaks the signature (RFC 6376 §8.15). Signs in the thread pool, on another core than ours.
 *
 * `unsigned` names headers, in lower case, that a relay on the way is known to replace.
 *
 * Throws when the key cannot sign: an unsigned mail is never the answer.
 */
export async function dkimSignature(
  { domain, selector, privateKey }: DkimKey,
  { headers, body }: { headers: string; body: Buffer },
  signedAt: Date,
  unsigned: ReadonlySet<string> = NONE,
): Promise<string> {
  const algorithm = algorithmOf(privateKey);
  const { names, lines } = signedFields(headers, unsigned);
  const hashOfBody = bodyHash(body);
  const frame = frameOf([domain, selector, algorithm, names.join(':')]);
  const filled = ([untilTime, untilHash, end]: Pieces): string =>
    `${untilTime}${Math.floor(signedAt.getTime() / 1000)}${untilHash}${hashOfBody}${end}`;
  // The signature covers its own header with an empty b= and no line break at the end (RFC 6376 §3.7).
  const data = Buffer.from(`${lines.join('\r\n')}\r\n${filled(frame.canonical)}`);
  const signature = await signed(algorithm, data, privateKey);
  return `${filled(frame.folded)}${chunks(signature.toString('base64'))}\r\n`;
}

/** The TXT record that lets others check the signatures of this key, to stand at {@link dkimRecordName}. */
export function dkimRecord(publicKey: KeyObject): string {
  const algorithm = algorithmOf(publicKey);
  const der = publicKey.export({ type: 'spki', format: 'der' });
  // RFC 8463 §4.2: the bare 32 bytes of an Ed25519 key, which end its DER form.
  const bytes = algorithm === 'ed25519' ? der.subarray(-32) : der;
  return `v=DKIM1; k=${algorithm}; p=${bytes.toString('base64')}`;
}

export function dkimRecordName({ domain, selector }: Pick<DkimKey, 'domain' | 'selector'>): string {
  return `${selector}._domainkey.${domain}`;
}

function algorithmOf({ asymmetricKeyType }: KeyObject): 'rsa' | 'ed25519' {
  if (asymmetricKeyType === 'rsa' || asymmetricKeyType === 'ed25519') return asymmetricKeyType;
  throw new Error(`a DKIM key is rsa or ed25519, not ${asymmetricKeyType ?? 'a secret'}`);
}

type Pieces = [untilTime: string, untilHash: string, end: string];

/** A DKIM-Signature header up to `b=` around its time and the hash of the body, as it is sent and as it is signed. */
interface Frame {
  folded: Pieces;
  canonical: Pieces;
}

/** The mails of one key have a handful of sets of headers: all the rest of their signatures is the same text. */
const frames = new Map<string, Frame>();
const MOST_FRAMES = 1_000;

/** Neither a name nor a domain has it; so many in place of the time and the hash fold as those do. */
const TIME_ROOM = '?'.repeat(10);
const HASH_ROOM = '?'.repeat(44);

function frameOf(parts: [domain: string, selector: string, algorithm: string, names: string]): Frame {
  const key = parts.join(' ');
  const known = frames.get(key);
  if (known) return known;
  const [domain, selector, algorithm, names] = parts;
  const tags = [
    'v=1',
    `a=${algorithm}-sha256`,
    'c=relaxed/simple',
    `d=${domain}`,
    `s=${selector}`,
    `t=${TIME_ROOM}`,
    `h=${names}`,
    `bh=${HASH_ROOM}`,
  ];
  const folded = `${fold(`DKIM-Signature: ${tags.join('; ')};`)}\r\n b=`;
  const canonical = canonicalField('dkim-signature', folded.slice(folded.indexOf(':') + 1));
  const made = { folded: piecesOf(folded), canonical: piecesOf(canonical) };
  if (frames.size >= MOST_FRAMES) frames.clear();
  frames.set(key, made);
  return made;
}

function piecesOf(header: string): Pieces {
  const [untilTime = '', untilHash = '', end = ''] = header.split(/\?+/);
  return [untilTime, untilHash, end];
}

/** Names for h= and the fields in canonical form, each name with its fields from the bottom up (RFC 6376 §5.4.2). */
function signedFields(headers: string, unsigned: ReadonlySet<string>): { names: string[]; lines: string[] } {
  const found: (string[] | undefined)[] = [];
  for (const field of headers.split(FOLDED.test(headers) ? FIELD_BREAK : '\r\n')) {
    const colon = field.indexOf(':');
    if (colon < 1) continue;
    const name = field.slice(0, colon).trimEnd().toLowerCase();
    const place = PLACES.get(name);
    if (place === undefined || unsigned.has(name)) continue;
    (found[place] ??= []).unshift(canonicalField(name, field.slice(colon + 1)));
  }
  if (found[FROM] === undefined) throw new Error('a mail without From cannot be signed');
  const names: string[] = [];
  const lines: string[] = [];
  for (const [place, name] of SIGNED.entries())
    for (const line of found[place] ?? []) {
      names.push(name);
      lines.push(line);
    }
  names.push('from');
  return { names, lines };
}

/** Relaxed (RFC 6376 §3.4.2): name in lower case, one line, single spaces, none around the colon or at the end. */
function canonicalField(name: string, value: string): string {
  // Most fields are on one line with single spaces: to look is a third of the cost of replacing nothing.
  const even = UNEVEN.test(value) ? value.replaceAll('\r\n', '').replace(/[ \t]+/g, ' ') : value;
  return `${name}:${even.trim()}`;
}

/** Simple (RFC 6376 §3.4.3): empty lines at the end count as one line break, and so does an empty body. */
function bodyHash(body: Buffer): string {
  let end = body.length;
  while (end >= 2 && body[end - 2] === CR && body[end - 1] === LF) end -= 2;
  // In one go over the bytes as they lie there: the objects of a hash by steps cost a quarter of it once more.
  const lines = end < body.length ? body.subarray(0, end + 2) : Buffer.concat([body, LINE_BREAK]);
  return hash('sha256', lines, 'base64');
}

async function signed(algorithm: 'rsa' | 'ed25519', data: Buffer, key: KeyObject): Promise<Buffer> {
  // RFC 8463 §3: Ed25519 signs the SHA-256 of what RSA would have hashed itself.
  const [digest, input] = algorithm === 'rsa' ? ['sha256', data] : [null, hash('sha256', data, 'buffer')];
  return new Promise((resolve, reject) => {
    sign(digest, input, key, (error, signature) => (error ? reject(error) : resolve(signature)));
  });
}

/** Breaks at spaces and, within h=, after colons; white space there means nothing (RFC 6376 §3.2). */
function fold(header: string): string {
  const lines: string[] = [];
  let line = '';
  for (const piece of header.split(/(?<=[ :])/)) {
    if (line !== '' && line.length + piece.length > FOLD_AT) {
      lines.push(line.trimEnd());
      line = ' ';
    }
    line += piece;
  }
  return [...lines, line.trimEnd()].join('\r\n');
}

function chunks(base64: string): string {
  return base64.replace(/.{72}(?=.)/g, '$&\r\n ');
}
