import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, type ReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import { decodeIds, encodeIds, signExpiring, verifyExpiring } from '../../values/signed-token.js';
import { CLOCK, type Clock } from '../clock.js';
import { CONFIG, type Config } from '../config.js';
import { contentTypeOf } from './content-type.js';
import { DOWNLOAD } from './download-link.js';
import { fileSizeText } from './file-size.js';

export interface StoredFile {
  id: string;
  fileName: string;
  contentType: string;
  sizeBytes: number;
  /** Hex; also the name of the file on disk. */
  sha256: string;
}

/** One line of a download list, as the pages and the receipt show it. */
export interface Download {
  name: string;
  url: string;
  sizeText: string;
}

const MAX_RECEIVED_BYTES = 2_147_483_648;

/**
 * Files that are promised or sold. The bytes lie under `DATA_DIR/files/<sha256>`, once however many names they have;
 * `stored_file` gives them a name. A file on disk is never changed, so a link that was mailed keeps giving what it
 * promised after a new version was applied.
 */
@Injectable()
export class FilesService {
  private readonly folder: string;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly dataSource: DataSource,
  ) {
    this.folder = join(config.dataDir, 'files');
  }

  /**
   * Copies the file into the store; the same bytes under the same name are the same file. Its hash is that of the copy. The copy
   * outlives a roll-back of the caller, which costs disk and nothing else.
   * Throws `FILE_UNREADABLE` when there is no such file, or none we may read.
   */
  async store(manager: EntityManager, file: { absolutePath: string; fileName: string }): Promise<StoredFile> {
    const source = file.absolutePath;
    const copy = this.copyIn(() => createReadStream(source)).catch(async (cause: unknown) => {
      const readable = await stat(source).then(
        (found) => found.isFile(),
        () => false,
      );
      if (readable) throw cause;
      throw new DomainError(
        'FILE_UNREADABLE',
        `The file ${basename(file.fileName)} cannot be read at ${source}: put it there, or correct the path`,
        { fileName: file.fileName, path: source },
        { cause },
      );
    });
    return this.named(manager, basename(file.fileName), await copy);
  }

  /** As `store`, of bytes that come from elsewhere. Throws `FILE_TOO_LARGE`. */
  async receive(manager: EntityManager, body: Readable, fileName: string): Promise<StoredFile> {
    return this.named(manager, basename(fileName), await this.copyIn(() => body, MAX_RECEIVED_BYTES));
  }

  private async named(
    manager: EntityManager,
    fileName: string,
    { sha256, sizeBytes }: { sha256: Buffer; sizeBytes: number },
  ): Promise<StoredFile> {
    // What is stored once more is the newest of its name again: whoever sends an old version wants it back.
    const rows: { id: string }[] = await manager.query(
      `insert into stored_file (sha256, file_name, content_type, size_bytes, created_at)
       values ($1, $2, $3, $4, $5)
       on conflict (sha256, file_name) do update set content_type = excluded.content_type, created_at = excluded.created_at
       returning id`,
      [sha256, fileName, contentTypeOf(fileName), sizeBytes, this.clock.now()],
    );
    const id = rows[0]?.id;
    if (id === undefined) throw new Error(`stored_file gave no id for ${fileName}`);
    const contentType = contentTypeOf(fileName);
    return { id, fileName, contentType, sizeBytes, sha256: sha256.toString('hex') };
  }

  /**
   * The file of that name that was stored last, for a funnel that comes without its folder. Throws `FILE_NOT_FOUND` when no apply
   * from disk has stored one.
   */
  async idByName(manager: EntityManager, fileName: string): Promise<string> {
    const id = await this.newestOf(manager, fileName);
    if (id !== null) return id;
    throw new DomainError(
      'FILE_NOT_FOUND',
      `There is no stored file "${fileName}": apply the funnel once from the folder that holds it`,
      { fileName },
    );
  }

  /** Those stored last first, after `beforeId`. */
  async page(beforeId: string | undefined, limit: number): Promise<(StoredFile & { createdAt: Date })[]> {
    return this.dataSource.query(
      `select f.id, f.file_name as "fileName", f.content_type as "contentType", f.size_bytes::float8 as "sizeBytes",
              encode(f.sha256, 'hex') as "sha256", f.created_at as "createdAt"
         from stored_file f
        where $1::bigint is null or (f.created_at, f.id) < (select b.created_at, b.id from stored_file b where b.id = $1)
        order by f.created_at desc, f.id desc limit $2`,
      [beforeId ?? null, limit],
    );
  }

  /** As `idByName`; null when there is none. */
  async newestOf(manager: EntityManager, fileName: string): Promise<string | null> {
    const rows: { id: string }[] = await manager.query(
      `select id from stored_file where file_name = $1 order by created_at desc, id desc limit 1`,
      [fileName],
    );
    return rows[0]?.id ?? null;
  }

  /** Throws `FILE_NOT_FOUND`. */
  async get(manager: EntityManager, id: string): Promise<StoredFile> {
    const [file] = await this.find([id], manager);
    if (file) return file;
    throw notFound('file', id);
  }

  /** Whether the disk has all of it. */
  async isThere(manager: EntityManager, id: string): Promise<boolean> {
    const [file] = await this.find([id], manager);
    if (!file) return false;
    const found = await stat(this.pathOf(file.sha256)).catch(() => null);
    return found?.size === file.sizeBytes;
  }

  /** The files with these ids, in the order asked for; ids that are not there are left out. */
  async find(
    ids: readonly string[],
    manager: EntityManager = this.dataSource.manager,
  ): Promise<StoredFile[]> {
    if (ids.length === 0) return [];
    return manager.query(
      `select f.id, f.file_name as "fileName", f.content_type as "contentType", f.size_bytes::float8 as "sizeBytes",
              encode(f.sha256, 'hex') as "sha256"
         from unnest($1::bigint[]) with ordinality as asked (id, place)
         join stored_file f on f.id = asked.id
        order by asked.place`,
      [ids],
    );
  }

  /** A link that gives the file until `expiresAt` to whoever holds it; what was bought, as long as its order stays paid. */
  downloadUrl(fileId: string, expiresAt: Date, orderId?: string): string {
    const ids = encodeIds(orderId === undefined ? [fileId] : [fileId, orderId]);
    const token = signExpiring(this.config.secretKey, DOWNLOAD, ids, expiresAt);
    return `${this.config.baseUrl}/download/${token}`;
  }

  /** Names, sizes and signed links of the files, in the order asked for. `orderOf`: by which order each was bought. */
  async downloads(
    fileIds: readonly string[],
    { expiresAt, orderOf }: { expiresAt: Date; orderOf?: ReadonlyMap<string, string> },
    manager: EntityManager = this.dataSource.manager,
  ): Promise<Download[]> {
    const files = await this.find(fileIds, manager);
    return files.map(({ id, fileName, sizeBytes }) => ({
      name: fileName,
      url: this.downloadUrl(id, expiresAt, orderOf?.get(id)),
      sizeText: fileSizeText(sizeBytes),
    }));
  }

  /**
   * The file a link stands for; `'expired'` for a genuine link past its end, `'refunded'` for one of an order whose money,
   * or the product of which the file is, has gone back, null for one we did not write.
   */
  async fromToken(token: string): Promise<StoredFile | 'expired' | 'refunded' | null> {
    const read = verifyExpiring(this.config.secretKey, DOWNLOAD, token, this.clock.now());
    if (read === null || read === 'expired') return read;
    const [id, orderId] = decodeIds(read.payload, 1) ?? decodeIds(read.payload, 2) ?? [];
    if (id === undefined) return null;
    if (orderId !== undefined && !(await this.isPaid(orderId, id))) return 'refunded';
    const [file] = await this.find([id]);
    return file ?? null;
  }

  /** Opened and measured before the first byte is promised. Throws `FILE_LOST` when the disk no longer has it. */
  async read(file: StoredFile): Promise<ReadStream> {
    const path = this.pathOf(file.sha256);
    const lost = (cause?: unknown): DomainError =>
      new DomainError(
        'FILE_LOST',
        `File ${file.id} (${file.fileName}) is not in ${this.folder} any more. Apply its funnel again, or restore DATA_DIR from a backup.`,
        { fileId: file.id, path },
        { cause },
      );
    const handle = await open(path, 'r').catch((cause: unknown) => {
      throw lost(cause);
    });
    const { size } = await handle.stat();
    if (size !== file.sizeBytes) {
      await handle.close();
      throw lost();
    }
    return handle.createReadStream() as ReadStream;
  }

  /** A product may have other files now than when the link was made: what no line has is refused where any was taken back. */
  private async isPaid(orderId: string, fileId: string): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `select 1 from orders o where o.id = $1 and o.status = 'paid' and (select coalesce(bool_or(l.taken_back_at is null) filter (where p.file_ids ? $2), bool_and(l.taken_back_at is null))
         from order_line l join product p on p.id = l.product_id where l.order_id = o.id)`,
      [orderId, fileId],
    );
    return rows.length > 0;
  }

  private pathOf(sha256: string): string {
    return join(this.folder, sha256);
  }

  private async copyIn(
    source: () => Readable,
    mostBytes = Infinity,
  ): Promise<{ sha256: Buffer; sizeBytes: number }> {
    await mkdir(this.folder, { recursive: true });
    const temporary = join(this.folder, `.incoming-${randomUUID()}`);
    const hash = createHash('sha256');
    let sizeBytes = 0;
    const target = await open(temporary, 'wx', 0o600);
    try {
      for await (const chunk of source() as AsyncIterable<Buffer>) {
        hash.update(chunk);
        sizeBytes += chunk.length;
        if (sizeBytes > mostBytes)
          throw new DomainError('FILE_TOO_LARGE', `file: ${mostBytes} bytes are the most`, { mostBytes });
        await target.writeFile(chunk);
      }
      // Before the rename: after a power cut a file under its hash must hold what the hash says.
      await target.sync();
      await target.close();
      const sha256 = hash.digest();
      await rename(temporary, this.pathOf(sha256.toString('hex')));
      return { sha256, sizeBytes };
    } catch (error) {
      await target.close().catch(() => undefined);
      await rm(temporary, { force: true });
      throw error;
    }
  }
}
