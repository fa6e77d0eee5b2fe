import type { Duration } from '../values/duration.js';
import type { Money } from '../values/money.js';
import type { SendWindow } from './schedule.js';

/** The offer as it stood when the version was published: what a mail promised stays promised. */
export interface OfferSnapshot {
  slug: string;
  title: string;
  price: Money;
  fullPrice: Money;
  discountBps: number;
}

export interface EmailNode {
  kind: 'email' | 'offer';
  /** Never changes and is never a position: people are inside while the owner edits. */
  key: string;
  templateKey: string;
  templateId: string;
  delay: Duration | null;
  /** Local time of day of the subscriber. */
  at: string | null;
  offer: OfferSnapshot | null;
  /** How long the offer's price holds for this person, from the sending of the step. */
  deadline: Duration | null;
  /** `null`: the sequence ends. */
  next: string | null;
}

/** Waits until the mail of step `clicked` is clicked by a person, at most `within`. */
export interface BranchNode {
  kind: 'branch';
  key: string;
  clicked: string;
  within: Duration;
  then: string | null;
  else: string | null;
}

export type SequenceNode = EmailNode | BranchNode;

/** A version of a sequence: a flat list in which every node names the next. */
export interface SequenceDefinition {
  window: SendWindow | null;
  /** Keys of the products whose purchase ends the sequence. */
  exitOn: string[];
  first: string | null;
  nodes: SequenceNode[];
}
