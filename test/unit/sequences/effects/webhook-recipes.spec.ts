import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { webhookHeaders, webhookKeyText } from '../../../../src/sequences/effects/webhook.js';

const SECRET = Buffer.alloc(32, 7);
const KEY = webhookKeyText(SECRET);
const AT = new Date('2026-03-02T09:00:00Z');
const BODY = '{"name":"Zoë 😀"}';
const HEADERS = webhookHeaders(SECRET, { id: 'step_7', at: AT, body: BODY });

type Try = [
  what: string,
  headers: Record<string, string>,
  body: string,
  secondsLater: number,
  isGenuine: boolean,
];
const TRIES: Try[] = [
  ['as it was sent', HEADERS, BODY, 10, true],
  [
    'with a second signature',
    { ...HEADERS, 'webhook-signature': `v1,AAAA ${HEADERS['webhook-signature']}` },
    BODY,
    10,
    true,
  ],
  ['of another body', HEADERS, BODY.replace('Zoë', 'Zoe'), 10, false],
  ['under another id', { ...HEADERS, 'webhook-id': 'step_8' }, BODY, 10, false],
  ['sent again an hour later', HEADERS, BODY, 3_600, false],
  ['without a signature', {}, BODY, 10, false],
  ['with signs beyond ASCII', { ...HEADERS, 'webhook-signature': 'v1,ö' }, BODY, 10, false],
];
const hasPython = spawnSync('python3', ['--version']).status === 0;

describe('docs/webhooks.md: a delivery is told from a forged one', () => {
  let folder: string;
  let docs: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ws-webhook-recipes-'));
    docs = await readFile('docs/webhooks.md', 'utf8');
  });
  afterAll(async () => rm(folder, { recursive: true }));

  const recipe = (language: string): string => docs.split(`\`\`\`${language}\n`)[1]?.split('\n```')[0] ?? '';
  const told = TRIES.map(([what, , , , isGenuine]) => [what, isGenuine]);
  const secondsAt = (later: number): number => AT.getTime() / 1_000 + later;

  it('in Node', async () => {
    const file = join(folder, 'recipe.mjs');
    await writeFile(file, recipe('js'));
    const { isGenuine } = (await import(/* @vite-ignore */ file)) as {
      isGenuine: (key: string, headers: object, body: string, now: number) => boolean;
    };
    expect(
      TRIES.map(([what, headers, body, later]) => [
        what,
        isGenuine(KEY, headers, body, secondsAt(later) * 1_000),
      ]),
    ).toEqual(told);
  });

  it.skipIf(!hasPython)('in Python', async () => {
    const calls = `
import json, sys
tries = json.load(sys.stdin)
print(json.dumps([[what, is_genuine(${JSON.stringify(KEY)}, headers, body.encode(), ${secondsAt(0)} + later)] for what, headers, body, later, _ in tries]))
`;
    const file = join(folder, 'recipe.py');
    await writeFile(file, `${recipe('python')}\n${calls}`);
    const { stdout, stderr } = spawnSync('python3', [file], {
      input: JSON.stringify(TRIES),
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual(told);
  });
});
