import type request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PLAN_BROADCASTS } from '../../../../src/broadcasts/broadcasts.service.js';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';
import { untilWaiting } from '../../../support/database.js';
import { newReader } from '../../../support/reader.js';

type Method = 'get' | 'post' | 'patch' | 'put' | 'delete';

let t: TestApp;
let yaml: string;
beforeAll(async () => {
  t = await startTestApp();
  yaml = await t.app.get(FunnelsService, { strict: false }).export('niche-ebook');
});
afterAll(async () => t.close());

const ask = (method: Method, path: string, headers: Record<string, string> = {}): request.Test =>
  t.http[method](`/api/v1/${path}`).set({ Authorization: `Bearer ${API_KEY}`, ...headers });
const etagOf = async (path: string): Promise<string> =>
  String((await ask('get', path).expect(200)).headers['etag']);
const made = async (path: string, body: object): Promise<string> =>
  `${path}/${(await ask('post', path).send(body).expect(201)).body.id}`;
let nth = 0;
const broadcast = (more: object = {}) => ({
  ...{ title: 'Spring', template: 'emails/story', audience: { everybody: true } },
  sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '12 Mill Lane, Springfield' },
  ...more,
});

interface Changed {
  what: string;
  method: 'patch' | 'put';
  make: () => Promise<string>;
  /** Another one each time. */
  change: () => object;
}

const SUBSCRIBERS: Changed = {
  ...{ what: 'subscribers', method: 'patch' },
  make: async () => made('subscribers', { email: `reader${++nth}@example.com` }),
  change: () => ({ name: `Ada ${++nth}` }),
};
const LISTS: Changed = {
  ...{ what: 'lists', method: 'patch' },
  make: async () => made('lists', { key: `list-${++nth}`, title: 'A list' }),
  change: () => ({ title: `List ${++nth}` }),
};
const SEGMENTS: Changed = {
  ...{ what: 'segments', method: 'patch' },
  make: async () =>
    made('segments', { key: `segment-${++nth}`, title: 'One', conditions: { status: ['active'] } }),
  change: () => ({ title: `Segment ${++nth}` }),
};
const BROADCASTS: Changed = {
  ...{ what: 'broadcasts', method: 'patch' },
  make: async () => made('broadcasts', broadcast()),
  change: () => ({ title: `Broadcast ${++nth}` }),
};
const FUNNELS: Changed = {
  ...{ what: 'funnels', method: 'put' },
  make: async () => 'funnels/niche-ebook',
  change: () => ({ yaml: yaml.replace(/^title: .*$/m, `title: Niches ${++nth}`) }),
};

describe.each([SUBSCRIBERS, LISTS, SEGMENTS, BROADCASTS, FUNNELS])(
  'of two programs that change the same of $what',
  ({ method, make, change }) => {
    it('the second wrote over the first: with If-Match it is told, and what it has seen is known by its tag', async () => {
      const path = await make();
      const seen = await etagOf(path);
      expect(seen).toMatch(/^"[\w.-]+"$/);
      await ask('get', path, { 'If-None-Match': `"other", W/${seen}` }).expect(304, '');
      await ask(method, path, { 'If-Match': seen }).send(change()).expect(200);
      const refused = await ask(method, path, { 'If-Match': seen }).send(change()).expect(412);
      expect(refused.body).toMatchObject({ code: 'PRECONDITION_FAILED', errors: [{ field: 'If-Match' }] });
      await ask('get', path, { 'If-None-Match': seen }).expect(200);
      const now = await etagOf(path);
      expect(now).not.toBe(seen);
      for (const tag of [seen, `W/${now}`, now.replaceAll('"', ''), ''])
        await ask(method, path, { 'If-Match': tag }).send(change()).expect(412);
      await ask(method, path, { 'If-Match': `${seen}, ${now}` })
        .send(change())
        .expect(200);
      await ask(method, path, { 'If-Match': '*' }).send(change()).expect(200);
      await ask(method, path).send(change()).expect(200);
    });

    it('at the same moment one is let through', async () => {
      const path = await make();
      const seen = await etagOf(path);
      const answers = await Promise.all(
        Array.from({ length: 6 }, async () => ask(method, path, { 'If-Match': seen }).send(change())),
      );
      expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
        200,
        ...Array(5).fill(412),
      ]);
      expect(await etagOf(path)).not.toBe(seen);
    });
  },
);

