import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../src/infra/jobs/job-runner.js';
import { WebhooksService } from '../../src/sequences/effects/webhooks.service.js';
import { openWalk, type Walk } from './walk.js';

const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;

/** One course with every kind of step, and people who go through it in their own ways. */
const everyKind = (hook: string): string => `
- ${mail('welcome')}
- { key: facts, set: { level: 1 } }
- { key: mark, tag: lead }
- { key: hook, webhook: "${hook}" }
- { key: hot, notify: Somebody new }
- { key: rest, wait: 1 hour }
- key: kind
  switch:
    - { if: { field: plan, is: pro }, then: [${mail('pro')}] }
    - { if: { all: [{ field: plan, is: free }, { tag: lead }] }, then: [${mail('free')}] }
  else: [${mail('other')}]
- key: fork
  split: { judge: revenue, within: 5 days, arms: [{ key: short, steps: [] }, { key: long, steps: [${mail('long', ', delay: 1 day')}] }] }
- { key: called, if: { event: booked, within: 2 days }, then: [${mail('see-you')}], else: [${mail('call-me')}] }
- { key: pitch, offer: course-kit, email: emails/offer, delay: 1 day }
- ${mail('launch', ', until: "2026-01-20 10:00", expires: 2026-01-21')}
- ${mail('renew', ', until: { field: renewal, minus: 2 days }, at: "10:00"')}
- { key: there, goal: [{ tag: client }, { purchased: course-kit }], otherwise: end }
- { key: unmark, untag: lead }
- { key: go, move: clients }`;

describe('a course with every kind of step', () => {
  let t: Walk;
  let server: Server;
  const posted: string[] = [];
  beforeAll(async () => {
    t = await openWalk({ variables: { WEBHOOK_PRIVATE_NETWORKS: 'true' } });
    server = createServer((request, response) => {
      posted.push(request.method ?? '');
      response.writeHead(200).end();
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  });
  afterAll(async () => {
    server?.close();
    await t?.test.close();
  });
  afterEach(async () => t.clear());

  /** By each reader's own clock. */
  const inboxes = async (ids: readonly string[]): Promise<string[][]> => {
    const rows: { address: string; zone: string | null }[] = await t.db.query(
      'select email as address, time_zone as zone from subscriber where id = any($1::bigint[]) order by id',
      [ids],
    );
    return Promise.all(rows.map(async ({ address, zone }) => t.inbox(address, zone ?? 'UTC')));
  };

  it('leads each person their own way, from the form to the end', async () => {
    await t.publish(`- ${mail('hello')}\n- { key: stop, end: true }`, '', 'clients');
    const hook = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    await t.publish(everyKind(hook), 'exitOn: [{ tag: bored }]\npriority: 3');
    const ann = await t.signUp('ann@example.com', { timeZone: 'America/New_York' });
    const bob = await t.signUp('bob@example.com');
    const cyd = await t.signUp('cyd@example.com', { timeZone: 'Asia/Tokyo' });
    await t.patch(`/api/v1/subscribers/${ann}`, { fields: { plan: 'pro', renewal: '2026-02-01' } });
    await t.patch(`/api/v1/subscribers/${bob}`, { fields: { plan: 'free' } });
    await t.test.app.get(WebhooksService, { strict: false }).deliverDue();
    await t.test.app.get(JobRunner).run('sequences.notify-owner');
    expect(posted).toEqual(['POST', 'POST', 'POST']);
    await t.until('2026-01-05T11:00:00Z');
    expect((await t.test.mailsTo('ada@example.com')).map(({ subject }) => subject)).toEqual(['Somebody new']);
    await t.until('2026-01-06T20:00:00Z');
    await t.post('/api/v1/events', { subscriberId: ann, name: 'booked' });
    await t.post(`/api/v1/subscribers/${cyd}/tags`, { name: 'bored' });
    await t.until('2026-01-25T00:00:00Z');
    expect(await t.place(cyd)).toMatchObject({ status: 'exited', reason: 'tagged bored' });
    // From before the date that she waits for; he is past the goal, and his course is over.
    for (const id of [ann, bob]) await t.post(`/api/v1/subscribers/${id}/tags`, { name: 'client' });
    // Who joins when the launch is over is led past it, and says so.
    const eve = await t.signUp('eve@example.com');
    await t.patch(`/api/v1/subscribers/${eve}`, { fields: { renewal: '2026-02-10' } });
    await t.until('2026-03-01T00:00:00Z');
    expect(await t.outcomes(ann)).toMatchObject({
      kind: 'case 1',
      called: 'then',
      there: 'reached',
      go: 'ran',
    });
    expect(await t.outcomes(bob)).toMatchObject({
      kind: 'case 2',
      called: 'else',
      renew: 'no date in renewal',
    });
    expect(await t.outcomes(eve)).toMatchObject({
      kind: 'else',
      launch: 'expired 2026-01-21',
      there: 'not reached',
    });
    expect(await inboxes([ann, bob, cyd, eve])).toEqual([
      [
        'Mon 5 Jan 04:00 welcome',
        'Mon 5 Jan 05:00 pro',
        'Tue 6 Jan 15:00 see-you',
        'Wed 7 Jan 15:00 pitch',
        'Tue 20 Jan 10:00 launch',
        'Sat 24 Jan 19:00 hello',
      ],
      [
        'Mon 5 Jan 09:00 welcome',
        'Mon 5 Jan 10:00 free',
        'Tue 6 Jan 10:00 long',
        'Thu 8 Jan 10:00 call-me',
        'Fri 9 Jan 10:00 pitch',
        'Tue 20 Jan 10:00 launch',
      ],
      ['Mon 5 Jan 18:00 welcome', 'Mon 5 Jan 19:00 other', 'Tue 6 Jan 19:00 long'],
      [
        'Sun 25 Jan 00:00 welcome',
        'Sun 25 Jan 01:00 other',
        'Tue 27 Jan 01:00 call-me',
        'Wed 28 Jan 01:00 pitch',
        'Sun 8 Feb 10:00 renew',
      ],
    ]);
    const places = await Promise.all(
      [ann, bob, eve].map(async (id) => (await t.place(id))?.['reason'] ?? 'end'),
    );
    expect(places).toEqual(['moved to clients', 'end', 'end']);
    const tags = await t.db.query(
      `select h.subscriber_id as id from subscriber_tag h join tag g on g.id = h.tag_id where g.name = 'lead' order by 1`,
    );
    expect(tags).toEqual([bob, cyd, eve].map((id) => ({ id })));
    expect(
      await t.db.query(`select count(*)::int as n from message where state not in ('accepted','cancelled')`),
    ).toEqual([{ n: 0 }]);
  });
});
