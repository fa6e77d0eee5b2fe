import { Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { filledTooFast, issueFormToken } from './form-token.js';
import type { Form } from './forms.service.js';
import { SignupLimits } from './signup-limits.service.js';
import { SignupService } from './signup.service.js';
import { checkSubmission, type Typed } from './submission.js';

export type IntakeOutcome =
  | { kind: 'taken'; email: string }
  | {
      kind: 'bad';
      errors: { email?: string; name?: string; form?: string };
      values: { email: string; name: string };
    }
  | { kind: 'limited'; values: { email: string; name: string } };

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

/** What page and embedded form share: check, limits, sign-up. A bot gets the answer a person gets, and nothing else. */
@Injectable()
export class IntakeService {
  constructor(
    private readonly signups: SignupService,
    private readonly limits: SignupLimits,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  issueToken(): string {
    return issueFormToken(this.config.secretKey, this.clock.now());
  }

  async take(form: Form, typed: Typed & { t?: unknown }, request: FastifyRequest): Promise<IntakeOutcome> {
    const checked = checkSubmission(typed);
    if (checked.kind === 'bad') return checked;
    if (checked.kind === 'bot' || this.tooFast(typed.t, request)) return { kind: 'taken', email: '' };
    const { email, name } = checked.submission;
    const allowed = await this.limits.take(request.ip, email.key);
    if (allowed === 'block') return { kind: 'limited', values: { email: email.address, name: name ?? '' } };
    // Saying that this address has been asked often would tell that somebody has asked: the answer stays the same.
    if (allowed === 'ok') {
      await this.signups.signUp(form, checked.submission, {
        ip: request.ip,
        userAgent: request.headers['user-agent'] ?? '',
        pageUrl: request.headers.referer ?? `${this.config.baseUrl}/p/${form.slug}`,
      });
    }
    return { kind: 'taken', email: email.address };
  }

  /** While mails stay in the built-in mailbox there is nobody a bot on this machine could flood. */
  private tooFast(token: unknown, request: FastifyRequest): boolean {
    if (this.config.mailboxOn && LOOPBACK.test(request.ip)) return false;
    return filledTooFast(this.config.secretKey, token, this.clock.now());
  }
}
