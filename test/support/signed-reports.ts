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

/** The mail with its line ends as on the wire, and a signature of `example.org` over all of it. */
export async function signedByExampleOrg(mail: string, at: Date): Promise<Buffer> {
  const wire = mail.replace(/\r?\n/g, '\r\n');
  const gap = wire.indexOf('\r\n\r\n');
  const [headers, body] = [wire.slice(0, gap + 2), Buffer.from(wire.slice(gap + 4))];
  return Buffer.concat([Buffer.from(`${await dkimSignature(KEY, headers, body, at)}${headers}\r\n`), body]);
}
