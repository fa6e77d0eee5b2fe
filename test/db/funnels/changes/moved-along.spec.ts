import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { parsePlanTokens } from '../../../../src/funnels/changes/plan-token.js';
import { openWalk, type Walk } from '../../../e2e/walk.js';
import { linkIn } from '../../../support/app.js';
import { funnelText } from '../../sequences/course.js';

const PRODUCT = '  - { key: extra, name: Extra, price: 19.00 EUR }\n';
const OFFER = '  - { key: extra, product: extra }\n';
const withExtra = (yaml: string): string =>
  yaml.replace('products:\n', `products:\n${PRODUCT}`).replace('offers:\n', `offers:\n${OFFER}`);
const SALE =
  '- { key: sale, email: emails/offer, offer: extra, split: { judge: revenue, arms: [{ key: x }, { key: y, subject: Now }] } }';
const NEXT = '- { key: next, email: emails/story, delay: 1 day }';
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';

let t: Walk;
let folder: string;
beforeAll(async () => {
  t = await openWalk();
  folder = await mkdtemp(join(tmpdir(), 'moved-along-'));
});
afterAll(async () => {
  await t.test.close();
  await rm(folder, { recursive: true });
});

const funnels = (): FunnelsService => t.test.app.get(FunnelsService, { strict: false });
const files = async (texts: Record<string, string>): Promise<string[]> =>
  Promise.all(
    Object.entries(texts).map(async ([key, text]) => {
      const path = join(folder, `${key}.yaml`);
      await writeFile(path, text);
      return path;
    }),
  );
const one = async (sql: string, values: unknown[] = []): Promise<unknown> =>
  ((await t.db.query(sql, values)) as unknown[])[0];

it('takes along who has not confirmed, and money from a split test, which no plan said; links and people under way go on', async () => {
  const { http } = t.test;
  await funnels().applyFile(
    await files({ a: withExtra(funnelText(`${SALE}\n${NEXT}`, '', 'a')), b: funnelText(NEXT, '', 'b') }),
  );
  const known = await t.signUp('known@example.com', { key: 'a' });
  await t.test.runDue();
  const sale = (await t.test.mailsTo('known@example.com')).find(({ html }) => html.includes('19.00'));
  const oldLink = linkIn(sale ?? (await t.test.mailsTo('known@example.com')).at(-1)!, /\/c\//);
  await http.post('/api/public/forms/a').send({ email: 'new@example.com' });
  await t.test.runDue();
  const [asks] = await t.test.mailsTo('new@example.com');

  const paths = await files({
    a: funnelText(NEXT, '', 'a').replace('slug: a,', 'slug: fresh,'),
    b: withExtra(funnelText(NEXT, '', 'b')).replace('slug: b,', 'slug: a,'),
  });
  const plan = await funnels().planFile(paths);
  expect(plan.words).toContain(
    'form a: 1 signed up by it and has not confirmed; when they do, they get the sequence of funnel b and no more that of a',
  );
  expect(plan.words).toContain(
    'offer extra: its orders count for funnel b from now on, and no more for the split test at step sale of funnel a, which is judged by revenue',
  );
  const tokens = parsePlanTokens(plan.token) ?? undefined;
  expect((await funnels().applyFile(paths, { tokens })).words).toEqual(plan.words);

  await http.post(linkIn(asks!, /\/confirm\//)).expect(200);
  expect(
    await one(
      `select array_agg(q.key) as sequences from enrollment e join sequence q on q.id = e.sequence_id
       join subscriber s on s.id = e.subscriber_id where s.email_key = 'new@example.com'`,
    ),
  ).toEqual({ sequences: ['b'] });
  expect(String((await http.get(oldLink).expect(302)).headers['location'])).toContain('/offer/extra');
  const placed = await http
    .post('/checkout/extra')
    .set('User-Agent', BROWSER)
    .type('form')
    .send({ email: 'known@example.com' });
  await http.post(String(placed.headers['location'])).type('form').send({ outcome: 'paid' }).expect(303);
  expect(await one(`select funnel_key as funnel from orders where email = 'known@example.com'`)).toEqual({
    funnel: 'b',
  });
  await t.until('2026-01-08T09:00:00Z');
  expect((await t.mails(known)).filter((step) => step !== null)).toEqual(['sale', 'next']);
});
