import { expect, it } from 'vitest';
import type { Simulation, TimelineEntry } from '../../../src/funnels/simulation/timeline.js';
import { simulationText } from '../../../src/funnels/simulation/timeline-text.js';
import { mail, run, sentOf } from './simulated.js';

const mails = (entries: readonly TimelineEntry[]): string[] =>
  entries.flatMap((entry) =>
    entry.what === 'mail' ? [`${entry.step ?? entry.kind} ${entry.at.slice(0, 16)}`] : [],
  );

it('simulated people get broadcasts by their tags, which count for the cap as other mails do', () => {
  const broadcasts = `broadcasts:
- { key: early, email: emails/news, at: 2026-03-01 }
- { key: all, email: emails/news, at: 2026-03-02T21:00:00Z }
- { key: some, email: emails/news, at: 2026-03-06, tags: { any: [vip, hot], none: [cold] } }
- { key: both, email: emails/news, at: 2026-03-07, tags: { all: [hot, cold] } }`;
  const told = (more: string, cap = '', does = ''): string[] =>
    mails(
      run(
        `${mail('a')}\n${mail('b', ', delay: 1 day')}`,
        `${cap}${broadcasts}\npersonas: [{ name: one${more}, does: [${does}] }]`,
      ).people[0]?.timeline ?? [],
    );
  const always = ['a 2026-03-02T09:00', 'all 2026-03-02T21:00', 'b 2026-03-03T09:00'];
  expect(told('')).toEqual(always);
  expect(told(', tags: [hot]')).toEqual([...always, 'some 2026-03-06T00:00']);
  expect(told(', tags: [hot, cold]')).toEqual([...always, 'both 2026-03-07T00:00']);
  expect(told('', '', '{ tag: vip, after: 3 days }')).toEqual([...always, 'some 2026-03-06T00:00']);
  expect(told('', '', '{ unsubscribes: true, after: 3 hours }')).toEqual(['a 2026-03-02T09:00']);
  expect(told(', joins: 1 day')).toEqual(['a 2026-03-03T09:00', 'b 2026-03-04T09:00']);
  // 24 hours after the first mail the broadcast goes, and it has the sequence's second mail wait a day more.
  expect(told('', 'frequencyCap: { perDay: 1 }\n')).toEqual([
    'a 2026-03-02T09:00',
    'all 2026-03-03T09:00',
    'b 2026-03-04T09:00',
  ]);
  const text = simulationText(
    run(mail('a'), `frequencyCap: { perDay: 1 }\n${broadcasts}\npersonas: [{ name: one }]`),
  );
  expect(text).toMatch(
    /mail of broadcast all waits until Tue 2026-03-03 09:00: frequency cap: 1 a day[\s\S]*mail of broadcast all \(emails\/news\)[\s\S]*1 all/,
  );
});

it('a broadcast at each reader’s local time meets the same hour on both sides of a change of clocks', () => {
  const zones = 'Europe/Berlin, America/New_York, Asia/Kolkata, Pacific/Apia, Antarctica/Troll';
  const news = (when: string): string =>
    `broadcasts: [{ key: news, email: emails/news, ${when} }]
personas: [{ name: one, count: 6, timeZone: [${zones}] }, { name: nowhere }]`;
  const day = run(mail('a'), news('atLocal: "2026-03-29T02:30", fallbackZone: America/Santiago'));
  expect(sentOf(day, 'news')).toEqual([
    // Berlin's clocks skip that hour, Troll's skip two: the first instant after the gap.
    '2026-03-29T01:00',
    '2026-03-29T06:30',
    '2026-03-28T21:00',
    '2026-03-28T13:30',
    '2026-03-29T01:00',
    '2026-03-29T01:00',
    '2026-03-29T05:30',
  ]);
  // Started when it is past in Apia and Kolkata already.
  const started = 'startedAt: 2026-03-28T22:00:00Z';
  const late = (ifPassed: string): string[] =>
    sentOf(run(mail('a'), news(`atLocal: "2026-03-29T02:30", ${started}, ifPassed: ${ifPassed}`)), 'news');
  expect(late('nextDay').slice(2, 4)).toEqual(['2026-03-29T21:00', '2026-03-29T13:30']);
  expect(late('send').slice(2, 4)).toEqual(['2026-03-28T22:00', '2026-03-28T22:00']);
  expect(late('skip').slice(2, 4)).toEqual(['', '']);
  const { people, broadcasts } = run(
    mail('a'),
    news(`atLocal: "2026-03-29T02:30", ${started}, ifPassed: skip`),
  );
  expect(people[2]?.timeline.at(-1)).toMatchObject({
    what: 'cancelled',
    step: 'news',
    reason: 'too late to be sent',
  });
  expect(broadcasts).toMatchObject([{ beganAt: '2026-03-28T22:00:00.000Z', recipients: 7 }]);
});

