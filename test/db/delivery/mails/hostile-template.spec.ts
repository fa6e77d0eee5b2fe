import { afterAll, beforeAll, expect, it } from 'vitest';
import { PreflightService } from '../../../../src/delivery/preflight/preflight.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { JobRegistry } from '../../../../src/infra/jobs/job-registry.js';
import { seedTemplate } from '../../../support/mail-seed.js';
import { openPostOffice, SENDER, type PostOffice } from '../post-office.js';
import { empty } from '../../../support/database.js';

const FOOT = '{{ sender.postalAddress }} <a href="{{ unsubscribeUrl }}">out</a>';
const LOOP = '{% for i in (1..1000) %}';
/** Each number of a range counts as memory: without work for each, a fast machine runs into that limit first. */
const WORK = '{% if i == 0 %}{% endif %}'.repeat(40);
const ENDLESS = LOOP.repeat(6) + WORK + '{% endfor %}'.repeat(6);

let t: PostOffice;
beforeAll(async () => {
  t = await openPostOffice();
});
afterAll(async () => t.close());

const template = (body: string) => {
  const html = `<html><body><p>\n${body}</p>${FOOT}</body></html>`;
  return { subject: 'Hello', html, text: `Hello, a letter of some words. ${FOOT}`, source: html };
};

it('a mail that never ends is put off, and the sender goes on with the others', async () => {
  const endless = await seedTemplate(t.db.manager, template(ENDLESS));
  const good = await seedTemplate(t.db.manager, template('Hi'));
  const stuck = await t.plan('stuck@example.org', { templateId: endless });
  for (const name of ['ada', 'grace', 'joan']) await t.plan(`${name}@example.org`, { templateId: good });
  expect(await t.sendDue()).toBe(3);
  expect(t.sink.mails.flatMap(({ to }) => to).toSorted()).toEqual([
    'ada@example.org',
    'grace@example.org',
    'joan@example.org',
  ]);
  expect(await t.state(stuck)).toMatchObject({
    state: 'ready',
    attempt: 1,
    reason: expect.stringContaining('render limit exceeded'),
  });
});

it('a mail that a value of its reader breaks is told to the owner, and is not called too late in the end', async () => {
  const length = '{% for i in (1..subscriber.fields.lines) %}{{ i }}{% endfor %}';
  const templateId = await seedTemplate(t.db.manager, template(`${length} Hi`));
  const rows: { id: string }[] = await t.db.query(
    `insert into subscriber (email, email_key, status, fields, created_at, updated_at)
     values ('long@example.org', 'long@example.org', 'active', '{"lines": 99999999}', $1, $1) returning id`,
    [t.clock.now()],
  );
  await empty(t.db, 'message, message_attempt');
  t.clock.advance(120_000);
  const id = await t.plan('long@example.org', { templateId, subscriberId: rows[0]?.id ?? '' });
  expect(await t.sendDue()).toBe(0);
  const alerts = t.app.get(AlertsService, { strict: false });
  const open = async (): Promise<string[]> => (await alerts.open()).map(({ message }) => message);
  // Once may be the machine's load.
  expect(await open()).toEqual([]);
  t.clock.advance(12 * 3_600_000);
  expect(await t.sendDue()).toBe(0);
  expect(await open()).toEqual([
    expect.stringMatching(/^The mail "welcome" of niche-ebook cannot be made for some readers: .*limit/),
  ]);
  for (let attempt = 1; (await t.state(id))['state'] === 'ready' && attempt < 12; attempt++) {
    t.clock.advance(12 * 3_600_000);
    await t.sendDue();
  }
  expect(await t.state(id)).toMatchObject({ state: 'rejected', reason: expect.stringContaining('limit') });
  t.clock.advance(3 * 86_400_000);
  const job = t.app.get(JobRegistry, { strict: false }).get('delivery.reap');
  await job?.run({ deadline: Number.MAX_SAFE_INTEGER, signal: new AbortController().signal });
  expect(await open()).toEqual([]);
});

it('is found by the preflight, which names its line', async () => {
  const report = await t.app
    .get(PreflightService, { strict: false })
    .checkCompiled(template(ENDLESS), { template: 'emails/draft', sender: SENDER, funnelTitle: 'x' });
  expect(report).toMatchObject({
    ok: false,
    findings: [
      {
        check: 'template',
        level: 'fail',
        message: 'it cannot be filled in: template render limit exceeded',
        file: 'templates/emails/draft.mjml',
        line: 2,
      },
    ],
  });
});
