import { Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { REFERRAL_COOKIE } from '../affiliates/referrals.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { isLoopback } from '../tracking/hit-class.js';
import { TrackingService } from '../tracking/tracking.service.js';
import { filledTooFast, formAgeMs, issueFormToken } from './form-token.js';
import { answersIn, type FormField } from './form-fields.js';
import type { Form } from './forms.service.js';
import { SignupLimits } from './signup-limits.service.js';
import { SignupService } from './signup.service.js';
import { checkSubmission, type SubmissionErrors, type Typed, type TypedValues } from './submission.js';

type IntakeOutcome =
  | { kind: 'taken'; email: string }
  | {
      kind: 'bad';
      errors: SubmissionErrors;
      values: TypedValues;
    }
  | { kind: 'limited'; retryAfterSeconds: number; values: TypedValues };

/** What a form sends beside what is typed: when it was handed out, and the affiliate in the address of another site's page. */
interface FormMarks {
  t?: unknown;
  affiliate?: unknown;
}

/** What page and embedded form share: check, limits, sign-up. A bot gets the answer a person gets, and nothing else. */
@Injectable()
export class FormIntake {
  constructor(
    private readonly signups: SignupService,
    private readonly limits: SignupLimits,
    private readonly tracking: TrackingService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  issueToken(): string {
    return issueFormToken(this.config.secretKey, this.clock.now());
  }

  /** `asked`: what the form asks beside address and name, of `FormsService.fieldsOf`. */
  async take(
    form: Form,
    asked: readonly FormField[],
    typed: Typed & FormMarks,
    request: FastifyRequest,
  ): Promise<IntakeOutcome> {
    const checked = checkSubmission(typed, asked);
    if (checked.kind === 'bad') return checked;
    const ageMs = formAgeMs(this.config.secretKey, typed.t, this.clock.now());
    if (checked.kind === 'bot' || this.tooFast(ageMs, request)) return { kind: 'taken', email: '' };
    const { email, name } = checked.submission;
    const allowed = await this.limits.take({
      ip: request.ip,
      emailKey: email.key,
      hasToken: ageMs !== null,
    });
    if (allowed.kind === 'block') {
      const { retryAfterSeconds } = allowed;
      const values = { email: email.address, name: name ?? '', fields: answersIn(typed) };
      return { kind: 'limited', retryAfterSeconds, values };
    }
    // Saying that this address has been asked often would tell that somebody has asked: the answer stays the same.
    if (allowed.kind === 'ok') {
      const origin = {
        ip: request.ip,
        userAgent: request.headers['user-agent'] ?? '',
        pageUrl: request.headers.referer ?? `${this.config.baseUrl}/p/${form.slug}`,
      };
      await this.signups.signUp(form, checked.submission, origin, {
        cookie: request.cookies[REFERRAL_COOKIE],
        code: typeof typed.affiliate === 'string' ? typed.affiliate : undefined,
      });
      // Nobody looked at a page of ours to fill in a form on another site: whoever signs up has been a visitor.
      await this.tracking.recordVisit({
        page: 'squeeze',
        slug: form.slug,
        funnelKey: form.funnelKey,
        request,
      });
    }
    return { kind: 'taken', email: email.address };
  }

  /** While mails stay in the built-in mailbox there is nobody a bot on this machine could flood. */
  private tooFast(ageMs: number | null, request: FastifyRequest): boolean {
    return filledTooFast(ageMs) && !(this.config.mailboxOn && isLoopback(request.ip));
  }
}
