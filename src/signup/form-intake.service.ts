import { Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { codeOfPage } from '../affiliates/landing.js';
import { REFERRAL_COOKIE } from '../affiliates/referrals.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { isLoopback } from '../tracking/hit-class.js';
import { TrackingService } from '../tracking/tracking.service.js';
import type { TouchSource } from '../affiliates/referrals.service.js';
import { takesNoWrites } from '../infra/database/lost-connection.js';
import { filledTooFast, formAgeMs, issueFormToken } from './form-token.js';
import { answersIn } from './form-fields.js';
import type { Form } from './forms.service.js';
import { KeptSignups } from './kept-signups.service.js';
import type { Origin } from './origin.js';
import type { ServedForm } from './served-forms.service.js';
import { type Attempt, SignupLimits } from './signup-limits.service.js';
import { SignupService } from './signup.service.js';
import {
  checkSubmission,
  type Submission,
  type SubmissionErrors,
  type Typed,
  type TypedValues,
} from './submission.js';

type IntakeOutcome =
  /** `isLate`: it is kept, and done once the database takes it. */
  | { kind: 'taken'; email: string; isLate: boolean }
  | {
      kind: 'bad';
      errors: SubmissionErrors;
      values: TypedValues;
    }
  | { kind: 'limited'; retryAfterSeconds: number; values: TypedValues }
  /** The database takes nothing, `why`, and nothing can be kept. */
  | { kind: 'later'; values: TypedValues; why: Error };

/** What a form sends beside what is typed: when it was handed out, and the affiliate in the address of the page that it stood on. */
interface FormMarks {
  t?: unknown;
  affiliate?: unknown;
}

/** A sign-up that is checked, with all that is to be known of it later. */
interface Press {
  form: Form;
  submission: Submission;
  values: TypedValues;
  attempt: Attempt;
  origin: Origin & { at: Date };
  source: TouchSource;
  request: FastifyRequest;
}

/** The headers by which a visit is judged. */
const SEEN_HEADERS = ['user-agent', 'referer', 'accept-language', 'sec-fetch-dest', 'sec-purpose'] as const;
const MOST_CHARS = 500;

/**
 * What page and embedded form share: check, limits, sign-up. A bot gets the answer a person gets, and nothing else. While the
 * database takes nothing, who signs up is kept on disk.
 */
@Injectable()
export class FormIntake {
  constructor(
    private readonly signups: SignupService,
    private readonly kept: KeptSignups,
    private readonly limits: SignupLimits,
    private readonly tracking: TrackingService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  issueToken(): string {
    return issueFormToken(this.config.secretKey, this.clock.now());
  }

  /** Of the affiliate whose link led here, as the form says it, or else the address of its page. */
  codeOf({ affiliate }: FormMarks, { headers }: FastifyRequest): string | undefined {
    return typeof affiliate === 'string' ? affiliate : codeOfPage(headers.referer, this.config.baseUrl);
  }

  async take(
    { form, asked, away }: ServedForm,
    typed: Typed & FormMarks,
    request: FastifyRequest,
  ): Promise<IntakeOutcome> {
    const at = this.clock.now();
    const checked = checkSubmission(typed, asked);
    if (checked.kind === 'bad') return checked;
    const ageMs = formAgeMs(this.config.secretKey, typed.t, at);
    if (checked.kind === 'bot' || this.tooFast(ageMs, request))
      return { kind: 'taken', email: '', isLate: away !== null };
    const { submission } = checked;
    const { email, name } = submission;
    const press: Press = {
      form,
      submission,
      values: { email: email.address, name: name ?? '', fields: answersIn(typed) },
      attempt: { ip: request.ip, emailKey: email.key, hasToken: ageMs !== null },
      origin: {
        ip: request.ip,
        userAgent: request.headers['user-agent'] ?? '',
        pageUrl: request.headers.referer ?? `${this.config.baseUrl}/p/${form.slug}`,
        at,
      },
      source: {
        cookie: request.cookies[REFERRAL_COOKIE],
        code: this.codeOf(typed, request),
      },
      request,
    };
    if (away !== null) return this.keep(press, away);
    try {
      return await this.takeNow(press);
    } catch (error) {
      if (!(error instanceof Error) || !takesNoWrites(error)) throw error;
      const late = await this.keep(press, error);
      // It may have counted all the same.
      if (late.kind === 'later') await this.limits.giveBack(press.attempt).catch(() => undefined);
      return late;
    }
  }

  private async takeNow({ form, submission, values, attempt, ...press }: Press): Promise<IntakeOutcome> {
    const allowed = await this.limits.take(attempt);
    if (allowed.kind === 'block')
      return { kind: 'limited', retryAfterSeconds: allowed.retryAfterSeconds, values };
    // Saying that this address has been asked often would tell that somebody has asked: the answer stays the same.
    if (allowed.kind === 'ok') {
      const { origin, source, request } = press;
      await this.signups.signUp(form, submission, origin, source);
      // Nobody looked at a page of ours to fill in a form on another site: whoever signs up has been a visitor.
      await this.tracking.recordVisit({
        page: 'squeeze',
        slug: form.slug,
        funnelKey: form.funnelKey,
        request,
      });
    }
    return { kind: 'taken', email: submission.email.address, isLate: false };
  }

  /** It may be in the database all the same, as its answer was lost: by its time that is seen when it is handed in. */
  private async keep(
    { form, submission, values, attempt, ...press }: Press,
    why: Error,
  ): Promise<IntakeOutcome> {
    const allowed = await this.limits.takeHere(attempt);
    if (allowed.kind === 'block')
      return { kind: 'limited', retryAfterSeconds: allowed.retryAfterSeconds, values };
    const { email, name, timeZone, answers } = submission;
    if (allowed.kind === 'ok') {
      const { at, ...origin } = press.origin;
      const { referrer, utm } = this.tracking.sourceOf(press.request);
      const isKept = await this.kept.keep({
        ...{ kind: 'signup', at, slug: form.slug, consentText: form.consentText },
        ...{ email: email.address, name, timeZone, answers },
        origin: { ...origin, userAgent: cut(origin.userAgent), pageUrl: origin.pageUrl.slice(0, 2_000) },
        source: press.source,
        headers: { ...seenHeaders(press.request), ...(referrer === null ? {} : { referer: referrer }) },
        ...(utm === null ? {} : { utm }),
      });
      if (!isKept) {
        await this.limits.giveBackHere(attempt);
        return { kind: 'later', values, why };
      }
    }
    return { kind: 'taken', email: email.address, isLate: true };
  }

  /** While mails stay in the built-in mailbox there is nobody a bot on this machine could flood. */
  private tooFast(ageMs: number | null, request: FastifyRequest): boolean {
    return filledTooFast(ageMs) && !(this.config.mailboxOn && isLoopback(request.ip));
  }
}

function seenHeaders({ headers }: FastifyRequest): Record<string, string> {
  return Object.fromEntries(
    SEEN_HEADERS.flatMap((name) => {
      const value = headers[name];
      return typeof value === 'string' ? [[name, cut(value)]] : [];
    }),
  );
}

function cut(text: string): string {
  return text.slice(0, MOST_CHARS);
}
