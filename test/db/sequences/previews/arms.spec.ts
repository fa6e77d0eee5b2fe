import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../../../src/commands/wellspring.command.js';
import { CONFIG, type Config } from '../../../../src/infra/config.js';
import { API_KEY } from '../../../support/app.js';
import { ownerPages } from '../../../support/owner-pages.js';
import { openSplitCourse, type SplitCourse } from '../../experiments/split-course.js';

const ARMS = `judge: clicks, arms: [{ key: plain }, { key: asks, subject: "{{ subscriber.firstName }}, R&D?" }, { key: deep, email: emails/deep-dive }]`;

describe('a preview of a mail in a split test', () => {
  let t: SplitCourse;
  let subscriberId = '';
  beforeAll(async () => {
    t = await openSplitCourse();
    await t.publish(t.step(ARMS));
    [subscriberId = ''] = await t.join(1);
    await t.db.query(`update subscriber set name = 'Grace Hopper' where id = $1`, [subscriberId]);
  });
  afterAll(async () => t?.test.close());

  const preview = async (more: object) =>
    (
      await t.test.http
        .post('/api/v1/templates/preview')
        .set('authorization', `Bearer ${API_KEY}`)
        .send({ template: 'emails/story', funnel: 'course', subscriberId, ...more })
    ).body;

  it('shows the arm that was asked for and says which it is: arms that differ in subject alone looked the same', async () => {
    const arms = ['plain', 'asks', 'deep'];
    expect(await preview({})).toMatchObject({ step: 'pitch', arm: 'plain', arms });
    const asks = await preview({ arm: 'asks' });
    expect(asks).toMatchObject({ subject: 'Grace, R&D?', step: 'pitch', arm: 'asks', arms });
    expect((await preview({ arm: 'plain' })).subject).toBe('My first e-book sold three copies');
    expect(await preview({ arm: 'deep', template: 'emails/deep-dive' })).toMatchObject({ arm: 'deep' });
    expect(await preview({ arm: 'asks', template: 'emails/deep-dive' })).toMatchObject({
      status: 404,
      code: 'ARM_NOT_FOUND',
      errors: [{ field: 'arm', allowed: ['deep'] }],
    });
    expect(await preview({ step: 'other' })).toMatchObject({ status: 404, code: 'STEP_NOT_FOUND' });
    expect(await preview({ template: 'emails/receipt' })).toMatchObject({ step: null, arm: null, arms: [] });
  });

  it('shows all arms on the page of why a step was sent, each by its name', async () => {
    const pages = await ownerPages(t.test);
    const at = `/admin/subscribers/${subscriberId}/why`;
    const html = await pages.get(`${at}?funnel=course&step=pitch`);
    for (const [arm, subject] of [
      ['plain', 'My first e-book sold three copies'],
      ['asks', 'Grace, R&amp;D?'],
    ])
      expect(html).toContain(
        `<span class="badge">Arm ${arm}</span> <strong class="break">${subject}</strong>`,
      );
    expect(await pages.get(`${at}/mail?funnel=course&step=pitch&arm=deep`)).not.toContain('three copies');
  });

  it('is a command, too, which names the arm', async () => {
    const { databaseUrl, dataDir } = t.test.app.get<Config>(CONFIG);
    const said = { out: '', error: '' };
    const ask = async (...more: string[]) => {
      said.out = said.error = '';
      return runCommand(['preview', 'emails/story', '--to', '1@example.com', ...more], {
        env: { DATABASE_URL: databaseUrl ?? '', DATA_DIR: dataDir },
        out: (text) => (said.out += text),
        error: (text) => (said.error += text),
      });
    };
    expect(await ask('--arm', 'asks')).toBe(0);
    expect(said.out).toContain(
      'Subject: Grace, R&D?\nStep: pitch\nArm: asks of a split test; the others: plain, deep\n',
    );
    expect(await ask('--arm', 'none')).toBe(1);
    expect(said.error).toContain('its arms are plain, asks');
  });
});
