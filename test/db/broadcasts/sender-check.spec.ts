import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../../config/env.js';
import { DkimKeys } from '../../../src/delivery/signing/dkim-keys.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import type { DnsResolver } from '../../../src/infra/dns.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { FixedClock } from '../../support/clock.js';
import { dnsOf, type Zone } from '../../support/zone.js';
import { OPENED_AT, SECRET } from '../delivery/post-office.js';
import { openDesk, type Desk } from './desk.js';

const HOUR_MS = 3_600_000;

describe('the sender of a broadcast, looked up before its first mail', () => {
  let desk: Desk;
  let zone: Zone;
  let good: Zone;
  let dataDir: string;
  /** Seconds are those of the machine, which the answers are remembered by: each broadcast has a sender of its own. */
  let senders = 0;
  const questions: string[] = [];
  /** What an answer waits for. */
  let slow: (name: string) => Promise<void> = async () => undefined;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'ws-sender-'));
    const config = { ...readConfig({ DATA_DIR: dataDir }), databaseUrl: '', secretKey: SECRET, smtpUrl: '' };
    const record = await new DkimKeys(config, new FixedClock(OPENED_AT)).create('example.com');
    good = { 'A a.root-servers.net': ['198.41.0.4'], [`TXT ${record.name}`]: [record.value] };
    const answering: DnsResolver = dnsOf({});
    for (const ask of ['resolveTxt', 'resolveMx', 'resolve4', 'resolve6', 'reverse'] as const)
      Object.assign(answering, {
        [ask]: async (name: string) => (questions.push(name), await slow(name), dnsOf(zone)[ask](name)),
      });
    desk = await openDesk(
      { DATA_DIR: dataDir, SMTP_URL: 'smtp://127.0.0.1:1', BASE_URL: 'http://127.0.0.1:9' },
      answering,
    );
    await desk.people(2);
  });
  afterAll(async () => {
    await desk.t.close();
    await rm(dataDir, { recursive: true });
  });
  beforeEach(() => {
    zone = good;
    senders++;
  });

  const written = async (): Promise<string> => {
    const sender = { ...desk.draft().sender, email: `ada@s${senders}.example.com` };
    return (await desk.broadcasts.create(desk.draft({ sender }))).id;
  };
  const dead = (): Zone => Object.fromEntries(Object.keys(good).map((key) => [key, ['FAIL']]));

  it('stands in its report, however it is asked for', async () => {
    const { findings, ok } = await desk.broadcasts.check(await written());
    expect(ok).toBe(false);
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'dns', level: 'fail', message: expect.stringMatching(/^D1 SPF: /) }),
    );
  });

  it('stops the start when the key that signs is not the one the DNS publishes', async () => {
    const { 'A a.root-servers.net': root = [] } = good;
    zone = { 'A a.root-servers.net': root };
    const id = await written();
    await expect(desk.broadcasts.start(id, null)).rejects.toMatchObject({
      code: 'BROADCAST_PREFLIGHT_INVALID',
      message: expect.stringMatching(
        /^D2 DKIM: ws202603\._domainkey\.example\.com does not exist.*set DKIM_RECORD_CHECK=warn/,
      ),
    });
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'draft' });
  });

  it('does not stop the owner who says that the world sees another DNS: DKIM_RECORD_CHECK=warn', async () => {
    const { 'A a.root-servers.net': root = [] } = good;
    const knowing = await openDesk(
      { DATA_DIR: dataDir, SMTP_URL: 'smtp://127.0.0.1:1', DKIM_RECORD_CHECK: 'warn' },
      dnsOf({ 'A a.root-servers.net': root }),
    );
    try {
      await knowing.people(1);
      const { id } = await knowing.broadcasts.create(knowing.draft());
      expect((await knowing.broadcasts.check(id)).findings).toContainEqual({
        check: 'dns',
        level: 'warn',
        message: expect.stringMatching(
          /^D2 DKIM: .* does not exist.*DKIM_RECORD_CHECK=warn: sent all the same/,
        ),
      });
      await knowing.broadcasts.start(id, null);
      await knowing.t.app.get(JobRunner, { strict: false }).run('broadcasts.plan');
      expect(await knowing.broadcasts.get(id)).toMatchObject({ state: 'running', planned: 1 });
    } finally {
      await knowing.t.close();
    }
  });

  it('starts without an SPF record, as a relay may send with a return path of its own', async () => {
    const id = await written();
    await desk.broadcasts.start(id, null);
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'scheduled' });
    await desk.broadcasts.cancel(id);
  });

  it.each([
    ['gives no answer', dead],
    ['knows no name at all', () => ({})],
  ])('starts while the DNS %s', async (_, silent) => {
    zone = silent();
    const id = await written();
    await desk.broadcasts.start(id, null);
    expect((await desk.broadcasts.check(id)).findings).toContainEqual(
      expect.objectContaining({ check: 'dns', level: 'unknown' }),
    );
    await desk.broadcasts.cancel(id);
  });

  it('is looked up once for a start and the report before it', async () => {
    const id = await written();
    await desk.broadcasts.check(id);
    const asked = questions.length;
    await desk.broadcasts.start(id, null);
    expect(questions.length).toBe(asked);
    await desk.broadcasts.cancel(id);
  });

  it('does not let words go that were written while it was looked at', async () => {
    await desk.t.db.query(
      `insert into written_mail (key, subject, preview, body, created_at, updated_at) values ('written/news', 'Old', '', 'Old words', $1, $1)`,
      [OPENED_AT],
    );
    const sender = { ...desk.draft().sender, email: `ada@s${senders}.example.com` };
    const { id } = await desk.broadcasts.create(desk.draft({ sender, template: 'written/news' }));
    slow = async () => {
      await desk.t.db.query(`update written_mail set body = 'New words'`);
    };
    try {
      await expect(desk.broadcasts.start(id, null)).rejects.toMatchObject({
        code: 'BROADCAST_STATE_CONFLICT',
        message: expect.stringContaining('changed while it was looked at'),
      });
    } finally {
      slow = async () => undefined;
    }
    await desk.broadcasts.start(id, null);
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'scheduled' });
    await desk.broadcasts.cancel(id);
  });

  it('stops one that was started for later and lost its record since, until the owner lets it go on', async () => {
    const { clock, app } = desk.t;
    const id = await written();
    const runner = app.get(JobRunner, { strict: false });
    const alerts = async (): Promise<string[]> =>
      (await app.get(AlertsService, { strict: false }).open()).map(({ key }) => key);
    await desk.t.db.query(`update broadcast set state = 'scheduled', scheduled_at = $2 where id = $1`, [
      id,
      new Date(clock.now().getTime() + HOUR_MS),
    ]);
    const { 'A a.root-servers.net': root = [] } = good;
    zone = { 'A a.root-servers.net': root };
    await runner.run('broadcasts.plan');
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'scheduled' });
    clock.advance(HOUR_MS);
    await runner.run('broadcasts.plan');
    expect(await desk.broadcasts.get(id)).toMatchObject({
      state: 'paused',
      stateReason: expect.stringContaining('D2 DKIM'),
    });
    expect(await desk.t.db.query('select 1 from message')).toEqual([]);
    expect(await alerts()).toEqual([`broadcast:sender:${id}`]);
    // Their word counts although the record is still away.
    await desk.broadcasts.resume(id);
    await runner.run('broadcasts.plan');
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'running', planned: 2 });
    expect(await alerts()).toEqual([]);
    await desk.broadcasts.cancel(id);
    await runner.run('broadcasts.plan');
  });

  it('waits for a DNS that is slow, and no other broadcast does', async () => {
    const [first, other] = [await written(), await desk.broadcasts.create(desk.draft())];
    const due = async (ids: string[]): Promise<unknown> =>
      desk.t.db.query(
        `update broadcast set state = 'scheduled', scheduled_at = $2 where id = any($1::bigint[])`,
        [ids, desk.t.clock.now()],
      );
    await due([first, other.id]);
    const state = async (id: string): Promise<string> => (await desk.broadcasts.get(id)).state;
    slow = async (name) => {
      if (name.endsWith(`s${senders}.example.com`)) while ((await state(other.id)) !== 'running');
    };
    try {
      await desk.t.app.get(JobRunner, { strict: false }).run('broadcasts.plan');
    } finally {
      slow = async () => undefined;
    }
    const planned: { id: string }[] = await desk.t.db.query(
      'select m.broadcast_id as id from message m where m.broadcast_id = any($1::bigint[]) order by m.id',
      [[first, other.id]],
    );
    expect(planned.map(({ id }) => id)).toEqual([other.id, other.id, first, first]);
    expect([await state(first), await state(other.id)]).toEqual(['running', 'running']);
  });

  it('that cannot be looked up does not keep other broadcasts from being planned', async () => {
    const [bad, other] = [await written(), await written()];
    await desk.t.db.query(
      `update broadcast set state = 'scheduled', scheduled_at = $2,
         sender = case when id = $3 then jsonb_set(sender, '{email}', '"ada@localhost"') else sender end where id = any($1)`,
      [[bad, other], desk.t.clock.now(), bad],
    );
    await desk.t.app.get(JobRunner, { strict: false }).run('broadcasts.plan');
    expect(await desk.broadcasts.get(other)).toMatchObject({ state: 'running', planned: 2 });
  });
});
