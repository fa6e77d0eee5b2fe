import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Global, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import request from 'supertest';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataSourceOptions } from '../../../../config/data-source.js';
import { readConfig } from '../../../../config/env.js';
import { FilesModule } from '../../../../src/infra/files/files.module.js';
import { FilesService } from '../../../../src/infra/files/files.service.js';
import { PageRenderer } from '../../../../src/infra/http/page-renderer.js';
import { configureWebServer, createWebAdapter } from '../../../../src/infra/http/web-server.js';
import { SettingsModule } from '../../../../src/infra/settings.module.js';
import { FixedClock } from '../../../support/clock.js';
import { createTestDatabase, type TestDatabase } from '../../../support/database.js';

const HOUR_MS = 3_600_000;

describe('stored files', () => {
  const clock = new FixedClock('2026-03-02T09:00:00Z');
  let database: TestDatabase;
  let dataSource: DataSource;
  let dataDir: string;
  let app: NestFastifyApplication;
  let files: FilesService;
  let http: ReturnType<typeof request>;

  beforeAll(async () => {
    database = await createTestDatabase();
    dataSource = await new DataSource(dataSourceOptions(database.url, 4)).initialize();
    dataDir = await mkdtemp(join(tmpdir(), 'wellspring-test-files-'));
    const env = readConfig({ DATA_DIR: dataDir, BASE_URL: 'https://shop.example.com', LOG_LEVEL: 'silent' });
    const config = {
      ...env,
      databaseUrl: database.url,
      secretKey: Buffer.alloc(32, 1),
      smtpUrl: 'smtp://127.0.0.1:1',
    };

    @Global()
    @Module({
      imports: [SettingsModule.forRoot(config, clock), FilesModule],
      providers: [PageRenderer, { provide: DataSource, useValue: dataSource }],
      exports: [PageRenderer, DataSource],
    })
    class FilesTestModule {}

    app = await NestFactory.create<NestFastifyApplication>(FilesTestModule, createWebAdapter(config), {
      logger: false,
    });
    await configureWebServer(app, config);
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    files = app.get(FilesService);
    http = request(app.getHttpServer());
  });

  afterAll(async () => {
    await app?.close();
    if (dataSource?.isInitialized) await dataSource.destroy();
    await database?.drop();
    await rm(dataDir, { recursive: true, force: true });
  });

  async function stored(fileName: string, content: string | Buffer): Promise<string> {
    const absolutePath = join(dataDir, 'source');
    await writeFile(absolutePath, content);
    return (await files.store(dataSource.manager, { absolutePath, fileName })).id;
  }

  const inHours = (hours: number): Date => new Date(clock.now().getTime() + hours * HOUR_MS);
  const pathTo = (id: string, hours = 1): string => new URL(files.downloadUrl(id, inHours(hours))).pathname;

  it('keeps the same bytes once, and a name of its own for each', async () => {
    const content = Buffer.alloc(200_000, 'guide');
    const first = await stored('guide.pdf', content);
    expect(await stored('guide.pdf', content)).toBe(first);
    const second = await stored('copy.pdf', content);
    expect(second).not.toBe(first);
    const sha256 = createHash('sha256').update(content).digest('hex');
    const found = await files.find([second, '999999', first]);
    expect(found.map(({ fileName, sha256: hash }) => [fileName, hash])).toEqual([
      ['copy.pdf', sha256],
      ['guide.pdf', sha256],
    ]);
    const onDisk = await readdir(join(dataDir, 'files'));
    expect(onDisk.filter((name) => name === sha256 || name.startsWith('.'))).toEqual([sha256]);
  });

  it('refuses a file that is not there and leaves nothing behind', async () => {
    const before = await readdir(join(dataDir, 'files'));
    const missing = { absolutePath: join(dataDir, 'nowhere.pdf'), fileName: 'nowhere.pdf' };
    await expect(files.store(dataSource.manager, missing)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    const folder = { absolutePath: dataDir, fileName: 'folder' };
    await expect(files.store(dataSource.manager, folder)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    expect(await readdir(join(dataDir, 'files'))).toEqual(before);
  });

  it('gives the first version again once it is stored again: the one between went on being delivered', async () => {
    const first = await stored('kit.zip', 'one');
    clock.advance(HOUR_MS);
    const second = await stored('kit.zip', 'two');
    expect(await files.idByName(dataSource.manager, 'kit.zip')).toBe(second);
    clock.advance(HOUR_MS);
    expect(await stored('kit.zip', 'one')).toBe(first);
    expect(await files.idByName(dataSource.manager, 'kit.zip')).toBe(first);
    const pages = [await files.page(undefined, 1), await files.page(first, 1)];
    expect(pages.map(([file]) => file?.id)).toEqual([first, second]);
  });

  it('finds the newest file of a name for a funnel that comes without its folder', async () => {
    await stored('list.csv', 'old');
    const newest = await stored('list.csv', 'new');
    expect(await files.idByName(dataSource.manager, 'list.csv')).toBe(newest);
    await expect(files.idByName(dataSource.manager, 'other.csv')).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });

  it('hands a download out under its own name, as a file and never as a page', async () => {
    const id = await stored('Führer "75".pdf', 'the bytes');
    const answer = await http.get(pathTo(id)).buffer(true).expect(200);
    expect(Buffer.from(answer.body as Buffer).toString()).toBe('the bytes');
    expect(answer.headers).toMatchObject({
      'content-type': 'application/pdf',
      'content-length': '9',
      'content-disposition': `attachment; filename="F_hrer _75_.pdf"; filename*=UTF-8''F%C3%BChrer%20%2275%22.pdf`,
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    });
  });

  it('answers HEAD with the same headers and no body', async () => {
    const id = await stored('kit.zip', 'zipped');
    const answer = await http.head(pathTo(id)).expect(200);
    expect(answer.headers).toMatchObject({ 'content-length': '6', 'content-type': 'application/zip' });
  });

  it('says when a link has expired, to the millisecond, and knows nothing of a forged one', async () => {
    const id = await stored('guide.txt', 'words');
    const path = pathTo(id, 1);
    clock.advance(HOUR_MS - 1);
    await http.get(path).expect(200);
    clock.advance(1);
    const expired = await http.get(path).expect(410);
    expect(expired.text).toContain('This link has expired');
    const fresh = pathTo(id, 1);
    await http.get(`${fresh.slice(0, -1)}${fresh.endsWith('A') ? 'B' : 'A'}`).expect(404);
    await http.get('/download/nonsense').expect(404);
    await http.get(pathTo('424242')).expect(404);
  });

  it('says plainly that a file is gone from the disk, or is not what it was', async () => {
    const id = await stored('lost.txt', 'will be lost');
    const [file] = await files.find([id]);
    const path = join(dataDir, 'files', file?.sha256 ?? '');
    await writeFile(path, 'cut');
    await http.get(pathTo(id)).expect(500);
    await rm(path);
    const answer = await http.get(pathTo(id)).expect(500);
    expect(answer.text).toContain('The file is missing');
    expect(answer.headers['content-disposition']).toBeUndefined();
  });

  it('stores again what was lost from the disk', async () => {
    const id = await stored('back.txt', 'back again');
    const [file] = await files.find([id]);
    await rm(join(dataDir, 'files', file?.sha256 ?? ''));
    expect(await stored('back.txt', 'back again')).toBe(id);
    await http.get(pathTo(id)).expect(200);
  });
});
