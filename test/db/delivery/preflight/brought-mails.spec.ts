import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileMail } from '../../../../src/delivery/mails/mjml.templates.js';
import { PreflightService } from '../../../../src/delivery/preflight/preflight.service.js';
import { BROUGHT, FIXTURES } from '../mail-data.js';
import { openPostOffice, SENDER, type PostOffice } from '../post-office.js';

const FONT = (line: number, name: string): RegExp =>
  new RegExp(`^warn clients ${line}: the web font ${name} is not loaded`);
const ICONS = (line: number): RegExp =>
  new RegExp(`^warn clients ${line}: icons of mj-social come from www.mailjet.com, which is told who reads`);
const ARROWS = /^warn clients 28: the arrows of mj-carousel come from i\.imgur\.com, which is told who reads/;
const EXPECTED: Readonly<Record<string, RegExp[]>> = {
  agency: [ICONS(41), FONT(5, 'Raleway')],
  arabic: [FONT(5, 'Cairo')],
  divs: [FONT(6, 'lora')],
  event: [ICONS(20), /^warn clients 9: a web font \(@font-face\)/],
  night: [FONT(9, 'Inter')],
  shop: [ARROWS, /^warn clients \d+: a part that opens when it is pressed/],
  'tables-2012': [/is not https$/, /is not https$/],
};

describe('mails in the manner of other builders and times', () => {
  let t: PostOffice;
  beforeAll(async () => {
    t = await openPostOffice({ BASE_URL: 'http://127.0.0.1:9' });
    const grace = await t.subscriber('grace@example.org', { name: 'Grace Hopper' });
    await t.db.query(`update subscriber set fields = '{"plan": "pro"}' where id = $1`, [grace]);
  });
  afterAll(async () => t.close());

  it.each(BROUGHT)('none is refused, and only what matters is told: %s', async (template) => {
    const compiled = await compileMail(FIXTURES, template);
    const { findings } = await t.app
      .get(PreflightService, { strict: false })
      .checkCompiled(
        compiled,
        { template, folder: FIXTURES, sender: SENDER, funnelTitle: 'Letters', kind: 'sequence' },
        { ownLinksOnly: true },
      );
    const said = findings.map(
      ({ level, check, line, message }) => `${level} ${check} ${line ?? '-'}: ${message}`,
    );
    expect(said).toEqual(
      (EXPECTED[template.replace('brought-mails/', '')] ?? []).map((one) => expect.stringMatching(one)),
    );
  });
});
