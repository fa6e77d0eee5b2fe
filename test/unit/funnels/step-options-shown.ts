import type { Shown } from './options-shown.js';

/** `options` each in the object `place`. */
const inEach = (place: string, options: Readonly<Record<string, Shown>>): Record<string, Shown> =>
  Object.fromEntries(Object.entries(options).map(([name, shown]) => [`${place}/${name}`, shown]));

const comparisons = (title: string): Record<string, Shown> => ({
  field: ['asked', title],
  ...Object.fromEntries(
    [
      ...[
        'is: 3',
        'isNot: Rome',
        'over: 3',
        'under: 3',
        'atLeast: 3',
        'atMost: 3',
        'before: 2026',
        'after: 2026',
      ],
      ...['contains: SL', 'startsWith: os', 'oneOf: [Oslo', 'exists: true'],
    ].map((row): [string, Shown] => [row.slice(0, row.indexOf(':')), ['asked', title, `, ${row}`]]),
  ),
});

const moment = (row: string): Shown => [
  'asked',
  'begins a sequence, ends it or leads to a goal at that moment: %s',
  `['${row}',`,
];
const BY_AFFILIATE: Shown = [
  'conditions',
  'begins, ends or goes to a goal by a link of an affiliate, and by becoming one; a code that nobody has is refused',
];
const DONE: Shown = ['reactions', 'leaves the sequence, or goes to a goal, by what a person does: %s'];

/** What begins or ends a sequence, or leads to a goal. `title` is that of the tests of what is left. */
const triggers = (title: string): Record<string, Shown> => ({
  purchased: moment('purchased: main-kit'),
  event: moment('event: call'),
  tag: moment('tag: hot'),
  member: moment('member: main-kit'),
  state: moment('member: main-kit, state: ended'),
  affiliate: BY_AFFILIATE,
  clicked: DONE,
  opened: DONE,
  refunded: ['leaving', title, "'{ refunded: shop-kit }'"],
  untagged: ['leaving', title, "'{ untagged: vip }'"],
  list: ['leaving', title, "'{ list: readers }'"],
  unlisted: ['leaving', title, "'{ unlisted: readers }'"],
  ...comparisons('begins, ends and leads to a goal: %s'),
});

const ALIKE = 'is asked alone and inside others: %s';
const asked = (row: string): Shown => ['asked', ALIKE, row];
const OTHER_TEST: Shown = ['asked', 'asks for the arm of a test in another sequence where that is named'];

/** What is asked, in a branch itself or inside another condition. */
const CONDITION: Readonly<Record<string, Shown>> = {
  ...comparisons(ALIKE),
  withinDays: asked('withinDays: 3'),
  inNextDays: asked('inNextDays: 3'),
  clicked: asked("'clicked: hello'"),
  opened: asked("'opened: hello'"),
  purchased: asked("'purchased: main-kit'"),
  refunded: asked("'refunded: main-kit'"),
  list: asked("'list: readers'"),
  member: asked("'member: main-kit'"),
  state: asked("'member: main-kit, state: ended'"),
  affiliate: asked("'affiliate: ada'"),
  event: asked("'event: call'"),
  since: ['asked', 'hears of an event since its step, which an earlier one is not'],
  step: asked("'step: early, was: then'"),
  was: asked("'step: early, was: then'"),
  arm: OTHER_TEST,
  sequence: OTHER_TEST,
  all: asked("'all: [{ tag: a }"),
  any: asked("'any: [{ tag: a }"),
  not: asked("'not: { tag: a }'"),
};

const come = (row: string): Shown => ['steps', 'come %s', row];
const PROMISED: Shown = [
  'steps',
  'promise one price until one moment: mails and checkout say the same, also when the product costs more by then',
];
const WAITED: Shown = ['steps', 'wait for a while, and until an hour, before what follows'];
const MARKED: Shown = ['steps', 'tag, untag and set fields, in their order'];
const WAITED_FOR: Shown = [
  'conditions',
  '%s waits for it, goes on at once, and takes the other way after its time',
];
const WAYS: Shown = ['conditions', 'takes the first of several cases that holds, and else when none does'];
const JUMPED: Shown = ['reactions', 'jumps to the goal %s, and on from there'];
const MOVED: Shown = ['steps', 'end the sequence, and move people to another'];

