import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';
import { linksOf } from '../../../../src/delivery/preflight/mail-checks.js';

it('an icon that has readers share a page of its network, which they were to follow, is told of with what leads there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wellspring-share-'));
  const icon = (name: string, href: string): string =>
    `<mj-social-element name="${name}" href="${href}">Icon</mj-social-element>`;
  await writeFile(
    join(folder, 'mail.mjml'),
    `<mjml><mj-head><mj-title>T</mj-title></mj-head><mj-body><mj-section><mj-column><mj-social>
     ${icon('facebook', 'https://www.facebook.com/ada')}${icon('twitter', 'https://x.com/ada')}
     ${icon('facebook-noshare', 'https://www.facebook.com/ada')}${icon('linkedin', 'https://a.example.com/post')}
     </mj-social></mj-column></mj-section></mj-body></mjml>`,
  );
  const { html } = await compileMail(folder, 'mail');
  await rm(folder, { recursive: true });
  const { findings } = linksOf(html, 'https://own.example.com');
  expect(findings.map(({ level, message, found }) => [level, message, found])).toEqual(
    [
      ['facebook', 'https://www.facebook.com/ada'],
      ['x', 'https://x.com/ada'],
    ].map(([name, page]) => [
      'warn',
      `a link has readers share ${page} with others, and does not lead them there: MJML does so by name="${name}"; name="${name}-noshare" leads there`,
      page,
    ]),
  );
});
