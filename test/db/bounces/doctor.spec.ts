import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { doctor } from '../../../src/commands/doctor.probe.js';
import { GenerationGuard } from '../../../src/delivery/generation/generation-guard.service.js';
import { hasDovecot, openDovecot, type Dovecot } from '../../support/dovecot.js';
import { openBounceOffice, type BounceOffice } from './bounce-office.js';

describe('what doctor says of an installation that takes nothing in, or lets nothing out', () => {
  let office: BounceOffice;
  beforeAll(async () => {
    office = await openBounceOffice();
  });
  afterAll(async () => office.close());

  const said = async (
    name: string,
    bounceImapUrl: string | null = null,
    dataSource: DataSource = office.db,
  ): Promise<string> => {
    const config = { ...office.config, bounceImapUrl };
    const context = {
      config,
      dataSource,
      app: office.app,
      migrated: [],
      close: async () => undefined,
    };
    const found = (await doctor(context)).find((check) => check.name === name);
    return `${found?.level} ${found?.detail}`;
  };

  it('names a database that may not send: all was well, and no mail went', async () => {
    expect(await said('ledger')).toBe('ok mails may go out');
    await office.app.get(GenerationGuard, { strict: false }).maySend();
    await office.db.query(
      `update setting set value = jsonb_set(value, '{fingerprint,table}', '"1"') where key = 'ledger.generation'`,
    );
    expect(await said('ledger')).toMatch(
      /^fail nothing is sent: this database is a copy .*wellspring ledger confirm/,
    );
  });

  it('names a database that can be read alone: all was well, and nothing was sent', async () => {
    expect(await said('database')).toMatch(/^ok PostgreSQL /);
    const url = new URL(office.config.databaseUrl ?? '');
    url.searchParams.set('options', '-c default_transaction_read_only=on');
    const standby = await new DataSource({ type: 'postgres', url: url.href }).initialize();
    expect(await said('database', null, standby)).toMatch(/^fail it can be read and takes no writes/);
    await standby.destroy();
  });

  it('names a bounce mailbox that nobody answers for: it was only said that there is one', async () => {
    expect(await said('bounce mailbox', 'imap://bounces:secret@127.0.0.1:9/INBOX')).toMatch(
      /^fail 127\.0\.0\.1:9: .*ECONNREFUSED/,
    );
    expect(await said('bounce mailbox')).toBe('undefined undefined');
  });

  describe.skipIf(!hasDovecot())('with dovecot', () => {
    let server: Dovecot;
    beforeAll(async () => {
      server = await openDovecot();
    });
    afterAll(async () => server.close());

    it('tries its login and its name, and counts what waits there', async () => {
      expect(await said('bounce mailbox', server.url('doc'))).toMatch(
        /^ok 127\.0\.0\.1:\d+ takes the login; mails that wait in INBOX: 0$/,
      );
      expect(await said('bounce mailbox', server.url('doc').replace(/:[^:@]+@/, ':wrong@'))).toMatch(
        /^fail 127\.0\.0\.1:\d+: .*[Aa]uthentication failed/,
      );
      expect(await said('bounce mailbox', `${server.url('doc')}-mistyped`)).toMatch(/^fail .*INBOX-mistyped/);
    });
  });
});
