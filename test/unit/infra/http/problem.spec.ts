import { ForbiddenException, NotFoundException } from '@nestjs/common';
import { DatabaseError } from 'pg';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { fieldProblems, messagesByField } from '../../../../src/infra/http/field-problems.js';
import { problemAnswerOf, statusOfCode } from '../../../../src/infra/http/problem.js';
import { wayBack } from '../../../../src/infra/http/problem.filter.js';
import { RequestPipe } from '../../../../src/infra/http/request.pipe.js';
import { DomainError } from '../../../../src/values/domain-error.js';

describe('the status of a code', () => {
  it.each([
    ['OFFER_NOT_FOUND', 404],
    ['TAG_CONFLICT', 409],
    ['ORDER_ALREADY_PAID', 409],
    ['EMAIL_INVALID', 422],
    ['LINK_EXPIRED', 410],
    ['EXPORT_FORBIDDEN', 403],
    ['SIGNUP_RATE_LIMITED', 429],
    ['DATABASE_UNAVAILABLE', 503],
    ['OFFER_WITHOUT_PRICE', 400],
    ['NOT_FOUND_IS_NOT_AT_THE_END', 400],
  ])('%s is %i', (code, status) => {
    expect(statusOfCode(code)).toBe(status);
  });
});

describe('a problem', () => {
  it('names the field that broke a rule, what is allowed, and the facts behind it', () => {
    const error = new DomainError('PRICE_INVALID', 'A price is at least 0.50 EUR', {
      field: 'price',
      allowed: 'at least 0.50 EUR',
      amountMinor: 10,
    });
    expect(problemAnswerOf(error)).toEqual({
      unexpected: false,
      headers: {},
      problem: {
        type: 'about:blank',
        title: 'Unprocessable Entity',
        status: 422,
        detail: 'A price is at least 0.50 EUR',
        code: 'PRICE_INVALID',
        errors: [{ field: 'price', message: 'A price is at least 0.50 EUR', allowed: 'at least 0.50 EUR' }],
        facts: { amountMinor: 10 },
      },
    });
  });

  it('passes on several fields at once', () => {
    const errors = [
      { field: 'a', message: 'too long' },
      { field: 'b', message: 'missing' },
    ];
    expect(problemAnswerOf(new DomainError('FORM_INVALID', 'No', { errors })).problem.errors).toEqual(errors);
  });

  it.each([
    ['ECONNRESET', 'read ECONNRESET'],
    ['ENOENT', 'open /nowhere'],
    ['57P01', 'of no database'],
  ])('of somebody else’s connection is a bug (%s)', (code, message) => {
    expect(problemAnswerOf(Object.assign(new Error(message), { code }))).toMatchObject({
      unexpected: true,
      problem: { status: 500 },
    });
  });

  it('of a pooler that has no place for one more is none of ours: it was answered 500', () => {
    const said = (severity: string): unknown => {
      const error = Object.assign(new DatabaseError('no more connections allowed', 0, 'error'), { severity });
      return problemAnswerOf(Object.assign(error, { code: '08P01' })).problem.status;
    };
    expect([said('FATAL'), said('ERROR')]).toEqual([503, 500]);
  });

  it('says when to come back, rounded up to whole seconds', () => {
    const limited = (facts: object) =>
      problemAnswerOf(new DomainError('X_RATE_LIMITED', 'No', { ...facts })).headers;
    expect(limited({ retryAfterSeconds: 0.2 })).toEqual({ 'retry-after': '1' });
    expect(limited({})).toEqual({ 'retry-after': '60' });
  });

  it('keeps what a bug says to itself', () => {
    const { problem, unexpected } = problemAnswerOf(new Error('ada@example.com at row 5'));
    expect(unexpected).toBe(true);
    expect(problem).toMatchObject({ status: 500, code: 'INTERNAL_ERROR' });
    expect(JSON.stringify(problem)).not.toContain('ada');
  });

  it.each([[undefined], [null], ['text'], [{ statusCode: 400, code: 'FST_FAKE' }]])(
    'takes a thrown %j for a bug',
    (thrown) => {
      expect(problemAnswerOf(thrown)).toMatchObject({ unexpected: true, problem: { status: 500 } });
    },
  );

  it('does not repeat the address of an unknown route', () => {
    const { problem } = problemAnswerOf(new NotFoundException('Cannot GET /u/secret-token'));
    expect(problem).toMatchObject({ status: 404, code: 'ROUTE_NOT_FOUND' });
    expect(JSON.stringify(problem)).not.toContain('secret');
    expect(problemAnswerOf(new ForbiddenException()).problem.code).toBe('REQUEST_FORBIDDEN');
  });

  it('calls a text that PostgreSQL cannot store a fault of the request', () => {
    const error = Object.assign(new Error('invalid byte sequence'), { code: '22021' });
    expect(problemAnswerOf(error)).toMatchObject({
      unexpected: false,
      problem: { status: 422, code: 'REQUEST_INVALID' },
    });
  });
});

const sender = z.strictObject({ name: z.string(), email: z.email() });
const schema = z.strictObject({
  kind: z.enum(['draft', 'ready']),
  sender: sender.optional(),
  steps: z.array(z.strictObject({ delayDays: z.number().int().min(0).max(90) })).max(2),
  when: z.union([z.literal('now'), z.strictObject({ at: z.iso.datetime(), zone: z.string() })]).optional(),
});
const problemsOf = (value: unknown) =>
  fieldProblems(schema.safeParse(value).error?.issues ?? [], 'body', schema);

