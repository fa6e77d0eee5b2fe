import { STATUS_CODES } from 'node:http';
import { HttpException } from '@nestjs/common';
import { DomainError } from '../../values/domain-error.js';
import { isDatabaseAway, takesNoWrites } from '../database/lost-connection.js';
import type { FieldProblem } from './field-problems.js';
import { RequestInvalidError } from './request.pipe.js';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/**
 * Body of every refused request (RFC 9457). `type` stays `about:blank`, so `title` is the status phrase (section 4.2.1);
 * what clients branch on is `code`.
 */
export interface Problem {
  type: 'about:blank';
  title: string;
  status: number;
  detail: string;
  code: string;
  errors?: FieldProblem[];
  facts?: Record<string, unknown>;
  /** `urn:uuid:` of the request; the log line of an unexpected error carries the same. */
  instance?: string;
}

/** A problem with the headers that belong to it. `unexpected` marks a bug, which is logged; the rest is not. */
interface ProblemAnswer {
  problem: Problem;
  headers: Record<string, string>;
  unexpected: boolean;
}

/** First match wins. Anything a rule of the product refuses without saying more is a 400. */
const STATUS_BY_CODE: readonly (readonly [RegExp, number])[] = [
  [/_UNAUTHORIZED$/, 401],
  [/_FORBIDDEN$/, 403],
  [/_NOT_FOUND$/, 404],
  [/_CONFLICT$|_EXISTS$|_IN_PROGRESS$|_ALREADY(_|$)/, 409],
  [/_EXPIRED$|_GONE$/, 410],
  [/^PRECONDITION_FAILED$/, 412],
  [/_TOO_LARGE$/, 413],
  [/_INVALID$|_REUSED$|_UNKNOWN_FIELD$/, 422],
  [/_RATE_LIMITED$/, 429],
  [/_UNREACHABLE$|_UNAVAILABLE$|_NOT_READY$/, 503],
];
const DEFAULT_STATUS = 400;

/** Code and text by status for what the web server itself refuses, before any of our code runs. */
const SERVER_REFUSALS: Readonly<Record<number, readonly [code: string, detail: string]>> = {
  400: [
    'REQUEST_MALFORMED',
    'The request cannot be read: check that the body is valid JSON in UTF-8 and the address is complete',
  ],
  403: ['REQUEST_FORBIDDEN', 'This is not allowed'],
  404: ['ROUTE_NOT_FOUND', 'There is nothing at this address with this method'],
  413: ['REQUEST_TOO_LARGE', 'The body is too large'],
  414: ['REQUEST_MALFORMED', 'A part of the address is too long'],
  415: [
    'REQUEST_MEDIA_TYPE_UNSUPPORTED',
    'Send the body as application/json, or as what /api/openapi.json names for this address',
  ],
};

/**
 * PostgreSQL: character_not_in_repertoire and untranslatable_character, which a NUL in a text causes, and what its JSON
 * says of half a pair of surrogates.
 */
const UNSTORABLE_TEXT = new Set(['22021', '22P05']);
const INVALID_TEXT = '22P02';

/** The status a `DomainError` of this code is answered with. */
export function statusOfCode(code: string): number {
  return STATUS_BY_CODE.find(([pattern]) => pattern.test(code))?.[1] ?? DEFAULT_STATUS;
}

/** What to answer for anything that was thrown. Never passes on the message of an error that is not meant for callers. */
export function problemAnswerOf(error: unknown): ProblemAnswer {
  if (error instanceof DomainError) return domainAnswer(error);
  if (error instanceof RequestInvalidError) return requestInvalid(error.problems);
  if (isUnstorableText(error)) {
    return requestInvalid([
      {
        field: 'body',
        message: 'A text holds a character that cannot be stored (NUL, or half of a surrogate pair)',
      },
    ]);
  }
  if (isDatabaseAway(error))
    return unavailable('This cannot be done right now. Please try again in a minute');
  if (takesNoWrites(error))
    return unavailable('Nothing can be saved right now, so this was not done. Please try again in a minute');
  const status = statusOfServerError(error);
  if (status !== undefined && status >= 400 && status < 500) {
    const [code, detail] = SERVER_REFUSALS[status] ?? [`HTTP_${status}`, STATUS_CODES[status] ?? 'Refused'];
    return { problem: problem(status, code, detail), headers: {}, unexpected: false };
  }
  return {
    problem: problem(500, 'INTERNAL_ERROR', 'Something went wrong on our side; nothing you sent caused it'),
    headers: {},
    unexpected: true,
  };
}

/** Bytes, because Fastify adds a charset to JSON text, a parameter this media type does not have (RFC 9457, section 6.1). */
/** The name of a request by which its problem is found in the log. */
export function instanceOf({ id }: { id: string }): string {
  return `urn:uuid:${id}`;
}

export function problemBytes(problem: unknown): Buffer {
  return Buffer.from(JSON.stringify(problem));
}

function domainAnswer(error: DomainError): ProblemAnswer {
  const { field, allowed, errors, retryAfterSeconds, ...facts } = error.facts;
  const status = statusOfCode(error.code);
  const body = problem(status, error.code, error.message);
  if (isFieldProblems(errors)) body.errors = errors;
  else if (typeof field === 'string') {
    body.errors = [{ field, message: error.message, ...(isAllowed(allowed) ? { allowed } : {}) }];
  }
  if (Object.keys(facts).length > 0) body.facts = facts;
  const headers: Record<string, string> = {};
  if (typeof retryAfterSeconds === 'number')
    headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterSeconds)));
  else if (status === 429) headers['retry-after'] = '60';
  // RFC 9110, section 15.5.2: a 401 says which kind of credentials it wants.
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="wellspring"';
  return { problem: body, headers, unexpected: false };
}

function requestInvalid(errors: FieldProblem[]): ProblemAnswer {
  const fields = [...new Set(errors.map(({ field }) => field))].join(', ');
  const body = problem(422, 'REQUEST_INVALID', `The request has fields that cannot be accepted: ${fields}`);
  body.errors = errors;
  return { problem: body, headers: {}, unexpected: false };
}

function problem(status: number, code: string, detail: string): Problem {
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, detail, code };
}

/** Of an error of Nest or Fastify; both carry the status they would answer with. */
function statusOfServerError(error: unknown): number | undefined {
  if (error instanceof HttpException) return error.getStatus();
  if (
    error instanceof Error &&
    'code' in error &&
    'statusCode' in error &&
    String(error.code).startsWith('FST_')
  ) {
    return typeof error.statusCode === 'number' ? error.statusCode : undefined;
  }
  return undefined;
}

function isUnstorableText(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return (
    UNSTORABLE_TEXT.has(String(error.code)) ||
    (error.code === INVALID_TEXT && error.message.includes('type json'))
  );
}

/** No bug. */
function unavailable(detail: string): ProblemAnswer {
  return {
    problem: problem(503, 'DATABASE_UNAVAILABLE', detail),
    headers: { 'retry-after': '60' },
    unexpected: false,
  };
}

function isFieldProblems(value: unknown): value is FieldProblem[] {
  return (
    Array.isArray(value) &&
    value.every(
      (one: unknown) => typeof one === 'object' && one !== null && 'field' in one && 'message' in one,
    )
  );
}

function isAllowed(value: unknown): value is string | string[] {
  return typeof value === 'string' || (Array.isArray(value) && value.every((one) => typeof one === 'string'));
}
