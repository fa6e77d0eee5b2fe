import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../../../src/commands/wellspring.command.js';
import { simulate } from '../../../../src/funnels/simulation/simulate.js';
import { simulationFromFiles } from '../../../../src/funnels/simulation/simulation-files.js';
import type { Happening, Simulation, TimelineEntry } from '../../../../src/funnels/simulation/timeline.js';
import { simulationText } from '../../../../src/funnels/simulation/timeline-text.js';
import { DomainError } from '../../../../src/values/domain-error.js';

const DEMO = readFileSync('config/funnels/niche-ebook.yaml', 'utf8');

const funnel = (steps: string, more = '', key = 'main'): string => `funnel: ${key}
title: A funnel
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: ${key}, headline: Get it, consent: Send it to me, optIn: single }
sequence:
${more === '' ? '' : `  ${more}\n`}  steps:
${steps.trim().replaceAll(/^/gm, '    ')}
products: [{ key: kit, name: Kit, price: 49.00 EUR }, { key: list, name: List, price: 9.00 EUR }]
offers: [{ key: kit, product: kit, discount: 30%, bump: list }]
`;
const run = (steps: string | string[], personas: string, more = ''): Simulation => {
  const [first = '', ...others] = [steps].flat();
  const files = [funnel(first, more), ...others].map((text, index) => ({ name: `f${index}.yaml`, text }));
  const now = new Date('2026-03-02T09:00:00Z');
  return simulate(
    simulationFromFiles(
      files as [(typeof files)[number]],
      { name: 'people.yaml', text: personas },
      { start: null, days: null, now },
    ),
  );
};
const one = (steps: string | string[], persona: string, more = ''): TimelineEntry[] =>
  run(steps, `personas: [{ name: one, ${persona} }]`, more).people[0]?.timeline ?? [];
const of = <W extends Happening['what']>(entries: TimelineEntry[], what: W) =>
  entries.filter((entry): entry is Extract<TimelineEntry, { what: W }> => entry.what === what);
const mails = (entries: TimelineEntry[]): string[] =>
  of(entries, 'mail').map(({ at, step, kind }) => `${step ?? kind} ${at.slice(0, 16)}`);
const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;

