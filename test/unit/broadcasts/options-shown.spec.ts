import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  broadcastBody,
  broadcastChange,
  resendBody,
  startBody,
} from '../../../src/broadcasts/broadcasts.schemas.js';
import { lostTests, type ShownBy } from '../../support/shown-by.js';

/** Spec files below `test/`. */
const F = {
  written: 'db/broadcasts/as-written.spec.ts',
  basics: 'db/broadcasts/broadcasts.spec.ts',
  hours: 'db/broadcasts/hour-arms.spec.ts',
  offers: 'db/broadcasts/offers.spec.ts',
  resend: 'db/broadcasts/resend.spec.ts',
  rest: 'db/broadcasts/rest.spec.ts',
  times: 'db/broadcasts/sending-times.spec.ts',
  care: 'db/broadcasts/split-care.spec.ts',
  test: 'db/broadcasts/split-test.spec.ts',
  cap: 'db/sequences/advance/frequency-cap.spec.ts',
  split: 'unit/broadcasts/split.spec.ts',
  timing: 'unit/broadcasts/timing.spec.ts',
} as const;

type Shown = ShownBy<keyof typeof F>;

const WRITTEN: Shown = ['rest', 'is written, changed, counted, scheduled, started, and shown with its mails'];
const MAIL: Shown = [
  'written',
  'is the mail that was named, from the sender that was given, at the time that was said',
];
const FILTER: Shown = ['basics', 'reaches those its filter names'];
const SEGMENTS: Shown = [
  'times',
  'goes once to a mailbox that several segments name, and to none that another one takes out',
];
const WINS: Shown = [
  'test',
  'keeps the rest of the frozen audience waiting, and sends them the arm that people clicked',
];
const MONEY: Shown = [
  'test',
  'is judged by money per reader, each up to the cap and in its currency, since their mail',
];
const RAILS: Shown = [
  'care',
  'stops an arm whose readers leave, tells the owner, and shares its mails out among the others',
];
const PRICE: Shown = [
  'offers',
  'is linked in each mail for its reader, at a price of their own that ends for mail, page and checkout at once',
];
const ARMS: Shown = [
  'offers',
  'is what arms of a split test differ in: judged by money per reader, and the winner’s goes to the rest',
];
const HOUR: Shown = [
  'times',
  'comes at the local hour of each reader, spread, and says when the last will have it',
];
const AGAIN: Shown = [
  'resend',
  'goes to those who did not open, in other words; openings by machines are none',
];

