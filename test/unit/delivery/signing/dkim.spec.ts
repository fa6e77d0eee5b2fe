import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { Liquid } from 'liquidjs';
import { headersReplacedBy } from '../../../../src/values/mail-providers.js';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import MailComposer from 'nodemailer/lib/mail-composer';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  dkimRecord,
  dkimRecordName,
  dkimSignature,
  type DkimKey,
} from '../../../../src/delivery/signing/dkim.js';
import { mailHeaders } from '../../../../src/delivery/mails/headers.js';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';
import { registerLiquidFilters } from '../../../../src/infra/http/liquid-filters.js';

const TEMPLATES = new URL('../../../../templates', import.meta.url).pathname;
const AT = new Date('2026-03-02T09:00:00Z');
const SENDER = { name: 'Ada Wintérs', email: 'ada@example.com', postalAddress: '12 Mill Lane' };

const pairOf = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ed: generateKeyPairSync('ed25519'),
};
const RSA: DkimKey = { domain: 'example.com', selector: 's1', privateKey: pairOf.rsa.privateKey };
const ED: DkimKey = { domain: 'example.com', selector: 'e1', privateKey: pairOf.ed.privateKey };

/** The DNS of the test: both public halves, and nothing else. */
const resolver = async (name: string): Promise<string[][]> => {
  const records: [DkimKey, KeyObject][] = [
    [RSA, pairOf.rsa.publicKey],
    [ED, pairOf.ed.publicKey],
  ];
  const found = records.find(([key]) => dkimRecordName(key) === name);
  if (!found) throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' });
  return [[dkimRecord(found[1])]];
};

async function verdicts(mail: string): Promise<string[]> {
  const { results } = await dkimVerify(Buffer.from(mail, 'latin1'), { resolver });
  return results.map(({ status }) => status.result);
}

interface Parts {
  headers: string;
  body: Buffer;
}

async function render(name: string): Promise<Parts> {
  const { html, text, subject } = await compileMail(TEMPLATES, `emails/${name}`);
  const liquid = new Liquid();
  registerLiquidFilters(liquid);
  const variables = {
    funnel: { title: '75 niches' },
    sender: SENDER,
    offer: { title: 'Kit', discountBps: 0, price: { amountMinor: 1, currency: 'EUR' } },
    order: { total: { amountMinor: 1, currency: 'EUR' }, lines: [], downloads: [], licences: [] },
  };
  const fill = async (part: string): Promise<string> => String(await liquid.parseAndRender(part, variables));
  const list = mailHeaders(
    {
      class: 'marketing',
      kind: 'sequence',
      funnelKey: 'guide',
      stepKey: 'hello',
      messageIdHeader: '<abc@example.com>',
      sender: SENDER,
    },
    'https://mail.example.com/u/token',
    { bounceDomain: null, feedbackSenderId: 'wellspring', cfblAddress: null },
  );
  const raw = await new MailComposer({
    from: { name: SENDER.name, address: SENDER.email },
    to: { name: 'Grace', address: 'grace@example.org' },
    cc: { name: 'Copy', address: 'copy@example.org' },
    replyTo: { name: 'Ada', address: 'answers@example.com' },
    subject: `${await fill(subject)}: ${'a long subject with ümlauts '.repeat(5)}`,
    html: await fill(html),
    text: await fill(text),
    date: AT,
    messageId: '<abc@example.com>',
    textEncoding: 'quoted-printable',
    // By default line breaks inside a part stay bare until the SMTP stream mends them, which is after the signature.
    newline: 'windows',
    headers: { ...list },
  })
    .compile()
    .build();
  const split = raw.indexOf('\r\n\r\n');
  return { headers: raw.subarray(0, split + 2).toString('latin1'), body: raw.subarray(split + 4) };
}

const join = (signature: string, { headers, body }: Parts): string =>
  `${signature}${headers}\r\n${body.toString('latin1')}`;

