import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFunnelFile } from '../../../../src/funnels/yaml/funnel-file.js';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { personasSchema } from '../../../../src/funnels/simulation/personas.schemas.js';
import { simulatePeople } from '../../../../src/funnels/simulation/simulate.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { OrdersService } from '../../../../src/orders/orders.service.js';
import { RefundsService } from '../../../../src/orders/refunds/refunds.service.js';
import { API_KEY, START } from '../../../support/app.js';
import { gate, untilWaiting } from '../../../support/database.js';
import { ownerPages } from '../../../support/owner-pages.js';
import { openCourse, type Course } from '../../sequences/course.js';

const DAY_MS = 86_400_000;
const CLUB = `funnel: club
title: The club
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: club, headline: Come in, consent: Send it to me, optIn: single }
sequence:
  enterOn: [{ member: year }]
  reentry: always
  exitOn: [{ member: year, state: refunded }]
  steps:
    - { key: hello, email: emails/welcome, delay: 1 hour }
    - { key: renew, email: emails/story, until: { member: year, minus: 2 weeks } }
    - key: stays
      if: { member: year, state: ended, within: 30 days }
      then: [{ key: come-back, email: emails/nudge, delay: 1 day }]
      else: [{ key: thanks, email: emails/deep-dive }]
products:
  - { key: year, name: A year, price: 99.00 EUR, membership: { lasts: 12 months } }
  - { key: life, name: For life, price: 499.00 EUR, membership: { lasts: for good } }
offers:
  - { key: year, product: year }
  - { key: life, product: life, bump: year }
`;
const after = (days: number): string => new Date(START.getTime() + days * DAY_MS).toISOString();

