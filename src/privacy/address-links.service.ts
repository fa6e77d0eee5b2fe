import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { decodeIds, encodeIds, signExpiring, verifyExpiring } from '../values/signed-token.js';
import { DAY_MS, HOUR_MS } from '../values/time-units.js';

/** How long the button of a mail to a new address works. */
export const ADDRESS_LINK_HOURS = 24;
/** How long the mail to the old one can take the change back. */
export const BACK_DAYS = 7;

/** `new-address` makes it theirs; `address-back` says that it was not them. Neither link stands in for the other. */
export type AddressPurpose = 'new-address' | 'address-back';

const LASTS_MS = { 'new-address': ADDRESS_LINK_HOURS * HOUR_MS, 'address-back': BACK_DAYS * DAY_MS } as const;

/** Links of mails about a change of address: each names the change, and no address. */
@Injectable()
export class AddressLinks {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  url(purpose: AddressPurpose, changeId: string): string {
    const expiresAt = new Date(this.clock.now().getTime() + LASTS_MS[purpose]);
    const token = signExpiring(this.config.secretKey, purpose, encodeIds([changeId]), expiresAt);
    return `${this.config.baseUrl}/${purpose}/${token}`;
  }

  /** The change; `'expired'` for a genuine link past its end; null for one we did not write. */
  read(purpose: AddressPurpose, token: string): string | null {
    const content = verifyExpiring(this.config.secretKey, purpose, token, this.clock.now());
    if (content === null || content === 'expired') return content;
    return decodeIds(content.payload, 1)?.[0] ?? null;
  }

  endsAt(purpose: AddressPurpose): Date {
    return new Date(this.clock.now().getTime() + LASTS_MS[purpose]);
  }

  /** What was asked for before that has ended. */
  askedSince(): Date {
    return new Date(this.clock.now().getTime() - LASTS_MS['new-address']);
  }

  /** Who has taken a change back since then is not asked again on the page. */
  heldSince(): Date {
    return new Date(this.clock.now().getTime() - HELD_DAYS * DAY_MS);
  }
}

/** Whoever holds one of their mails has tried to take their address: for so long only the sender changes it. */
const HELD_DAYS = 30;
