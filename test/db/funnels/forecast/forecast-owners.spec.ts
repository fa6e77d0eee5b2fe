import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ForecastService } from '../../../../src/funnels/forecast/forecast.service.js';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { funnelText, openCourse, type Course } from '../../sequences/course.js';

describe('a forecast', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  /** The mails of steps that wait a day: the first, and those of the second day. */
  const expected = async (day: number): Promise<number> => {
    const { mails } = await t.test.app
      .get(ForecastService, { strict: false })
      .forecast({ days: 10, level: 0.8 });
    return Math.round((mails[day]?.expected ?? 0) * 10) / 10;
  };
  const enrolled = async (count: number, name: string, tags: string[] = []): Promise<string[]> => {
    const ids: string[] = [];
    for (let nth = 0; nth < count; nth++) {
      const id = await t.person(`${name}-${nth}@example.com`, { tags });
      await t.enroll(id);
      ids.push(id);
    }
    return ids;
  };
  const offer = (more = ''): string =>
    `- { key: sale, offer: course-kit, email: emails/offer, delay: 1 day${more} }`;

  it('offers nobody what they own already: eight owners of twenty people were counted as readers and as buyers', async () => {
    await t.publish(offer());
    await enrolled(12, 'new');
    await enrolled(8, 'owner', ['bought:course-kit']);
    await enrolled(5, 'other', ['bought:another-kit']);
    expect(await expected(1)).toBe(17);
    await t.publish(offer(', toOwners: send'));
    await t.db.query(
      'update enrollment set version_id = (select current_version_id from sequence where key = $1)',
      ['course'],
    );
    expect(await expected(1)).toBe(25);
  });

  it('knows of what is sold in the sequence that people are moved to', async () => {
    await t.publish(offer(), '', 'course');
    await t.publish('- { key: on, move: course }', '', 'other');
    for (const tags of [[], ['bought:course-kit']])
      await t.enroll(await t.person(`mover-${tags.length}@example.com`, { tags }), 'other');
    expect(await expected(1)).toBe(1);
  });

  it('lets members be until their time is over, and asks them to renew as the run does', async () => {
    await t.publish(`- { key: note, email: emails/story, delay: 1 day }\n${offer()}`);
    const [soon = '', later = '', over = ''] = await enrolled(3, 'member', ['bought:course-kit']);
    for (const [id, endsAt] of [
      [soon, '2026-01-06T20:00:00Z'],
      [later, null],
      [over, '2026-01-01T00:00:00Z'],
    ])
      await t.db.query(
        `insert into membership (subscriber_id, product_id, state, starts_at, ends_at, created_at, updated_at)
         select $1, id, 'active', '2025-01-01', $2, now(), now() from product where key = 'course-kit'`,
        [id, endsAt],
      );
    expect([await expected(1), await expected(2)]).toEqual([3, 2]);
  });

  it('offers nothing to who has bought it for good once, though a membership by it is over: they were counted', async () => {
    await t.publish(offer());
    const bought = await enrolled(3, 'owner', ['bought:course-kit']);
    for (const [nth, id] of bought.entries()) {
      await t.db.query(
        `with o as (insert into orders (number, funnel_key, offer_id, subscriber_id, email, amount_minor, currency, provider, status, created_at, paid_at)
           select $1, 'course', id, $2, 'x@example.com', 4900, 'EUR', 'test', 'paid', now(), now() from offer where slug = 'course-kit' returning id)
         insert into order_line (order_id, product_id, kind, full_amount_minor, amount_minor, membership)
         select o.id, p.id, 'main', 4900, 4900, $3 from o, product p where p.key = 'course-kit'`,
        [`order-${id}`, id, nth === 2 ? '12 months' : null],
      );
      await t.db.query(
        `insert into membership (subscriber_id, product_id, state, starts_at, ends_at, created_at, updated_at)
         select $1, id, $2, '2025-01-01', $3, now(), now() from product where key = 'course-kit'`,
        [id, ...(nth === 1 ? ['active', '2026-01-05T20:00:00Z'] : ['ended', '2026-01-01T00:00:00Z'])],
      );
    }
    expect(await expected(1)).toBe(1);
  });

  it('asks who is a member to renew, as the run does: no offer went to who owns the product still', async () => {
    const until = 'until: { member: course-kit, minus: 1 day }';
    const yaml = funnelText(`- { key: renew, offer: course-kit, email: emails/offer, ${until} }`);
    await t.test.app
      .get(FunnelsService, { strict: false })
      .apply(yaml.replace('49.00 EUR', '49.00 EUR, membership: { lasts: 12 months }'), null, 'course.yaml');
    const [id = ''] = await enrolled(1, 'member');
    await t.db.query(
      `insert into membership (subscriber_id, product_id, state, starts_at, ends_at, created_at, updated_at)
       select $1, id, 'active', '2025-01-01', '2026-01-09T12:00:00Z', now(), now() from product where key = 'course-kit'`,
      [id],
    );
    await t.run();
    expect(await t.place(id)).toMatchObject({ step: 'renew', nextAt: new Date('2026-01-08T12:00:00Z') });
    expect(await expected(3)).toBe(1);
  });
});
