import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi, type MockInstance } from 'vitest';
import { OneAhead } from '../../src/delivery/relays/one-ahead.js';
import { SmtpLane, type OutgoingMail } from '../../src/delivery/relays/smtp-lane.transport.js';
import { CountingSink, type SinkFault, type SinkStage } from '../support/counting-sink.js';
import { deafRelay } from '../support/deaf-relay.js';
import { plainMail } from '../support/plain-mail.js';

const YES = async (): Promise<boolean> => true;

describe('a lane that begins with the next mail before the last one is answered', () => {
  const [first, second, third] = [plainMail('1'), plainMail('2'), plainMail('3')];
  let sink: CountingSink;
  let lane: SmtpLane;

  beforeEach(async () => {
    sink = new CountingSink();
    await sink.listen();
    lane = new SmtpLane('relay', new URL(sink.url));
  });

  afterEach(async () => {
    lane.close();
    await sink.close();
  });

  const misbehave = (stage: SinkStage, fault: SinkFault): void => {
    sink.rules = [{ stage, fault, at: [1] }];
  };
  const taken = (): string[] => [...sink.taken.keys()].map((id) => id.replace(/^<|@.*$/g, ''));

  it('has the envelope of the next mail at the relay, and its body only behind its own barrier', async () => {
    expect(await lane.send(first, YES, () => second)).toMatchObject({ kind: 'accepted' });
    expect(lane.hasBegun).toBe(true);
    expect(sink.hits).toMatchObject({ mail: 2, rcpt: 2, data: 2, dot: 1 });
    let asked = 0;
    const barrier = async (): Promise<boolean> => {
      expect(sink.takenTotal).toBe(1);
      return ++asked === 1;
    };
    expect(await lane.send(second, barrier, () => third)).toMatchObject({ kind: 'accepted' });
    expect(await lane.send(third, YES)).toMatchObject({ kind: 'accepted' });
    expect(lane.hasBegun).toBe(false);
    expect(asked).toBe(1);
    expect(taken()).toEqual(['1', '2', '3']);
    expect(sink.hits).toMatchObject({ connect: 1, mail: 3, data: 3 });
  });

  it('cuts the connection when the barrier of the mail it has begun says no', async () => {
    await lane.send(first, YES, () => second);
    expect(await lane.send(second, async () => false)).toEqual({ kind: 'held_back' });
    expect(await lane.send(third, YES)).toMatchObject({ kind: 'accepted' });
    expect(taken()).toEqual(['1', '3']);
    expect(sink.hits.connect).toBe(2);
  });

  it('cuts the connection when another mail comes, or none, in place of the one it has begun', async () => {
    await lane.send(first, YES, () => second);
    expect(await lane.send(third, YES, () => second)).toMatchObject({ kind: 'accepted' });
    lane.abandon();
    expect(lane.hasBegun).toBe(false);
    expect(await lane.send(second, YES)).toMatchObject({ kind: 'accepted' });
    expect(taken()).toEqual(['1', '3', '2']);
    expect(sink.hits.connect).toBe(3);
  });

  it.each<[string, SinkStage, SinkFault, string, { connect: number }]>([
    ['refused for good', 'dot', { kind: 'reply', code: 554 }, 'refused', { connect: 1 }],
    ['refused for now', 'dot', { kind: 'reply', code: 451 }, 'refused', { connect: 1 }],
    ['answered by a farewell', 'dot', { kind: 'reply', code: 421 }, 'refused', { connect: 2 }],
    ['taken and cut', 'dot', { kind: 'drop' }, 'unknown', { connect: 2 }],
    ['cut in its body', 'body', { kind: 'reset' }, 'unknown', { connect: 2 }],
    ['answered by half a reply', 'dot', { kind: 'partial' }, 'unknown', { connect: 2 }],
  ])('sends the next mail once after one that was %s', async (_, stage, fault, kind, hits) => {
    misbehave(stage, fault);
    expect(await lane.send(first, YES, () => second)).toMatchObject({ kind });
    expect(await lane.send(second, YES)).toMatchObject({ kind: 'accepted' });
    expect(sink.taken.get('<2@example.com>')).toBe(1);
    expect(sink.hits).toMatchObject(hits);
  });

  it('says of the mail it has begun what the relay says of its recipient, and goes on', async () => {
    sink.rules = [{ stage: 'rcpt', fault: { kind: 'reply', code: 550 }, at: [2] }];
    await lane.send(first, YES, () => second);
    const refused = { kind: 'refused', permanent: true, stage: 'RCPT TO', code: 550 };
    expect(await lane.send(second, YES)).toMatchObject(refused);
    expect(await lane.send(third, YES)).toMatchObject({ kind: 'accepted' });
    expect(taken()).toEqual(['1', '3']);
    expect(sink.hits.connect).toBe(1);
  });

  it('begins with nothing at a relay without PIPELINING, nor with what the relay or an envelope cannot take', async () => {
    const bad: OutgoingMail[] = [
      plainMail('4', 'a>b@example.org'),
      { ...plainMail('5'), raw: Buffer.alloc(60_000_000, 'x') },
    ];
    for (const next of bad) {
      await lane.send(first, YES, () => next);
      expect(lane.hasBegun).toBe(false);
      expect(await lane.send(next, YES)).toMatchObject({ kind: 'unsendable' });
    }
    const plain = new CountingSink({ extensions: ['SIZE 1000'] });
    await plain.listen();
    const slow = new SmtpLane('relay', new URL(plain.url));
    await slow.send(first, YES, () => second);
    expect(slow.hasBegun).toBe(false);
    expect(await slow.send(second, YES)).toMatchObject({ kind: 'accepted' });
    slow.close();
    await plain.close();
  });

  it('sends a mail anew whose envelope the relay dropped behind the final dot, and says so', async () => {
    const relay = await deafRelay(first, second);
    expect(relay.outcomes).toMatchObject([{ kind: 'accepted' }, { kind: 'accepted' }]);
    expect(relay.lane.losesBegun).toBe(true);
    expect([...relay.sink.taken.values()]).toEqual([1, 1]);
    expect(relay.sink.hits).toMatchObject({ connect: 2, mail: 2, dot: 2 });
    expect(await relay.lane.send(third, YES)).toMatchObject({ kind: 'accepted' });
    await relay.close();
  });

  it('does not take a silence of the relay to another mail for a lost envelope', async () => {
    const timeouts = vi.spyOn(Socket.prototype, 'setTimeout');
    await lane.send(first, YES, () => second);
    const socket = timeouts.mock.contexts.at(-1) as Socket;
    timeouts.mockRestore();
    sink.rules = [{ stage: 'dot', fault: { kind: 'stall' }, at: [2] }];
    const silent = lane.send(second, async () => {
      // Half a minute, and then ten.
      setImmediate(() => socket.emit('timeout') && socket.emit('timeout'));
      return true;
    });
    expect(await silent).toMatchObject({ kind: 'unknown', reason: 'the relay did not answer in time' });
    expect(lane.losesBegun).toBe(false);
  });
});

