import { expect, it } from 'vitest';
import { simulate } from '../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../src/funnels/simulation/simulation-files.js';
import type { Simulation } from '../../../src/funnels/simulation/timeline.js';
import { simulationText } from '../../../src/funnels/simulation/timeline-text.js';

/** Three mails, a day after the other, from Monday at nine on. */
const FUNNEL = `funnel: main
title: A funnel
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: main, headline: Get it, consent: Send it to me, optIn: single }
sequence:
  window: { days: [mon, tue, wed, thu, fri, sat, sun], from: "08:00", to: "20:00" }
  steps:
    - { key: a, email: emails/story }
    - { key: b, email: emails/story, delay: 1 day }
    - { key: c, email: emails/story, delay: 1 day }
`;
const ZONE = 'timeZone: UTC';

function run(personas: string): Simulation {
  const now = new Date('2026-03-02T09:00:00Z');
  const order = simulationFromFiles(
    [{ name: 'f', text: FUNNEL }],
    { name: 'p', text: personas },
    { start: null, days: 40, now },
  );
  return simulate(order);
}

const mails = (personas: string): string[] =>
  (run(personas).people[0]?.timeline ?? []).flatMap((entry) =>
    entry.what === 'mail' ? [`${entry.step ?? entry.kind} ${entry.at.slice(5, 16)}`] : [],
  );
const reader = (...does: string[]): string =>
  `personas: [{ name: one, ${ZONE}, does: [${does.join(', ')}] }]`;

it('a simulated reader’s pause holds the steps of a series until its end, and broadcasts pass by', () => {
  const news = `broadcasts: [{ key: news, email: emails/news, at: 2026-03-05 }, { key: later, email: emails/news, at: 2026-03-12 }]\n`;
  const pause = '{ pauses: 7 days, after: 2 hours }';
  expect(mails(`${news}${reader()}`)).toEqual([
    'a 03-02T09:00',
    'b 03-03T09:00',
    'c 03-04T09:00',
    'news 03-05T00:00',
    'later 03-12T00:00',
  ]);
  expect(mails(`${news}${reader(pause)}`)).toEqual([
    'a 03-02T09:00',
    'b 03-09T11:00',
    'c 03-10T11:00',
    'later 03-12T00:00',
  ]);
  // Over before its time, and one in place of another.
  expect(mails(reader(pause, '{ resumes: true, after: 3 days }'))).toEqual([
    'a 03-02T09:00',
    'b 03-05T09:00',
    'c 03-06T09:00',
  ]);
  expect(mails(reader(pause, '{ resumes: true, after: 3 hours }'))).toEqual(mails(reader()));
  expect(mails(reader(pause, '{ pauses: 30 days, after: 3 days }')).slice(1)).toEqual([
    'b 04-04T09:00',
    'c 04-05T09:00',
  ]);
  expect(simulationText(run(`${news}${reader(pause)}`))).toMatch(
    /wants no mails until Mon 2026-03-09 11:00[\s\S]*waits at b until Mon 2026-03-09 11:00[\s\S]*mail of broadcast news is not sent: paused by the reader[\s\S]*gets mails again/,
  );
  expect(() => run(reader('{ pauses: 8 days }'))).toThrow('does.0.pauses: use 7 days, 30 days or 90 days');
  // What was planned before it waits for an opening of its hours, and is held when it comes up.
  const cap = 'frequencyCap: { perDay: 1 }\n';
  const soon = reader('{ pauses: 7 days, after: 30 hours }', '{ tag: x, after: 1 hour }');
  expect(
    mails(`${cap}broadcasts: [{ key: news, email: emails/news, at: 2026-03-02T12:00:00Z }]\n${soon}`),
  ).toEqual(['a 03-02T09:00', 'news 03-03T09:00', 'b 03-10T15:00', 'c 03-11T15:00']);
});

const spread = (owner: string, more = ''): string =>
  `broadcasts: [{ key: news, email: emails/news, at: 2026-03-10, spreadMinutes: 600${more} }]
owner: [${owner}]
personas: [{ name: one, count: 10, ${ZONE} }]`;
const newsOf = (personas: string): { sent: string[]; lost: number; broadcasts: Simulation['broadcasts'] } => {
  const { people, broadcasts } = run(personas);
  const entries = people.flatMap(({ timeline }) => timeline);
  const sent = entries.flatMap((entry) =>
    entry.what === 'mail' && entry.step === 'news' ? [entry.at.slice(5, 16)] : [],
  );
  const lost = entries.filter(
    (entry) => entry.what === 'cancelled' && entry.reason === 'broadcast cancelled',
  );
  return { sent: sent.toSorted(), lost: lost.length, broadcasts };
};

