import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdminModule } from '../../../../src/admin/admin.module.js';
import { SENDER, seedTemplate } from '../../../support/mail-seed.js';
import { ownerPages } from '../../../support/owner-pages.js';
import { OPENED_AT, openShop, type Shop } from '../../orders/shop.js';

describe('the page Bounces', () => {
  let shop: Shop;
  let cookie = '';
  beforeAll(async () => {
    shop = await openShop({ modules: [AdminModule], env: { BASE_URL: 'http://localhost:3000' } });
    ({ cookie } = await ownerPages(shop));
  });
  afterAll(async () => shop.close());

  const page = async (query = ''): Promise<string> =>
    (await shop.http.get(`/admin/bounces${query}`).set('Cookie', cookie).expect(200)).text;

  it('is for the owner', async () => {
    expect((await shop.http.get('/admin/bounces')).headers['location']).toMatch(/^\/admin\/login/);
  });

  it('is reached from the page Sending', async () => {
    const { text } = await shop.http.get('/admin/sending').set('Cookie', cookie).expect(200);
    expect(text).toContain('href="/admin/bounces"');
  });

  it('says that nothing came back', async () => {
    expect(await page()).toContain('Nothing came back.');
  });

  it('shows what came back, what it did and what the server said, with every text escaped', async () => {
    await shop.db.query(
      `insert into bounce (dedupe_key, verdict, reason, source, trusted, received_at, diagnostic) values
         ('1', 'hard', 'user_unknown', 'smtp', true, $1, '550 <script>alert(1)</script> no such user'),
         ('2', 'sender', 'auth_failure', 'ses', true, $1, '550 5.7.26'),
         ('3', 'complaint', 'abuse', 'imap', false, $1, null)`,
      [OPENED_AT],
    );
    const html = await page();
    for (const text of [
      'no such user',
      'dead address',
      '&lt;script&gt;alert(1)',
      'from Amazon SES',
      'SPF, DKIM or DMARC failed',
      'proves nothing',
      'aria-current="page">Sending',
    ])
      expect(html).toContain(text);
    expect(html).not.toContain('<script>');
  });

  it('names people by their address, broadcasts by their title and a complaint in words: it said “subscriber 302” and “abuse”', async () => {
    const words = { subject: 'News', html: '<p>News</p>', text: 'News', source: 'News' };
    const templateId = await seedTemplate(shop.db.manager, words);
    await shop.db.query(
      `with s as (insert into subscriber (email, email_key, status, created_at, updated_at)
           values ('ann@example.com', 'ann@example.com', 'complained', $1, $1) returning id),
         b as (insert into broadcast (title, email_template_id, audience, sender, topic_key, created_at)
           values ('November <news>', $2, '{"everybody": true}', $3, 'news', $1) returning id)
       insert into bounce (dedupe_key, verdict, reason, source, trusted, received_at, subscriber_id, broadcast_id)
       select 'named', 'complaint', 'abuse', 'postmark', true, $1, s.id, b.id from s, b`,
      [OPENED_AT, templateId, JSON.stringify(SENDER)],
    );
    const html = await page('?verdict=complaint');
    for (const text of ['ann@example.com', 'November &lt;news&gt;', 'marked as spam'])
      expect(html).toContain(text);
  });

  it('says of a report about the sender that may be forged that it has stopped nothing: it was shown as any other', async () => {
    await shop.db.query(
      `with m as (insert into message (dedupe_key, class, kind, email_template_id, sender, address, address_hash, message_id_header,
           state, due_at, created_at)
         select 'doubted', 'marketing', 'broadcast', max(id), '{}', 'bob@example.com', '\\x00', '<d@example.com>', 'accepted', $1, $1
         from email_template returning id)
       insert into bounce (dedupe_key, verdict, reason, source, trusted, received_at, message_id)
       select 'doubted', 'sender', 'auth_failure', 'smtp', false, $1, m.id from m`,
      [OPENED_AT],
    );
    const html = await page('?verdict=sender');
    expect(html).toContain('may be forged: about the sender it counts only with those of many other readers');
    expect(html).toContain('no effect');
  });

  it('shows those of one kind, page by page', async () => {
    await shop.db.query(
      `insert into bounce (dedupe_key, verdict, reason, source, trusted, received_at, diagnostic)
       select 'many:' || n, 'soft', 'mailbox_full', 'smtp', true, $1, 'full number ' || n || '.' from generate_series(1, 60) n`,
      [OPENED_AT],
    );
    const first = await page('?verdict=soft');
    expect(first).toContain('full number 60.');
    expect(first).not.toContain('full number 10.');
    expect(first).not.toContain('dead address</span>');
    const next = /href="\/admin\/bounces(\?verdict=soft&amp;cursor=[^"]+)"/.exec(first)?.[1] ?? '';
    expect(await page(next.replaceAll('&amp;', '&'))).toContain('full number 10.');
    expect(await page('?verdict=hard')).toContain('dead address</span>');
    expect(await page('?verdict=deadly&cursor=x')).toContain('full number 60.');
  });
});
