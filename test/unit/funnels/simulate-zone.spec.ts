import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../../src/commands/wellspring.command.js';

const PERSONAS = `start: 2026-03-02T20:00:00Z
days: 5
personas: [{ name: one }]
segments: { late: { signedUp: { since: 2026-03-03 } } }
broadcasts: [{ key: news, email: emails/story, at: 2026-03-04T12:00:00Z, segments: { any: [late] } }]
`;

describe('the days of a simulation', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wellspring-zone-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = async (zone: string | undefined, personas = PERSONAS) => {
    writeFileSync(join(folder, 'personas.yaml'), personas);
    const said = { out: '', error: '' };
    const args = ['simulate', 'config/funnels/niche-ebook.yaml', '--personas', join(folder, 'personas.yaml')];
    const code = await runCommand([...args, '--json'], {
      // Nothing else of the configuration is asked for, and may be wrong.
      env: { PORT: 'none', TIME_ZONE: zone },
      out: (text) => (said.out += text),
      error: (text) => (said.error += text),
    });
    return { code, ...said };
  };
  const recipients = async (...given: Parameters<typeof run>): Promise<unknown> => {
    const { out } = await run(...given);
    return (JSON.parse(out) as { broadcasts: { recipients: number }[] }).broadcasts[0]?.recipients;
  };

  it('are those of TIME_ZONE, as in a real run; the command counted in UTC', async () => {
    expect(await recipients(undefined)).toBe(0);
    expect(await recipients('Pacific/Auckland')).toBe(1);
    expect(await recipients('Pacific/Auckland', `ownerTimeZone: UTC\n${PERSONAS}`)).toBe(0);
    expect(await run('Mars/Base')).toMatchObject({
      code: 2,
      error: 'TIME_ZONE: use an IANA time zone such as Europe/Vienna\n',
    });
  });
});
