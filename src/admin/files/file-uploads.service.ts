import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { DataSource } from 'typeorm';
import { FilesService, type StoredFile } from '../../infra/files/files.service.js';
import { openUpload } from '../../infra/http/upload.js';
import { DomainError } from '../../values/domain-error.js';

/** A film of an hour; more fills the disk of a small server by one mistake. */
const MOST_BYTES = 1_073_741_824;
const MOST_NAME_CHARS = 100;

/** Takes in the file of a form, as it comes, and keeps it beside those that funnels brought along. */
@Injectable()
export class FileUploads {
  constructor(
    private readonly files: FilesService,
    private readonly dataSource: DataSource,
  ) {}

  /** Throws `UPLOAD_INVALID` and `UPLOAD_TOO_LARGE`. */
  async take({ body, headers }: FastifyRequest): Promise<StoredFile> {
    if (!(body instanceof Readable)) throw new DomainError('UPLOAD_INVALID', 'file: choose a file');
    const folder = await mkdtemp(join(tmpdir(), 'wellspring-file-'));
    try {
      const { fileName, pieces } = await openUpload(body, headers['content-type'] ?? '');
      const name = nameInFunnels(fileName);
      if (name === '') throw new DomainError('UPLOAD_INVALID', 'file: choose a file');
      const absolutePath = join(folder, 'file');
      await pipeline(Readable.from(pieces), bounded(), createWriteStream(absolutePath, { mode: 0o600 }));
      return await this.files.store(this.dataSource.manager, { absolutePath, fileName: name });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** What the text of a funnel can say: other characters become hyphens. */
function nameInFunnels(fileName: string): string {
  return basename(fileName.replaceAll('\\', '/'))
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^\w. -]+/g, '-')
    .replace(/\.{2,}/g, '.')
    .replace(/^[^\w]+/, '')
    .slice(-MOST_NAME_CHARS)
    .trim();
}

function bounded(): Transform {
  let size = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done): void {
      size += chunk.length;
      if (size <= MOST_BYTES) return done(null, chunk);
      done(new DomainError('UPLOAD_TOO_LARGE', 'file: it is larger than 1 GB, the most that is taken here'));
    },
  });
}
