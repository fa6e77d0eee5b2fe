import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../../support/app.js';

const KEY = 'niche-ebook';
const NEW_KEY = 'niches-that-pay';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const api = (method: 'post' | 'put', path: string) =>
  t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);

describe('a simulation beside an archived funnel', () => {
  it('has nobody begin the archived one, and sells at the price of now: buyers joined it', async () => {
    const yaml = await t.app.get(FunnelsService).export(KEY, { withTexts: true });
    const begun = yaml
      .replace('\nsequence:\n', '\nsequence:\n  enterOn: [{ purchased: launch-kit }]\n')
      .replace(/\n {2}exitOn:\n {4}- purchased: launch-kit\n/, '\n');
    const old = await api('put', `funnels/${KEY}`).send({ yaml: begun });
    expect([old.status, old.body.detail]).toEqual([200, undefined]);
    await api('post', `funnels/${KEY}/archive`).send({}).expect(200);
    const renamed = yaml
      .replace(`funnel: ${KEY}`, `funnel: ${NEW_KEY}`)
      .replace('discount: 30%', 'discount: 50%');
    const put = await api('put', `funnels/${NEW_KEY}`).send({ yaml: renamed });
    expect([put.status, put.body.detail]).toEqual([200, undefined]);
    for (const body of [{}, { yaml: renamed }]) {
      const simulated = await api('post', `funnels/${NEW_KEY}/simulate`).send(body);
      expect([simulated.status, simulated.body.detail]).toEqual([200, undefined]);
      const told = JSON.stringify(simulated.body);
      expect(told).toContain('"amountMinor":2450');
      expect(told).not.toContain('"amountMinor":3430');
      expect(told).not.toContain(`"sequence":"${KEY}"`);
    }
  });
});
