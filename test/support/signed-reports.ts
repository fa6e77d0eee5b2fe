import { generateKeyPairSync } from 'node:crypto';
import { dkimRecord, dkimRecordName, dkimSignature, type DkimKey } from '../../src/delivery/signing/dkim.js';
import { dnsOf } from './zone.js';

const pair = generateKeyPairSync('ed25519');
const KEY: DkimKey = { domain: 'example.org', selector: 'fbl', privateKey: pair.privateKey };

/** Where the mailboxes of `example.org` and `hosted.example` are: its key stands in this DNS, and it reports as `REPORTER`. */
export const REPORTER = 'fbl@example.org';
export const REPORTERS_DNS = dnsOf({
  [`TXT ${dkimRecordName(KEY)}`]: [dkimRecord(pair.publicKey)],
  'MX hosted.example': ['10 mx.example.org'],
});

/** Of those whose feedback reports everybody knows. */
const KNOWN: readonly DkimKey[] = ['arf.mail.yahoo.com', 'hotmail.com'].map((domain) => ({ ...KEY, domain }));
export const FEEDBACK_DNS = dnsOf(
  Object.fromEntries(
    [KEY, ...KNOWN].map((key) => [`TXT ${dkimRecordName(key)}`, [dkimRecord(pair.publicKey)]]),
  ),
);

/** The mail with its line ends as on the wire, and a signature of `example.org` over all of it. */
export async function signedByExampleOrg(mail: string, at: Date): Promise<Buffer> {
  return signedWith(KEY, mail, at);
}

/** As `signedByExampleOrg`, of whoever writes from that address. */
export async function signedBy(from: string, mail: string, at: Date): Promise<Buffer> {
  const key = KNOWN.find(({ domain }) => from.endsWith(`@${domain}`));
  if (!key) throw new Error(`nobody knows ${from}`);
  return signedWith(key, mail, at);
}

async function signedWith(key: DkimKey, mail: string, at: Date): Promise<Buffer> {
  const wire = mail.replace(/\r?\n/g, '\r\n');
  const gap = wire.indexOf('\r\n\r\n');
  const [headers, body] = [wire.slice(0, gap + 2), Buffer.from(wire.slice(gap + 4))];
  return Buffer.concat([
    Buffer.from(`${await dkimSignature(key, { headers, body }, at)}${headers}\r\n`),
    body,
  ]);
}