it('a broadcast that is spread over hours gives people places in the order in which they came', () => {
  const result = run(
    mail('a'),
    `broadcasts: [{ key: news, email: emails/news, at: 2026-03-05, spreadMinutes: 600 }]
personas: [{ name: later, joins: 2 hours }, { name: first, count: 2, joins: 1 hour }]`,
  );
  const place = (nth: number): string =>
    new Date(Date.parse('2026-03-05') + Math.floor(((nth * 0.6180339887498949) % 1) * 36_000_000))
      .toISOString()
      .slice(0, 16);
  expect(sentOf(result, 'news')).toEqual([place(2), place(0), place(1)]);
});

it('a broadcast goes to the people of any segments less those of others, as they are when it begins', () => {
  const segments = `segments:
  keen: { clicked: { funnel: main, withinDays: 2 } }
  hot: { all: [{ tag: hot }, { field: level, op: atLeast, value: 3 }] }
  buyers: { purchased: { product: kit } }
  seen: { opened: { broadcast: early } }`;
  const clicks = 'does: [{ clicks: a, after: 1 hour }]';
  const buys = 'does: [{ clicks: a, after: 1 hour }, { buys: kit, after: 2 hours }]';
  const result = run(
    mail('a'),
    `${segments}
broadcasts:
- { key: early, email: emails/news, at: 2026-03-03 }
- { key: late, email: emails/news, at: 2026-03-04, segments: { any: [keen, hot], none: [buyers] } }
- { key: last, email: emails/news, at: 2026-03-05T12:00:00Z, segments: { any: [keen], none: [buyers] } }
- { key: unseen, email: emails/news, at: 2026-03-06, segments: { none: [seen] }, funnel: main }
personas:
- { name: clicks, ${clicks} }
- { name: buys, ${buys} }
- { name: hot, tags: [hot], fields: { level: 3 }, does: [{ opens: broadcast early, after: 1 hour }] }
- { name: warm, tags: [hot], fields: { level: 2 } }
- { name: elsewhere, signsUp: false }`,
  );
  const got = (key: string): number[] =>
    sentOf(result, key).flatMap((at, place) => (at === '' ? [] : [place]));
  expect(['early', 'late', 'last', 'unseen'].map(got)).toEqual([[0, 1, 2, 3, 4], [0, 2], [], [0, 1, 3]]);
});

it('the arm of a broadcast that people click goes to the rest; without a winner it is the first', () => {
  const tested = (does: string, more = ''): Simulation =>
    run(
      mail('a'),
      `broadcasts:
- key: news
  email: emails/news
  at: 2026-03-03T09:00:00Z
  split: { arms: [{}, { subject: Better }], testPercent: 50, waitMinutes: 120, judge: clicks }${more}
- { key: arm-b, email: emails/news, at: 2026-03-06, segments: { any: [b] } }
segments: { b: { split: { broadcast: news, arm: b } } }
personas: [{ name: one, count: 120, does: [${does}] }]`,
    );
  const won = tested('{ clicks: broadcast news, arm: b, after: 1 hour }');
  const [{ decision, recipients }] = won.broadcasts as [Simulation['broadcasts'][number]];
  expect([recipients, decision]).toMatchObject([
    120,
    { at: '2026-03-03T11:00:00.000Z', arm: 'b', verdict: 'winner' },
  ]);
  const times = sentOf(won, 'news');
  const better = 'emails/news, “Better”';
  expect(new Set(times)).toEqual(
    new Set(['2026-03-03T09:00', `2026-03-03T09:00 ${better}`, `2026-03-03T11:00 ${better}`]),
  );
  const ofB = times.filter((at) => at === `2026-03-03T09:00 ${better}`).length;
  expect([ofB > 20, sentOf(won, 'arm-b').filter(Boolean).length]).toEqual([true, ofB]);
  // A click that comes after the decision is too late to count.
  const none = tested('{ clicks: broadcast news, arm: b, after: 3 hours }');
  expect(none.broadcasts[0]?.decision).toMatchObject({ arm: 'a', verdict: 'no_winner' });
  expect(sentOf(none, 'news').filter((at) => at === '2026-03-03T11:00').length).toBeGreaterThan(40);
  // The rest has its own hour and its own place in the spread, counted from the decision.
  const spread = tested('{ clicks: broadcast news, arm: b, after: 1 minute }', '\n  spreadMinutes: 600');
  const [last] = spread.broadcasts;
  const after =
    sentOf(spread, 'news')
      .map((at) => at.slice(0, 16))
      .toSorted()
      .at(-1) ?? '';
  expect(last?.decision?.at.slice(0, 13)).toBe('2026-03-03T20');
  expect(after.slice(0, 13)).toBe('2026-03-04T06');
  expect(simulationText(won)).toContain(
    '120 recipients. 2026-03-03T11:00:00.000Z Arm B won and goes to the rest.',
  );
});

