import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  audienceText,
  broadcastFormPage,
  readBroadcast,
  typedBroadcast,
  typedOfBroadcast,
} from '../../../../src/admin/broadcasts/broadcast-form.js';
import { offerOf } from '../../../../src/admin/broadcasts/broadcast-offer-form.js';
import { readResend, readStart, timingText } from '../../../../src/admin/broadcasts/broadcast-start-form.js';
import type { Broadcast } from '../../../../src/broadcasts/broadcast.js';

const FORM = {
  title: 'News of March',
  template: 'emails/story',
  subject: '',
  audience: 'everybody',
  senderName: 'Ada',
  senderEmail: 'ada@example.com',
  senderPostalAddress: '1 Main St, Springfield',
  topic: '',
  testPercent: '20',
  waitHours: '4',
  judge: 'clicks',
};
const REVENUE = { split: 'on', 'arms.1.subject': 'B', judge: 'revenue' };
const read = (change: object = {}): ReturnType<typeof readBroadcast> =>
  readBroadcast(typedBroadcast({ ...FORM, ...change }), null);

describe('the form of a broadcast', () => {
  it('says what the API would be told', () => {
    expect(read()).toMatchObject({ title: 'News of March', audience: { everybody: true }, split: null });
    expect(
      read({
        audience: 'some',
        segmentsAny: ['a', 'b'],
        segmentsNone: 'c',
        tagsAny: 'vip, press,',
        funnel: 'guide',
      }),
    ).toMatchObject({
      audience: {
        segments: { any: ['a', 'b'], none: ['c'] },
        tags: { any: ['vip', 'press'] },
        funnel: 'guide',
      },
    });
    expect(
      read({
        split: 'on',
        'arms.1.subject': 'Other words',
        waitHours: '0.5',
        judge: 'revenue',
        capAmount: '49.00',
        capCurrency: 'eur',
      }),
    ).toMatchObject({
      split: {
        arms: [{}, { subject: 'Other words' }],
        testPercent: 20,
        waitMinutes: 30,
        judge: 'revenue',
        revenueCap: { amountMinor: 4900, currency: 'EUR' },
      },
    });
  });

  it('keeps a draft as it is when nothing was changed, also tags with commas and long lists of them', () => {
    const tag = fc.oneof(
      fc.constantFrom('Rock, Pop', '5" pipe', '"', '","', 'a,', '"a", b', 'news'),
      fc.string({ minLength: 1, maxLength: 100 }).map((text) => text.trim() || 'x'),
    );
    const tags = fc.uniqueArray(tag, { minLength: 1, maxLength: 50 });
    const draft = read({
      split: 'on',
      'arms.1.subject': 'B',
      waitHours: '0.1',
      senderPostalAddress: 'A\r\nB',
    });
    fc.assert(
      fc.property(fc.record({ any: tags, none: tags }), (filter) => {
        const before = { ...draft, audience: { tags: filter } } as unknown as Broadcast;
        const sent = typedOfBroadcast(before);
        expect(readBroadcast(typedBroadcast(sent), { ...before, resendOf: null })).toEqual(before);
      }),
    );
  });

  it('shows the mail, segment and funnel of a draft also when they are not among the choices', () => {
    const typed = typedBroadcast({ ...FORM, template: 'emails/gone', segmentsAny: 'old', funnel: 'past' });
    const page = broadcastFormPage(typed, {
      mails: [{ key: 'emails/story', subject: 'A story' }],
      segments: [{ key: 'new', title: 'New' }],
      ...{ funnels: [], offers: [], sender: { name: '', email: '', postalAddress: '' } },
    });
    expect(page).toMatchObject({
      mails: [{ chosen: false }, { key: 'emails/gone', chosen: true }],
      segmentsAny: [{ chosen: false }, { key: 'old', chosen: true }],
      segmentsNone: [{ chosen: false }],
      funnels: [{ key: 'past', chosen: true }],
    });
  });

  it.each([
    ['title', { title: '' }],
    ['title', { title: 'x'.repeat(201) }],
    ['template', { template: '../secret' }],
    ['subject', { subject: 'x'.repeat(301) }],
    ['audience', { audience: '' }],
    ['audience', { audience: 'some', tagsAny: ' , ' }],
    ['senderName', { senderName: '' }],
    ['senderEmail', { senderEmail: 'ada' }],
    ['senderPostalAddress', { senderPostalAddress: '' }],
    ['topic', { topic: 'My News' }],
    ['priority', { priority: '0' }],
    ['priority', { priority: 'first' }],
    ['arms.0.subject', { split: 'on' }],
    ['testPercent', { split: 'on', 'arms.1.subject': 'B', testPercent: '95' }],
    ['testPercent', { split: 'on', 'arms.1.subject': 'B', testPercent: 'some' }],
    ['holdout', { split: 'on', 'arms.1.subject': 'B', testPercent: '60', holdout: '40' }],
    ['holdout', { split: 'on', 'arms.1.subject': 'B', holdout: 'some' }],
    ['alpha', { split: 'on', 'arms.1.subject': 'B', alpha: '1' }],
    ['railUnsubscribes', { split: 'on', 'arms.1.subject': 'B', railUnsubscribes: '90%' }],
    ['railComplaints', { split: 'on', 'arms.1.subject': 'B', railComplaints: 'few' }],
    ['armHour', { split: 'on', 'arms.1.at': '25:00' }],
    ['waitHours', { split: 'on', 'arms.1.subject': 'B', waitHours: '' }],
    ['waitHours', { split: 'on', 'arms.1.subject': 'B', waitHours: '169' }],
    ['capAmount', { ...REVENUE, capAmount: '', capCurrency: 'EUR' }],
    ['capCurrency', { ...REVENUE, capAmount: '9', capCurrency: 'euros' }],
    ['capCurrency', { ...REVENUE, capAmount: '9', capCurrency: 'ABC' }],
    ['capAmount', { ...REVENUE, capAmount: '1500.00', capCurrency: 'JPY' }],
    ['capAmount', { ...REVENUE, capAmount: '49,00', capCurrency: 'EUR' }],
    ['capAmount', { ...REVENUE, capAmount: '0', capCurrency: 'EUR' }],
  ])('says at %s what is wrong with %j', (field, change) => {
    const result = read(change);
    expect('errors' in result && Object.keys(result.errors)).toEqual([field]);
    expect('errors' in result && result.errors[field]).toMatch(/\w.*\.$/);
  });

  it.each([
    ['1500', 'JPY', 1500],
    ['1.250', 'KWD', 1250],
    ['49.00', 'EUR', 4900],
  ])(
    'takes a cap of %s %s for no hundred times as much, and shows it so again',
    (amount, currency, amountMinor) => {
      const draft = read({ ...REVENUE, capAmount: amount, capCurrency: currency });
      if ('errors' in draft) throw new Error(JSON.stringify(draft.errors));
      expect(draft.split?.revenueCap).toEqual({ amountMinor, currency });
      expect(typedOfBroadcast(draft)).toMatchObject({ capAmount: [amount], capCurrency: [currency] });
    },
  );

  it.each([
    ['2026-03-05 18:00', '2026-03-05T18:00:00Z'],
    ['2026-03-05T18:00', '2026-03-05T18:00:00Z'],
    ['2026-03-05T18:00:00+01:00', '2026-03-05T18:00:00+01:00'],
  ])('takes the end of an offer as people type it, in UTC unless it says more: %s', (typed, until) => {
    expect(offerOf({ offer: ['kit'], until: [typed] })).toEqual({ key: 'kit', until });
  });

  it('is filled with a draft, and gives the draft back', () => {
    const draft = {
      title: 'News',
      template: 'emails/story',
      subject: 'Mine',
      offer: { key: 'kit', discount: '40%', until: '2026-04-01T18:00:00+02:00' },
      audience: { segments: { any: ['a'] }, tags: { all: ['x', 'y'] } },
      sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' },
      topic: 'tips',
      priority: 3,
      expiresAt: new Date('2026-05-01T00:00:00Z'),
      split: {
        arms: [{}, { delayMinutes: 90 }, { offer: { key: 'other' } }, { template: 'emails/nudge' }],
        testPercent: 10,
        waitMinutes: 90,
        judge: 'clicks' as const,
      },
      resendOf: null,
    } satisfies Partial<Broadcast>;
    const typed = typedOfBroadcast(draft);
    const { resendOf, ...words } = draft;
    expect(resendOf).toBeNull();
    expect(readBroadcast(typed, draft)).toEqual({ key: null, ...words });
    const sender = draft.sender;
    const page = broadcastFormPage(typed, {
      mails: [{ key: 'emails/story', subject: 'S' }],
      segments: [{ key: 'a', title: 'A' }],
      funnels: [],
      offers: [{ key: 'kit', title: 'The kit' }],
      sender,
    });
    expect(page).toMatchObject({
      audience: 'some',
      segmentsAny: [{ key: 'a', chosen: true }],
      mails: [{ chosen: true }],
      split: true,
    });
    expect((page['arms'] as object[]).length).toBe(4);
  });

  it('keeps nothing but text of what is sent to it', () => {
    expect(typedBroadcast({ title: { evil: 1 }, subject: ['a', 2, 'b'] })).toEqual({
      title: [],
      subject: ['a', 'b'],
    });
    expect(typedBroadcast(null)).toEqual({});
  });

  it('names the audience in words', () => {
    expect(audienceText({ everybody: true })).toBe('Everybody on the list');
    expect(
      audienceText({ segments: { any: ['a', 'b'], none: ['c'] }, tags: { any: ['vip'] }, funnel: 'guide' }),
    ).toBe(
      'People in any of the segments “a”, “b”, not in “c”, with the tag “vip”, in the funnel “guide” or once in it',
    );
    expect(audienceText({ resendOf: '7', unless: 'opened' })).toMatch(/have not opened it/);
  });
});

