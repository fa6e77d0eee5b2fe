import { PromptSmtpServer } from '../../../src/infra/mailbox/prompt-smtp-server.js';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HeldService } from '../../../src/delivery/waiting/held.service.js';
import { JobRegistry } from '../../../src/infra/jobs/job-registry.js';
import { UndeliverableService } from '../../../src/subscribers/undeliverable.service.js';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';

const DAY_MS = 86_400_000;
const MUTE = '554 5.7.1 Service unavailable';
const HELD = 'refused because of the sender: unexplained';

/** A relay that hears every mail to its end, and then refuses it for whom the test says. */
async function openRelay(
  refusal: (address: string) => string | null,
): Promise<{ url: string; close(): Promise<void> }> {
  const server = new PromptSmtpServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: 200,
    onData: (stream, { envelope }, done) => {
      stream.resume();
      const said = refusal(envelope.rcptTo[0]?.address ?? '');
      const [code = 0, ...words] = said?.split(' ') ?? [];
      stream.once('end', () =>
        said === null
          ? done(null, 'taken')
          : done(Object.assign(new Error(words.join(' ')), { responseCode: Number(code) })),
      );
    },
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    close: async () => new Promise<void>((resolve) => server.close(resolve)),
  };
}

describe('one mailbox that refuses every mail at its end without a word', () => {
  let relay: Awaited<ReturnType<typeof openRelay>>;
  let office: BounceOffice;
  let refusals: Record<string, string> = {};
  let templates: string[] = [];
  let sent = 0;
  let funnels = 0;

  beforeAll(async () => {
    relay = await openRelay((address) => refusals[address] ?? null);
    office = await openBounceOffice({ SMTP_URL: relay.url });
    for (const key of ['emails/welcome', 'emails/story', 'emails/nudge'])
      templates.push(await office.templates.publish(office.db.manager, key));
  });
  afterAll(async () => {
    await office.close();
    await relay.close();
  });
  beforeEach(() => {
    refusals = {};
    // What is refused for several pauses their sequence.
    funnels++;
  });

  const run = async (name: string, signal = new AbortController().signal): Promise<void> => {
    const job = office.app.get(JobRegistry, { strict: false }).get(name);
    await job?.run({ deadline: Number.MAX_SAFE_INTEGER, signal });
  };
  const look = async (): Promise<void> => {
    for (const name of ['bounces.take-refusals', 'bounces.end-refusing', 'bounces.watch-rates'])
      await run(name);
  };
  /** A mail of the sequence to each of them. */
  const send = async (at: number, ...to: string[]): Promise<string[]> => {
    const ids: string[] = [];
    for (const email of to) {
      const rows: { id: string }[] = await office.db.query('select id from subscriber where email = $1', [
        email,
      ]);
      ids.push(
        await office.plan(email, {
          ...{ dedupeKey: `step:${++sent}`, funnelKey: `funnel-${funnels}` },
          templateId: templates[at % templates.length] ?? '',
          ...(rows[0] ? { subscriberId: rows[0].id } : {}),
        }),
      );
    }
    // A block has slowed down what comes after it, by how fast mails went before: on a busy machine to one a second.
    await office.db.query('delete from send_bucket');
    await office.sendDue();
    return ids;
  };
  const step = async (at: number, ...to: string[]): Promise<string[]> => {
    const ids = await send(at, ...to);
    await look();
    return ids;
  };
  /** Three of them, with so many days in between. */
  const steps = async (days: number, ...to: string[]): Promise<string[]> => {
    const first: string[] = [];
    for (let at = 0; at < 3; at++) {
      if (at > 0) office.clock.advance(days * DAY_MS);
      first.push((await step(at, ...to))[0] ?? '');
    }
    return first;
  };
  const isHeld = async (id: string | undefined): Promise<void> =>
    expect(await office.state(id ?? '')).toMatchObject({ state: 'held', reason: HELD });

  it('had its mails held for ever: it ends like one that mails do not reach, and so do they', async () => {
    refusals = { 'mute@mail.example': MUTE };
    const ids = await steps(2, 'mute@mail.example', 'eve@mail.example');
    expect(await office.status('mute@mail.example')).toBe('bounced');
    expect(await office.suppressed('mute@mail.example')).toEqual(['marketing soft_bounce']);
    for (const id of ids)
      expect(await office.state(id)).toMatchObject({ state: 'suppressed', reason: 'suppression list' });
    expect(await office.status('eve@mail.example')).toBe('active');
    expect((await office.alertKeys()).filter((key) => key.startsWith('bounces:'))).toEqual([]);
  });

  it('ends also where the relay takes the mails and reports come back', async () => {
    for (let at = 0; at < 3; at++) {
      await step(at, 'eve@told.example');
      const [id = ''] = await step(at, 'told@told.example');
      office.clock.advance(60_000);
      expect(await office.comesBack(id, { status: '5.7.1', diagnostic: '550 5.7.1 Access denied' })).toBe(
        'counted',
      );
      office.clock.advance(2 * DAY_MS);
    }
    await look();
    expect(await office.suppressed('told@told.example')).toEqual(['marketing soft_bounce']);
    expect(await office.suppressed('eve@told.example')).toEqual([]);
  });

  it('ends again with the next such mail when the owner writes again, and not before', async () => {
    const [[row]]: [{ id: string }[], number] = await office.db.query(
      `update subscriber set confirmed_at = '2026-01-01' where email = 'mute@mail.example' returning id`,
    );
    await office.app.get(UndeliverableService, { strict: false }).writeAgain(row?.id ?? '');
    await look();
    expect(await office.status('mute@mail.example')).toBe('active');
    office.clock.advance(DAY_MS);
    refusals = { 'mute@mail.example': MUTE };
    await step(0, 'mute@mail.example');
    expect(await office.status('mute@mail.example')).toBe('bounced');
  });

  it('waits for the owner when the three mails came within a day', async () => {
    refusals = { 'soon@mail.example': '550 rejected' };
    const ids = await steps(0.5, 'soon@mail.example', 'eve@mail.example');
    expect(await office.status('soon@mail.example')).toBe('active');
    await isHeld(ids[2]);
    expect(await office.app.get(HeldService, { strict: false }).cancel({ reason: HELD })).toBe(3);
    expect(await office.status('soon@mail.example')).toBe('active');
  });

  it('is not blamed where others of its receiver are refused the same mails', async () => {
    refusals = { 'one@many.example': MUTE, 'two@many.example': '550 5.7.1 listed at bl.example.net' };
    const ids = await steps(2, 'one@many.example', 'two@many.example', 'eve@many.example');
    await isHeld(ids[0]);
    expect(await office.status('one@many.example')).toBe('active');
    expect(await office.status('two@many.example')).toBe('active');
  });

  it('is not blamed where nobody else of its receiver has had them', async () => {
    refusals = { 'only@alone.example': MUTE };
    await isHeld((await steps(2, 'only@alone.example', 'eve@mail.example'))[2]);
    expect(await office.status('only@alone.example')).toBe('active');
  });

  it('is not blamed where others had other mails', async () => {
    refusals = { 'ill@words.example': MUTE };
    await step(0, 'eve@words.example');
    office.clock.advance(DAY_MS);
    await isHeld((await steps(2, 'ill@words.example'))[2]);
    expect(await office.status('ill@words.example')).toBe('active');
  });

  it('is not blamed where one of the refusals says that it is about us', async () => {
    refusals = { 'spam@mail.example': '554 5.7.1 Message rejected as spam' };
    await step(0, 'spam@mail.example');
    refusals = { 'spam@mail.example': MUTE };
    office.clock.advance(2 * DAY_MS);
    await isHeld((await steps(2, 'spam@mail.example', 'eve@mail.example'))[2]);
    expect(await office.status('spam@mail.example')).toBe('active');
  });

  it('is not blamed where it took a mail in between', async () => {
    refusals = { 'moody@mail.example': MUTE };
    await steps(2, 'eve@mail.example');
    await step(0, 'moody@mail.example');
    await step(1, 'moody@mail.example');
    refusals = {};
    office.clock.advance(2 * DAY_MS);
    await step(2, 'moody@mail.example');
    refusals = { 'moody@mail.example': MUTE };
    office.clock.advance(2 * DAY_MS);
    await isHeld((await step(0, 'moody@mail.example'))[0]);
    expect(await office.status('moody@mail.example')).toBe('active');
  });

  it('is not blamed for a block of its whole receiver that began after others took the same mails', async () => {
    const before = Array.from({ length: 10 }, (_, at) => `a${at}@blocked.example`);
    const after = ['b@blocked.example', 'c@blocked.example'];
    for (let at = 0; at < 3; at++) await step(at, ...before, 'a@pair.example');
    office.clock.advance(31 * DAY_MS);
    refusals = Object.fromEntries([...after, 'b@pair.example'].map((email) => [email, '550 5.7.1']));
    await isHeld((await steps(2, ...after))[0]);
    funnels++;
    await isHeld((await steps(2, 'b@pair.example'))[0]);
    for (const email of [...after, 'b@pair.example']) expect(await office.status(email)).toBe('active');
  });

  it('is not blamed for such a block when it refused one mail before it', async () => {
    refusals = { 'b@early.example': MUTE };
    await step(0, 'a@early.example', 'b@early.example');
    office.clock.advance(60_000);
    for (const at of [1, 2]) await step(at, 'a@early.example');
    office.clock.advance(31 * DAY_MS);
    await step(1, 'b@early.example');
    office.clock.advance(2 * DAY_MS);
    await isHeld((await step(2, 'b@early.example'))[0]);
    expect(await office.status('b@early.example')).toBe('active');
  });

  it('ends after three mails that others took seconds before and after it: it took five', async () => {
    refusals = { 'mute@quick.example': MUTE };
    for (let at = 0; at < 3; at++) {
      for (const name of ['eve', 'mute', 'ann']) {
        await step(at, `${name}@quick.example`);
        office.clock.advance(2_000);
      }
      if (at < 2) office.clock.advance(2 * DAY_MS);
    }
    expect(await office.status('mute@quick.example')).toBe('bounced');
  });

  it('is not blamed where one other takes the same mail again and again: it counted as ten others', async () => {
    refusals = { 'one@wall.example': MUTE, 'two@wall.example': MUTE };
    for (let at = 0; at < 4; at++) {
      // Each in a sequence of its own, which the refusals do not pause.
      await step(at, 'one@wall.example');
      funnels++;
      for (let times = 0; times < 10; times++) {
        office.clock.advance(600_000);
        await send(at, 'office@wall.example');
      }
      office.clock.advance(600_000);
      await step(at, 'two@wall.example');
      funnels++;
      office.clock.advance(2 * DAY_MS);
    }
    for (const name of ['one', 'two']) expect(await office.status(`${name}@wall.example`)).toBe('active');
  });

  it('ends with others in one go: each woke the sequences by itself, for a minute when they were thousands', async () => {
    const several = ['mute@one.example', 'mute@two.example', 'mute@three.example'];
    refusals = Object.fromEntries(several.map((email) => [email, MUTE]));
    for (let at = 0; at < 3; at++) {
      for (const email of several) {
        await send(at, email, email.replace('mute', 'eve'));
        funnels++;
      }
      await run('bounces.take-refusals');
      office.clock.advance(2 * DAY_MS);
    }
    // Told to stop before it has begun, it ends nobody, and forgets nobody.
    await run('bounces.end-refusing', AbortSignal.abort());
    expect(await office.status('mute@one.example')).toBe('active');
    await run('bounces.end-refusing');
    for (const email of several) expect(await office.status(email)).toBe('bounced');
    const rows: unknown[] = await office.db.query(
      `select distinct xmin::text as "writtenBy" from subscriber where email = any($1)`,
      [several],
    );
    expect(rows).toHaveLength(1);
  });
});
