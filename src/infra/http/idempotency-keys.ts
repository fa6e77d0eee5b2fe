import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../clock.js';
import { CONFIG, type Config } from '../config.js';

/** After this long without an answer the process that had the request is taken for dead. */
const TAKE_OVER_AFTER_MS = 60_000;
const KEPT_MS = 24 * 60 * 60 * 1000;

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/**
 * Stands without a body where the answer is forgotten, and of a request under way where it will be: no answer of ours with this
 * status has none.
 */
const FORGOTTEN = 410;
/** Each process writes down by its own clock when it has answered. */
const CLOCKS_APART_MS = 10 * 60_000;
/** Answers that are looked at together; each may hold a whole list. */
const BATCH = 500;

/** One use of a key. `startedAt` fences it: once another request has taken the key over, this one cannot settle it. */
export interface KeyClaim {
  apiKeyId: string;
  key: string;
  requestHash: Buffer;
  startedAt: Date;
}

export interface KeptAnswer {
  status: number;
  /** `undefined` for an answer without body. */
  body: unknown;
}

export type ClaimOutcome =
  | { kind: 'claimed'; claim: KeyClaim }
  | { kind: 'in_progress' }
  | { kind: 'reused' }
  | { kind: 'answered'; answer: KeptAnswer }
  /** It was done, and what was answered told of somebody who is erased. */
  | { kind: 'forgotten' };

interface StoredRow {
  requestHash: Buffer;
  status: number | null;
  sealed: string | null;
  isFinished: boolean;
}

/**
 * Remembers the answers to writes that came with an `Idempotency-Key`. Owns the table `idempotency_key`.
 *
 * The answer is stored after the work is done, in a transaction of its own: a crash exactly in between leaves a row
 * without an answer, and a repeat after a minute does the work again. Work that must not happen twice even then
 * carries its own unique key.
 */
