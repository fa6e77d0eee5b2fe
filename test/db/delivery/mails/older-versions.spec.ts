import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPostOffice, type PostOffice } from '../post-office.js';

let t: PostOffice;
beforeAll(async () => {
  t = await openPostOffice();
});
afterAll(async () => t.close());

it('a version that was stored before web fonts were left out goes without them: their server was told who reads the mail, and when', async () => {
  const templateId = await t.templates.publish(t.db.manager, 'emails/story');
  const fonts = `<!--[if !mso]><!--><link href="https://fonts.example/css?family=Lato" rel="stylesheet" type="text/css"><style type="text/css">@import url(https://fonts.example/css?family=Lato);</style><!--<![endif]-->`;
  await t.db.query(`update email_template set html = replace(html, '</head>', $2) where id = $1`, [
    templateId,
    `${fonts}</head>`,
  ]);
  const id = await t.plan('ann@example.org', { templateId });
  await t.sendDue();
  expect((await t.state(id))['state']).toBe('accepted');
  const [mail = ''] = t.sink.mails.map(({ parsed }) => parsed.html ?? '');
  expect(mail).toContain('</head>');
  expect(mail).not.toContain('fonts.example');
});

it.each([
  ['the link to unsubscribe', 'nudge', '{{ unsubscribeUrl }}', 'the mail has no link to unsubscribe'],
  [
    'the postal address',
    'deep-dive',
    '{{ sender.postalAddress }}',
    "the mail does not show the sender's postal address",
  ],
])('a stored version without %s is sent to nobody', async (_, template, variable, reason) => {
  const templateId = await t.templates.publish(t.db.manager, `emails/${template}`);
  const [changed] = await t.db.query<[{ id: string }[]]>(
    `update email_template set html = replace(html, $2, 'https://example.org/') where id = $1 and html like '%' || $2 || '%' returning id`,
    [templateId, variable],
  );
  expect(changed).toHaveLength(1);
  const before = t.sink.bodiesBegun;
  const id = await t.plan(`${reason.length}@example.org`, { templateId });
  await t.sendDue();
  expect(await t.state(id)).toMatchObject({ state: 'rejected', reason });
  expect(t.sink.bodiesBegun).toBe(before);
});
