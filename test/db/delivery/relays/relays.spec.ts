import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RelaysService } from '../../../../src/delivery/relays/relays.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { openPacing, openWorker, type PacingApp } from '../pacing/pacing-app.js';
import { empty } from '../../../support/database.js';

const SMTP_URL = `smtp://user:secret@one.example.com:25?name=one&weight=3&lanes=4, smtps://two.example.com?weight=1
  smtp://spare.example.com?weight=0`;

describe('several relays', () => {
  let t: PacingApp;
  let second: PacingApp;
  let relays: RelaysService;
  let others: RelaysService;
  beforeAll(async () => {
    t = await openPacing({ env: { SMTP_URL } });
    second = await openWorker(t.url, { env: { SMTP_URL } });
    relays = t.app.get(RelaysService);
    others = second.app.get(RelaysService);
  });
  afterAll(async () => {
    await second.close();
    await t.close();
  });
  afterEach(async () => {
    await empty(t.db, 'relay_state, alert');
    await relays.view();
    await others.view();
  });

  const chosen = async (times = 60, from = relays): Promise<Set<string | undefined>> => {
    const names = new Set<string | undefined>();
    for (let index = 0; index < times; index++) names.add((await from.choose())?.name);
    return names;
  };
  const fail = async (
    name: string,
    kind: Parameters<RelaysService['failed']>[1],
    times: number,
  ): Promise<void> => {
    for (let index = 0; index < times; index++) await relays.failed({ name }, kind, 'reason');
  };
  const pause = async (name: string): Promise<number> => {
    const rows: { seconds: number }[] = await t.db.query(
      `select round(extract(epoch from opened_until - updated_at))::float8 as seconds from relay_state where key = $1`,
      [name],
    );
    return rows[0]?.seconds ?? 0;
  };
  const endPause = async (): Promise<unknown> =>
    t.db.query(`update relay_state set opened_until = clock_timestamp() where opened_until is not null`);

  it('reads them from SMTP_URL with their options, and shows no password', async () => {
    expect(await relays.view()).toMatchObject([
      { name: 'one', host: 'one.example.com:25', weight: 3, lanes: 4, state: 'untried' },
      { name: 'two.example.com', host: 'two.example.com', weight: 1, lanes: null },
      { name: 'spare.example.com', weight: 0 },
    ]);
    expect(JSON.stringify(await relays.view())).not.toContain('secret');
    const one = relays.all()[0];
    expect(one?.url.href).toBe('smtp://user:secret@one.example.com:25');
  });

  it('uses those with a weight while they work, and the spare when none does', async () => {
    expect(await chosen()).toEqual(new Set(['one', 'two.example.com']));
    await fail('one', 'connect', 3);
    expect(await chosen(20)).toEqual(new Set(['two.example.com']));
    await fail('two.example.com', 'auth', 1);
    expect(await chosen(20)).toEqual(new Set(['spare.example.com']));
    await fail('spare.example.com', 'connect', 3);
    expect(await relays.choose()).toBeNull();
    expect(await relays.anyUsable()).toBe(false);
    await endPause();
    await relays.view();
    expect(await relays.anyUsable()).toBe(true);
  });

  it.each([
    ['connect', 3],
    ['silent', 5],
    ['auth', 1],
    ['sender_refused', 3],
    ['throttled', 10],
    ['putting_off', 1],
  ] as const)('opens on %s after %i in a row, for all workers', async (kind, times) => {
    await fail('one', kind, times - 1);
    expect((await relays.view())[0]?.state).toBe(times === 1 ? 'untried' : 'closed');
    await fail('one', kind, 1);
    expect((await others.view())[0]?.state).toBe('open');
    expect(await chosen(20, others)).toEqual(new Set(['two.example.com']));
  });

  it('does not add up troubles between which mails were taken', async () => {
    for (let round = 0; round < 4; round++) {
      await fail('one', 'connect', 2);
      await relays.worked({ name: 'one' });
    }
    expect((await relays.view())[0]?.state).toBe('closed');
  });

  it('is tried again after the pause by one mail of one worker, and waits twice as long when that fails', async () => {
    await fail('one', 'connect', 3);
    expect(await pause('one')).toBe(5);
    await endPause();
    await others.view();
    const asked = await Promise.all(
      Array.from({ length: 10 }, async (_, index) => (index % 2 === 0 ? relays : others).choose()),
    );
    const probes = asked.filter((relay) => relay?.probe);
    expect(probes.map((relay) => relay?.name)).toEqual(['one']);
    expect(new Set(asked.filter((relay) => !relay?.probe).map((relay) => relay?.name))).toEqual(
      new Set(['two.example.com']),
    );
    await fail('one', 'connect', 1);
    expect(await pause('one')).toBe(10);
    // Lanes that were under way learn of it late and change nothing.
    await fail('one', 'connect', 20);
    expect(await pause('one')).toBe(10);
  });

  it('waits a little longer, not a quarter of an hour, when the kind of trouble changes; and begins anew when it worked', async () => {
    await fail('one', 'throttled', 10);
    expect(await pause('one')).toBe(15);
    const probe = async (kind: Parameters<RelaysService['failed']>[1]): Promise<number> => {
      await endPause();
      await relays.view();
      await relays.choose();
      await fail('one', kind, 1);
      return pause('one');
    };
    expect([await probe('connect'), await probe('auth'), await probe('throttled')]).toEqual([30, 60, 120]);
    await endPause();
    await relays.view();
    await relays.choose();
    await relays.worked({ name: 'one' });
    await fail('one', 'connect', 3);
    expect(await pause('one')).toBe(5);
  });

  it('works again after a probe that was taken', async () => {
    await fail('one', 'auth', 1);
    await endPause();
    const probe = await relays.choose();
    expect(probe).toMatchObject({ name: 'one', probe: true });
    await relays.worked({ name: 'one' });
    expect(await chosen(60, others)).toEqual(new Set(['one', 'two.example.com']));
  });

  it('blames nobody for what it put off an hour and a half ago: a broadcast of then was passed over', async () => {
    await fail('one', 'auth', 1);
    const mails = ['a', 'b', 'c'].map((receiver) => ({
      ...{ id: receiver, templateId: '7', receiver, plain: true },
      atMs: t.clock.now().getTime() - 90 * 60_000,
    }));
    await t.db.query(`update relay_state set put_offs = $1`, [{ mails, blamed: [] }]);
    await endPause();
    await relays.view();
    await relays.choose();
    await relays.worked({ name: 'one' }, 'R');
    const rows: unknown[] = await t.db.query('select state, put_offs as "putOffs" from relay_state');
    expect(rows).toEqual([{ state: 'closed', putOffs: { mails: [], blamed: [] } }]);
  });

  it('lets another worker try when the first had no mail for it, or died', async () => {
    await fail('one', 'auth', 1);
    await endPause();
    const probe = await relays.choose();
    if (probe) await relays.notTried(probe);
    await others.view();
    expect(await others.choose()).toMatchObject({ name: 'one', probe: true });
    await endPause();
    await relays.view();
    expect(await relays.choose()).toMatchObject({ name: 'one', probe: true });
  });

  it('tells the owner while a relay is out, without an address from its reply', async () => {
    await relays.failed(
      { name: 'one' },
      'auth',
      '535 5.7.8 <ada@example.com>: see https://help.example.com/?t=token',
    );
    const [alert] = await t.app.get(AlertsService).open();
    expect(alert).toMatchObject({ key: 'relay:one', severity: 'warning', facts: { kind: 'auth' } });
    expect(JSON.stringify(alert)).not.toMatch(/ada@|token/);
    expect(alert?.facts['reply']).toBe('535 5.7.8 <(address)>: see (link)');
    await endPause();
    await relays.choose();
    await relays.worked({ name: 'one' });
    expect(await t.app.get(AlertsService).open()).toEqual([]);
  });

  it('says as a critical alert that no relay works, until one does: there was a warning of each', async () => {
    const critical = async (): Promise<string[]> =>
      (await t.app.get(AlertsService).open())
        .filter(({ severity }) => severity === 'critical')
        .map(({ message }) => message);
    const names = relays.all().map(({ name }) => name);
    for (const name of names.slice(1)) await fail(name, 'auth', 1);
    expect(await critical()).toEqual([]);
    await fail('one', 'connect', 3);
    expect(await critical()).toEqual([expect.stringMatching(/^No mail relay works/)]);
    await endPause();
    await others.view();
    await others.choose();
    await others.worked({ name: 'one' });
    expect(await critical()).toEqual([]);
  });

  it('is no outage any more when the relays are others after a start, and one of them takes a mail', async () => {
    const alerts = t.app.get(AlertsService);
    await fail('one', 'auth', 1);
    await fail('two.example.com', 'auth', 1);
    await fail('spare.example.com', 'auth', 1);
    const later = await openWorker(t.url, { env: { SMTP_URL: 'smtp://new.example.com' } });
    await later.app.get(RelaysService).worked({ name: 'new.example.com' });
    expect(await alerts.open()).toEqual([]);
    await later.close();
  });
});