describe('a tag', () => {
  it('was taken and not looked at by writes that take none: a broadcast began that had been changed', async () => {
    const path = await made('broadcasts', broadcast());
    const refused = await ask('post', `${path}/start`, { 'If-Match': '"old"' }).send({});
    expect([refused.status, refused.body.code]).toEqual([422, 'REQUEST_INVALID']);
    expect(refused.body.errors[0].field).toBe('If-Match');
    expect((await ask('get', path)).body.state).toBe('draft');
  });

  it.each([SUBSCRIBERS, LISTS, SEGMENTS])(
    'keeps from removing what was changed: $what',
    async ({ make, change }) => {
      const path = await make();
      const seen = await etagOf(path);
      await ask('patch', path).send(change()).expect(200);
      expect((await ask('delete', path, { 'If-Match': seen })).status).toBe(412);
      expect((await ask('delete', path, { 'If-Match': await etagOf(path) })).status).toBe(204);
      expect((await ask('get', path)).status).toBe(404);
    },
  );

  it('is on the answer to a write, so that the next needs no look before it', async () => {
    const path = await made('lists', { key: 'chained', title: 'A list' });
    const first = await ask('patch', path, { 'Idempotency-Key': 'chained' })
      .send({ title: 'One' })
      .expect(200);
    const again = await ask('patch', path, { 'Idempotency-Key': 'chained' })
      .send({ title: 'One' })
      .expect(200);
    expect(again.headers['etag']).toBe(first.headers['etag']);
    await ask('patch', path, { 'If-Match': String(first.headers['etag']) })
      .send({ title: 'Two' })
      .expect(200);
  });

  it('is part of what an Idempotency-Key stands for: a refused change is not the next one', async () => {
    const path = await made('lists', { key: 'keyed', title: 'A list' });
    const change = (etag: string) =>
      ask('patch', path, { 'If-Match': etag, 'Idempotency-Key': 'keyed' }).send({ title: 'Keyed' });
    await change('"old"').expect(412);
    expect((await change(await etagOf(path))).body.code).toBe('IDEMPOTENCY_KEY_REUSED');
  });

  it('of a list differs when somebody joins, and lets a write pass all the same', async () => {
    const path = await made('lists', { key: 'joined', title: 'A list' });
    const reader = await newReader(t, 'joins@example.com');
    const seen = await etagOf(path);
    await ask('post', `${path}/subscribers`).send({ subscriberId: reader.id }).expect(200);
    await ask('get', path, { 'If-None-Match': seen }).expect(200);
    const answer = await ask('patch', path, { 'If-Match': seen }).send({ title: 'Joined' });
    expect([answer.status, answer.body.title, answer.body.subscribers]).toEqual([200, 'Joined', 1]);
  });

  it('of a broadcast differs when a mail has gone, and lets new words pass all the same', async () => {
    await newReader(t, 'reads@example.com');
    const split = {
      ...{ arms: [{}, { subject: 'Another' }], testPercent: 50, waitMinutes: 120, judge: 'clicks' },
      guardRails: { unsubscribes: '5%' },
    };
    const path = await made('broadcasts', broadcast({ split }));
    await ask('post', `${path}/start`).send({}).expect(200);
    await t.app.get(JobRunner).run(PLAN_BROADCASTS);
    await ask('post', `${path}/pause`).expect(200);
    const seen = await etagOf(path);
    await t.dataSource.query(
      `update message set state = 'rejected' where broadcast_id = $1 and id in (
         select min(id) from message where broadcast_id = $1)`,
      [path.split('/').at(-1)],
    );
    await ask('get', path, { 'If-None-Match': seen }).expect(200);
    await ask('patch', path, { 'If-Match': '"old"' }).send({ title: 'Summer' }).expect(412);
    const answer = await ask('patch', path, { 'If-Match': seen }).send({ title: 'Summer' });
    expect([answer.status, answer.body.title]).toEqual([200, 'Summer']);
  });
});

describe('a segment whose title and conditions are changed at once', () => {
  it('kept one of both', async () => {
    for (let round = 0; round < 5; round++) {
      const path = await made('segments', {
        ...{ key: `both-${round}`, title: 'Before', conditions: { status: ['active'] } },
      });
      await Promise.all([
        ask('patch', path).send({ title: 'After' }).expect(200),
        ask('patch', path)
          .send({ conditions: { status: ['pending'] } })
          .expect(200),
      ]);
      expect((await ask('get', path)).body).toMatchObject({
        ...{ title: 'After', conditions: { status: ['pending'] } },
      });
    }
  });
});

describe('a broadcast whose mail is exchanged by several at once', () => {
  it('was not there for those who waited: none is answered with 404', async () => {
    const path = await made('broadcasts', broadcast());
    for (let round = 0; round < 4; round++) {
      const answers = await Promise.all(
        ['welcome', 'story', 'welcome', 'story'].map(async (name) =>
          ask('patch', path).send({ template: `emails/${name}` }),
        ),
      );
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    }
  });
});

describe('a subscriber who is changed with If-Match while a step of theirs is planned', () => {
  it('kept the planner from the person, and waited for it: one of both failed', async () => {
    const { id } = await newReader(t, 'planned@example.com');
    const path = `subscribers/${id}`;
    const etag = await etagOf(path);
    const planner = t.dataSource.createQueryRunner();
    await planner.startTransaction();
    await planner.query('select 1 from enrollment where subscriber_id = $1 for update', [id]);
    const answer = ask('patch', path, { 'If-Match': etag })
      .send({ timeZone: 'Asia/Tokyo' })
      .then(({ status }) => status);
    await untilWaiting(t.dataSource, 1, answer);
    // As a row that points to them does.
    await planner.query('select 1 from subscriber where id = $1 for key share', [id]);
    await planner.commitTransaction();
    await planner.release();
    expect(await answer).toBe(200);
  });
});