describe('the form of the start', () => {
  const start = (typed: Record<string, string>): ReturnType<typeof readStart> =>
    readStart(typedBroadcast(typed), { hours: false });
  it('reads a time on the clock of the zone, and the hour of each reader', () => {
    expect(start({ when: 'now' })).toEqual({ at: null, timing: { local: null, spreadMinutes: 0 } });
    expect(
      start({ when: 'at', time: '2026-07-01T09:30', zone: 'Europe/Vienna', spreadHours: '1.5' }),
    ).toEqual({
      at: new Date('2026-07-01T07:30:00Z'),
      timing: { local: null, spreadMinutes: 90 },
    });
    expect(
      start({ when: 'local', time: '2026-07-01T09:30', zone: 'europe/vienna', ifPassed: 'skip' }),
    ).toEqual({
      at: null,
      timing: {
        local: { atLocal: '2026-07-01T09:30', fallbackZone: 'Europe/Vienna', ifPassed: 'skip' },
        spreadMinutes: 0,
      },
    });
  });

  it.each([
    ['time', { when: 'at', time: '', zone: 'UTC' }],
    ['time', { when: 'local', time: 'tomorrow' }],
    ['time', { when: 'local', time: '2026-02-30T09:30' }],
    ['time', { when: 'at', time: '2026-02-30T09:30', zone: 'UTC' }],
    ['ifPassed', { when: 'local', time: '2026-07-01T09:30', ifPassed: 'perhaps' }],
    ['zone', { when: 'local', time: '2026-07-01T09:30', zone: 'Mars' }],
    ['spreadHours', { when: 'now', spreadHours: '-1' }],
    ['spreadHours', { when: 'now', spreadHours: '1000' }],
    ['spreadHours', { when: 'now', spreadHours: 'a while' }],
  ])('says at %s what is wrong with %j', (field, typed) => {
    const result = start(typed as Record<string, string>);
    expect('errors' in result && Object.keys(result.errors)).toEqual([field]);
  });

  it('starts now, whatever stands in the fields for later', () => {
    expect(start({ when: 'now', zone: 'Mars', time: '2026-02-30T09:30', ifPassed: 'perhaps' })).toEqual({
      at: null,
      timing: { local: null, spreadMinutes: 0 },
    });
  });

  it('does not lose the zone that was typed to that of the browser', () => {
    const fields = [{ value: 'Mars/Base' }, { value: '' }];
    const script = readFileSync('templates/assets/time-zone.js', 'utf8');
    runInNewContext(script, { document: { querySelectorAll: () => fields } });
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    expect(fields).toEqual([{ value: 'Mars/Base' }, { value: timeZone }]);
  });

  it('says afterwards how it goes', () => {
    const local = { atLocal: '2026-07-01T09:30', fallbackZone: 'UTC', ifPassed: 'send' as const };
    expect(
      timingText({ timing: { local, spreadMinutes: 240 }, withoutZone: 3, hourPassed: 2, split: null }),
    ).toBe(
      'Wed 1 Jul 2026, 09:30 on each reader’s clock; spread over 4 hours; 3 without a known zone by UTC; 2 past the hour get it at once',
    );
    expect(
      timingText({ timing: { local: null, spreadMinutes: 0 }, withoutZone: 0, hourPassed: 0, split: null }),
    ).toBeNull();
  });
});