it('money per reader decides a broadcast’s test, up to a cap and less what is paid back', () => {
  const judged = (buys: string): unknown =>
    run(
      mail('a'),
      `broadcasts:
- key: news
  email: emails/news
  at: 2026-03-03T09:00:00Z
  split:
    { arms: [{}, { subject: B }], testPercent: 50, waitMinutes: 600, judge: revenue, revenueCap: { amountMinor: 5000, currency: EUR } }
personas: [{ name: one, count: 120, does: [${buys}] }]`,
    ).broadcasts[0]?.decision;
  const buys = 'buys: kit, afterMail: broadcast news, arm: b, after: 1 hour';
  expect(judged(`{ ${buys} }`)).toMatchObject({ verdict: 'winner', arm: 'b' });
  expect(judged(`{ ${buys}, refundsAfter: 5 hours }`)).toMatchObject({ verdict: 'no_winner', arm: 'a' });
});

it('a broadcast is sent once more, in other words, to those whom the first mail did not reach', () => {
  const again = (unless: string): number[] => {
    const result = run(
      mail('a'),
      `broadcasts:
- { key: news, email: emails/news, at: 2026-03-03, tags: { none: [apart] } }
- { key: again, email: emails/news, subject: Once more, resendOf: news, unless: ${unless}, at: 2026-03-05 }
personas:
- { name: silent }
- { name: opens, does: [{ opens: broadcast news, after: 1 hour }] }
- { name: clicks, does: [{ clicks: every broadcast, after: 1 hour }] }
- { name: late, does: [{ opens: broadcast news, after: 3 days }] }
- { name: buys, does: [{ buys: kit, afterMail: broadcast news, after: 1 hour, refundsAfter: 1 hour }] }
- { name: bought, does: [{ buys: kit, after: 1 minute }] }
- { name: unseen, trackingConsent: false }
- { name: apart, tags: [apart] }
- { name: leaves, does: [{ unsubscribes: true, after: 2 days }] }
- { name: comes-later, joins: 1 day }`,
    );
    return sentOf(result, 'again').flatMap((at, place) => (at === '' ? [] : [place]));
  };
  expect(again('opened')).toEqual([0, 3, 5]);
  expect(again('clicked')).toEqual([0, 1, 3, 5]);
});