describe('what people of a simulation do', () => {
  const two = `${mail('a')}\n${mail('b', ', delay: 2 days')}`;

  it.each<[string, string, string[]]>([
    ['joins: 3 days', '', ['a 2026-03-05T09:00', 'b 2026-03-07T09:00']],
    ['signsUp: false', '', []],
    [
      'signsUp: false, does: [{ tag: hot, after: 1 hour }]',
      'enterOn: [{ tag: hot }]',
      ['a 2026-03-02T10:00', 'b 2026-03-04T10:00'],
    ],
    ['does: [{ tag: cold, after: 1 day }]', 'exitOn: [{ tag: cold }]', ['a 2026-03-02T09:00']],
    [
      'does: [{ event: call, afterMail: a, after: 1 day }]',
      'exitOn: [{ event: call }]',
      ['a 2026-03-02T09:00'],
    ],
    ['does: [{ unsubscribes: true, after: 47 hours }]', '', ['a 2026-03-02T09:00']],
    [
      'does: [{ unsubscribes: true, after: 47 hours, chance: 0% }]',
      '',
      ['a 2026-03-02T09:00', 'b 2026-03-04T09:00'],
    ],
    [
      'does: [{ buys: kit, after: 1 day }]',
      'exitOn: [{ purchased: kit }]',
      ['a 2026-03-02T09:00', 'receipt 2026-03-03T09:00'],
    ],
  ])('%s %s', (persona, more, expected) => {
    expect(mails(one(two, persona, more))).toEqual(expected);
  });

  it.each([
    ['opens', '{ opened: a, within: 2 days }', '{ opens: a, after: 5 hours }'],
    ['opens, as a click does', '{ opened: a, within: 2 days }', '{ clicks: a, after: 5 hours }'],
    ['clicks', '{ clicked: a, within: 2 days }', '{ clicks: every mail, after: 5 hours }'],
    ['tag', '{ tag: hot, within: 2 days }', '{ tag: hot, after: 5 hours }'],
    ['untag', '{ not: { tag: old }, within: 2 days }', '{ untag: old, after: 5 hours }'],
    ['set', '{ field: level, over: 2, within: 2 days }', '{ set: { level: 3 }, after: 5 hours }'],
    ['event', '{ event: call, within: 2 days }', '{ event: call, key: first, after: 5 hours }'],
    ['buys', '{ purchased: kit, within: 2 days }', '{ buys: kit, after: 5 hours }'],
  ])('%s: a branch that waits for it goes its way at once', (_, asked, action) => {
    const steps = `${mail('a')}
- { key: pick, if: ${asked}, then: [${mail('yes').slice(2)}], else: [${mail('no').slice(2)}] }`;
    const told = one(steps, `tags: [old], does: [${action}]`);
    expect(mails(told).filter((text) => !text.startsWith('receipt'))).toEqual([
      'a 2026-03-02T09:00',
      'yes 2026-03-02T14:00',
    ]);
    expect(mails(one(steps, 'tags: [old]'))).toEqual(['a 2026-03-02T09:00', 'no 2026-03-04T09:00']);
  });

  it.each([
    ['any', 'affiliate: ada', ''],
    ['ada', 'affiliate: ada', 'affiliate: bo'],
    ['none', '', 'affiliate: ada'],
    ['self', 'isAffiliate: true', 'affiliate: ada'],
  ])('come by the link of %s, or by another', (whose, holding, other) => {
    const steps = `- { key: pick, if: { affiliate: ${whose} }, then: [${mail('yes').slice(2)}], else: [${mail('no').slice(2)}] }`;
    expect(mails(one(steps, holding))).toEqual(['yes 2026-03-02T09:00']);
    expect(mails(one(steps, other))).toEqual(['no 2026-03-02T09:00']);
  });

  it('pay what the checkout asks of them: the price they were promised, until its deadline', () => {
    const steps = '- { key: pitch, email: emails/offer, offer: kit, deadline: 72 hours }';
    const paid = (persona: string): unknown =>
      of(one(steps, persona), 'bought').map(({ total }) => total.amountMinor);
    expect(paid('does: [{ buys: kit, afterMail: pitch, after: 71 hours }]')).toEqual([3430]);
    expect(paid('does: [{ buys: kit, afterMail: pitch, after: 72 hours }]')).toEqual([4900]);
    expect(paid('does: [{ buys: kit, afterMail: pitch, after: 1 hour, withBump: true }]')).toEqual([4330]);
    expect(paid('signsUp: false, does: [{ buys: kit, after: 1 hour }]')).toEqual([4900]);
  });

  it('confirm their address where the form asks, after a minute or as they say, or never', () => {
    const asked = (confirms: string): string[] => {
      const text = funnel(mail('a')).replace('optIn: single', 'optIn: double');
      const people = `personas: [{ name: one${confirms} }]`;
      const wishes = { start: null, days: null, now: new Date('2026-03-02T09:00:00Z') };
      const order = simulationFromFiles([{ name: 'f', text }], { name: 'p', text: people }, wishes);
      return mails(simulate(order).people[0]?.timeline ?? []);
    };
    expect(asked('')).toEqual(['confirmation 2026-03-02T09:00', 'a 2026-03-02T09:01']);
    expect(asked(', confirms: 2 hours')).toEqual(['confirmation 2026-03-02T09:00', 'a 2026-03-02T11:00']);
    expect(asked(', confirms: never')).toEqual(['confirmation 2026-03-02T09:00']);
  });

  it('go on in other funnels, and come back no sooner than an hour later by a step', () => {
    const side = funnel(mail('s', ', delay: 1 day'), '', 'side').replaceAll(/\b(kit|list)\b/g, 'side-$1');
    expect(mails(one([`${mail('a')}\n- { key: go, move: side }`, side], ''))).toEqual([
      'a 2026-03-02T09:00',
      's 2026-03-03T09:00',
    ]);
    const round = one(
      '- { key: again, tag: hot, delay: 30 minutes }',
      'does: [{ tag: hot, after: 1 day }]',
      'enterOn: [{ tag: hot }]\n  reentry: always',
    );
    expect(of(round, 'joined')).toHaveLength(2);
  });

  it('do not get the last mail of a sequence that a step of another ends at the same moment', () => {
    const first = `- { key: start, tag: hot }\n${mail('last', ', delay: 1 day')}`;
    const second = funnel('- { key: mark, tag: client, delay: 1 day }', 'enterOn: [{ tag: hot }]', 'second');
    expect(mails(one([first, second], 'joins: 3 days', 'exitOn: [{ tag: client }]'))).toEqual([]);
    expect(mails(one([first, second], 'joins: 3 days'))).toEqual(['last 2026-03-06T09:00']);
  });

  it('begin what begins with a value that they hold, as soon as they confirm', () => {
    const side = (level: number): string =>
      funnel(mail('s'), `enterOn: [{ field: level, over: ${level} }]`, 'side').replaceAll(
        /\b(kit|list)\b/g,
        'side-$1',
      );
    const told = (level: number): string[] => mails(one([mail('a'), side(level)], 'fields: { level: 5 }'));
    expect(told(4)).toEqual(['a 2026-03-02T09:00', 's 2026-03-02T09:00']);
    expect(told(5)).toEqual(['a 2026-03-02T09:00']);
  });

  it('get no more mails than the cap of the installation allows', () => {
    const cap = 'frequencyCap: { perDay: 1 }\npersonas: [{ name: one }]';
    const told = run(`${mail('a')}\n${mail('b')}`, cap).people[0]?.timeline ?? [];
    expect(mails(told)).toEqual(['a 2026-03-02T09:00', 'b 2026-03-03T09:00']);
    expect(of(told, 'held')).toMatchObject([{ step: 'b', reason: 'frequency cap: 1 a day' }]);
  });

  it('wait for the cap as in a real run where the mail before has ended by then: they had theirs a day later', () => {
    const cap = 'frequencyCap: { perDay: 1 }\npersonas: [{ name: one }]';
    const short = mail('b', ', expires: "2026-03-02T18:00"');
    const told = run(`${mail('a')}\n${short}\n${mail('c')}`, cap).people[0]?.timeline ?? [];
    expect(mails(told)).toEqual(['a 2026-03-02T09:00', 'c 2026-03-03T09:00']);
  });

  it('get a mail that had to wait for the cap when its hours open again', () => {
    const cap = 'frequencyCap: { perDay: 1 }\npersonas: [{ name: one }]';
    const steps = `${mail('a', ', delay: 30 minutes')}\n${mail('b', ', delay: 1 minute')}`;
    const window = 'window: { days: [mon, tue, thu], from: "09:00", to: "09:31" }';
    const told = run(steps, cap, window).people[0]?.timeline ?? [];
    // Due on Tuesday at 09:00, after the first; the cap lets it go at 09:30 + 24 hours, a minute before the window closes.
    expect(mails(told)).toEqual(['a 2026-03-02T09:30', 'b 2026-03-03T09:30']);
    const narrow = run(steps, cap, 'window: { days: [mon, tue, thu], from: "09:00", to: "09:30" }');
    expect(mails(narrow.people[0]?.timeline ?? [])).toEqual(['a 2026-03-03T09:00', 'b 2026-03-05T09:00']);
    expect(of(narrow.people[0]?.timeline ?? [], 'held')).toMatchObject([
      { reason: 'frequency cap: 1 a day', until: '2026-03-05T09:00:00.000Z' },
    ]);
  });

  it('do by chance what the seed says, and another persona beside them changes nothing', () => {
    const people = (seed: number, more = ''): string =>
      `seed: ${seed}\npersonas: [{ name: many, count: 400, does: [{ clicks: a, after: 1 minute to 3 days, chance: 25% }] }${more}]`;
    const first = run(mail('a'), people(1));
    const clicks = first.people.flatMap(({ timeline }) => of(timeline, 'clicked'));
    expect(run(mail('a'), people(1))).toEqual(first);
    expect(run(mail('a'), people(1, ', { name: other }')).people.slice(0, 400)).toEqual(first.people);
    expect(run(mail('a'), people(2))).not.toEqual(first);
    // 100 are expected of 400, standard deviation 8.7.
    expect(clicks.length).toBeGreaterThan(70);
    expect(clicks.length).toBeLessThan(130);
    const minutes = clicks.map(({ at }) => (Date.parse(at) - Date.parse('2026-03-02T09:00:00Z')) / 60_000);
    expect(Math.min(...minutes)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...minutes)).toBeLessThanOrEqual(3 * 1_440);
    expect(new Set(minutes).size).toBeGreaterThan(60);
  });

  it('are told apart by their time zones in turn', () => {
    const { people } = run(
      mail('a'),
      'personas: [{ name: all, count: 3, timeZone: [asia/tokyo, Europe/Berlin] }]',
    );
    expect(people.map(({ timeZone }) => timeZone)).toEqual(['Asia/Tokyo', 'Europe/Berlin', 'Asia/Tokyo']);
  });

  it('live through 90 days, a thousand of them, in under five seconds', () => {
    const text = DEMO;
    const people = `start: 2026-03-02
personas:
  - name: reader
    count: 1000
    timeZone: [Europe/Berlin, America/New_York, Asia/Kolkata, Australia/Lord_Howe]
    joins: 0 days to 60 days
    does:
      - { opens: every mail, after: 1 hour to 3 days, chance: 40% }
      - { clicks: every mail, after: 1 hour to 3 days, chance: 10% }
      - { buys: launch-kit, afterMail: offer, after: 1 hour to 3 days, chance: 5% }
      - { unsubscribes: true, afterMail: every mail, after: 1 hour, chance: 1% }`;
    const began = process.cpuUsage();
    const { summary } = simulate(
      simulationFromFiles(
        [{ name: 'demo', text }],
        { name: 'people', text: people },
        { start: null, days: 90, now: new Date(0) },
      ),
    );
    // Of the processor, as a busy machine takes longer for anything.
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1e6).toBeLessThan(5);
    expect(summary.people).toBe(1_000);
    expect(summary.mails).toBeGreaterThan(4_500);
    expect(summary.purchases).toBeGreaterThan(15);
  });
});

