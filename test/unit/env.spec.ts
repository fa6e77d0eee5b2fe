import { describe, expect, it } from 'vitest';
import { EnvError, readConfig } from '../../config/env.js';
import { trustsHop } from '../../config/trusted-proxies.js';

const refusal = (variables: Record<string, string>): string => {
  try {
    readConfig(variables);
  } catch (error) {
    if (error instanceof EnvError) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
};

describe('the environment', () => {
  it('may be empty: everything has a default', () => {
    expect(readConfig({})).toMatchObject({
      port: 3000,
      host: '127.0.0.1',
      baseUrl: 'http://localhost:3000',
      dataDir: './data',
      databaseUrl: null,
      mongoUri: null,
      relays: [],
      secretKey: null,
      roles: ['web', 'worker'],
      apiKey: null,
      trustedProxies: null,
      demo: true,
      mailboxOn: true,
      logLevel: 'warn',
      timeZone: 'UTC',
    });
  });

  it('counts an empty text as not set, as compose files write it', () => {
    expect(readConfig({ PORT: '', SMTP_URL: '', TRUST_PROXY: '' })).toEqual(readConfig({}));
  });

  it.each(['imaps://ada:pa%ss@imap.example.com/', 'imaps://ada:x@imap.example.com/100%'])(
    'refuses a mailbox whose parts cannot be read: %s',
    (url) =>
      expect(refusal({ BOUNCE_IMAP_URL: url })).toBe(
        'BOUNCE_IMAP_URL: write a % in user, password or mailbox as %25',
      ),
  );

  it('opens to the network and leaves the demonstration once there is a relay', () => {
    expect(readConfig({ SMTP_URL: 'smtp://relay.example.com:587' })).toMatchObject({
      host: '0.0.0.0',
      demo: false,
      mailboxOn: false,
    });
  });

  it.each([
    ['smtp://relay.bücher.example:587', 'relay.xn--bcher-kva.example'],
    ['smtps://ada:s%C3%BC%C3%9F@почта.example', 'xn--80a1acny.example'],
    ['smtp://RELAY。例え.example', 'relay.xn--r8jz45g.example'],
  ])('takes a relay with a name of letters beyond ASCII by the name that DNS knows: %s', (url, host) => {
    const [relay] = readConfig({ SMTP_URL: url }).relays;
    expect(relay?.name).toBe(host);
    expect(new URL(relay?.url ?? '').hostname).toBe(host);
    expect(new URL(relay?.url ?? '').password).toBe(new URL(url).password);
  });

  it('names every wrong variable at once, with what it takes', () => {
    const lines = refusal({
      PORT: '70000',
      BASE_URL: 'ftp://x.example.com',
      DATABASE_URL: 'mysql://x',
      MONGODB_URI: 'x',
      SMTP_URL: 'relay.example.com',
      SECRET_KEY: 'short',
      ROLES: 'web,cook',
      API_KEY: 'short',
      DEMO: 'maybe',
      LOG_LEVEL: 'loud',
      TIME_ZONE: 'Mars/Olympus',
      TRUST_PROXY: 'yes',
      STRIPE_SECRET_KEY: 'sk_test_1',
      BOUNCE_TLS_CERT: 'cert.pem',
      SENDING_IP: '203.0.113.7, mail.example.com',
    }).split('\n');
    expect(lines.map((line) => line.slice(0, line.indexOf(':'))).toSorted()).toEqual([
      'API_KEY',
      'BASE_URL',
      'BOUNCE_TLS_CERT',
      'DATABASE_URL',
      'DEMO',
      'LOG_LEVEL',
      'MONGODB_URI',
      'PORT',
      'ROLES',
      'SECRET_KEY',
      'SENDING_IP',
      'SMTP_URL',
      'STRIPE_SECRET_KEY',
      'TIME_ZONE',
      'TRUST_PROXY',
    ]);
    for (const line of lines) expect(line).toMatch(/: .*(use|leave|set)/);
  });
});

describe('addresses of ours', () => {
  it.each([
    [' https://müller.example/ ', 'https://xn--mller-kva.example'],
    ['https://Mail.Example.com:443/a b/ü//', 'https://mail.example.com/a%20b/%C3%BC'],
    ['http://localhost:3000', 'http://localhost:3000'],
    ['https://mail.example.com/?a=b#c', 'https://mail.example.com'],
  ])('are kept as headers and browsers read them: %j went out as it was typed', (given, kept) => {
    expect(readConfig({ BASE_URL: given }).baseUrl).toBe(kept);
  });

  it.each(['müller.example', 'https://', 'ftp://müller.example'])('BASE_URL refuses %s', (given) => {
    expect(refusal({ BASE_URL: given })).toMatch(/^BASE_URL: use a URL/);
  });

  it('take a domain in another script, which was refused, and nothing that is none', () => {
    expect(
      readConfig({ BOUNCE_DOMAIN: ' Bounce.Müller.example', CFBL_ADDRESS: 'fbl@müller.example ' }),
    ).toMatchObject({
      bounceDomain: 'bounce.xn--mller-kva.example',
      cfblAddress: 'fbl@xn--mller-kva.example',
    });
    for (const none of ['bounce', 'a@bounce.example.com', 'müller.example/x', 'https://b.example.com'])
      expect(refusal({ BOUNCE_DOMAIN: none })).toBe('BOUNCE_DOMAIN: use a domain such as bounce.example.com');
    for (const none of ['fbl', 'fül@example.com', 'fbl@example.com, x@example.com'])
      expect(refusal({ CFBL_ADDRESS: none })).toBe('CFBL_ADDRESS: use an address such as fbl@example.com');
  });
});

describe('TIME_ZONE', () => {
  it('takes the name of a zone, in any spelling that is known', () => {
    expect(readConfig({ TIME_ZONE: 'europe/vienna' }).timeZone).toBe('Europe/Vienna');
  });
});

describe('SENDING_IP', () => {
  it('takes addresses of either kind, and none', () => {
    expect(readConfig({ SENDING_IP: ' 203.0.113.7, 2001:db8::7' }).sendingIps).toEqual([
      '203.0.113.7',
      '2001:db8::7',
    ]);
    expect(readConfig({}).sendingIps).toEqual([]);
  });
});

describe('TRUST_PROXY', () => {
  it.each([
    ['1', 1],
    [' 3 ', 3],
    ['10.0.0.0/8, 192.0.2.7,loopback', ['10.0.0.0/8', '192.0.2.7', 'loopback']],
    ['2001:db8::/32,::1', ['2001:db8::/32', '::1']],
  ])('takes %j', (value, expected) => {
    expect(readConfig({ TRUST_PROXY: value }).trustedProxies).toEqual(expected);
  });

  it.each(['0', '11', '-1', 'true', '10.0.0', '10.0.0.0/33', '10.0.0.0/8/8', '::1/129', 'a,b', '10.0.0.1,'])(
    'refuses %j',
    (value) => expect(refusal({ TRUST_PROXY: value })).toMatch(/^TRUST_PROXY: /),
  );

  it.each(['0.0.0.0/0', '::/0', '10.0.0.0/8,0.0.0.0/0'])(
    'refuses %j, with which everybody could say who they are',
    (value) => expect(refusal({ TRUST_PROXY: value })).toMatch(/holds every address/),
  );

  it('as a number believes a connection from near, and no stranger that connects itself', () => {
    for (const near of ['127.0.0.1', '::1', '::ffff:172.17.0.2', '10.1.2.3', 'fd00::1', 'fe80::1'])
      expect(trustsHop(1, near, 0)).toBe(true);
    for (const far of ['203.0.113.9', '2001:db8::1', '::ffff:8.8.8.8', '', 'unknown'])
      expect(trustsHop(1, far, 0)).toBe(false);
    expect([trustsHop(2, '203.0.113.9', 1), trustsHop(2, '203.0.113.9', 2)]).toEqual([true, false]);
  });
});
