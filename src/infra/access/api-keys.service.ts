import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import { CLOCK, type Clock } from '../clock.js';
import { CONFIG, type Config } from '../config.js';
import { takesNoWrites } from '../database/lost-connection.js';
import { isSameHash, makeApiKey, readApiKey } from './api-key.js';
import { ENVIRONMENT_KEY_ID } from './caller.js';
import { sha256 } from '../../values/sha256.js';

export interface ApiKey {
  id: string;
  name: string;
  prefix: string;
  createdAt: Date;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

/** "Last used" is for people who look for forgotten keys; a write a minute is exact enough. */
const USE_NOTED_EVERY_MS = 60_000;
const MAX_NAME_LENGTH = 100;

const COLUMNS = `id, name, prefix, created_at as "createdAt", last_used_at as "lastUsedAt", revoked_at as "revokedAt"`;

/** The keys of the REST interface. Only the hash of a key is kept, so a key is shown once and never again. */
@Injectable()
export class ApiKeysService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Throws `API_KEY_NAME_INVALID`. */
  async create(name: string): Promise<{ id: string; key: string; apiKey: ApiKey }> {
    const trimmed = name.trim();
    if (trimmed === '' || trimmed.length > MAX_NAME_LENGTH) {
      const allowed = `1 to ${MAX_NAME_LENGTH} characters`;
      throw new DomainError('API_KEY_NAME_INVALID', `A key needs a name of ${allowed}`, {
        field: 'name',
        allowed,
      });
    }
    const { text, prefix, secretHash } = makeApiKey();
    const rows: ApiKey[] = await this.dataSource.query(
      `insert into api_key (name, prefix, secret_hash, created_at) values ($1, $2, $3, $4) returning ${COLUMNS}`,
      [trimmed, prefix, secretHash, this.clock.now()],
    );
    const [apiKey] = rows;
    if (!apiKey) throw new Error('insert into api_key returned no row');
    return { id: apiKey.id, key: text, apiKey };
  }

  /** Newest first, revoked ones too; up to `limit` keys below `beforeId`. */
  async list(limit: number, beforeId?: string): Promise<ApiKey[]> {
    return this.dataSource.query(
      `select ${COLUMNS} from api_key where $1::bigint is null or id < $1 order by id desc limit $2`,
      [beforeId ?? null, limit],
    );
  }

  /** By its id, or by its text or how that begins: no more of a key is kept in the clear. Throws `API_KEY_NOT_FOUND`. */
  async named(text: string): Promise<ApiKey> {
    const prefix = /^ws_([a-z2-7]{8})(?:_|$)/.exec(text)?.[1] ?? null;
    const id = /^\d{1,18}$/.test(text) ? text : null;
    const rows: ApiKey[] = await this.dataSource.query(
      `select ${COLUMNS} from api_key where id = $1 or prefix = $2`,
      [id, prefix],
    );
    if (rows[0]) return rows[0];
    // What was typed may be a key's secret.
    throw notFound('API key', prefix === null ? text : `ws_${prefix}`);
  }

  /** Revoking twice keeps the first time. Throws `API_KEY_NOT_FOUND`. */
  async revoke(id: string): Promise<void> {
    const rows: { id: string }[] = await this.dataSource.query(
      `with revoked as (update api_key set revoked_at = coalesce(revoked_at, $2) where id = $1 returning id)
       select id from revoked`,
      [id, this.clock.now()],
    );
    if (rows.length === 0) throw notFound('API key', id);
  }

  /** The id of the key whose text this is, `null` when there is none or it was revoked. Called on every API request. */
  async authenticate(text: string): Promise<string | null> {
    const { apiKey } = this.config;
    if (apiKey !== null && isSameHash(sha256(text), sha256(apiKey))) return ENVIRONMENT_KEY_ID;
    const read = readApiKey(text);
    if (!read) return null;
    // Served by the unique index on prefix.
    const rows: { id: string; secretHash: Buffer; lastUsedAt: Date | null }[] = await this.dataSource.query(
      `select id, secret_hash as "secretHash", last_used_at as "lastUsedAt" from api_key
        where prefix = $1 and revoked_at is null`,
      [read.prefix],
    );
    const [row] = rows;
    if (!row || !isSameHash(row.secretHash, read.secretHash)) return null;
    // While the database takes no writes, reading goes on, as of a list that is taken along from a full disk.
    await this.noteUse(row.id, row.lastUsedAt).catch((error: unknown) => {
      if (!takesNoWrites(error)) throw error;
    });
    return row.id;
  }

  private async noteUse(id: string, lastUsedAt: Date | null): Promise<void> {
    const now = this.clock.now();
    const notedBefore = new Date(now.getTime() - USE_NOTED_EVERY_MS);
    if (lastUsedAt !== null && lastUsedAt > notedBefore) return;
    // Repeats the test, so that of many requests at once one writes.
    await this.dataSource.query(
      'update api_key set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at <= $3)',
      [id, now, notedBefore],
    );
  }
}
