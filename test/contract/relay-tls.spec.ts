import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import type { SMTPServer, SMTPServerOptions } from 'smtp-server';
import { PromptSmtpServer } from '../../src/infra/mailbox/prompt-smtp-server.js';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseRelays, type RelayTls, type RelayTrust } from '../../config/relays.js';
import type { SendOutcome } from '../../src/delivery/message/message.js';
import { SmtpLane } from '../../src/delivery/relays/smtp-lane.transport.js';
import { plainMail } from '../support/plain-mail.js';

/** A relay with a certificate that nobody vouches for, as one in the next room has. */
describe('encryption on the way to the relay', () => {
  let certificate: { cert: Buffer; key: Buffer };
  let server: SMTPServer | null = null;
  /** User names that came, with whether the line was encrypted. */
  let logins: [string | undefined, boolean][] = [];
  let mails = 0;
  beforeAll(async () => {
    const [cert, key] = await Promise.all(
      ['certificate', 'key'].map(async (name) => readFile(`test/fixtures/test-${name}.pem`)),
    );
    certificate = { cert: cert as Buffer, key: key as Buffer };
  });
  afterEach(async () => {
    logins = [];
    mails = 0;
    await new Promise<void>((resolve) => (server ? server.close(resolve) : resolve()));
  });

  async function sent(
    login: string,
    trust: RelayTls | null | RelayTrust,
    options: SMTPServerOptions = {},
  ): Promise<{ outcome: SendOutcome; tls: string | null }> {
    const running = new PromptSmtpServer({
      ...certificate,
      authOptional: true,
      disableReverseLookup: true,
      closeTimeout: 200,
      allowInsecureAuth: true,
      onAuth: ({ username }, session, done) => {
        logins.push([username, session.secure]);
        done(null, { user: username });
      },
      onData: (stream, _session, done) => {
        stream.on('data', () => undefined).on('end', () => (mails++, done()));
      },
      ...options,
    });
    server = running;
    running.on('error', () => undefined);
    await new Promise<void>((resolve) => running.listen(0, '127.0.0.1', resolve));
    const { port } = running.server.address() as AddressInfo;
    const scheme = options.secure ? 'smtps' : 'smtp';
    const given = trust !== null && typeof trust === 'object' ? trust : { tls: trust, ca: null };
    const lane = new SmtpLane('relay', new URL(`${scheme}://${login}127.0.0.1:${port}`), null, given);
    const outcome = await lane.send(plainMail('1'), async () => true);
    const encrypted = lane.tls;
    lane.close();
    return { outcome, tls: encrypted };
  }

  it.each([
    ['STARTTLS', {}],
    ['TLS from the first byte', { secure: true }],
  ])(
    'with tls=required no mail and no password goes to a certificate that does not hold: %s',
    async (_, options) => {
      const { outcome } = await sent('user:secret@', 'required', options);
      expect(outcome).toMatchObject({
        kind: 'not_sent',
        stage: 'connect',
        reason: expect.stringMatching(/self.signed|unable to verify/),
      });
      expect([logins, mails]).toEqual([[], 0]);
    },
  );

  it.each([
    ['STARTTLS', {}],
    ['TLS from the first byte', { secure: true }],
  ])('with tls=insecure any certificate will do, and the mail goes encrypted: %s', async (_, options) => {
    const { outcome, tls } = await sent('user:secret@', 'insecure', options);
    expect(outcome).toMatchObject({ kind: 'accepted' });
    expect(tls).toMatch(/^TLSv1\.[23] /);
    expect([logins, mails]).toEqual([[['user', true]], 1]);
  });

  it.each<RelayTls>(['required', 'insecure'])(
    'with tls=%s a relay that offers no encryption, or somebody who took the offer out, gets neither',
    async (tls) => {
      const { outcome } = await sent('user:secret@', tls, { disabledCommands: ['STARTTLS'] });
      expect(outcome).toMatchObject({ kind: 'not_sent', stage: 'connect' });
      expect([logins, mails]).toEqual([[], 0]);
    },
  );

  it('with tls=none a relay in the next room takes mail as it is', async () => {
    const { outcome, tls } = await sent('', 'none');
    expect(outcome).toMatchObject({ kind: 'accepted' });
    expect(tls).toBeNull();
  });

  it('on this machine no encryption is asked for unless the owner says so', async () => {
    expect((await sent('', null)).tls).toBeNull();
  });

  describe('with ?ca=, the certificate of a private CA', () => {
    const CA = 'test/fixtures/private-ca.pem';
    const trust = (): RelayTrust => {
      const { relays, problems } = parseRelays(`smtp://127.0.0.1?ca=${CA}`);
      expect(problems).toEqual([]);
      return relays[0] as RelayTrust;
    };
    let vouchedFor: Buffer;
    beforeAll(async () => void (vouchedFor = await readFile('test/fixtures/private-relay.pem')));

    it.each([
      ['STARTTLS', {}],
      ['TLS from the first byte', { secure: true }],
    ])('takes a relay that it vouches for, on this machine, too: %s', async (_, options) => {
      const { outcome, tls } = await sent('user:secret@', trust(), {
        ...{ cert: vouchedFor, key: vouchedFor },
        ...options,
      });
      expect(outcome).toMatchObject({ kind: 'accepted' });
      expect(tls).toMatch(/^TLSv1\.[23] /);
      expect([logins, mails]).toEqual([[['user', true]], 1]);
    });

    it('takes no other certificate, and gives it no password', async () => {
      const { outcome } = await sent('user:secret@', trust());
      expect(outcome).toMatchObject({ kind: 'not_sent', stage: 'connect' });
      expect([logins, mails]).toEqual([[], 0]);
    });
  });
});
