import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HeldService } from '../../../../src/delivery/waiting/held.service.js';
import { MailComposer } from '../../../../src/delivery/sending/mail-composer.service.js';
import { WrittenMailsService } from '../../../../src/delivery/mails/written-mails.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { JobRegistry } from '../../../../src/infra/jobs/job-registry.js';
import { enroll, insertFunnel, openPostOffice, SENDER, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const OUT = '<a href="{{ unsubscribeUrl }}">Unsubscribe</a>';
const WHERE = '{{ sender.name }}, {{ sender.postalAddress }}';
const DAY_MS = 86_400_000;
const HELD = 'its reader could not see the link to unsubscribe';

describe('a marketing mail that hides its way out or where its sender is', () => {
  let t: PostOffice;
  let folder: string;
  let nth = 0;
  beforeAll(async () => {
    [t, folder] = await Promise.all([openPostOffice(), mkdtemp(join(tmpdir(), 'wellspring-duties-'))]);
    await mkdir(join(folder, 'emails'));
  });
  beforeEach(async () => empty(t.db, 'message, message_attempt, alert'));
  afterAll(async () => {
    await t.close();
    await rm(folder, { recursive: true });
  });

  /** A version with this in its body. `before`: it was made before such a mail was refused. */
  const version = async (body: string, { before = false, head = '' } = {}): Promise<string> => {
    const key = `emails/letter-${++nth}`;
    await writeFile(
      join(folder, `${key}.mjml`),
      `<mjml><mj-head><mj-title>Hello</mj-title>${head}</mj-head><mj-body><mj-section><mj-column><mj-text>
A letter of some words for {{ subscriber.firstName | default: 'you' }}.
${body}
</mj-text></mj-column></mj-section></mj-body></mjml>`,
    );
    const id = await t.templates.publish(t.db.manager, key, null, folder);
    if (before) await t.db.query('update email_template set is_judged = false where id = $1', [id]);
    return id;
  };
  const reader = async (fields: object): Promise<string> => {
    const id = await t.subscriber(`reader${++nth}@example.org`, { name: 'Grace' });
    await t.db.query('update subscriber set fields = $2 where id = $1', [id, JSON.stringify(fields)]);
    return id;
  };
  const send = async (templateId: string, fields: object = {}): Promise<Record<string, unknown>> => {
    const subscriberId = await reader(fields);
    const id = await t.plan(`to${++nth}@example.org`, { templateId, subscriberId });
    await t.sendDue();
    return { ...(await t.state(id)), subscriberId };
  };
  const apply = async (sequence: string, nodes: object[]): Promise<void> => {
    await t.db.query(
      `with v as (update sequence_version v set definition = $2 from sequence q where q.id = v.sequence_id and q.key = $1
         returning v.id, v.sequence_id)
       update sequence q set current_version_id = v.id from v where q.id = v.sequence_id`,
      [sequence, JSON.stringify({ nodes })],
    );
  };
  const alerts = async (): Promise<string[]> =>
    (await t.app.get(AlertsService, { strict: false }).open()).map(({ message }) => message);

  const reap = async (): Promise<void> => {
    const job = t.app.get(JobRegistry, { strict: false }).get('delivery.reap');
    await job?.run({ deadline: Number.MAX_SAFE_INTEGER, signal: new AbortController().signal });
  };

  it.each([
    [
      'with its colour',
      `<p style="color:{{ subscriber.fields.ink | default: '#333' }}">${OUT} ${WHERE}</p>`,
      'white',
    ],
    ['in a class', `<p class="{{ subscriber.fields.ink }}">${OUT} ${WHERE}</p>`, 'away'],
    [
      'in a branch',
      `{% if subscriber.fields.ink %}<p style="display:none">${OUT}</p>{% else %}${OUT}{% endif %} ${WHERE}`,
      'x',
    ],
    [
      'in an element that a branch opens',
      `<div {% if subscriber.fields.ink %}style="display:none"{% endif %}>${OUT}</div> ${WHERE}`,
      'x',
    ],
    [
      'in a comment that comes from HTML of theirs',
      `{{ subscriber.fields.ink | raw }} ${OUT} ${WHERE}`,
      '<!--',
    ],
  ])('is held for the reader whose value does so, %s, and goes to all others', async (_, body, ink) => {
    const templateId = await version(body, { head: '<mj-style>.away { display: none }</mj-style>' });
    expect(await send(templateId)).toMatchObject({ state: 'accepted' });
    expect(await send(templateId, { ink })).toMatchObject({
      state: 'held',
      reason: expect.stringMatching(/^its reader could not see the /),
      attempt: 0,
    });
    expect(await send(templateId, { other: 'x' })).toMatchObject({ state: 'accepted' });
  });

  it('was lost for good to the reader whose value does so: it goes once that, or its step, is mended', async () => {
    const templateId = await version(`<p style="color:{{ subscriber.fields.ink }}">${OUT} ${WHERE}</p>`);
    t.clock.advance(DAY_MS);
    const [ada, grace] = [await reader({ ink: 'white' }), await reader({ ink: '#fff' })];
    await insertFunnel(t.db, 'niche-ebook');
    const enrollmentId = await enroll(t.db, grace, 'niche-ebook');
    const own = await t.plan('ada@example.org', { templateId, subscriberId: ada });
    const ofStep = await t.plan('grace@example.org', { templateId, subscriberId: grace, enrollmentId });
    await t.sendDue();
    for (const id of [own, ofStep]) expect(await t.state(id)).toMatchObject({ state: 'held', reason: HELD });
    expect(await alerts()).toEqual([
      'The mail "welcome" of niche-ebook cannot be made for some readers: readers cannot see the link to unsubscribe: its colour is that of what is behind it. Their mails are held: mend it, or what they have, and send them on the page Sending.',
    ]);
    t.clock.advance(3 * DAY_MS);
    await reap();
    expect(await alerts()).toHaveLength(1);

    const held = t.app.get(HeldService, { strict: false });
    expect(await held.release({ reason: HELD })).toBe(2);
    await t.sendDue();
    for (const id of [own, ofStep]) expect(await t.state(id)).toMatchObject({ state: 'held', reason: HELD });

    await t.db.query(`update subscriber set fields = '{}' where id = $1`, [ada]);
    const mended = await version(`<p>Mended. ${OUT} ${WHERE}</p>`);
    const nodes = [{ key: 'other' }, { key: 'welcome', templateId: mended }];
    await apply('niche-ebook', nodes);
    expect(await held.release({ reason: HELD })).toBe(2);
    await t.sendDue();
    for (const id of [own, ofStep]) expect(await t.state(id)).toMatchObject({ state: 'accepted' });
    const sent = t.sink.mails.slice(-2).map(({ parsed }) => String(parsed.html).includes('Mended.'));
    expect(new Set(sent)).toEqual(new Set([true, false]));
    t.clock.advance(3 * DAY_MS);
    await reap();
    expect(await alerts()).toEqual([]);
  });

  it('kept the warnings of all other steps open: each ends when none of its own mails waits for its owner', async () => {
    const templateId = await version(`<p style="color:{{ subscriber.fields.ink }}">${OUT} ${WHERE}</p>`);
    t.clock.advance(DAY_MS);
    const of = async (stepKey: string): Promise<string> =>
      t.plan(`${stepKey}@example.org`, { templateId, stepKey, subscriberId: await reader({ ink: 'white' }) });
    const [first] = [await of('first'), await of('second')];
    await t.sendDue();
    expect(await alerts()).toHaveLength(2);
    await t.db.query(`update message set state = 'cancelled' where id = $1`, [first]);
    t.clock.advance(3 * DAY_MS);
    await reap();
    expect(await alerts()).toEqual([expect.stringContaining('The mail "second" of niche-ebook')]);
  });

  it('was held again for ever where the mails of its step are tested: each reader gets the mended mail of their arm', async () => {
    const hidden = await version(`<p style="color:{{ subscriber.fields.ink }}">${OUT} ${WHERE}</p>`);
    t.clock.advance(DAY_MS);
    await insertFunnel(t.db, 'guide');
    const tests: { id: string }[] = await t.db.query(
      `insert into experiment (key, test, funnel_key, step_key, terms, started_at, verdict, decided_at)
       values ('guide/welcome/1', 'guide/welcome', 'guide', 'welcome', '{}', now(), '{"kind": "stopped", "arm": "b"}', now()),
         ('guide/welcome/2', 'guide/welcome', 'guide', 'welcome', '{}', now(), null, null) returning id`,
    );
    const to = ['a', 'b', 'gone', null].map((arm) => ({ arm, address: `${arm ?? 'decided'}@example.org` }));
    for (const { arm, address } of to) {
      const subscriberId = await reader({ ink: 'white' });
      const enrollmentId = await enroll(t.db, subscriberId, 'guide');
      if (arm !== null)
        await t.db.query(
          `insert into experiment_assignment (experiment_id, subscriber_id, arm, period, enrollment_id, carried, assigned_at)
           values ($1, $2, $3, 0, $4, false, now())`,
          [tests[0]?.id, subscriberId, arm, enrollmentId],
        );
      await t.plan(address, { templateId: hidden, funnelKey: 'guide', subscriberId, enrollmentId });
    }
    expect(await t.sendDue()).toBe(0);

    const words = async (of: string): Promise<string> => version(`<p>Mended ${of}. ${OUT} ${WHERE}</p>`);
    const [step, a, b] = [await words('step'), await words('a'), await words('b')];
    const arms = [
      { key: 'a', templateId: a },
      { key: 'b', templateId: b },
    ];
    await apply('guide', [{ key: 'welcome', templateId: step, split: { arms } }]);
    expect(await t.app.get(HeldService, { strict: false }).release({ reason: HELD })).toBe(4);
    expect(await t.sendDue()).toBe(4);
    const got = to.map(({ address }) => t.sink.mails.find((mail) => mail.to.includes(address))?.parsed.html);
    expect(got.map((html) => /Mended (\w+)/.exec(String(html))?.[1])).toEqual(['a', 'b', 'step', 'b']);
  });

  it('was one to try again where the warning could not be written: it is held at once, and the next is told of 5 seconds later', async () => {
    const templateId = await version(`<p style="color:{{ subscriber.fields.ink }}">${OUT} ${WHERE}</p>`);
    t.clock.advance(DAY_MS);
    const held = { state: 'held', reason: HELD, attempt: 0 };
    await t.plan('ada@example.org', { templateId, subscriberId: await reader({ ink: 'white' }) });
    const [message] = (await t.claim('worker', 1)).messages;
    if (message === undefined) throw new Error('nothing was claimed');
    await t.db.query('alter table alert rename to alert_away');
    try {
      const composer = t.app.get(MailComposer, { strict: false });
      await expect(composer.compose(message)).rejects.toMatchObject({ heldFor: HELD });
      expect(await send(templateId, { ink: 'white' })).toMatchObject(held);
    } finally {
      await t.db.query('alter table alert_away rename to alert');
    }
    t.clock.advance(5_000);
    expect(await send(templateId, { ink: 'white' })).toMatchObject(held);
    expect(await alerts()).toHaveLength(1);
  });

  it('went on unseen for ever under the same words that are published anew: now those are judged, and what runs goes on', async () => {
    const body = `<p style="color:{{ subscriber.fields.ink }}">${OUT} ${WHERE}</p>`;
    const runs = await version(body);
    const key = `emails/letter-${nth}`;
    // As it was stored before such mails were judged, and is by a worker of then.
    await t.db.query(
      `update email_template set is_judged = false, content_hash = sha256(convert_to(subject, 'UTF8') || '\\x00' || convert_to(html, 'UTF8') || '\\x00' || convert_to(body_text, 'UTF8')) where id = $1`,
      [runs],
    );
    const anew = await t.templates.publish(t.db.manager, key, null, folder);
    expect(await send(anew, { ink: 'white' })).toMatchObject({ state: 'held', reason: HELD });
    expect(await send(runs, { ink: 'white' })).toMatchObject({ state: 'accepted' });
    expect(await t.templates.publish(t.db.manager, key, null, folder)).toBe(anew);
  });

  it('was told of to nobody for a minute where the warning could not be written once: now it is told 5 seconds later', async () => {
    const templateId = await version(`<p>${WHERE}</p><p style="font-size:0">${OUT}</p>`, { before: true });
    await t.db.query('alter table alert rename to alert_away');
    try {
      for (const _ of [1, 2]) expect(await send(templateId)).toMatchObject({ state: 'accepted', attempt: 1 });
    } finally {
      await t.db.query('alter table alert_away rename to alert');
    }
    t.clock.advance(5_000);
    expect(await send(templateId)).toMatchObject({ state: 'accepted' });
    expect(await alerts()).toHaveLength(1);
  });

  it('goes on where it ran before that was refused, and its owner reads once which mail, and in which line', async () => {
    const hidden = await version(`<p>${WHERE}</p>\n<p style="font-size:0">${OUT}</p>`, { before: true });
    for (const _ of [1, 2, 3]) expect(await send(hidden)).toMatchObject({ state: 'accepted' });
    expect(await alerts()).toEqual([
      `templates/emails/letter-${nth - 6}.mjml:4: readers cannot see the link to unsubscribe: its letters are 0 pixels high. The mail goes out all the same, as it ran before this was refused; show it, and apply the funnel or start the broadcast again with it.`,
    ]);
    t.clock.advance(3 * DAY_MS);
    await reap();
    expect(await alerts()).toEqual([]);
  });

  it('is no mail that shows both, whatever stands beside it', async () => {
    for (const body of [
      `<p>${OUT} ${WHERE}</p>`,
      `<p style="display:none">${OUT}</p><p>${OUT} ${SENDER.postalAddress}</p>`,
      `{% if subscriber.fields.vip %}<b>VIP</b>{% endif %}<p>${OUT}<br>${WHERE}</p>`,
    ])
      expect(await send(await version(body, { before: true }))).toMatchObject({ state: 'accepted' });
    expect(await alerts()).toEqual([]);
  });

  it('is refused when it is written in the web app', async () => {
    const mails = t.app.get(WrittenMailsService, { strict: false });
    const words = { subject: 'News', preview: 'A line', body: "Hello\n\n{{ '<!--' | raw }} there" };
    await expect(mails.create('news', words)).rejects.toMatchObject({
      code: 'TEMPLATE_INVALID',
      message: 'readers cannot see the link to unsubscribe: it stands in a comment, or is no link',
    });
    const id = await mails.create('news', { ...words, body: 'Hello' });
    await expect(mails.update(id, words)).rejects.toMatchObject({ code: 'TEMPLATE_INVALID' });
  });

  it('is a mail with a link that leads nowhere for some: it goes without, and its owner reads where to mend it', async () => {
    const templateId = await version(`<a href="{{ subscriber.fields.site }}">your page</a> ${OUT} ${WHERE}`);
    const number = nth;
    expect(await send(templateId, { site: 'https://x.test/' })).toMatchObject({ state: 'accepted' });
    expect(t.sink.mails.at(-1)?.parsed.html).toMatch(/<a href="https:\/\/[^"]+">your page/);
    expect(await alerts()).toEqual([]);
    const { state, subscriberId } = await send(templateId, { site: 'javascript:alert(1)' });
    expect(state).toBe('accepted');
    const html = t.sink.mails.at(-1)?.parsed.html ?? '';
    expect(html).toContain('your page');
    expect(html).not.toMatch(/javascript|href=""/);
    expect(await alerts()).toEqual([
      `templates/emails/letter-${number}.mjml:3: the link {{ subscriber.fields.site }} leads to no page for some readers, subscriber ${String(subscriberId)} among them: its words stand in their mails without a link. Put what they have right, or give it a default.`,
    ]);
  });
});
