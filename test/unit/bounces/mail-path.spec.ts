import { describe, expect, it } from 'vitest';
import { namesOfRelay } from '../../../src/bounces/mail-path.js';

describe('the names of a relay', () => {
  it.each([
    ['smtp.office365.com', ['smtp.office365.com', 'outlook.com']],
    ['email-smtp.eu-west-1.amazonaws.com', ['email-smtp.eu-west-1.amazonaws.com', 'amazonses.com']],
    ['relay.example.com', ['relay.example.com']],
    ['not-office365.com', ['not-office365.com']],
    ['192.0.2.7', []],
  ])('%s reports as one of %s', (host, names) => {
    expect(namesOfRelay(host)).toEqual(names);
  });
});