describe('a test with hours, a holdout and guard rails', () => {
  const typed = {
    ...{ ...FORM, split: 'on', 'arms.1.at': '20:00', testPercent: '20', waitHours: '4', judge: 'clicks' },
    ...{ holdout: '10', alpha: '0.01', railUnsubscribes: '2%', railComplaints: '0.3' },
  };

  it('is read from the form, with the sign of a percentage or without, and stands in it again', () => {
    const draft = readBroadcast(typedBroadcast(typed), null);
    if ('errors' in draft) throw new Error(JSON.stringify(draft.errors));
    expect(draft.split).toMatchObject({
      ...{ arms: [{}, { at: '20:00' }], alpha: 0.01, holdout: '10%' },
      guardRails: { unsubscribes: '2%', complaints: '0.3%' },
    });
    const again = typedOfBroadcast({ ...draft, subject: null, topic: null });
    expect(readBroadcast(again, null)).toMatchObject({ split: draft.split });
  });

  it('keeps an arm that is left as it is beside one with an hour, at either place', () => {
    const armsOf = (fields: object): unknown => {
      const draft = readBroadcast(typedBroadcast({ ...typed, 'arms.1.at': '', ...fields }), null);
      return 'errors' in draft ? draft.errors : draft.split?.arms;
    };
    expect(armsOf({ 'arms.0.at': '20:00' })).toEqual([{ at: '20:00' }, {}]);
    expect(armsOf({ 'arms.1.at': '20:00' })).toEqual([{}, { at: '20:00' }]);
    expect(armsOf({})).toEqual({ 'arms.0.subject': expect.stringContaining('another hour') });
  });

  it('starts on one clock whatever was chosen for readers whose own is past the hour', () => {
    const time = { when: 'at', time: '2026-07-01T09:30', zone: 'Europe/Vienna', ifPassed: 'send' };
    const read = readStart(typedBroadcast(time), { hours: true });
    expect(read).toMatchObject({ timing: { local: { ifPassed: 'nextDay', timezone: 'Europe/Vienna' } } });
  });

  it('is started on one clock or on each reader’s, as the form says', () => {
    const start = (when: string): unknown => {
      const time = { when, time: '2026-07-01T09:30', zone: 'Europe/Vienna' };
      return readStart(typedBroadcast(time), { hours: true });
    };
    const local = { atLocal: '2026-07-01T09:30', fallbackZone: 'Europe/Vienna', ifPassed: 'nextDay' };
    expect(start('at')).toEqual({
      at: null,
      timing: { local: { ...local, timezone: 'Europe/Vienna' }, spreadMinutes: 0 },
    });
    expect(start('local')).toEqual({ at: null, timing: { local, spreadMinutes: 0 } });
  });
});

describe('the form of a broadcast that is sent once more', () => {
  it.each([[''], ['x'.repeat(301)], ['Hello\r\nBcc: all@example.com'], ['Hello \u202e olleH']])(
    'refuses the subject %j, as the API does',
    (resendSubject) => {
      expect(readResend(typedBroadcast({ resendSubject }))).toHaveProperty('error');
    },
  );

  it('says what the API would be told', () => {
    const rest = { subject: 'Again', template: null, title: null };
    const read = (unless: object): unknown =>
      readResend(typedBroadcast({ resendSubject: 'Again', ...unless }));
    expect(read({ unless: 'clicked' })).toEqual({ ...rest, unless: 'clicked', leaveOutWaiting: false });
    expect(read({ leaveOutWaiting: 'on' })).toEqual({ ...rest, unless: 'opened', leaveOutWaiting: true });
  });
});
