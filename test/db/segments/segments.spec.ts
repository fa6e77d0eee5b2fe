import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { defineOwnFields } from '../../support/own-fields.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const api = (method: 'get' | 'post' | 'patch' | 'delete', path: string) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);

async function subscriber(email: string, rest: object = {}): Promise<string> {
  const { body } = await api('post', 'subscribers')
    .send({ email, ...rest })
    .expect(201);
  await t.dataSource.query(`update subscriber set status = 'active' where id = $1`, [body.id]);
  return body.id as string;
}
const count = async (conditions: object): Promise<number> =>
  (await api('post', 'segments/count').send({ conditions }).expect(200)).body.count as number;

describe('own fields', () => {
  it('are defined once, listed, renamed and given more choices, never fewer', async () => {
    const { body } = await api('post', 'fields')
      .send({ key: 'size', label: 'Size', type: 'choice', choices: ['S', 'M'] })
      .expect(201);
    expect(body).toMatchObject({ key: 'size', type: 'choice', choices: ['S', 'M'] });
    await api('post', 'fields').send({ key: 'size', label: 'x', type: 'text' }).expect(409);
    const change = { label: 'T-shirt', choices: ['S', 'M', 'L'] };
    expect((await api('patch', `fields/${body.id}`).send(change).expect(200)).body).toMatchObject(change);
    const fewer = await api('patch', `fields/${body.id}`)
      .send({ choices: ['S'] })
      .expect(422);
    expect(fewer.body).toMatchObject({ code: 'FIELD_CHOICES_INVALID', errors: [{ field: 'choices' }] });
    expect((await api('get', 'fields?limit=1').expect(200)).body.data).toMatchObject([{ key: 'size' }]);
    await api('get', 'fields/999999').expect(404);
  });

  it('are removed with what people have in them, unless something asks for them', async () => {
    const { body } = await api('post', 'fields')
      .send({ key: 'shoe', label: 'Shoe', type: 'number' })
      .expect(201);
    await defineOwnFields(t.dataSource, { other: 'number' });
    const id = await subscriber('shoe@example.com', { fields: { shoe: 41, other: 1 } });
    const conditions = { any: [{ tag: 'x' }, { not: { field: 'shoe', op: 'above', value: 40 } }] };
    const segment = await api('post', 'segments').send({ key: 'big', title: 'Big', conditions }).expect(201);
    const refused = await api('delete', `fields/${body.id}`).expect(409);
    expect(refused.body).toMatchObject({
      code: 'FIELD_IN_USE_CONFLICT',
      detail: 'The field "shoe" is used by the segment "Big"',
    });
    await api('delete', `segments/${segment.body.id}`).expect(204);
    await t.dataSource.query(
      `with q as (insert into sequence (key, funnel_key, title, sender, created_at, updated_at)
         values ('fills', 'f', 'Fills', '{}', now(), now()) returning id),
       v as (insert into sequence_version (sequence_id, version, definition, definition_hash, created_at)
         select id, 1, '{"nodes": [{"kind": "set", "fields": {"shoe": 1}}]}', '\\x00', now() from q returning id)
       select 1`,
    );
    await t.dataSource.query(
      `update sequence q set current_version_id = v.id from sequence_version v where v.sequence_id = q.id and q.key = 'fills'`,
    );
    const { body: inUse } = await api('delete', `fields/${body.id}`).expect(409);
    expect(inUse.detail).toContain('the sequence "Fills"');
    await t.dataSource.query(`update sequence set current_version_id = null where key = 'fills'`);
    await api('delete', `fields/${body.id}`).expect(204);
    expect((await api('get', `subscribers/${id}`)).body.fields).toEqual({ other: 1 });
    await api('delete', `fields/${body.id}`).expect(404);
  });

  it.each([
    ['a choice without choices', { key: 'a', label: 'A', type: 'choice' }],
    ['choices of a number', { key: 'a', label: 'A', type: 'number', choices: ['1'] }],
    ['the key of a column', { key: 'email', label: 'A', type: 'text' }],
    ['a key that is none', { key: 'A b', label: 'A', type: 'text' }],
    ['a type that is none', { key: 'a', label: 'A', type: 'json' }],
  ])('are refused: %s', async (_, body) => {
    expect((await api('post', 'fields').send(body)).status).toBe(422);
  });

  it('hold what fits their type and refuse the rest, naming the field and what is allowed', async () => {
    for (const [key, type] of Object.entries({ age: 'number', born: 'date', vip: 'boolean', city: 'text' }))
      await api('post', 'fields').send({ key, label: key, type }).expect(201);
    const fields = { age: 41.5, born: '1984-02-29', vip: false, city: 'Wien', size: 'M' };
    const id = await subscriber('typed@example.com', { fields });
    expect((await api('get', `subscribers/${id}`)).body.fields).toEqual(fields);
    const wrong = { age: '41', born: '1983-02-29', vip: 'no', city: 7, size: 'XL' };
    const { body } = await api('patch', `subscribers/${id}`).send({ fields: wrong }).expect(422);
    expect(body.code).toBe('FIELD_VALUE_INVALID');
    expect(body.errors.map(({ field }: { field: string }) => field)).toEqual(
      Object.keys(wrong).map((key) => `fields.${key}`),
    );
    expect((await api('get', `subscribers/${id}`)).body.fields).toEqual(fields);
    await api('patch', `subscribers/${id}`)
      .send({ fields: { vip: null } })
      .expect(200);
  });
});