@Injectable()
export class IdempotencyKeys {
  readonly #sealKey: Buffer;

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) config: Config,
  ) {
    this.#sealKey = createHmac('sha256', config.secretKey).update('idempotency_key.response').digest();
  }

  /** Of many requests with one key at once, exactly one gets `claimed`: the primary key decides. */
  async claim(apiKeyId: string, key: string, request: string): Promise<ClaimOutcome> {
    const requestHash = createHash('sha256').update(request).digest();
    for (;;) {
      const claim: KeyClaim = { apiKeyId, key, requestHash, startedAt: this.clock.now() };
      if (await this.insert(claim)) return { kind: 'claimed', claim };
      const row = await this.find(apiKeyId, key);
      // Freed between the two statements: ours to try again.
      if (!row) continue;
      if (!row.requestHash.equals(requestHash)) return { kind: 'reused' };
      if (row.status === null || !row.isFinished) return { kind: 'in_progress' };
      if (row.status === FORGOTTEN && row.sealed === null) return { kind: 'forgotten' };
      return { kind: 'answered', answer: { status: row.status, body: this.unseal(row.sealed, claim) } };
    }
  }

  async settle(claim: KeyClaim, { status, body }: KeptAnswer): Promise<void> {
    const response =
      body === undefined ? null : JSON.stringify({ sealed: this.seal(JSON.stringify(body), claim) });
    await this.dataSource.query(
      `update idempotency_key set finished_at = $6, status = case when status = $7 and $5::jsonb is not null then $7 else $4 end,
         response = case when status is distinct from $7 then $5::jsonb end
        where api_key_id = $1 and key = $2 and started_at = $3 and finished_at is null`,
      [claim.apiKeyId, claim.key, claim.startedAt, status, response, this.clock.now(), FORGOTTEN],
    );
  }

  /** Nothing was done: the same key may be sent again at once. */
  async free(claim: KeyClaim): Promise<void> {
    await this.dataSource.query(
      `delete from idempotency_key
        where api_key_id = $1 and key = $2 and started_at = $3 and finished_at is null`,
      [claim.apiKeyId, claim.key, claim.startedAt],
    );
  }

  /**
   * Forgets the answers of the last 24 hours that tell of somebody, and says when it began to look. The keys stay, so that what
   * was done is not done again. All are opened for it, some 10 µs each, as no query sees into them.
   */
  async forget(tellsOfThem: (answer: unknown) => boolean): Promise<Date> {
    const lookedAt = this.clock.now();
    await this.forgetSince(this.dataSource.manager, new Date(0), tellsOfThem);
    return lookedAt;
  }

  /**
   * As the last thing in the transaction of an erasure: what is left to do after its commit would be lost in a crash. A request
   * under way may have read of the person, and its answer, which nobody knows yet, is forgotten as soon as it is there; one
   * without a body tells of nobody and is kept. Until the transaction ends none begins or ends, so that what begins
   * later reads of nobody. Of answers that came before `lookedAt` all are taken for looked at.
   */
  async forgetForGood(
    manager: EntityManager,
    lookedAt: Date,
    tellsOfThem: (answer: unknown) => boolean,
  ): Promise<void> {
    await manager.query('lock table idempotency_key in share row exclusive mode');
    await manager.query(
      'update idempotency_key set status = $1 where finished_at is null and status is null',
      [FORGOTTEN],
    );
    await this.forgetSince(manager, new Date(lookedAt.getTime() - CLOCKS_APART_MS), tellsOfThem);
  }

  private async forgetSince(
    manager: EntityManager,
    since: Date,
    tellsOfThem: (answer: unknown) => boolean,
  ): Promise<void> {
    let after = { apiKeyId: '0', key: '' };
    for (;;) {
      const rows: { apiKeyId: string; key: string; sealed: string }[] = await manager.query(
        `select api_key_id as "apiKeyId", key, response->>'sealed' as sealed from idempotency_key
          where (api_key_id, key) > ($1, $2) and response is not null and finished_at >= $4 order by api_key_id, key limit $3`,
        [after.apiKeyId, after.key, BATCH, since],
      );
      for (const row of rows.filter((one) => tellsOfThem(this.unseal(one.sealed, one))))
        await manager.query(
          `update idempotency_key set status = $3, response = null where api_key_id = $1 and key = $2`,
          [row.apiKeyId, row.key, FORGOTTEN],
        );
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last;
    }
  }

  /** Removes what is older than 24 hours and returns how many. For housekeeping; an old key is not replayed either way. */
  async removeExpired(): Promise<number> {
    const [row]: { count: string }[] = await this.dataSource.query(
      `with gone as (delete from idempotency_key where started_at < $1 returning 1) select count(*) from gone`,
      [new Date(this.clock.now().getTime() - KEPT_MS)],
    );
    return Number(row?.count ?? 0);
  }

  // A dead request's row is taken over by a repeat of the same request only; an expired one by anybody.
  private async insert({ apiKeyId, key, requestHash, startedAt }: KeyClaim): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `insert into idempotency_key as k (api_key_id, key, request_hash, started_at) values ($1, $2, $3, $4)
       on conflict (api_key_id, key) do update
         set request_hash = excluded.request_hash, status = null, response = null,
             started_at = excluded.started_at, finished_at = null
         where k.started_at < $6
            or (k.finished_at is null and k.started_at < $5 and k.request_hash = excluded.request_hash)
       returning 1`,
      [
        apiKeyId,
        key,
        requestHash,
        startedAt,
        new Date(startedAt.getTime() - TAKE_OVER_AFTER_MS),
        new Date(startedAt.getTime() - KEPT_MS),
      ],
    );
    return rows.length > 0;
  }

  private async find(apiKeyId: string, key: string): Promise<StoredRow | undefined> {
    const rows: StoredRow[] = await this.dataSource.query(
      `select request_hash as "requestHash", status, response->>'sealed' as sealed, finished_at is not null as "isFinished"
         from idempotency_key where api_key_id = $1 and key = $2`,
      [apiKeyId, key],
    );
    return rows[0];
  }

  // An answer may hold what is kept nowhere else in the clear (a new API key), so it is stored encrypted and bound to
  // its row.
  private seal(text: string, claim: KeyClaim): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#sealKey, nonce).setAAD(rowName(claim));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url');
  }

  private unseal(sealed: string | null, claim: Pick<KeyClaim, 'apiKeyId' | 'key'>): unknown {
    if (sealed === null) return undefined;
    const bytes = Buffer.from(sealed, 'base64url');
    const bodyStart = NONCE_BYTES + TAG_BYTES;
    const decipher = createDecipheriv(CIPHER, this.#sealKey, bytes.subarray(0, NONCE_BYTES))
      .setAAD(rowName(claim))
      .setAuthTag(bytes.subarray(NONCE_BYTES, bodyStart));
    return JSON.parse(decipher.update(bytes.subarray(bodyStart), undefined, 'utf8') + decipher.final('utf8'));
  }
}

function rowName({ apiKeyId, key }: Pick<KeyClaim, 'apiKeyId' | 'key'>): Buffer {
  return Buffer.from(`${apiKeyId}:${key}`);
}
