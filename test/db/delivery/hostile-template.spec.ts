import { afterAll, beforeAll, expect, it } from 'vitest';
import { PreflightService } from '../../../src/delivery/preflight/preflight.service.js';
import { seedTemplate } from '../../support/mail-seed.js';
import { openPostOffice, SENDER, type PostOffice } from './post-office.js';

const FOOT = '{{ sender.postalAddress }} <a href="{{ unsubscribeUrl }}">out</a>';
const LOOP = '{% for i in (1..1000) %}';
const ENDLESS = LOOP.repeat(6) + '{% endfor %}'.repeat(6);

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
