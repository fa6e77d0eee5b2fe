import type { MessageFacts } from '../../../src/analytics/explain-message.js';

export const NOW = new Date('2026-01-07T12:00:00Z');
export const EARLIER = new Date('2026-01-07T09:00:00Z');
export const LATER = new Date('2026-01-07T15:00:00Z');

/** Of what `factsWith` else takes for granted. */
export type Change = Partial<Omit<MessageFacts, 'message'>> & { message?: Partial<MessageFacts['message']> };

const BASE: MessageFacts = {
  now: NOW,
  message: {
    id: '1',
    kind: 'sequence',
    class: 'marketing',
    state: 'ready',
    stateReason: null,
    topic: 'niche-ebook',
    stepKey: 'story',
    dueAt: EARLIER,
    createdAt: EARLIER,
    expiresAt: null,
    dataAt: null,
    settledAt: null,
    acceptedAt: null,
    unknownCount: 0,
    withdrawn: null,
  },
  person: { status: 'active', consent: { kind: 'confirmed', at: EARLIER, wording: 'Send me tips.' } },
  suppressions: [],
  optedOutSince: null,
  splits: [],
  sequence: {
    title: 'Niches',
    version: 2,
    timing: {
      delay: { value: 2, unit: 'days' },
      at: '09:30',
      window: { days: ['mon', 'tue'], from: '08:00', to: '19:00' },
    },
    zone: 'Europe/Berlin',
  },
  broadcast: null,
  broadcastTime: null,
  broadcastSplit: null,
  attempts: [],
  reports: [],
  sequencePaused: false,
  late: null,
  refusal: null,
  leavings: null,
  mailbox: null,
  pacing: [],
  relays: [{ name: 'main', state: 'closed', retryAt: null, reason: null }],
};
/** Of a mail that nothing holds back, but for `change`. */
export const factsWith = ({ message, ...rest }: Change): MessageFacts => ({
  ...BASE,
  ...rest,
  message: { ...BASE.message, ...message },
});