const NEWS = '{ key: news, email: emails/news, at: 2026-03-03 }';
const AGAIN = 'key: again, email: emails/news, resendOf: news';
it.each([
  [
    'broadcasts: [{ key: a, email: emails/news, at: 2026-03-01 }, { key: a, email: emails/news, at: 2026-03-01 }]',
    'p:1: broadcasts.1.key: a second broadcast is called "a"',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, at: 2026-03-03, split: { arms: [{}, { at: "20:00" }], testPercent: 50, waitMinutes: 5, judge: clicks } }]',
    'broadcasts: "a": atLocal: arms of the split test have an hour of their own',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, at: 2026-03-03, timezone: UTC }]',
    'broadcasts.0.timezone: it belongs to atLocal',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, at: "2026-03-01 09:00" }]',
    'broadcasts.0.at: use a date such as',
  ],
  ['broadcasts: [{ key: a, email: emails/news }]', 'broadcasts.0.at: say when: give at or atLocal'],
  [
    'broadcasts: [{ key: a, email: emails/news, at: 2026-03-03, atLocal: "2026-03-03T09:00" }]',
    'broadcasts.0.atLocal: give at or atLocal, not both',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, at: 2026-03-03, ifPassed: send }]',
    'broadcasts.0.ifPassed: it belongs to atLocal',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, atLocal: "2026-02-30T09:00" }]',
    'broadcasts.0.atLocal: write day and time of day such as',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, atLocal: "2026-02-20T09:00" }]',
    'broadcasts: "a": atLocal: that hour has passed everywhere on earth',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, at: 2026-03-03, spreadMinutes: 90, expiresAt: 2026-03-03T01:00:00Z }]',
    'broadcasts: "a": it would expire before the last of its mails is due, at 2026-03-03T01:30',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, atLocal: "2026-03-05T09:00", ifPassed: skip, split: { arms: [{}, { subject: B }], testPercent: 50, waitMinutes: 60, judge: clicks } }]',
    'broadcasts: "a": ifPassed: when a split test is decided every clock is past the hour',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, at: 2026-03-03, split: { arms: [{}, {}], testPercent: 50, waitMinutes: 60, judge: clicks } }]',
    'broadcasts.0.split.arms: arms A and B are the same mail',
  ],
  [
    'segments: { x: { tag: hot } }\nbroadcasts: [{ key: a, email: emails/news, at: 2026-03-03, segments: { any: [x, y] } }]',
    'broadcasts.0.segments.any.1: nothing under "segments" describes "y"; there are: x',
  ],
  [
    'broadcasts: [{ key: a, email: emails/news, at: 2026-03-03, funnel: other }]',
    'broadcasts.0.funnel: no file here describes the funnel "other"; there are: main',
  ],
  ['segments: { x: { any: [{ list: vip }] } }', 'segments.x.any.0: there is no list "vip" here'],
  ['owner: [{ pauses: lost, at: 2026-03-05 }]', 'owner.0.pauses: no broadcast is called "lost"'],
  [
    'owner: [{ stops: a, at: 2026-03-05 }]',
    'owner.0.stops: "stops" is not an option here; name one of pauses, resumes, cancels',
  ],
  [
    'segments: { x: { opened: { broadcast: "17" } } }',
    'segments.x.opened.broadcast: no broadcast here has this key',
  ],
  [
    'segments: { x: { all: [{ purchased: { product: kits } }] } }',
    'segments.x.all.0: there is no product "kits" here; there are: kit',
  ],
  [
    'segments: { x: { not: { split: { funnel: main, step: a, arm: b } } } }',
    'segments.x.not: there is no split test "main/a" here',
  ],
  [
    `segments: { x: { split: { broadcast: news, arm: c } } }\nbroadcasts: [${NEWS}]`,
    'segments.x: there is no arm "c of broadcast 1" here',
  ],
  ['segments: { x: { tags: hot } }', 'segments.x: say one of all, any, not'],
  [
    `broadcasts: [{ ${AGAIN}, at: 2026-03-05 }]`,
    'broadcasts.0.resendOf: no broadcast before it is called "news"',
  ],
  [
    `broadcasts: [${NEWS}, { ${AGAIN}, at: 2026-03-05 }]`,
    'broadcasts.1.subject: the first mail had these very words',
  ],
  [
    `broadcasts: [${NEWS}, { ${AGAIN}, subject: B, at: 2026-03-05, tags: { any: [x] } }]`,
    'broadcasts.1.tags: a mail that is sent once more goes to those whom the first did not reach',
  ],
  [
    `broadcasts: [${NEWS}, { ${AGAIN}, subject: B, atLocal: "2026-03-05T09:00" }]`,
    'broadcasts.1.startedAt: with atLocal, say when the owner starts it',
  ],
  [
    `broadcasts: [${NEWS}, { ${AGAIN}, subject: B, at: 2026-03-02T12:00:00Z }]`,
    'broadcasts: "again": resendOf: "news" can be sent once more when all of its mails are on their way; they are not yet',
  ],
  [
    `broadcasts: [{ key: news, email: emails/news, at: 2026-03-03, unless: opened }]`,
    'unless: it belongs to resendOf',
  ],
  ['', 'personas.0.does.0.opens: no broadcast is called "none"', 'opens: broadcast none'],
  ['', 'personas.0.does.0.opens: there are no broadcasts', 'opens: every broadcast'],
  ['', 'personas.0.does.0.arm: name the mail of a broadcast with a split test', 'opens: a, arm: a'],
  [
    '',
    'personas.0.does.0.clicks: without trackingConsent nobody sees it',
    'clicks: a',
    'trackingConsent: false',
  ],
])('refused: %s %s', (more, message, does = 'tag: x', persona = 'count: 1') => {
  const personas = `${more}\npersonas: [{ name: one, ${persona}, does: [{ ${does} }] }]`.trimStart();
  expect(() => run(mail('a'), personas)).toThrow(message);
});

