import { Injectable } from '@nestjs/common';
import { TrackingService } from '../tracking/tracking.service.js';
import { parseEmailAddress } from '../values/email-address.js';
import { ConfirmationService } from './confirmation.service.js';
import { FormsService } from './forms.service.js';
import type { KeptSignup } from './kept-signup.js';
import { SignupService } from './signup.service.js';

/** `no_form`: there is none at that address now. `leaves`: the person's leaving comes first, and waits. */
type HandedIn = 'done' | 'no_form' | 'leaves';

/** What was kept when it came is done as if it came now, but for the time and the words of the consent. */
@Injectable()
export class SignupHandIn {
  constructor(
    private readonly forms: FormsService,
    private readonly signups: SignupService,
    private readonly confirmation: ConfirmationService,
    private readonly tracking: TrackingService,
  ) {}

  /** Twice is once. */
  async take(kept: KeptSignup): Promise<HandedIn> {
    if (kept.kind === 'confirmation') {
      // Whatever comes of it: who has left, or was erased, is told so by nobody, as at other times by the page alone.
      await this.confirmation.confirm(kept.token, { ...kept.origin, at: kept.at });
      return 'done';
    }
    return this.signUp(kept);
  }

  private async signUp(kept: Extract<KeptSignup, { kind: 'signup' }>): Promise<HandedIn> {
    const { slug, at, name, timeZone, answers, source, consentText } = kept;
    const email = parseEmailAddress(kept.email);
    if (!email.ok) return 'done';
    const found = await this.forms.findBySlug(slug);
    // What is kept of somebody who was erased goes, whatever it waits for.
    if (found === null) return (await this.signups.isErased(email.key, at)) ? 'done' : 'no_form';
    const form = { ...found, consentText };
    const submission = { email, name, timeZone, answers };
    if (!(await this.signups.signUpLate(form, submission, { ...kept.origin, at }, source))) return 'leaves';
    const query = Object.fromEntries(
      Object.entries(kept.utm ?? {}).map(([key, text]) => [`utm_${key}`, text]),
    );
    const request = { ip: kept.origin.ip, method: 'POST', headers: kept.headers, query };
    await this.tracking.recordVisit({ page: 'squeeze', slug, funnelKey: form.funnelKey, request, at });
    return 'done';
  }
}