describe('lists', () => {
  it('are removed, and the people stay, unless something asks for them', async () => {
    const { body } = await api('post', 'lists').send({ key: 'gone', title: 'Gone' }).expect(201);
    const id = await subscriber('stays@example.com');
    await api('post', `lists/${body.id}/subscribers`).send({ subscriberId: id }).expect(200);
    const draft = { key: 'listed', title: 'Listed', conditions: { all: [{ list: 'gone' }] } };
    const segment = await api('post', 'segments').send(draft).expect(201);
    const { body: refused } = await api('delete', `lists/${body.id}`).expect(409);
    expect(refused).toMatchObject({
      code: 'LIST_IN_USE_CONFLICT',
      detail: expect.stringContaining('"Listed"'),
    });
    await api('delete', `segments/${segment.body.id}`).expect(204);
    await api('delete', `lists/${body.id}`).expect(204);
    await api('delete', `lists/${body.id}`).expect(404);
    await api('get', `subscribers/${id}`).expect(200);
  });

  it('are made, changed, filled and emptied', async () => {
    const { body } = await api('post', 'lists').send({ key: 'news', title: 'News' }).expect(201);
    await api('post', 'lists').send({ key: 'news', title: 'News' }).expect(409);
    await api('patch', `lists/${body.id}`).send({ title: 'The news' }).expect(200);
    const subscriberId = await subscriber('listed@example.com');
    for (let twice = 0; twice < 2; twice += 1)
      await api('post', `lists/${body.id}/subscribers`).send({ subscriberId }).expect(200);
    expect((await api('get', 'lists').expect(200)).body.data).toMatchObject([
      { key: 'news', title: 'The news', subscribers: 1 },
    ]);
    expect(await count({ list: 'news' })).toBe(1);
    const off = await api('delete', `lists/${body.id}/subscribers/${subscriberId}`).expect(200);
    expect(off.body.subscribers).toBe(0);
    await api('post', `lists/${body.id}/subscribers`).send({ subscriberId: '999999' }).expect(404);
    await api('post', 'lists/999999/subscribers').send({ subscriberId }).expect(404);
  });
});