const STEP: Readonly<Record<string, Shown>> = {
  key: JUMPED,
  email: [
    'templates',
    'belong to the funnel: a page that was changed was in no plan, in no version and in no rollback',
  ],
  offer: PROMISED,
  deadline: PROMISED,
  delay: ['simulate', '%s %s', 'b 2026-03-07T09:00'],
  at: WAITED,
  onDays: come("'delay: 1 hour, onDays: [wed]'"),
  window: come("'its own window'"),
  quietHours: come('quietHours: { from: "09:30"'),
  until: come("'until: 2026-02-01'"),
  toOwners: ['shop', 'no sequence that is joined later offers people what they own: %s'],
  expires: [
    'steps',
    'are passed over once they have expired, and say so; their mail does not go later either',
  ],
  if: WAITED_FOR,
  then: WAITED_FOR,
  else: WAITED_FOR,
  switch: WAYS,
  within: ['conditions', 'waits in a switch, too'],
  wait: WAITED,
  tag: MARKED,
  untag: MARKED,
  set: MARKED,
  move: MOVED,
  end: MOVED,
  webhook: ['webhooks', 'posts who came by, signed as Standard Webhooks say'],
  notify: ['steps', 'tell the owner by mail, one an hour with everybody who came by'],
  goal: JUMPED,
  otherwise: ['reactions', 'ends at a goal that was not reached, where the goal says so'],
};

const TERMS: Shown = ['split', 'shares out, holds out, judges and stops as its file says'];
const ARMS: Shown = [
  'experiments',
  'gives each person one arm, each arm its mail, and whoever is held out nothing',
];
const compared = (row: string): Shown => ['stopped', 'may compare the %s', `['${row}',`];

const SPLIT: Readonly<Record<string, Shown>> = {
  'definitions/split': ARMS,
  'split/judge': [
    'experiments',
    'judges by money: each person’s orders in the funnel up to the cap, without refunds',
  ],
  'split/arms': ARMS,
  'split/within': ['experiments', 'names a winner once, gives it to everybody new, and says why'],
  'split/horizon': [
    'experiments',
    'ends without a winner when its time is up, with the control for everybody',
  ],
  'split/alpha': TERMS,
  'split/holdout': TERMS,
  'split/cap': ['split', 'counts a person for no more than the cap of its file'],
  'split/optimise': TERMS,
  'split/explore': TERMS,
  'split/guardRails': TERMS,
  'guardRails/unsubscribes': TERMS,
  'guardRails/complaints': TERMS,
  'arms/key': ARMS,
  'arms/weight': TERMS,
  'arms/subject': compared('subject'),
  'arms/email': compared('content'),
  'arms/offer': compared('offer'),
  'arms/deadline': ['experiments', 'sends each arm at its own time, and the offer it names'],
  'arms/delay': compared('delay'),
  'arms/at': compared('hour'),
  'arms/steps': [
    'stopped',
    'may be of paths: each person goes down one, all go on behind it, and money counts from the split on',
  ],
};

export const WHAT_A_SEQUENCE_DOES: Readonly<Record<string, Shown>> = {
  ...inEach('enterOn', {
    ...triggers('begins a sequence, once: %s'),
    clicked: [
      'reactions',
      'begins a sequence with the first click of a person on a mail of another, and with each mail once',
    ],
    sequence: [
      'reactions',
      'begins a sequence with the first click of a person on a mail of another, and with each mail once',
    ],
    opened: [
      'steps',
      'take a click for an open, too, where an open ends, begins or leads to a goal: who had blocked the pixel never did',
    ],
  }),
  ...inEach('exitOn', triggers('ends a sequence: %s')),
  ...inEach('goal', triggers('leads to a goal, which nobody is at before: %s')),
  // A step and a condition inside another one share a name in the schema: what both have is shown as the step's.
  ...inEach('definitions', { ...CONDITION, ...STEP }),
  ...inEach('if', {
    ...CONDITION,
    tag: asked("'tag: hot'"),
    within: WAITED_FOR,
    split: OTHER_TEST,
  }),
  'until/field': come("'until: { field: trialEnd }'"),
  'until/plus': come("'until: { field: trialEnd, plus: 1 month }'"),
  'until/minus': come("'until: { field: trialEnd, minus: 2 hours }'"),
  'until/member': ['memberships', 'end in time, and people are written to as the simulation says'],
  'switch/if': WAYS,
  'switch/then': WAYS,
  ...SPLIT,
};