/** Of each option that is accepted, a test of what it does: an option that is stored and not obeyed has none. */
const BODY: Readonly<Record<string, Shown>> = {
  key: ['rest', 'with a key of its own is written once, however often it is asked for'],
  title: WRITTEN,
  template: MAIL,
  subject: ['times', 'has a subject of its own, variables and all'],
  offer: PRICE,
  'offer.key': PRICE,
  'offer.discount': PRICE,
  'offer.until': ['offers', 'grants the offer’s own discount where that is personal, until the time it says'],
  split: WINS,
  'split.arms': WINS,
  'split.arms.subject': WINS,
  'split.arms.template': [
    'split',
    'gives each arm its words, and a subject only to the mail it was written for',
  ],
  'split.arms.at': [
    'care',
    'gives each arm its hour on each reader’s clock, and the rest that of the better one a day later',
  ],
  'split.arms.delayMinutes': [
    'hours',
    'go so much later, are judged by the same time for each reader, and the rest waits as long from the decision on',
  ],
  'split.arms.offer': ARMS,
  'split.arms.offer.key': ARMS,
  'split.arms.offer.discount': ARMS,
  'split.arms.offer.until': ARMS,
  'split.testPercent': [
    'split',
    'draws its part of the audience, the arms in it and the holdout by lot, the same each time',
  ],
  'split.waitMinutes': [
    'test',
    'waits from the moment when its last mail was tried, and lets nobody go who has left meanwhile',
  ],
  'split.judge': MONEY,
  'split.revenueCap': MONEY,
  'split.revenueCap.amountMinor': MONEY,
  'split.revenueCap.currency': MONEY,
  'split.alpha': ['split', 'takes the chance of a false winner that the owner has chosen'],
  'split.holdout': [
    'care',
    'sends them neither an arm nor the winner nor the same once more, and is complete all the same',
  ],
  'split.guardRails': RAILS,
  'split.guardRails.unsubscribes': RAILS,
  'split.guardRails.complaints': [
    'split',
    'stops the arm that is shown to lie above, once, and no arm without them',
  ],
  audience: FILTER,
  'audience.everybody': ['basics', 'reaches every active subscriber once, and is done when no mail is open'],
  'audience.tags': FILTER,
  'audience.tags.any': FILTER,
  'audience.tags.all': FILTER,
  'audience.tags.none': FILTER,
  'audience.funnel': FILTER,
  'audience.segments': SEGMENTS,
  'audience.segments.any': SEGMENTS,
  'audience.segments.none': SEGMENTS,
  sender: MAIL,
  'sender.name': MAIL,
  'sender.email': MAIL,
  'sender.postalAddress': MAIL,
  topic: [
    'basics',
    'does not reach who has left between planning and sending, nor who opted out of its topic',
  ],
  priority: ['cap', 'lets a broadcast of priority %d and a sequence of 5 go in their order: the %s first'],
  expiresAt: ['basics', 'sends nothing that has expired'],
};

const START: Readonly<Record<string, Shown>> = {
  at: MAIL,
  atLocal: HOUR,
  timezone: ['timing', 'may all be those of one clock'],
  fallbackZone: HOUR,
  ifPassed: [
    'timing',
    'that is over when it begins is the same hour a day later, at once, or never, as the owner says',
  ],
  spreadMinutes: HOUR,
};

const OTHER: Shown = [
  'offers',
  'is left out of a mail that is sent once more when it is off the site by then, or is another',
];

const RESEND: Readonly<Record<string, Shown>> = {
  offer: OTHER,
  'offer.key': OTHER,
  'offer.discount': OTHER,
  'offer.until': OTHER,
  subject: AGAIN,
  template: ['written', 'is sent once more with another mail and under another name, as is said'],
  title: ['written', 'is sent once more with another mail and under another name, as is said'],
  unless: ['resend', 'goes to those who did not click when that is the question'],
  leaveOutWaiting: [
    'resend',
    'is refused while mails of the first one wait: it went to nobody, and a second was refused',
  ],
};

interface Node {
  properties?: Record<string, Node>;
  items?: Node;
  anyOf?: Node[];
}

/** Every option at every depth, as `split.arms.at`. */
function optionsOf({ properties = {}, items, anyOf = [] }: Node, path: readonly string[] = []): string[] {
  const own = Object.entries(properties).flatMap(([name, inner]) => [
    [...path, name].join('.'),
    ...optionsOf(inner, [...path, name]),
  ]);
  const inside = [...anyOf, ...(items === undefined ? [] : [items])].flatMap((one) => optionsOf(one, path));
  return [...new Set([...own, ...inside])].toSorted();
}

describe('each option of a broadcast', () => {
  it.each([
    ['written', broadcastBody, BODY],
    ['started', startBody, START],
    ['sent once more', resendBody, RESEND],
  ])('that is %s has a test of what it does, which is there', (_, schema, shown) => {
    const options = optionsOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Node);
    expect(Object.keys(shown).toSorted()).toEqual(options);
    expect(lostTests(shown, F)).toEqual([]);
  });

  it('that can be written can be changed, but for the key it is known by', () => {
    const { key: _key, ...changeable } = broadcastBody.shape;
    expect(Object.keys(broadcastChange.shape).toSorted()).toEqual(Object.keys(changeable).toSorted());
  });
});