describe('segments', () => {
  it('are kept, counted as of now, paged, changed and removed', async () => {
    for (const n of [1, 2, 3]) await subscriber(`p${n}@tags.example.com`, { tags: ['paged'] });
    const draft = { key: 'paged', title: 'Paged', conditions: { tag: 'paged' } };
    const { body } = await api('post', 'segments').send(draft).expect(201);
    expect(body).toMatchObject(draft);
    await api('post', 'segments').send(draft).expect(409);
    expect((await api('get', `segments/${body.id}/count`).expect(200)).body).toEqual({ count: 3 });
    await subscriber('p4@tags.example.com', { tags: ['paged'] });
    expect((await api('get', `segments/${body.id}/count`).expect(200)).body).toEqual({ count: 4 });
    const first = (await api('get', `segments/${body.id}/subscribers?limit=3`).expect(200)).body;
    const rest = (await api('get', `segments/${body.id}/subscribers?limit=3&cursor=${first.nextCursor}`))
      .body;
    expect([...first.data, ...rest.data].map(({ email }: { email: string }) => email[1])).toEqual([
      ...'4321',
    ]);
    expect(rest.nextCursor).toBeNull();
    const conditions = {
      all: [{ tag: 'paged' }, { not: { field: 'email', op: 'startsWith', value: 'p1' } }],
    };
    await api('patch', `segments/${body.id}`).send({ conditions }).expect(200);
    expect((await api('get', `segments/${body.id}/count`)).body).toEqual({ count: 3 });
    await api('delete', `segments/${body.id}`).expect(204);
    await api('get', `segments/${body.id}`).expect(404);
  });

  it('have pages that go through all of them, however far apart they are', async () => {
    const ids = [1_024, 1_088, 1_151, 1_152, 150_000, 390_000, 396_500, 399_999, 400_000, 400_001];
    await t.dataSource.query(
      `insert into subscriber (id, email, email_key, status, created_at, updated_at) overriding system value
       select id, 'far' || id || '@example.com', 'far' || id || '@example.com', 'active', now(), now() from unnest($1::bigint[]) id`,
      [ids],
    );
    await t.dataSource.query(
      `with g as (insert into tag (name, created_at) values ('far', now()) returning id)
       insert into subscriber_tag select s.id, g.id, now() from subscriber s, g where s.id = any ($1::bigint[])`,
      [ids],
    );
    const conditions = { all: [{ tag: 'far' }, { not: { clicked: { withinDays: 1 } } }] };
    const { body } = await api('post', 'segments').send({ key: 'far', title: 'Far', conditions }).expect(201);
    for (const limit of [1, 3, 100]) {
      const found: string[] = [];
      for (let path = `segments/${body.id}/subscribers?limit=${limit}`; path !== '';) {
        const { data, nextCursor } = (await api('get', path).expect(200)).body as {
          data: { id: string }[];
          nextCursor: string | null;
        };
        found.push(...data.map(({ id }) => id));
        const next = `segments/${body.id}/subscribers?limit=${limit}&cursor=${nextCursor}`;
        path = nextCursor === null ? '' : next;
      }
      expect(found).toEqual(ids.map(String).toReversed());
    }
    expect((await api('get', `segments/${body.id}/count`)).body).toEqual({ count: ids.length });
    await api('delete', `segments/${body.id}`).expect(204);
    await t.dataSource.query(
      'delete from subscriber where id >= 1000; delete from subscriber_tag where subscriber_id >= 1000',
    );
  });

  it('refuse what is not there, by its place in the tree, and change nothing', async () => {
    const conditions = {
      all: [
        { list: 'nowhere' },
        { not: { field: 'shoeSize', op: 'isSet' } },
        { purchased: { product: 'nothing' } },
        { clicked: { broadcast: '999' } },
        { tag: 'nobody-yet' },
      ],
    };
    const { body } = await api('post', 'segments').send({ key: 'wrong', title: 'W', conditions }).expect(422);
    expect(body.code).toBe('SEGMENT_CONDITIONS_INVALID');
    expect(body.errors.map(({ field }: { field: string }) => field).toSorted()).toEqual(
      ['conditions.all.0', 'conditions.all.1.not', 'conditions.all.2', 'conditions.all.3'].toSorted(),
    );
    const all = await api('get', 'segments').expect(200);
    expect(all.body.data).toEqual([]);
    await api('post', 'segments')
      .send({ key: 'sql', title: 'S', conditions: { field: `x' or '1'='1`, op: 'isSet' } })
      .expect(422);
  });

  it('knows who clicked by the hits of the product itself, and lets go of who is erased', async () => {
    const id = await subscriber('clicker@example.com');
    const [message] = await t.dataSource.query(
      `with t as (insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
         values ('s', 's', '', '', '', '', now()) returning id)
       insert into message (dedupe_key, class, kind, subscriber_id, email_template_id, sender, address, address_hash,
         message_id_header, state, due_at, created_at)
       select 'seg', 'marketing', 'broadcast', $1, t.id, '{}', 'a', 'h', 'h', 'accepted', now(), now() from t returning id`,
      [id],
    );
    const verdict = { class: 'human', reason: 'r', waits: false } as const;
    const { insertHits } = await import('../../../src/tracking/hits.queries.js');
    await insertHits(t.dataSource.manager, {
      id: '00000000-0000-4000-8000-000000000001',
      sources: [
        {
          ...{ kind: 'click', userAgent: 'x', ipHash: '00', method: 'GET', purpose: null },
          ...{ hasAcceptLanguage: true, fetchDest: null, network: null, local: false },
          ...{ usual: verdict, tooFast: verdict },
        },
      ],
      hits: [{ source: 0, messageId: message.id, linkId: null, atMs: t.clock.now().getTime() - 1_000 }],
      ...{ ruleVersion: 1, fastestMs: 0 },
      settleMs: 0,
      now: t.clock.now(),
    });
    expect(await count({ clicked: { withinDays: 30 } })).toBe(1);
    // Their mail program shows no pictures: they are no reader who has gone to sleep.
    expect(await count({ all: [{ clicked: {} }, { opened: { withinDays: 90 } }] })).toBe(1);
    expect(await count({ all: [{ clicked: {} }, { not: { opened: { withinDays: 90 } } }] })).toBe(0);
    const { forgetSubscriber } = await import('../../../src/tracking/forget.queries.js');
    await forgetSubscriber(t.dataSource.manager, id);
    expect(await count({ clicked: {} })).toBe(0);
  });
});