describe('a DKIM signature', () => {
  let mail: Parts;
  let signature: string;
  beforeAll(async () => {
    mail = await render('story');
    signature = await dkimSignature(RSA, mail, AT);
  });

  it.each(['welcome', 'story', 'nudge', 'deep-dive', 'offer', 'confirm', 'receipt'])(
    'is good on the rendered mail: %s',
    async (name) => {
      const parts = await render(name);
      expect(await verdicts(join(await dkimSignature(RSA, parts, AT), parts))).toEqual(['pass']);
    },
  );

  it('names every header it must cover, From once more than there is, and no length', () => {
    const plain = signature.replace(/\r\n\s+/g, '');
    expect(/h=([^;]*);/.exec(plain)?.[1]?.split(':')).toEqual([
      'from',
      'to',
      'cc',
      'subject',
      'date',
      'message-id',
      'reply-to',
      'mime-version',
      'content-type',
      'list-id',
      'list-unsubscribe',
      'list-unsubscribe-post',
      'feedback-id',
      'from',
    ]);
    expect(plain).toContain('a=rsa-sha256');
    expect(plain).toContain(`t=${AT.getTime() / 1000}`);
    expect(plain).not.toMatch(/[; ]l=/);
  });

  it('keeps to lines of 78 and ends its last one', () => {
    expect(signature.endsWith('\r\n')).toBe(true);
    const lines = signature.slice(0, -2).split('\r\n');
    expect(lines.length).toBeGreaterThan(5);
    for (const [index, line] of lines.entries()) {
      expect(line.length).toBeLessThanOrEqual(78);
      expect(line).toMatch(index === 0 ? /^DKIM-Signature: \S/ : /^ \S/);
    }
  });

  it.each([
    'From',
    'To',
    'Cc',
    'Subject',
    'Date',
    'Message-ID',
    'Reply-To',
    'MIME-Version',
    'Content-Type',
    'List-ID',
    'List-Unsubscribe',
    'List-Unsubscribe-Post',
    'Feedback-ID',
  ])('is broken by another value of %s, and by leaving it out', async (name) => {
    const field = new RegExp(`^${name}: (?:.|\\r\\n[ \\t])*\\r\\n`, 'im');
    expect(mail.headers).toMatch(field);
    const changed = mail.headers.replace(field, (whole) => whole.replace(/(?:\r\n)$/, 'x\r\n'));
    const without = mail.headers.replace(field, '');
    for (const headers of [changed, without])
      expect(await verdicts(join(signature, { ...mail, headers }))).not.toEqual(['pass']);
  });

  it('is broken by a second From, above or below', async () => {
    const evil = 'From: Mallory <mallory@example.net>\r\n';
    expect(await verdicts(join(signature, { ...mail, headers: evil + mail.headers }))).not.toEqual(['pass']);
    expect(await verdicts(join(signature, { ...mail, headers: mail.headers + evil }))).not.toEqual(['pass']);
  });

  it('is broken by one more byte of body, not by empty lines at its end or by folding', async () => {
    const withBody = (tail: string): Parts => ({
      ...mail,
      body: Buffer.concat([mail.body, Buffer.from(tail)]),
    });
    expect(await verdicts(join(signature, withBody('x')))).not.toEqual(['pass']);
    expect(await verdicts(join(signature, withBody('\r\n\r\n')))).toEqual(['pass']);
    const folded = mail.headers.replace('<abc@example.com>', '\r\n  <abc@example.com>');
    expect(await verdicts(join(signature, { ...mail, headers: folded }))).toEqual(['pass']);
  });

  it('is good on a body that is empty or has no line break at its end', async () => {
    for (const text of ['', 'no break', '\r\n\r\n']) {
      const parts = { headers: mail.headers, body: Buffer.from(text) };
      expect(await verdicts(join(await dkimSignature(RSA, parts, AT), parts))).toEqual(['pass']);
    }
  });

  it('covers a header that is there twice on both places', async () => {
    const parts = { ...mail, headers: `${mail.headers}Feedback-ID: second\r\n` };
    const twice = await dkimSignature(RSA, parts, AT);
    expect(await verdicts(join(twice, parts))).toEqual(['pass']);
    const changed = { ...parts, headers: parts.headers.replace('second', 'other') };
    expect(await verdicts(join(twice, changed))).not.toEqual(['pass']);
  });

  it('is good behind Amazon SES, which puts a Date and a Message-ID of its own in place of ours', async () => {
    const replaced = headersReplacedBy([null, 'ses']);
    const through = (parts: Parts): Parts => ({
      ...parts,
      headers: parts.headers.replace(/^(Date|Message-ID): .*$/gm, '$1: <of@amazon>'),
    });
    const own = await dkimSignature(RSA, mail, AT, replaced);
    expect(await verdicts(join(own, through(mail)))).toEqual(['pass']);
    expect(await verdicts(join(signature, through(mail)))).not.toEqual(['pass']);
    expect([...headersReplacedBy([null, 'mailgun'])]).toEqual([]);
  });

  it('may be joined by one of Ed25519', async () => {
    const second = await dkimSignature(ED, mail, AT);
    expect(second).toContain('a=ed25519-sha256');
    expect(await verdicts(join(second + signature, mail))).toEqual(['pass', 'pass']);
  });

  it('is refused, never left out, for a key or a mail that cannot be signed', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await expect(dkimSignature({ ...RSA, privateKey }, mail, AT)).rejects.toThrow('rsa or ed25519');
    const headers = mail.headers.replace(/^From/m, 'X-From');
    await expect(dkimSignature(RSA, { ...mail, headers }, AT)).rejects.toThrow('without From');
  });
});
