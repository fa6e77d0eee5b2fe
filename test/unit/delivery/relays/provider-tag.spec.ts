import { describe, expect, it } from 'vitest';
import { PROVIDERS, providerOf } from '../../../../src/values/mail-providers.js';
import { parseRelays } from '../../../../config/relays.js';
import { tagHeader } from '../../../../src/delivery/relays/provider-tag.js';

describe('tags for mail providers', () => {
  it.each([
    ['smtp.sendgrid.net', 'sendgrid'],
    ['smtp.postmarkapp.com', 'postmark'],
    ['smtp-broadcasts.postmarkapp.com', 'postmark'],
    ['smtp.mailgun.org', 'mailgun'],
    ['smtp.eu.mailgun.org', 'mailgun'],
    ['email-smtp.eu-west-1.amazonaws.com', 'ses'],
    ['EMAIL-SMTP.us-east-1.amazonaws.com', 'ses'],
    ['smtp.example.com', null],
    ['sendgrid.net.example.com', null],
    ['notsendgrid.net', null],
  ])('%s is %s', (host, provider) => {
    expect(providerOf(host)).toBe(provider);
  });

  it.each(PROVIDERS)('the header for %s is one short line of ASCII', (provider) => {
    const header = tagHeader(provider, 'a2'.repeat(20));
    expect(header).toMatch(/^X-[A-Za-z-]+: [ -~]{1,120}\r\n$/);
    expect(header).toContain('a2'.repeat(20));
  });

  it('a relay is told what it is by its host or by ?provider=', () => {
    const of = (url: string) => parseRelays(url).relays[0]?.provider;
    expect(of('smtps://apikey:x@smtp.sendgrid.net')).toBe('sendgrid');
    expect(of('smtp://relay.example.com')).toBeNull();
    expect(of('smtp://relay.example.com?provider=mailgun')).toBe('mailgun');
    expect(of('smtps://apikey:x@smtp.sendgrid.net?provider=none')).toBeNull();
    expect(parseRelays('smtp://relay.example.com?provider=other').problems).toEqual([
      'provider is one of ses, sendgrid, postmark, mailgun, none',
    ]);
  });
});
