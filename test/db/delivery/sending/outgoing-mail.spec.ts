import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../../config/env.js';
import { DkimKeys } from '../../../../src/delivery/signing/dkim-keys.service.js';
import { SmtpLane } from '../../../../src/delivery/relays/smtp-lane.transport.js';
import { hiddenDuties } from '../../../../src/delivery/mails/hidden-duties.js';
import { shownParts } from '../../../../src/delivery/mails/shown-parts.js';
import { readUnsubscribeAddress, readVerp } from '../../../../src/delivery/mails/verp.js';
import { WrittenMailsService } from '../../../../src/delivery/mails/written-mails.service.js';
import type { PlannedMessage } from '../../../../src/delivery/message/message.js';
import { decodeIds, verifyToken } from '../../../../src/values/signed-token.js';
import { FixedClock } from '../../../support/clock.js';
import { openSmtpSink, type SunkMail } from '../../../support/smtp-sink.js';
import { BROUGHT, dataWith, FIXTURES, kindOf, TEMPLATES, WRITTEN_KEY, WRITTEN_MAIL } from '../mail-data.js';
import { hiddenWords, previewWords } from '../hidden-words.js';
import { BASE_URL, OPENED_AT, openPostOffice, SECRET, SENDER, type PostOffice } from '../post-office.js';

const HOSTILE_NAMES = [
  'Ada\r\nBcc: evil@example.net',
  'Ada\r\n\r\n<script>alert(1)</script>',
  'evil@example.net, other@example.net',
  '"evil@example.net" <evil@example.net>',
  '{{ 7 | times: 7 }} {% raw %} {{constructor}} {{__proto__}}',
  '<script>alert(1)</script>" onmouseover="x',
  'Z\u2028\u202Eëö 艾达 🚀 =?utf-8?q?x?=',
  `${'long '.repeat(60)}${'x'.repeat(300)}`,
  'x\r.\r\n.\n..\0',
  '=?utf-8?Q?=E2=80=AE=0D=0ABcc:?= evil',
];

interface Planned {
  id: string;
  subscriberId: string;
  address: string;
  template: string;
  name: string;
  marketing: boolean;
}

interface Sent extends Planned {
  mail: SunkMail;
  /** Header fields as they stand, folded lines joined, by name in lower case. */
  headers: Map<string, string[]>;
  head: string;
  body: string;
}

