import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../../../config/env.js';
import { startApplication } from '../../../../src/application.js';
import { freePort } from '../../../../src/infra/free-port.js';
import { createTestDatabase, type TestDatabase } from '../../../support/database.js';

const good = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

/** Reads as a key and signs, but no receiver could check it: its public exponent is another one's. */
function damaged(): string {
  const key = createPrivateKey({ key: { ...good.export({ format: 'jwk' }), e: 'Aw' }, format: 'jwk' });
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

describe('an application that starts with a key', () => {
  let database: TestDatabase;
  let dataDir: string;
  beforeEach(async () => {
    database = await createTestDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'ws-start-'));
    await mkdir(join(dataDir, 'dkim/example.com'), { recursive: true });
  });
  afterEach(async () => {
    Logger.overrideLogger(false);
    await database.drop();
    await rm(dataDir, { recursive: true });
  });

  /** What it says of itself before the first mail, and what it wrote to the log. */
  async function started(pem: string): Promise<{ health: unknown[]; alerts: string[]; log: string }> {
    await writeFile(join(dataDir, 'dkim/example.com/s1.pem'), pem, { mode: 0o600 });
    const written: string[] = [];
    const silent = (): void => undefined;
    Logger.overrideLogger({
      log: silent,
      warn: silent,
      error: (line: unknown) => written.push(String(line)),
    });
    const port = await freePort();
    const env = readConfig({
      ...{ PORT: String(port), HOST: '127.0.0.1', DATA_DIR: dataDir, DATABASE_URL: database.url },
      ...{ SMTP_URL: 'smtp://127.0.0.1:1', LOG_LEVEL: 'silent', API_KEY: 'test-key-of-sixteen-or-more' },
    });
    const application = await startApplication(env, () => undefined);
    try {
      const ask = async (path: string): Promise<unknown> =>
        (
          await fetch(`http://127.0.0.1:${port}${path}`, {
            headers: { authorization: 'Bearer test-key-of-sixteen-or-more' },
          })
        ).json();
      const alerts = (await ask('/api/v1/alerts')) as { data: { key: string; message: string }[] };
      return {
        health: [await ask('/healthz'), await ask('/readyz')],
        alerts: alerts.data.filter(({ key }) => key.startsWith('dkim')).map(({ message }) => message),
        log: written.join(''),
      };
    } finally {
      await application.stop();
    }
  }

  it.each([
    ['whose halves do not belong together', damaged(), 'its DKIM signature fails its own check'],
    ['that is none', 'nonsense', 'this is no private key in PEM'],
  ])('%s serves its pages and says at once that mail of the domain waits', async (_, pem, reason) => {
    const { health, alerts, log } = await started(pem);
    expect(health).toEqual([{ status: 'ok' }, { status: 'ok', criticalAlerts: 1 }]);
    expect(alerts).toEqual([expect.stringMatching(/^Mail from example\.com waits: /)]);
    expect(alerts[0]).toContain(reason);
    expect(log).toContain('mail from example.com is not sent');
    const mended = await started(good.export({ type: 'pkcs8', format: 'pem' }).toString());
    expect(mended.health[1]).toEqual({ status: 'ok', criticalAlerts: 0 });
    expect(mended.log).not.toContain('is not sent');
  });
});
