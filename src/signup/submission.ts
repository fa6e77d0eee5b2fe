import { domainOf, parseEmailAddress, suggestDomain } from '../values/email-address.js';
import { HEADER_TEXT } from '../values/header-text.js';
import type { SubscriberFields } from '../subscribers/subscriber.js';
import { canonicalTimeZone } from '../values/zoned-time.js';

import { type Answers, answersIn, checkAnswers, type FormField } from './form-fields.js';

const MAX_NAME = 80;

export interface Typed extends Readonly<Record<string, unknown>> {
  email?: unknown;
  name?: unknown;
  timeZone?: unknown;
  /** A field no person sees. */
  website?: unknown;
}

export interface Submission {
  email: Extract<ReturnType<typeof parseEmailAddress>, { ok: true }>;
  name: string | undefined;
  timeZone: string | undefined;
  answers: SubscriberFields;
}

/** What was typed, to be given back. */
export interface TypedValues {
  email: string;
  name: string;
  fields: Answers;
}

export interface SubmissionErrors {
  email?: string;
  name?: string;
  /** By the key of the field. */
  fields?: Record<string, string>;
}

type SubmissionCheck =
  | { kind: 'good'; submission: Submission }
  | { kind: 'bot' }
  | { kind: 'bad'; errors: SubmissionErrors; values: TypedValues };

/** What a visitor typed, checked. What is wrong is said by field, and what was typed is given back. */
export function checkSubmission(typed: Typed, asked: readonly FormField[] = []): SubmissionCheck {
  const email = text(typed.email);
  const name = text(typed.name).trim();
  if (text(typed.website) !== '') return { kind: 'bot' };
  const parsed = parseEmailAddress(email);
  const given = answersIn(typed);
  const { values: answers, errors: wrong } = checkAnswers(asked, given);
  const errors: SubmissionErrors = {};
  if (!parsed.ok) errors.email = emailHint(email, parsed.reason);
  if (name.length > MAX_NAME) errors.name = `A name has at most ${MAX_NAME} characters.`;
  else if (!HEADER_TEXT.test(text(typed.name))) errors.name = 'A name has no control characters.';
  if (Object.keys(wrong).length > 0) errors.fields = wrong;
  if (!parsed.ok || Object.keys(errors).length > 0)
    return { kind: 'bad', errors, values: { email, name, fields: given } };
  const timeZone = canonicalTimeZone(text(typed.timeZone)) ?? undefined;
  return {
    kind: 'good',
    submission: { email: parsed, name: name === '' ? undefined : name, timeZone, answers },
  };
}

function emailHint(email: string, reason: string): string {
  const domain = domainOf(email.trim());
  const suggestion = domain === '' ? null : suggestDomain(domain);
  const words = sentence(`Please check the email address: ${reason}`);
  return suggestion === null ? words : `${words} Did you mean ${suggestion}?`;
}

function sentence(reason: string): string {
  return /[.!?]$/.test(reason) ? reason : `${reason}.`;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 1_000) : '';
}
