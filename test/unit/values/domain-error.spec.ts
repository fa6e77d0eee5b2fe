import { expect, it } from 'vitest';
import { DomainError } from '../../../src/values/domain-error.js';

it('carries a code for programs, a message for people, the facts and the cause', () => {
  const cause = new Error('below');
  const error = new DomainError('ORDER_ALREADY_PAID', 'the order is paid', { orderId: '7' }, { cause });
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({
    name: 'DomainError',
    code: 'ORDER_ALREADY_PAID',
    message: 'the order is paid',
    facts: { orderId: '7' },
    cause,
  });
  expect(new DomainError('ORDER_UNKNOWN', 'no such order').facts).toEqual({});
});
