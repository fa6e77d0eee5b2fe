import { describe, expect, it } from 'vitest';
import { readFunnelFile, writeFunnelFile } from '../../../src/funnels/yaml/funnel-file.js';
import { funnelProblems } from '../../../src/funnels/lint/funnel-problems.js';

const file = (steps: string, sequence = ''): string => `funnel: course
title: A course
sender: { name: Ada, email: ada@example.com, postalAddress: 1 Main St }
form: { slug: course, headline: Get it, consent: Send it to me }
sequence:
  priority: 5
${sequence === '' ? '' : `  ${sequence}\n`}  steps:
    - { key: hello, email: emails/welcome }
    ${steps}
products:
  - { key: kit, name: Kit, price: 49.00 EUR }
  - { key: club, name: Club, price: 99.00 EUR, membership: { lasts: 12 months } }
`;

const EVERY_STEP = `- { key: s1, wait: 2 days, at: "09:00", onDays: [mon], quietHours: { from: "20:00", to: "08:00" } }
    - { key: s2, wait: true, until: "2026-12-01 09:00" }
    - { key: s3, tag: [a, b], delay: 1 hour }
    - { key: s4, untag: a, expires: 2026-12-01 }
    - { key: s5, set: { level: 2, city: null } }
    - { key: s6, webhook: https://example.com/hook }
    - { key: s7, notify: Somebody wants a call }
    - { key: s8, goal: [{ purchased: kit }, { tag: a }, { event: done }], otherwise: end }
    - key: s9
      switch:
        - if: { any: [{ clicked: hello }, { not: { opened: hello } }] }
          then: [{ key: s10, end: true }]
        - if: { all: [{ field: level, over: 1 }, { step: s1, was: ran }] }
          then: []
      within: 2 days
      else: [{ key: s11, email: emails/story, until: { field: trialEnd, minus: 1 day }, window: { days: [tue], from: "08:00", to: "09:00" } }]
    - { key: s12, if: { event: booked, within: 1 week } }
    - { key: s13, if: { field: city, exists: true }, then: [{ key: s14, move: clients }] }`;

