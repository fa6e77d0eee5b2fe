import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { newReader } from '../../support/reader.js';
import { openSmtpSink, type SmtpSink } from '../../support/smtp-sink.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const SENDER = { name: 'Ada Winters', email: 'ada@example.com', postalAddress: '12 Mill Lane, Springfield' };

let t: TestApp;
const call = (method: 'get' | 'post' | 'put', path: string, body: object = {}) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body);
const explain = async (
  id: string,
): Promise<{ decidedBy: string; answer: string; chain: { code: string }[] }> =>
  (await call('get', `messages/${id}/explain`).expect(200)).body as never;
const mail = async (where: string, parameter: string): Promise<{ id: string; state: string }> => {
  const rows: { id: string; state: string }[] = await t.dataSource.query(
    `select id, state from message where ${where} = $1`,
    [parameter],
  );
  return rows[0]!;
};

describe('why a mail goes later', () => {
  beforeAll(async () => {
    t = await startTestApp();
  });
  afterAll(async () => t.close());

  it('names no time for a mail that is of no use by then: "this one may go at", and then it expired', async () => {
    await newReader(t, 'capped@example.com');
    await call('put', 'sending/frequency', { perDay: 1, perWeek: null }).expect(200);
    const expiresAt = new Date(t.clock.now().getTime() + 2 * HOUR_MS);
    const flash = { title: 'Flash', template: 'emails/story', sender: SENDER, audience: { everybody: true } };
    const created = await call('post', 'broadcasts', { ...flash, expiresAt: expiresAt.toISOString() }).expect(
      201,
    );
    const { id } = created.body as { id: string };
    await call('post', `broadcasts/${id}/start`);
    await t.app.get(JobRunner).run('broadcasts.plan');
    await t.runDue();
    const planned = await mail('broadcast_id', id);
    expect(planned.state).toBe('ready');
    const why = await explain(planned.id);
    expect(why).toMatchObject({ decidedBy: 'EXPIRES', answer: expect.stringContaining('it is not sent') });
    expect(why.chain.map(({ code }) => code)).toContain('FREQUENCY_CAP');
    t.clock.advance(26 * HOUR_MS);
    await t.runDue();
    expect((await mail('broadcast_id', id)).state).toBe('expired');
  });
});

describe('why a mail whose first try was unclear goes later', () => {
  let relay: SmtpSink;
  beforeAll(async () => {
    relay = await openSmtpSink();
    t = await startTestApp({ relay: relay.url });
  });
  afterAll(async () => {
    await t.close();
    await relay.close();
  });

  /** A confirmation that the relay has, and of which it said nothing. */
  const lost = async (email: string): Promise<string> => {
    relay.onBody = async () => 'drop';
    await t.http.post('/p/niches').type('form').send({ email }).expect(200);
    await t.runDue();
    relay.onBody = async () => undefined;
    return (await mail('address', email)).id;
  };

  it('says that the relay may have taken it, and that it may come twice: "not taken for now"', async () => {
    const id = await lost('twice@example.com');
    const why = await explain(id);
    expect(why).toMatchObject({
      decidedBy: 'RETRY_LATER',
      answer: expect.stringContaining(
        'Whether the relay took it at an earlier try is not known: it may come twice',
      ),
    });
    expect(why.chain.filter(({ code }) => code.startsWith('ATTEMPT'))).toEqual([
      expect.objectContaining({
        code: 'ATTEMPT_UNKNOWN',
        text: expect.stringContaining('the relay did not say whether it took the mail (stage: body)'),
      }),
    ]);
  });

  it('does not say that no suppression stood against it, of one whose second try that stopped', async () => {
    const email = 'blocked@example.com';
    const id = await lost(email);
    await call('post', 'suppressions', { email, scope: 'all' });
    t.clock.advance(2 * MINUTE_MS);
    await t.runDue();
    const why = await explain(id);
    expect(why).toMatchObject({ decidedBy: 'UNKNOWN', answer: expect.stringContaining('suppression list') });
    const codes = why.chain.map(({ code }) => code);
    expect(codes).toContain('SUPPRESSED');
    expect(codes).not.toContain('NOT_SUPPRESSED');
    expect(codes).not.toContain('ATTEMPT_DEFERRED');
  });

  it('names no time for a try that is never made: "It is tried again at", and then it was too late', async () => {
    const email = 'unclear@example.com';
    const id = await lost(email);
    await t.dataSource.query('update message set expires_at = $2 where id = $1', [
      id,
      new Date(t.clock.now().getTime() + 10 * MINUTE_MS),
    ]);
    relay.onRecipient = async () => ({ code: 451, text: '4.7.1 try again later' });
    for (let time = 0; time < 3; time++) {
      t.clock.advance(3 * MINUTE_MS);
      await t.runDue();
    }
    expect(await explain(id)).toMatchObject({
      decidedBy: 'EXPIRES',
      answer: expect.stringContaining('is tried once more is later'),
    });
    relay.onRecipient = async () => undefined;
    t.clock.advance(HOUR_MS);
    await t.runDue();
    expect((await mail('address', email)).state).toBe('unknown');
  });
});
