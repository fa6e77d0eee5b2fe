import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { AfterWork } from '../../../src/tracking/after-work.service.js';
import { HIT_RULE_VERSION } from '../../../src/tracking/hit-class.js';
import { HitStore } from '../../../src/tracking/hit-store.service.js';
import { forgetMarks } from '../../../src/tracking/hits.queries.js';
import { VerdictsService } from '../../../src/tracking/verdicts.service.js';
import { acceptedMail, CHROME, IPHONE, settle, verdicts, visit } from './trail.js';

const MINUTE = 60_000;
const GMAIL = 'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp({ variables: { SMTP_URL: 'smtp://127.0.0.1:1' } });
});
afterAll(async () => t.close());

const api = (path: string) => t.http.get(`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);

describe('what comes back after a mail', () => {
  it('counts a single click of a person, five minutes later, and within seconds of it', async () => {
    const mail = await acceptedMail(t);
    t.clock.advance(5 * MINUTE);
    await visit(t, mail.links[0], { userAgent: IPHONE });
    await settle(t);
    expect(await verdicts(t, mail)).toEqual(['click unknown']);
    t.clock.advance(4_000);
    await settle(t);
    expect(await verdicts(t, mail)).toEqual(['click human']);
  });

  it('takes a gateway that follows all links for a scanner, its opens too, and not the reader after it', async () => {
    const mail = await acceptedMail(t);
    t.clock.advance(20_000);
    await visit(t, mail.open);
    for (const link of mail.links) {
      await visit(t, link);
      t.clock.advance(300);
    }
    t.clock.advance(5 * MINUTE);
    await visit(t, mail.links[1], { userAgent: IPHONE });
    t.clock.advance(4_000);
    await settle(t);
    expect(await verdicts(t, mail)).toEqual([
      'open scanner',
      ...mail.links.map(() => 'click scanner'),
      'click human',
    ]);
  });

  it('corrects a click that had passed for a person’s when a slow scanner shows itself', async () => {
    const mail = await acceptedMail(t, { links: 5 });
    t.clock.advance(MINUTE);
    for (const [index, link] of mail.links.entries()) {
      await visit(t, link);
      t.clock.advance(2_400);
      await settle(t);
      if (index === 2)
        expect(await verdicts(t, mail)).toEqual(['click human', 'click human', 'click unknown']);
    }
    t.clock.advance(4_000);
    await settle(t);
    expect(await verdicts(t, mail)).toEqual(mail.links.map(() => 'click scanner'));
    const { body } = await api(`events?messageId=${mail.id}`).expect(200);
    expect(body.data.at(-1)).toMatchObject({
      class: 'scanner',
      reason: 'several links of the mail at once',
      settled: true,
      earlier: [{ class: 'human', reason: 'no sign of a machine', ruleVersion: 2 }],
    });
  });

  it('sees one client that checks the mails of several readers as they are delivered', async () => {
    const mails = [await acceptedMail(t), await acceptedMail(t), await acceptedMail(t)];
    t.clock.advance(30_000);
    for (const mail of mails) await visit(t, mail.links[0], { userAgent: `${CHROME} Edg/142.0.0.0` });
    t.clock.advance(4_000);
    await settle(t);
    for (const mail of mails) expect(await verdicts(t, mail)).toEqual(['click scanner']);
  });

  it('sees it also when the mails are checked one after the other, while many clicks are judged', async () => {
    const filler = await acceptedMail(t);
    const mails = [await acceptedMail(t), await acceptedMail(t), await acceptedMail(t)];
    t.clock.advance(30_000);
    for (const [place, mail] of mails.entries()) {
      t.clock.advance([0, 1_000, 2_900][place] ?? 0);
      await visit(t, mail.links[0], { userAgent: `${CHROME} Vivaldi/7.0` });
      await verdicts(t, mail);
    }
    const [first, , third] = mails;
    await t.dataSource.query(
      `insert into tracking_event (kind, message_id, link_id, class, reason, rule_version, user_agent, ip_hash, at, method,
         accepted_at, has_accept_language, local, settles_at, subscriber_id)
       select kind, $2, link_id, class, reason, rule_version, user_agent, decode(md5(n::text), 'hex'), at, method, accepted_at,
         has_accept_language, local, settles_at - interval '1 second', subscriber_id
       from tracking_event, generate_series(1, 201) n where message_id = $1`,
      [first?.id, filler.id],
    );
    await t.dataSource.query('update tracking_event set settles_at = null where message_id = $1', [
      third?.id,
    ]);
    const settling = t.app.get(VerdictsService).settleDue();
    const between = t.app.get(AfterWork).run(async () => {
      await t.dataSource.query(
        `update tracking_event set settles_at = at + interval '4 seconds' where message_id = $1`,
        [third?.id],
      );
      t.clock.advance(200);
    });
    await Promise.all([settling, between]);
    for (const ms of [0, 1_000, 3_000]) {
      t.clock.advance(ms);
      await settle(t);
    }
    for (const mail of mails) expect(await verdicts(t, mail)).toEqual(['click scanner']);
    expect(new Set(await verdicts(t, filler))).toEqual(new Set(['click human']));
  });

  it('counts no open of Apple’s privacy proxy, Gmail’s or Yahoo’s as a person’s', async () => {
    const mail = await acceptedMail(t);
    t.clock.advance(1_000);
    for (const userAgent of ['Mozilla/5.0', GMAIL, 'YahooMailProxy; https://help.yahoo.com/kb/x.html'])
      await visit(t, mail.open, { userAgent });
    t.clock.advance(MINUTE);
    await visit(t, mail.open, { userAgent: IPHONE });
    expect(await verdicts(t, mail)).toEqual(['open proxy', 'open proxy', 'open proxy', 'open human']);
  });

  it('takes HEAD, prefetch and haste for what they are', async () => {
    const mail = await acceptedMail(t);
    t.clock.advance(1_000);
    await visit(t, mail.links[0], { userAgent: IPHONE });
    t.clock.advance(MINUTE);
    await visit(t, mail.links[0], { head: true });
    await visit(t, mail.links[1], { userAgent: IPHONE, headers: { 'sec-purpose': 'prefetch' } });
    await visit(t, mail.links[2], { userAgent: `${IPHONE} `, headers: { 'accept-language': '' } });
    t.clock.advance(MINUTE);
    await settle(t);
    expect(await verdicts(t, mail)).toEqual([
      'click scanner',
      'click scanner',
      'click proxy',
      'click unknown',
    ]);
  });

  it('judges no click as long as what came within its moment is not stored yet', async () => {
    const mail = await acceptedMail(t);
    t.clock.advance(5 * MINUTE);
    await visit(t, mail.links[0]);
    await verdicts(t, mail);
    const lane = t.app.get(AfterWork);
    const clickedMs = t.clock.now().getTime();
    t.clock.advance(MINUTE);
    lane.watch(() => clickedMs + 3_999);
    await settle(t);
    expect(await verdicts(t, mail)).toEqual(['click unknown']);
    lane.watch(() => clickedMs + 4_000);
    await settle(t);
    expect(await verdicts(t, mail)).toEqual(['click human']);
    lane.watch(() => Infinity);
  });

  it('judges no click as long as another process has what came within its moment, but for one that has ended', async () => {
    const mail = await acceptedMail(t);
    t.clock.advance(5 * MINUTE);
    await visit(t, mail.links[0]);
    await verdicts(t, mail);
    const sinceMs = t.clock.now().getTime() + 3_999;
    t.clock.advance(MINUTE);
    const store = t.app.get(HitStore);
    const other = randomUUID();
    await store.mark(other, sinceMs);
    await settle(t);
    expect(await verdicts(t, mail)).toEqual(['click unknown']);
    t.clock.advance(10_000);
    await settle(t);
    expect(await verdicts(t, mail)).toEqual(['click human']);
    await forgetMarks(t.dataSource.manager, t.clock.now());
  });

  it('judges no click before a process that has had no hits for a while could have told of one', async () => {
    const mail = await acceptedMail(t);
    t.clock.advance(5 * MINUTE);
    await visit(t, mail.links[0]);
    await verdicts(t, mail);
    const other = randomUUID();
    for (const [laterMs, verdict] of [
      [5_999, 'click unknown'],
      [1, 'click human'],
    ] as const) {
      t.clock.advance(laterMs);
      await t.app.get(HitStore).mark(other, null);
      await t.app.get(VerdictsService).settleDue();
      expect(await verdicts(t, mail)).toEqual([verdict]);
    }
    await forgetMarks(t.dataSource.manager, new Date(t.clock.now().getTime() + 1));
  });

  it('does not wait on a mail that is asked for in masses, nor for ever on one that is gone', async () => {
    const mail = await acceptedMail(t);
    await t.dataSource.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at, method, settles_at)
       select 'click', $1, 'unknown', 'test', 2, $2, 'GET', $2 from generate_series(1, 2500)`,
      [mail.id, t.clock.now()],
    );
    await t.dataSource.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at, method, settles_at)
       select 'click', -1, 'unknown', 'of a mail that is gone', 2, $1, 'GET', $1 from generate_series(1, 700)`,
      [t.clock.now()],
    );
    await settle(t);
    expect(await t.dataSource.query('select 1 from tracking_event where settles_at is not null')).toEqual([]);
    const rows: object[] = await t.dataSource.query(
      `select class, count(*)::int, count(settles_at)::int as waiting from tracking_event where message_id = $1 group by class`,
      [mail.id],
    );
    expect(rows).toEqual([{ class: 'scanner', count: 2_500, waiting: 0 }]);
  });

  it('keeps the verdict on a person’s click that turns out to be one of masses, and the rules of what they do not judge', async () => {
    const mail = await acceptedMail(t);
    await t.dataSource.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at, method, settles_at)
       select kind, $1::bigint, class, reason, 1, $2::timestamptz, 'GET', settles_at from (values
         ('click', 'human', 'somebody', null::timestamptz), ('open', 'proxy', 'a proxy', null), ('click', 'scanner', 'a scanner', null),
         ('click', 'human', 'somebody in waiting', $2)) k (kind, class, reason, settles_at)
       union all select 'click', $1, 'unknown', 'test', 2, $2, 'GET', $2 from generate_series(1, 1000)`,
      [mail.id, t.clock.now()],
    );
    await settle(t);
    const rows: object[] = await t.dataSource.query(
      `select distinct class, reason, rule_version as version, earlier from tracking_event where message_id = $1 order by 1, 2, 4`,
      [mail.id],
    );
    const masses = { class: 'scanner', reason: 'asked for in masses', version: HIT_RULE_VERSION };
    const was = { class: 'human', ruleVersion: 1 };
    expect(rows).toEqual([
      { class: 'proxy', reason: 'a proxy', version: 1, earlier: null },
      { class: 'scanner', reason: 'a scanner', version: 1, earlier: null },
      { ...masses, earlier: [{ ...was, reason: 'somebody' }] },
      { ...masses, earlier: [{ ...was, reason: 'somebody in waiting' }] },
      { ...masses, earlier: null },
    ]);
  });

  it('takes the readers of a mail that was passed on for no machine, when clicks of hours are judged at once', async () => {
    const mail = await acceptedMail(t);
    t.clock.advance(4 * 60 * MINUTE);
    await t.dataSource.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, user_agent, ip_hash, at, method, has_accept_language, accepted_at)
       select 'open', $1, 'human', 'test', 2, $3, decode(md5(n::text), 'hex'), $2::timestamptz - n * interval '9 seconds', 'GET', true,
         $2::timestamptz - interval '4 hours' from generate_series(1, 1200) n`,
      [mail.id, t.clock.now(), CHROME],
    );
    await t.dataSource.query(
      `insert into tracking_event (kind, message_id, link_id, class, reason, rule_version, user_agent, ip_hash, at, method, has_accept_language,
         accepted_at, settles_at)
       select 'click', $1, (select min(id) from link), 'unknown', 'test', 2, $3, decode(md5('c' || n || apart), 'hex'),
         $2::timestamptz - n * interval '3 hours' - apart * interval '5 seconds', 'GET', true, $2::timestamptz - interval '4 hours',
         $2::timestamptz - n * interval '3 hours' from generate_series(0, 1) n, generate_series(1, 2) apart`,
      [mail.id, t.clock.now(), CHROME],
    );
    await settle(t);
    const rows: object[] = await t.dataSource.query(
      `select kind, class, count(*)::int from tracking_event where message_id = $1 group by 1, 2 order by 1`,
      [mail.id],
    );
    expect(rows).toEqual([
      { kind: 'click', class: 'human', count: 4 },
      { kind: 'open', class: 'human', count: 1_200 },
    ]);
  });
});

describe('the list of opens and clicks', () => {
  it('pages, and is narrowed to a mail, a subscriber, a class', async () => {
    const mail = await acceptedMail(t);
    for (let hit = 0; hit < 3; hit++) await visit(t, mail.open, { userAgent: GMAIL });
    await visit(t, mail.links[0], { head: true });
    await settle(t);
    const first = (await api(`events?subscriberId=${mail.subscriberId}&limit=2`).expect(200)).body;
    expect(first.data).toMatchObject([
      {
        kind: 'click',
        class: 'scanner',
        reason: 'HEAD request',
        ruleVersion: 2,
        url: 'https://example.com/page/1',
      },
      {
        kind: 'open',
        class: 'proxy',
        reason: 'mail image proxy',
        linkId: null,
        userAgent: GMAIL,
        earlier: [],
      },
    ]);
    const rest = (
      await api(`events?subscriberId=${mail.subscriberId}&cursor=${first.nextCursor}`).expect(200)
    ).body;
    expect([rest.data.length, rest.nextCursor]).toEqual([2, null]);
    expect((await api(`events?messageId=${mail.id}&class=proxy`).expect(200)).body.data).toHaveLength(3);
    expect((await api(`events?messageId=${mail.id}&kind=click`).expect(200)).body.data).toHaveLength(1);
    await api('events?class=robot').expect(422);
  });
});

describe('hits of earlier rules', () => {
  it('are judged again, keep the earlier verdict, and the counts follow', async () => {
    const mail = await acceptedMail(t);
    const at = new Date(t.clock.now().getTime() + MINUTE);
    const old: [string, string, string, string][] = [
      ['click', 'human', 'no sign of a machine', 'Mozilla/5.0 (compatible; MadeUp/1.0)'],
      ['click', 'scanner', 'HEAD request', CHROME],
      ['click', 'scanner', 'a rule that was too strict', CHROME],
      ['open', 'human', 'no sign of a machine', 'ExampleMail Image-Proxy'],
      ['open', 'human', 'no sign of a machine', IPHONE],
    ];
    for (const [kind, hitClass, reason, userAgent] of old)
      await t.dataSource.query(
        `insert into tracking_event (kind, message_id, class, reason, rule_version, user_agent, at) values ($1, $2, $3, $4, 1, $5, $6)`,
        [kind, mail.id, hitClass, reason, userAgent, at],
      );
    t.clock.advance(10 * MINUTE);
    const started = await t.http
      .post('/api/v1/events/reclassify')
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(202);
    expect(started.body).toEqual({ ruleVersion: 2 });
    await t.app.get(JobRunner).run('tracking.reclassify');
    expect(await verdicts(t, mail)).toEqual([
      'click scanner',
      'click scanner',
      'click human',
      'open proxy',
      'open human',
    ]);
    const rows: object[] = await t.dataSource.query(
      `select rule_version as version, earlier from tracking_event where message_id = $1 order by id`,
      [mail.id],
    );
    const before = (index: number) => [{ class: old[index]?.[1], reason: old[index]?.[2], ruleVersion: 1 }];
    expect(rows).toEqual([
      { version: 2, earlier: before(0) },
      { version: 2, earlier: null },
      { version: 2, earlier: before(2) },
      { version: 2, earlier: before(3) },
      { version: 2, earlier: null },
    ]);
  });

  it('keep their verdict when their reader was erased, for what it was based on is gone', async () => {
    const mail = await acceptedMail(t);
    await t.dataSource.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at, method)
       values ('click', $1, 'human', 'no sign of a machine', 1, $2, 'GET')`,
      [mail.id, t.clock.now()],
    );
    t.clock.advance(10 * MINUTE);
    await t.app.get(JobRunner).run('tracking.reclassify');
    expect(await verdicts(t, mail)).toEqual(['click human']);
  });

  it('are found by the job itself after an upgrade, once', async () => {
    const mail = await acceptedMail(t);
    const insert = `insert into tracking_event (kind, message_id, class, reason, rule_version, user_agent, at)
      select 'open', $1, 'human', '', 1, 'curl/8.5.0', $2::timestamptz from generate_series(1, 1200)`;
    await t.dataSource.query(insert, [mail.id, t.clock.now()]);
    await t.dataSource.query(`delete from setting where key = 'tracking.reclassify'`);
    t.clock.advance(10 * MINUTE);
    await t.app.get(JobRunner).run('tracking.reclassify');
    expect(new Set(await verdicts(t, mail))).toEqual(new Set(['open scanner']));
  });
});
