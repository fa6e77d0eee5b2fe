import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { parsePlanTokens } from '../../../../src/funnels/changes/plan-token.js';
import { gate, untilWaiting } from '../../../support/database.js';
import { holdFunnels } from '../../../../src/infra/database/funnel-lock.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';

const STEP = '- { key: a, email: emails/story, delay: 1 day }';
const PRODUCT = '  - { key: extra, name: Extra, price: 19.00 EUR }\n';
const OFFER = '  - { key: extra, product: extra }\n';
const withExtra = (yaml: string, product = PRODUCT, offer = OFFER): string =>
  yaml.replace('products:\n', `products:\n${product}`).replace('offers:\n', `offers:\n${offer}`);

describe('an object that stands in another file than before', () => {
  let t: Course;
  let folder: string;
  beforeAll(async () => {
    t = await openCourse();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'moved-'));
  });
  afterEach(async () => {
    await t.clear();
    await rm(folder, { recursive: true });
  });
  afterAll(async () => t?.test.close());

  const funnels = (): FunnelsService => t.test.app.get(FunnelsService, { strict: false });
  const files = async (first: string, second: string): Promise<string[]> => {
    const paths = [join(folder, 'a.yaml'), join(folder, 'b.yaml')];
    for (const [place, text] of [first, second].entries()) await writeFile(paths[place] ?? '', text);
    return paths;
  };
  const A = funnelText(STEP, '', 'a');
  const B = funnelText(STEP, '', 'b');
  const rows = async (): Promise<unknown> =>
    t.db.query(
      `select 'form' as kind, id, slug as key, funnel_key as funnel from form where archived_at is null
       union all select 'offer', id, slug, funnel_key from offer where archived_at is null and slug = 'extra'
       union all select 'product', id, key, funnel_key from product where archived_at is null and key = 'extra' order by 1, 3`,
    );
  /** The funnel by object, and the id of each row. */
  const owners = async (): Promise<{ ids: unknown; owners: string[] }> => {
    const all = (await rows()) as { kind: string; id: string; key: string; funnel: string }[];
    return {
      ids: all.map(({ kind, key, id }) => `${kind} ${key} ${id}`),
      owners: all.map(({ kind, key, funnel }) => `${kind} ${key}: ${funnel}`),
    };
  };

  it.each([[['a', 'b']], [['b', 'a']]])(
    'moves, with its row and all that hangs on it, in whatever order the files come: it was refused (%j)',
    async (order) => {
      await funnels().applyFile(await files(withExtra(A), B));
      const before = await owners();
      const changed = withExtra(B, PRODUCT.replace('19.00', '29.00'));
      const paths = await files(A, changed);
      const inOrder = order.map((key) => paths.find((path) => path.endsWith(`${key}.yaml`)) ?? '');
      const plan = await funnels().planFile(inOrder);
      expect(plan.words).toEqual([
        'funnel a:',
        '- product extra: moved to funnel b',
        '- offer extra: moved to funnel b',
        'funnel b:',
        '+ product extra: moved from funnel a',
        '~ product extra: price 19.00 EUR → 29.00 EUR',
        '+ offer extra: moved from funnel a',
      ]);
      expect(await owners()).toEqual(before);
      const tokens = parsePlanTokens(plan.token) ?? undefined;
      const applied = await funnels().applyFile(inOrder.toReversed(), { tokens });
      expect(applied.words).toEqual(plan.words);
      const after = await owners();
      expect(after.ids).toEqual(before.ids);
      expect(after.owners).toContain('product extra: b');
      expect(after.owners).toContain('offer extra: b');
      expect((await funnels().planFile(inOrder)).words).toEqual([]);
      await t.test.http.get('/offer/extra').expect(200);
      expect((await funnels().history('b', { limit: 1 }))[0]?.changes).toContain(
        '+ product extra: moved from funnel a',
      );
    },
  );

  it('moves with a form, too: two funnels change their addresses, and who came by each stays with it', async () => {
    const first = await files(A, B);
    await funnels().applyFile(first);
    const before = await owners();
    const swapped = await files(A.replace('slug: a,', 'slug: b,'), B.replace('slug: b,', 'slug: a,'));
    const { words } = await funnels().applyFile(swapped);
    expect(words).toEqual([
      ...['funnel a:', '+ form b: moved from funnel b', '- form a: moved to funnel b'],
      ...['funnel b:', '+ form a: moved from funnel a', '- form b: moved to funnel a'],
    ]);
    const after = await owners();
    expect(after.ids).toEqual(before.ids);
    expect(after.owners).toEqual(['form a: b', 'form b: a']);
  });

  it('is refused where its own file is not along, and a rollback of either funnel says why it cannot be', async () => {
    const [a = '', b = ''] = await files(withExtra(A), B);
    await funnels().applyFile([a, b]);
    await files(A, withExtra(B));
    await expect(funnels().applyFile(b)).rejects.toThrow(
      /b\.yaml:\d+: products\.0\.key: the product "extra" belongs to the funnel "a"; choose another name, or apply the file of "a" without it along with this one, and it moves here/,
    );
    await funnels().applyFile([b, a]);
    const before = await owners();
    for (const dryRun of [true, false]) {
      await expect(funnels().rollback('a', { dryRun })).rejects.toThrow(
        'a version 1: products.0.key: the product "extra" belongs to the funnel "b"',
      );
      await expect(funnels().rollback('b', { dryRun })).rejects.toThrow(
        'offer extra, product extra came from the funnel "a" with version 2, and would be in no funnel; apply the files of both',
      );
    }
    expect(await owners()).toEqual(before);
    await files(withExtra(A), B);
    await funnels().applyFile([a, b]);
    expect((await owners()).owners).toContain('product extra: a');
    await expect(funnels().applyFile([a, a])).rejects.toThrow('the funnel "a" is described twice');
  });

  it('is not lost when a rollback of its new funnel was asked for while it moved', async () => {
    const [a = '', b = ''] = await files(withExtra(A), B);
    await funnels().applyFile([a, b]);
    await files(withExtra(A), B.replace('Get it', 'Take it'));
    await funnels().applyFile([a, b]);
    await files(A, withExtra(B.replace('Get it', 'Take it')));
    const held = await gate(t.db, 'select 1');
    await holdFunnels(held);
    const moves = funnels().applyFile([a, b]);
    await untilWaiting(t.db, 1);
    const back = funnels()
      .rollback('b', { dryRun: false, to: 1 })
      .catch((error: unknown) => error);
    await untilWaiting(t.db, 2);
    await held.open();
    await moves;
    expect(await back).toMatchObject({ code: 'FUNNEL_ROLLBACK_CONFLICT' });
    expect((await owners()).owners).toContain('product extra: b');
  });

  it('does not move when it has gone elsewhere since the plan', async () => {
    const [a = '', b = ''] = await files(withExtra(A), B);
    await funnels().applyFile([a, b]);
    await files(A, withExtra(B));
    const tokens = parsePlanTokens((await funnels().planFile([a, b])).token) ?? undefined;
    await funnels().apply(A, null, 'a.yaml');
    await expect(funnels().applyFile([a, b], { tokens })).rejects.toThrow(
      'the funnel in the database was changed',
    );
    const [{ funnel } = { funnel: '' }]: { funnel: string }[] = await t.db.query(
      `select funnel_key as funnel from product where key = 'extra'`,
    );
    expect(funnel).toBe('a');
  });
});