describe('a lane whose barrier is slow, as the database is away for a minute', () => {
  let sink: CountingSink;
  let lane: SmtpLane;
  let socket: Socket;

  beforeEach(async () => {
    sink = new CountingSink();
    await sink.listen();
    lane = new SmtpLane('relay', new URL(sink.url));
    const timeouts = vi.spyOn(Socket.prototype, 'setTimeout');
    await lane.send(plainMail('1'), YES);
    socket = timeouts.mock.contexts.at(-1) as Socket;
    timeouts.mockRestore();
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(async () => {
    vi.useRealTimers();
    lane.close();
    await sink.close();
  });

  it('does not blame the relay for a minute in which we owe the next byte, and sends the mail after it', async () => {
    const timers = vi.spyOn(socket, 'setTimeout');
    const sent = lane.send(plainMail('2'), async () => {
      vi.advanceTimersByTime(60_000);
      return socket.emit('timeout');
    });
    expect(await sent).toMatchObject({ kind: 'accepted' });
    // Else the reply would be waited for without end. Then the time for the reply to the body, and again that for any other.
    expect(timers.mock.calls).toEqual([[60_000], [30_000], [60_000]]);
    expect([...sink.taken.values()]).toEqual([1, 1]);
    expect(sink.hits.connect).toBe(1);
  });

  it.each([
    [70_000, 'kept waiting'],
    [1_000, 'barrier'],
  ])('says of a relay that goes away after %i ms of it: %s', async (ms, stage) => {
    const sent = lane.send(plainMail('2'), async () => {
      vi.advanceTimersByTime(ms);
      return socket.emit('end');
    });
    expect(await sent).toMatchObject({ kind: 'not_sent', stage });
    expect(sink.takenTotal).toBe(1);
    expect(await lane.send(plainMail('2'), YES)).toMatchObject({ kind: 'accepted' });
  });
});

describe('the reply to the final dot', () => {
  let sink: CountingSink;
  let lane: SmtpLane;
  let timers: MockInstance<Socket['setTimeout']>;
  const waits = (): number | undefined => timers.mock.lastCall?.[0];
  const timeOut = (): boolean => (timers.mock.contexts.at(-1) as Socket).emit('timeout');

  beforeEach(async () => {
    sink = new CountingSink({ rules: [{ stage: 'dot', fault: { kind: 'stall' }, at: [1] }] });
    await sink.listen();
    lane = new SmtpLane('relay', new URL(sink.url));
    timers = vi.spyOn(Socket.prototype, 'setTimeout');
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(async () => {
    vi.useRealTimers();
    vi.restoreAllMocks();
    lane.close();
    await sink.close();
  });

  it('is waited for ten minutes from the dot, and whoever sends hears after half a minute that it takes long', async () => {
    let told = 0;
    const dot = new Promise<void>((resolve) => {
      sink.onStage = ({ stage }) => void (stage === 'dot' && resolve());
    });
    const slow = (): void => void told++;
    const sent = lane.send(plainMail('1'), YES, () => null, slow);
    await dot;
    expect(waits()).toBe(30_000);
    vi.advanceTimersByTime(30_000);
    timeOut();
    expect(told).toBe(1);
    expect(waits()).toBe(570_000);
    vi.advanceTimersByTime(570_000);
    timeOut();
    expect(await sent).toMatchObject({ kind: 'unknown', reason: 'the relay did not answer in time' });
    expect(told).toBe(1);
  });

  it('does not last longer for a relay that gives it in crumbs', async () => {
    sink.rules = [{ stage: 'dot', fault: { kind: 'trickle', ms: 1 }, at: [1] }];
    sink.onStage = ({ stage }) => {
      if (stage === 'dot') vi.advanceTimersByTime(20_000);
    };
    const crumbs: number[] = [];
    const sent = lane.send(plainMail('1'), YES);
    await sent;
    for (const [ms] of timers.mock.calls) crumbs.push(ms);
    expect(crumbs).toContain(10_000);
    expect(crumbs.at(-1)).toBe(60_000);
    expect(await sent).toMatchObject({ kind: 'accepted' });
  });
});

describe('keeping one thing ready', () => {
  it('prepares one ahead, in order, until there is no more', async () => {
    let made = 0;
    const ahead = new OneAhead(async () => (made < 3 ? ++made : null));
    expect(await ahead.take()).toBe(1);
    ahead.begin();
    ahead.begin();
    expect(made).toBe(2);
    expect(ahead.ready).toBeNull();
    await Promise.resolve();
    expect(ahead.ready).toBe(2);
    expect(await ahead.take()).toBe(2);
    expect(ahead.ready).toBeNull();
    expect(await ahead.rest()).toBeNull();
    ahead.begin();
    expect(await ahead.rest()).toBe(3);
    expect(await ahead.take()).toBeNull();
  });

  it('keeps a failure for the one who takes, and for nobody when nobody does', async () => {
    let tries = 0;
    const ahead = new OneAhead<number>(async () => {
      if (++tries === 1) throw new Error('no');
      return tries;
    });
    ahead.begin();
    await expect(ahead.take()).rejects.toThrow('no');
    expect(await ahead.take()).toBe(2);
    tries = 0;
    ahead.begin();
    expect(await ahead.rest()).toBeNull();
  });
});
