import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { linkIn, startTestApp, type TestApp } from '../../support/app.js';
import { openSmtpSink, type SmtpSink } from '../../support/smtp-sink.js';

const DAY_MS = 86_400_000;

/** From the click in the mail program to the relay: by public address in, and by the mails and rows that come of it. */
describe('a one-click unsubscribe when the next mail is on its way already', () => {
  let t: TestApp;
  let sink: SmtpSink;
  let count = 0;
  let reader: string;
  beforeAll(async () => {
    sink = await openSmtpSink();
    t = await startTestApp({ relay: sink.url });
  });
  afterAll(async () => {
    await t.close();
    await sink.close();
  });
  beforeEach(() => {
    reader = `quick${++count}@example.com`;
    sink.onRecipient = async () => undefined;
    sink.onBody = async () => undefined;
  });

  const mails = () => sink.mails.filter(({ to }) => to.includes(reader));
  const run = async (job: string): Promise<unknown> => t.app.get(JobRunner).run(job);
  /** As a mail program does it (RFC 8058), with nothing but what stands in the header. */
  const oneClick = async (): Promise<void> => {
    const headers = mails().at(-1)?.parsed.headers ?? [];
    const value = (key: string) => headers.find((header) => header.key === key)?.value ?? '';
    expect(value('list-unsubscribe-post')).toBe('List-Unsubscribe=One-Click');
    const path = /<https?:\/\/[^/>]+(\/u\/[^>]+)>/.exec(value('list-unsubscribe'))?.[1] ?? '';
    await t.http.post(path).type('form').send({ 'List-Unsubscribe': 'One-Click' }).expect(200);
  };
  /** Somebody who has had the first mail, and whose second one is planned. */
  const waitsForTheSecond = async (): Promise<void> => {
    await t.http.post('/p/niches').type('form').send({ email: reader }).expect(200);
    await t.runDue();
    const confirmation = { html: mails().at(-1)?.parsed.html ?? '', subject: '' };
    await t.http.post(linkIn(confirmation as Parameters<typeof linkIn>[0], /\/confirm\//)).expect(200);
    await t.runDue();
    expect(mails()).toHaveLength(2);
    // It goes on working days only.
    for (let day = 0; day < 7 && (await states()).length < 3; day++) {
      t.clock.advance(DAY_MS);
      await run('sequences.advance-due');
    }
    expect(await states()).toEqual(['accepted', 'accepted', 'ready']);
  };
  const states = async (): Promise<string[]> => {
    const rows = await t.dataSource.query<{ state: string }[]>(
      'select state from message where address = $1 order by id',
      [reader],
    );
    return rows.map(({ state }) => state);
  };
  /** What has become of the second mail a day later, and of its reader. */
  const later = async (): Promise<unknown> => {
    const begun = sink.bodiesBegun;
    t.clock.advance(DAY_MS);
    await t.runDue();
    const [row] = await t.dataSource.query<object[]>(
      `select m.state, s.status from message m join subscriber s on s.id = m.subscriber_id where m.address = $1 order by m.id desc limit 1`,
      [reader],
    );
    return { ...row, mails: mails().length, bodiesSince: sink.bodiesBegun - begun };
  };
  const NEVER = {
    state: expect.stringMatching(/suppressed|cancelled/),
    ...{ status: 'unsubscribed', mails: 2, bodiesSince: 0 },
  };

  it('stops the mail that waits for its turn', async () => {
    await waitsForTheSecond();
    await oneClick();
    await run('delivery.send-due');
    expect(await later()).toEqual(NEVER);
  });

  it('stops the mail that a worker has taken and whose recipient it has named to the relay', async () => {
    await waitsForTheSecond();
    const begun = sink.bodiesBegun;
    let answeredMs = Number.POSITIVE_INFINITY;
    sink.onRecipient = async (address) => {
      if (address !== reader) return undefined;
      expect((await states()).at(-1)).toBe('leased');
      const startedMs = performance.now();
      await oneClick();
      answeredMs = performance.now() - startedMs;
      return undefined;
    };
    await run('delivery.send-due');
    expect(sink.bodiesBegun).toBe(begun);
    // It counts from the answer on, so the answer is the second in which it takes effect.
    expect(answeredMs).toBeLessThan(1_000);
    expect(await later()).toEqual(NEVER);
  });

  it('stops the second try of a mail that the relay put off while its reader left', async () => {
    await waitsForTheSecond();
    sink.onBody = async (_, to) => {
      if (!to.includes(reader)) return undefined;
      await oneClick();
      return 451;
    };
    await run('delivery.send-due');
    sink.onBody = async () => undefined;
    expect(await later()).toEqual(NEVER);
  });
});