it('a simulated owner stops a broadcast in the middle, goes on with it, or gives it up', () => {
  const all = newsOf(spread('')).sent;
  const before = all.filter((at) => at < '03-10T05:00');
  expect([all.length, before.length]).toEqual([10, 5]);
  const pause = '{ pauses: news, at: 2026-03-10T05:00:00Z }';
  expect(newsOf(spread(pause))).toMatchObject({ sent: before, lost: 0, broadcasts: [{ state: 'paused' }] });
  const resumed = newsOf(spread(`${pause}, { resumes: news, at: 2026-03-10T07:00:00Z }`));
  // What came up meanwhile, 33 minutes apart, stays so from the end of the pause on.
  const after = ['07:00', '07:04', '07:33', '08:32', '09:26'].map((time) => `03-10T${time}`);
  expect([all.slice(5, 7), resumed.sent]).toEqual([
    ['03-10T05:37', '03-10T06:10'],
    [...before, ...after],
  ]);
  expect(resumed.broadcasts).toMatchObject([{ state: 'done', recipients: 10 }]);
  expect(newsOf(spread('{ cancels: news, at: 2026-03-10T05:00:00Z }'))).toMatchObject({
    ...{ sent: before, lost: 5, broadcasts: [{ state: 'cancelled' }] },
  });
  // Before it begins: it begins when the owner goes on with it, and not at all when its words are past their use.
  const early = '{ pauses: news, at: 2026-03-09 }, { resumes: news, at: 2026-03-12 }';
  expect(newsOf(spread(early)).sent[0]).toBe('03-12T00:00');
  expect(newsOf(spread(early, ', expiresAt: 2026-03-11')).sent).toEqual([]);
  expect(simulationText(run(spread('{ cancels: news, at: 2026-03-09 }')))).toContain(
    'news: does not begin in this time, cancelled by the owner',
  );
  expect(() => run(spread('{ cancels: news, at: 2026-03-01 }'))).toThrow(
    'owner: at 2026-03-01 it is not started yet',
  );
  expect(() => run(spread('{ pauses: news, at: 2026-03-20 }'))).toThrow(
    'broadcasts: "news": owner: it is done at 2026-03-20T00:00:00.000Z; it cannot be changed by "pause"',
  );
});

it('simulated people are told apart by their lists, names, addresses and languages', () => {
  const audience = (condition: string): number =>
    run(`broadcasts: [{ key: news, email: emails/news, at: 2026-03-10, segments: { any: [x] } }]
segments: { x: ${condition} }
personas:
- { name: ada, displayName: Ada Lovelace, email: Ada@Example.org, locale: en-GB, lists: [early], does: [{ unlist: early, after: 9 days }] }
- { name: many, count: 3, email: "reader-#@example.net", locale: de }
- { name: late, does: [{ list: early, after: 2 days }, { list: never, after: 9 days }] }`).broadcasts[0]
      ?.recipients ?? -1;
  expect(audience('{ list: early }')).toBe(2);
  expect(audience('{ list: never }')).toBe(0);
  expect(audience('{ not: { list: early } }')).toBe(3);
  expect(audience('{ field: name, op: startsWith, value: ada }')).toBe(1);
  expect(audience('{ field: name, op: isSet }')).toBe(1);
  expect(audience('{ field: email, op: oneOf, value: [ADA@example.org, reader-3@example.net] }')).toBe(2);
  expect(audience('{ field: emailDomain, op: is, value: example.net }')).toBe(3);
  expect(audience('{ field: locale, op: is, value: de }')).toBe(3);
  const people = (text: string): Simulation => run(`personas: [${text}]`);
  expect(() => people('{ name: a, count: 2, email: a@example.com }')).toThrow(
    'personas.0.email: put # where the number of each of the 2 people goes',
  );
  expect(() => people('{ name: a, email: b-1@example.com }, { name: b }')).toThrow(
    'personas.1.name: a second person has the address b-1@example.com',
  );
  expect(() => people('{ name: a, email: nobody }')).toThrow('personas.0.email: use an address such as');
});

it('who has left the list that a broadcast is for gets no mail of it that waits for its hour', () => {
  const result = run(`segments:
  readers: { list: news }
broadcasts:
- { key: noon, email: emails/story, atLocal: "2026-03-04T12:00", fallbackZone: UTC, segments: { any: [readers] } }
personas:
- { name: stays, lists: [news] }
- { name: leaves, lists: [news], does: [{ unlist: news, after: 50 hours }] }`);
  const ofBroadcast = result.people.map(({ timeline }) =>
    timeline.flatMap((entry) => ('step' in entry && entry.step === 'noon' ? [entry] : [])),
  );
  expect(ofBroadcast).toMatchObject([
    [{ what: 'mail', at: '2026-03-04T12:00:00.000Z' }],
    [{ what: 'cancelled', at: '2026-03-04T12:00:00.000Z', reason: 'left the list' }],
  ]);
});
