import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlannedMessage } from '../../../../src/delivery/message/message.js';
import { readClickToken, readOpenToken } from '../../../../src/tracking/tracking-token.js';
import { decodeIds, verifyToken } from '../../../../src/values/signed-token.js';
import type { SunkMail } from '../../../support/smtp-sink.js';
import { dataWith } from '../mail-data.js';
import { BASE_URL, openPostOffice, SECRET, type PostOffice } from '../post-office.js';

const DOWNLOAD = { url: 'https://files.example.com/guide.pdf?a=1&b=2' };
const DATA = { ...dataWith('Kit'), download: DOWNLOAD };

describe('a mail as the relay gets it', () => {
  let t: PostOffice;
  let count = 0;
  beforeAll(async () => {
    t = await openPostOffice();
    await t.db.query(
      `insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
       values ('niche-ebook', '75 niches', '{}', '', 1, now(), now())`,
    );
  });
  afterAll(async () => t.close());

  async function send(
    template: string,
    change: Partial<PlannedMessage> = {},
    person: { name?: string; tracking?: boolean } = {},
  ): Promise<{ id: string; subscriberId: string; mail: SunkMail; html: string }> {
    const email = `reader${count++}@example.com`;
    const subscriberId = await t.subscriber(email, person.name === undefined ? {} : { name: person.name });
    if (person.tracking === false)
      await t.db.query('update subscriber set tracking_consent = false where id = $1', [subscriberId]);
    const templateId = await t.templates.publish(t.db.manager, template);
    const id = await t.plan(email, { subscriberId, templateId, data: DATA, ...change });
    await t.sendDue();
    const mail = t.sink.mails.at(-1);
    if (mail?.to[0] !== email) throw new Error(`not sent: ${JSON.stringify(await t.state(id))}`);
    return { id, subscriberId, mail, html: mail.parsed.html ?? '' };
  }
  const header = ({ parsed }: SunkMail, name: string): string[] =>
    parsed.headers.filter(({ key }) => key === name).map(({ value }) => value);
  const links = (html: string, path: string): string[] =>
    [...html.matchAll(/(?:href|src)="([^"]+)"/g)]
      .map(([, url = '']) => url.replaceAll('&amp;', '&'))
      .filter((url) => url.startsWith(`${BASE_URL}/${path}/`));
  const token = (url: string | undefined): string => (url ?? '').split('/').at(-1)?.replace('.gif', '') ?? '';

  it.each(['welcome', 'story', 'nudge', 'deep-dive', 'offer', 'confirm', 'receipt'])(
    'is complete and within the limits of SMTP: %s',
    async (name) => {
      const transactional = name === 'confirm' || name === 'receipt';
      const { mail, html } = await send(
        `emails/${name}`,
        transactional ? { class: 'transactional', kind: 'receipt' } : {},
      );
      for (const one of ['from', 'to', 'date', 'message-id', 'subject', 'mime-version'])
        expect(header(mail, one)).toHaveLength(1);
      expect(mail.raw.split('\r\n').every((line) => Buffer.byteLength(line) <= 998)).toBe(true);
      expect(mail.raw.replaceAll('\r\n', '')).not.toMatch(/[\r\n\0]/);
      expect(mail.parsed.text?.length).toBeGreaterThan(100);
      expect(mail.parsed.subject).toBeTruthy();
      for (const part of [html, mail.parsed.text ?? '', mail.parsed.subject ?? ''])
        expect(part).not.toMatch(/\{\{|\{%|ws-link|undefined|mj-include/);
      expect(html.length).toBeLessThan(102_000);
      expect(mail.parsed.text).toContain('12 Mill Lane, Springfield');
    },
  );

  it('is dated by the day on which it leaves when it has had to wait, under the Message-ID it was planned with', async () => {
    const days = 86_400_000;
    const planned = t.clock.now();
    const id = await t.plan('warm-up@example.com', {
      data: DATA,
      dueAt: new Date(planned.getTime() + 11 * days),
    });
    t.clock.advance(11 * days);
    expect(await t.sendDue()).toBe(1);
    const mail = t.sink.mails.at(-1);
    expect(new Date(mail?.parsed.date ?? '')).toEqual(t.clock.now());
    expect(await t.db.query('select message_id_header as header from message where id = $1', [id])).toEqual([
      { header: mail?.parsed.messageId },
    ]);
    t.clock.set(planned);
  });

  it('carries one-click unsubscribe, list and feedback headers when it is marketing', async () => {
    const { mail, id, subscriberId } = await send('emails/story');
    const [url = ''] = header(mail, 'list-unsubscribe');
    expect(url).toMatch(/^<https:\/\/mail\.example\.com\/u\/[\w-]+>$/);
    expect(mail.raw).toContain(`\r\nList-Unsubscribe: ${url}\r\n`);
    const payload = verifyToken(SECRET, 'unsubscribe', token(url.slice(1, -1)));
    expect(payload && decodeIds(payload, 2)).toEqual([subscriberId, id]);
    expect(header(mail, 'list-unsubscribe-post')).toEqual(['List-Unsubscribe=One-Click']);
    expect(header(mail, 'list-id')).toEqual(['<niche-ebook.example.com>']);
    expect(header(mail, 'feedback-id')).toEqual(['welcome:sequence:niche-ebook:wellspring']);
  });

  it('carries none of them, no pixel and no tracked link when it is transactional', async () => {
    const { mail, html } = await send('emails/confirm', { class: 'transactional', kind: 'confirmation' });
    for (const name of ['list-unsubscribe', 'list-unsubscribe-post', 'list-id', 'feedback-id'])
      expect(header(mail, name)).toEqual([]);
    expect(links(html, 'c')).toEqual([]);
    expect(links(html, 'o')).toEqual([]);
    expect(links(html, 'confirm')).toHaveLength(2);
  });

  it('leads each link through a signed click token to the address a person would have got', async () => {
    const { html, id } = await send('emails/welcome');
    const targets = links(html, 'c').map((url) => readClickToken(SECRET, token(url)));
    expect(targets).toContainEqual({ messageId: id, linkId: expect.any(String), url: DOWNLOAD.url });
    expect(links(html, 'o').map((url) => readOpenToken(SECRET, token(url)))).toEqual([id]);
    expect(links(html, 'u')).toHaveLength(1);
    expect(links(html, 'preferences')).toHaveLength(1);
  });

  it.each([`https://files.example.com/${'long/'.repeat(200)}`, 'https://reader@files.example.com/'])(
    'leaves a personal link whose redirect would be refused as it is, instead of breaking it',
    async (url) => {
      const { html } = await send('emails/welcome', {
        data: { ...DATA, download: { ...DOWNLOAD, url } },
      });
      expect(html).toContain(`href="${url}"`);
    },
  );

  it('keeps a link that is the same for everybody out of the token and in the table, unescaped', async () => {
    const { html } = await send('emails/story');
    const targets = links(html, 'c').map((url) => readClickToken(SECRET, token(url)));
    expect(targets.length).toBeGreaterThan(0);
    const fixed = targets.filter((target) => target?.url === null).map((target) => target?.linkId);
    const rows: { url: string }[] = await t.db.query(
      'select url_template as url from link where id = any($1::bigint[])',
      [fixed],
    );
    for (const { url } of rows) expect(url).not.toMatch(/&amp;|\{\{/);
    expect(rows.length).toBe(new Set(fixed).size);
  });

  it('has untouched links and no pixel for a reader who does not want to be tracked', async () => {
    const { html } = await send('emails/welcome', {}, { tracking: false });
    expect(links(html, 'c')).toEqual([]);
    expect(links(html, 'o')).toEqual([]);
    expect(html).toContain('href="https://files.example.com/guide.pdf?a=1&amp;b=2"');
  });

  it('makes the offer link personal by the message alone', async () => {
    const { html, id } = await send('emails/offer');
    const target = links(html, 'c')
      .map((url) => readClickToken(SECRET, token(url))?.url ?? '')
      .find((url) => url.startsWith(`${BASE_URL}/offer/kit?m=`));
    expect(t.messages.messageFromToken(target?.split('m=')[1] ?? '')).toBe(id);
  });

  it('shows what a subscriber typed as text and never reads it as a template', async () => {
    const name = '<b>{{ sender.email }}</b>&';
    const { html, mail } = await send('emails/welcome', {}, { name });
    expect(html).toContain('&lt;b&gt;{{');
    expect(html).not.toContain('<b>{{');
    expect(mail.parsed.text).toContain('<b>{{');
  });

  it('sends to one recipient whatever the name tries', async () => {
    const { mail } = await send(
      'emails/welcome',
      {},
      { name: 'Eve <evil@example.net>, b@example.net\r\nBcc: c@example.net' },
    );
    expect(mail.to).toHaveLength(1);
    expect(header(mail, 'bcc')).toEqual([]);
    expect(mail.parsed.to).toHaveLength(1);
  });

  it('is the same version of the template for the same source', async () => {
    const ids = [
      await t.templates.publish(t.db.manager, 'emails/story'),
      await t.templates.publish(t.db.manager, 'emails/story'),
    ];
    expect(new Set(ids).size).toBe(1);
  });
});
