import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  broadcastHealth,
  complaintHealth,
  ENOUGH_FOR,
  sequenceHealth,
  type OfOne,
  type RefusedTally,
} from '../../../../src/delivery/guards/sending-health.js';

/** The ledger is counted no further: what so many reports call for must not hang on how many mails there were beyond. */
it('calls for nothing where more mails were taken than are counted', () => {
  const some = fc.nat(500);
  const reports = fc.record({ hard: some, sender: some, complaints: some, doubted: some });
  fc.assert(
    fc.property(reports, fc.nat(1_000_000), ({ hard, sender, complaints, doubted }, more) => {
      const { hard: ofHard, sender: ofSender, complaint } = ENOUGH_FOR;
      const counted =
        Math.max(Math.max(hard, doubted) * ofHard, sender * ofSender, complaints * complaint) + 1;
      for (const accepted of [counted, counted + more]) {
        const whose = { plainlyUs: sender, senderDomains: sender };
        const atProvider = { group: 'yahoo', complaints, accepted: complaints * complaint + 1 };
        const tally = {
          accepted,
          tried: accepted,
          hard,
          sender,
          complaints,
          doubted,
          ...whose,
          providers: [atProvider],
        };
        expect(sequenceHealth(tally).action).toBe('none');
        expect(complaintHealth({ complaints, accepted: complaints * complaint + 1 }).action).toBe('none');
      }
    }),
  );
});

/** Whoever has a domain has any number of mailboxes. */
it('pauses nothing by what comes from one organisation alone, and as before when half of it comes from others', () => {
  const some = fc.integer({ min: 0, max: 400 });
  const given = fc.record({ accepted: some, hard: some, sender: some, complaints: some });
  fc.assert(
    fc.property(given, ({ accepted, ...reports }) => {
      const { hard, sender, complaints } = reports;
      const tally = {
        ...{ accepted, tried: accepted + hard + sender, doubted: 0, providers: [], ...reports },
        ...{ plainlyUs: sender, senderDomains: Math.min(sender, 2) },
      };
      const ofOne = (share: number): NonNullable<RefusedTally['loudest']> => {
        const one = (count: number): OfOne => ({ name: 'eve.example', count: Math.ceil(count * share) });
        return { hard: one(hard), sender: one(sender), complaint: one(complaints) };
      };
      for (const health of [broadcastHealth, sequenceHealth]) {
        expect(health({ ...tally, loudest: ofOne(1) }).action).not.toBe('pause');
        const isUs = sender !== 1;
        if (isUs) expect(health({ ...tally, loudest: ofOne(0.5) }).action).toBe(health(tally).action);
      }
    }),
  );
});

it.each([
  ['one server of its own rules', { sender: 1, plainlyUs: 0, senderDomains: 1 }, 'none'],
  ['two refusals by one server of its own rules', { sender: 2, plainlyUs: 0, senderDomains: 1 }, 'none'],
  ['three refusals by one server', { sender: 3, plainlyUs: 0, senderDomains: 1 }, 'pause'],
  ['the servers of two domains', { sender: 2, plainlyUs: 0, senderDomains: 2 }, 'pause'],
  ['one server that names our address as listed', { sender: 1, plainlyUs: 1, senderDomains: 1 }, 'pause'],
] as const)('a small broadcast that is refused by %s', (_, refused, action) => {
  expect(
    broadcastHealth({
      ...{ accepted: 90, tried: 90 + refused.sender, hard: 0, complaints: 0, doubted: 0, providers: [] },
      ...refused,
    }).action,
  ).toBe(action);
});

it.each([
  [1, 10, 'none'],
  [2, 50, 'warn'],
  [4, 50, 'warn'],
  [5, 50, 'pause'],
  [20, 90, 'pause'],
  [1, 100, 'none'],
  [2, 100, 'pause'],
  [2, 1_000, 'warn'],
  [3, 1_000, 'pause'],
  [2, 2_000, 'warn'],
  [2, 2_001, 'none'],
  [30, 10_000, 'pause'],
  [30, 10_001, 'warn'],
] as const)('%i complaints about %i mails: %s', (complaints, accepted, action) => {
  expect(complaintHealth({ complaints, accepted }).action).toBe(action);
});

it.each([
  [19, 100, 'none'],
  [20, 200, 'pause'],
  [20, 201, 'none'],
] as const)('%i dead addresses among %i: %s', (hard, tried, action) => {
  const others = { sender: 0, complaints: 0, doubted: 0, plainlyUs: 0, senderDomains: 0, providers: [] };
  expect(broadcastHealth({ accepted: tried - hard, tried, hard, ...others }).action).toBe(action);
});