describe('field problems', () => {
  it('name each field by its path and what it accepts', () => {
    const given = {
      kind: 'sent',
      sender: { name: 1, email: 'nobody' },
      steps: [{ delayDays: 91 }, { delayDays: -1 }],
    };
    expect(problemsOf(given).map(({ field, allowed }) => [field, allowed])).toEqual([
      ['kind', ['draft', 'ready']],
      ['sender.name', 'string'],
      ['sender.email', 'email'],
      ['steps.0.delayDays', 'at most 90'],
      ['steps.1.delayDays', 'at least 0'],
    ]);
  });

  it('name an unknown field and the known ones, at any depth', () => {
    const given = {
      kind: 'draft',
      step: [],
      steps: [{ delayDays: 1, delay: 2 }],
      sender: { name: 'A', email: 'a@example.com', x: 1 },
    };
    expect(problemsOf(given)).toEqual(
      expect.arrayContaining([
        { field: 'step', message: 'Unknown field', allowed: ['kind', 'sender', 'steps', 'when'] },
        { field: 'steps.0.delay', message: 'Unknown field', allowed: ['delayDays'] },
        { field: 'sender.x', message: 'Unknown field', allowed: ['name', 'email'] },
      ]),
    );
  });

  it('look into the alternative that came closest', () => {
    const problems = problemsOf({ kind: 'draft', steps: [], when: { at: 'tomorrow', zone: 'UTC' } });
    expect(problems.map(({ field }) => field)).toEqual([expect.stringMatching(/^when/)]);
  });

  it('do not take an alternative for meant whose distinguishing field is missing', () => {
    const field = z.discriminatedUnion('op', [
      z.strictObject({ field: z.string(), op: z.literal('is'), value: z.string() }),
    ]);
    const since = z.union([
      z.iso.datetime(),
      z.iso.date().refine((day) => day > '1000', 'use a year from 1000 on'),
    ]);
    const either = z.union([
      z.strictObject({ tag: z.string() }),
      z.strictObject({ status: z.array(z.string()).max(5) }),
      field,
      z.strictObject({ signedUp: z.strictObject({ since }) }),
    ]);
    const said = (value: unknown): string[] =>
      fieldProblems(either.safeParse(value).error?.issues ?? [], 'body').map(
        ({ field: name, message }) => `${name}: ${message}`,
      );
    expect(said({ signedUp: { since: '0001-01-01' } })).toEqual(['signedUp.since: use a year from 1000 on']);
    expect(said({ signedUp: { since: 5 } })).toEqual([expect.stringMatching(/^signedUp\.since: Invalid/)]);
    // A text in place of a list, and longer than the list may be: two complaints about one place.
    expect(said({ status: 'active' })).toEqual([
      expect.stringMatching(/^status: /),
      expect.stringMatching(/^status: /),
    ]);
    expect(said({ field: 'plan', op: 'eq', value: 'x' })).toEqual([expect.stringMatching(/^op: /)]);
  });

  it('name the whole where no field is to blame', () => {
    expect(problemsOf('text')).toMatchObject([{ field: 'body', allowed: 'object' }]);
    expect(fieldProblems([{ message: 'no' }, { message: 'no', path: [{ key: 'a' }, 0] }], 'query')).toEqual([
      { field: 'query', message: 'no' },
      { field: 'a.0', message: 'no' },
    ]);
  });

  it('stop at fifty, however many the sender made', () => {
    const given = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`x${index}`, 1]));
    expect(problemsOf(given)).toHaveLength(50);
  });

  it('show one message beside each field of a form', () => {
    const problems = [
      { field: 'email', message: 'first' },
      { field: 'email', message: 'second' },
    ];
    expect(messagesByField(problems)).toEqual({ email: 'first' });
  });
});

describe('the check of a request', () => {
  const pipe = new RequestPipe();

  it('hands on what the schema made of the value', async () => {
    const trimmed = z.strictObject({ name: z.string().trim() });
    expect(await pipe.transform({ name: ' Ada ' }, { type: 'body', schema: trimmed })).toEqual({
      name: 'Ada',
    });
  });

  it('names the missing fields when there is no body at all', async () => {
    const refused = pipe.transform(undefined, { type: 'body', schema });
    await expect(refused).rejects.toMatchObject({ problems: [{ field: 'kind' }, { field: 'steps' }] });
  });

  it('names a parameter by its name', async () => {
    const refused = pipe.transform('x', { type: 'param', data: 'id', schema: z.string().regex(/^\d+$/) });
    await expect(refused).rejects.toMatchObject({ problems: [{ field: 'id' }] });
  });
});

describe('the way back from an error page', () => {
  const at = '/admin/broadcasts/7/pause';
  it.each([
    [
      'to the page with the button',
      at,
      'http://here.example/admin/broadcasts/7?check=1',
      '/admin/broadcasts/7?check=1',
    ],
    ['to the dashboard, where nobody says', at, undefined, '/admin'],
    ['nowhere else', at, 'http://evil.example/admin/broadcasts/7', '/admin'],
    ['to no page of visitors', at, 'http://here.example/administrator', '/admin'],
    ['to no page that just failed', at, `http://here.example${at}`, '/admin'],
    ['is the owner’s alone', '/p/guide', 'http://here.example/admin', null],
  ])('leads %s', (_, url, referer, back) => {
    expect(wayBack({ url, headers: { host: 'here.example', referer } })).toBe(back);
  });
});