describe('the steps of a funnel file', () => {
  it('are read and written back, every kind of them', () => {
    const more = `quietHours: { from: "20:00", to: "08:00" }
  fallbackTimezone: Europe/Berlin
  enterOn: [{ event: booked }]
  reentry: after 30 days`;
    const read = readFunnelFile(file(EVERY_STEP, more));
    if (!read.ok) throw new Error(JSON.stringify(read.problems));
    expect(funnelProblems(read.definition)).toEqual([]);
    const written = writeFunnelFile(read.definition);
    const again = readFunnelFile(written);
    expect(again.ok && again.definition).toEqual(read.definition);
  });

  const refused = (text: string): { line: number | null; field: string; message: string }[] => {
    const read = readFunnelFile(text);
    if (!read.ok) return read.problems.map(({ line, field, message }) => ({ line, field, message }));
    return funnelProblems(read.definition).map(({ path, message }) => ({
      line: read.lineOf(path),
      field: path.join('.'),
      message,
    }));
  };
  const KINDS = 'email, if, switch, split, wait, tag, untag, set, move, webhook, notify, goal, end';
  const QUESTIONS =
    'clicked, opened, tag, purchased, refunded, list, member, affiliate, event, step, split, field, all, any, not';

  it.each([
    [
      '{ key: x, if: { member: kit }, then: [{ key: y, tag: y }] }',
      'if.member',
      'the product "kit" makes nobody a member',
    ],
    [
      '{ key: x, if: { member: gone, state: ended }, then: [{ key: y, tag: y }] }',
      'if.member',
      'with a membership; there are: club',
    ],
    ['{ key: x, goal: { member: kit } }', 'goal.member', 'makes nobody a member'],
    [
      '{ key: x, wait: true, until: { member: kit, minus: 1 week } }',
      'until.member',
      'makes nobody a member',
    ],
    [
      '{ key: x, wait: true, until: { member: club, minus: 1 week, plus: 1 day } }',
      'until',
      'use plus or minus',
    ],
    ['{ key: x, if: { member: club, state: frozen }, then: [] }', 'if.state', 'use active, ended, refunded'],
    ['{ key: x, teleport: home }', 'teleport', `"teleport" is not an option here; name one of ${KINDS}`],
    ['{ key: x }', '', `name one of ${KINDS}`],
    [
      '{ key: x, wait: 2 days, colour: red }',
      'colour',
      '"colour" is not an option here; there are: key, wait, delay',
    ],
    ['{ key: x, tag: a, email: emails/story }', 'tag', '"tag" is not an option here; there are: key, email'],
    ['{ key: x, wait: soon }', 'wait', 'is not a duration'],
    ['{ key: x, wait: 1 day, delay: 1 day }', 'delay', 'leave out one of the two'],
    ['{ key: x, wait: true }', 'wait', 'say how long'],
    ['{ key: x, wait: 1 day, until: 2026-12-01 }', 'until', 'write wait: true'],
    ['{ key: x, email: emails/story, delay: 1 day, until: 2026-12-01 }', 'until', 'leave out the delay'],
    [
      '{ key: x, email: emails/story, delay: 1 day, until: { field: trialEnd } }',
      'until',
      'leave out the delay; a time behind the date is its plus, such as plus: 1 day',
    ],
    ['{ key: x, email: emails/story, until: 2026-02-30 }', 'until', 'is not a date'],
    ['{ key: x, email: emails/story, until: { date: trialEnd } }', 'until.date', 'name one of field'],
    [
      '{ key: x, email: emails/story, until: { field: trialEnd, plus: 1 day, minus: 1 day } }',
      'until',
      'plus or minus',
    ],
    ['{ key: x, email: emails/story, expires: never }', 'expires', 'is not a date'],
    ['{ key: x, email: emails/story, onDays: [monday] }', 'onDays.0', 'use mon, tue'],
    ['{ key: x, email: emails/story, onDays: [] }', 'onDays', 'at least one of mon'],
    ['{ key: x, email: emails/story, at: "25:00" }', 'at', 'from 00:00 to 23:59'],
    [
      '{ key: x, email: emails/story, at: "03:00", quietHours: { from: "20:00", to: "08:00" } }',
      'at',
      'inside the quiet hours',
    ],
    [
      '{ key: x, email: emails/story, delay: 1 day, onDays: [mon], window: { days: [tue], from: "08:00", to: "09:00" } }',
      'onDays',
      'none of these days',
    ],
    ['{ key: x, set: {} }', 'set', 'at least one field'],
    ['{ key: x, set: { Bad Name: 1 } }', 'set.Bad Name', 'camelCase'],
    ['{ key: x, webhook: ftp://example.com }', 'webhook', 'https://'],
    ['{ key: x, end: false }', 'end', 'use true'],
    ['{ key: x, goal: { clicked: away } }', 'goal.clicked', 'is not an email step of the sequence'],
    ['{ key: x, goal: { purchased: car } }', 'goal.purchased', 'there is no product "car"; there are: kit'],
    ['{ key: x, goal: { tag: a }, otherwise: wait }', 'otherwise', 'use continue or end'],
    ['{ key: x, if: { vip: gold }, then: [] }', 'if.vip', `name one of ${QUESTIONS}`],
    ['{ key: x, if: { affiliate: true }, then: [] }', 'if.affiliate', 'is read as true; put it in quotes'],
    ['{ key: x, if: { affiliate: Ada B }, then: [] }', 'if.affiliate', 'use any, none, self or the code'],
    ['{ key: x, goal: { affiliate: none } }', 'goal.affiliate', 'use any, self or the code of an affiliate'],
    ['{ key: x, if: { tag: a, colour: red }, then: [] }', 'if.colour', 'there are: tag, within'],
    [
      '{ key: x, if: { clicked: later }, then: [{ key: later, email: emails/story }] }',
      'if.clicked',
      'is not an email step before this one; there are: hello',
    ],
    [
      '{ key: x, if: { step: x, was: ran }, then: [{ key: y, end: true }] }',
      'if.step',
      'is not a step before this one',
    ],
    [
      '{ key: x, if: { step: hello, was: happy }, then: [{ key: y, end: true }] }',
      'if.was',
      'use ran, skipped, then, else',
    ],
    ['{ key: x, if: { field: level }, then: [{ key: y, end: true }] }', 'if', 'exactly one of is, isNot'],
    [
      '{ key: x, if: { field: level, is: 1, over: 2 }, then: [{ key: y, end: true }] }',
      'if',
      'exactly one of is, isNot',
    ],
    ['{ key: x, if: { field: level, over: ten }, then: [{ key: y, end: true }] }', 'if.over', 'use a number'],
    [
      '{ key: x, if: { any: [{ tag: a }, { colour: red }] }, then: [{ key: y, end: true }] }',
      'if.any.1.colour',
      `name one of ${QUESTIONS}`,
    ],
    ['{ key: x, if: { any: [] }, then: [{ key: y, end: true }] }', 'if.any', 'at least one condition'],
    [
      '{ key: x, if: { all: [{ purchased: car }] }, then: [{ key: y, end: true }] }',
      'if.all.0.purchased',
      'there is no product',
    ],
    ['{ key: x, if: { tag: a } }', '', 'a branch needs steps'],
    ['{ key: x, switch: [{ if: { tag: a }, then: [] }] }', 'switch', 'at least two cases'],
    ['{ key: x, switch: [{ if: { tag: a } }, { if: { tag: b } }] }', '', 'a switch needs steps'],
    ['{ key: x, email: emails/story, offer: car }', 'offer', 'there is no offer "car"'],
    ['{ key: x, email: emails/story, toOwners: send }', 'toOwners', 'belongs to a step with an offer'],
    ['{ key: x, email: emails/story, offer: kit, toOwners: all }', 'toOwners', 'use skip or send'],
    ['{ key: x, email: emails/story, deadline: 3 days }', 'deadline', 'belongs to a step with an offer'],
  ])('refuse %s, with line, field and what is allowed', (step, field, message) => {
    const path = ['sequence.steps.1', ...(field === '' ? [] : [field])].join('.');
    expect(refused(file(`- ${step}`))).toContainEqual({
      line: 9,
      field: path,
      message: expect.stringContaining(message) as string,
    });
  });

  it('refuse what comes after the end', () => {
    expect(refused(file('- { key: x, end: true }\n    - { key: y, email: emails/story }'))).toEqual([
      {
        line: 10,
        field: 'sequence.steps.2',
        message: 'nobody comes to the steps after "x", which ends the sequence',
      },
    ]);
  });

  it.each([
    [
      'exitOn: [{ step: hello }]',
      'exitOn.0.step',
      'name one of purchased, refunded, member, tag, untagged, list, unlisted, event, affiliate, clicked, opened, field',
    ],
    [
      'exitOn: [{ opened: away }]',
      'exitOn.0.opened',
      'is not an email step of the sequence; there are: hello',
    ],
    ['exitOn: [{ field: level }]', 'exitOn.0', 'needs exactly one of is, isNot'],
    [
      'enterOn: [{ step: hello, was: ran }]',
      'enterOn.0.step',
      'name one of purchased, refunded, member, tag, untagged, list, unlisted, event, affiliate, clicked, opened',
    ],
    ['exitOn: [{ purchased: car }]', 'exitOn.0.purchased', 'there is no product'],
    ['reentry: sometimes', 'reentry', 'use never, always, per event, or after a number of days'],
    ['reentry: after 0 days', 'reentry', 'use never, always'],
    ['fallbackTimezone: Mars/Olympus', 'fallbackTimezone', 'IANA time zone'],
    ['fallbackTimezone: "+02:00"', 'fallbackTimezone', 'IANA time zone'],
    ['quietHours: { from: "08:00" }', 'quietHours.to', 'is missing'],
    ['frequency: daily', 'frequency', '"frequency" is not an option here; there are: window, quietHours'],
  ])('refuse the sequence option %s', (option, field, message) => {
    expect(refused(file('', option))).toContainEqual({
      line: expect.any(Number) as number,
      field: `sequence.${field}`,
      message: expect.stringContaining(message) as string,
    });
  });

  it.each(['0', '10', '2.5', 'high'])('refuse the priority %s', (priority) => {
    expect(refused(file('').replace('priority: 5', `priority: ${priority}`))).toMatchObject([
      { line: 6, field: 'sequence.priority' },
    ]);
  });
});