it('a broadcast’s own price holds for its readers until its end, and for nobody else', () => {
  const bought = (more: string, when: string): string[] =>
    run(
      mail('a'),
      `broadcasts: [{ key: sale, email: emails/offer, at: 2026-03-03T09:00:00Z, ${more} }]
personas: [{ name: one, tags: [vip], does: [{ buys: kit, after: ${when} }] }, { name: two, does: [{ buys: kit, after: ${when} }] }]`,
    ).people.flatMap(({ timeline }) =>
      timeline.flatMap((entry) => (entry.what === 'bought' ? [String(entry.total.amountMinor)] : [])),
    );
  const offer = 'tags: { any: [vip] }, offer: { key: kit, discount: 40%, until: 2026-03-05T09:00:00Z }';
  expect(bought(offer, '12 hours')).toEqual(['4900', '4900']);
  expect(bought(offer, '2 days')).toEqual(['2940', '4900']);
  expect(bought(offer, '3 days')).toEqual(['4900', '4900']);
});

it('a second broadcast keeps the lower price of the first for as long as its own, as its mail says', () => {
  const bought = (when: string): string[] =>
    run(
      mail('a'),
      `broadcasts:
- { key: sale, email: emails/offer, at: 2026-03-03T09:00:00Z, offer: { key: kit, discount: 50%, until: 2026-03-04T09:00:00Z } }
- { key: more, email: emails/offer, at: 2026-03-03T10:00:00Z, offer: { key: kit, discount: 30%, until: 2026-03-06T09:00:00Z } }
personas: [{ name: one, does: [{ buys: kit, after: ${when} }] }]`,
    ).people.flatMap(({ timeline }) =>
      timeline.flatMap((entry) => (entry.what === 'bought' ? [String(entry.total.amountMinor)] : [])),
    );
  expect([bought('3 days'), bought('5 days')]).toEqual([['2450'], ['4900']]);
});

it.each([
  ['offer: { key: nothing }', 'broadcasts.0.offer.key: there is no offer "nothing"'],
  [
    'offer: { key: kit, until: 2026-03-05T09:00:00Z }',
    'broadcasts.0.offer.until: the price of "kit" is the same',
  ],
  ['offer: { key: kit, discount: 40%, until: 2026-03-02T10:00:00Z }', 'its price would end before it starts'],
])('a simulated broadcast with %s is refused as the real one is', (more, message) => {
  const personas = `broadcasts: [{ key: sale, email: emails/offer, at: 2026-03-03T09:00:00Z, ${more} }]
personas: [{ name: one }]`;
  expect(() => run(mail('a'), personas)).toThrow(message);
});

it('an arm with a delay goes so much later, and the rest waits as long from the decision on', () => {
  const simulation = run(
    mail('a'),
    `broadcasts: [{ key: news, email: emails/news, at: 2026-03-03T09:00:00Z, split: { arms: [{}, { delayMinutes: 180 }], testPercent: 60,
  waitMinutes: 60, judge: clicks, alpha: 0.2 } }]
personas: [{ name: one, count: 80, does: [{ clicks: broadcast news, arm: b, after: 9 minutes }] }]`,
  );
  expect([...new Set(sentOf(simulation, 'news'))].toSorted()).toEqual([
    '2026-03-03T09:00',
    '2026-03-03T12:00',
    '2026-03-03T16:00',
  ]);
});

it('a mail that is sent once more when the price of the first is over is refused, as its start is', () => {
  const again = (at: string): (() => unknown) => {
    const personas = `broadcasts:
- { key: sale, email: emails/offer, at: 2026-03-03T09:00:00Z, offer: { key: kit, discount: 40%, until: 2026-03-05T09:00:00Z } }
- { key: again, email: emails/offer, subject: Again, resendOf: sale, at: "${at}" }
personas: [{ name: one }]`;
    return () => run(mail('a'), personas);
  };
  expect(again('2026-03-04T09:00:00Z')).not.toThrow();
  expect(again('2026-03-05T09:00:00Z')).toThrow('"again": its price would end before it starts');
});