/** The checklist for what leaves, over the bytes that a real SMTP server got. */
describe('outgoing mail', () => {
  let t: PostOffice;
  let dataDir: string;
  let dkimRecord: { name: string; value: string };
  const sent: Sent[] = [];
  const marketing = (): Sent[] => sent.filter((one) => one.marketing);

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'ws-outgoing-'));
    const config = { ...readConfig({ DATA_DIR: dataDir }), databaseUrl: '', secretKey: SECRET, smtpUrl: '' };
    dkimRecord = await new DkimKeys(config, new FixedClock(OPENED_AT)).create('example.com');
    t = await openPostOffice({
      DATA_DIR: dataDir,
      BOUNCE_DOMAIN: 'b.example.com',
      CFBL_ADDRESS: 'fbl@example.com',
      FEEDBACK_SENDER_ID: 'springfield5',
    });
    await t.db.query(
      `insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
       values ('niche-ebook', '75 niches', '{}', '', 1, now(), now())`,
    );
    const planned: Planned[] = [];
    await t.app.get(WrittenMailsService, { strict: false }).create('news', WRITTEN_MAIL);
    for (const template of [...TEMPLATES, WRITTEN_KEY, ...BROUGHT])
      for (const name of ['', 'Grace Hopper', ...HOSTILE_NAMES]) planned.push(await plan(template, name));
    await t.sendDue();
    for (const one of planned) {
      const mail = t.sink.mails.find(({ to }) => to[0] === one.address);
      if (!mail) throw new Error(`${one.template}, ${one.name}: ${JSON.stringify(await t.state(one.id))}`);
      sent.push({ ...one, ...parsed(mail) });
    }
  });
  afterAll(async () => {
    await t.close();
    await rm(dataDir, { recursive: true });
  });

  let count = 0;
  async function plan(
    template: string,
    name: string,
    change: Partial<PlannedMessage> = {},
  ): Promise<Planned> {
    const address = change.address ?? `reader${count++}@example.org`;
    const subscriberId = await t.subscriber(address, { name: name.replaceAll('\0', '') });
    const kind = kindOf(template);
    const isMarketing = kind === 'sequence';
    const id = await t.plan(address, {
      subscriberId,
      templateId: await (template.startsWith('brought-mails/')
        ? t.templates.publish(t.db.manager, template, null, FIXTURES)
        : t.templates.publish(t.db.manager, template === WRITTEN_KEY ? template : `emails/${template}`)),
      data: dataWith(name === '' ? 'Kit' : name.replace(/[\r\n\0\u2028]+/g, ' ')),
      ...(isMarketing ? {} : { class: 'transactional', kind }),
      ...change,
    });
    return { id, subscriberId, address, template, name, marketing: isMarketing };
  }

  async function send(template: string, name: string, change: Partial<PlannedMessage> = {}): Promise<Sent> {
    const planned = await plan(template, name, change);
    await t.sendDue();
    const mail = t.sink.mails.at(-1);
    const state = await t.state(planned.id);
    if (!mail || state.state !== 'accepted')
      throw new Error(`${template}, ${name}: ${JSON.stringify(state)}`);
    return { ...planned, ...parsed(mail) };
  }

  function parsed(mail: SunkMail): Pick<Sent, 'mail' | 'headers' | 'head' | 'body'> {
    const end = mail.raw.indexOf('\r\n\r\n');
    const head = mail.raw.slice(0, end);
    const headers = new Map<string, string[]>();
    for (const field of head.split(/\r\n(?![ \t])/)) {
      const colon = field.indexOf(':');
      const name = field.slice(0, colon).toLowerCase();
      headers.set(name, [
        ...(headers.get(name) ?? []),
        field
          .slice(colon + 1)
          .replaceAll('\r\n', '')
          .trim(),
      ]);
    }
    return { mail, headers, head, body: mail.raw.slice(end + 4) };
  }

  const one = ({ headers }: Sent, name: string): string => {
    const values = headers.get(name) ?? [];
    expect(values).toHaveLength(1);
    return values[0] ?? '';
  };
  const html = ({ mail }: Sent): string => mail.parsed.html ?? '';
  const text = ({ mail }: Sent): string => mail.parsed.text ?? '';
  const linksIn = (source: string): string[] =>
    [...source.matchAll(/<a\b[^>]*\shref="([^"]*)"/g)].map(([, url = '']) => url.replaceAll('&amp;', '&'));

  it('M1: From, To, Date, Message-ID, Subject and MIME-Version are there once, and nothing a reader typed adds one', () => {
    for (const mail of sent) {
      for (const name of ['from', 'to', 'date', 'message-id', 'subject', 'mime-version']) one(mail, name);
      for (const name of ['bcc', 'cc', 'sender', 'x-evil']) expect(mail.headers.get(name)).toBeUndefined();
      expect(mail.mail.parsed.from).toEqual({ name: SENDER.name, address: SENDER.email });
      expect(new Date(one(mail, 'date'))).toEqual(OPENED_AT);
    }
  });

  it('M2: Message-ID comes from the mail, not from the person, and a second attempt has the very same bytes', async () => {
    const ids = sent.map((mail) => one(mail, 'message-id'));
    expect(new Set(ids).size).toBe(sent.length);
    for (const id of ids) expect(id).toMatch(/^<[a-z2-7]{26}@example\.com>$/);
    for (const mail of sent)
      expect(`<${one(mail, 'x-wellspring-id')}@example.com>`).toBe(one(mail, 'message-id'));
    // Unclear for a mail that somebody waits for: it is sent once more.
    const before = t.sink.mails.length;
    const { id } = await plan('confirm', 'Twice');
    t.sink.onBody = async () => 'drop';
    await t.sendDue();
    t.sink.onBody = async () => undefined;
    t.clock.advance(3_600_000);
    await t.sendDue();
    t.clock.set(OPENED_AT);
    expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    const [first, second] = t.sink.mails.slice(before).map(({ raw }) => raw.slice(raw.indexOf('\r\nFrom: ')));
    expect(first).toHaveLength(second?.length ?? 0);
    expect(second).toBe(first);
  });

  it('M3: lines within SMTP and RFC 5322, CRLF only, seven bits', () => {
    for (const { mail, head } of sent) {
      expect(mail.raw.replaceAll('\r\n', '')).not.toMatch(/[^\u0020-\u007e\t]/);
      for (const line of mail.raw.split('\r\n')) expect(line.length).toBeLessThanOrEqual(998);
      for (const line of head.split('\r\n'))
        if (!/^(?:List-Unsubscribe|Feedback-ID):/.test(line)) expect(line.length).toBeLessThanOrEqual(78);
    }
  });

  it('M4, M5: one mail goes to the one address that was planned, whatever the name says', () => {
    for (const { mail, address } of sent) {
      expect(mail.to).toEqual([address]);
      expect(mail.parsed.to?.map((to) => to.address)).toEqual([address]);
    }
  });

  it('M6: a name is a name, however hostile; it is escaped in HTML and never read as a template', () => {
    for (const mail of sent.filter(({ name }) => name !== '')) {
      expect(html(mail)).not.toMatch(/<script|onmouseover="/i);
      expect(`${html(mail)}${text(mail)}`).not.toMatch(/\b49\b(?![,.])/);
      expect(mail.head).not.toMatch(/^(?:Bcc|X-)(?!Wellspring)/im);
      const seen = mail.mail.parsed.to?.[0]?.name ?? '';
      expect(seen.length).toBeGreaterThan(0);
      expect(seen).not.toMatch(/[\r\n\0]/);
    }
    const raw = sent.find(({ name, template }) => name.startsWith('{{') && template === 'welcome');
    expect(raw && text(raw)).toContain('{{');
  });

  it('M7: a domain in another script travels as A-labels; a local part in one needs SMTPUTF8', async () => {
    const idn = await send('story', 'Käthe', { address: 'kaethe@bücher.example' });
    // The sink's library shows the envelope in the reader's own script again.
    expect(idn.mail.to).toEqual(['kaethe@bücher.example']);
    expect(one(idn, 'to')).toContain('<kaethe@xn--bcher-kva.example>');
    const local = await send('story', 'Käthe', { address: 'käthe@bücher.example' });
    expect(one(local, 'to')).toContain('<käthe@xn--bcher-kva.example>');
    expect(await verdicts(local)).toEqual(['pass']);
    const old = await openSmtpSink({ smtpUtf8: false });
    const lane = new SmtpLane('default', new URL(old.url));
    const mail = {
      id: '1',
      from: 'b@example.com',
      to: 'käthe@example.org',
      needsSmtpUtf8: true,
      raw: Buffer.from('x'),
      tag: 'x',
    };
    expect(await lane.send(mail, async () => true)).toMatchObject({ kind: 'unsendable' });
    expect(old.bodiesBegun).toBe(0);
    lane.close();
    await old.close();
  });

  it('M8: marketing offers https first and mail second, one-click, and a List-Id; the others offer none', () => {
    for (const mail of sent) {
      if (!mail.marketing) {
        for (const name of ['list-unsubscribe', 'list-unsubscribe-post', 'list-id', 'feedback-id'])
          expect(mail.headers.get(name)).toBeUndefined();
        continue;
      }
      expect(one(mail, 'list-unsubscribe')).toMatch(
        /^<https:\/\/mail\.example\.com\/u\/[\w-]+>, <mailto:u\+[a-z2-7]+@b\.example\.com\?subject=unsubscribe>$/,
      );
      expect(one(mail, 'list-unsubscribe-post')).toBe('List-Unsubscribe=One-Click');
      expect(one(mail, 'list-id')).toBe('<niche-ebook.example.com>');
    }
  });

  it('M9: the token of both ways names person and mail, and holds no address', () => {
    for (const mail of marketing()) {
      const [, token = '', local = ''] =
        /\/u\/([\w-]+)>, <mailto:([^@]+)@/.exec(one(mail, 'list-unsubscribe')) ?? [];
      const payload = verifyToken(SECRET, 'unsubscribe', token);
      expect(payload && decodeIds(payload, 2)).toEqual([mail.subscriberId, mail.id]);
      expect(readUnsubscribeAddress(local)).toBe(token);
      expect(Buffer.from(token, 'base64url').toString('latin1')).not.toContain('example');
    }
  });

  async function verdicts({ mail }: Sent, raw = mail.raw): Promise<string[]> {
    const { results } = await dkimVerify(Buffer.from(raw), {
      resolver: async (name) => [[name === dkimRecord.name ? dkimRecord.value : '']],
    });
    return results.map(({ status }) => status.result);
  }

  it('M10: every mail is signed, the signature verifies on the bytes that arrived and covers what it must', async () => {
    for (const mail of sent) {
      expect(await verdicts(mail)).toEqual(['pass']);
      const signature = one(mail, 'dkim-signature');
      const signed = /h=([^;]*);/.exec(signature)?.[1]?.replace(/\s/g, '').split(':') ?? [];
      expect(signed.filter((name) => name === 'from')).toHaveLength(2);
      for (const name of mail.headers.keys())
        if (!/^(?:dkim-signature|x-.*|received)$/.test(name)) expect(signed).toContain(name);
      expect(signature).toMatch(/d=example\.com;/);
      expect(signature).not.toMatch(/\sl=/);
    }
    const [mail] = marketing();
    if (!mail) throw new Error('no mail');
    for (const name of ['List-Unsubscribe', 'List-Unsubscribe-Post', 'Feedback-ID', 'Subject'])
      expect(await verdicts(mail, mail.mail.raw.replace(`\r\n${name}: `, `\r\n${name}: x`))).not.toEqual([
        'pass',
      ]);
  });

  it('M11: List-Unsubscribe stands on one line, and its link is short', () => {
    for (const mail of marketing()) {
      expect(mail.mail.raw).toContain(`\r\nList-Unsubscribe: ${one(mail, 'list-unsubscribe')}\r\n`);
      const [, path = ''] = /^<https:\/\/[^/]+([^>]+)>/.exec(one(mail, 'list-unsubscribe')) ?? [];
      expect(path.length).toBeLessThan(60);
    }
  });

  it('M12: Feedback-ID has four parts, no two the same, nothing about a person, and our sender id', () => {
    for (const mail of marketing())
      expect(one(mail, 'feedback-id')).toBe('welcome:sequence:niche-ebook:springfield5');
  });

  it('M13: the return path lies below the domain of From and names the mail', () => {
    for (const { mail, id } of sent) {
      const [, local = ''] = /^(b\+[a-z2-7]+)@b\.example\.com$/.exec(mail.from) ?? [];
      expect(readVerp(SECRET, local)).toBe(id);
      expect(local.length).toBeLessThanOrEqual(64);
    }
  });

  it('M14: text and HTML, small enough, and nothing in it that mail programs take out', () => {
    for (const mail of sent) {
      expect(one(mail, 'content-type')).toMatch(/^multipart\/alternative;/);
      expect(mail.body.match(/^Content-Type: (\S+);/gm)).toEqual([
        'Content-Type: text/plain;',
        'Content-Type: text/html;',
      ]);
      expect(text(mail).trim().length).toBeGreaterThan(100);
      expect(Buffer.byteLength(html(mail))).toBeLessThan(102 * 1024);
      expect(html(mail)).not.toMatch(
        /<(?:form|script|iframe|object|embed)\b|<link[^>]*stylesheet|@import|src="data:/i,
      );
      for (const link of linksIn(html(mail))) expect(link).toMatch(/^(?:https:\/\/|mailto:|tel:)/);
      expect(html(mail)).not.toMatch(/(?:background|src)\s*=\s*["']?\s*data:|url\(\s*["']?\s*data:/i);
      // Nothing is hidden but the line that lists of mails show behind the subject.
      if (!BROUGHT.includes(mail.template)) expect(hiddenWords(html(mail))).toBe(previewWords(html(mail)));
      expect(`${html(mail)}${text(mail)}`).not.toMatch(/ws-link|\{% (?!raw)|<mj-|undefined|\[object/);
    }
  });

  it('M15: every mail shows who it is from and where they live; marketing shows the way out', async () => {
    for (const mail of sent) {
      for (const part of [html(mail), text(mail).replace(/\s+/g, ' ')]) {
        expect(part).toContain(SENDER.name);
        expect(part).toContain(SENDER.postalAddress);
        if (mail.marketing) expect(part).toContain(`${BASE_URL}/u/`);
      }
      // In the HTML it must be seen, and not only stand there.
      const shown = shownParts(html(mail));
      for (const words of [SENDER.name, SENDER.postalAddress]) expect(shown.text).toContain(words);
      if (!mail.marketing) continue;
      const { postalAddress } = SENDER;
      const unsubscribeUrl = shown.links.find(({ href }) => href.startsWith(`${BASE_URL}/u/`))?.href ?? '';
      expect(hiddenDuties(shown, { unsubscribeUrl, postalAddress })).toEqual([]);
    }
    const { id } = await plan('story', 'Nowhere', { sender: { ...SENDER, postalAddress: ' ' } });
    await t.sendDue();
    expect(await t.state(id)).toMatchObject({ state: 'rejected' });
  });

  it('M16: the confirmation sells nothing, counts nothing and belongs to no list', () => {
    for (const mail of sent.filter(({ template }) => template === 'confirm')) {
      const own = linksIn(html(mail)).filter((link) => link.startsWith(BASE_URL));
      expect(own.every((link) => link.startsWith(`${BASE_URL}/confirm/`))).toBe(true);
      expect(html(mail)).not.toMatch(/\/(?:c|o|offer)\//);
    }
  });

  it('M17: a notice says that no person wrote it; marketing and receipts do not', async () => {
    for (const mail of sent)
      expect(mail.headers.get('auto-submitted')).toEqual(
        kindOf(mail.template) === 'notice' ? ['auto-generated'] : undefined,
      );
    const notice = await send('receipt', 'Grace', { class: 'transactional', kind: 'notice' });
    expect(one(notice, 'auto-submitted')).toBe('auto-generated');
    expect(await verdicts(notice)).toEqual(['pass']);
  });

  it('M18: to a relay that is not this machine a mail goes with TLS or not at all', async () => {
    const elsewhere = await openSmtpSink({ host: '127.0.0.2' });
    const lane = new SmtpLane('default', new URL(elsewhere.url));
    const mail = {
      id: '1',
      from: 'b@example.com',
      to: 'a@example.org',
      needsSmtpUtf8: false,
      raw: Buffer.from('x'),
      tag: 'x',
    };
    expect(await lane.send(mail, async () => true)).toMatchObject({ kind: 'not_sent' });
    expect(elsewhere.bodiesBegun).toBe(0);
    lane.close();
    await elsewhere.close();
  });

  it('M19: the address for complaints stands in every mail', () => {
    for (const mail of sent) expect(one(mail, 'cfbl-address')).toBe('fbl@example.com; report=arf');
  });
});
