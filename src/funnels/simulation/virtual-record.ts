import type { FrozenOffer } from '../../broadcasts/broadcast-offer.js';
import type { Membership, MembershipChange } from '../../orders/memberships/membership.js';
import type { RefundableLine } from '../../orders/refunds/refund.js';
import type { Offered } from '../../orders/upsells/upsell.js';
import type { FieldValue, Trigger } from '../../sequences/steps/condition.js';
import type { FieldsOf } from '../../sequences/events/reactions.js';
import type { Money } from '../../values/money.js';
import type { OpenHours } from '../../values/week-hours.js';

/** A row of `enrollment`. The version is that of the sequence's funnel. */
export interface VirtualEnrollment {
  id: string;
  sequence: string;
  /** How manieth time the person is in it, from 1. */
  occurrence: number;
  status: 'active' | 'completed' | 'exited';
  exitReason: string | null;
  stepKey: string | null;
  nextAt: Date | null;
  waitUntil: Date | null;
  /** Their step counts from their next turn. */
  isAnew?: boolean;
  /** When they came to the step, where that was not at `nextAt`. */
  cameAt?: Date | null;
  watches: string[] | null;
  /** The step whose hours the mails of their turn keep. */
  hoursOf?: string | null;
  startedAt: Date;
  endedAt: Date | null;
  entryKey: string | undefined;
  /** As JSON, steps that do not come again; nobody has any who has not been moved from another version. */
  had?: string | null;
}

/** A row of `message`. */
export interface VirtualMail {
  kind: 'confirmation' | 'sequence' | 'receipt' | 'broadcast';
  enrollmentId: string | null;
  sequence: string | null;
  step: string | null;
  template: string | null;
  priority: number;
  dueAt: Date;
  /** When it went. */
  sentAt: Date | null;
  expiresAt: Date | null;
  hours: OpenHours | null;
  state: 'ready' | 'held' | 'sent' | 'cancelled';
  /** What one that is held waits for: the result of a split test, the end of its reader's pause, or of its broadcast's. */
  heldFor: 'test' | 'reader' | 'broadcast' | null;
  /** It has another time than it was written with: nobody waits for it to judge a split test. */
  isPutOff?: boolean;
  opened: boolean;
  clicked: boolean;
  /** What the person did with it, in order. */
  hits: { kind: 'open' | 'click'; at: Date }[];
  /** What it is about, as the ledger has it: a funnel, or the topic of a broadcast. */
  topic: string;
  /**
   * Its place among the arms of a broadcast's split test, marked as in the ledger. The key of a broadcast stands as the
   * step.
   */
  arm: number | null;
  /** What one of a broadcast tells its reader of its offer: the price holds for them from when it is sent. */
  offer?: FrozenOffer | null;
  /** Of a broadcast, the lists that it is for, as `listsOf` tells them. */
  lists?: string[][];
  /** Never to be sent: its reader is held out of the split test. */
  isHeldOut?: boolean;
}

/** A row of `membership` with its changes. */
interface VirtualMembership {
  now: Membership;
  changes: MembershipChange[];
}

/** A row of `orders`, with those of `upsell` that followed it. */
export interface VirtualOrder {
  id: string;
  offer: string;
  /** What was bought; the id of a line is its product. */
  lines: RefundableLine[];
  total: Money;
  paidAt: Date;
  /** Whole: neither money nor a product is left. */
  refunded: boolean;
  /** By a link in a mail of theirs, so prices that were promised to them count. */
  byMail: boolean;
  /** What an affiliate has earned by it, line by line, and has lost again. */
  commission: VirtualCommission | null;
  /** Oldest first. */
  upsells: Offered[];
}

interface VirtualCommission {
  affiliate: string;
  currency: string;
  lines: { id: string; earnedMinor: number; lostMinor: number }[];
}

/** All rows of one person that a sequence reads or writes. */
export interface VirtualRecord {
  /** By which split tests draw. */
  personId: string;
  timeZone: string | null;
  status: 'pending' | 'active' | 'unsubscribed';
  /** When they came; null: they have not. */
  arrivedAt: Date | null;
  /** By the form. */
  signedUp: boolean;
  confirmedAt: Date | null;
  trackingConsent: boolean;
  /** Until when they want no marketing mail; null: no pause. */
  pausedUntil: Date | null;
  /** As it is stored, in lower case. */
  email: string;
  name: string | null;
  locale: string | null;
  /** Keys of the lists they are on. */
  lists: Set<string>;
  /** By whose link they came, once that is kept with them. */
  affiliate: string | null;
  /** When they came by it. */
  touchedAt: Date | null;
  isAffiliate: boolean;
  tags: Set<string>;
  fields: Record<string, FieldValue | null>;
  enrollments: VirtualEnrollment[];
  mails: VirtualMail[];
  /** By enrollment and step: what came of steps that are no mails. */
  outcomes: Map<string, Map<string, string>>;
  /** By the place of a split test, `funnel/step`: what it drew for them when they came there. */
  arms: Map<string, string>;
  events: { name: string; key: string | undefined; at: Date }[];
  /** What was paid for, in order, and whether the money went back. */
  orders: VirtualOrder[];
  /** By product. */
  memberships: Map<string, VirtualMembership>;
  grants: { enrollmentId: string; offer: string; expiresAt: Date | null; price: Money; at: Date }[];
  /**
   * What steps have changed and other sequences have not heard of yet; a trigger of null: something else than a tag given.
   * `before`: what the fields held, where they were set.
   */
  signals: { enrollmentId: string; trigger: Trigger | null; before: FieldsOf | null }[];
}

export function emptyRecord(person: Pick<VirtualRecord, 'personId' | 'timeZone' | 'status'>): VirtualRecord {
  return {
    ...person,
    arrivedAt: null,
    signedUp: false,
    confirmedAt: null,
    trackingConsent: true,
    pausedUntil: null,
    email: '',
    name: null,
    locale: null,
    lists: new Set(),
    affiliate: null,
    touchedAt: null,
    isAffiliate: false,
    tags: new Set(),
    fields: {},
    enrollments: [],
    mails: [],
    outcomes: new Map(),
    arms: new Map(),
    events: [],
    orders: [],
    memberships: new Map(),
    grants: [],
    signals: [],
  };
}

/** As `turnAt` in SQL. */
export function turnAt({ waitUntil, cameAt, nextAt }: VirtualEnrollment): Date | null {
  return waitUntil === null ? (cameAt ?? nextAt) : nextAt;
}

/** Those who are in, in the order in which they joined. */
export function activeOf({ enrollments }: VirtualRecord): VirtualEnrollment[] {
  return enrollments.filter(({ status }) => status === 'active');
}
