import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TlsOptions } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { remoteHosts, QUESTIONS_LIMIT_MS } from '../../../../src/delivery/domains/remote-hosts.transport.js';
import { DomainWatch } from '../../../../src/delivery/domains/domain-watch.service.js';
import { doctor } from '../../../../src/commands/doctor.probe.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import type { SinkAnswer } from '../../../support/smtp-sink.js';
import { dnsOf, type Zone } from '../../../support/zone.js';
import { waits } from '../../../support/waits.js';
import { openPostOffice, SENDER, type PostOffice } from '../post-office.js';

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/${name}`, import.meta.url), 'utf8');
/** Vouches for `private-relay.pem`, which is for 127.0.0.1. */
const CA = fixture('private-ca.pem');

const ZONE: Zone = {
  'TXT example.com': ['v=spf1 mx -all'],
  'TXT _dmarc.example.com': ['v=DMARC1; p=reject; rua=mailto:dmarc@example.com'],
  'MX example.com': ['10 mx.example.com'],
  'A mx.example.com': ['127.0.0.1'],
};
const OF_SENDER = { 'PTR 192.0.2.7': ['mail.example.com'], 'A mail.example.com': ['192.0.2.7'] };

describe('what lies beyond the DNS of a sending domain', () => {
  let web: Server;
  let t: PostOffice;
  let answers: Record<string, SinkAnswer>;
  let baseUrl: string;

  beforeAll(async () => {
    web = await webServer({ cert: fixture('private-relay.pem'), key: fixture('private-relay.pem') });
    baseUrl = `https://127.0.0.1:${(web.address() as AddressInfo).port}`;
    t = await openPostOffice({ BASE_URL: baseUrl, SMTP_URL: 'smtp://127.0.0.1:9', SENDING_IP: '192.0.2.7' });
    // The sink stands for the mail server of the domain.
    t.sink.onRecipient = async (address) => answers[address];
    await t.db.query(
      `insert into sequence (key, funnel_key, title, sender, created_at, updated_at) values ('s', 'f', 'S', $1, now(), now())`,
      [JSON.stringify(SENDER)],
    );
  });
  afterAll(async () => {
    await t.close();
    web.close();
  });
  beforeEach(() => {
    answers = {};
  });

  const remote = (given: Parameters<typeof remoteHosts>[0] = {}) =>
    remoteHosts({ smtpPort: Number(new URL(t.sink.url).port), allowInside: true, ca: CA, ...given });
  /** `<level> <detail>` of one check of `wellspring doctor`. */
  const said = async (
    name: string,
    { zone = {}, ...given }: { zone?: Zone } & Parameters<typeof remoteHosts>[0] = {},
    config = t.config,
  ): Promise<string> => {
    const context = { config, dataSource: t.db, app: t.app, migrated: [], close: async () => undefined };
    const checks = await doctor(context, { dns: dnsOf({ ...ZONE, ...zone }), remote: remote(given) });
    const found = checks.find((check) => check.name.startsWith(name));
    return `${found?.level} ${found?.detail}`;
  };

  it('postmaster@ and abuse@ are asked for at the mail server, and no mail is sent', async () => {
    const asked: string[] = [];
    const before = t.sink.bodiesBegun;
    t.sink.onRecipient = async (address) => (asked.push(address), answers[address]);
    expect(await said('D5 MX')).toBe('ok mail to example.com has a place; it takes postmaster@ and abuse@');
    expect(asked).toEqual(['postmaster@example.com', 'abuse@example.com']);
    expect(t.sink.bodiesBegun).toBe(before);
  });

  it('a mailbox that the server does not know is named, as only a warning', async () => {
    answers['abuse@example.com'] = { code: 550, text: '5.1.1 <abuse@example.com>: no such user' };
    expect(await said('D5 MX')).toMatch(
      /^warn nobody gets mail to abuse@example\.com: mx\.example\.com says "550 5\.1\.1 .*make that mailbox$/,
    );
  });

  it.each<[string, SinkAnswer]>([
    ['that we come back later', { code: 450, text: '4.2.0 greylisted, try again in 300 seconds' }],
    ['nothing good of where we come from', { code: 554, text: '5.7.1 blocked using zen.example.net' }],
  ])('a server that says %s has said nothing about the mailbox', async (_, answer) => {
    answers['postmaster@example.com'] = answer;
    expect(await said('D5 MX')).toMatch(/^unknown whether postmaster@example\.com is there is not known/);
  });

  it('a server that takes its time for each question is left after some seconds: they are those of all questions', async () => {
    const [time, before] = [waits(), t.sink.onRecipient];
    t.sink.onRecipient = async (address) => {
      if (address.startsWith('abuse')) time.pass(QUESTIONS_LIMIT_MS);
      return undefined;
    };
    try {
      expect(await said('D5 MX')).toMatch(/^unknown whether abuse@example\.com is there is not known/);
    } finally {
      time.end();
      t.sink.onRecipient = before;
    }
  });

  it('a server that cannot be reached is not taken for one without mailboxes', async () => {
    expect(await said('D5 MX', { smtpPort: 9 })).toMatch(
      /^unknown mx\.example\.com could not be asked .*port 25 may be closed from here/,
    );
  });

  it('the second server is asked where the first is silent', async () => {
    const zone = {
      'MX example.com': ['20 mx.example.com', '10 first.example.com'],
      'A first.example.com': ['127.0.0.2'],
    };
    expect(await said('D5 MX', { zone })).toMatch(/^ok /);
  });

  it('nobody is led into an inner network by a record', async () => {
    const before = t.sink.connections;
    expect(await said('D5 MX', { allowInside: false })).toMatch(/^unknown /);
    expect(t.sink.connections).toBe(before);
  });

  it('the address of SENDING_IP is looked up each time, and must be one that SPF allows', async () => {
    expect(await said('D6 PTR')).toBe('fail 192.0.2.7 has no name (PTR); ask its provider for one');
    expect(await said('D6 PTR', { zone: OF_SENDER })).toBe('ok 192.0.2.7 is mail.example.com, and back');
    expect(await said('D1 SPF')).toBe('fail it does not allow 192.0.2.7, where mail leaves from (fail)');
    expect(await said('D1 SPF', { zone: { 'TXT example.com': ['v=spf1 ip4:192.0.2.7 -all'] } })).toMatch(
      /^ok /,
    );
  });

  it('the certificate of the address that links start with is that which a browser would see', async () => {
    expect(await said('D7 https')).toMatch(/^ok the certificate is valid for \d+ days$/);
    expect(await said('D7 https', { ca: fixture('test-certificate.pem') })).toMatch(
      /^fail the certificate is not valid: \w+/,
    );
  });

  it('a certificate for another name is refused', async () => {
    const pem = { cert: fixture('test-certificate.pem'), key: fixture('test-key.pem') };
    const other = await webServer(pem);
    try {
      const url = new URL(`https://127.0.0.1:${(other.address() as AddressInfo).port}`);
      const seen = await remoteHosts({ ca: pem.cert }).certificate(url);
      expect(seen).toMatchObject({ kind: 'seen', error: expect.stringMatching(/ALTNAME|Host/i) });
    } finally {
      other.close();
    }
  });

  it('the daily look ends an alert when what had failed is good, though port 25 is closed from here', async () => {
    const watch = t.app.get(DomainWatch, { strict: false });
    const keys = async (): Promise<string[]> =>
      (await t.app.get(AlertsService, { strict: false }).open()).map(({ key }) => key);
    const look = async (zone: Zone): Promise<void> => {
      const good = { ...ZONE, ...OF_SENDER, 'TXT example.com': ['v=spf1 ip4:192.0.2.7 -all'] };
      await watch.checkDaily({ dns: dnsOf({ ...good, ...zone }), remote: remote({ smtpPort: 9 }) });
      t.clock.advance(86_400_000);
    };
    await look({ 'TXT _dmarc.example.com': [] });
    expect(await keys()).toEqual(['domain:example.com']);
    await look({ 'TXT _dmarc.example.com': ['FAIL'] });
    expect(await keys()).toEqual(['domain:example.com']);
    await look({});
    expect(await keys()).toEqual([]);
  });
});

async function webServer(pem: TlsOptions): Promise<Server> {
  const server = createServer(pem, (socket) => socket.on('error', () => undefined));
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