describe('a broadcast to segments', () => {
  const BODY = {
    title: 'To some',
    template: 'emails/story',
    sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' },
  };

  it('reaches any of them less the others, each mailbox once, as they were at its start', async () => {
    await subscriber('both@example.com', { tags: ['x', 'y'] });
    await subscriber('x@example.com', { tags: ['x'] });
    await subscriber('y@example.com', { tags: ['y'] });
    await subscriber('not@example.com', { tags: ['x', 'z'] });
    const ids: Record<string, string> = {};
    for (const key of ['x', 'y', 'z'])
      ids[key] = (
        await api('post', 'segments')
          .send({ key, title: key, conditions: { tag: key } })
          .expect(201)
      ).body.id;
    const audience = { segments: { any: ['x', 'y'], none: ['z'] } };
    const { body } = await api('post', 'broadcasts')
      .send({ ...BODY, audience })
      .expect(201);
    expect((await api('get', `broadcasts/${body.id}/audience`)).body).toEqual({ size: 3 });
    expect((await api('delete', `segments/${ids['x']}`).expect(409)).body.detail).toContain('"To some"');
    await api('post', `broadcasts/${body.id}/start`).send({}).expect(200);
    expect(await t.app.get(JobRunner).run('broadcasts.plan')).toBe('done');
    await api('patch', `segments/${ids['x']}`)
      .send({ conditions: { tag: 'z' } })
      .expect(200);
    expect(await t.app.get(JobRunner).run('delivery.send-due')).toBe('done');
    for (const name of ['both', 'x', 'y']) expect(await t.mailsTo(`${name}@example.com`)).toHaveLength(1);
    expect(await t.mailsTo('not@example.com')).toHaveLength(0);
    const [frozen] = await t.dataSource.query('select segments from broadcast where id = $1', [body.id]);
    expect(frozen.segments).toEqual({ x: { tag: 'x' }, y: { tag: 'y' }, z: { tag: 'z' } });
  });

  it('is refused for a segment that is not there', async () => {
    const { body } = await api('post', 'broadcasts')
      .send({ ...BODY, audience: { segments: { none: ['gone'] } } })
      .expect(404);
    expect(body).toMatchObject({ code: 'SEGMENT_NOT_FOUND', facts: { key: 'gone' } });
  });
});
