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
