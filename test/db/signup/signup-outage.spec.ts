import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestApp } from '../../support/app.js';
import type { DatabaseFront } from '../../support/database-front.js';
import { type FrontedApp, startFrontedApp } from '../../support/fronted-app.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';

let fronted: FrontedApp;
let front: DatabaseFront;
let t: TestApp;
beforeAll(async () => {
  fronted = await startFrontedApp();
  ({ t, front } = fronted);
});
afterAll(async () => fronted.close());

describe('a form while the database is away', () => {
  it('is there as it was served last, as page and as script: whoever came was sent away', async () => {
    const before = [await t.http.get('/p/niches'), await t.http.get('/f/niches.js')];
    await front.close();
    const away = [await t.http.get('/p/niches'), await t.http.get('/f/niches.js')];
    const unseen = await t.http.get('/p/never-served');
    await front.open();
    for (const [at, { status, text }] of away.entries()) {
      expect(status).toBe(200);
      expect(withoutToken(text)).toBe(withoutToken(before[at]?.text ?? ''));
    }
    expect([unseen.status, unseen.headers['retry-after']]).toEqual([503, '60']);
  });

  it('is there while the database can be read and takes nothing, and nobody is counted', async () => {
    await refuseWrites(t.dataSource, '25006', ['visit']);
    const page = await t.http.get('/p/niches');
    await takeWrites(t.dataSource);
    expect(page.status).toBe(200);
  });
});

const withoutToken = (text: string): string => text.replaceAll(/(?<="t" value="|"token":")[^"]*/g, '');
