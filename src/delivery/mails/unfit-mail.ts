import { DomainError } from '../../values/domain-error.js';
import { ADDRESS_HIDDEN, WAY_OUT_HIDDEN } from '../message/state-reasons.js';
import type { HiddenDuty } from './hidden-duties.js';

/** A mail that must not leave as it is, and may once its owner has mended it or what its reader has: it is held for that. */
export class UnfitMail extends DomainError {
  /** Its `state_reason` then. */
  readonly heldFor: string;

  constructor({ what, message }: HiddenDuty, id: string) {
    super('MAIL_UNFIT', message, { id });
    this.heldFor = what === 'way out' ? WAY_OUT_HIDDEN : ADDRESS_HIDDEN;
  }
}