describe('a simulation that cannot be', () => {
  const refusal = (given: () => unknown): string => {
    try {
      given();
    } catch (error) {
      if (error instanceof DomainError) return error.message;
      throw error;
    }
    return 'accepted';
  };

  it.each([
    [
      'personas: [{ name: one, count: 0 }]',
      'people.yaml:1: personas.0.count: use a whole number of people from 1',
    ],
    [
      'personas:\n  - { name: one }\n  - { name: one }',
      'people.yaml:3: personas.1.name: a second persona is called "one"',
    ],
    ['personas: [{ name: one, timeZone: Mars/Base }]', 'use an IANA time zone'],
    [
      'personas:\n  - name: one\n    does:\n      - { clicks: z }',
      'people.yaml:4: personas.0.does.0.clicks: no step "z" sends a mail; there are: a',
    ],
    [
      'personas:\n  - name: one\n    does:\n      - { buys: z }',
      'people.yaml:4: personas.0.does.0.buys: there is no offer "z"; there are: kit',
    ],
    ['personas: [{ name: one, does: [{ clicks: a, after: soon }] }]', '"soon" is not a duration'],
    ['personas: [{ name: one, does: [{ clicks: a, afterMail: a }] }]', '"afterMail" is not an option here'],
    ['personas: [{ name: one, does: [{ dances: true }] }]', 'name one of opens, clicks, buys'],
    ['personas: [{ name: one, colour: red }]', '"colour" is not an option here'],
    ['start: tomorrow\npersonas: [{ name: one }]', 'use a date such as 2026-03-02'],
    ['days: 9999\npersonas: [{ name: one }]', 'use a number of days from 1 to 730'],
    ['people: []', '"people" is not an option here'],
  ])('%s', (personas, message) => {
    expect(refusal(() => run(mail('a'), personas))).toContain(message);
  });

  it.each([
    [
      `${mail('a')}\n- { key: go, move: nowhere }`,
      /f0\.yaml:\d+: sequence\.steps\.1\.move: no file here describes the sequence "nowhere"; name it with --with/,
    ],
    [`${mail('a')}\n- { key: go, move: main }`, /a sequence cannot move people to itself/],
    [`${mail('a', ', delay: soon')}`, /f0\.yaml:\d+: sequence\.steps\.0\.delay: "soon" is not a duration/],
  ])('%s', (steps, message) => {
    expect(refusal(() => run(steps, 'personas: [{ name: one }]'))).toMatch(message);
  });
});