describe('memberships', () => {
  let course: Course;

  beforeAll(async () => {
    course = await openCourse();
    await course.test.app.get(FunnelsService).apply(CLUB, null, 'club.yaml');
  });

  afterAll(async () => course?.test.close());

  const get = async (path: string, status = 200) =>
    (
      await course.test.http
        .get(`/api/v1/memberships${path}`)
        .set('Authorization', `Bearer ${API_KEY}`)
        .expect(status)
    ).body as {
      data: Record<string, unknown>[];
      nextCursor: string | null;
      history: Record<string, unknown>[];
    };
  const own = async (subscriberId: string): Promise<unknown[]> =>
    (await get(`?subscriberId=${subscriberId}`)).data.map(
      ({ productKey, state, endsAt }) =>
        `${String(productKey)} ${String(state)} ${String(endsAt).slice(0, 10)}`,
    );
  const endDue = async (): Promise<unknown> => course.test.app.get(JobRunner).run('memberships.end-due');

  /** Returns the id of the order and the page that thanks for it. */
  async function buy(email: string, offer = 'year', more = {}): Promise<{ id: string; thanks: string }> {
    const { http, dataSource } = course.test;
    const send = (path: string, form: object) => http.post(path).type('form').send(form).expect(303);
    const pay = (await send(`/checkout/${offer}`, { email, ...more })).headers['location'] ?? '';
    const answers = await Promise.all([1, 2, 3].map(async () => send(pay, { outcome: 'paid' })));
    const rows = (await dataSource.query('select max(id) as id from orders where email = $1', [email])) as {
      id: string;
    }[];
    return { id: rows[0]?.id ?? '', thanks: answers[0]?.headers['location'] ?? '' };
  }

  it('begin with a payment, once however often it is told, and are prolonged by the next', async () => {
    const id = await course.person('member@example.com');
    const { thanks } = await buy('member@example.com');
    expect(await own(id)).toEqual(['year active 2027-01-05']);
    const page = await course.test.http.get(thanks).expect(200);
    expect(page.text).toMatch(/Your membership[\s\S]*A year: until[\s\S]*5 Jan 2027/);
    expect(await course.place(id, 'club')).toMatchObject({ status: 'active', step: 'hello' });

    course.clock.set(after(100));
    await buy('member@example.com');
    expect(await own(id)).toEqual(['year active 2028-01-05']);
    const [row] = (await get(`?subscriberId=${id}&product=year`)).data;
    const { history } = await get(`/${String(row?.['id'])}`);
    expect(history.map(({ kind, cause, term }) => [kind, cause, term])).toEqual([
      ['began', 'order', '12 months'],
      ['prolonged', 'order', '12 months'],
    ]);
    const receipts = (await course.db.query(
      `select data->'order'->'memberships' as given from message where kind = 'receipt' and subscriber_id = $1 order by id`,
      [id],
    )) as { given: { until: string }[] }[];
    expect(receipts.map(({ given }) => given[0]?.until.slice(0, 10))).toEqual(['2027-01-05', '2028-01-05']);
    course.clock.set(START);
  });

  it('lose the term of an order that is refunded, and end when nothing is left', async () => {
    const id = await course.person('back@example.com');
    const first = await buy('back@example.com');
    const both = await buy('back@example.com', 'life', { bump: 'yes' });
    expect(await own(id)).toEqual(['life active null', 'year active 2028-01-05']);
    const refund = async (order: string): Promise<unknown> =>
      course.test.app.get(RefundsService).refund(order, {});
    await refund(both.id);
    await refund(both.id);
    expect(await own(id)).toEqual(['life refunded 2026-01-05', 'year active 2027-01-05']);
    expect(await course.place(id, 'club')).toMatchObject({ status: 'active' });
    await refund(first.id);
    expect(await own(id)).toEqual(['life refunded 2026-01-05', 'year refunded 2026-01-05']);
    expect(await course.place(id, 'club')).toMatchObject({
      status: 'exited',
      reason: 'member year refunded',
    });
  });

  it('last as long as the product said when the order was placed', async () => {
    const id = await course.person('placed@example.com');
    const { headers } = await course.test.http
      .post('/checkout/year')
      .type('form')
      .send({ email: 'placed@example.com' });
    const lasts = async (from: string, to: string): Promise<unknown> =>
      course.test.app.get(FunnelsService).apply(CLUB.replace(from, to), null, 'club.yaml');
    await lasts('12 months', '1 month');
    await course.test.http
      .post(headers['location'] ?? '')
      .type('form')
      .send({ outcome: 'paid' })
      .expect(303);
    expect(await own(id)).toEqual(['year active 2027-01-05']);
    await lasts('', '');
  });

  it('and their tag stay when an earlier order is refunded while a later one is being paid', async () => {
    const { app, dataSource } = course.test;
    const orders = app.get(OrdersService);
    const id = await course.person('overlap@example.com');
    const first = await buy('overlap@example.com');
    await course.test.http.post('/checkout/year').type('form').send({ email: 'overlap@example.com' });
    const [{ id: second }] = (await dataSource.query('select max(id) as id from orders')) as [{ id: string }];
    const receipts = await gate(dataSource, 'lock table message in share mode');
    const paying = orders.markPaid(second, 'test', 'late');
    await untilWaiting(dataSource, 1);
    const refunding = app.get(RefundsService).refund(first.id, {});
    await untilWaiting(dataSource, 2, refunding);
    await receipts.open();
    await Promise.all([paying, refunding]);
    expect(await own(id)).toEqual(['year active 2027-01-05']);
    const tags = await dataSource.query(
      'select t.name from subscriber_tag st join tag t on t.id = st.tag_id where st.subscriber_id = $1',
      [id],
    );
    expect(tags).toEqual([{ name: 'bought:year' }]);
  });

  it('are renewed at the moment of their end without a deadlock with the job that ends them', async () => {
    const { dataSource } = course.test;
    const id = await course.person('moment@example.com');
    await buy('moment@example.com');
    const job = await gate(dataSource, 'select 1 from membership where subscriber_id = $1 for update', [id]);
    const renewing = buy('moment@example.com');
    await untilWaiting(dataSource, 1);
    // As the enrolment that the job adds asks for.
    await job.query('select 1 from subscriber where id = $1 for key share nowait', [id]);
    await job.open();
    await renewing;
    expect(await own(id)).toEqual(['year active 2028-01-05']);
  });

  it('are refused for somebody who is forgotten while they are granted', async () => {
    const { dataSource } = course.test;
    const id = await course.person('vanishes@example.com');
    const erasing = await gate(dataSource, 'delete from subscriber where id = $1', [id]);
    const body = { subscriberId: id, productKey: 'year', lasts: '3 weeks', reason: 'prize' };
    const granting = course.post('/api/v1/memberships', body);
    await untilWaiting(dataSource, 1);
    await erasing.open();
    expect(await granting).toMatchObject({ status: 404, body: { code: 'SUBSCRIBER_NOT_FOUND' } });
  });

  it('are granted and ended by hand, with the reason kept', async () => {
    const id = await course.person('hand@example.com');
    const grant = async (more: object): Promise<{ status: number; body: Record<string, unknown> }> =>
      course.post('/api/v1/memberships', {
        subscriberId: id,
        productKey: 'year',
        lasts: '3 weeks',
        reason: 'prize',
        ...more,
      });
    const made = await grant({});
    expect(made).toMatchObject({ status: 201, body: { state: 'active', endsAt: after(21) } });
    expect((await grant({ productKey: 'gone' })).body).toMatchObject({ code: 'PRODUCT_NOT_FOUND' });
    expect((await grant({ subscriberId: '999999' })).body).toMatchObject({ code: 'SUBSCRIBER_NOT_FOUND' });
    expect((await grant({ lasts: 'long' })).body).toMatchObject({ errors: [{ field: 'lasts' }] });
    expect((await grant({ lasts: '0 days' })).body).toMatchObject({ errors: [{ field: 'lasts' }] });
    expect((await grant({ reason: '' })).status).toBe(422);
    const place = `/api/v1/memberships/${String(made.body['id'])}/end`;
    expect((await course.post(place, { reason: 'asked for it' })).body).toMatchObject({
      state: 'ended',
      endsAt: after(0),
    });
    expect((await course.post(place, { reason: 'twice' })).body).toMatchObject({ state: 'ended' });
    expect((await get(`/${String(made.body['id'])}`)).history.map(({ reason }) => reason)).toEqual([
      'prize',
      'asked for it',
    ]);
    await get('/999999', 404);
    const page = await get('?limit=1');
    expect(page.data).toHaveLength(1);
    expect((await get(`?limit=1&cursor=${page.nextCursor ?? ''}`)).data).toHaveLength(1);
    expect((await get('?state=refunded')).data).toHaveLength(2);
  });

  it('are found, given, prolonged and ended on the pages of the owner', async () => {
    const { http } = course.test;
    const id = await course.person('page@example.com');
    const { cookie } = await ownerPages({ http });
    const see = async (path: string) => (await http.get(path).set('Cookie', cookie).expect(200)).text;
    const send = async (path: string, form: object, status: number) => {
      const answer = await http.post(path).set('Cookie', cookie).type('form').send(form);
      expect([path, answer.status]).toEqual([path, status]);
      return status === 303 ? (answer.headers['location'] ?? '') : answer.text;
    };
    const list = '/admin/memberships';
    const errorsIn = (html: string) => [...html.matchAll(/id="([\w-]+)-error"/g)].map(([, name]) => name);
    const seenIn = (html: string) => /name="seen" value="([^"]+)"/.exec(html)?.[1] ?? '';

    expect(await see(`/admin/subscribers/${id}`)).toContain(`${list}/new?subscriber=${id}`);
    expect(await see(`${list}/new?subscriber=${id}`)).toContain('value="page@example.com"');
    expect(errorsIn(await send(list, { email: 'nobody@example.com', lasts: '0 days' }, 422))).toEqual([
      ...['email', 'product', 'lasts', 'reason'],
    ]);
    const given = { email: 'Page@example.com', product: 'year', lasts: '2 weeks', reason: 'a <gift>' };
    const place = await send(list, given, 303);
    expect(await send(list, given, 409)).toContain(`href="${place}"`);
    expect(await own(id)).toEqual(['year active 2026-01-19']);
    expect(await see(`/admin/subscribers/${id}`)).toContain(`href="${place}"`);

    const page = await see(place);
    expect(page).toContain('by hand: a &lt;gift&gt;');
    expect(errorsIn(await send(`${place}/prolong`, { lasts: 'long' }, 422))).toEqual(['lasts', 'reason']);
    const more = { lasts: '1 month', reason: 'thanks', seen: seenIn(page) };
    course.clock.set(after(1));
    await send(`${place}/prolong`, more, 303);
    // Sent twice by a double click, it counts once.
    expect(await send(`${place}/prolong`, more, 409)).toContain('has changed since');
    expect(await own(id)).toEqual(['year active 2026-02-19']);
    expect(errorsIn(await send(`${place}/end`, {}, 422))).toEqual(['end-reason']);
    await send(`${place}/end`, { reason: 'asked for it' }, 303);
    expect(await own(id)).toEqual(['year ended 2026-01-06']);
    await send(`${place}/prolong`, { ...more, lasts: 'for good', seen: seenIn(await see(place)) }, 303);
    expect(await own(id)).toEqual(['year active null']);

    const found = async (query: string) =>
      [...(await see(`${list}?${query}`)).matchAll(/memberships\/\d+">([^<]+)</g)].map(([, email]) => email);
    expect(await found('q=page%40example.com&product=year&state=active')).toEqual(['page@example.com']);
    expect(await found('q=AGE%40exam')).toEqual(['page@example.com']);
    expect(await found('q=page%40example.com&state=ended')).toEqual([]);
    expect(await found('product=life')).not.toContain('page@example.com');
    expect(await see(`${list}?q=%25`)).toContain('No member like that.');
    await http.get(`${list}/999999`).set('Cookie', cookie).expect(404);
    course.clock.set(START);
  });

  it('end in time, and people are written to as the simulation says', async () => {
    const read = readFunnelFile(CLUB);
    if (!read.ok) throw new Error('the funnel is not readable');
    const personas = personasSchema.parse({
      personas: [
        { name: 'lapses', signsUp: false, does: [{ buys: 'year' }] },
        { name: 'renews', signsUp: false, does: [{ buys: 'year' }, { buys: 'year', after: '360 days' }] },
        { name: 'refunds', signsUp: false, does: [{ buys: 'year', refundsAfter: '5 days' }] },
      ],
    });
    const simulated = simulatePeople({ definitions: [read.definition], personas, start: START, days: 440 });
    const expected = simulated.map(({ record }) =>
      record.mails
        .filter(({ kind }) => kind === 'sequence')
        .map(({ step, dueAt }) => `${step ?? ''} ${dueAt.toISOString()}`),
    );
    expect(expected.map((mails) => mails.map((text) => text.split(' ')[0]))).toEqual([
      ['hello', 'renew', 'come-back'],
      ['hello', 'renew', 'thanks'],
      ['hello'],
    ]);

    const ids = await Promise.all(
      ['lapses', 'renews', 'refunds'].map(async (name) => course.person(`${name}@example.com`)),
    );
    await buy('lapses@example.com');
    await buy('renews@example.com');
    const { id: order } = await buy('refunds@example.com');
    for (const hours of [1, 5 * 24, 351 * 24, 360 * 24, 365 * 24, 366 * 24, 381 * 24, 400 * 24]) {
      course.clock.set(after(hours / 24));
      if (hours === 5 * 24) await course.test.app.get(RefundsService).refund(order, {});
      if (hours === 360 * 24) await buy('renews@example.com');
      await endDue();
      await course.run();
    }
    const mailed = await Promise.all(
      ids.map(async (id) => {
        const rows = (await course.db.query(
          `select step_key || ' ' || to_char(due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as mail
             from message where subscriber_id = $1 and kind = 'sequence' order by id`,
          [id],
        )) as { mail: string }[];
        return rows.map(({ mail }) => mail);
      }),
    );
    expect(mailed).toEqual(expected);
    expect(await own(ids[0] ?? '')).toEqual(['year ended 2027-01-05']);
    // What the clock's job has written down stays, however often it looks.
    await endDue();
    const [row] = (await get(`?subscriberId=${ids[0] ?? ''}`)).data;
    expect(
      (await get(`/${String(row?.['id'])}`)).history.map(
        ({ kind, cause }) => `${String(kind)} ${String(cause)}`,
      ),
    ).toEqual(['began order', 'ended time']);
    course.clock.set(START);
  });

  it('are counted in segments, also when the clock has not come round to an end yet', async () => {
    course.clock.set(after(3));
    const id = await course.person('segment@example.com');
    await course.post('/api/v1/memberships', {
      subscriberId: id,
      productKey: 'life',
      lasts: '1 day',
      reason: 'trial',
    });
    const counted = async (is: string): Promise<unknown> => {
      const answer = await course.post('/api/v1/segments/count', {
        conditions: { member: { product: 'life', is } },
      });
      return answer.body['count'];
    };
    expect([
      await counted('active'),
      await counted('ended'),
      await counted('refunded'),
      await counted('ever'),
    ]).toEqual([1, 0, 1, 2]);
    course.clock.set(after(4));
    expect([await counted('active'), await counted('ended')]).toEqual([0, 1]);
    course.clock.set(START);
  });

  it('go with the person who is forgotten', async () => {
    const rows = (await course.db.query(`select id from subscriber where email = 'member@example.com'`)) as {
      id: string;
    }[];
    const id = rows[0]?.id ?? '';
    await course.test.http.delete(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`);
    expect((await get(`?subscriberId=${id}`)).data).toEqual([]);
  });

  it('end, by the clock or by hand, while somebody is forgotten, without a deadlock', async () => {
    const { dataSource, app, clock } = course.test;
    const back = CLUB.replaceAll(/\b(club|year|life)\b/g, 'back-$1').replace(
      'enterOn: [{ member: back-year }]',
      'enterOn: [{ member: back-year, state: ended }]',
    );
    await app.get(FunnelsService).apply(back, null, 'back.yaml');
    const [late, soon] = [await course.person('late@example.com'), await course.person('soon@example.com')];
    await buy('late@example.com', 'back-year');
    await buy('soon@example.com', 'back-year');
    const byHand = (await get(`?subscriberId=${soon}`)).data[0]?.['id'];
    const waiting = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
    clock.set(new Date(clock.now().getTime() + 366 * DAY_MS));
    // As far as an erasure is when it has the person.
    const erasing = await gate(dataSource, 'select 1 from subscriber where id = $1 for update', [late]);
    const ending = endDue();
    await untilWaiting(dataSource, 1, ending);
    expect(await dataSource.query<unknown[]>(waiting)).toEqual([]);
    await erasing.query('delete from subscriber where id = $1', [late]);
    await erasing.open();
    expect(await own(soon)).toEqual([expect.stringContaining('back-year ended')]);
    const again = await course.post('/api/v1/memberships', {
      ...{ subscriberId: soon, productKey: 'back-year', lasts: '3 weeks', reason: 'prize' },
    });
    expect(again.status).toBe(201);
    const forgetting = await gate(dataSource, 'select 1 from subscriber where id = $1 for update', [soon]);
    const ended = course.post(`/api/v1/memberships/${String(byHand)}/end`, { reason: 'gone' });
    await untilWaiting(dataSource, 1);
    await forgetting.query('delete from subscriber where id = $1', [soon]);
    await forgetting.open();
    expect(await ended).toMatchObject({ status: 404, body: { code: 'MEMBERSHIP_NOT_FOUND' } });
  });
});
