import { type ChangeCause, type ChangeKind, FOR_GOOD } from '../../orders/memberships/membership.js';

export interface Change {
  kind: ChangeKind;
  cause: ChangeCause;
  term: string | null;
  reason: string | null;
  at: Date;
  endsAt: Date | null;
}

interface ChangeView {
  /** `Prolonged by 12 months` */
  what: string;
  /** `by hand: he asked for it`, `by an order` */
  why: string;
  at: Date;
  /** Null: without an end. */
  endsAt: Date | null;
}

/** One line of a membership's history, in words. */
export function changeView({ kind, cause, term, reason, at, endsAt }: Change): ChangeView {
  return { what: whatOf(kind, term), why: whyOf(cause, reason), at, endsAt };
}

function whatOf(kind: ChangeKind, term: string | null): string {
  switch (kind) {
    case 'began':
      return `Began${lengthOf('for', term)}`;
    case 'prolonged':
      return `Prolonged${lengthOf('by', term)}`;
    case 'shortened':
      return 'Shortened by a refund';
    case 'ended':
      return 'Ended';
    case 'refunded':
      return 'Refunded';
  }
}

function lengthOf(word: string, term: string | null): string {
  if (term === null) return '';
  return term === FOR_GOOD ? ` ${term}` : ` ${word} ${term}`;
}

function whyOf(cause: ChangeCause, reason: string | null): string {
  switch (cause) {
    case 'order':
      return 'by an order';
    case 'hand':
      return reason === null ? 'by hand' : `by hand: ${reason}`;
    case 'time':
      return 'its time was up';
  }
}
