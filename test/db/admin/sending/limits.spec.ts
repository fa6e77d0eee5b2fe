import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdminModule } from '../../../../src/admin/admin.module.js';
import { SendingSettingsService } from '../../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../../src/delivery/pacing/sending.schemas.js';
import { openShop, type Shop } from '../../orders/shop.js';
import { ownerPages } from '../../../support/owner-pages.js';

describe('the form of the limits', () => {
  let shop: Shop;
  let cookie = '';
  let settings: SendingSettingsService;
  beforeAll(async () => {
    shop = await openShop({ modules: [AdminModule], env: { BASE_URL: 'http://localhost:3000' } });
    settings = shop.app.get(SendingSettingsService, { strict: false });
    ({ cookie } = await ownerPages(shop));
  });
  afterAll(async () => shop.close());

  const get = async (path = '/admin/sending/limits'): Promise<string> =>
    (await shop.http.get(path).set('Cookie', cookie).expect(200)).text;
  const post = (form: Record<string, string>) =>
    shop.http.post('/admin/sending/limits').set('Cookie', cookie).type('form').send(form);
  const LATE = { 'overdue.policy': 'ask', 'overdue.afterHours': '24' };

  it('is for the owner, from their own page', async () => {
    expect((await shop.http.get('/admin/sending/limits')).headers['location']).toMatch(/^\/admin\/login/);
    await shop.http.post('/admin/sending/limits').type('form').send(LATE).expect(303);
    await post(LATE).set('Origin', 'https://evil.example').expect(403);
    expect(await get('/admin/sending')).toContain('href="/admin/sending/limits"');
  });

  it('sets limits, quota and warm-up, and shows them filled in; a burst set elsewhere stays', async () => {
    await settings.replace(
      sendingSettings.parse({
        global: { perSecond: 5, burst: 40 },
        senders: { 'old.example.com': { perDay: 9 } },
      }),
    );
    const { headers } = await post({
      ...LATE,
      'global.perSecond': ' 2,5 ',
      'global.perDay': '5000',
      'groups.gmail.perSecond': '1',
      'senders.0.domain': 'news.example.com',
      'senders.0.perDay': '800',
      'senders.0.startedOn': '2026-03-01',
      'senders.1.domain': '',
      'senders.1.perDay': '',
      'overdue.policy': 'skip',
      'overdue.afterHours': '48',
    }).expect(303);
    expect(headers['location']).toBe('/admin/sending#limits');
    expect(await settings.read()).toEqual({
      global: { perSecond: 2.5, burst: 40, perDay: 5000 },
      groups: { gmail: { perSecond: 1 } },
      senders: { 'news.example.com': { perDay: 800, warmUp: { startedOn: '2026-03-01' } } },
      overdue: { policy: 'skip', afterHours: 48 },
    });
    const html = await get();
    for (const filled of [
      'name="global.perSecond" value="2.5"',
      'name="senders.0.domain" value="news.example.com"',
      'name="senders.0.startedOn" value="2026-03-01"',
      'name="senders.1.domain" value=""',
      'value="skip" checked',
    ])
      expect(html).toContain(filled);
  });

  it.each<[string, Record<string, string>, string]>([
    ['a pace that is no number', { 'global.perSecond': 'fast' }, 'global.perSecond'],
    ['a pace below zero', { 'global.perSecond': '-1' }, 'global.perSecond'],
    ['half a mail a day', { 'groups.yahoo.perDay': '0.5' }, 'groups.yahoo.perDay'],
    ['too much', { 'groups.other.perSecond': '100001' }, 'groups.other.perSecond'],
    [
      'a domain that is none',
      { 'senders.0.domain': 'no domain', 'senders.0.perDay': '5' },
      'senders.0.domain',
    ],
    ['limits of nobody', { 'senders.0.domain': '', 'senders.0.perDay': '5' }, 'senders.0.domain'],
    [
      'a domain twice',
      { 'senders.0.domain': 'example.com', 'senders.1.domain': 'example.com', 'senders.1.perDay': '5' },
      'senders.1.domain',
    ],
    [
      'a day that is none',
      { 'senders.0.domain': 'example.com', 'senders.0.startedOn': 'soon' },
      'senders.0.startedOn',
    ],
    ['hours beyond a month', { 'overdue.afterHours': '721' }, 'overdue.afterHours'],
    ['no decision about late mails', { 'overdue.policy': 'maybe' }, 'overdue.policy'],
  ])('refuses %s, names the field, keeps what was typed and changes nothing', async (_, wrong, field) => {
    const before = await settings.read();
    const typed = { ...LATE, 'global.perDay': '77', 'senders.0.domain': '', ...wrong };
    const { text } = await post(typed).expect(422);
    expect(text).toContain(`href="#${field}"`);
    if (field !== 'overdue.policy') {
      expect(text).toContain(`id="${field}-error"`);
      expect(text).toMatch(
        new RegExp(`name="${field}" value="${wrong[field] ?? ''}"[^>]*aria-invalid="true"`),
      );
    }
    expect(text).toContain('name="global.perDay" value="77"');
    expect(await settings.read()).toEqual(before);
  });

  it('says above the form which field each message is about', async () => {
    const { text } = await post({
      ...LATE,
      'groups.gmail.perDay': '-5',
      'senders.0.domain': 'example.com',
      'senders.0.perSecond': 'x',
    }).expect(422);
    expect(text).toContain('To Gmail, mails a day: Use a whole number');
    expect(text).toContain('From example.com, mails a second: Use a number');
  });

  it('escapes what was typed', async () => {
    const { text } = await post({ ...LATE, 'global.perSecond': '"><script>alert(1)</script>' }).expect(422);
    expect(text).not.toContain('<script>alert');
  });

  it('takes limits away that are emptied', async () => {
    await post(LATE).expect(303);
    expect(await settings.read()).toMatchObject({ groups: {}, senders: {} });
    expect(await shop.db.query('select key from send_bucket')).toEqual([]);
  });
});