describe('wellspring simulate', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wellspring-simulate-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  /** Without a database: none is configured, and the data folder is empty. */
  const wellspring = async (...args: string[]): Promise<{ code: number; out: string; error: string }> => {
    const said = { out: '', error: '' };
    const code = await runCommand(['simulate', ...args], {
      env: { DATA_DIR: join(folder, 'data') },
      out: (text) => (said.out += text),
      error: (text) => (said.error += text),
    });
    return { code, ...said };
  };
  const demo = ['config/funnels/niche-ebook.yaml', '--personas', 'config/personas/niche-ebook.yaml'];

  it('prints the timeline of the demo, which is an expectation to keep', async () => {
    const { code, out } = await wellspring(...demo);
    expect(code).toBe(0);
    await expect(out).toMatchFileSnapshot('../../../fixtures/simulation-niche-ebook.txt');
    const expected = join(folder, 'expected.txt');
    expect(await wellspring(...demo, '--expect', expected)).toMatchObject({
      code: 1,
      error: `there is no ${expected}; --update writes it\n`,
    });
    const lost = await wellspring(...demo, '--expect', expected, '--json');
    expect([lost.code, JSON.parse(lost.out)]).toMatchObject([1, { ok: false }]);
    expect((await wellspring(...demo, '--expect', expected, '--update')).out).toBe(`wrote ${expected}\n`);
    expect(readFileSync(expected, 'utf8')).toBe(out);
    expect(await wellspring(...demo, '--expect', expected)).toMatchObject({
      code: 0,
      out: `as ${expected} says\n`,
    });
    writeFileSync(expected, out.replaceAll('\n', '\r\n'));
    expect((await wellspring(...demo, '--expect', expected)).code).toBe(0);
  });

  it('says line by line what is not as expected, and ends with 1', async () => {
    const expected = join(folder, 'changed.txt');
    const text = readFileSync(demo[0] ?? '', 'utf8');
    const slower = join(folder, 'slower.yaml');
    writeFileSync(slower, text.replace('delay: 2 days\n', 'delay: 3 days\n'));
    await wellspring(...demo, '--expect', expected, '--update');
    const { code, out } = await wellspring(slower, ...demo.slice(1), '--expect', expected);
    expect(code).toBe(1);
    expect(out).toContain('-   Fri 2026-03-06 09:30  mail story (emails/story)');
    expect(out).toContain('+   Mon 2026-03-09 09:30  mail story (emails/story)');
    const json = await wellspring(slower, ...demo.slice(1), '--expect', expected, '--json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject({ ok: false, differences: expect.arrayContaining([]) });
  });

  it('takes a start, a length, usual people, sums only, and JSON', async () => {
    const args = [demo[0] ?? '', '--start', '2026-10-19T08:00:00Z', '--days', '20'];
    const { out } = await wellspring(...args, '--json');
    const simulation = JSON.parse(out) as Simulation;
    expect(simulation).toMatchObject({ start: '2026-10-19T08:00:00.000Z', days: 20 });
    expect(simulation.people.map(({ persona }) => persona)).toEqual([
      'reads-nothing',
      'clicks-everything',
      'buys',
    ]);
    expect(simulation.summary.income).toEqual([{ amountMinor: 3430, currency: 'EUR' }]);
    expect((await wellspring(...args, '--summary')).out).toContain('1 purchase, 34.30 EUR');
    expect(simulationText(simulation)).toContain('buys launch-kit for 34.30 EUR');
  });

  it('takes further funnels with --with', async () => {
    const [first, second] = [join(folder, 'first.yaml'), join(folder, 'second.yaml')];
    writeFileSync(first, funnel(`${mail('a')}\n- { key: go, move: side }`));
    writeFileSync(second, funnel(mail('b'), '', 'side').replaceAll(/\b(kit|list)\b/g, 'side-$1'));
    expect(await wellspring(first)).toMatchObject({
      code: 1,
      error: expect.stringContaining(`${first}:8: `),
    });
    expect((await wellspring(first, '--with', second)).out).toContain('mail side/b (emails/story)');
  });

  it.each([
    [['nowhere.yaml'], 1, 'nowhere.yaml cannot be read'],
    [[demo[0] ?? '', '--start', 'soon'], 2, '--start: use a date'],
    [[demo[0] ?? '', '--days', '0'], 2, '--days: use a number of days'],
    [[demo[0] ?? '', '--update'], 2, '--update needs --expect'],
    [[demo[0] ?? '', '--expect', 'x', '--summary'], 2, '--summary prints sums and --expect compares'],
    // It would begin at another time whenever it is run.
    [[demo[0] ?? '', '--expect', 'x', '--update'], 2, '--expect needs a beginning that stays the same'],
    [[...demo, '--expect', 'nowhere/x.txt', '--update'], 1, 'nowhere/x.txt cannot be written'],
    [[...demo, '--expect', 'src'], 1, 'src cannot be read'],
    [[], 2, 'missing required argument'],
  ])('%j ends with %i', async (args, code, message) => {
    expect(await wellspring(...args)).toMatchObject({ code, error: expect.stringContaining(message) });
  });
});
